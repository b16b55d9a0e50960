"""Reads the SOURCE of a command: an environment, a lock, a git revision, an image, a file."""

import functools
import os
import platform as host
import re
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from lockstitch import files, git
from lockstitch.drift import compare
from lockstitch.drift.compare import Difference
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.fingerprint import contents, live, locks, model
from lockstitch.fingerprint.model import Fingerprint
from lockstitch.lock import file as lock_file
from lockstitch.oci import reader
from lockstitch.oci.reader import StoredImage
from lockstitch.progress import say
from lockstitch.python.load import find_root, load
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.target import Target
from lockstitch.store import Store, default_root
from lockstitch.values import frozen

_LOCKS = ("uv.lock", "poetry.lock", "pylock.toml", "requirements-lock.txt", "requirements.txt")
_HINT = "name an environment, a lock, an image or a git revision; --help lists the forms"
_HOST = re.compile(r"(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+)(?::\d+)?/")  # and not `origin/main`
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_LARGEST = 1 << 20  # bytes of a file of code
_GLIBC = "2.36"  # of a host that has none: the oldest Debian that bases are made of


@frozen
class Context:
    """The place where a source is looked for, and the part of a lock that is meant."""

    folder: Path
    project: Project | None = None
    image: ImageSpec | None = None  # whose groups and extras; None means all of them
    platform: str = ""  # "" means the project's first, else this machine's
    python: str = ""  # "" means what the base has, else this interpreter's


def context(
    folder: Path, *, image: str | None = None, platform: str = "", python: str = ""
) -> Context:
    """Return where sources are looked for; raises UsageError, or LockstitchError for no image."""
    if python and not re.fullmatch(r"3\.\d{1,2}(\.\d{1,3})?", python):
        message = f"--python is `{python}`, which is no version of Python 3"
        raise UsageError(message, hint="--python 3.11.2")
    project = load(folder) if image or _in_project(folder) else None
    return Context(
        folder=folder,
        project=project,
        image=project.image(image) if project and image else None,
        platform=platform,
        python=python,
    )


def _in_project(folder: Path) -> bool:
    try:
        text = files.read_text(find_root(folder) / "pyproject.toml")
    except LockstitchError:
        return False
    # Settings of `lockstitch check` alone make no project of images.
    return re.search(r"^\[tool\.lockstitch(?!\.check)", text, re.MULTILINE) is not None


def read(word: str, where: Context) -> Fingerprint:
    """Return a source's fingerprint; raises UsageError for none, LockstitchError for damage."""
    scheme, _, rest = word.partition(":")
    if scheme == "container" and rest:
        return live.container(*_with_python(rest, "python"))
    if scheme == "ssh" and rest:
        return live.host(*_with_python(rest, "python3"))
    path = where.folder / word
    if path.is_file() or live.is_environment(path) or (path.is_dir() and _holds_image(path)):
        return _of_path(path, word, where)
    image = _image(word, where)
    if image:
        return contents.of_image(image, Store(default_root()))
    for name, revision in _revisions(word, where):
        return _of_revision(name, revision, where)
    if where.project and word in {image.name for image in where.project.images}:
        raise LockstitchError(f"the image `{word}` is not built", hint=f"lockstitch build {word}")
    if path.is_dir():  # not before: an image may have the name of a folder
        message = f"`{word}` is a folder without an environment"
        raise UsageError(message, hint="name an environment: lockstitch fingerprint .venv")
    raise UsageError(f"`{word}` is no file, no folder and no git revision", hint=_HINT)


def read_whole(word: str, where: Context) -> Fingerprint:
    """Return `read`'s fingerprint; a lock's with the files of each wheel in the store."""
    fingerprint = read(word, where)
    if fingerprint.kind != "lock":
        return fingerprint
    store = Store(default_root())
    store.hold()
    return fingerprint.with_packages(
        contents.with_files(package, store) for package in fingerprint.packages
    )


def _image(word: str, where: Context) -> StoredImage | None:
    """Return the image that `PATH:NAME` or the name of an image of the project means, or None."""
    place, _, name = word.rpartition(":")
    path = where.folder / place
    if place and name and path.exists() and _holds_image(path):
        return _stored(path, name, where.platform)
    project = where.project
    if project is None or word not in {image.name for image in project.images}:
        return _in_registry(word, where)
    layout = project.root / ".lockstitch" / "images"
    several = len(project.platforms) > 1
    chosen = where.platform or project.platforms[0]
    name = f"{word}-{chosen.partition('/')[2]}" if several else word
    return reader.of_layout(layout, name) if layout.is_dir() else None


def _in_registry(word: str, where: Context) -> StoredImage | None:
    """Return the image of a reference: after `registry:`, or with a host that can be no other."""
    bare = word.removeprefix("registry:").removeprefix("docker://")
    if bare == word and not _HOST.match(word):
        return None
    from lockstitch.oci.model import Platform
    from lockstitch.oci.reference import Reference
    from lockstitch.oci.registry.client import Client
    from lockstitch.oci.registry.repository import Repository

    reference = Reference.parse(bare)
    say(f"reads the layers of {reference}")
    repository = Repository(Client(), reference)
    platform = Platform.parse(target(where).platform)
    return reader.of_source(repository, repository.image(reference.which, platform))


