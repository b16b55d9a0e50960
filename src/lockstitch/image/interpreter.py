"""The base's own Python, unpacked in the store and run by its own loader."""

import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from lockstitch import files, process
from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.image import debian
from lockstitch.image.bytecode import Interpreter
from lockstitch.lock.bases import Base
from lockstitch.lock.bases.debian import DebianBase
from lockstitch.oci import canonical
from lockstitch.oci.entry import Kind
from lockstitch.store import Store

__all__ = ["key", "prepare", "runnable"]

_LOADERS = {
    "linux/amd64": ("x86_64", "usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu"),
    "linux/arm64": ("aarch64", "usr/lib/ld-linux-aarch64.so.1", "usr/lib/aarch64-linux-gnu"),
}


def key(base: DebianBase) -> Digest:
    """Return what bytecode depends on: the packages that hold the interpreter."""
    python = [p.digest for p in base.packages if p.name.startswith(("python3", "libpython3"))]
    return of_bytes(canonical.dumps([base.python, sorted(python)]))


def runnable(base: DebianBase, locked: Sequence[Base]) -> DebianBase | None:
    """Return a base of the same Python that this host can run: itself, or another platform's.

    Bytecode does not depend on the processor, so either gives the same.
    """
    for each in (base, *locked):
        if not isinstance(each, DebianBase):
            continue
        machine = _LOADERS[each.platform][0]
        fits = sys.platform == "linux" and platform.machine() == machine
        if fits and each.python == base.python:
            return each
    return None


def prepare(base: DebianBase, locked: Sequence[Base], store: Store) -> Interpreter:
    """Return the interpreter, unpacking a base once for each set of its packages.

    On a host that can run none of the locked bases, a Python of exactly the same version
    serves. Raises LockstitchError when there is none.
    """
    minor = ".".join(base.python.split(".")[:2])
    runner = runnable(base, locked)
    argv = _own_loader(runner, _unpacked(runner, store), minor) if runner else _same_version(base)
    return Interpreter(argv=argv, root=str(_unpacked(base, store)), key=key(base), minor=minor)


def _unpacked(base: DebianBase, store: Store) -> Path:
    root = store.scratch(f"base-{of_bytes(canonical.dumps(_packages(base))).hex[:24]}")
    with store.lock(root.name):
        if not (root / "ready").exists():
            _unpack(base, store, root)
            files.write_text(root / "ready", "")
    return root


def _packages(base: DebianBase) -> list[str]:
    return [base.platform, *(package.digest for package in base.packages)]


def _own_loader(base: DebianBase, root: Path, minor: str) -> tuple[str, ...]:
    _, loader, libraries = _LOADERS[base.platform]
    program = root / "usr" / "bin" / f"python{minor}"
    return (str(root / loader), "--library-path", str(root / libraries), str(program))


def _same_version(base: DebianBase) -> tuple[str, ...]:
    found = process.run([process.find_uv(), "python", "find", base.python], check=False)
    path = found.stdout.strip()
    if found.code != 0 or not path:
        message = f"bytecode for Python {base.python} needs that very version, and this host "
        message += "can neither run a locked base nor has one"
        hint = f"uv python install {base.python}, or set bytecode = false"
        raise LockstitchError(message, hint=hint)
    return (path,)


def _unpack(base: DebianBase, store: Store, root: Path) -> None:
    """Write the files of the base below a folder of the store; its own links stay inside."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for entry in debian.entries(base, store):
        path = root / entry.path
        if entry.kind is Kind.FOLDER:
            path.mkdir(parents=True, exist_ok=True)
        elif entry.kind is Kind.SYMLINK:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not entry.target.startswith("/"):
                path.symlink_to(entry.target)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as handle:
                for chunk in entry.content.plain() if entry.content else ():
                    handle.write(chunk)
            path.chmod(0o755 if entry.mode & 0o111 else 0o644)
