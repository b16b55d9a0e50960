"""Which Python a repository names: in files of its own, in its Dockerfiles, in its metadata."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from lockstitch.python.names import of_requirement
from lockstitch.repository.dockerfile.images import image_files
from lockstitch.repository.files import Repository
from lockstitch.resources import load_table
from lockstitch.scaffold.init.eras import is_below
from lockstitch.scaffold.init.folder import Folder

Named = tuple[str, str]  # a minor version and the file that names it

_VERSION = re.compile(r"(?<![\d.])(3\.\d{1,2})(?:\.\d+)?(?![\d])")
_EXACT = re.compile(r"\s*(?:={1,3}|~=)?\s*(3\.\d{1,2})(?:\.(?:\d+|\*))*\s*")
_IN_TAG = re.compile(r"python(3\.\d{1,2})(?![\d])")  # of images of uv and others
_PYTHON_IMAGE = re.compile(r"(?:^|/)python$|python3?$|uvicorn-gunicorn|/lambda/python")
_PIN = re.compile(r"(\s*[A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?\s*)={2,3}\s*([0-9][\w.]*)\s*(;.*)?")
_FRESH = 90  # days in which a repository counts as looked after
# When numpy, pandas, scikit-learn, PyTorch and TensorFlow had wheels for a Python, as their files
# on the index are dated.
_WHEELS_FROM: dict[str, str] = load_table(__package__, "words.toml")["wheels_from"]
ALONE = "2023-10-02"  # Python 3.12 came, whose environments have no setuptools
_REQUIRES = re.compile(r"""(?m)^(\s*requires-python\s*=\s*)(["'])([^"'\n]*)\2""")
_FLOORS_FROM = 11  # from which on the first versions with a wheel need a table of their own
# Packages whose old files are gone from the index, and since when; old versions of pytest want it.
UPLOADED_ANEW = {"atomicwrites": "2022-07-09"}


def named(folder: Folder, repo: Repository, conda: str, pipfile: str) -> Iterator[Named]:
    """Yield the Pythons that files name, the most deliberate first."""
    text = _text(folder, ".python-version")
    match = re.fullmatch(r"\s*(?:cpython-|python-)?(3\.\d{1,2})(?:\.\d+)?\s*", text)
    if match:
        yield match[1], ".python-version"
    yield from _dockerfiles(repo)
    match = re.match(r"\s*python-(3\.\d{1,2})", _text(folder, "runtime.txt"))
    if match:
        yield match[1], "runtime.txt"
    match = re.search(r"(?m)^\s*python\s+(3\.\d{1,2})", _text(folder, ".tool-versions"))
    if match:
        yield match[1], ".tool-versions"
    space = space_of(folder).get("python_version", "")
    for versions, name in ((pipfile, "Pipfile"), (conda, "environment.yml"), (space, "README.md")):
        match = _EXACT.fullmatch(versions)
        if match:
            yield match[1], name


def space_of(folder: Folder) -> dict[str, str]:
    """Return the settings at the top of README.md by which a host of Spaces runs an application."""
    settings, mark, _ = _text(folder, "README.md").removeprefix("---\n").partition("\n---")
    lines = re.findall(r"(?m)^(\w+):\s*[\"']?([\w.-]+)[\"']?\s*$", settings) if mark else ()
    values = dict(lines)
    return values if "sdk" in values else {}


def _text(folder: Folder, name: str) -> str:
    return (folder.text(name, any_encoding=True) or "") if folder.has(name) else ""


def _dockerfiles(repo: Repository) -> Iterator[Named]:
    for image in image_files(repo):
        for built in image.products:
            reference = built.reference
            if reference is not None:
                of_python = _PYTHON_IMAGE.search(reference.path)
                match = (_VERSION if of_python else _IN_TAG).search(reference.tag)
                if match:
                    yield match[1], image.path


# --- wheels


def wheels() -> dict[str, Any]:
    """Return the table of the first versions with a wheel for a Python."""
    return load_table(__package__, "wheels.toml")


def without_wheel(lines: Sequence[str], minor: str) -> Iterator[tuple[str, str]]:
    """Yield the packages without a wheel for a Python, each with the nearest that has one."""
    from packaging.requirements import InvalidRequirement, Requirement

    table = wheels()
    pythons = [int(python[2:]) for python in table["pythons"]]
    column = sum(python <= int(minor[2:]) for python in pythons) - 1  # of a newer one: the last
    if column < 0:
        return
    for line in lines:
        first = table["first"].get(of_requirement(line))
        try:
            asked = Requirement(line) if first else None
        except InvalidRequirement:
            continue
        if asked and not asked.url and is_below(asked.specifier, first[column]):
            series = ".".join(first[column].split(".")[:2])
            extras = f"[{','.join(sorted(asked.extras))}]" if asked.extras else ""
            rest = f" ; {asked.marker}" if asked.marker else ""
            yield line, f"{asked.name}{extras}=={series}.*{rest}"


def too_new(lines: Sequence[str], minor: str) -> Iterator[str]:
    """Yield the requirements of versions that a Python is too old for."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion, Version

    table = wheels()
    column = table["pythons"].index(minor) if minor in table["pythons"] else len(table["pythons"])
    for line in lines:
        last = table["last"].get(of_requirement(line), [])[column : column + 1]
        try:
            least = [
                Version(clause.version.removesuffix(".*"))
                for clause in (Requirement(line).specifier if last else ())
                if clause.operator in {"==", ">=", "~=", ">"}
            ]
        except (InvalidRequirement, InvalidVersion):
            continue
        if any(version > Version(last[0]) and not version.is_prerelease for version in least):
            yield line


def fitted(
    lines: Sequence[str], minor: str, notes: list[str], floors: Mapping[str, str]
) -> list[str]:
    """Return requirements with the nearest version for each pin that a Python has no wheel for.

    `floors` has the least version of what others need that had to move, by name.
    """
    from packaging.version import InvalidVersion, Version

    nearest_pins = dict(without_wheel(lines, minor))
    notes += [
        f"`{line}` has no wheel for Python {minor}: `{pin}`, the nearest that has, is used"
        for line, pin in nearest_pins.items()
    ]
    for line in lines:
        match = _PIN.fullmatch(line)
        floor = floors.get(of_requirement(line)) if line not in nearest_pins else None
        try:
            if match and floor and Version(match[2]) < Version(floor):
                rest = f" {match[3]}" if match[3] else ""
                nearest_pins[line] = f"{match[1].strip()}=={floor}{rest}"
                notes.append(f"`{line}` is too old for what moved: `{nearest_pins[line]}` is used")
        except InvalidVersion:
            continue
    return [nearest_pins.get(line, line) for line in lines]


def floors_of(lines: Sequence[str], minor: str) -> dict[str, str]:
    """Return the least version, by name, of what the pins need that have to move for a Python."""
    table = wheels()["needs" if int(minor[2:]) >= _FLOORS_FROM else "needed"]
    moved = {of_requirement(line) for line, _ in without_wheel(lines, minor)}
    needed = [floor for name in moved for floor in table.get(name, ())]
    return {of_requirement(line): line.partition("==")[2] for line in sorted(needed)}


def repaired(text: str, notes: list[str]) -> str:
    """Return pyproject.toml with a `requires-python` that is one: of `3.11.5`, `>=3.11`.

    One patch version (`==3.11.5`) becomes its minor version, since the base decides the patch.
    """

    def better(match: re.Match[str]) -> str:
        asked = match[3].strip()
        bare = re.fullmatch(r"(3\.\d{1,2})(?:\.\d+)?", asked)
        exact = re.fullmatch(r"={2,3}\s*(3\.\d{1,2})\.\d+", asked)
        caret = re.fullmatch(r"[\^~]\s*(3\.\d{1,2})(?:\.\d+)?", asked)
        wanted = f">={bare[1]}" if bare else f"=={exact[1]}.*" if exact else ""
        wanted = f">={caret[1]},<4" if caret else wanted
        if not wanted:
            return match[0]
        notes.append(f"`requires-python` was `{asked}`: `{wanted}` is written, which fits the base")
        return f"{match[1]}{match[2]}{wanted}{match[2]}"

    return _REQUIRES.sub(better, text)


# --- the time of a repository


def as_of(changed: str, minor: str, today: str, *, moved: bool) -> str:
    """Return the day whose versions a repository is locked with, "" for the newest.

    That is a week after its code or its lists last changed, where that is over three months ago:
    later versions were never seen with it. Not before a Python had wheels of most packages; where
    pins were moved to the first version with one, not before the next Python had.
    """
    later = [day for python, day in _WHEELS_FROM.items() if int(python[2:]) > int(minor[2:])]
    first = later[0] if moved and later else _WHEELS_FROM.get(minor, "9")
    if not "2012" < changed < _day(today, -_FRESH):
        return ""
    day = max(_day(changed, 7), first)
    return day if day < _day(today, -_FRESH) else ""


def of_time(changed: str, today: str) -> str:
    """Return the Python of Debian that had wheels when a repository last changed, "" for any."""
    is_old = "2012" < changed < min(_WHEELS_FROM["3.11"], _day(today, -_FRESH))
    return "3.9" if is_old else ""


def _day(day: str, later: int) -> str:
    try:
        return str(date.fromisoformat(day) + timedelta(days=later))
    except ValueError:
        return ""


# --- what code needs


def least(trees: Iterable[ast.Module]) -> int:
    """Return the minor version of Python 3 below which code does not run, 8 for any.

    By its syntax, and by what is newest of what it imports; annotations count as if something
    reads them, as pydantic and FastAPI do.
    """
    return max((_needs(node) for tree in trees for node in ast.walk(tree)), default=8)


def _needs(node: ast.AST) -> int:
    match node:
        case ast.Match():
            return 10
        case ast.TryStar():
            return 11
        case ast.Import(names=names):
            return 11 if any(name.name == "tomllib" for name in names) else 8
        case ast.ImportFrom(module=module, names=names):
            return max(_SINCE.get(f"{module}.{name.name}", 8) for name in names)
        case ast.Call(func=ast.Name(id="zip" | "dataclass" as function), keywords=keywords):
            since = {"zip": {"strict"}, "dataclass": {"slots", "kw_only"}}[function]
            return 10 if any(keyword.arg in since for keyword in keywords) else 8
        case ast.arg(annotation=hint) | ast.AnnAssign(annotation=hint):
            return _of_hint(hint)
        case ast.FunctionDef(returns=hint) | ast.AsyncFunctionDef(returns=hint):
            return _of_hint(hint)
    return 8


def _of_hint(hint: ast.expr | None) -> int:
    nodes = [*ast.walk(hint)] if hint else []
    if any(isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) for node in nodes):
        return 10
    generic = {"list", "dict", "tuple", "set", "type", "frozenset"}
    names = (node.value for node in nodes if isinstance(node, ast.Subscript))
    return 9 if any(isinstance(name, ast.Name) and name.id in generic for name in names) else 8


_SINCE: dict[str, int] = load_table(__package__, "words.toml")["since"]
