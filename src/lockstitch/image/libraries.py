"""Holds the libraries that an image's wheels need against those it has, before the image is made.

Each ELF file of each wheel is read once. A library is there when the base has it where the loader
looks, when a wheel brings it under that name, or when RPATH leads to it. Of what nothing has, an
error is what the program's start surely loads, a note what its packages may load, and nothing is
said of plugins that no Python code names.
"""

import contextlib
import functools
import mmap
import posixpath
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.image import imports
from lockstitch.image.bases import added_files, root_files
from lockstitch.image.plan import Prepared, own_name
from lockstitch.image.wheel import Member, Wheel
from lockstitch.lock import elf
from lockstitch.lock.bases import registry
from lockstitch.oci.entry import Entry, Kind
from lockstitch.patterns import regex
from lockstitch.python.imports import Entry as Begin
from lockstitch.python.imports import Reach, Tree, reaches
from lockstitch.python.model import Project
from lockstitch.resources import load_table
from lockstitch.store import Store
from lockstitch.values import frozen, positional, replace

_tables = functools.partial(load_table, __package__, "libraries.toml")
_FORM: Final = 1  # of the records
_LAYER, _WHEEL, _CHECKED = "layer-libraries", "wheel-libraries", "libraries"  # store records
_SMALL: Final = 32 << 20  # bytes of a file that is read in memory
_NAME: Final = regex(r"[^/]*\.so(?:\.[\w.+-]+)?")
_MODULE: Final = regex(r"(?P<name>[A-Za-z_]\w*)(?:\.cpython-[\w-]+|\.abi3)?\.so")
_VERSION: Final = regex(r"(GLIBC|GLIBCXX|CXXABI)_(\d+(?:\.\d+)*)")
_SYMBOL: Final = regex(rb"\0((?:GLIBCXX|CXXABI)_\d+(?:\.\d+)+)(?=\0)")
_FOLDERS: Final = {  # where the loader of a base that is made here looks, with no cache
    "linux/amd64": ("usr/lib/x86_64-linux-gnu", "usr/lib", "usr/lib64", "usr/local/lib"),
    "linux/arm64": ("usr/lib/aarch64-linux-gnu", "usr/lib", "usr/lib64", "usr/local/lib"),
}
_SITE: Final = ".site"  # a folder that no project has, for the code of wheels
_PROGRAMS: Final = regex(r"usr/(?:local/)?s?bin/([^/]+)")


@frozen
class SystemFiles:
    """The libraries and programs of a base, by path, and versions of symbols of its libstdc++."""

    libraries: frozenset[str]
    programs: frozenset[str]  # by name
    symbols: frozenset[str] = frozenset()

    def document(self) -> dict[str, list[str]]:
        """Return it as JSON."""
        fields = ("libraries", "programs", "symbols")
        return {name: sorted(getattr(self, name)) for name in fields}


@frozen
class Object:
    """One ELF file of a wheel: its path below site-packages, and what it needs."""

    path: str
    soname: str
    libraries: tuple[str, ...]
    search: tuple[str, ...]
    required: tuple[tuple[str, str], ...]  # (library, version), the highest of each kind
    module: bool

    @property
    def name(self) -> str:
        """The name of the file."""
        return posixpath.basename(self.path)

    @property
    def stub(self) -> str:
        """The path of a Python module in its place, "" where it is no module."""
        match = _MODULE.fullmatch(self.name) if self.module else None
        return posixpath.join(posixpath.dirname(self.path), f"{match['name']}.py") if match else ""

    def document(self) -> list[Any]:
        """Return it as JSON, which `of_document` reads."""
        required = [[*pair] for pair in self.required]
        return [self.path, self.soname, self.libraries, self.search, required, self.module]

    @classmethod
    def of_document(cls, row: Sequence[Any]) -> "Object":
        """Return the value that `document` wrote."""
        path, soname, libraries, search, required, module = row
        return cls(
            path=path,
            soname=soname,
            libraries=tuple(libraries),
            search=tuple(search),
            required=tuple((library, version) for library, version in required),
            module=module,
        )


# --- what there is


