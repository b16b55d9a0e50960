"""Runs an image of ours in Docker or Podman, where there is one."""

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lockstep import environ, process
from lockstep.errors import LockstepError
from lockstep.oci import archive
from lockstep.oci.model import Image
from lockstep.project.model import ImageSpec, Project
from lockstep.run.environment import Command

__all__ = ["Engine", "command", "find", "load"]

_NAMES = ("docker", "podman")
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A program that runs containers, and the platform that it runs."""

    program: Path
    platform: str  # as in "linux/amd64"


def find() -> Engine:
    """Return the engine that answers, Docker first, or raise LockstepError with what each said."""
    said = []
    for name in _NAMES:
        path = shutil.which(name)
        if path is None:
            said.append(f"`{name}` is not installed")
            continue
        done = process.run([path, "info", "--format", "{{json .}}"], check=False)
        machine = _machine(done.stdout) if done.code == 0 else ""
        if machine:
            return Engine(program=Path(path), platform=f"linux/{machine}")
        reason = (done.stderr or done.stdout).strip().splitlines()
        said.append(f"`{name}` does not answer: {reason[-1] if reason else 'it says nothing'}")
    message = f"no engine runs containers here: {'; '.join(said)}"
    raise LockstepError(message, hint="leave out --in-image: lockstep run needs no engine")


def _machine(text: str) -> str:
    try:
        found = json.loads(text)
        name = found.get("Architecture") or found["host"]["arch"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return _MACHINES.get(str(name), "")


def load(engine: Engine, image: Image, tag: str) -> None:
    """Put an image into the engine under a tag, unless it is there already."""
    words: list[str | Path] = [engine.program, "image", "inspect", "--format", "{{.Id}}", tag]
    known = process.run(words, check=False)
    wanted = image.config_descriptor().digest.hex
    if known.code == 0 and known.stdout.strip().removeprefix("sha256:") == wanted:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tar"
        archive.write(image, path, tag)
        process.run([engine.program, "load", "--quiet", "--input", path])


def command(
    engine: Engine, project: Project, spec: ImageSpec, tag: str, arguments: tuple[str, ...] = ()
) -> Command:
    """Return what runs the image: a read-only root, a port on loopback, outputs in the project."""
    words = [str(engine.program), "run", "--rm", "--init", "--read-only", "--tmpfs", "/tmp"]  # noqa: S108 -- the container's
    words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    if spec.port:
        words += ["--publish", f"127.0.0.1:{spec.port}:{spec.port}"]
    for name in spec.outputs:
        there = project.root / name
        there.mkdir(parents=True, exist_ok=True)
        words += ["--mount", f"type=bind,source={there},target=/app/{name}"]
    if spec.outputs and hasattr(os, "getuid"):
        words += ["--user", f"{os.getuid()}:{os.getgid()}"]
    command_words = (*spec.command, *arguments) if arguments else ()
    return Command(words=(*words, tag, *command_words), cwd=project.root, env=environ.child())
