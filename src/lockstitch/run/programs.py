"""Programs of an image on this machine: in exactly its packages, in the foreground."""

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from lockstitch import clock, environ, files, process
from lockstitch.errors import LockstitchError
from lockstitch.fingerprint import live
from lockstitch.lock import file, manager, uv
from lockstitch.process import Command
from lockstitch.progress import say
from lockstitch.python.model import ImageSpec, Project
from lockstitch.store import Store, default_root
from lockstitch.table import first_of

_POLL = 0.3  # seconds between two looks at the files
_PATIENCE = 10.0  # seconds until a program that was asked to end is killed
_SIGNALLED = 128

Signature = Sequence[tuple[str, int, int]]


def folder(project: Project, image: ImageSpec) -> Path:
    """Return where the environment of an image is kept: not `.venv`, which has dev tools too."""
    return project.root / ".lockstitch" / "envs" / image.name


def python(project: Project, image: ImageSpec) -> Path:
    """Return the interpreter of an image's environment, which `command` has made."""
    return live.python_of(folder(project, image))


def command(
    project: Project,
    image: ImageSpec,
    arguments: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
) -> Command:
    """Return an image's command in its environment, which is made or repaired first.

    The image's `env` goes before `variables`, and these before this shell's; the environment's
    programs come before the `PATH` of any of them.
    Raises LockstitchError when the image has no command, or its program is not in the environment.
    """
    if not image.command:
        message = f"`tool.lockstitch.images.{image.name}` has no command"
        raise LockstitchError(message, hint='add command = ["python", "src/train.py"]')
    venv = folder(project, image)
    _sync(project, image, venv)
    programs = live.python_of(venv).parent
    told = {**environ.child(), **(variables or {}), **here(str(project.root), image)}
    path = f"{programs}{os.pathsep}{told.get('PATH', '')}"
    words = image.started
    program = shutil.which(words[0], path=path)
    if program is None:
        message = f"`{words[0]}`, the command of `{image.name}`, is in no locked package"
        hint = f"add what brings it to a group of tool.lockstitch.images.{image.name}"
        raise LockstitchError(message, hint=hint)
    told.pop("PYTHONHOME", None)
    env = told | {"PATH": path, "VIRTUAL_ENV": str(venv)}
    return Command(
        words=(program, *words[1:], *arguments), cwd=project.root / image.workdir, env=env
    )


def here(folder: str, image: ImageSpec) -> dict[str, str]:
    """Return the variables of an image with a folder where they name /app."""

    def path(part: str) -> str:
        rest = part.removeprefix("/app")
        return f"{folder}{rest}" if part == "/app" or part.startswith("/app/") else part

    return {n: ":".join(map(path, v.split(":"))) for n, v in image.env.items()}


def make_outputs(root: Path, image: ImageSpec) -> None:
    """Make the folders of an image's outputs below a folder: a container has them too."""
    for name in image.outputs:
        (root / name).mkdir(parents=True, exist_ok=True)


def _sync(project: Project, image: ImageSpec, venv: Path) -> None:
    """Make the environment; where that fails, from the wheels that a bundle brought."""
    try:
        manager.of(project).sync(project, image, venv)
    except LockstitchError:
        wheels = Store(default_root()).wheels
        pylock = project.root / file.pylock_name(image.name)
        if not wheels.is_dir() or not pylock.is_file():
            raise
        try:
            built = {wheel.name: wheel.filename for wheel in file.read(project.root).built}
            uv.sync_wheels(project, pylock, wheels, built, venv)
        except LockstitchError as local:
            local.hint = local.hint or "lockstitch build --from the bundle that has them"
            raise


# --- in the foreground


def once(command: Command) -> int:
    """Run the program to its end and return its exit code, 128 + N when a signal N ended it."""
    running = process.attach(command.words, cwd=command.cwd, env=command.env)
    # Ctrl-C on a terminal reaches the program by itself: once is enough.
    with _forwarded(running.send_signal, interrupt=not sys.stdin.isatty()):
        return _code(running.wait())


def watched(command: Command, project: Project, image: ImageSpec) -> int:
    """Restart the program at each change of its files; return its exit code after a signal."""
    signals: list[int] = []
    with _forwarded(signals.append):
        seen = _signature(project, image)
        while True:
            running = process.attach(command.words, cwd=command.cwd, env=command.env)
            changed = _until(running, signals, project, image, seen)
            if running.poll() is None:
                process.stop(running, patience=_PATIENCE)
            code = _code(running.returncode)
            if signals:
                return code
            now = _signature(project, image)
            if not changed:
                say(f"`{image.name}` ended with exit code {code}; waiting for a change")
                now = _wait_for_change(project, image, seen, signals)
                if signals:
                    return code
            say(f"changed: {_names(seen, now)}; `{image.name}` starts again")
            seen = now


def _until(
    running: process.Running,
    signals: Sequence[int],
    project: Project,
    image: ImageSpec,
    seen: Signature,
) -> bool:
    """Wait until the program ends or a signal comes (False), or a file changes (True)."""
    while running.poll() is None and not signals:
        if _signature(project, image) != seen:
            return True
        clock.sleep(_POLL)
    return False


def _wait_for_change(
    project: Project, image: ImageSpec, seen: Signature, signals: Sequence[int]
) -> Signature:
    while not signals:
        now = _signature(project, image)
        if now != seen:
            return now
        clock.sleep(_POLL)
    return seen


def _code(returncode: int) -> int:
    return returncode if returncode >= 0 else _SIGNALLED - returncode


def _signature(project: Project, image: ImageSpec) -> Signature:
    return [
        (file.name, file.mtime_ns, file.size)
        for file in files.walk(project.root)
        if file.name.endswith(".py")
        or any(files.matches(file.name, pattern) for pattern in image.include)
    ]


def _names(before: Signature, after: Signature) -> str:
    return first_of(sorted({changed[0] for changed in {*before} ^ {*after}}), 3)  # a line's worth


@contextlib.contextmanager
def _forwarded(send: Callable[[int], object], *, interrupt: bool = True) -> Iterator[None]:
    """Pass SIGTERM on, and SIGINT when `interrupt` is set; else it ends nothing here."""

    def handle(number: int, _: FrameType | None) -> None:
        if interrupt or number != signal.SIGINT:
            send(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
