"""The stack of a project, without containers or with Compose, and the files that are rendered.

Only commands know both engines of containers and the stack, so what needs both is here.
"""

import contextlib
import sys
from operator import attrgetter
from pathlib import Path

from lockstitch import environ, files
from lockstitch.cli.session import Session
from lockstitch.digest import Digest, of_bytes
from lockstitch.dockerfile import engines, render
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock import file, make
from lockstitch.lock.file import Lock, LockedFile
from lockstitch.oci.model import Image
from lockstitch.process import Command
from lockstitch.progress import say
from lockstitch.python.model import ImageSpec, Project
from lockstitch.run import programs
from lockstitch.stack import compose, control, service, tools
from lockstitch.stack import images as stack_images
from lockstitch.stack.compose import Compose
from lockstitch.stack.control import Native
from lockstitch.stack.folder import Folder, log_lines
from lockstitch.values import replace

Stack = Native | Compose


def of(session: Session) -> Stack:
    """Return the stack that was started last, to look at it or stop it.

    It is of the runner that pyproject.toml had then. Raises LockstitchError when it runs in
    containers and no engine or Compose answers.
    """
    folder = control.folder_of(session.project)
    plan = folder.read(folder.plan)
    if "compose" in plan or (not plan and session.project.stack.runner == "compose"):
        return _compose(session, engines.find(), {})
    return _native(session)


def reset(session: Session) -> None:
    """Stop the stack and delete its data, with containers and without: the keys are of both.

    Raises LockstitchError when it was started last in containers, and no engine answers.
    """
    stack = of(session)
    stack.reset()
    if isinstance(stack, Compose):
        _native(session).reset()
    elif (session.project.root / compose.NAME).exists():
        with contextlib.suppress(LockstitchError):  # no engine, no volumes
            _compose(session, engines.find(), {}).reset()


def log_names(project: Project) -> tuple[str, ...]:
    """Return the names of logs: of each service, and of the supervisor."""
    return (*control.NAMES, *(own.name for own in project.stack.services), "supervisor")


def follow(session: Session, service: str | None, lines: int) -> int:
    """Print logs until Ctrl-C, and return the exit code."""
    stack = of(session)
    if isinstance(stack, Compose):
        words = tuple(stack.following(service, lines))
        return programs.once(Command(words=words, cwd=session.project.root, env=environ.child()))
    names = (service,) if service else log_names(session.project)
    logs = {name: stack.folder.log(name) for name in names}
    for name, line in log_lines(logs, lines, follow=True):
        sys.stdout.write(f"{line}\n" if service else f"{name:<10} | {line}\n")
        sys.stdout.flush()
    return 0


def ready(session: Session) -> Stack:
    """Return the stack that pyproject.toml configures, with all that a start needs.

    In containers: images built, and in the engine; docker-compose.yml rendered. Raises
    LockstitchError when the lock is stale or an image differs from the lock's.
    """
    project = session.project
    if project.stack.runner == "native":
        _refuse_second(session)
        return _native(session)
    engine = engines.find()
    lock = make.current(project)
    built = _build(session, lock)
    images = stack_images.of_platform(built, engine.platform)
    _write_compose_file(project, lock, replace(lock, services=stack_images.locked(lock, built)))
    digests = {name: image.config_descriptor().digest for name, image in images.items()}
    for name, image in images.items():
        with session.progress.task(f"load {name} into {engine.name}", 0):
            engines.load(engine, image, compose.tag(name, digests[name]))
    return _compose(session, engine, digests)


def _refuse_second(session: Session) -> None:
    """Raise LockstitchError when the stack of this project runs in containers."""
    folder = control.folder_of(session.project)
    if "compose" not in folder.read(folder.plan):
        return
    try:
        runs = of(session).status()
    except LockstitchError:  # without an engine there is no container
        return
    if runs:
        message = "the stack of this project runs in containers"
        raise LockstitchError(message, hint="lockstitch stack down")


def variables(session: Session) -> dict[str, str]:
    """Return the variables of the stack, or nothing when it does not run."""
    folder = control.folder_of(session.project)
    if "compose" not in folder.read(folder.plan):
        return control.variables(folder)
    return service.variables(service.parts_of(folder)) if of(session).status() else {}


def network(session: Session, spec: ImageSpec) -> engines.Network | None:
    """Return the network from which a container reaches the stack, with the variables it needs.

    None when the stack does not run, and where only this machine's own network reaches it and the
    image has a port, which would be open to other machines there.
    """
    own = variables(session)
    if not own:
        return None
    stack = of(session)
    if isinstance(stack, Compose):
        parts = service.parts_of(control.folder_of(session.project))
        own_ports = {own.name: own.port for own in session.project.stack.services}
        places = {n: f"{n}:{port}" for n, port in {**compose.PORT, **own_ports}.items()}
        say("the stack is up: its variables are set, and its network is the container's")
        return engines.Network(name=stack.network, variables=service.variables(parts, places))
    if spec.port:
        say(f"warning: the stack is on 127.0.0.1, which the container of `{spec.name}` does not")
        say('reach: runner = "compose" in [tool.lockstitch.stack] gives it a network of both')
        return None
    say("the stack is up: its variables are set, and the container has this machine's network")
    return engines.Network(name="host", variables=own)


