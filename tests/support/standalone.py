"""Archives of the layout of python-build-standalone's `install_only` ones.

Tiny ones whose programs are only headers, and ones made from a CPython of this machine.
"""

import gzip
import hashlib
import io
import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

from support.bases import elf

__all__ = ["LOADER", "PYENV", "of_pyenv", "pack", "sums", "tiny"]

LOADER = {"amd64": "/lib64/ld-linux-x86-64.so.2", "arm64": "/lib/ld-linux-aarch64.so.1"}
# Beside the Python of the tests, wherever HOME is.
PYENV = Path(sys.base_prefix).parent
# Of the C library, which the base has.
_SYSTEM = re.compile(
    r"(?:libc|libm|libpthread|libdl|librt|libutil|libresolv|libcrypt|ld-linux)\b.*"
)
_LEFT_OUT = {"__pycache__", "test", "tests", "idlelib", "ensurepip", "site-packages", "turtledemo"}
# What an archive has inside its program, and these builds want from a terminal or a screen.
_NOT_MADE = re.compile(r"(?:_tkinter|readline|_curses\w*|_dbm|_gdbm|nis|_test\w*)\..*")


def pack(files: Mapping[str, bytes | str | Path]) -> bytes:
    """Return an archive: path → bytes, a file of this machine, or `-> target` of a symlink."""
    out = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for path, what in files.items():
            info = tarfile.TarInfo(path)
            info.mode = 0o755 if "/bin/" in path else 0o644
            if isinstance(what, str):
                kind, _, info.linkname = what.partition(" ")
                info.type = {"->": tarfile.SYMTYPE, "=>": tarfile.LNKTYPE}[kind]
                tar.addfile(info)
                continue
            data = what.read_bytes() if isinstance(what, Path) else what
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def tiny(
    version: str = "3.12.1",
    *,
    architecture: str = "amd64",
    abi: str = "",
    more: Mapping[str, bytes | str | Path] | None = None,
) -> bytes:
    """Return an archive of a program that is only a header, and next to no library."""
    minor = version.rpartition(".")[0] + abi
    program = elf(LOADER[architecture], b"OpenSSL 3.0.15 3 Sep 2024", machine=architecture)
    files: dict[str, bytes | str | Path] = {
        f"python/bin/python{minor}": program,
        "python/bin/python3": f"-> python{minor}",
        "python/bin/pip": b"#!/bin/sh\n",
        f"python/include/python{minor}/patchlevel.h": f'#define PY_VERSION "{version}"\n'.encode(),
        f"python/lib/python{minor}/os.py": b"# os\n",
        f"python/lib/python{minor}/tkinter/__init__.py": b"# tkinter\n",
        f"python/lib/python{minor}/test/test_os.py": b"# test\n",
        "python/share/man/man1/python3.1": b"manual\n",
    }
    return pack(files | dict(more or {}))


def of_pyenv(version: str) -> bytes:
    """Return an archive made from a CPython of pyenv, with the libraries that it links with.

    Where the loader looks is set anew in place: `$ORIGIN` is shorter than any path of pyenv's.
    """
    root = PYENV / version
    minor = version.rpartition(".")[0]
    library = root / "lib" / f"python{minor}"
    files: dict[str, bytes | str | Path] = {
        f"python/bin/python{minor}": _moved(root / "bin" / f"python{minor}", root, "../lib"),
        "python/bin/python3": f"-> python{minor}",
        "python/bin/python": f"-> python{minor}",
        f"python/lib/libpython{minor}.so.1.0": root / "lib" / f"libpython{minor}.so.1.0",
        f"python/include/python{minor}/patchlevel.h": root
        / f"include/python{minor}"
        / "patchlevel.h",
    }
    for path in sorted(library.rglob("*")):
        name = path.relative_to(root).as_posix()
        parts = {*path.relative_to(library).parts}
        if not path.is_file() or parts & _LEFT_OUT or _NOT_MADE.fullmatch(path.name):
            continue
        if path.suffix == ".so" and path.parent.name == "lib-dynload":
            files[f"python/{name}"] = _moved(path, root, "../..")
            files |= {f"python/lib/{lib.name}": lib.resolve() for lib in _libraries(path)}
        else:
            files[f"python/{name}"] = path
    return pack(files)


def _moved(path: Path, root: Path, where: str) -> bytes:
    old = f"{root}/lib".encode() + b"\0"
    new = f"$ORIGIN/{where}".encode()
    return path.read_bytes().replace(old, new + b"\0" * (len(old) - len(new)))


def _libraries(path: Path) -> list[Path]:
    done = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
    found = re.findall(r"^\s*(\S+) => (/\S+)", done.stdout, re.MULTILINE)
    return [
        Path(place)
        for name, place in found
        if not _SYSTEM.match(name) and not name.startswith("libpython")
    ]


def sums(files: Mapping[str, bytes]) -> bytes:
    """Return the SHA256SUMS of a release."""
    return "".join(f"{hashlib.sha256(d).hexdigest()}  {n}\n" for n, d in files.items()).encode()