def noted(entries: Iterable[Entry], store: Store, key: str) -> Iterator[Entry]:
    """Yield the entries of a layer of a base, and record its libraries when they are through."""
    libraries, programs, symbols = set(), set(), set()
    for entry in entries:
        if entry.kind in {Kind.FILE, Kind.SYMLINK} and _NAME.fullmatch(
            posixpath.basename(entry.path)
        ):
            libraries.add(entry.path)
            if posixpath.basename(entry.path).startswith("libstdc++.so.") and entry.content:
                names = _SYMBOL.findall(b"".join(entry.content.plain()))
                symbols |= {symbol.decode() for symbol in names}
        if match := _PROGRAMS.fullmatch(entry.path):
            programs.add(match[1])
        yield entry
    files = SystemFiles(
        libraries=frozenset(libraries), programs=frozenset(programs), symbols=frozenset(symbols)
    )
    store.remember(_LAYER, f"{key}-{_FORM}", files.document())


def system_files(prepared: Prepared, store: Store) -> SystemFiles | None:
    """Return the libraries of an image's base, or None where they are not known here."""
    base, records = prepared.base, []
    for layer in prepared.layers:
        if layer.kind not in {"system", "python", "added"}:
            continue
        record = store.record(_LAYER, f"{layer.key}-{_FORM}")
        if record is None and all(store.has_whole(d.digest) for d in base.downloads()):
            # Its layer was made by an older lockstitch, or elsewhere.
            entries = added_files(base, store) if layer.kind == "added" else root_files(base, store)
            for _ in noted(entries, store, layer.key):
                pass
            record = store.record(_LAYER, f"{layer.key}-{_FORM}")
        if record is None:
            return None
        records.append(record)
    if base.image:
        record = store.record(registry.FILES, base.digest.hex)
        records += [record] if record else []
    if not records:
        return None
    union = {key: frozenset(e for record in records for e in record[key]) for key in records[0]}
    return SystemFiles(**union)


def objects(wheel: Digest, filename: str, store: Store) -> list[Object] | None:
    """Return the ELF files of a wheel, or None where the store has neither wheel nor record."""
    key = f"{wheel.hex}-{_FORM}"
    record = store.record(_WHEEL, key)
    if record is None:
        if not store.has_whole(wheel):
            return None
        record = [lib.document() for lib in _read(store.path(wheel), filename, store)]
        store.remember(_WHEEL, key, record)
    return [Object.of_document(row) for row in record]


def _read(path: Path, filename: str, store: Store) -> Iterator[Object]:
    opened = Wheel(path, filename)
    try:
        yield from _objects(_passing(opened), store)
    finally:
        opened.close()


class Watch:
    """Reads the ELF files of a wheel as they pass into a layer, so that nothing inflates twice."""

    def __init__(self, wheel: Wheel, digest: Digest, store: Store) -> None:
        """Begin, unless the store knows them."""
        self._store, self._key = store, f"{digest.hex}-{_FORM}"
        self._is_new = store.record(_WHEEL, self._key) is None
        self._passing = _passing(wheel) if self._is_new else []
        wheel.taps |= {member.name: passing.add for member, passing in self._passing}

    def keep(self) -> None:
        """Record the libraries that were read, and read those outside of the layer."""
        with contextlib.suppress(LockstitchError, OSError):  # it is told by who wants to know
            if self._is_new:
                rows = [lib.document() for lib in _objects(self._passing, self._store)]
                self._store.remember(_WHEEL, self._key, rows)


def _passing(wheel: Wheel) -> list[tuple[Member, elf.Passing]]:
    members = [m for m in wheel.members.values() if m.size and _place(m)]
    return [(member, elf.Passing(member.size)) for member in members]


def _objects(members: Iterable[tuple[Member, elf.Passing]], store: Store) -> Iterator[Object]:
    for member, passing in members:
        needs = passing.needs
        if needs is None and passing.is_elf is not False:
            needs = _needs(member, store)
        if needs is not None:
            yield _object(_place(member), needs)


def _place(member: Member) -> str:
    """Return where a file that may be ELF is, from site-packages; "" for any other."""
    top, _, rest = member.name.partition("/")
    if top.endswith(".data"):
        kind, _, inner = rest.partition("/")
        above = {"purelib": "", "platlib": "", "scripts": "../../../bin/", "data": "../../../"}
        return posixpath.normpath(above[kind] + inner) if kind in above and inner else ""
    name = posixpath.basename(member.name)
    return member.name if _NAME.fullmatch(name) or (member.executable and "." not in name) else ""


