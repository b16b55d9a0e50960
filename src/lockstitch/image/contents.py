"""The contents of layers: the virtual environment, installed wheels, the project's own files."""

import os
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from lockstitch.digest import Hasher, of_bytes
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.files import FoundFile
from lockstitch.headers import fields_of
from lockstitch.image.own_files import OwnFiles
from lockstitch.image.paths import APP, VENV, bin_folder, site_packages
from lockstitch.image.wheel import (
    Member,
    Row,
    Wheel,
    read_record_file,
    record_hash,
    write_record_file,
)
from lockstitch.oci.entry import (
    STORED_FROM,
    Content,
    Entry,
    Generated,
    Kind,
    OnDisk,
    file,
    folder,
    parents,
    symlink,
)
from lockstitch.patterns import regex
from lockstitch.python import names
from lockstitch.python.model import BESIDE, ImageSpec, Project
from lockstitch.python.size import shown
from lockstitch.resources import load_script
from lockstitch.table import first_of
from lockstitch.values import positional, replace

_LARGE = 100 * 1000 * 1000  # bytes
HEALTH: Final = f"{APP}/.lockstitch/health.py"


def venv(python: str, program: str, minor: str = "") -> Iterator[Entry]:
    """Yield a virtual environment (PEP 405) of the base's Python.

    `python` is its full version, `program` its absolute path in the image, and `minor` names
    folders and programs where that is not X.Y.
    """
    minor = minor or names.minor(python)
    home = program.rpartition("/")[0]
    text = f"home = {home}\ninclude-system-site-packages = false\nversion = {python}\n"
    yield folder(APP)
    yield file(f"{VENV}/pyvenv.cfg", text.encode())
    for name in ("python", "python3", f"python{minor}"):
        yield symlink(f"{bin_folder()}/{name}", program)
    yield folder(site_packages(minor))


# --- wheels

_INSTALLER = b"lockstitch\n"  # no version: a new lockstitch alone must not change a layer
_LONGEST_NAME, _LONGEST_PATH, _DEEPEST_PATH = 255, 4096, 256  # bytes, bytes, folders
_PYTHON = regex(r"python(?:\d[\d.]*t?)?")
_DATA_PLACES = {"purelib": "", "platlib": "", "scripts": "bin", "data": "", "headers": "include"}


