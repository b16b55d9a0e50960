"""Declared requirements: pyproject.toml of any manager, setup.cfg, Pipfile, `.in`."""

from collections.abc import Iterator

from lockstitch.patterns import regex
from lockstitch.python import declared
from lockstitch.python.locks import lists
from lockstitch.python.names import normal
from lockstitch.python.tables import table
from lockstitch.repository.files import Repository
from lockstitch.values import frozen

RUNTIME = ""
_NAME = regex(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_SETUP = regex(r"install_requires\s*=\s*\[(?:\s*(?:[\"'][^\"'\n]*[\"']\s*,?|#.*))*")
_QUOTED = regex(r"[\"'][A-Za-z0-9][^\"']*[\"']")
_CFG = regex(r"(?m)^install_requires\s*=[ \t]*(?P<rest>.*(?:\n[ \t]+.*)*)")


@frozen
class Declared:
    """One dependency that a project declares."""

    path: str
    line: int
    name: str  # normal
    text: str  # the requirement, as it stands
    group: str = RUNTIME  # or `extra NAME`, `group NAME`


def folder_of(path: str) -> str:
    """Return the folder that a file stands in, "" for the root."""
    return path.rpartition("/")[0]


def beside(folder: str, name: str) -> str:
    """Return the path of a name in a folder."""
    return f"{folder}/{name}" if folder else name


def of_folder(repo: Repository, folder: str) -> list[Declared]:
    """Return the requirements in the files of a folder itself."""
    path = beside(folder, "pyproject.toml")
    document = repo.toml(path) if path in repo.name_set else None
    dependencies = [
        _one(repo, path, requirement.text, requirement.group)
        for requirement in declared.requirements(document or {})
    ]
    dependencies += _of_setup(repo, folder)
    path = beside(folder, "Pipfile")
    document = repo.toml(path) if path in repo.name_set else None
    for section, group in (("packages", RUNTIME), ("dev-packages", "group dev")):
        dependencies += [_one(repo, path, name, group) for name in table(document, section)]
    return dependencies


def _one(repo: Repository, path: str, text: str, group: str) -> Declared:
    match = _NAME.match(text.strip())
    name = match[0] if match else text
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
        for entry in lists.read(match["rest"]).entries:
            if entry.name:
                yield Declared(path=path, line=line, name=entry.name, text=entry.text)
    path = beside(folder, "setup.py")
    text = repo.text(path) or "" if path in repo.name_set else ""
    match = _SETUP.search(text)
    for written in match[0].splitlines() if match else ():
        for name in _QUOTED.findall(written.partition("#")[0]):
            yield _one(repo, path, name[1:-1], RUNTIME)
