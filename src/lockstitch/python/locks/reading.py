"""Readers of locks: leniently into a list of problems, or strictly with one error for all."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from posixpath import basename
from typing import Any
from urllib.parse import unquote, urlsplit

from lockstitch.errors import LockstitchError, raise_all
from lockstitch.patterns import regex
from lockstitch.python.locks.graph import Dependency, File, Package, Source
from lockstitch.python.tables import Table, parse_toml
from lockstitch.values import replace

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_UNUSUAL = regex(r"[?#]")
_HEADER = regex(r"^\[\[packages?\]\]", re.MULTILINE)


class Reading:
    """One TOML lock that is being read; its `top` collects the problems."""

    def __init__(
        self,
        text: str,
        source: str,
        hint: str,
        problems: list[LockstitchError] | None,
        document: Mapping[str, Any] | None,
    ) -> None:
        """Parse a text, unless its document is given; strict when there is no list of problems."""
        self.text = text
        self.source = source
        self.hint = hint
        self.is_strict = problems is None
        self._given: list[LockstitchError] = [] if problems is None else problems
        if document is None:
            try:
                document = parse_toml(text, f"`{source}`", hint=hint)
            except LockstitchError as error:
                self.refuse(error)
                document = {}
        self.document = document
        self.top = Table(document, "", [])

    def refuse(self, problem: LockstitchError) -> None:
        """Raise a LockstitchError of the whole lock, or keep it where reading is lenient."""
        if self.is_strict:
            raise problem
        self._given.append(problem)

    def packages(self, key: str) -> Iterator[tuple[Table, int]]:
        """Yield the table of each package, with the line on which it begins, 0 if unknown."""
        lines, at, line = [], 0, 1
        for match in _HEADER.finditer(self.text):
            line += self.text.count("\n", at, match.start())
            at = match.start()
            lines.append(line)
        for number, package in enumerate(self.top.each(key)):
            yield package, lines[number] if number < len(lines) else 0

    def close(self) -> None:
        """Raise the LockstitchErrors of all wrong values, or keep them where reading is lenient."""
        wrong = [
            LockstitchError(f"`{self.source}` cannot be read: {problem.message}", hint=self.hint)
            for problem in self.top.problems
        ]
        self._given += wrong
        if self.is_strict:
            raise_all(wrong)


def file_of(table: Table) -> File:
    """Return the wheel or source archive that a table of a lock names."""
    url, path = table.text("url"), table.text("path")
    name = table.text("name") or table.text("filename") or table.text("file")
    if not name:
        place = url or path
        name = unquote(basename(urlsplit(place).path if _UNUSUAL.search(place) else place))
    digest, hashes = table.text("hash"), table.raw("hashes")
    if hashes and isinstance(hashes, Mapping):
        algorithm = "sha256" if "sha256" in hashes else next(iter(hashes))
        digest = f"{algorithm}:{hashes[algorithm]}".lower()
    if digest.startswith("sha256:") and not _SHA256.fullmatch(digest):
        table.complain("hash", f"is wrong: `{digest:.100}` is not a sha256 digest")
    uploaded = table.raw("upload-time")
    return File(
        name=name,
        url=url,
        path=path,
        hash=digest,
        size=table.number("size", least=0, most=1 << 60) if table.has("size") else None,
        uploaded=uploaded.isoformat() if isinstance(uploaded, datetime) else str(uploaded or ""),
    )


def merged(packages: Iterable[Package]) -> tuple[Package, ...]:
    """Return the packages with those of one name, version and source as one, with all files.

    uv once wrote such a package for each of its forks, each with the wheels of that fork.
    """
    known: dict[tuple[str, str, Source], Package] = {}
    for package in packages:
        key = (package.name, package.version, package.source)
        first = known.setdefault(key, package)
        if first is not package:
            known[key] = replace(
                first,
                files=_both(first.files, package.files),
                dependencies=_both(first.dependencies, package.dependencies),
                extras=_joined(first.extras, package.extras),
                groups=_joined(first.groups, package.groups),
                forks=(*first.forks, *package.forks) if first.forks and package.forks else (),
            )
    return tuple(known.values())


def _joined(
    one: Mapping[str, tuple[Dependency, ...]], two: Mapping[str, tuple[Dependency, ...]]
) -> dict[str, tuple[Dependency, ...]]:
    return {name: _both(one.get(name, ()), two.get(name, ())) for name in {**one, **two}}


def _both(one: tuple[Any, ...], two: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*one, *(item for item in two if item not in one))
