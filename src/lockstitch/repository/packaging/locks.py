"""Reads the locks of any tool into packages with their files, and what stands on which line.

Whatever a lock says in a form that is not known is left out: a reader never raises.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from posixpath import basename
from typing import Any
from urllib.parse import unquote, urlsplit

from lockstitch.digest import of_bytes
from lockstitch.patterns import regex
from lockstitch.repository.packaging import requirements
from lockstitch.store import Store, default_root
from lockstitch.values import frozen

__all__ = ["LockFile", "Locked", "LockedFile", "Need", "kind_of", "normal", "read"]

_PYLOCK = regex(r"pylock(\.[^.]+)?\.toml")
_HEADER = regex(r"\[\[packages?\]\]")
_LONG = 1 << 14  # characters
_RECORD = "checked-locks"
_UNUSUAL = regex(r"[?#]")
_SOURCES = ("registry", "editable", "virtual", "directory", "path", "git", "url")


@frozen
class LockedFile:
    """One wheel or source archive; the size is 0 where the lock does not say it."""

    name: str
    size: int = 0
    hashed: bool = False

    @property
    def is_wheel(self) -> bool:
        """Return whether it is a wheel."""
        return self.name.endswith(".whl")


@frozen
class Need:
    """One package that another, or the project, asks for."""

    name: str
    marker: str = ""
    extras: tuple[str, ...] = ()
    version: str = ""  # where a lock has several and says which one is meant


@frozen
class Locked:
    """One package of a lock; `line` is where it begins."""

    name: str  # normal
    version: str
    line: int
    source: str = "registry"  # or editable, virtual, directory, path, git, url
    where: str = ""  # the index, folder, path or address of the source
    files: tuple[LockedFile, ...] = ()
    needs: tuple[Need, ...] = ()
    extras: Mapping[str, tuple[Need, ...]] = field(default_factory=dict)  # what an extra adds
    groups: tuple[str, ...] = ()  # of poetry.lock: who asked for it
    marker: str = ""

    @property
    def wheels(self) -> tuple[str, ...]:
        """Return the file names of its wheels."""
        return tuple(each.name for each in self.files if each.is_wheel)


@frozen
class LockFile:
    """One lock; `roots` says what the project asks for, by group, "" for its own dependencies.

    Only uv.lock has `roots`: what other locks are for, only their packages say.
    """

    path: str
    kind: str  # uv, poetry, pylock, requirements
    packages: tuple[Locked, ...]
    python: str = ""  # requires-python, as it stands
    roots: Mapping[str, tuple[Need, ...]] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)

    def named(self, name: str) -> tuple[Locked, ...]:
        """Return the packages of a name: several where platforms have versions of their own."""
        return tuple(each for each in self.packages if each.name == normal(name))

    def runtime(self, groups: Iterable[str] = ()) -> tuple[Locked, ...]:
        """Return what is installed without development groups, and with these groups or extras.

        Markers are not decided: what any platform installs is among it. For a lock that does
        not say who asked for what, all of it.
        """
        if self.kind == "poetry":
            wanted = {"main", *groups}
            known = [each for each in self.packages if not each.groups or wanted & {*each.groups}]
            return tuple(known)
        if self.kind != "uv" or not self.roots:
            return self.packages
        start = [need for group in ("", *groups) for need in self.roots.get(group, ())]
        return self._reached(start)

    def _reached(self, start: Iterable[Need]) -> tuple[Locked, ...]:
        by_name: dict[str, list[Locked]] = {}
        for each in self.packages:
            by_name.setdefault(each.name, []).append(each)
        todo, seen, reached = [*start], set[tuple[str, str]](), set[str]()
        while todo:
            need = todo.pop()
            reached.add(need.name)
            for extra in ("", *need.extras):
                if (need.name, extra) in seen:
                    continue
                seen.add((need.name, extra))
                for package in by_name.get(need.name, ()):
                    todo += package.extras.get(extra, ()) if extra else package.needs
        return tuple(each for each in self.packages if each.name in reached)


def normal(name: str) -> str:
    """Return a name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def kind_of(path: str) -> str:
    """Return which kind of lock a file may be by its name, or an empty text."""
    name = basename(path)
    if name in {"uv.lock", "poetry.lock"}:
        return name.removesuffix(".lock")
    if _PYLOCK.fullmatch(name):
        return "pylock"
    return "requirements" if requirements.is_name(path) else ""


def read(kind: str, path: str, text: str) -> LockFile | None:
    """Return the lock that a text is, or None when it is none of this kind."""
    if kind == "requirements":
        return _requirements(path, text)
    document = _document(text)
    if document is None:
        return None
    lines = [n for n, line in enumerate(text.splitlines(), 1) if _HEADER.match(line)]
    if kind == "pylock":
        return _pylock(path, document, lines)
    return _uv(path, document, lines) if kind == "uv" else _poetry(path, document, lines)


def _document(text: str) -> dict[str, Any] | None:
    """Return what a TOML text says, its dates as texts; a long one is remembered as JSON.

    To read a lock of 300 kB as TOML takes as long as all else that a check does.
    """
    store, key = Store(default_root()), of_bytes(text.encode()).hex
    known = store.record(_RECORD, key) if len(text) > _LONG else None
    if isinstance(known, dict):
        return known
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError):
        return None
    plain: dict[str, Any] = json.loads(json.dumps(document, default=str, sort_keys=True))
    if len(text) > _LONG:
        store.remember(_RECORD, key, plain)
    return plain


