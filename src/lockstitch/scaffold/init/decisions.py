"""What to do about the facts of a folder: the tables and files that it should have."""

import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lockstitch import clock, files
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.files import nearest
from lockstitch.python import load
from lockstitch.python.commands import entry_of
from lockstitch.python.imports import reached
from lockstitch.python.names import PKG_RESOURCES, of_requirement
from lockstitch.python.tables import parse_toml, table, texts
from lockstitch.repository.code.started import SHELL
from lockstitch.resources import load_table
from lockstitch.scaffold import new
from lockstitch.scaffold.init import eras, pythons, system, tables
from lockstitch.scaffold.init.contents import Contents, contents_of, covered, is_model
from lockstitch.scaffold.init.edit import Table, edit
from lockstitch.scaffold.init.facts import Facts, version_of
from lockstitch.scaffold.init.groups import lacking, of_program, proposed, settled
from lockstitch.scaffold.init.guess import is_counted
from lockstitch.scaffold.init.program import Program
from lockstitch.scaffold.init.programs import Found, find, shell_lines
from lockstitch.scaffold.init.requirements import read_requirements
from lockstitch.scaffold.init.steps import complete, writer_of
from lockstitch.table import first_of
from lockstitch.values import frozen, replace

# The Pythons of bases, the best first, with a version that the base has or will have: those of
# Debian's releases, and of python-build-standalone.
_BASES: dict[str, str] = load_table(__package__, "words.toml")["bases"]
_LAST_READER = "0.23"
_NEWER = "3.11"  # which runs all code that is not new
_IGNORED = (
    *(".lockstitch/", ".venv/", "__pycache__/"),
    *(".mypy_cache/", ".pytest_cache/", ".ruff_cache/"),
)
_NOTEBOOKS = 12  # of which the data is looked for
_REMOTE = re.compile(r"(?m)^\s*-?\s*repo:\s*(?!local|meta|builtin)\S")


@frozen
class Reason:
    """An image's table, and where each part of it comes from, as `file:line: what is there`."""

    image: str
    values: Mapping[str, Any]
    why: tuple[str, ...]


@frozen
class Decisions:
    """The tables that pyproject.toml should have, other files by name, and notes for a person."""

    tables: tuple[Table, ...]
    files: Mapping[str, str]
    notes: tuple[str, ...]
    reasons: tuple[Reason, ...] = ()


@frozen
class _Known:
    """The programs of a folder, and what their images hold."""

    found: Found
    every: Sequence[Contents]

    @classmethod
    def of(cls, facts: Facts, minor: str) -> "_Known":
        chosen = find(facts, minor)
        if chosen.programs and chosen.programs[0].kind == "notebook":
            # Of several notebooks one that calls anything and whose data is here, the likeliest.
            several = [*chosen.programs, *chosen.others][:_NOTEBOOKS]
            begun = [p for p in several if p.path in chosen.codes and chosen.codes[p.path].calls]
            several = begun or several
            best = min(several, key=lambda p: bool(contents_of(facts, chosen, p).absent))
            others = [p for p in (*chosen.programs, *chosen.others) if p is not best]
            notes = (*chosen.notes, *shell_lines(chosen.repo, best))
            chosen = replace(chosen, programs=(best,), others=tuple(others), notes=notes)
        return cls(found=chosen, every=complete(facts, chosen))

    @property
    def programs(self) -> list[Program]:
        return [contents.program for contents in self.every]


