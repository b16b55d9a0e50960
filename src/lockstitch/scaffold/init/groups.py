"""Which requirements only some images need, and where they are listed then."""

import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence

from lockstitch import files
from lockstitch.python.commands import entry_of
from lockstitch.python.imports import Entry, Reach, follow, reached
from lockstitch.python.locks import uv
from lockstitch.python.names import distribution_of, modules_named, normal, of_requirement
from lockstitch.python.size import shown
from lockstitch.repository.code import scripts
from lockstitch.resources import load_table
from lockstitch.scaffold.init import tables
from lockstitch.scaffold.init.facts import Facts
from lockstitch.scaffold.init.guess import known_distribution
from lockstitch.scaffold.init.program import Program
from lockstitch.scaffold.init.programs import Found
from lockstitch.scaffold.init.requirements import names_table
from lockstitch.values import replace

# What reads a model whose classes are of packages that the code does not import.
_LOADS = scripts.PICKLES | {"torch.load", ".load_model"}
_SAVES = frozenset(name.replace(".load", ".dump") for name in scripts.PICKLES) | {
    *("torch.save", ".save_model", ".log_model")
}
# What does nothing in an image that neither imports nor starts it.
_IDLE = frozenset(
    {"mlflow", "dvc", "wandb", "jupyter", "jupyterlab", "notebook", "ipykernel", "evidently"}
    | {"great-expectations", "prefect", "zenml", "kfp", "bentoml", "streamlit", "gradio", "optuna"}
)
# What draws, and is no part of a model.
_DRAWN = frozenset({"matplotlib", "seaborn", "plotly", "altair", "bokeh", "kaleido", "yellowbrick"})
_LINUX = re.compile(r"none-any|manylinux\w*x86_64")
_NAMES = {"train": ("train", "training"), "serve": ("serve", "serving", "api", "server")}
_LEAST = 5_000_000  # bytes that are worth a group of their own


class Users:
    """Which images import what, and which of them load models."""

    def __init__(self, known: Found, programs: Sequence[Program]) -> None:
        """Follow the imports of each image's programs."""
        self._found = known
        self._images: dict[str, set[str]] = {}  # by distribution
        self._loading: set[str] = set()
        self._saved: set[str] = set()  # what scripts import that may have made a model
        for program in programs:
            for step in (program, *program.before):
                self._take(program.image, step)
        for script in known.others if self._loading else ():
            entry = entry_of(script.command, script.env, script.workdir)
            if entry and self._calls(reached(known.tree, entry), _SAVES):
                self._saved |= imported(known, entry)

    def _take(self, image: str, program: Program) -> None:
        entry = _entry(program)
        if entry is None:  # `rq worker` is of rq, whatever it imports
            self._images.setdefault(of_requirement(program.command[0]), set()).add(image)
            return
        for name in imported(self._found, entry):
            self._images.setdefault(name, set()).add(image)
        if self._calls(reached(self._found.tree, entry), _LOADS):
            self._loading.add(image)

    def _calls(self, paths: Sequence[str], names: frozenset[str]) -> bool:
        codes = [self._found.codes[path] for path in paths if path in self._found.codes]
        ends = tuple(name for name in names if name.startswith("."))
        return any(c in names or c.endswith(ends) for code in codes for c in code.calls)

    def alone(self, image: str, names: Sequence[str]) -> list[str]:
        """Return the names of those that one image imports, and no other one can need.

        Where others load models, of which anything else may be a part, these are tools alone.
        """
        tools = _IDLE | _DRAWN if self._loading - {image} else {*names}
        return [name for name in names if name in tools and self._images.get(name) == {image}]

    def unused(self, names: Sequence[str]) -> list[str]:
        """Return the names of those that no image can need."""
        return [name for name in names if name not in {*self._images, *self._saved}]


def _entry(program: Program) -> Entry | None:
    command = ("python", program.path) if program.kind == "console" else program.command
    return entry_of(command, program.env, program.workdir)


