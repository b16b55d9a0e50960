"""What a project's own files ask for: pyproject.toml of any manager, setup.cfg, Pipfile, `.in`."""

from collections.abc import Iterator, Mapping
from typing import Any

from lockstitch.patterns import regex
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging import requirements
from lockstitch.repository.packaging.locks import normal
from lockstitch.values import frozen

__all__ = ["RUNTIME", "Declared", "beside", "folder_of", "line_of_text", "of_folder", "table"]

RUNTIME = ""
_NAME = regex(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_SETUP = regex(r"install_requires\s*=\s*\[\s*[\"'](?P<name>[A-Za-z0-9][\w.-]*)")
_CFG = regex(r"(?m)^install_requires\s*=[ \t]*(?P<rest>.*(?:\n[ \t]+.*)*)")


@frozen
class Declared:
    """One dependency that a project asks for."""

    path: str
    line: int
    name: str  # normal
    text: str  # the requirement, as it stands
    group: str = RUNTIME  # or `extra NAME`, `group NAME`


def table(value: object, *keys: str) -> Mapping[str, Any]:
    """Return the table at a path of keys, empty where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def folder_of(path: str) -> str:
    """Return the folder that a file stands in, "" for the root."""
    return path.rpartition("/")[0]


def beside(folder: str, name: str) -> str:
    """Return the path of a name in a folder."""
    return f"{folder}/{name}" if folder else name


def of_folder(repo: Repository, folder: str) -> list[Declared]:
    """Return what the files of a folder itself ask for."""
    path = beside(folder, "pyproject.toml")
    found = list(_of_pyproject(repo, path)) if path in repo.name_set else []
    found += _of_setup(repo, folder)
    path = beside(folder, "Pipfile")
    document = repo.toml(path) if path in repo.name_set else None
    for section, group in (("packages", RUNTIME), ("dev-packages", "group dev")):
        for name in table(document, section):
            found.append(_one(repo, path, name, name, group))
    return found


def _of_pyproject(repo: Repository, path: str) -> Iterator[Declared]:
    document = repo.toml(path)
    project, tool = table(document, "project"), table(document, "tool")
    yield from _texts(repo, path, project.get("dependencies"), RUNTIME)
    for extra, listed in table(project, "optional-dependencies").items():
        yield from _texts(repo, path, listed, f"extra {normal(extra)}")
    for group, listed in table(document, "dependency-groups").items():
        yield from _texts(repo, path, listed, f"group {normal(group)}")
    yield from _texts(repo, path, table(tool, "uv").get("dev-dependencies"), "group dev")
    for group, listed in table(tool, "pdm", "dev-dependencies").items():
        yield from _texts(repo, path, listed, f"group {normal(group)}")
    poetry = table(tool, "poetry")
    tables = [(RUNTIME, table(poetry, "dependencies"))]
    tables.append(("group dev", table(poetry, "dev-dependencies")))
    tables += [
        (f"group {normal(group)}", table(poetry, "group", group, "dependencies"))
        for group in table(poetry, "group")
    ]
    for group, listed in tables:
        for name, wanted in listed.items():
            if normal(name) != "python":
                yield _one(repo, path, name, f"{name} {wanted}", group)


def _texts(repo: Repository, path: str, listed: object, group: str) -> Iterator[Declared]:
    for text in listed if isinstance(listed, list) else ():
        match = _NAME.match(text.strip()) if isinstance(text, str) else None
        if match:
            yield _one(repo, path, match[0], text, group)


def _one(repo: Repository, path: str, name: str, text: str, group: str) -> Declared:
    line = line_of_text(repo.lines(path), text if " " not in text else name, name)
    return Declared(path=path, line=line, name=normal(name), text=text, group=group)


def line_of_text(lines: list[str], *wanted: str) -> int:
    """Return the first line with one of these texts in quotes or as a key, the first text first.

    A line of comment does not count; 1 when no line has any.
    """
    for text in wanted:
        for number, line in enumerate(lines, 1):
            if text not in line or line.lstrip().startswith("#"):
                continue
            if f'"{text}' in line or f"'{text}" in line or _is_key(line.lstrip(), text):
                return number
    return 1


def _is_key(line: str, text: str) -> bool:
    """Return whether a line gives a key, in quotes or not, its value."""
    bare = line.removeprefix('"').removeprefix("'")
    rest = bare.removeprefix(text).removeprefix('"').removeprefix("'").lstrip()
    return bare.startswith(text) and rest.startswith("=")


def _of_setup(repo: Repository, folder: str) -> Iterator[Declared]:
    path = beside(folder, "setup.cfg")
    match = _CFG.search(repo.text(path) or "") if path in repo.name_set else None
    if match:
        line = (repo.text(path) or "")[: match.start()].count("\n") + 1
        for each in requirements.read(match["rest"]).entries:
            if each.name:
                yield Declared(path=path, line=line, name=each.name, text=each.text)
    path = beside(folder, "setup.py")
    text = repo.text(path) or "" if path in repo.name_set else ""
    match = _SETUP.search(text)
    if match:
        line = text[: match.start()].count("\n") + 1
        yield Declared(path=path, line=line, name=normal(match["name"]), text=match["name"])