class InstalledWheel:
    """A wheel laid out for one minor version of Python (binary distribution format, PEP 427)."""

    def __init__(
        self,
        path: Path,
        filename: str,
        minor: str,
        *,
        trimmed: bool,
        lost: Collection[str] = frozenset(),
        hashed: bool = False,
    ) -> None:
        """Open a wheel and place the members that are its own; raises LockstitchError.

        `hashed` takes the hashes of its files from what they are, where RECORD has others.
        """
        self.wheel = Wheel(path, filename)
        self.misrecorded: list[str] = []  # files that RECORD has other hashes for
        self._site = site_packages(minor)
        self._minor = minor
        self._trimmed = trimmed
        self._info = self._dist_info()
        self._check_documents()
        self._known = self._recorded(hashed=hashed)
        self._written = {f"{self._info}/RECORD", f"{self._info}/INSTALLER"}  # anew, by us
        self._lost = frozenset(lost)
        self._placed = {p: member for p, member in self._places() if p not in self._lost}

    def close(self) -> None:
        """Close the file."""
        self.wheel.close()

    def metadata(self) -> bytes:
        """Return the METADATA file of the package (core metadata)."""
        return self.wheel.members[f"{self._info}/METADATA"].read()

    def left_out(self) -> tuple[str, ...]:
        """Return the paths that trimming leaves out, as in the wheel; folders end in a slash."""
        placed = {member.name for member in self._placed.values()}
        whole = [name for name in self.wheel.members if self._place(name, trimmed=False)]
        return folded(placed, {*whole} - placed)

    def listing(self) -> dict[str, tuple[int, int, bool]]:
        """Return size, CRC-32 and whether trimming leaves it out of each file, by path.

        What lockstitch writes itself is not there, since no two packages have one path for it.
        """
        files = {
            path: (member.size, member.crc, self._place(member.name, trimmed=True) is None)
            for path, member in self._placed.items()
        }
        scripts = {path: (len(d), zlib.crc32(d), False) for path, d in self._scripts().items()}
        return files | scripts

    def sources(self) -> list[tuple[str, str]]:
        """Return (member, path in the image) of the modules to compile, sorted."""
        prefix = f"{self._site}/"
        return [
            (member.name, path)
            for path, member in sorted(self._placed.items())
            if path.startswith(prefix) and path.endswith(".py")
        ]

    def entries(self, compiled: Mapping[str, Content]) -> Iterator[Entry]:
        """Yield the files as they are in the image, with bytecode by path where there is any."""
        rows = self._rows()
        for path, member in self._placed.items():
            if member.size == 0:
                list(member.plain())  # it has nothing to stitch, so it is checked here
            yield _entry(path, member, executable=member.executable)
        for path, data in self._scripts().items():
            rows.append(self._row(path, data))
            yield _entry(path, Generated(data), executable=True)
        for path, content in compiled.items():
            # Not in RECORD, which lets a fingerprint ignore how an environment was compiled.
            yield _entry(path, content)
        installer = f"{self._site}/{self._info}/INSTALLER"
        rows.append(self._row(installer, _INSTALLER))
        yield _entry(installer, Generated(_INSTALLER))
        name = f"{self._info}/RECORD"
        rows.append((name, "", ""))
        yield _entry(f"{self._site}/{name}", Generated(write_record_file(rows)))

    def _dist_info(self) -> str:
        stem = "-".join(self.wheel.filename.split("-")[:2])
        wanted = _normal(stem)
        tops = sorted({name.split("/")[0] for name in self.wheel.members})
        infos = [top for top in tops if top.endswith(".dist-info")]
        if len(infos) != 1 or _normal(infos[0].removesuffix(".dist-info")) != wanted:
            message = f"`{self.wheel.filename}` has {infos or 'no .dist-info folder'}, "
            message += f"wanted `{stem}.dist-info`"
            raise LockstitchError(message)
        for name in ("WHEEL", "METADATA", "RECORD"):
            if f"{infos[0]}/{name}" not in self.wheel.members:
                message = f"`{self.wheel.filename}` has no {name}"
                raise LockstitchError(message)
        return infos[0]

    def _check_documents(self) -> None:
        """Raise LockstitchError for a WHEEL of another version, a METADATA of another package."""
        written = self._headers("WHEEL").get("wheel-version", "1")
        if written.partition(".")[0] != "1":
            message = f"`{self.wheel.filename}` has Wheel-Version {written:.20}, only 1 is known"
            raise LockstitchError(message)
        name, version = self.wheel.filename.split("-")[:2]
        headers = self._headers("METADATA")
        for key, wanted, same in (
            ("Name", name, lambda one, other: names.normal(one) == names.normal(other)),
            ("Version", version, names.same_version),
        ):
            given = headers.get(key.lower(), wanted)
            if not same(given, wanted):
                message = f"the METADATA of `{self.wheel.filename}` has the {key} `{given:.100}`"
                raise LockstitchError(message)

    def _headers(self, name: str) -> dict[str, str]:
        """Return the first value of each header of a document, by its name in lower case."""
        return fields_of(self.wheel.members[f"{self._info}/{name}"].read())

    def _recorded(self, *, hashed: bool) -> dict[str, tuple[str, str]]:
        """Return hash and size of each file by RECORD, which its content is held against."""
        try:
            rows = read_record_file(self.wheel.members[f"{self._info}/RECORD"].read())
        except ValueError as error:
            message = f"the RECORD of `{self.wheel.filename}` cannot be read: {error}"
            raise LockstitchError(message) from error
        known = {name: (digest, size) for name, digest, size in rows}
        for name in sorted(known.keys() & self.wheel.members.keys()) if hashed else ():
            actual = self._hashed(name, self.wheel.members[name])[1:]
            if known[name][0] and known[name] != actual and not name.endswith("/RECORD"):
                known[name] = actual
                self.misrecorded.append(name)
        for name in known.keys() & self.wheel.members.keys():
            if name != f"{self._info}/RECORD":
                member = self.wheel.members[name]
                self.wheel.members[name] = replace(member, recorded=known[name][0])
        return known

    def _places(self) -> Iterator[tuple[str, Member]]:
        """Yield (path in the image, member) for every member that is taken unchanged."""
        taken: set[str] = set()
        for name, member in self.wheel.members.items():
            path = self._place(name, trimmed=self._trimmed)
            if path is None:
                continue
            self._check_place(name, path)
            if path in taken:
                raise LockstitchError(f"`{self.wheel.filename}` would write `{path}` twice")
            taken.add(path)
            yield path, member

    def _check_place(self, name: str, path: str) -> None:
        """Raise LockstitchError for a path that no system can have, or that Python is found by."""
        parts = path.split("/")
        if (
            len(os.fsencode(path)) >= _LONGEST_PATH
            or len(parts) > _DEEPEST_PATH
            or any(len(os.fsencode(part)) > _LONGEST_NAME for part in parts)
        ):
            message = f"`{name:.200}` in `{self.wheel.filename}` has a name too long for a file"
            raise LockstitchError(message)
        where, _, last = path.rpartition("/")
        is_python = where == bin_folder() and _PYTHON.fullmatch(last)
        if is_python or path == f"{VENV}/pyvenv.cfg":
            message = f"`{name:.200}` in `{self.wheel.filename}` would replace `/{path}`, by which "
            message += "the image finds its Python"
            raise LockstitchError(message)

    def _place(self, name: str, *, trimmed: bool) -> str | None:
        top, _, rest = name.partition("/")
        if name in self._written:
            return None
        if rest and self._is_data(top):
            kind, _, inner = rest.partition("/")
            if kind not in _DATA_PLACES or not inner:
                message = f"`{name}` in `{self.wheel.filename}` is in no known scheme"
                raise LockstitchError(message)
            if kind == "scripts":
                return None  # its first line may change: see _scripts
            if kind == "data":
                return f"{VENV}/{inner}"
            if kind == "headers":
                package = self._info.split("-")[0]
                path = f"{VENV}/include/site/python{self._minor}/{package}/{inner}"
                return None if trimmed else path
            name = inner
            if name in self._written:
                message = f"`{self.wheel.filename}` brings its own `{name}` as data"
                raise LockstitchError(message)
        if "__pycache__/" in name or name.endswith(".pyo"):
            return None  # compiled by another interpreter
        if name.endswith(".pyc") and f"{name.removesuffix('c')}" in self.wheel.members:
            return None  # the same, beside its source; without one it is the module itself
        if trimmed and is_trimmed(name):
            return None
        return f"{self._site}/{name}"

    def _is_data(self, top: str) -> bool:
        stem = self._info.removesuffix(".dist-info")
        return top.endswith(".data") and _normal(top.removesuffix(".data")) == _normal(stem)

    def _scripts(self) -> dict[str, bytes]:
        """Return path → text of the programs; an entry point wins over a file of its name."""
        scripts: dict[str, bytes] = {}
        for name, member in self.wheel.members.items():
            top, _, rest = name.partition("/")
            kind, _, inner = rest.partition("/")
            if kind == "scripts" and inner and self._is_data(top):
                self._check_place(name, f"{bin_folder()}/{inner}")
                scripts[f"{bin_folder()}/{inner}"] = with_shebang(member.read())
        entry_points = self.wheel.members.get(f"{self._info}/entry_points.txt")
        if entry_points:
            for name, data in console_scripts(entry_points.read(), self.wheel.filename):
                self._check_place(f"entry_points.txt: {name}", f"{bin_folder()}/{name}")
                scripts[f"{bin_folder()}/{name}"] = data
        return {path: data for path, data in scripts.items() if path not in self._lost}

    def _rows(self) -> list[Row]:
        """Return the wheel's own rows for files of the image, under the installed paths."""
        return [
            (self._relative(path), *self._known[member.name])
            if member.name in self._known
            else self._hashed(path, member)  # a file that the wheel's RECORD forgot
            for path, member in self._placed.items()
        ]

    def _hashed(self, path: str, member: Member) -> Row:
        hasher = Hasher()
        for chunk in member.plain():
            hasher.update(chunk)
        return (self._relative(path), record_hash(hasher.digest()), str(hasher.size))

    def _row(self, path: str, data: bytes) -> Row:
        return (self._relative(path), record_hash(of_bytes(data)), str(len(data)))

    def _relative(self, path: str) -> str:
        # RECORD's paths start from site-packages, three folders below the environment.
        inside = path.removeprefix(f"{self._site}/")
        return inside if inside != path else f"../../../{path.removeprefix(f'{VENV}/')}"


