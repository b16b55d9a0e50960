"""First-party code: the project's own wheel, built by its backend in a locked environment."""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lockstitch import environ, files, process
from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.image.paths import LAYOUT
from lockstitch.image.wheel import Wheel
from lockstitch.python.model import Project
from lockstitch.store import Store

__all__ = ["ProjectWheel", "build"]

_EPOCH = "315619200"  # the mtime of every file that lockstitch writes; zip has none before 1980


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectWheel:
    """The project's wheel in the store, and the digest of what is in it."""

    filename: str
    digest: Digest
    contents: Digest  # equal for equal files, whatever zlib the host compressed them with


def build(project: Project, requirements: tuple[str, ...], store: Store) -> ProjectWheel:
    """Return the project's wheel, built again only when a file of the project changed.

    Which files a backend reads is its own affair, so any change builds again: that costs
    a fraction of a second, and equal contents give an equal layer.
    """
    key = _signature(project, requirements)
    known = store.record("own", key)
    if known and store.read_again(Digest.parse(known["digest"])):
        return ProjectWheel(
            filename=known["filename"],
            digest=Digest.parse(known["digest"]),
            contents=Digest.parse(known["contents"]),
        )
    python = _environment(requirements, project.root, store)
    with tempfile.TemporaryDirectory() as folder:
        process.run(
            _build_command(python, folder, project.root),
            env=environ.child(
                SOURCE_DATE_EPOCH=_EPOCH, PYTHONDONTWRITEBYTECODE="1", VIRTUAL_ENV=None
            ),
            hint="make `uv build --wheel` work, then lockstitch build",
        )
        path = _only_wheel(Path(folder))
        built = ProjectWheel(
            filename=path.name, digest=store.put(path.read_bytes()), contents=_contents(path)
        )
    record = {"filename": built.filename, "digest": built.digest, "contents": built.contents}
    store.put_record("own", key, record)
    return built


def _build_command(python: Path, out: str, source: Path) -> list[str | Path]:
    uv: str | Path = process.find_uv()
    # No isolation: the environment is ours, with exactly what the lock names.
    words = [uv, "build", "--wheel", "--offline", "--no-build-isolation"]
    return [*words, "--python", python, "--out-dir", out, source]


def _signature(project: Project, requirements: tuple[str, ...]) -> str:
    listing = [[f.name, f.size, f.mtime_ns, f.executable] for f in files.walk(project.root)]
    document = [LAYOUT, os.fspath(project.root), list(requirements), listing]
    return of_bytes(canonical_json(document)).hex


def _environment(requirements: tuple[str, ...], root: Path, store: Store) -> Path:
    """Return the Python of an environment that holds exactly the locked build requirements."""
    document = [list(requirements), sys.version_info[:2], sys.executable]
    folder = store.scratch(f"build-{of_bytes(canonical_json(document)).hex[:24]}")
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    with store.lock(folder.name):
        if not store.has_whole_tree(folder):
            files.remove(folder)
            uv: str | Path = process.find_uv()
            process.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder])
            # Compiled now, since nothing may be written there later.
            install = [uv, "pip", "install", "--quiet", "--require-hashes", "--compile-bytecode"]
            process.run(
                [*install, "--python", python, "--requirements", "-"],
                cwd=root,  # whose pyproject.toml may name indexes
                stdin="\n".join(requirements) + "\n",
                hint="lockstitch lock",
            )
            store.remember_tree(folder)
    return python


def _only_wheel(folder: Path) -> Path:
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        message = f"the build backend made {len(wheels)} wheels, not one"
        raise LockstitchError(message, hint="uv build --wheel")
    if not wheels[0].stem.endswith("-none-any"):
        message = f"`{wheels[0].name}` is for one platform: its compiler would decide the digest"
        hint = "publish it as a wheel and depend on it, so that the lock names its hash"
        raise LockstitchError(message, hint=hint)
    return wheels[0]


def _contents(path: Path) -> Digest:
    wheel = Wheel(path, path.name)
    try:
        listing = [
            [name, of_bytes(member.read()), member.executable]
            for name, member in wheel.members.items()
        ]
    finally:
        wheel.close()
    return of_bytes(canonical_json([path.name, listing]))
