"""Two locks of tiny real wheels, and a program whose number comes from what is installed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from support import wheels
from support.world import World

__all__ = ["SCORE", "lock", "package"]

# Each package says what it is worth; `score.py` is what a project would train with.
SCORE = """\
def version(name):
    return float(__import__(name).version)

"""


def package(
    world: World, name: str, versions: Sequence[str], requires: Mapping[str, Sequence[str]] = {}
) -> None:
    """Publish versions of a package; `requires` is by version."""
    for version in versions:
        built = wheels.wheel(name, version, requires=requires.get(version, ()))
        world.index.publish(built)


def lock(world: World, path: Path, **versions: str) -> Path:
    """Write requirements with hashes for versions that the index has."""
    lines = []
    for name, version in sorted(versions.items()):
        (made,) = (
            file
            for file in world.index.files.values()
            if file.filename.startswith(f"{name}-{version}-")
        )
        lines.append(f"{name}=={version} --hash=sha256:{made.sha256}\n")
    path.write_text("".join(lines))
    return path