def _needs(member: Member, store: Store) -> elf.Needs | None:
    chunks = member.plain()
    first = next(chunks, b"")
    if first[:4] != b"\x7fELF":
        return None
    if member.size <= _SMALL:
        return elf.needs(b"".join([first, *chunks]))
    # libtorch_cuda.so has more than a gigabyte
    with tempfile.TemporaryFile(dir=store.root) as file:
        file.write(first)
        file.writelines(chunks)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return elf.needs(mapped)


def _object(path: str, needs: elf.Needs) -> Object:
    highest: dict[tuple[str, str], str] = {}
    for library, version in needs.required:
        match = _VERSION.fullmatch(version)
        if match:
            pair = (library, match[1])
            highest[pair] = max(highest.get(pair, version), version, key=_number)
    return Object(
        path=path,
        soname=needs.soname,
        libraries=needs.libraries,
        search=needs.search,
        required=tuple((library, version) for (library, _), version in sorted(highest.items())),
        module=needs.module,
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.partition("_")[2].split("."))


# --- what is missing


@positional
class _Wheel:
    """A wheel of an image, and what errors call it."""

    title: str
    name: str
    filename: str
    digest: Digest


@frozen
class _Missing:
    """A wheel with the files that lack something, each with what it lacks, sorted."""

    wheel: _Wheel
    files: Mapping[str, tuple[str, ...]]  # by path; of a module with all that it loads
    modules: Mapping[str, str]  # the paths of modules, with their stubs


def check(
    project: Project,
    prepared: Prepared,
    store: Store,
    packages: Callable[[Sequence[str]], Mapping[str, str]],
) -> list[str]:
    """Return notes about libraries that packages of an image may miss.

    `packages` finds Debian packages by the names of libraries; it is asked only when one is
    missing. Raises LockstitchError with each package that the program's start imports and that
    cannot be loaded. Says nothing where base or wheels are not known any more.
    """
    key = f"{imports.key_of(prepared)}-{_FORM}"
    remembered = store.record(_CHECKED, key)
    if isinstance(remembered, list) and all(isinstance(note, str) for note in remembered):
        return remembered
    system, wheels = system_files(prepared, store), [*_wheels(prepared)]
    listed = [objects(wheel.digest, wheel.filename, store) for wheel in wheels]
    if system is None or any(item is None for item in listed):
        return []
    brought = [(w, libs) for w, libs in zip(wheels, listed, strict=True) if libs]
    missing = [*_missing(brought, system, prepared)]
    if not all(store.has_whole(lib.wheel.digest) for lib in missing):
        return []  # whose code tells what is loaded
    notes = _notes(missing, project, prepared, store, packages) if missing else []
    store.remember(_CHECKED, key, notes)
    return notes


def _wheels(prepared: Prepared) -> Iterator[_Wheel]:
    for wheel in prepared.wheels:
        yield _Wheel(f"{wheel.name} {wheel.version}", wheel.name, wheel.filename, wheel.digest)
    own = prepared.project_wheel
    if own:
        yield _Wheel(
            "the project's own package",
            own_name(own.filename.partition("-")[0]),
            own.filename,
            own.digest,
        )


def _notes(
    missing: Sequence[_Missing],
    project: Project,
    prepared: Prepared,
    store: Store,
    packages: Callable[[Sequence[str]], Mapping[str, str]],
) -> list[str]:
    program = imports.start_of(project, prepared, store)
    errors: list[LockstitchError] = []
    notes: list[str] = []
    allowed = {name.partition(".")[0] for name in prepared.spec.allow_missing}
    for lib in missing:
        sure, possible = _judged(lib, program, store)
        sure = {path: lacks for path, lacks in sure.items() if _top(path) not in allowed}
        if sure:
            errors.append(_error(lib, sure, prepared, packages))
        elif possible:
            message = _error(lib, possible, prepared, packages)
            notes.append(f"{message.message}: {message.hint}")
    raise_all(errors)
    return notes


