"""A CPython of this machine that compiles for a base of a registry.

Nothing of such a base is run here: nobody has signed for what is in it. Bytecode of one minor
version runs on all its patch versions, but only the same patch version surely makes the same.
"""

import functools
import platform
import sys
from pathlib import Path

from lockstitch import process
from lockstitch.digest import of_bytes
from lockstitch.image.bytecode import Interpreter
from lockstitch.oci import canonical

__all__ = ["find"]


@functools.cache
def find(version: str) -> tuple[Interpreter | None, str]:
    """Return a CPython of version X.Y.Z, else of X.Y, else None; and what to say about it."""
    minor = version.rpartition(".")[0]
    found = _found(version) or _found(minor)
    if found is None:
        note = f"no bytecode: this machine has no CPython {minor} to make it (uv python install "
        return None, f"{note}{version})"
    path, own = found
    key = of_bytes(canonical.dumps(["host", own]))
    note = f"bytecode is made by CPython {own} of this machine, the base has {version}: the digest "
    note += f"is the same where that one makes it (uv python install {version} is best)"
    interpreter = Interpreter(argv=(path,), root="", key=key, minor=minor)
    return interpreter, "" if own == version else note


def _found(version: str) -> tuple[str, str] | None:
    """Return the path and the full version of a CPython of this machine."""
    own = platform.python_version()
    cpython = platform.python_implementation() == "CPython"
    if cpython and (own == version or own.rpartition(".")[0] == version):
        return sys.executable, own
    uv: str | Path = process.find_uv()
    words = [uv, "python", "find", "--no-python-downloads", f"cpython@{version}"]
    path = process.run(words, check=False).stdout.strip()
    if not path:
        return None
    ask = "import platform; print(platform.python_version())"
    asked = process.run([path, "-I", "-S", "-c", ask], check=False).stdout.strip()
    return (path, asked) if f"{asked}.".startswith(f"{version}.") else None
