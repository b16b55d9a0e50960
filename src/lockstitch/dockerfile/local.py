"""The engine of this machine, for the platforms of a project and with its images."""

from collections.abc import Sequence

from lockstitch import files
from lockstitch.digest import Digest
from lockstitch.dockerfile import engines, render
from lockstitch.dockerfile.engines import Engine
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock.file import Lock
from lockstitch.oci.model import Image
from lockstitch.progress import Reporter
from lockstitch.python.model import ImageSpec, Project


def find(names: Sequence[str], hint: str, project: Project) -> Engine:
    """Return the first engine that answers for a project's platform; raises LockstitchError."""
    engine = engines.find(names, hint=f"install or start {' or '.join(names)}, or {hint}")
    check_platform(engine, project, "is for")
    return engine


def check_platform(engine: Engine, project: Project, verb: str) -> None:
    """Raise LockstitchError when the project has no images for the engine's platform."""
    if engine.platform not in project.platforms:
        message = f"`{engine.name}` here {verb} {engine.platform}, "
        message += f"the project has {', '.join(project.platforms)}"
        hint = f'platforms = ["{engine.platform}"] in [tool.lockstitch]'
        raise LockstitchError(message, hint=hint)


def check_rendered(project: Project, lock: Lock, specs: Sequence[ImageSpec]) -> None:
    """Raise LockstitchError for each file that the engine would read and `render` would change."""
    others = {render.name(spec) for spec in project.images if spec not in specs}
    problems = []
    for name, text in render.everything(project, lock).items():
        path = project.root / name
        if name not in others and (not path.is_file() or files.read_text(path) != text):
            message = f"`{name}` is not what pyproject.toml and the lock give"
            problems.append(LockstitchError(message, hint="lockstitch export dockerfile"))
    raise_all(problems)


def load(engine: Engine, image: Image, tag: str, progress: Reporter) -> Digest:
    """Put an image into the engine; return its ID. Raises LockstitchError if it is refused."""
    with progress.task(f"load {tag} into {engine.name}", 0):
        return engines.load(engine, image, tag)