def decide(
    facts: Facts,
    python: str = "",
    *,
    with_tools: bool = False,
    force: bool = False,
    explain: bool = False,
    split: bool = False,
    can_fetch: Callable[[str], bool] = lambda _: True,
) -> Decisions:
    """Return the decisions for a folder; reads no file outside of its facts' folder.

    `python` is the minor version of the images where it is named, `can_fetch` says whether one
    that Debian lacks can be had. `with_tools` adds a group `dev`, settings of black, ruff, mypy
    and pytest, hooks and `.python-version`; `force` replaces such settings that differ. With
    `explain`, the reasons for images are found for a project that has its images too. With `split`,
    what only one image imports is in a group of its name.
    """
    notes = _left_out(facts)
    minor, base = _base(facts, python, notes, can_fetch)
    facts = facts.for_python(minor, notes)
    facts = replace(facts, day="" if with_tools else _as_of(facts, minor, notes))
    known = None
    if explain or not table(facts.document, "tool", "lockstitch", "images"):
        known = _Known.of(facts, minor)
        facts = settled(facts, known.found, known.programs, notes, split=split)
    build = [*tables.build(facts)]
    project = [*tables.project(facts, minor)]
    reasons: list[Reason] = []
    images = [*_images(facts, (minor, base), known, reasons, with_tools=with_tools)]
    if known and not reasons:
        _add_reasons(facts, known, reasons)
    settings = [*tables.settings(facts, force=force)] if with_tools else []
    notes += [item for item in [*build, *project, *images, *settings] if isinstance(item, str)]
    development = tables.development(facts, with_tools=with_tools)
    images = [*tables.programs(facts), *tables.locked(facts), *images]
    # In the order in which people look for them.
    ordered = [item for item in build if _is_of(item, "build-system")]
    ordered += project
    ordered += [item for item in images if not _is_of(item, "lockstitch")]
    ordered += [development] if development else []
    ordered += [item for item in build if not _is_of(item, "build-system")]
    ordered += [item for item in images if _is_of(item, "lockstitch")]
    ordered += settings
    files = _ignored(facts, notes, _IGNORED if with_tools else _IGNORED[:1])
    if with_tools:
        there = facts.folder.text(".python-version")
        kept = there is not None and not (force and facts.minor != minor)
        files[".python-version"] = there if there is not None and kept else f"{minor}\n"
        files |= _hooks(facts, notes)
    items = tuple(item for item in ordered if isinstance(item, Table))
    return Decisions(tables=items, files=files, notes=tuple(notes), reasons=tuple(reasons))


def _is_of(item: Table | str, part: str) -> bool:
    return isinstance(item, Table) and part in item.path


def _left_out(facts: Facts) -> list[str]:
    """Return a note for what was not taken from files whose place pyproject.toml takes."""
    notes: list[str] = []
    if not facts.project and not facts.classic:
        # `version = attr: package.__version__` is read where it stands.
        has_version = bool(version_of(facts.folder, facts.packages))
        notes += [n for n in facts.setup.notes if not (has_version and ": `version` " in n)]
        names = " and ".join(f"`{name}`" for name in facts.setup.sources)
        if names and not facts.setup.compiled:
            notes.append(f"{names}: kept; what pyproject.toml says counts from now on")
    notes += facts.inputs.notes
    return notes


# --- files


def _hooks(facts: Facts, notes: list[str]) -> dict[str, str]:
    """Return the files of the hooks, or none where a project has hooks."""
    there = tables.hooks(facts.folder)
    if there:
        if _REMOTE.search(facts.folder.text(there) or ""):
            message = "kept; `lockstitch hooks migrate` makes its hooks those of the lock"
            notes.append(f"`{there}`: {message}")
        return {}
    settings: dict[str, str] = {}
    in_project: object = True
    if facts.manager == "poetry":
        text = facts.folder.text("poetry.toml") or ""
        own = table(parse_toml(text, "`poetry.toml`", hint="correct that line"), "virtualenvs")
        in_project = own.get("in-project")
        if in_project is None:  # the hooks are programs of .venv
            added = [Table(path=("virtualenvs",), values={"in-project": True})]
            settings = {"poetry.toml": edit(text, added, "poetry.toml").text}
    wanted = new.hook_files(
        facts.manager, in_project=in_project is not False, has_code=tables.has_code(facts)
    )
    return settings | {n: text for n, text in wanted.items() if not facts.folder.has(n)}


def _ignored(facts: Facts, notes: list[str], wanted: Sequence[str]) -> dict[str, str]:
    if (facts.folder.root / ".gitignore").is_dir():
        notes.append("`.gitignore` is a folder, which git does not read: kept")
        return {}
    text = facts.folder.text(".gitignore", any_encoding=True) or ""
    try:
        text = text and files.read_text(facts.folder.root / ".gitignore")
    except LockstitchError:  # UTF-16 of PowerShell
        notes.append("`.gitignore` is not UTF-8, and git ignores nothing by it: kept as it is")
        return {}
    return {".gitignore": _gitignore(text, wanted)}


def _gitignore(text: str, wanted: Sequence[str]) -> str:
    there = {line.strip().strip("/") for line in text.splitlines()}
    missing = [line for line in wanted if line.strip("/") not in there]
    end = "" if not text or text.endswith("\n") else "\n"
    return text + end + "".join(f"{line}\n" for line in missing) if missing else text


# --- images


