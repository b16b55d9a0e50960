"""The stack of a project, whichever way it runs."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from lockstitch import environ, files
from lockstitch.cli import rendering
from lockstitch.cli.session import Session
from lockstitch.digest import Digest, of_bytes
from lockstitch.dockerfile import engines
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock import file, make
from lockstitch.lock.file import Lock, LockedFile
from lockstitch.oci.model import Image
from lockstitch.process import Command
from lockstitch.run import foreground
from lockstitch.stack import compose, control, service, tools
from lockstitch.stack import images as stack_images
from lockstitch.stack.folder import last_lines, log_lines

__all__ = ["LOGS", "Stack", "of", "ready", "variables"]

LOGS = (*control.NAMES, "supervisor")


class Stack(Protocol):
    """What the commands ask of a stack."""

    def up(self, note: Callable[[str], None]) -> control.Started:
        """Start it unless it runs, and return when every service answers."""

    def down(self) -> bool:
        """Stop it; return whether anything ran."""

    def reset(self) -> None:
        """Delete its data and keys."""

    def status(self) -> dict[str, Any]:
        """Return how each service is, or nothing when none runs."""

    def log(self, service: str, lines: int) -> list[str]:
        """Return the last lines of a service's log."""

    def follow(self, service: str | None, lines: int) -> int:
        """Print logs until Ctrl-C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Native:
    """The stack without containers."""

    session: Session

    def up(self, note: Callable[[str], None]) -> control.Started:
        installed = tools.install(self.session.store, self.session.progress)
        return control.up(self.session.project, installed, note)

    def down(self) -> bool:
        return control.down(control.folder_of(self.session.project))

    def reset(self) -> None:
        control.reset(control.folder_of(self.session.project))

    def status(self) -> dict[str, Any]:
        return control.status(control.folder_of(self.session.project))

    def log(self, service: str, lines: int) -> list[str]:
        return last_lines(control.folder_of(self.session.project).log(service), lines)

    def follow(self, service: str | None, lines: int) -> int:
        folder = control.folder_of(self.session.project)
        found = {name: folder.log(name) for name in ((service,) if service else LOGS)}
        for name, line in log_lines(found, lines, follow=True):
            sys.stdout.write(f"{line}\n" if service else f"{name:<10} | {line}\n")
            sys.stdout.flush()
        return 0


class _Compose(compose.Compose):
    """The stack in containers, whose logs Compose prints."""

    def follow(self, service: str | None, lines: int) -> int:
        words = tuple(self.following(service, lines))
        return foreground.once(Command(words=words, cwd=self.project.root, env=environ.child()))


def of(session: Session) -> Stack:
    """Return the stack that pyproject.toml asks for, to be looked at or stopped."""
    if session.project.stack.runner == "native":
        return _Native(session=session)
    return _compose(session, engines.find(), {})


def ready(session: Session) -> Stack:
    """Return the stack that pyproject.toml asks for, with all that a start needs.

    In containers: images built, and in the engine; docker-compose.yml rendered.
    """
    project = session.project
    if project.stack.runner == "native":
        return _Native(session=session)
    found = engines.find()
    lock = file.read(project.root)
    raise_all(make.stale(project, lock))
    built = stack_images.build(project, lock, session.store, session.fetcher, session.progress)
    images = stack_images.of_platform(built, found.platform)
    _render(session, lock, replace(lock, services=stack_images.locked(lock, built)))
    _load(session, found, images)
    digests = {name: image.config_descriptor().digest for name, image in images.items()}
    return _compose(session, found, digests)


def variables(session: Session) -> dict[str, str]:
    """Return the variables of the stack that runs, or nothing."""
    folder = control.folder_of(session.project)
    if session.project.stack.runner == "native":
        return control.variables(folder)
    if "compose" not in folder.read(folder.plan) or not of(session).status():
        return {}
    return service.variables(service.parts_of(folder))


def _compose(session: Session, found: engines.Engine, images: dict[str, Digest]) -> _Compose:
    words = compose.find(found.program)
    return _Compose(project=session.project, docker=found.program, words=words, images=images)


def _render(session: Session, before: Lock, lock: Lock) -> None:
    """Write the compose file where it is missing, and refuse images that are not the lock's."""
    root = session.project.root
    problems = []
    for old, new in zip(before.services, lock.services, strict=True):
        for platform, image in new.images.items():
            if old.images.get(platform, image) != image:
                message = f"the image of `{new.name}` for {platform} is {image}, "
                message += f"the lock names {old.images[platform]}"
                problems.append(LockstitchError(message, hint="lockstitch render"))
    raise_all(problems)
    text = rendering.compose_file(session.project, lock)
    place = root / compose.NAME
    there = files.read_text(place) if place.exists() else ""
    if there and not there.startswith(compose.MARK):
        message = f"`{compose.NAME}` was not written by lockstitch"
        raise LockstitchError(message, hint="lockstitch render --force")
    if there != text:
        files.write_text(place, text)
    mine = LockedFile(path=compose.NAME, digest=of_bytes(text.encode()))
    others = tuple(each for each in lock.rendered if each.path != compose.NAME)
    changed = replace(lock, rendered=tuple(sorted((*others, mine), key=lambda each: each.path)))
    if changed != before:
        file.write(changed, root)


def _load(session: Session, found: engines.Engine, images: dict[str, Image]) -> None:
    """Put the images into the engine, under names that say their digests."""
    for name, image in images.items():
        tag = compose.tag(name, image.config_descriptor().digest)
        with session.progress.task(f"load {name} into {found.program.name}", 0):
            engines.load(found, image, tag)
