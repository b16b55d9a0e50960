"""Finds the CPython of an image by reading its files: nothing of it is run."""

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from lockstitch.errors import LockstitchError
from lockstitch.lock.bases.registry.base import PATH
from lockstitch.oci.rootfs import Node, RootFs
from lockstitch.values import frozen

_PROGRAM = re.compile(r"(?:.*/)?bin/python(?:3(?:\.\d{1,2})?)?")
_LIBRARY = re.compile(
    r"(?:.*/)?(?:libpython3\.\d{1,2}\.so(?:\.[\d.]+)?|libc\.so\.6|libc-2\.\d+\.so|ld-musl-\w+\.so\.1)"
)
_HEADER = re.compile(r"(?:.*/)?include/python3\.\d{1,2}/patchlevel\.h")
# Where loaders look besides what /etc/ld.so.conf names; {} is the processor's name.
_LIBRARIES = (
    *("usr/local/lib", "lib/{}-linux-gnu", "usr/lib/{}-linux-gnu", "lib64", "usr/lib64"),
    *("lib", "usr/lib"),
)
_PROCESSORS = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
_GLIBC = re.compile(rb"GNU C Library[^\n]{0,200}? version (2\.\d{1,3})")
_MUSL = re.compile(rb"(?<=\0)(1\.\d{1,2})\.\d{1,3}(?=\0)")
_TAG = re.compile(rb"(?<=\0)cpython-3(\d{1,2}t?)(?=\0)")  # sys.implementation.cache_tag
_PASSABLE, _RUNNABLE = 0o001, 0o005
MACHINES = {"linux/amd64": 62, "linux/arm64": 183}  # EM_X86_64, EM_AARCH64 of ELF
_ELF_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
_ELF_SEGMENT = struct.Struct("<IIQQQQQQ")
_ELF_LOADER = 3  # PT_INTERP
_LONGEST_PATH = 4096
_ELF_MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian: what both machines are


@frozen
class Interpreter:
    """A CPython and the C library that it is linked with."""

    program: str  # absolute, with no symlink on the way
    version: str
    glibc: str
    musl: str


def wanted(path: str) -> bool:
    """Return whether `find` may have to read a file."""
    return any(form.fullmatch(path) for form in (_PROGRAM, _LIBRARY, _HEADER))


def find(
    tree: RootFs[bytes], env: Mapping[str, str], platform: str, minor: str, name: str
) -> Interpreter:
    """Return the CPython X.Y that a container of the image finds on its PATH.

    Raises LockstitchError that says which ones there are, when none fits.
    """
    others: list[str] = []
    for path in _candidates(tree, env, minor):
        try:
            return _Read(tree, path, platform, minor).interpreter()
        except _OtherError as error:
            others.append(f"`/{path}` {error}")
    what = "; ".join(dict.fromkeys(others))
    message = f"`{name}` has no CPython {minor} for {platform} on its PATH"
    message += f": {what}" if others else ", nor any other Python"
    versions = sorted(set(re.findall(r"is CPython (3\.\d+)", what)))
    hint = f'python = "{versions[0]}", or ' if versions else ""
    raise LockstitchError(message, hint=f"{hint}name a base that has it")


def _candidates(tree: RootFs[bytes], env: Mapping[str, str], minor: str) -> Iterator[str]:
    """Yield the real paths of programs, the exact name first, each once."""
    seen: set[str] = set()
    folders = [folder for folder in env.get("PATH", PATH).split(":") if folder.startswith("/")]
    for name in (f"python{minor}", "python3", "python"):
        for folder in folders:
            real = tree.resolve(f"{folder}/{name}")
            if real and real not in seen and tree.file(real):
                seen.add(real)
                yield real


class _OtherError(Exception):
    """Says why a program is not the Python that is wanted."""