def _fitting(facts: Facts, possible: Sequence[str], can_fetch: Callable[[str], bool]) -> str:
    """Return the Python that the repository names, else the Python that most of its pins fit.

    One that Debian lacks is taken where this machine can fetch it, and none that is too old for
    the code.
    """
    wanted, own = facts.inputs.python, tables.requirements(facts)
    of_time = pythons.of_time(facts.changed, clock.today())
    # The last Python with a scikit-learn that reads what those before 0.22 wrote.
    old = eras.is_below(eras.specifiers_of(own, "scikit-learn"), _LAST_READER)

    def rank(minor: str) -> tuple[int, bool, int, bool, bool, bool, int]:
        pins, too_new = facts.inputs.old_pins(minor, own), facts.inputs.new_pins(minor, own)
        # Without a name, pins that are too old for all are nearest to the oldest.
        near = int(wanted[2:]) if wanted else 0 if pins else int(minor[2:])
        distance = abs(int(minor[2:]) - near)
        other = old and minor != "3.8", not of_debian(minor), minor != of_time
        return too_new, minor != wanted, pins, *other, distance

    def of_debian(minor: str) -> bool:
        return not load.default_base(minor).startswith("cpython:")

    best = min(possible, key=rank)
    if int(best[2:]) < int(_NEWER[2:]):
        names = (file.name for file in files.walk(facts.folder.root) if is_counted(file.name))
        trees = (facts.folder.module(name) for name in names if name.endswith(".py"))
        least = pythons.least(tree for tree in trees if tree)
        possible = [minor for minor in possible if int(minor[2:]) >= least] or possible
        best = min(possible, key=rank)
    debian = [minor for minor in possible if of_debian(minor)]
    if best in debian or not debian or can_fetch(best):
        return best
    return min(debian, key=rank)