def _missing(
    brought: Sequence[tuple[_Wheel, list[Object]]], system: SystemFiles, prepared: Prepared
) -> Iterator[_Missing]:
    known = {name for _, libs in brought for o in libs for name in (o.name, o.soname)}
    folders = _FOLDERS[prepared.base.platform]
    known |= {
        posixpath.basename(path)
        for path in system.libraries
        if prepared.base.image or posixpath.dirname(path) in folders  # others have ldconfig's cache
    }
    by_name = {name: o for _, libs in brought for o in libs for name in (o.name, o.soname)}
    own: dict[str, tuple[str, ...]] = {}  # what a file itself lacks, by path

    def lacks(lib: Object) -> tuple[str, ...]:
        if lib.path not in own:
            own[lib.path] = tuple(_lacks(lib, known, system, prepared))
        return own[lib.path]

    for wheel, libs in brought:
        files = {o.path: _with_loaded(o, by_name, lacks) for o in libs}
        files = {path: names for path, names in files.items() if names}
        if files:
            stubs = {o.path: o.stub for o in libs if o.path in files and o.module}
            yield _Missing(wheel=wheel, files=files, modules=stubs)


def _with_loaded(
    lib: Object, by_name: Mapping[str, Object], lacks: Callable[[Object], tuple[str, ...]]
) -> tuple[str, ...]:
    """Return the libraries that a file lacks, and those of wheels that it loads."""
    seen, waiting, names = {lib.path}, [lib], set[str]()
    while waiting:
        one = waiting.pop()
        names |= {*lacks(one)}
        loaded = [by_name[name] for name in one.libraries if name in by_name]
        waiting += [other for other in loaded if other.path not in seen]
        seen |= {other.path for other in loaded}
    return tuple(sorted(names))


def _lacks(lib: Object, known: set[str], system: SystemFiles, prepared: Prepared) -> Iterator[str]:
    for name in lib.libraries:
        if name not in known and not _is_hosts(name) and not _searched(lib, name, system):
            yield name
    glibc = prepared.base.target().glibc
    for library, version in lib.required:
        kind = version.partition("_")[0]
        if kind == "GLIBC" and glibc and _number(version) > _number(f"GLIBC_{glibc}"):
            yield version
        elif library == "libstdc++.so.6" and kind != "GLIBC" and system.symbols:
            have = [symbol for symbol in system.symbols if symbol.startswith(f"{kind}_")]
            if have and _number(version) > max(map(_number, have)):
                yield version


def _searched(lib: Object, name: str, system: SystemFiles) -> bool:
    """Return whether an absolute RPATH leads to a library of the base."""
    places = [posixpath.join(p.strip("/"), name) for p in lib.search if p.startswith("/")]
    return any(place in system.libraries or f"usr/{place}" in system.libraries for place in places)


def _is_hosts(name: str) -> bool:
    return any(re.fullmatch(pattern, name) for row in _tables()["host"] for pattern in row["names"])


# --- how sure it is


