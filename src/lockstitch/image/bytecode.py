"""Bytecode made by the base's own interpreter, so that the host's Python never shows."""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

from lockstitch import process
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError

__all__ = ["Interpreter", "compile_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """The command that runs the image's Python here, and what its output depends on."""

    argv: tuple[str, ...]
    root: str  # the folder that holds its files
    key: Digest
    minor: str


def compile_files(
    interpreter: Interpreter, root: Path, sources: Sequence[tuple[str, str]]
) -> dict[str, bytes]:
    """Return path in the image → .pyc for the modules that compile.

    `sources` are (name in `root`, path in the image without a leading slash); `root` is a
    folder or a wheel.
    """
    if not sources:
        return {}
    # Sorted by bytes, since CPython's output depends on the order of compilation.
    ordered = sorted(sources, key=lambda source: source[1].encode())
    job = {"root": str(root), "files": [[name, f"/{path}"] for name, path in ordered]}
    script = resources.files("lockstitch.runtime").joinpath("bytecode.py")
    with resources.as_file(script) as path:
        data = process.pipe(
            [*interpreter.argv, "-I", "-S", "-B", path],
            json.dumps(job).encode(),
            env={"LC_ALL": "C"},  # nothing of the host's environment reaches the compiler
        )
    return dict(_split(data, [path for _, path in ordered], interpreter.minor))


def _split(data: bytes, paths: Sequence[str], minor: str) -> list[tuple[str, bytes]]:
    found, at = [], 0
    for path in paths:
        (size,) = struct.unpack_from("<I", data, at)
        at += 4
        if size:
            found.append((_cached(path, minor), data[at : at + size]))
        at += size
    if at != len(data):
        message = f"the bytecode compiler wrote {len(data)} bytes, not {at}"
        raise LockstitchError(message)
    return found


def _cached(path: str, minor: str) -> str:
    source = PurePosixPath(path)
    tag = f"cpython-{minor.replace('.', '')}"  # PEP 3147
    return str(source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc")