def _holds_image(path: Path) -> bool:
    return (path / "oci-layout").is_file() or (path.is_file() and tarfile.is_tarfile(path))


def _stored(path: Path, name: str, platform: str) -> StoredImage:
    read = reader.of_layout if path.is_dir() else reader.of_archive
    return read(path, name, platform=platform)


def _with_python(rest: str, default: str) -> tuple[str, str]:
    """Return a name and the interpreter in it; a folder is an environment there."""
    name, _, python = rest.partition(":")
    if not python:
        return name, default
    is_program = re.fullmatch(r"(?:python|pypy)[\d.]*t?", PurePosixPath(python).name)
    return name, python if is_program else f"{python.rstrip('/')}/bin/python"


def _of_path(path: Path, word: str, where: Context) -> Fingerprint:
    if live.is_environment(path):
        return live.interpreter(path)
    if _holds_image(path):
        return contents.of_image(_stored(path, "", where.platform), Store(default_root()))
    if locks.is_lock(word):
        return _lock(files.read_text(path), word, where, _beside(path))
    if path.suffix == ".json":
        from lockstitch.run import record

        document = model.parsed(files.read_text(path), word)
        if record.is_record(document):
            return record.of_document(document, word).environment()
        return model.of_document(document, word)
    if os.access(path, os.X_OK):
        return live.interpreter(path)
    raise UsageError(f"`{word}` is no lock, no fingerprint and no interpreter", hint=_HINT)


def _beside(path: Path) -> Callable[[str], str]:
    """Return the reader of files that requirements name with `-r`: none above their folder."""

    def follow(name: str) -> str:
        if not (path.parent / name).resolve().is_relative_to(path.parent.resolve()):
            message = f"`{name}` leads out of the folder of `{path.name}`"
            raise LockstitchError(message, hint="keep a copy of it in the project")
        return files.read_text(path.parent / name)

    return follow


# --- git


def _revisions(word: str, where: Context) -> list[tuple[str, git.Revision]]:
    """Return the file and the revision that a word may mean; the file is "" for any lock."""
    before, _, after = word.partition(":")
    name, _, revision = word.rpartition("@")
    tried = [(after, before)] if after else []
    tried += [(name, revision)] if name and locks.is_lock(name) else []
    revisions = []
    for path, named in [*tried, ("", word)]:
        known = git.revision(where.folder, named) if named else None
        revisions += [(path, known)] if known else []
    return revisions


def _of_revision(name: str, revision: git.Revision, where: Context) -> Fingerprint:
    if not name:
        there = revision.names()
        own = where.project.lock if where.project else ""
        name = next((path for path in (own, *_LOCKS) if path and path in there), "")
        if not name:
            message = f"the commit {revision.commit[:12]} has no lock here"
            raise LockstitchError(message, hint=f"name it: {revision.commit[:12]}:PATH")
    if not locks.is_lock(name):
        raise UsageError(f"`{name}` is no lock", hint="name a lock: HEAD~5:uv.lock")
    folder = PurePosixPath(name).parent
    return _lock(revision.text(name), name, where, lambda path: revision.text(str(folder / path)))


def graph(where: Context) -> Fingerprint | None:
    """Return the project's own lock, which knows which package requires which, or None."""
    path = (where.project.root if where.project else where.folder) / "uv.lock"
    try:
        return _lock(files.read_text(path), path.name, where, _beside(path))
    except LockstitchError:
        return None  # no lock, or none that can be read: nothing depends on it here


def words(folder: Path) -> frozenset[str]:
    """Return the words of a folder's code, which its known changes concern."""
    names: set[bytes] = set()
    for file in files.walk(folder):
        if file.name.endswith((".py", ".ipynb")) and file.size <= _LARGEST:
            names |= {*re.findall(rb"[A-Za-z_]\w+", file.path.read_bytes())}
    return frozenset(word.decode() for word in names)


def differences(before: Fingerprint, after: Fingerprint, where: Context) -> list[Difference]:
    """Return the differences between two sources, by the one rule of all commands."""
    folder = where.project.root if where.project else where.folder
    return compare.between(before, after, graph(where), functools.partial(words, folder))


# --- the target of a lock


def _lock(text: str, name: str, where: Context, follow: Callable[[str], str]) -> Fingerprint:
    image = where.image
    wanted = locks.Wanted(
        target=target(where),
        groups=image.groups if image else None,
        extras=image.extras if image else None,
    )
    return locks.read(text, name, wanted, follow)


def target(where: Context) -> Target:
    """Return the machine that a lock is read for: of the options, of the lock, or this one."""
    project = where.project
    machine = _MACHINES.get(host.machine().lower(), "amd64")
    platform = where.platform or (project.platforms[0] if project else f"linux/{machine}")
    python, glibc, musl = where.python, "", ""
    try:
        base = lock_file.read(project.root).base_for(platform) if project else None
    except LockstitchError:
        base = None  # not locked yet: pyproject.toml says enough
    if base:
        locked = base.target()
        python, glibc, musl = python or base.python, locked.glibc, locked.musl
    if not python:
        own = ".".join(host.python_version_tuple()[:2])
        python = host.python_version() if not project or project.python == own else project.python
    if not glibc and not musl:
        library, version = host.libc_ver()
        glibc = version if library == "glibc" else _GLIBC
    return Target(platform=platform, python=python, glibc=glibc, musl=musl)