def _base(
    facts: Facts, named: str, notes: list[str], can_fetch: Callable[[str], bool]
) -> tuple[str, str]:
    """Return the minor version of Python and the base that fit the project."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if named and named not in load.PYTHONS:
        message = f"`{named}` is not a Python of a base (they have {', '.join(load.PYTHONS)})"
        raise UsageError(message, hint=f"lockstitch init --python {load.nearest_python(named)}")
    settings = table(facts.document, "tool", "lockstitch")
    if settings:
        python = text if isinstance(text := settings.get("python"), str) else ""
        base = load.named_base(settings)
        if named and named != python:
            notes.append(f"`--python {named}` is not used: pyproject.toml names a Python or base")
        minor = python or load.default_python(base)
        base = base or load.default_base(minor)
        if not python:
            _note_other(facts, minor, base, notes)
        return minor, base
    asked = _requires_python(facts)
    try:
        fits = SpecifierSet(asked)
    except InvalidSpecifier:
        fits = SpecifierSet()
    possible = [minor for minor, full in _BASES.items() if full in fits]
    if named:
        if named not in possible:
            notes.append(f"`requires-python` is `{asked}`, the images get {named}")
        return named, load.default_base(named)
    if not possible:
        has = ", ".join(load.PYTHONS)
        notes.append(f"`requires-python` is `{asked}`, and the bases have {has}: choose another")
    minor = _fitting(facts, possible or ["3.11"], can_fetch)
    base = load.default_base(minor)
    _note_other(facts, minor, base, notes, possible)
    return minor, base


def _as_of(facts: Facts, minor: str, notes: list[str]) -> str:
    """Return the day whose versions are locked, "" for the newest, with a note that says so.

    Not where uv.lock has versions, nor where an index of its own may not say when a file came.
    """
    kept = facts.manager != "uv" or facts.folder.has("uv.lock")
    settings = table(facts.document, "tool", "uv")
    elsewhere = any("index" in source for source in facts.inputs.sources.values())
    if kept or elsewhere or settings.keys() & {"exclude-newer", "index", "index-url"}:
        return ""
    day = pythons.as_of(facts.changed, minor, clock.today(), moved=facts.inputs.moved)
    lines = facts.inputs.dependencies
    names = {of_requirement(line) for line in lines}
    if lines and "" < day < pythons.ALONE and of_requirement(PKG_RESOURCES) not in names:
        lines.append(PKG_RESOURCES)
        notes.append(f"`{PKG_RESOURCES}`: environments of that time had it, and packages import it")
    if day:
        what = f"the code last changed on {facts.changed}: versions as of {day} are locked"
        notes.append(f"{what}; without `exclude-newer` in [tool.uv] it is the newest ones")
    return day


def _note_other(
    facts: Facts, minor: str, base: str, notes: list[str], possible: Sequence[str] = ()
) -> None:
    """Say that another Python is named than the images get, and how it is kept where it can be."""
    wanted, source = facts.inputs.python, facts.inputs.python_source
    ended = load_table("lockstitch.repository.dockerfile", "ended.toml")["python"].get(minor)
    if ended:
        notes.append(f"Python {minor} gets no fixes since {ended}, and fits what is asked for here")
    if wanted and wanted != minor:
        message = f"`{source}` names Python {wanted}, the images get {minor}"
        keeps = f"; `lockstitch init --python {wanted}` keeps it" if wanted in possible else ""
        notes.append(f"{message}, which `{base}` has{keeps}")


def _requires_python(facts: Facts) -> str:
    stated = (
        facts.project.get("requires-python"),
        facts.setup.texts.get("requires-python"),
        facts.inputs.requires_python,
        table(facts.poetry, "dependencies").get("python"),
    )
    asked = next((bounds for bounds in stated if isinstance(bounds, str) and bounds), "")
    # Poetry's own: from this version up to the next major one.
    match = re.fullmatch(r"\^\s*(3\.[0-9.]+)", asked.strip())
    return f">={match[1]},<4" if match else asked


def _images(
    facts: Facts,
    python: tuple[str, str],
    known: _Known | None,
    reasons: list[Reason],
    *,
    with_tools: bool,
) -> Iterator[Table | str]:
    """Yield the tables of lockstitch, and of a group that a guessed image needs."""
    settings = table(facts.document, "tool", "lockstitch")
    values: dict[str, Any] = {"python": python[0], "base": python[1]}
    values["platforms"] = ["linux/amd64"]
    if settings:  # what its author left out has a default that he knows
        values = {}
    used = tables.declared(facts)
    used |= {n for name, names in tables.groups(facts).items() if name != "dev" for n in names}
    packages, notes = (
        system.packages(known.found.repo, known.found.codes, used) if known else ([], [])
    )
    books = [p for p in (known.found.programs if known else ()) if p.kind == "notebook"]
    if known and any(any(shell_lines(known.found.repo, book)) for book in books):
        packages = sorted({*packages, "dash"})
    base = {"name": values.pop("base"), "packages": packages} if values and packages else {}
    yield from [Table(path=("tool", "lockstitch"), values=values)] if values else []
    yield from [Table(path=("tool", "lockstitch", "base"), values=base)] if base else []
    yield from notes if values else []
    images = table(settings, "images")
    if images and with_tools:
        yield from _default_groups(facts, _groups_of(images), with_tools=True)
    if images or known is None:
        return
    listed, every = known.found, known.every
    yield from listed.notes
    if not listed.programs:
        yield from _without_command(facts, listed)
        return
    groups: dict[str, list[str]] = {}
    left_out: dict[str, None] = {}
    absent: dict[str, tuple[str, str]] = {}  # where each is read, and the image that writes it
    tables_of_images = []
    yield from _without_image(listed, every)
    for contents in every:
        program = contents.program
        image, lines = _image(facts, listed, contents)
        if lines:
            groups.setdefault(program.image, []).extend(lines)
            names = " and ".join(f"`{line}`" for line in lines)
            yield f"image `{program.image}`: {names} added, which its program needs"
        yield from _starting(facts, python[1], contents)
        if contents.variables:
            yield _wanting(program.image, contents.variables, listed.examples)
        left_out |= dict.fromkeys(contents.left_out)
        yield from contents.notes
        yield from (
            f"`{where}`: image `{program.image}` asks `{url}` of image `{other.image}`: on one "
            f"machine lockstitch run {other.image} beside it, else http://{other.image}:{port}"
            for other in known.programs
            for port, (url, where) in contents.asked.items()
            if port == other.port and program.image != other.image
        )
        if program.asks:
            words = " ".join(f"{n} {n[2:].upper()}" if n[:2] == "--" else n for n in program.asks)
            lacks = f"`{program.path}` needs arguments, which no file of this folder gives"
            yield f"{lacks}: lockstitch run {program.image} -- {words}"
        for name, where in contents.absent.items():
            writer = writer_of(name, contents, every)
            if program.port or writer != program.image:  # what a job makes itself, it does not lack
                absent.setdefault(name, (where, writer))
        why = (program.reason, *contents.reasons)
        reasons.append(Reason(image=program.image, values=image, why=why))
        tables_of_images.append((program.image, image))
    for name, lines in groups.items():
        added = tables.group(facts, name, lines)
        yield from [added] if added else []
    if with_tools or facts.inputs.folders:
        yield from _default_groups(facts, groups, with_tools=with_tools)
    for name, image in tables_of_images:
        yield Table(path=("tool", "lockstitch", "images", name), values=image)
    left_out |= dict.fromkeys(_lacked(absent, known))
    yield from (f"left out: {name}" for name in left_out)
    yield from proposed(facts, listed, known.programs)
    built = {name for name, _ in tables_of_images}
    told = any("lockstitch run" in note for contents in every for note in contents.notes)
    has_model = any(
        is_model(name) and covered(name, contents.include)
        for contents in every
        for name in listed.repo.every_name
        if contents.program.image == "serve"
    )
    if {"train", "serve"} <= built and not told and not has_model:
        yield "once training has written a model, add it to the `include` of the image `serve`"


def _lacked(absent: Mapping[str, tuple[str, str]], known: _Known) -> Iterator[str]:
    """Yield what images read and do not get, each with where it is read and why it is not there."""
    for name, (where, writer) in absent.items():
        if writer and any(covered(name, contents.include) for contents in known.every):
            continue  # said of the image that waits for it
        alike = "" if writer else nearest(name, known.found.repo.every_name)
        repo, base = known.found.repo, posixpath.basename(name)
        books = (each for each in repo.every_name if each.endswith(".ipynb") and not writer)
        book = next(
            (each for each in books if is_model(name) and base in (repo.text(each) or "")), ""
        )
        what = f"image `{writer}` writes it" if writer else "not in this folder"
        what += (
            f"; `{book}` names it, and no image runs that: run it in Jupyter first" if book else ""
        )
        what += f", which has `{alike}`" if alike else ""
        if "\\" in name and ":\\" not in name:
            what = "a path of Windows, one name on Linux: write it with `/`"
        yield f"`{name}` ({where}): {what}"


def _default_groups(facts: Facts, groups: Iterable[str], *, with_tools: bool) -> Iterator[Table]:
    """Yield the setting with which `uv sync` installs what the checks of all code import."""
    alike = () if facts.inputs.conflicts() else facts.inputs.folders
    names = [*dict.fromkeys([*groups, *(g for g in alike if facts.inputs.groups.get(g))])]
    if not names or facts.manager != "uv" or table(facts.document, "tool", "uv").get("conflicts"):
        return
    there = {*table(facts.document, "dependency-groups"), *facts.inputs.groups}
    more = ["train"] if "train" in there - {*names} and not facts.inputs.conflicts() else []
    dev = ["dev"] if with_tools or "dev" in there else []
    yield Table(path=("tool", "uv"), values={"default-groups": [*dev, *names, *more]})


def _groups_of(images: Mapping[str, Any]) -> list[str]:
    lists = (image.get("groups", []) for image in images.values() if isinstance(image, Mapping))
    names = (name for groups in lists if isinstance(groups, list) for name in groups)
    return [*dict.fromkeys(name for name in names if isinstance(name, str) and name != "dev")]


def _without_image(known: Found, every: Sequence[Contents]) -> Iterator[str]:
    """Yield which scripts are neither an image's program, nor a step before one, nor a part."""
    programs = [
        program for contents in every for program in (contents.program, *contents.program.before)
    ]
    used = {program.path for program in programs}
    entries = [entry_of(program.command, program.env, program.workdir) for program in programs]
    for path in {path for entry in entries if entry for path in reached(known.tree, entry)}:
        used |= set() if path not in known.codes or known.codes[path].has_main else {path}
    others = sorted({program.path for program in known.others} - used)
    if others:
        yield f"programs without an image: {first_of([f'`{path}`' for path in others], 5)}"