def _judged(
    missing: _Missing, program: imports.Start, store: Store
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Return the files that the program's start surely loads, and those that something may load."""
    code = _Code(missing, store)
    through = program.through({_top(path) for path in missing.files}, store)
    reached = code.reached(program.tree, [*program.entries, *code.begins(through)])
    sure, possible = {}, {}
    for path, names in missing.files.items():
        reach = code.reach(path, reached)
        if reach is Reach.CERTAIN:
            sure[path] = names
        elif (reach is None and code.may_load(path)) or reach is Reach.POSSIBLE:
            possible[path] = names
    return sure, possible


class _Code:
    """The Python code of a wheel, and stubs in the place of its extension modules."""

    def __init__(self, missing: _Missing, store: Store) -> None:
        self._missing = missing
        self._texts: dict[str, str] = {}
        opened = Wheel(store.path(missing.wheel.digest), missing.wheel.filename)
        try:
            for name, member in opened.members.items():
                if name.endswith(".py") and member.size < _SMALL:
                    text = member.read().decode("utf-8", "replace")
                    self._texts[f"{_SITE}/{name}"] = text
        finally:
            opened.close()
        self._stubs = {path: f"{_SITE}/{stub}" for path, stub in missing.modules.items() if stub}
        self._names = frozenset([*self._texts, *self._stubs.values()])

    def _tree(self, below: Tree | None = None) -> Tree:
        tops = {name.split("/")[1].removesuffix(".py") for name in self._names}
        outer = below.text if below else lambda _: None
        return Tree(
            frozenset([*self._names, *(below.names if below else ())]),
            lambda name: self._texts.get(name, "") if name in self._names else outer(name),
            below.python if below else (3, 11),
            {**(below.installed if below else {}), **dict.fromkeys(tops, _SITE)},
        )

    def begins(self, modules: Iterable[str]) -> Iterator[Begin]:
        """Yield the files that imports of modules run first."""
        for module in modules:
            parts = module.split(".")
            for count in range(1, len(parts) + 1):
                base = "/".join([_SITE, *parts[:count]])
                for path in (f"{base}/__init__.py", f"{base}.py"):
                    if path in self._names:
                        yield Begin(path=path, roots=(_SITE,))

    def reached(self, tree: Tree, starts: Sequence[Begin]) -> dict[str, Reach]:
        """Return the files of this wheel that a program comes to."""
        best: dict[str, Reach] = {}
        for start in starts:
            for name, reach in reaches(self._tree(tree), start).items():
                if name in self._names:
                    best[name] = max(reach, best.get(name, reach))
        return best

    def reach(self, path: str, reached: Mapping[str, Reach]) -> Reach | None:
        """Return how surely a program loads a file; None where it does not come to it."""
        stub = self._stubs.get(path, "")
        if stub in reached:
            return reached[stub]
        package = f"{posixpath.dirname(stub)}/__init__.py"
        if stub and package.split("/")[-2] == _stem(path) and package in reached:
            return reached[package]  # cv2 loads the module of its own name
        names = [n for n, text in self._texts.items() if n in reached and _names(path, text)]
        reach = max((reached[name] for name in names), default=None)
        # What names a module does not import it; what names another library loads it, mostly.
        is_module = path in self._missing.modules
        return min(reach, Reach.POSSIBLE) if is_module and reach is not None else reach

    def may_load(self, path: str) -> bool:
        """Return whether any code of the wheel loads a file, and does not go on without it."""
        stub, whole = self._stubs.get(path, ""), self._tree()
        named = {name: text for name, text in self._texts.items() if _names(path, text)}
        importing: list[Reach] = []
        for name, text in named.items() if stub else ():
            # Not through others, which are asked in their turn: that reads the wheel each time.
            alone = replace(whole, text={name: text}.get)
            reached = reaches(alone, Begin(path=name, roots=(_SITE,)))
            importing += [reached[stub]] if stub in reached else []
        return max(importing) >= Reach.POSSIBLE if importing else bool(named)


def _names(path: str, text: str) -> bool:
    """Return whether code says the name of a library."""
    return bool(re.search(rf"(?<![A-Za-z0-9]){re.escape(_stem(path))}(?![A-Za-z0-9])", text))


def _stem(path: str) -> str:
    return posixpath.basename(path).partition(".")[0]


def _top(path: str) -> str:
    return path.partition("/")[0].partition(".")[0]


def _error(
    missing: _Missing,
    files: Mapping[str, tuple[str, ...]],
    prepared: Prepared,
    packages: Callable[[Sequence[str]], Mapping[str, str]],
) -> LockstitchError:
    wheel, base = missing.wheel, prepared.base
    names = sorted({name for file in files.values() for name in file})
    versions = [name for name in names if _VERSION.fullmatch(name)]
    libraries = [name for name in names if name not in versions]
    tops = dict.fromkeys(_top(path) for path in files)
    message = f"`{next(iter(tops))}` ({wheel.title}) needs {', '.join(names)}, "
    message += f"which nothing in image `{prepared.spec.name}` has"
    ways = []
    if libraries:
        known = packages(libraries)
        named = sorted({known[name] for name in libraries if name in known})
        if base.image:
            ways.append(f"a base that has {', '.join(named or libraries)}")
        elif named:
            listed = ", ".join(f'"{name}"' for name in [*base.requested, *named])
            ways.append(f"packages = [{listed}] in [tool.lockstitch.base]")
        unknown = [name for name in libraries if name not in known]
        if unknown and not base.image:
            ways.append(f"no package of `{base.name}` has {', '.join(unknown)}")
    if versions:
        ways.append(f"a newer base than `{base.name}`, or an older version of {wheel.name}")
    instead = _tables()["instead"].get(wheel.name)
    ways += [instead] if instead else []
    return LockstitchError(message, hint="; or ".join(ways))
