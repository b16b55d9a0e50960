"""The packages of the system that Dockerfiles and hosts' lists name and images need at run time."""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from lockstitch.repository.dockerfile.images import image_files
from lockstitch.repository.files import Repository
from lockstitch.resources import load_table

_NAME: Final = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]+)(?::\w+)?(?:[=/].*)?")
_KINDS: Final = ("there", "builds", "tools", "replaced", "refused")
_OTHERS: Final = {
    "apk": "a package of Alpine: name Debian's in `packages`",
    "dnf": "a package of Fedora: name Debian's in `packages`",
    "": "of a source that the Dockerfile adds, and not of Debian: use a base of a registry",
}
_SOURCE: Final = re.compile(r"sources\.list\.d/([\w-]+)\.(?:list|sources)")


def packages(
    repo: Repository, code: Iterable[str], declared: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """Return the packages that images should have, sorted, and notes about the others.

    `code` are the names of the repository's Python files: a tool such as `git` is wanted where
    one of them starts it. `declared` are the distributions that images have: some start programs
    or load libraries that their wheels do not bring.
    """
    wanted = {
        package: f"`{name}` needs it"
        for name in sorted(declared)
        for package in _table()["needed"].get(name, ())
    }
    left: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    texts = [text for name in code if name.endswith(".py") and (text := repo.text(name))]
    for place, tool, name in (*_installed(repo), *_listed(repo, declared)):
        if tool in _OTHERS:
            left.setdefault(_OTHERS[tool], {})[name] = place
            continue
        kind = _kind(name)
        if kind == "tools" and any(_starts(name, text) for text in texts):
            kind = ""
        if kind == "there":
            continue
        if kind:
            left.setdefault(_table()[kind]["note"], {})[name] = place
            continue
        known = _table()["renamed"].get(name, name)
        if known:
            wanted.setdefault(known, place)
    for reason, names in left.items():
        shown = ", ".join(f"`{name}`" for name in names)
        notes.append(f"left out: {shown} ({next(iter(names.values()))}): {reason}")
    for name, lacked in _table()["foreign"].items():
        if name in declared:
            notes.append(f"`{name}` starts {lacked}: {_table()['refused']['note']}")
    if wanted:
        shown = ", ".join(f"`{name}` ({place})" for name, place in sorted(wanted.items()))
        notes.append(f"packages of the system: {shown}")
    return sorted(wanted), notes


def _installed(repo: Repository) -> Iterator[tuple[str, str, str]]:
    """Yield where, with which tool, and which package the images of Python install."""
    for file in image_files(repo):
        added = {f"{name}-" for name in _SOURCE.findall(repo.text(file.path) or "")}
        for built in file.products:
            for _, install in built.installs if built.is_python else ():
                if install.tool not in {"apt", *_OTHERS} or install.removes:
                    continue
                for word in install.names:
                    if match := _NAME.fullmatch(word):
                        tool = "" if f"{match['name']}-".startswith((*added,)) else install.tool
                        yield f"{file.path}:{install.line}", tool, match["name"]


def _listed(repo: Repository, declared: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Yield the same of the lists that hosts of applications install.

    apt.txt is Binder's, Aptfile Heroku's, packages.txt that of Streamlit's cloud and of Spaces.
    """
    pages = {"packages.txt"} if {"streamlit", "gradio"} & {*declared} else set()
    for path in sorted({"apt.txt", "Aptfile", *pages}):
        for number, line in enumerate(repo.lines(path), 1):
            match = _NAME.fullmatch(line.partition("#")[0].strip())
            if match and match["name"] not in declared:
                yield f"{path}:{number}", "apt", match["name"]


def _table() -> dict[str, Any]:
    return load_table(__package__, "system.toml")


def _kind(name: str) -> str:
    """Return the table of a package, "" for a library or program that an image should have."""
    for kind in _KINDS:
        if any(re.fullmatch(pattern, name) for pattern in _table()[kind]["names"]):
            return kind
    return ""


def _starts(name: str, text: str) -> bool:
    """Return whether code starts a program of a package's name."""
    return re.search(rf"""["']{re.escape(name)}(?:["']| )""", text) is not None