def _starting(facts: Facts, base: str, contents: Contents) -> Iterator[str]:
    """Yield a note for each program that code starts and a base without programs lacks."""
    settings = table(facts.document, "tool", "lockstitch")
    packages = texts(table(settings, "base").get("packages"))
    if packages or not base.startswith(("debian:", "cpython:")):
        return
    have = {"python", "python3", *tables.declared(facts), *contents.program.needs}
    for name, where in contents.started.items():
        if name == SHELL:
            yield (
                f"`{where}` starts a shell, which `{base}` lacks: start it without one, or "
                'packages = ["dash"] in [tool.lockstitch.base]'
            )
        elif name not in have:
            yield (
                f"`{where}` starts `{name}`, which `{base}` lacks: its package of Debian in "
                "`packages` of [tool.lockstitch.base]"
            )


def _wanting(image: str, variables: Mapping[str, str], known: Mapping[str, str]) -> str:
    """Return a note about the variables that an image's program needs and nobody sets."""
    words = [shlex.quote(f"{name}={known.get(name, 'VALUE')}") for name in variables]
    listed = [f"`{name}` ({where})" for name, where in variables.items()]
    return (
        f"image `{image}` reads variables that have no default: {first_of(listed, 5)}; "
        f"lockstitch try {image} {' '.join(f'--env {word}' for word in words)}"
    )


