"""The tables of black, ruff, mypy and pytest, and the group that installs them."""

from collections.abc import Iterator
from typing import Any

from lockstitch.scaffold.init import metadata
from lockstitch.scaffold.init.asked import name_of
from lockstitch.scaffold.init.edit import Added
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.init.found import Found, table

__all__ = ["development", "hooks", "settings"]

_TOOLS = ("black", "mypy", "prek", "pytest", "ruff")
_SCANNER = "kingfisher-bin"  # what the hooks that are written here call
_HOOKS = (
    *("prek.toml", ".prek.toml", "prek.yaml"),
    *(".pre-commit-config.yaml", ".pre-commit-config.yml"),
)
_LINE = 100
_RULES = ["E", "F", "I", "B", "UP", "S", "SIM", "RUF"]
_OLD_RULES = ("select", "extend-select")
# Files that win over pyproject.toml, or that a table in it would switch off.
_ELSEWHERE = {
    "ruff": ("ruff.toml", ".ruff.toml"),
    "mypy": ("mypy.ini", ".mypy.ini"),
    "pytest": ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini"),
}
_SECTIONS = {
    "mypy": (("setup.cfg", "[mypy"),),
    "pytest": (("setup.cfg", "[tool:pytest]"), ("tox.ini", "[pytest]")),
}


def development(found: Found) -> Added | None:
    """Return the group `dev` with what is not named anywhere, or None.

    Without lower bounds: a frozen project may hold these back, and the lock pins them.
    """
    known = metadata.declared(found).union(*metadata.groups(found).values())
    listed = found.listed_dev.lines if found.listed_dev else ()
    lines = [line for line in listed if name_of(line) not in known]
    known |= {name_of(line) for line in lines}
    tools = _TOOLS if hooks(found.folder) else (*_TOOLS, _SCANNER)
    lines += [name for name in tools if name not in known]
    return metadata.group(found, "dev", sorted(lines, key=name_of))


def hooks(folder: Folder) -> str:
    """Return the name of the file in which a project says its hooks, or an empty text."""
    return next((name for name in _HOOKS if folder.has(name)), "")


def settings(found: Found, notes: list[str], *, force: bool = False) -> Iterator[Added]:
    """Yield the tables of the tools whose settings are not kept in a file of their own."""
    line = _LINE if force else _line_length(found)
    yield _ours("black", {"line-length": line})
    for name, tables in (("ruff", _ruff), ("mypy", _mypy), ("pytest", _pytest)):
        other = _elsewhere(found.folder, name)
        if other:
            notes.append(f"`{other}` has the settings of {name}: kept, and none added")
        elif name == "ruff":
            yield _ours("ruff", {"line-length": line})
            yield from tables(found, notes)
        else:
            yield from tables(found, notes)


def _line_length(found: Found) -> int:
    # black and ruff must agree, on what either was told.
    said = [table(found.document, "tool", name).get("line-length") for name in ("black", "ruff")]
    return next((each for each in said if isinstance(each, int)), _LINE)


def _ours(name: str, values: dict[str, Any], *below: str, whole: bool = False) -> Added:
    return Added(path=("tool", name, *below), values=values, replaced=True, whole=whole)


def _elsewhere(folder: Folder, tool: str) -> str:
    for name in _ELSEWHERE[tool]:
        if folder.has(name):
            return name
    for name, section in _SECTIONS.get(tool, ()):
        lines = (folder.text(name) or "").splitlines()
        if any(line.startswith(section) for line in lines):
            return name
    return ""


def _ruff(found: Found, notes: list[str]) -> Iterator[Added]:
    there = table(found.document, "tool", "ruff")
    old = [key for key in (*_OLD_RULES, "ignore", "per-file-ignores") if key in there]
    notes += [
        f"`tool.ruff.{key}` is in its old place: kept; ruff wants it in [tool.ruff.lint]"
        for key in old
    ]
    if not set(old) & set(_OLD_RULES):
        yield _ours("ruff", {"select": _RULES}, "lint", whole=True)
    if "per-file-ignores" not in old and "lint" not in there:
        ignored = {"tests/*": ["S101"]}  # assert is how pytest checks
        yield _ours("ruff", ignored, "lint", "per-file-ignores")


def _mypy(found: Found, notes: list[str]) -> Iterator[Added]:  # noqa: ARG001 -- as the others
    if table(found.document, "tool", "mypy"):  # where it looks is its author's
        yield _ours("mypy", {"strict": True}, whole=True)
        return
    values: dict[str, Any] = {"strict": True, "ignore_missing_imports": True}
    places = [path for path in found.packages.values() if not path.startswith("src")]
    places += ["src"] if _python_in_src(found) else []
    places += ["tests"] if found.folder.modules("tests") else []
    places += [glob for glob in found.loose if "/" not in glob]
    values |= {"files": sorted(places)} if places else {}
    values |= {"mypy_path": "src"} if "src" in places and "src" not in found.packages else {}
    yield _ours("mypy", values)


def _python_in_src(found: Found) -> bool:
    names = [*found.packages.values(), *found.loose]
    return any(name == "src" or name.startswith("src/") for name in names)


def _pytest(found: Found, notes: list[str]) -> Iterator[Added]:
    there = table(found.document, "tool", "pytest")
    if set(there) - {"ini_options"}:
        notes.append("`[tool.pytest]` has the settings of pytest: kept, and none added")
    if there:
        return
    paths = [] if all("/" in glob for glob in found.loose) else ["."]
    paths += ["src"] if any(glob.startswith("src/") for glob in found.loose) else []
    if not found.installed and any(path.startswith("src/") for path in found.packages.values()):
        paths = sorted({*paths, "src"})
    values: dict[str, Any] = {"testpaths": ["tests"]} | ({"pythonpath": paths} if paths else {})
    yield _ours("pytest", values, "ini_options")