def _entry(path: str, content: Content, *, executable: bool = False) -> Entry:
    return Entry(path=path, kind=Kind.FILE, mode=0o755 if executable else 0o644, content=content)


def _normal(stem: str) -> str:
    name, _, version = stem.partition("-")
    return f"{names.normal(name)}-{version.lower()}"


# --- scripts that wheels bring

_NAME = regex(r"[^\W_][^\s/\\\x00-\x1f\x7f]*")  # any name of a file, as `smc++`
_REFERENCE = regex(
    r"(?P<module>[A-Za-z_][\w]*(?:\.[A-Za-z_][\w]*)*)\s*:\s*"
    r"(?P<attribute>[A-Za-z_][\w]*(?:\.[A-Za-z_][\w]*)*)\s*(?:\[.*\])?"
)
# A direct line: the `sh` trampoline that installers write is dead in an image with no shell.
_SHEBANG = f"#!/{bin_folder()}/python\n"
_TEMPLATE = """\
{shebang}import sys

from {module} import {top}

if __name__ == "__main__":
    sys.exit({attribute}())
"""


def console_scripts(entry_points: bytes, source: str) -> Iterator[tuple[str, bytes]]:
    """Yield (name, text) of the scripts that an entry_points.txt declares, sorted by name.

    Raises LockstitchError for a file that cannot be read and for an entry that is no script.
    """
    import configparser

    parser = configparser.ConfigParser(
        delimiters=("=",),
        interpolation=None,
        strict=False,
        default_section="\0",  # a section named DEFAULT has no meaning here
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    try:
        parser.read_string(entry_points.decode("utf-8"))
    except (configparser.Error, UnicodeDecodeError) as error:
        raise LockstitchError(f"the entry points of `{source}` cannot be read: {error}") from error
    scripts: dict[str, bytes] = {}
    for section in ("console_scripts", "gui_scripts"):
        for name, reference in parser.items(section) if parser.has_section(section) else ():
            scripts[name] = _script(name, reference, source)
    yield from sorted(scripts.items())


def _script(name: str, reference: str, source: str) -> bytes:
    match = _REFERENCE.fullmatch(reference.strip())
    if not match or not _NAME.fullmatch(name):
        message = f"`{source}` declares the script `{name:.80} = {reference:.80}`, which is none"
        raise LockstitchError(message)
    return _TEMPLATE.format(
        shebang=_SHEBANG,
        module=match["module"],
        top=match["attribute"].split(".")[0],
        attribute=match["attribute"],
    ).encode()


def with_shebang(script: bytes) -> bytes:
    """Return a wheel's script with the image's Python in place of `#!python`."""
    first, newline, rest = script.partition(b"\n")
    if first.startswith(b"#!python"):
        return _SHEBANG.encode() + rest if newline else _SHEBANG.encode()
    return script


# --- what `trim = true` leaves out of a wheel: declared here, listed nowhere else

_FOLDERS: Final = frozenset({"tests"})
_SUFFIXES: Final = frozenset(
    {".pyi", ".a", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hh", ".hpp", ".hxx"}
    | {".pxd", ".pxi", ".pyx", ".f", ".f90"}
)
# What serving and training do not use of single packages, by how its path starts.
_OF_PACKAGES: Final = (
    "onnx/backend/test/",  # the standard's test data
    "onnxruntime/capi/libonnxruntime.so.",  # for programs in C: the module has its own copy in it
    "onnxruntime/quantization/",  # tools for models, not for running them
    "onnxruntime/tools/",
    "onnxruntime/transformers/",
    "sklearn/datasets/data/",  # sample data sets, loaded by name only
    "sklearn/datasets/descr/",
    "sklearn/datasets/images/",
)
# Imported at run time although they lie in a tests folder.
_KEPT: Final = frozenset({"numpy/_core/tests/_natype.py"})


def is_trimmed(path: str) -> bool:
    """Return whether trimming leaves out a file, by its path below site-packages."""
    if path in _KEPT:
        return False
    parts = PurePosixPath(path)
    if parts.suffix in _SUFFIXES or path.startswith(_OF_PACKAGES):
        return True
    # A top-level `tests` is a package of its own that may be imported by that name.
    return any(part in _FOLDERS for part in parts.parts[1:-1])


def folded(kept: Iterable[str], left: Iterable[str]) -> tuple[str, ...]:
    """Return the paths left out, sorted; a folder of which nothing is kept is one, `name/`."""
    needed = {parent for path in kept for parent in parents(path)}
    names = set()
    for path in left:
        # The root is needed even where nothing is kept: `/` would say less than the names.
        outer = [parent for parent in parents(path) if parent not in needed]
        names.add(f"{outer[-1]}/" if outer else path)
    return tuple(sorted(names))


# --- the project's own files


def included(project: Project, image: ImageSpec, own: OwnFiles | None = None) -> list[FoundFile]:
    """Return the files that an image includes; `passed_over` says which others are left out.

    Raises LockstitchError for each pattern without files, and each file outside the project.
    """
    own = own or OwnFiles(project)
    files: dict[str, FoundFile] = {}
    problems: list[LockstitchError] = []
    for pattern, hits in own.matched(image.include).items():
        files |= {hit.name: hit for hit in hits}
        if not hits:
            message = f"`{pattern}` of image `{image.name}` matches no file in `{project.root}`"
            hint = how_to_get(project, image, pattern)
            hint = hint or "correct the pattern in `include`; ** crosses folders"
            problems.append(LockstitchError(message, hint=hint))
    for entry in files.values():
        if entry.outside:
            message = f"`{entry.name}` leads out of the project, to `{entry.path.resolve()}`"
            problems.append(LockstitchError(message, hint="copy the file into the project"))
        elif not entry.name.isascii() and any("\ud800" <= c <= "\udfff" for c in entry.name):
            shown = entry.name.encode("utf-8", "backslashreplace").decode()
            message = f"`{shown}` has a name that is not UTF-8"
            problems.append(LockstitchError(message, hint="rename it, or narrow `include`"))
        elif own.facts(entry).pointer:
            message = f"`{entry.name}` is a pointer of Git LFS and not the file itself"
            problems.append(LockstitchError(message, hint="git lfs pull"))
    raise_all(problems)
    return [files[name] for name in sorted(files)]


def passed_over(project: Project, image: ImageSpec, own: OwnFiles | None = None) -> list[str]:
    """Return the files that only patterns match, and that git ignores or an editor left there."""
    own = own or OwnFiles(project)
    kept = {hit.name for hits in own.matched(image.include).values() for hit in hits}
    matched = own.matched(image.include, all_files=True)
    return sorted({hit.name for hits in matched.values() for hit in hits} - kept)


def unusual(project: Project, spec: ImageSpec, own: OwnFiles | None = None) -> Iterator[str]:
    """Yield the warnings about an image's files before it is built.

    Large files, notebooks, sources with CRLF, which give another digest than a checkout with LF,
    and Python that is not UTF-8, which Python refuses without a declaration.
    """
    own = own or OwnFiles(project)
    code = own.matched(("src/**/*.py",), all_files=True) if project.is_package else {}
    listed = (*included(project, spec, own), *(hit for hits in code.values() for hit in hits))
    names = {entry.name: entry for entry in listed}
    crlf = []
    if left := passed_over(project, spec, own):
        shortened = first_of([f"`{name}`" for name in left], 3)
        yield f"{shortened} left out of `{spec.name}`: git ignores them, or an editor made them"
    for name, entry in sorted(names.items()):
        if entry.size > _LARGE:
            yield f"`{name}` has {shown(entry.size)}: `{spec.name}` is that much larger"
        elif name.endswith(".ipynb") and PurePosixPath(name).name not in " ".join(spec.started):
            yield f"`{name}` is a notebook: nothing runs it in `{spec.name}`"
        elif name.endswith((".py", ".sh")):
            facts = own.facts(entry)
            if facts.crlf:
                crlf.append(name)
            if facts.unreadable:
                yield f"`{name}` is not UTF-8 and declares no encoding: Python cannot read it"
    if crlf:
        shortened = first_of([f"`{name}`" for name in crlf], 1)
        yield f"{shortened} with CRLF: the digest differs from a checkout with LF"


def how_to_get(project: Project, image: ImageSpec, path: str) -> str:
    """Return the command that brings a file that an image wants and the project lacks, or ""."""
    for kept in (PurePosixPath(path), *PurePosixPath(path).parents[:-1]):
        if (project.root / f"{kept}.dvc").is_file():
            return f"dvc pull {kept}.dvc"
    jobs = [job for job in project.images if job.name != image.name and not job.port]
    jobs.sort(key=lambda job: "train" not in job.name)  # which runs what it needs first
    for job in jobs:
        if any(path.startswith(f"{output.rstrip('/')}/") for output in job.outputs):
            return f"lockstitch run {job.name}"
    if beside := next((job.name for job in jobs if BESIDE in job.outputs), ""):
        return f"lockstitch run {beside}"
    if other := _other_case(project.root, path):
        return f"git mv {other[0]} {other[1]}"
    return "train first, or take the pattern out of `include`" if path.startswith("models/") else ""


def _other_case(root: Path, path: str) -> tuple[str, str] | None:
    """Return the name of what a path means but for its case, and the name that it should have."""
    place = PurePosixPath()
    for part in PurePosixPath(path).parts:
        if "*" in part:
            break
        if not (root / place / part).exists():
            names = [p.name for p in (root / place).iterdir() if p.name.lower() == part.lower()]
            return (str(place / names[0]), str(place / part)) if names else None
        place /= part
    return None


@positional
class _Watched(OnDisk):
    """A large file, which is refused at its end where it changed since it was hashed."""

    file: FoundFile

    def plain(self) -> Iterator[bytes]:
        """Yield the content; raises LockstitchError."""
        yield from OnDisk.plain(self)
        _check_unchanged(self.file)


def content_of(file: FoundFile) -> Content:
    """Return the file's content, and refuse one that changed since it was hashed."""
    _check_unchanged(file)
    if file.size >= STORED_FROM:
        return _Watched(file.path, file.size, file)
    content = Generated(file.path.read_bytes())
    _check_unchanged(file)
    return content


def _check_unchanged(file: FoundFile) -> None:
    if not file.is_as_it_was(file.path.stat()):
        raise changed(file)


def changed(file: FoundFile) -> LockstitchError:
    """Return the error about a file that is another one than when the build began."""
    message = f"`{file.name}` changed while the image was built"
    return LockstitchError(message, hint="run the same command again")


def app_files(
    files: Sequence[FoundFile],
    image: ImageSpec,
    content: Callable[[FoundFile], Content] = content_of,
) -> Iterator[Entry]:
    """Yield files below /app as an image has them."""
    for entry in files:
        # The owner's x bit is all that is kept of a mode: a umask never takes that one away.
        mode = 0o755 if entry.executable else 0o644
        # A database or a model among the outputs, which the program writes again.
        is_output = entry.name.startswith(_output_folders(image)) or (
            BESIDE in image.outputs and "/" not in entry.name
        )
        if is_output and not entry.name.endswith(".py"):
            mode |= 0o022
        yield Entry(path=f"{APP}/{entry.name}", kind=Kind.FILE, mode=mode, content=content(entry))


def _output_folders(image: ImageSpec) -> tuple[str, ...]:
    return tuple(f"{name.rstrip('/')}/" for name in image.outputs if name != BESIDE)


def below_outputs(files: Sequence[FoundFile], image: ImageSpec) -> list[FoundFile]:
    """Return the files in folders that the program may write to."""
    return [entry for entry in files if entry.name.startswith(_output_folders(image))]


def app_folders(files: Sequence[FoundFile], image: ImageSpec) -> Iterator[Entry]:
    """Yield output folders that any user may write to, symlinks and the health check.

    Of all files of an image, whose folders below outputs are output folders too.
    """
    folders = _output_folders(image)
    below = {
        str(parent)
        for entry in below_outputs(files, image)
        for parent in PurePosixPath(entry.name).parents
        if f"{parent}/".startswith(folders)
    }
    outputs = {name.rstrip("/") for name in image.outputs if name != BESIDE}
    for name in (*image.outputs, *sorted(below - outputs)):
        yield folder(APP if name == BESIDE else f"{APP}/{name}", mode=0o1777)
    for path, target in image.links.items():
        yield symlink(path, target)
    if image.health:
        yield file(HEALTH, load_script("health.py"))