def _add_reasons(facts: Facts, known: _Known, reasons: list[Reason]) -> None:
    """Add the reasons for the images that would be written if there were none."""
    for contents in known.every:
        program = contents.program
        image, _ = _image(facts, known.found, contents)
        why = (program.reason, *contents.reasons)
        reasons.append(Reason(image=program.image, values=image, why=why))


def _without_command(facts: Facts, known: Found) -> Iterator[Table | str]:
    """Yield an image of what is there, and say that nothing starts it."""
    values: dict[str, Any] = {"include": list(facts.loose)} if facts.loose else {}
    yield Table(path=("tool", "lockstitch", "images", "app"), values=values)
    notebooks = [n for n in known.repo.every_name if n.endswith(".ipynb")]
    if notebooks:
        yield f"`{notebooks[0]}` is a notebook, which no image starts: make it a script"
    code = sorted(name for name in known.codes if not name.startswith(("tests/", "docs/")))
    unread = [name for name in known.repo.every_name if name.endswith(".py")]
    shown = first_of([f"`{name}`" for name in code], 3)
    shown = shown or (f"`{unread[0]}`, which Python cannot read" if unread else "")
    shown = shown or "this folder, which has no Python code"
    yield (
        f"no program was found in {shown}: image `app` has no command; "
        'add command = ["python", "FILE.py"] to [tool.lockstitch.images.app]'
    )


def _image(facts: Facts, found: Found, contents: Contents) -> tuple[dict[str, Any], list[str]]:
    """Return the table of an image, and the requirements that its group lacks."""
    program = contents.program
    named = of_program(facts, found, program)
    known = tables.groups(facts)
    there = tables.declared(facts) | {name for group in named for name in known[group]}
    lines = []
    for name, line in program.needs.items():
        if name in there or (name in {"uvicorn", "fastapi-cli"} and _has_standard(facts)):
            continue
        others = sorted(g for g, names in known.items() if name in names and g != "dev")
        named += others[:1]
        lines += [] if others else [re.split("[<>=]", line)[0] if facts.day else line]
    # A list that has what [project] lacks is the one that is installed.
    listed = read_requirements(facts.folder, "requirements.txt")
    beside = {of_requirement(line): line for line in (listed.lines if listed else ())}
    lacked = {*lacking(facts, found, program, named, beside)} - program.needs.keys()
    there = there.union(*known.values())
    more = [line for n, line in beside.items() if n not in there and lacked & beside.keys()]
    lines += [re.split("[<>=~!;]", line)[0].strip() if facts.day else line for line in more]
    lines += sorted(lacked - beside.keys())
    named += [program.image] if lines else []
    values: dict[str, Any] = {"groups": sorted(set(named))} if named else {}
    values |= {"include": contents.include} if contents.include else {}
    values |= {"outputs": contents.outputs} if contents.outputs else {}
    if program.before:
        values |= {"before": [shlex.join(step.command) for step in program.before]}
    values |= {"command": list(program.command)}
    values |= {"workdir": program.workdir} if program.workdir else {}
    values |= {"env": dict(sorted(contents.env.items()))} if contents.env else {}
    values |= {"port": program.port} if program.port else {}
    values |= {"health": program.health} if program.health and program.port else {}
    return values, lines


def _has_standard(facts: Facts) -> bool:
    # fastapi[standard] and fastapi[all] bring uvicorn and the program `fastapi`.
    lines = [line.replace(" ", "").lower() for line in tables.dependencies(facts)]
    return any(line.startswith(("fastapi[standard", "fastapi[all")) for line in lines)
