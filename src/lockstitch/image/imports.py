"""Checks a program's imports against the packages of its image, before the image is built.

The program is read from its command on, never run. What its start certainly imports and no
package, no own file and not the standard library has, is an error: such an image builds and dies
at its first line. What other parts of it may import is a note.
"""

import functools
import sys
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from posixpath import basename, dirname
from typing import IO, Any

from lockstitch import files, zstd
from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.image import wheel_imports
from lockstitch.image.plan import Prepared
from lockstitch.patterns import regex
from lockstitch.python.commands import entry_of
from lockstitch.python.imports import (
    Contents,
    Entry,
    Import,
    Reach,
    Tree,
    follow,
    read,
    standard_library,
)
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.names import distribution_of
from lockstitch.store import Store
from lockstitch.table import first_of
from lockstitch.values import frozen, positional, replace

_FORM = 5  # of the records
_OF_PROTO = regex(r"(\w+)_pb2(?:_grpc)?")
# What packages import without asking for it, most often by far.
_WELL_KNOWN = frozenset(
    {"pkg_resources", "setuptools", "distutils", "six", "typing_extensions", "packaging", "imp"}
    | {"attr", "pytz", "dateutil", "yaml", "requests", "tqdm", "importlib_metadata", "past"}
)
_MODULE = regex(r"(?P<name>[^/.]+)(?:\.cpython-\d+[\w-]*|\.abi3)?\.(?:py|so|pyc)")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ash"})
_LARGEST = 1 << 20  # bytes of an entry_points.txt
_SHOWN = 6  # modules that a note names


@frozen
class Modules:
    """A wheel's modules: top-level ones, those of its namespace packages, and programs."""

    tops: frozenset[str]  # regular packages and modules
    spaces: Mapping[str, frozenset[str]]  # a namespace package's name -> what it holds
    programs: Mapping[str, str]  # name -> the module that it starts, "" for a script


def modules_of(wheel: "Path | IO[bytes]") -> Modules:
    """Return a wheel's modules, from the names in its zip directory and its entry points."""
    tops: set[str] = set()
    folders: dict[str, set[str]] = {}
    regular: set[str] = set()
    programs: dict[str, str] = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            top, _, rest = name.partition("/")
            if top.endswith(".data"):
                kind, _, inner = rest.partition("/")
                if kind == "scripts" and inner:
                    programs[inner] = ""
                if kind not in {"purelib", "platlib"}:
                    continue
                top, _, rest = inner.partition("/")
            if top.endswith(".dist-info"):
                if rest == "entry_points.txt" and archive.getinfo(name).file_size < _LARGEST:
                    text = zstd.read_member(archive, name).decode("utf-8", "replace")
                    programs |= dict(_programs(text))
                continue
            if not rest:
                match = _MODULE.fullmatch(top)
                tops |= {match["name"]} if match else set()
                continue
            second = rest.partition("/")[0]
            match = _MODULE.fullmatch(second)
            if match and "/" not in rest:
                regular |= {top} if match["name"] == "__init__" else set()
                folders.setdefault(top, set()).add(match["name"])
            elif "/" in rest:
                folders.setdefault(top, set()).add(second)
    spaces = {name: frozenset(inner) for name, inner in folders.items() if name not in regular}
    return Modules(tops=frozenset(tops | regular), spaces=spaces, programs=programs)


