"""Follows a program's imports on into the packages of its image, for modules that none declares.

A package may import at its first line what it never asked for: `pkg_resources` of setuptools,
`six`. Only statements at the left margin are followed, from what the program's start certainly
imports; before anything is said, each file on the way is read as Python, so that no text within
quotes and nothing that is handled counts. What is lacking may stand in a function that is called.
"""

import re
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from posixpath import dirname
from typing import Any

from lockstitch import zstd
from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.python.imports import certain_lines
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.store import Store
from lockstitch.values import frozen, replace

FORM = 1  # of records
_KIND = "imported"
_LARGEST = 2_000_000  # bytes of a module
_MOST = 4_000  # modules that one program's start is followed through
_STATEMENT = regex(
    rb"^(?P<margin>[ \t]*)(?:from[ \t]+(?P<dots>\.*)[ \t]*(?P<base>[\w.]*)[ \t]+import[ \t]+"
    rb"(?P<names>\([^)]{0,20000}\)|[^\n#;(]+)|import[ \t]+(?P<modules>[\w., \t]+))",
    re.MULTILINE,
)
_DEFINITION = regex(
    rb"^(?:(?:async[ \t]+)?def|class)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]+)?=(?!=)", re.MULTILINE
)
_DEFINES = -1  # in place of a level: the names are a package's own
_COMMENT = regex(rb"#[^\n]*")
_TAMPERS = regex(r"\bsys\.(?:modules\[|meta_path|path_hooks|path\.|path\[|path ?[+=])")
_NAME = regex(r"(\w[\w.]*)(?:\s+as\s+\w+)?")


@frozen
class Lack:
    """A module that a package imports as soon as it is imported, and no package has."""

    wheel: LockedWheel
    path: str  # of the package's file
    line: int
    module: str
    first: str  # what the program imports, which leads there
    is_sure: bool = True  # no file on the way changes how modules are found

    def document(self) -> dict[str, Any]:
        """Return all but the wheel as JSON."""
        names = ("path", "line", "module", "first", "is_sure")
        return {name: getattr(self, name) for name in names}

    @property
    def top(self) -> str:
        """The top-level module."""
        return self.module.partition(".")[0]


# Line, whether it stands at the left margin, level, module, names.
_Statement = tuple[int, bool, int, str, tuple[str, ...]]
_Place = tuple[int, str]  # the number of a wheel, and a file of it


def lacks(
    starts: Iterable[str],
    wheels: Sequence[LockedWheel],
    has: Callable[[str], bool],
    tops: Sequence[Iterable[str]],
    store: Store,
    python: tuple[int, int],
) -> list[Lack]:
    """Return the modules that a program's start imports and packages lack, each once.

    `tops` are the top-level modules of each wheel, and `has` tells whether the image has a module.
    A wheel that is neither in the store nor remembered is not followed.
    """
    walk = _Walk([*starts], wheels, has, tops, store, python)
    lacking: dict[str, Lack] = {}
    vendored: set[str] = set()
    while True:
        lack, way = walk.next({*lacking, *vendored})
        if lack is None:
            return [*lacking.values()]
        if walk.holds(way):
            is_sure = not walk.tampers(way)
            if not is_sure and walk.has_below(way[0][0], lack.top):
                vendored.add(lack.top)
            else:
                lacking[lack.top] = replace(lack, is_sure=is_sure)


class _Walk:
    """The files of an image's wheels, and the imports at their left margins."""

    def __init__(
        self,
        starts: list[str],
        wheels: Sequence[LockedWheel],
        has: Callable[[str], bool],
        tops: Sequence[Iterable[str]],
        store: Store,
        python: tuple[int, int],
    ) -> None:
        self._starts = starts
        self._wheels = wheels
        self._has = has
        self._store = store
        self._python = python
        self._files: dict[int, Mapping[str, Sequence[_Statement]]] = {}
        self._owners: dict[str, list[int]] = {}
        for number, names in enumerate(tops):
            for top in names:
                self._owners.setdefault(top, []).append(number)
        self._texts: dict[_Place, str] = {}
        self._wrong: set[tuple[_Place, int]] = set()
        self._lines: dict[_Place, frozenset[int]] = {}

    def next(self, known: set[str]) -> tuple[Lack | None, list[tuple[_Place, int]]]:
        """Return the nearest lack of another top-level module, and the statements on its way."""
        before: dict[_Place, tuple[_Place, int] | None] = {}
        first: dict[_Place, str] = {}
        waiting: deque[_Place] = deque()
        for start in self._starts:
            for place in self._places(start, ()):
                if place not in before:
                    before[place], first[place] = None, start
                    waiting.append(place)
        while waiting and len(before) < _MOST:
            place = waiting.popleft()
            for line, at_margin, level, module, names in self._files_of(place[0])[place[1]]:
                statement = (place, line)
                if statement in self._wrong or level == _DEFINES:
                    continue
                wanted = _absolute(place[1], level, module)
                unknown = not level and wanted.partition(".")[0] not in known
                if unknown and not self._has(wanted) and line in self._certain(place):
                    lack = Lack(
                        wheel=self._wheels[place[0]],
                        path=place[1],
                        line=line,
                        module=wanted,
                        first=first[place],
                    )
                    return lack, [(place, line), *_way(before, place)]
                for target in self._places(wanted, names) if at_margin else ():
                    if target not in before:
                        before[target], first[target] = statement, first[place]
                        waiting.append(target)
        return None, []

    def holds(self, way: Iterable[tuple[_Place, int]]) -> bool:
        """Return whether each statement is certainly run; one that is not is followed no more."""
        wrong = {(place, line) for place, line in way if line not in self._certain(place)}
        self._wrong |= wrong
        return not wrong

    def tampers(self, way: Iterable[tuple[_Place, int]]) -> bool:
        """Return whether a file changes how Python finds modules: any may come of that."""
        return any(_TAMPERS.search(self._text(place)) for place, _ in way)

    def has_below(self, place: _Place, top: str) -> bool:
        """Return whether a file's wheel has a module in a folder of its own, as `_vendor` is."""
        ends = (f"/{top}.py", f"/{top}/__init__.py")
        return any(path.endswith(ends) for path in self._files_of(place[0]))

    def _certain(self, place: _Place) -> frozenset[int]:
        if place not in self._lines:
            self._lines[place] = frozenset(certain_lines(self._text(place), self._python))
        return self._lines[place]

    def _text(self, place: _Place) -> str:
        if place not in self._texts:
            self._texts[place] = _text(self._wheels[place[0]], place[1], self._store)
        return self._texts[place]

    def _files_of(self, number: int) -> Mapping[str, Sequence[_Statement]]:
        if number not in self._files:
            self._files[number] = _imported(self._wheels[number], self._store)
        return self._files[number]

    def _places(self, module: str, names: Sequence[str]) -> Iterator[_Place]:
        """Yield the files that an import runs: each package on the way, and modules by name."""
        parts = module.split(".")
        for number in self._owners.get(parts[0], ()):
            files = self._files_of(number)
            for count in range(1, len(parts) + 1):
                yield from _present(number, "/".join(parts[:count]), files)
            # Python looks for a module only where the package has no such name of its own.
            own = _defined(files.get("/".join([*parts, "__init__.py"]), ()), module)
            for name in names:
                if name not in own:
                    yield from _present(number, "/".join([*parts, name]), files)