def imported(known: Found, entry: Entry, least: Reach = Reach.OPTIONAL) -> set[str]:
    """Return the names of the distributions that a program imports, at least so certainly."""
    leads = (lead for lead in follow(known.tree, entry) if lead.reach >= least)
    return {of_requirement(distribution_of(lead.top).strip("'")) for lead in leads}


def of_program(facts: Facts, known: Found, program: Program) -> list[str]:
    """Return the groups that an image needs: by its name, its code's folders, and its imports."""
    every = tables.groups(facts)
    entries = [e for step in (program, *program.before) if (e := _entry(step))]
    paths = {path for entry in entries for path in reached(known.tree, entry)}
    paths |= {program.path, f"{program.workdir}/"}
    folders = facts.inputs.folders.items()
    named = [g for g, f in folders if any(path.startswith(f"{f}/") for path in paths)]
    names = _NAMES.get(program.image, (program.image,))
    named += [name for name in names if name in every][: not named]
    surely = {name for e in entries for name in imported(known, e, Reach.CERTAIN)}
    perhaps = {name for e in entries for name in imported(known, e, Reach.POSSIBLE)}
    apart = {*facts.inputs.conflicts()}
    there = tables.declared(facts).union(*(every.get(group, ()) for group in named))
    brings = load_table(__package__, "eras.toml")["brings"]
    there = there.union(*(brings.get(name, ()) for name in there))
    for name in sorted(perhaps - there):
        having = [g for g, lines in every.items() if name in lines and g != "dev"]
        having = [g for g in having if name in surely or g in facts.inputs.folders]
        fitting = [group for group in having if not (group in apart and apart.intersection(named))]
        named += [] if {*having} & {*named} else fitting[:1]
    return named


def lacking(
    facts: Facts, known: Found, program: Program, groups: Sequence[str], spare: Collection[str]
) -> list[str]:
    """Return what an image's code surely imports and no list brings, by a table or of `spare`."""
    every = tables.groups(facts)
    there = tables.declared(facts).union(*(every[group] for group in groups))
    there |= _reached_from(_locked(facts), [*there])
    brings = load_table(__package__, "eras.toml")["brings"]
    there = there.union(*(brings.get(name, ()) for name in there))
    modules = {module for name in there for module in modules_named(name)}
    entries = [entry for step in (program, *program.before) if (entry := _entry(step))]
    leads = [lead for entry in entries for lead in follow(known.tree, entry)]
    lacked = {
        known_distribution(lead.module) or (top if (top := normal(lead.top)) in spare else "")
        for lead in leads
        if lead.reach is Reach.CERTAIN
        and lead.top not in modules
        and there.isdisjoint(names_table("alike").get(lead.top, ()))
    }
    return sorted(lacked - there - {"", *program.needs})


def settled(
    facts: Facts, known: Found, programs: Sequence[Program], notes: list[str], *, split: bool
) -> Facts:
    """Return the facts with guesses that no image needs in the group for developing, and say so.

    With `split`, what only one image imports is in a group of its name, what none uses in `dev`.
    """
    users = Users(known, programs)
    inputs = facts.inputs
    if not programs or facts.manager != "uv" or facts.project.get("dependencies"):
        return facts
    listed = [*inputs.dependencies]
    groups = {name: [*lines] for name, lines in inputs.groups.items()}
    guessed = {of_requirement(line): (line, where) for line, where in inputs.guessed.items()}
    for name in users.unused([*guessed]):
        line, where = guessed[name]
        moved = [line for line in listed if of_requirement(line) == name]
        listed = [line for line in listed if line not in moved]
        groups.setdefault("dev", []).extend(moved)
        told = f"`{where}` needs `{line}`, which no list has: added"
        because = f"to the group `dev`, as no image runs `{where.partition(':')[0]}`"
        if told in notes:
            notes[notes.index(told)] = f"{told} {because}"
        else:
            notes.append(f"`{line}`: added {because}")
    used = {group for program in programs for group in of_program(facts, known, program)}
    for name, folder in inputs.folders.items():
        if name not in used:
            groups.pop(name, None)
            notes.append(f"group `{name}`: left out, as no image runs code of `{folder}`")
    unused = users.unused([n for n in map(of_requirement, listed) if n in _IDLE and split])
    for line in [line for line in listed if of_requirement(line) in unused]:
        listed.remove(line)
        groups.setdefault("dev", []).append(line)
    for program in programs if split and len(programs) > 1 else ():
        wanted = _candidates(program, listed)
        for name in users.alone(program.image, wanted):
            lines = [line for line in listed if of_requirement(line) == name]
            listed = [line for line in listed if line not in lines]
            groups.setdefault(program.image, []).extend(lines)
    changed = replace(inputs, dependencies=listed, groups=groups)
    return replace(facts, inputs=changed)


