"""What rules ask of code that trains or serves, remembered for each file until it changes.

To parse a file takes a hundred times as long as to read what was seen in it.
"""

import ast
from pathlib import Path
from posixpath import dirname, join
from typing import Any

from lockstitch.digest import of_bytes
from lockstitch.repository.code import parse, seeds
from lockstitch.repository.code.parse import APPS, SERVERS, Call, Source
from lockstitch.repository.file_cache import cached_per_file
from lockstitch.repository.files import Repository, once
from lockstitch.values import frozen

__all__ = ["At", "Load", "Script", "modules", "scripts"]

_PICKLES = frozenset(
    (
        *("joblib.load", "pickle.load", "pickle.loads", "cloudpickle.load", "cloudpickle.loads"),
        *("dill.load", "dill.loads", "sklearn.externals.joblib.load"),
    )
)


@frozen
class At:
    """A call, and the line of the file where it stands."""

    name: str
    line: int
    at_once: bool  # not in a function: when the file is started or imported


@frozen
class Load:
    """A call that reads a pickle; `always`: whatever version of its library is locked."""

    name: str
    line: int
    always: bool


@frozen
class Script:
    """What is known of one Python file or notebook."""

    path: str
    is_script: bool  # something at its top level runs when it is started
    imports: tuple[str, ...]  # modules and what is taken from them, as whole names, sorted
    relative: tuple[tuple[int, str], ...]  # dots and name of relative imports
    seeds: bool
    draws: tuple[At, ...]  # without a seed, where it trains
    serves: bool
    loads: tuple[Load, ...]


@once
def scripts(repo: Repository) -> dict[str, Script]:
    """Return what is in each Python file and notebook that may train, serve or load a pickle."""
    signs = parse.code_signs(repo).items()
    names = [n for n, s in signs if s.trains or s.serves or s.loads]
    modules = (parse.__file__, seeds.__file__, __file__)
    version = of_bytes(b"".join(Path(each).read_bytes() for each in modules)).hex
    found = cached_per_file(repo, names, "checked-scripts", version, _look)
    read = {}
    for name, said in found:
        if said is not None:
            read[name] = _script(name, said)
            if said["remarks"]:
                repo.text(name)  # whether its comments suppress anything is looked at in the end
    return read


def _look(name: str, data: bytes) -> tuple[Any, bool]:
    source = parse.parsed(name, data.decode("utf-8", "replace"))
    if source is None:
        return None, True
    loads = [(call, _always(source, call)) for call in source.calls]
    said = {
        "remarks": b"lockstitch: ignore" in data,
        "is_script": source.is_script,
        "imports": sorted(source.imports),
        "relative": [[dots, module] for dots, module in source.relative],
        "seeds": seeds.seeds(source),
        "draws": [[call.name, call.line, call.at_once] for call in seeds.draws(source)],
        "serves": _serves(source),
        "loads": [[call.name, call.line, how] for call, how in loads if how is not None],
    }
    return said, True


def _script(path: str, said: dict[str, Any]) -> Script:
    return Script(
        path=path,
        is_script=said["is_script"],
        imports=tuple(said["imports"]),
        relative=tuple((dots, module) for dots, module in said["relative"]),
        seeds=said["seeds"],
        draws=tuple(At(name=name, line=line, at_once=at) for name, line, at in said["draws"]),
        serves=said["serves"],
        loads=tuple(Load(name=name, line=line, always=how) for name, line, how in said["loads"]),
    )


def _serves(source: Source) -> bool:
    used = source.imports | {call.name for call in source.calls}
    return bool(APPS & used) or any(name.partition(".")[0] in SERVERS for name in source.imports)


def _always(source: Source, call: Call) -> bool | None:
    """Return whether a call reads a pickle whatever is locked; None for one that never does."""
    if call.name in _PICKLES:
        return True
    if call.name != "torch.load":
        return None
    given = source.keyword(call, "weights_only")
    if isinstance(given, ast.Constant):
        return True if given.value is False else None
    return False if given is None else None


def modules(repo: Repository, source: Source | Script) -> list[str]:
    """Return the files of the repository that a file imports."""
    folder = dirname(source.path)
    wanted = [(place, name) for name in source.imports for place in {"", "src", folder}]
    for dots, name in source.relative:
        place = folder
        for _ in range(dots - 1):
            place = dirname(place)
        wanted.append((place, name))
    found = set()
    for place, name in wanted:
        base = join(place, name.strip(".").replace(".", "/"))
        # `a.b` may be the module b of a, or a name in a.
        for each in (base, dirname(base)):
            found |= {f"{each}.py", join(each, "__init__.py")} & repo.name_set
    return sorted(found - {source.path})
