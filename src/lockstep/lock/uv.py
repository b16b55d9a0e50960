"""Calls to uv, the resolver: lock, export, and the build requirements with hashes."""

from collections.abc import Sequence
from pathlib import Path

from lockstep import environ, process
from lockstep.errors import LockstepError
from lockstep.lock.debian import DebianBase
from lockstep.project.model import ImageSpec, Project

__all__ = [
    "LOCK",
    "check",
    "compile_requirements",
    "export_image",
    "export_requirements",
    "lock",
    "version",
]


LOCK = "uv.lock"


def version() -> str:
    """Return `uv X.Y.Z` of the uv that is called."""
    words = _uv("--version").split()
    return " ".join(words[:2])


def lock(project: Project, *, upgrade: bool) -> None:
    """Bring uv.lock up to date, keeping what still fits unless `upgrade` is set."""
    _uv("lock", *(["--upgrade"] if upgrade else []), cwd=project.root)


def check(project: Project) -> None:
    """Raise LockstepError when uv.lock is missing or stale; needs no network."""
    done = process.run(
        [process.find_uv(), "lock", "--check", "--offline", "--quiet"],
        cwd=project.root,
        env=_environment(),
        check=False,
    )
    if done.code != 0:
        message = "`uv.lock` does not fit pyproject.toml"
        raise LockstepError(message, hint="lockstep lock")


def export_image(
    project: Project,
    image: ImageSpec,
    target: Path,
    bases: Sequence[DebianBase] = (),  # noqa: ARG001 -- uv.lock has the addresses for all of them
) -> None:
    """Write the PEP 751 lock of one image: the project's dependencies and the image's groups."""
    chosen = [word for group in image.groups for word in ("--group", group)]
    chosen += [word for extra in image.extras for word in ("--extra", extra)]
    _export(project, "pylock.toml", target, ["--no-default-groups", *chosen])


def export_requirements(project: Project, target: Path) -> None:
    """Write all of the lock as requirements with hashes, for pip, uv and any Dockerfile."""
    _export(project, "requirements.txt", target, ["--all-groups", "--all-extras"])


def _export(project: Project, form: str, target: Path, chosen: Sequence[str]) -> None:
    # --locked, never --frozen: that one exports a stale lock in silence.
    words = ["export", "--locked", "--no-emit-project", "--no-header", "--quiet"]
    _uv(*words, "--format", form, "--output-file", str(target), *chosen, cwd=project.root)


def compile_requirements(requirements: Sequence[str], python: str) -> tuple[str, ...]:
    """Return requirements with every transitive one pinned and hashed, one text each."""
    if not requirements:
        return ()
    words = ["pip", "compile", "-", "--universal", "--generate-hashes", "--no-header"]
    words += ["--no-annotate", "--quiet", "--python-version", python, "--no-emit-index-url"]
    text = _uv(*words, stdin="\n".join(requirements) + "\n").replace("\\\n", " ")
    return tuple(sorted(" ".join(line.split()) for line in text.splitlines() if line.strip()))


def _uv(*words: str, cwd: Path | None = None, stdin: str = "") -> str:
    program = process.find_uv()
    return process.run([program, *words], cwd=cwd, env=_environment(), stdin=stdin).stdout


def _environment() -> dict[str, str]:
    # An activated environment is not the project's; uv would only warn about it.
    return environ.child(VIRTUAL_ENV=None)