def _candidates(program: Program, lines: Sequence[str]) -> list[str]:
    kept = {*program.needs}
    return [n for line in lines if (n := of_requirement(line)) not in kept]


def proposed(facts: Facts, every: Found, programs: Sequence[Program]) -> Iterator[str]:
    """Yield which requirements not all images need, with the size that the others save."""
    if not programs:
        return
    users = Users(every, programs)
    packages = _locked(facts)
    listed = tables.dependencies(facts)
    idle = [name for name in dict.fromkeys(map(of_requirement, listed)) if name in _IDLE]
    for image, names in (
        ("", users.unused(idle)),
        *((p.image, users.alone(p.image, _candidates(p, listed))) for p in programs),
    ):
        needed = _without_brought(names, [of_requirement(line) for line in listed])
        known = _saved(packages, needed)
        if not needed or (image and len(programs) < 2) or (packages and known < _LEAST):
            continue
        does = "lockstitch init --split"
        if facts.project.get("dependencies"):
            lines = shlex.join(line for line in listed if of_requirement(line) in needed)
            group = f"--group {image}" if image else "--dev"
            does = f"uv remove {' '.join(needed)} && uv add {group} {lines}"
            does += f', then groups = ["{image}"] in its table' if image else ""
        which = f"only image `{image}` imports" if image else "no image imports or starts"
        whose = "the others" if image else "the images"
        saved = f": {shown(known)} that {whose} carry" if known else ""
        yield f"{which} {', '.join(f'`{name}`' for name in needed)}{saved}; {does}"


def _without_brought(alone: Sequence[str], listed: Sequence[str]) -> list[str]:
    """Return names without those that others of a list bring into each image anyway."""
    table = load_table(__package__, "eras.toml")["brings"]
    brought = {other for name in listed if name not in alone for other in table.get(name, ())}
    return [name for name in alone if name not in brought]


def _locked(facts: Facts) -> dict[str, tuple[int, list[str]]]:
    """Return the bytes of each package's wheel for Linux, and what it needs, as uv.lock says."""
    path = facts.folder.root / "uv.lock"
    if not path.is_file() or not facts.folder.inside(path):
        return {}
    graph = uv.read(files.read_text(path), problems=[])  # what is wrong there, others tell
    sizes_of = {"": (0, [needed.name for root in graph.roots for needed in root.dependencies])}
    for package in graph.packages:
        sizes = [file.size or 0 for file in package.wheels if _LINUX.search(file.name)]
        needs = [needed.name for needed in package.dependencies]
        sizes_of[package.name] = (sizes[-1] if sizes else 0, needs)
    return sizes_of


def _saved(packages: Mapping[str, tuple[int, list[str]]], names: Sequence[str]) -> int:
    """Return the bytes of packages and of what the project's list needs for them alone."""
    own = packages.get("", (0, []))[1]
    kept = _reached_from(packages, [name for name in own if name not in names])
    gone = _reached_from(packages, [*names]) - kept
    return sum(packages.get(name, (0, []))[0] for name in gone)


def _reached_from(packages: Mapping[str, tuple[int, list[str]]], waiting: list[str]) -> set[str]:
    """Return the names of packages and of all that they need."""
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += packages.get(name, (0, []))[1]
    return seen