class _Read:
    def __init__(self, tree: RootFs[bytes], path: str, platform: str, minor: str) -> None:
        self._tree = tree
        self._path = path
        self._platform = platform
        self._minor = minor
        self._prefix = str(PurePosixPath(path).parent.parent)

    def interpreter(self) -> Interpreter:
        """Return the interpreter, or raise _OtherError."""
        program = self._tree.file(self._path)
        header = read_elf(program.content or b"") if program else None
        if program is None or header is None:
            raise _OtherError("is no program, but a script or the like")
        if header.machine != MACHINES[self._platform]:
            raise _OtherError(f"is for another processor (ELF machine {header.machine})")
        version = self._version(program)
        self._check_place(program)
        glibc, musl = self._library(header.loader)
        return Interpreter(program=f"/{self._path}", version=version, glibc=glibc, musl=musl)

    def _version(self, program: Node[bytes]) -> str:
        """Return X.Y.Z of the code itself; it stands in the program or in its libpython."""
        code = program.content or b""
        if not _TAG.search(code):
            library = next(self._found(r"libpython3\.\d{1,2}t?\.so[\d.]*"), None)
            code = (library.content if library else None) or b""
        tags = {tag.decode() for tag in _TAG.findall(code)}
        if self._minor.partition(".")[2] not in tags:
            known = " or ".join(f"is CPython 3.{tag}" for tag in sorted(tags))
            raise _OtherError(known or "is no CPython 3")
        minor = re.escape(self._minor).encode()
        header = self._tree.file(f"{self._prefix}/include/python{self._minor}/patchlevel.h")
        for data, form in (
            (code, rb"(?<=\0)(%s\.\d{1,3})\+?(?=\0)"),
            # A linker lets the version be the end of a longer text, such as a path.
            (code, rb"(?<![\d.])(%s\.\d{1,3})\+?(?=\0)"),
            ((header.content if header else None) or b"", rb'PY_VERSION\s+"(%s\.\d{1,3})\+?"'),
        ):
            versions = {version.decode() for version in re.findall(form % minor, data)}
            if len(versions) == 1:
                return str(versions.pop())
        raise _OtherError(f"is CPython {self._minor}, but of which patch version it does not say")

    def _check_place(self, program: Node[bytes]) -> None:
        """Refuse what CPython would not start from, and what only root could start."""
        # Fedora and RHEL have it in lib64 (sys.platlibdir).
        places = (f"{self._prefix}/{lib}/python{self._minor}/os.py" for lib in ("lib", "lib64"))
        if not any(self._tree.file(place) for place in places):
            why = f"is CPython {self._minor} without `/{self._prefix}/lib/python{self._minor}`"
            raise _OtherError(why)
        folders = [str(parent) for parent in PurePosixPath(self._path).parents][:-1]
        closed = [folder for folder in folders if not self._tree.mode(folder) & _PASSABLE]
        if closed or program.mode & _RUNNABLE != _RUNNABLE:
            why = f"is CPython {self._minor} that root alone can run: mode "
            why += f"{self._tree.mode(closed[0] if closed else self._path):04o} of "
            why += f"`/{closed[0] if closed else self._path}`"
            raise _OtherError(why)

    def _library(self, loader: str) -> tuple[str, str]:
        """Return the versions of glibc and musl, one of which is empty."""
        if "/ld-musl-" in loader:
            node = self._tree.file(loader)
            version = _MUSL.search(node.content or b"") if node else None
            if version:
                return "", version[1].decode()
        for node in self._found(r"libc\.so\.6|libc-2\.\d+\.so"):
            if version := _GLIBC.search(node.content or b""):
                return version[1].decode(), ""
        why = f"is CPython {self._minor} with a C library that cannot be read"
        why += f" (loader `{loader:.80}`)"
        raise _OtherError(why)

    def _found(self, form: str) -> Iterator[Node[bytes]]:
        """Yield the libraries of a name where the loader would look for them."""
        name = re.compile(form)
        processor = _PROCESSORS[self._platform]
        places = [f"{self._prefix}/lib", *(place.format(processor) for place in _LIBRARIES)]
        libraries = self._tree.files(lambda path: bool(name.fullmatch(path.rpartition("/")[2])))
        for place in places:
            real = self._tree.resolve(place)
            yield from (n for path, n in libraries if path.rpartition("/")[0] == real)


@frozen
class ElfProgram:
    """A 64-bit little-endian ELF file."""

    machine: int
    loader: str  # "" for a static program or a library


def read_elf(data: bytes) -> ElfProgram | None:
    """Return the ELF headers' facts, or None for another kind of file."""
    if not data.startswith(_ELF_MAGIC) or len(data) < _ELF_HEADER.size:
        return None
    _, machine, _, _, table, _, _, _, width, count, _, _, _ = _ELF_HEADER.unpack_from(data)
    loader = ""
    for number in range(count if width >= _ELF_SEGMENT.size else 0):
        at = table + number * width
        if at + _ELF_SEGMENT.size > len(data):
            return None
        kind, _, start, _, _, size, _, _ = _ELF_SEGMENT.unpack_from(data, at)
        if kind == _ELF_LOADER and size <= _LONGEST_PATH:
            loader = data[start : start + size].partition(b"\0")[0].decode("utf-8", "replace")
    return ElfProgram(machine=machine, loader=loader)