def say_logins(folder: Folder) -> None:
    """Say who logs in to the pages of the stack, and where the passwords are."""
    for name, login in control.logins(folder).items():
        user, key, file = login["user"], login["password"], login["file"]
        say(f"login of {name}: user `{user}`, password: `{key}` in {file}")


def running(session: Session) -> dict[str, str]:
    """Return the variables of the stack; raises LockstitchError when it does not run."""
    names = variables(session)
    if not names:
        raise LockstitchError("the stack of this project does not run", hint="lockstitch stack up")
    return names


def rendered(project: Project, lock: Lock) -> dict[str, str]:
    """Return the files of `export dockerfile` by name; raises LockstitchError for all faults."""
    texts = render.everything(project, lock)
    if project.stack.runner == "compose":
        texts[compose.NAME] = _compose_file(project, lock)
    return dict(sorted(texts.items()))


def with_services(session: Session, lock: Lock) -> Lock:
    """Return the lock with the images of the stack's services, which are built where needed."""
    if session.project.stack.runner != "compose":
        return lock
    return replace(lock, services=stack_images.locked(lock, _build(session, lock)))


def _build(session: Session, lock: Lock) -> dict[tuple[str, str], Image]:
    return stack_images.build(
        session.project, lock, session.store, session.fetcher, session.progress
    )


def _native(session: Session) -> Native:
    project = session.project
    return Native(
        folder=control.folder_of(project),
        spec=project.stack,
        install=lambda: tools.install(session.store, session.progress),
        own=lambda: _own(session),
    )


def _own(session: Session) -> dict[str, Path]:
    """Install the packages of the project's own services as the lock has them, by service.

    Raises LockstitchError when the lock has others than pyproject.toml, or uv cannot install.
    """
    project = session.project
    if not project.stack.services:
        return {}
    lock = file.read(project.root)
    raise_all(make.stale_services(project, lock))
    locked = {one.name: one for one in lock.services}
    installed = {}
    for own in [locked[own.name] for own in project.stack.services]:
        if own.debian:
            installed[own.name] = tools.install_debian(
                session.store,
                session.fetcher,
                own.debian,
                make.release(project),
                own.name,
                session.progress,
            )
        else:
            installed[own.name] = tools.install_own(
                session.store, own.packages, own.name, session.progress
            )
    return installed


def _compose(session: Session, engine: engines.Engine, images: dict[str, Digest]) -> Compose:
    words = compose.find(engine.program)
    return Compose(project=session.project, docker=engine.program, words=words, images=images)


def _compose_file(project: Project, lock: Lock) -> str:
    """Return the compose file, which names the images of the project's first platform."""
    first, *others = project.platforms
    ours = [locked for locked in lock.services if locked.name in compose.PORT]
    images = {our.name: our.images.get(first) for our in ours}
    known = {name: image for name, image in images.items() if image}
    if not known or len(known) < len(images):
        message = "the lock names no images of the services yet"
        raise LockstitchError(message, hint="lockstitch export dockerfile")
    return compose.render(project.stack, known, several=bool(others))


def _write_compose_file(project: Project, before: Lock, lock: Lock) -> None:
    """Write the compose file where it is missing, and refuse images that are not the lock's."""
    problems = []
    for old, new in zip(before.services, lock.services, strict=True):
        for platform, image in new.images.items():
            if old.images.get(platform, image) != image:
                message = f"the image of `{new.name}` for {platform} is {image}, "
                message += f"the lock names {old.images[platform]}"
                problems.append(LockstitchError(message, hint="lockstitch export dockerfile"))
    raise_all(problems)
    text = _compose_file(project, lock)
    path = project.root / compose.NAME
    there = files.read_text(path) if path.exists() else ""
    if there and not there.startswith("# Written by `lockstitch "):
        message = f"`{compose.NAME}` was not written by lockstitch"
        raise LockstitchError(message, hint="lockstitch export dockerfile --force")
    if there != text:
        files.write_text(path, text)
    mine = LockedFile(path=compose.NAME, digest=of_bytes(text.encode()))
    others = tuple(rendered for rendered in lock.rendered if rendered.path != compose.NAME)
    changed = replace(lock, rendered=tuple(sorted((*others, mine), key=attrgetter("path"))))
    if changed != before:
        file.write(changed, project.root)