def _defined(statements: Sequence[_Statement], package: str) -> set[str]:
    """Return the names that a package has by its `__init__.py`, other than its modules."""
    return {
        name
        for _, _, level, module, names in statements
        if level == _DEFINES or (level, module) not in {(1, ""), (0, package)}
        for name in names
    }


def _present(number: int, base: str, files: Mapping[str, Any]) -> Iterator[_Place]:
    for path in (f"{base}/__init__.py", f"{base}.py"):
        if path in files:
            yield number, path
            return


def _way(
    before: Mapping[_Place, tuple[_Place, int] | None], place: _Place
) -> Iterator[tuple[_Place, int]]:
    step = before[place]
    while step is not None:
        yield step
        step = before[step[0]]


def _absolute(path: str, level: int, module: str) -> str:
    """Return the dotted name of what a file imports."""
    if not level:
        return module
    folder = path
    for _ in range(level):
        folder = dirname(folder)
    return ".".join(part for part in (folder.replace("/", "."), module) if part)


# --- what a wheel's files import


def _imported(wheel: LockedWheel, store: Store) -> Mapping[str, Sequence[_Statement]]:
    """Return the imports at the left margin of each module of a wheel, by its path."""
    key = f"{wheel.digest.hex}-{FORM}"
    record = store.record(_KIND, key)
    if not isinstance(record, dict):
        if not store.has_whole(wheel.digest):
            return {}
        with zipfile.ZipFile(store.path(wheel.digest)) as archive:
            modules = [*_modules(archive)]
            record = {path: _statements(path, _member(archive, name)) for path, name in modules}
        store.remember(_KIND, key, record)
    return {
        path: [(*facts, tuple(names)) for *facts, names in statements]
        for path, statements in record.items()
    }


def _modules(archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """Yield the modules of a wheel: where they are installed, and their names in the zip."""
    for info in archive.infolist():
        name = info.filename
        if not name.endswith(".py") or info.file_size > _LARGEST:
            continue
        top, _, rest = name.partition("/")
        if top.endswith(".data"):
            kind, _, inner = rest.partition("/")
            if kind in {"purelib", "platlib"}:
                yield inner, name
        else:
            yield name, name


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return zstd.read_member(archive, name)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        LockstitchError,
        OSError,
        RuntimeError,
        ValueError,
    ):
        return b""


def _statements(path: str, data: bytes) -> list[_Statement]:
    lines: list[_Statement] = []
    if path.endswith("/__init__.py"):
        defined = [match[1] or match[2] for match in _DEFINITION.finditer(data)]
        own = tuple(dict.fromkeys(name.decode("utf-8", "replace") for name in defined))
        lines += [(0, True, _DEFINES, "", own)] if own else []
    line, at = 1, 0
    for match in _STATEMENT.finditer(data):
        line += data.count(b"\n", at, match.start())
        at = match.start()
        at_margin = not match["margin"]
        if match["modules"]:
            names = _NAME.findall(match["modules"].decode("utf-8", "replace"))
            lines += [(line, at_margin, 0, name, ()) for name in names]
            continue
        base, level = match["base"].decode("utf-8", "replace"), len(match["dots"])
        if at_margin or not level:  # a relative one within a block is never followed
            names = _NAME.findall(_COMMENT.sub(b"", match["names"]).decode("utf-8", "replace"))
            lines.append((line, at_margin, level, base, tuple(names)))
    return lines


def _text(wheel: LockedWheel, path: str, store: Store) -> str:
    """Return a module's text, empty where the wheel is not here any more."""
    if not store.has(wheel.digest):
        return ""
    with zipfile.ZipFile(store.path(wheel.digest)) as archive:
        names = dict(_modules(archive))
        return _member(archive, names[path]).decode("utf-8", "replace") if path in names else ""
