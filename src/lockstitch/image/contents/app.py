"""The project's own files: what `include` names, and the folders it may write to."""

from collections.abc import Iterator, Sequence
from importlib import resources

from lockstitch.errors import LockstitchError, raise_all
from lockstitch.files import FoundFile, matches, walk
from lockstitch.image.paths import APP
from lockstitch.oci.entry import (
    STORED_FROM,
    Content,
    Entry,
    Generated,
    Kind,
    OnDisk,
    file,
    folder,
    symlink,
)
from lockstitch.python.model import ImageSpec, Project

__all__ = ["HEALTH", "entries", "found"]

HEALTH = f"{APP}/.lockstitch/health.py"


def found(project: Project, image: ImageSpec) -> list[FoundFile]:
    """Return the files that an image includes, and raise an error for a glob without any."""
    files: dict[str, FoundFile] = {}
    problems: list[LockstitchError] = []
    everything = list(walk(project.root)) if image.include else []
    for pattern in image.include:
        hits = [each for each in everything if matches(each.name, pattern)]
        files |= {each.name: each for each in hits}
        if not hits:
            message = f"`{pattern}` of image `{image.name}` matches no file in `{project.root}`"
            problems.append(LockstitchError(message, hint=_hint(pattern)))
    for each in files.values():
        if each.outside:
            message = f"`{each.name}` leads out of the project, to `{each.path.resolve()}`"
            problems.append(LockstitchError(message, hint="copy the file into the project"))
    raise_all(problems)
    return [files[name] for name in sorted(files)]


def _hint(pattern: str) -> str:
    if pattern.startswith("models/"):
        return "train first, or take the pattern out of `include`"
    return "correct the pattern in `include`; ** crosses folders"


def _content(found: FoundFile) -> Content:
    """Return the file's content, and refuse one that changed since it was hashed."""
    facts = found.path.stat()
    if (facts.st_size, facts.st_mtime_ns) != (found.size, found.mtime_ns):
        message = f"`{found.name}` changed while the image was built"
        raise LockstitchError(message, hint="run the same command again")
    if found.size >= STORED_FROM:
        return OnDisk(found.path, found.size)
    return Generated(found.path.read_bytes())


def entries(files: Sequence[FoundFile], image: ImageSpec) -> Iterator[Entry]:
    """Yield the files below /app, output folders that any user may write to, the health check."""
    for each in files:
        # The owner's x bit is all that is kept of a mode: a umask never takes that one away.
        mode = 0o755 if each.executable else 0o644
        yield Entry(path=f"{APP}/{each.name}", kind=Kind.FILE, mode=mode, content=_content(each))
    for name in image.outputs:
        yield folder(f"{APP}/{name}", mode=0o1777)
    for path, target in image.links.items():
        yield symlink(path, target)
    if image.health:
        script = resources.files("lockstitch.runtime").joinpath("health.py").read_bytes()
        yield file(HEALTH, script.replace(b"\r\n", b"\n"))
