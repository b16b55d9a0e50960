"""All files that are rendered: those of the images, and the compose file of the stack."""

from dataclasses import replace

from lockstitch.cli.session import Session
from lockstitch.dockerfile import render
from lockstitch.errors import LockstitchError
from lockstitch.lock.file import Lock
from lockstitch.python.model import Project
from lockstitch.stack import compose, images

__all__ = ["compose_file", "everything", "with_services"]


def everything(project: Project, lock: Lock) -> dict[str, str]:
    """Return every file that is rendered, by name, sorted; raise what is wrong with any."""
    found = render.everything(project, lock)
    if project.stack.runner == "compose":
        found[compose.NAME] = compose_file(project, lock)
    return dict(sorted(found.items()))


def compose_file(project: Project, lock: Lock) -> str:
    """Return the compose file, which names the images of the project's first platform."""
    first, *others = project.platforms
    named = {each.name: each.images.get(first) for each in lock.services}
    known = {name: image for name, image in named.items() if image}
    if not known or len(known) < len(named):
        message = "the lock names no images of the services yet"
        raise LockstitchError(message, hint="lockstitch render")
    return compose.render(project.stack, known, several=bool(others))


def with_services(session: Session, lock: Lock) -> Lock:
    """Return the lock with the images of the stack's services, which are built where needed."""
    if session.project.stack.runner != "compose":
        return lock
    built = images.build(session.project, lock, session.store, session.fetcher, session.progress)
    return replace(lock, services=images.locked(lock, built))
