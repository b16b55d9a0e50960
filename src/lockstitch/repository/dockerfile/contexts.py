"""Finds the folders that a Dockerfile is built in, and the .dockerignore of each."""

import posixpath
import shlex
from collections.abc import Iterable

from lockstitch import shell
from lockstitch.repository.compose.services import compose_files
from lockstitch.repository.compose.values import Build, Service
from lockstitch.repository.files import Repository
from lockstitch.repository.shell.calls import Call, call
from lockstitch.repository.text import ignore
from lockstitch.repository.text.ignore import Ignore
from lockstitch.values import frozen


@frozen
class Context:
    """A folder that a build may be given; "" is the repository's."""

    folder: str
    certain: bool  # a compose file says so
    ignore: Ignore | None  # None: there is none

    def path(self, source: str) -> str:
        """Return the path in the repository that a source of COPY means."""
        return posixpath.normpath(posixpath.join(self.folder, source.lstrip("/")))

    def excludes(self, source: str) -> bool:
        """Return whether .dockerignore keeps a source out."""
        path = posixpath.normpath(source.lstrip("/"))
        return self.ignore is not None and self.ignore.excludes(path)


@frozen
class Use:
    """One service of a compose file that is built from a Dockerfile."""

    path: str  # of the Dockerfile
    folder: str
    service: Service
    compose: str

    @property
    def target(self) -> str:
        """Return the stage that it builds, an empty text for the last."""
        build = self.service.build
        return build.target.text.lower() if build and build.target else ""


def uses(repo: Repository) -> tuple[Use, ...]:
    """Return every use of a Dockerfile by a service; folders that a variable names are left out."""
    used = []
    for file in compose_files(repo):
        for service in file.value.services.values():
            build = service.build
            folder = _folder(build) if build and not build.inline else None
            if build is None or folder is None:
                continue
            name = build.dockerfile
            if name is not None and not name.is_known:
                continue
            path = posixpath.normpath(posixpath.join(folder, name.text if name else "Dockerfile"))
            folder = "" if folder == "." else folder
            used.append(Use(path=path, folder=folder, service=service, compose=file.path))
    return tuple(used)


def service_calls(service: Service) -> tuple[Call, ...]:
    """Return the program that a service's own command starts."""
    command = service.command
    if command is None:
        return ()
    words = [str(word) for word in command.words]
    text = words[0] if command.by_shell and len(words) == 1 else shlex.join(words)
    commands = shell.read(text, ((0, command.line),)).commands
    return tuple(filter(None, (call(started, {}) for started in commands)))


def _folder(build: Build) -> str | None:
    context = build.context
    if context is None:
        return posixpath.dirname(build.path) or "."
    if not context.is_known or "://" in context.text:
        return None
    folder = posixpath.normpath(posixpath.join(posixpath.dirname(build.path), context.text))
    return None if folder.startswith(("..", "/")) else folder


def contexts(
    repo: Repository, path: str, used: Iterable[Use], sources: Iterable[str]
) -> tuple[Context, ...]:
    """Return the folders that a Dockerfile may be built in.

    Those that compose files name; else its own folder and all above it, of these only those that
    have all its sources where there are such.
    """
    named = sorted({use.folder for use in used if use.path == path})
    if named:
        return tuple(_context(repo, path, folder, certain=True) for folder in named)
    folders = [posixpath.dirname(path)]
    while folders[-1]:
        folders.append(posixpath.dirname(folders[-1]))
    possible = [_context(repo, path, folder, certain=False) for folder in folders]
    wanted = [source for source in sources if not set(source) & set("*?[")]
    whole = [
        context
        for context in possible
        if all(repo.exists(context.path(source)) for source in wanted)
    ]
    return tuple(whole or possible)


def _context(repo: Repository, path: str, folder: str, *, certain: bool) -> Context:
    for name in (f"{path}.dockerignore", posixpath.join(folder, ".dockerignore")):
        text = repo.text(name)
        if text is not None:
            return Context(folder=folder, certain=certain, ignore=ignore.read(name, text))
    return Context(folder=folder, certain=certain, ignore=None)
