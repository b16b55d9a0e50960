"""Facts of code that trains or serves, remembered for each file until it changes.

A quick look at a file's bytes gives hints. Files with some are parsed, which takes a hundred times
as long as to read what was seen in them.
"""

import ast
import re
from pathlib import Path
from posixpath import dirname, join
from typing import Any, Literal, NamedTuple

from lockstitch.digest import of_bytes
from lockstitch.patterns import regex
from lockstitch.repository.code import randomness, source
from lockstitch.repository.code.source import Call, Source
from lockstitch.repository.file_cache import cached_per_file
from lockstitch.repository.files import Repository, once
from lockstitch.resources import load_table
from lockstitch.values import frozen

# A file may train, draw at random, load a pickle, be a server, call something by the name of seed,
# name a person's folder.
Hints = frozenset[Literal["trains", "draws", "loads", "serves", "seeds", "homes"]]

_NAMES = regex(r"(?i)train|tune|fit")
# Who imports these serves; of the others, clients and types may be all that is used.
_SERVERS = frozenset({"bentoml", "django", "gradio", "litserve", "robyn", "streamlit"})
_APPS = frozenset(load_table(__package__, "words.toml")["apps"])
_IMPORTED = rb"(?:%s)\b" % b"|".join(
    sorted({name.partition(".")[0].encode() for name in _SERVERS | _APPS})
)
# What a file has that gives a hint. Each begins with letters where that can be: those are looked
# for ten times as quickly as anything else.
_HINTS: dict[str, tuple[re.Pattern[bytes], ...]] = {
    "trains": (regex(rb"\.(?:fit|fit_generator|step|train|backward|save|start_run|log_metric)\("),),
    "draws": (
        regex(rb"rand|Random|split|shuffle|sample|choice|KMeans|Mixture|MLP|SGD|torch|keras|make_"),
    ),
    "loads": (regex(rb"loads?\("),),
    "serves": (regex(rb"from[ \t]+" + _IMPORTED), regex(rb"import[ \t]+" + _IMPORTED)),
    "seeds": (regex(rb"seed\w*\("),),
    "homes": (regex(rb"/home/"), regex(rb"/Users/"), regex(rb"\\Users\\")),
}
PICKLES = frozenset(load_table(__package__, "words.toml")["pickles"])


class Draw(NamedTuple):
    """A call that draws at random, and the line of the file where it stands."""

    name: str
    line: int
    at_once: bool  # not in a function: when the file is started or imported


class PickleLoad(NamedTuple):
    """A call that reads a pickle; `always`: whatever version of its library is locked."""

    name: str
    line: int
    always: bool


@frozen
class Script:
    """The facts of one Python file or notebook."""

    path: str
    is_script: bool  # something at its top level runs when it is started
    imports: tuple[str, ...]  # modules and what is taken from them, as whole names, sorted
    relative: tuple[tuple[int, str], ...]  # dots and name of relative imports
    seeds: bool
    draws: tuple[Draw, ...]  # without a seed, where it trains
    serves: bool
    loads: tuple[PickleLoad, ...]


@once
def code_hints(repo: Repository) -> dict[str, Hints]:
    """Return the hints of each Python file and notebook that rules look at."""
    names = [
        n for n in repo.names if n.endswith((".py", ".ipynb")) and ".ipynb_checkpoints" not in n
    ]
    version = "\n".join(repr(pattern.pattern) for listed in _HINTS.values() for pattern in listed)
    answers = cached_per_file(repo, names, "checked-code", f"2\n{version}", _hints)
    return {name: frozenset(hints) for name, hints in answers}


def _hints(name: str, data: bytes) -> tuple[list[str], bool]:
    hints = {hint for hint, listed in _HINTS.items() if any(p.search(data) for p in listed)}
    return sorted(hints | ({"trains"} if _NAMES.search(name) else set())), True


@once
def scripts(repo: Repository) -> dict[str, Script]:
    """Return the facts of each Python file and notebook that may train, serve or load a pickle."""
    names = [
        name
        for name, hints in code_hints(repo).items()
        if hints >= {"trains", "draws"} or hints & {"serves", "loads"}
    ]
    own = Path(__file__)
    tables = (own.with_name(name) for name in ("randomness.toml", "words.toml"))
    parts = (Path(source.__file__), Path(randomness.__file__), *tables, own)
    version = of_bytes(b"".join(part.read_bytes() for part in parts)).hex
    known = {}
    for name, answer in cached_per_file(repo, names, "checked-scripts", version, _facts):
        if answer is not None:
            known[name] = Script(
                path=name,
                is_script=answer["is_script"],
                imports=tuple(answer["imports"]),
                relative=tuple((dots, module) for dots, module in answer["relative"]),
                seeds=answer["seeds"],
                draws=tuple(Draw(*values) for values in answer["draws"]),
                serves=answer["serves"],
                loads=tuple(PickleLoad(*values) for values in answer["loads"]),
            )
            if answer["has_comments"]:
                repo.text(name)  # the audit looks in the end whether they suppress anything
    return known


def _facts(name: str, data: bytes) -> tuple[Any, bool]:
    code = source.parsed(name, data.decode("utf-8", "replace"))
    if code is None:
        return None, True
    used = code.imports | {call.name for call in code.calls}
    modules = {name.partition(".")[0] for name in code.imports}
    loads = [(call, _always_pickle(code, call)) for call in code.calls]
    facts = {
        "has_comments": b"lockstitch: ignore" in data,
        "is_script": code.is_script,
        "imports": sorted(code.imports),
        "relative": code.relative,
        "seeds": randomness.sets_seed(code),
        "draws": [Draw(call.name, call.line, call.at_once) for call in randomness.draws(code)],
        "serves": bool(_APPS & used or _SERVERS & modules),
        "loads": [PickleLoad(c.name, c.line, always) for c, always in loads if always is not None],
    }
    return facts, True


def _always_pickle(code: Source, call: Call) -> bool | None:
    """Return whether a call reads a pickle whatever is locked; None for one that never does."""
    if call.name in PICKLES:
        return True
    if call.name != "torch.load":
        return None
    given = code.keyword(call, "weights_only")
    if isinstance(given, ast.Constant):
        return True if given.value is False else None
    return False if given is None else None


def imported_files(repo: Repository, script: Script) -> list[str]:
    """Return the files of the repository that a file imports."""
    folder = dirname(script.path)
    wanted = [(place, name) for name in script.imports for place in {"", "src", folder}]
    for dots, name in script.relative:
        place = folder
        for _ in range(dots - 1):
            place = dirname(place)
        wanted.append((place, name))
    files = set()
    for place, name in wanted:
        base = join(place, name.strip(".").replace(".", "/"))
        # `a.b` may be the module b of a, or a name in a.
        for path in (base, dirname(base)):
            files |= {f"{path}.py", join(path, "__init__.py")} & repo.name_set
    return sorted(files - {script.path})