def _programs(text: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith("["):
            section = bare.strip("[]").strip()
        elif "=" in bare and section in {"console_scripts", "gui_scripts"}:
            name, _, target = bare.partition("=")
            yield name.strip(), target.partition(":")[0].strip()


def check(
    project: Project, prepared: Prepared, store: Store, programs: Callable[[], Collection[str]]
) -> list[str]:
    """Return notes about imports that an image's program may miss.

    `programs` returns the names of those that the base has.

    Raises LockstitchError with each module that the start needs and the image lacks, and for a
    program that no package has. Says nothing where a wheel's names are not known any more.
    """
    spec = prepared.spec
    key = key_of(prepared)
    before = store.record("imports", key)
    if isinstance(before, list) and all(isinstance(note, str) for note in before):
        return before
    known = [remembered(wheel.digest, store) for wheel in prepared.wheels]
    own = remembered(prepared.project_wheel.digest, store) if prepared.project_wheel else None
    if not spec.command or any(modules is None for modules in known):
        return []
    read = _Read(store, of_bytes(f"{project.root}\n{spec.name}".encode()).hex)
    try:
        start = Start.of(project, prepared, own, read)
        lacking = start.check([*filter(None, known)], store, programs)
    except LockstitchError as error:
        from lockstitch.lock import loosen

        for problem in error.everything():
            problem.hint = loosen.typed(project, problem.hint)
        raise
    read.keep()
    possible = _first_of_each(lead for lead in lacking if lead.reach is Reach.POSSIBLE)
    notes = [_note(possible)] if possible else []
    store.remember("imports", key, notes)
    return notes


class _Read:
    """The imports of an image's modules, kept by their contents: an edit reads one again."""

    def __init__(self, store: Store, key: str) -> None:
        self._store, self._key = store, key
        self._known: dict[str, Any] = store.record("read modules", key) or {}
        self._used: dict[str, Any] = {}

    def __call__(self, text: str, python: tuple[int, int], *, is_main: bool) -> Contents:
        """Return a module's imports."""
        about = f"{_FORM} {python} {is_main} {text}"
        name = of_bytes(about.encode("utf-8", "surrogatepass")).hex
        contents = self._known.get(name) or read(text, python, is_main=is_main)
        imports, settings, parts = self._used[name] = contents
        return (
            tuple((top, tuple(names), *at, Reach(how)) for top, names, *at, how in imports),
            tuple((setting, line, Reach(how)) for setting, line, how in settings),
            tuple((glob, sure) for glob, sure in parts),
        )

    def keep(self) -> None:
        """Record the imports of this image's modules."""
        if self._used.keys() != self._known.keys():
            self._store.remember("read modules", self._key, self._used)


@frozen
class Start:
    """The files of a program's start in an image, and the imports that lead out of them."""

    prepared: Prepared
    own: Modules | None  # of the project's wheel
    tree: Tree
    entries: tuple[Entry, ...]
    outside: tuple[Import, ...]

    @classmethod
    def of(
        cls,
        project: Project,
        prepared: Prepared,
        own: Modules | None,
        read: Callable[..., Contents] = read,
    ) -> "Start":
        """Return the start of an image, whose files are read."""
        spec, tree = prepared.spec, replace(_tree(project, prepared, own), read=read)
        entries = [
            entry_of(step, spec.env, spec.workdir) or _own_program(step, spec, own)
            for step in spec.steps
        ]
        kept = tuple(entry for entry in entries if entry)
        outside = tuple(lead for entry in kept for lead in follow(tree, entry))
        return cls(prepared=prepared, own=own, tree=tree, entries=kept, outside=outside)

    def lacking(self, wheels: Sequence[Modules]) -> list[Import]:
        """Return the imports that find no module in wheels that bring these."""
        available = self._available(wheels)
        return [
            lead
            for lead in self.outside
            if not available.has(lead.module) and lead.top not in self._allowed
        ]

    def check(
        self,
        wheels: Sequence[Modules],
        store: Store,
        programs: Callable[[], Collection[str]] | None = None,
    ) -> list[Import]:
        """Return the missing modules; `wheels` are those of the image's wheels, in their order.

        Raises LockstitchError with each module that the start certainly needs and, with
        `programs`, which returns those of the base, for a program that no package has.
        """
        steps, prepared = self.prepared.spec.steps, self.prepared
        modules = [*wheels, *([self.own] if self.own else [])]
        unknown = [_program(s[0], modules, prepared, programs) for s in steps if programs]
        raise_all([*filter(None, unknown)])
        lacking = self.lacking(wheels)
        needed = _first_of_each(lead for lead in lacking if lead.reach is Reach.CERTAIN)
        problems = [
            self._own_error(e) if e.file else _error(f"{e.path}:{e.line}", e.module, prepared)
            for e in needed
        ]
        for lack in self._remembered_lacks(modules, wheels, store):
            sure = lack.is_sure or lack.top in _WELL_KNOWN
            if sure and lack.top not in self._allowed | {lead.top for lead in needed}:
                where = f"{lack.path}:{lack.line} of `{lack.wheel.name} {lack.wheel.version}`"
                problems.append(_error(where, lack.module, prepared))
        raise_all(problems)
        return lacking

    def through(self, tops: Collection[str], store: Store) -> list[str]:
        """Return modules of top-level names that packages of the image surely import at its start.

        Of each name that of the nearest import; none where a wheel's names are not known.
        """
        known = [remembered(wheel.digest, store) for wheel in self.prepared.wheels]
        wheels = [modules for modules in known if modules]
        if len(wheels) < len(known):
            return []
        modules = [*wheels, *([self.own] if self.own else [])]
        lacks = self._lacks(modules, wheels, lambda name: name.partition(".")[0] not in tops, store)
        return [lack.module for lack in lacks if lack.is_sure]

    def _remembered_lacks(
        self, modules: list[Modules], wheels: Sequence[Modules], store: Store
    ) -> list[wheel_imports.Lack]:
        """Return the start's imports that packages lack, found once for the same packages."""
        numbered = self.prepared.wheels
        document = {
            "form": [_FORM, wheel_imports.FORM],
            "starts": self._starts(modules),
            "wheels": [wheel.digest for wheel in numbered],
            "own": _document(self.own) if self.own else [],
            "library": sorted(_library(self.prepared)),
            "python": list(self.tree.python),
        }
        key = of_bytes(canonical_json(document)).hex
        record = store.record("lacks", key)
        if record is not None:
            return [wheel_imports.Lack(**e, wheel=numbered[at]) for at, e in record]
        lacks = self._lacks(modules, wheels, self._available(wheels).has, store)
        store.remember("lacks", key, [[numbered.index(e.wheel), e.document()] for e in lacks])
        return lacks

    def _starts(self, modules: Sequence[Modules]) -> list[str]:
        starts = [e.module for e in self.outside if e.reach is Reach.CERTAIN]
        starts += [n for step in self.prepared.spec.steps for n in _programs_modules(step, modules)]
        return starts + [f"{entry.module}.__main__" for entry in self.entries if entry.module]

    def _lacks(
        self,
        modules: list[Modules],
        wheels: Sequence[Modules],
        has: Callable[[str], bool],
        store: Store,
    ) -> list[wheel_imports.Lack]:
        starts = self._starts(modules)
        tops = [{*wheel.tops, *wheel.spaces} for wheel in wheels]
        return wheel_imports.lacks(starts, self.prepared.wheels, has, tops, store, self.tree.python)

    def _own_error(self, lack: Import) -> LockstitchError:
        """Return the problem of an import of a module that should be in an own folder."""
        image = self.prepared.spec.name
        if self.tree.text(lack.file) is not None:
            message = f"{lack.path}:{lack.line}: `{lack.file}` is not in the image `{image}`"
            hint = f'include = ["{lack.file}"] in [tool.lockstitch.images.{image}]'
            return LockstitchError(message, hint=hint)
        message = f"{lack.path}:{lack.line}: `{lack.module}` is not there: no `{lack.file}`"
        hint = f"`git check-ignore -v {lack.file}` says whether .gitignore kept it out; "
        hint += f'or allow-missing = ["{lack.top}"]'
        return LockstitchError(message, hint=hint)

    @property
    def _allowed(self) -> set[str]:
        return {name.partition(".")[0] for name in self.prepared.spec.allow_missing}

    def _available(self, wheels: Sequence[Modules]) -> "_Available":
        own = [self.own] if self.own else []
        return _Available([*wheels, *own], _library(self.prepared))


def check_commands(specs: Iterable[ImageSpec]) -> None:
    """Raise LockstitchError for each image without a command that does not say so."""
    problems = []
    for spec in specs:
        if spec.command or spec.bare:
            continue
        message = f"image `{spec.name}` has no command: a container of it has nothing to run"
        hint = f'command = ["python", "FILE.py"] in [tool.lockstitch.images.{spec.name}]'
        problems.append(LockstitchError(message, hint=f"{hint}; or command = [], if that is meant"))
    raise_all(problems)


def start_of(project: Project, prepared: Prepared, store: Store) -> Start:
    """Return the start of an image, with what is known of the project's own wheel."""
    wheel = prepared.project_wheel
    return Start.of(project, prepared, remembered(wheel.digest, store) if wheel else None)


def key_of(prepared: Prepared) -> str:
    """Return the key of an answer: the bytes of all layers, and how the program starts."""
    spec = prepared.spec
    document = {
        "form": _FORM,
        "layers": [layer.key for layer in prepared.layers],
        "command": spec.started,
        "workdir": spec.workdir,
        "env": sorted(spec.env.items()),
        "allow": spec.allow_missing,
    }
    return of_bytes(canonical_json(document)).hex


def _first_of_each(imports: Iterable[Import]) -> list[Import]:
    first: dict[str, Import] = {}
    for lead in imports:
        first.setdefault(lead.top, lead)
    return [*first.values()]


def _generated(top: str, prepared: Prepared) -> str:
    """Return the command that makes a module of gRPC or protobuf, or includes it, else ""."""
    file = next(iter(prepared.files), None)
    if file is None or not (stem := _OF_PROTO.fullmatch(top)):
        return ""
    root = file.path.parents[file.name.count("/")]
    if (root / f"{top}.py").is_file():
        return f'include = ["{top}.py"] in [tool.lockstitch.images.{prepared.spec.name}]'
    names = (file.name for file in files.walk(root))
    proto = next((name for name in names if basename(name) == f"{stem[1]}.proto"), "")
    folder = dirname(proto) or "."
    command = f"python -m grpc_tools.protoc -I {folder} --python_out=. --grpc_python_out=. {proto}"
    return f"uv run --with grpcio-tools {command}" if proto else ""


def _error(where: str, module: str, prepared: Prepared) -> LockstitchError:
    image, python = prepared.spec.name, prepared.base.python.rpartition(".")[0]
    message = f"{where}: `{module}` is in no package of image `{image}`"
    top = module.partition(".")[0]
    if top in prepared.base.lacks:
        message = f"{where}: `{module}`, a part of Python, is not in the base"
        hint = f'base = "python:{python}", an image that has it; or import it only where it is used'
        return LockstitchError(message, hint=hint)
    hint = f"uv add --frozen {distribution_of(module)} && lockstitch lock; or "
    hint += f'allow-missing = ["{top}"]'
    ends = (f"/{top}.py", f"/{top}/__init__.py")
    own = next((f"/{file.name}" for file in prepared.files if f"/{file.name}".endswith(ends)), "")
    if own:  # it is in the image, where nothing looks for it
        root = own.removesuffix(ends[0]).removesuffix(ends[1])
        path = ":".join(filter(None, (prepared.spec.env.get("PYTHONPATH"), f"/app{root}")))
        hint = f'env = {{PYTHONPATH = "{path}"}} in [tool.lockstitch.images.{image}]'
    elif generated := _generated(top, prepared):
        hint = generated
    return LockstitchError(message, hint=hint)


def _own_program(step: Sequence[str], spec: ImageSpec, own: Modules | None) -> Entry | None:
    """Return where a program of the project's own wheel begins, or None for any other one."""
    target = own.programs.get(basename(step[0])) if own and step else None
    entry = entry_of(("python", "-m", target), spec.env, spec.workdir) if target else None
    # Unlike `python -m`, it does not look into the working folder.
    return replace(entry, roots=entry.roots[1:]) if entry else None


def _programs_modules(step: Sequence[str], modules: Sequence[Modules]) -> Iterator[str]:
    """Yield the modules that a program of a package starts with."""
    targets = (module.programs.get(basename(step[0]), "") for module in modules)
    yield from (target for target in targets if target)


def _note(possible: list[Import]) -> str:
    shown = first_of([f"`{lead.top}` ({lead.path}:{lead.line})" for lead in possible], _SHOWN)
    return f"not in the image, and imported in functions or branches: {shown}"


# --- what the image has


@positional
class _Available:
    modules: list[Modules]
    library: frozenset[str]

    def has(self, module: str) -> bool:
        """Return whether an import finds its module; of a regular package any part counts."""
        parts = module.split(".")
        if parts[0] in self.library or parts[0] in {"__main__", *sys.builtin_module_names}:
            return True
        if any(parts[0] in module.tops for module in self.modules):
            return True
        spaces = [module.spaces[parts[0]] for module in self.modules if parts[0] in module.spaces]
        return bool(spaces) and (len(parts) == 1 or any(parts[1] in inner for inner in spaces))


def _document(modules: Modules) -> list[Any]:
    spaces = {name: sorted(inner) for name, inner in modules.spaces.items()}
    return [sorted(modules.tops), spaces, dict(modules.programs)]


def _library(prepared: Prepared) -> frozenset[str]:
    minor = int(prepared.base.python.split(".")[1])
    names = standard_library(minor, sys.stdlib_module_names)
    if any("distutils-precedence" in w.filename or w.name == "setuptools" for w in prepared.wheels):
        names |= {"distutils"}  # setuptools brings it back (distutils-precedence.pth)
    return names - prepared.base.lacks


def _program(
    name: str, modules: list[Modules], prepared: Prepared, programs: Callable[[], Collection[str]]
) -> LockstitchError | None:
    """Return the problem of a command's program, where it can be known."""
    base = basename(name)
    if prepared.base.image or "/" in name or base.startswith("python"):
        return None  # a registry's image has programs of its own
    if any(base in module.programs for module in modules) or base in programs():
        return None
    spec = prepared.spec
    table = f"[tool.lockstitch.images.{spec.name}]"
    if base in _SHELLS:
        message = f"`{name}`, the command of `{spec.name}`: the base has no shell"
        hint = f'command = ["python", "…"] in {table}, or packages = ["dash"] in '
        return LockstitchError(message, hint=f"{hint}[tool.lockstitch.base]")
    message = f"`{name}`, the command of `{spec.name}`, is in no package of the image"
    return LockstitchError(message, hint=f"uv add --frozen {base} && lockstitch lock")


def remembered(wheel: Digest, store: Store) -> Modules | None:
    """Return a wheel's modules, from the wheel or from its record."""
    key = f"{wheel.hex}-{_FORM}"
    record = store.record("modules", key)
    if isinstance(record, dict):
        return Modules(
            tops=frozenset(record["tops"]),
            spaces={name: frozenset(inner) for name, inner in record["spaces"].items()},
            programs=record["programs"],
        )
    if not store.has_whole(wheel):
        return None
    return remember(wheel, modules_of(store.path(wheel)), store)


def remember(wheel: Digest, modules: Modules, store: Store) -> Modules:
    """Record a wheel's modules, and return them."""
    key = f"{wheel.hex}-{_FORM}"
    document = {
        "tops": sorted(modules.tops),
        "spaces": {name: sorted(inner) for name, inner in sorted(modules.spaces.items())},
        "programs": dict(sorted(modules.programs.items())),
    }
    store.remember("modules", key, document)
    return modules


def _tree(project: Project, prepared: Prepared, own: Modules | None) -> Tree:
    """Return the files of the image's program: those it includes, and its own package's."""
    names = {file.name for file in prepared.files}
    installed: dict[str, str] = {}
    for top in own.tops if own else ():
        for folder in ("src", "", "lib", "python"):
            base = f"{folder}/{top}" if folder else top
            inside = [
                path.relative_to(project.root).as_posix()
                for path in sorted((project.root / base).rglob("*.py"))
            ]
            single = f"{base}.py" if (project.root / f"{base}.py").is_file() else ""
            if inside or single:
                names |= {*inside, *([single] if single else [])}
                installed[top] = folder
                break
    minor = int(prepared.base.python.split(".")[1])
    return Tree(frozenset(names), _reader(project.root), (3, minor), installed)


def _reader(root: Path) -> "functools._lru_cache_wrapper[str | None]":
    @functools.cache
    def read(name: str) -> str | None:
        try:
            return files.read_text(root / name)
        except (LockstitchError, OSError):
            return None

    return read
