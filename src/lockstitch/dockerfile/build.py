"""Builds a Dockerfile with Docker, Podman or Buildah, and shows what the program says."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstitch import environ, process
from lockstitch.dockerfile import engines
from lockstitch.dockerfile.engines import Engine
from lockstitch.errors import LockstitchError

__all__ = ["BUILDERS", "Recipe", "build"]

BUILDERS = ("docker", "podman", "buildah")
_TAIL = 20  # lines of a failed build that are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What an engine builds: a Dockerfile of a folder, under a tag."""

    folder: Path
    dockerfile: str
    tag: str
    words: Sequence[str] = ()  # options of the user's own, put before the folder


def build(found: Engine, recipe: Recipe, line: Callable[[str], object]) -> str:
    """Build and tag an image, give `line` what the engine prints, and return the image's ID.

    Raises LockstitchError with the end of its output when the build fails.
    """
    words = [str(found.program), "build", "--file", recipe.dockerfile, "--tag", recipe.tag]
    if found.name != "docker":
        words += ["--format", "docker"]  # the OCI format has no HEALTHCHECK
    last: deque[str] = deque(maxlen=_TAIL)

    def seen(text: str) -> None:
        last.append(text)
        line(text)

    # An engine before Docker 23 knows `RUN --mount` only with BuildKit.
    env = environ.child(DOCKER_BUILDKIT="1")
    # Not the user's own words: a build argument may be a secret.
    line(f"> {' '.join([found.name, *words[1:]])}{' …' if recipe.words else ''} .")
    code = process.follow([*words, *recipe.words, "."], cwd=recipe.folder, env=env, line=seen)
    if code != 0:
        message = f"`{found.name} build` of `{recipe.dockerfile}` failed with exit code {code}\n"
        message += "\n".join(last)
        hint = f"add options of {found.name} after --, such as --network host; "
        hint += "docs/reference/dockerfiles.md has the build arguments"
        raise LockstitchError(message, hint=hint)
    return engines.identity(found, recipe.tag)