def _uv(path: str, document: dict[str, Any], lines: list[int]) -> LockFile:
    packages, roots = [], dict[str, tuple[Need, ...]]()
    for each, line in _tables(document.get("package"), lines):
        source = _table(each.get("source"))
        kind = next((name for name in _SOURCES if name in source), "registry")
        files = [*_list(each.get("wheels")), *_list([each.get("sdist")])]
        optional = _table(each.get("optional-dependencies"))
        package = Locked(
            name=normal(_text(each, "name")),
            version=_text(each, "version"),
            line=line,
            source=kind,
            where=_text(source, kind),
            files=tuple(_file(file) for file in files),
            needs=_needs(each.get("dependencies")),
            extras={normal(name): _needs(value) for name, value in optional.items()},
        )
        packages.append(package)
        if kind in {"editable", "virtual"} and package.where == ".":
            groups = _table(each.get("dev-dependencies"))
            roots = {normal(name): _needs(value) for name, value in groups.items()}
            roots |= package.extras
            roots[""] = package.needs
    return LockFile(
        path=path,
        kind="uv",
        packages=tuple(packages),
        python=_text(document, "requires-python"),
        roots=roots,
        document=document,
    )


def _poetry(path: str, document: dict[str, Any], lines: list[int]) -> LockFile:
    packages = []
    legacy = _table(_table(document.get("metadata")).get("files"))
    for each, line in _tables(document.get("package"), lines):
        source = _table(each.get("source"))
        name = _text(each, "name")
        listed = each.get("files") or legacy.get(name)
        groups = [str(group) for group in _items(each.get("groups"))]
        marker = each.get("markers")
        kind = _text(source, "type")
        packages.append(
            Locked(
                name=normal(name),
                version=_text(each, "version"),
                line=line,
                source={"legacy": "registry", "": "registry", "file": "path"}.get(kind, kind),
                where=_text(source, "url"),
                files=tuple(_file(file) for file in _list(listed)),
                needs=_asked(each.get("dependencies")),
                groups=tuple(groups) or ((_text(each, "category"),) if "category" in each else ()),
                marker=marker if isinstance(marker, str) else "",
            )
        )
    metadata = _table(document.get("metadata"))
    return LockFile(
        path=path,
        kind="poetry",
        packages=tuple(packages),
        python=_text(metadata, "python-versions"),
        document=document,
    )


def _pylock(path: str, document: dict[str, Any], lines: list[int]) -> LockFile:
    packages = []
    for each, line in _tables(document.get("packages"), lines):
        kind, where = "registry", _text(each, "index")
        for key, name in (("vcs", "git"), ("directory", "directory"), ("archive", "url")):
            if key in each:
                table = _table(each[key])
                kind, where = name, _text(table, "url") or _text(table, "path")
        if kind == "directory" and _table(each["directory"]).get("editable") is True:
            kind = "editable"
        files = [*_list(each.get("wheels")), *_list([each.get("sdist")])]
        packages.append(
            Locked(
                name=normal(_text(each, "name")),
                version=_text(each, "version"),
                line=line,
                source=kind,
                where=where,
                files=tuple(_file(file) for file in files),
                marker=_text(each, "marker"),
            )
        )
    python = _text(document, "requires-python")
    found = tuple(packages)
    return LockFile(path=path, kind="pylock", packages=found, python=python, document=document)


def _requirements(path: str, text: str) -> LockFile | None:
    """Return a requirements file that pins all that it names, at least one package."""
    listed = requirements.read(text)
    if not listed.entries or not all(each.pinned or each.local for each in listed.entries):
        return None
    packages = tuple(
        Locked(
            name=each.name,
            version=each.version,
            line=each.line,
            source=each.local or "registry",
            where=each.url,
            files=tuple(LockedFile(name=value, hashed=True) for value in each.hashes),
            marker=each.marker,
        )
        for each in listed.entries
    )
    return LockFile(path=path, kind="requirements", packages=packages)


def _file(table: Mapping[str, Any]) -> LockedFile:
    name = _text(table, "name") or _text(table, "filename") or _text(table, "file")
    if not name:
        address = _text(table, "url") or _text(table, "path")
        path = urlsplit(address).path if _UNUSUAL.search(address) else address
        name = unquote(basename(path))
    size = table.get("size")
    hashed = bool(table.get("hash") or table.get("hashes"))
    return LockedFile(name=name, size=size if isinstance(size, int) else 0, hashed=hashed)


def _needs(value: object) -> tuple[Need, ...]:
    return tuple(
        Need(
            name=normal(_text(each, "name")),
            marker=_text(each, "marker"),
            extras=tuple(normal(str(extra)) for extra in _items(each.get("extra"))),
            version=_text(each, "version"),
        )
        for each in _list(value)
    )


def _asked(value: object) -> tuple[Need, ...]:
    """Return what a package of poetry.lock asks for: once for each marker that it gives."""
    return tuple(
        Need(name=normal(name), marker=_text(_table(each), "markers"))
        for name, said in _table(value).items()
        for each in (said if isinstance(said, list) else [said])
    )


def _tables(value: object, lines: list[int]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Yield the tables of an array with the lines of their headers."""
    for number, each in enumerate(_list(value)):
        yield each, lines[number] if number < len(lines) else 0


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _list(value: object) -> list[Mapping[str, Any]]:
    return [each for each in _items(value) if isinstance(each, Mapping)]


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""
