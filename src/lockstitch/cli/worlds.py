"""Builds an image here and in another world, as `lockstitch demo` measures it."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lockstitch import clock
from lockstitch.errors import LockstitchError
from lockstitch.prove import environments
from lockstitch.prove.variation import BUILD, together
from lockstitch.python.model import Project

__all__ = ["Timed", "elsewhere", "here"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What `lockstitch build --json` said of one image, and how long the whole process took."""

    document: dict[str, object]
    seconds: float


def here(project: Project, image: str) -> Timed:
    """Build an image where the project is, with the user's own store."""
    return _build(environments.World(root=project.root, env=environments.environment()), image)


def elsewhere(project: Project, image: str) -> Timed:
    """Build an image from an emptied store with all else varied, but as the same user."""
    other = together(tuple(each for each in BUILD if not each.slow), "another world")
    with tempfile.TemporaryDirectory(prefix="lockstitch-elsewhere-") as name:
        return _build(environments.enter(project.root, other, Path(name)), image)


def _build(world: environments.World, image: str) -> Timed:
    started = clock.monotonic()
    done = environments.lockstitch(world, ["build", image, "--json"])
    seconds = clock.monotonic() - started
    if done.code != 0:
        message = f"`{image}` could not be built\n{done.stderr.strip()}"
        raise LockstitchError(message, hint=f"lockstitch build {image}")
    return Timed(document=json.loads(done.stdout)[0], seconds=seconds)
