"""All files that are rendered: those of the images, and the compose file of the stack."""

from dataclasses import replace

from lockstitch.cli import stack_images
from lockstitch.cli.session import Session
from lockstitch.dockerfile import files
from lockstitch.errors import LockstitchError
from lockstitch.lock.file import Lock
from lockstitch.python.model import Project
from lockstitch.stack.compose import document

__all__ = ["compose_file", "everything", "with_services"]


def everything(project: Project, lock: Lock) -> dict[str, str]:
    """Return every file that is rendered, by name, sorted; raise what is wrong with any."""
    found = files.everything(project, lock)
    if project.stack.runner == "compose":
        found[document.NAME] = compose_file(project, lock)
    return dict(sorted(found.items()))


def compose_file(project: Project, lock: Lock) -> str:
    """Return the compose file, which names the images of the project's first platform."""
    first, *others = project.platforms
    images = {each.name: each.images.get(first) for each in lock.services}
    known = {name: image for name, image in images.items() if image}
    if not known or len(known) < len(images):
        message = "the lock names no images of the services yet"
        raise LockstitchError(message, hint="lockstitch render")
    return document.render(project.stack, known, several=bool(others))


def with_services(session: Session, lock: Lock) -> Lock:
    """Return the lock with the images of the stack's services, which are built where needed."""
    if session.project.stack.runner != "compose":
        return lock
    return replace(lock, services=stack_images.locked(lock, stack_images.build(session, lock)))
