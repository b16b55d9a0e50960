"""Files written whole or not at all, and folders walked in one order."""

import contextlib
import fcntl
import os
import shutil
import stat
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath

from lockstitch import clock
from lockstitch.errors import LockstitchError
from lockstitch.listing import OF_ENVIRONMENTS, SKIPPED_FOLDERS
from lockstitch.progress import say
from lockstitch.values import frozen

_SECRETS = (".env", ".env.*")
_ALIKE = 0.85  # of two names of which one may be meant for the other
USE_LOCK = "use.lock"  # in a folder of tools: held by the programs that run from it
_SILENCE, _LOOK = 1.0, 0.02  # seconds that a lock is waited for before somebody is told; a look
SKIPPED_FILES = ("*.pyc", "*.pyo", ".DS_Store", *_SECRETS, "*.lockstitch-tmp")


@frozen
class FoundFile:
    """A regular file below a root: its POSIX path from there, where it is, and its stat."""

    name: str
    path: Path
    size: int
    mtime_ns: int
    executable: bool
    outside: bool = False  # a symlink that leads out of the root
    ctime_ns: int = 0
    inode: int = 0

    @property
    def mark(self) -> tuple[int, int, int, int]:
        """The stat that changes with each write: `touch -r` sets an mtime back, but no ctime."""
        return (self.size, self.mtime_ns, self.ctime_ns, self.inode)

    @property
    def changed(self) -> int:
        """When content or anything else of the file was written last, in nanoseconds since 1970."""
        return max(self.mtime_ns, self.ctime_ns)

    def is_as_it_was(self, facts: os.stat_result) -> bool:
        """Return whether a stat of the file still equals that of the listing."""
        return self.mark == (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)


def write_bytes(path: Path, data: bytes, *, mode: int = 0o644, synced: bool = True) -> None:
    """Write a file beside its place, sync it, and rename it there.

    What whoever reads it can tell to be whole, and make again, need not be synced.
    """
    with atomic(path, mode=mode, synced=synced) as temporary:
        temporary.write_bytes(data)


def replace_bytes(path: Path, data: bytes) -> None:
    """Write a file anew with its mode, owner and attributes, or raise OSError and leave it."""
    facts = path.lstat()
    with atomic(path, mode=stat.S_IMODE(facts.st_mode)) as temporary:
        temporary.write_bytes(data)
        own = temporary.stat()
        if (own.st_uid, own.st_gid) != (facts.st_uid, facts.st_gid):
            os.chown(temporary, facts.st_uid, facts.st_gid)
        if hasattr(os, "listxattr"):
            for name in os.listxattr(path):
                os.setxattr(temporary, name, os.getxattr(path, name))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with line feeds on every system, whole or not at all."""
    write_bytes(path, text.encode())


@contextlib.contextmanager
def atomic(path: Path, *, mode: int = 0o644, synced: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it there when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.lockstitch-tmp")
    try:
        yield temporary
        temporary.chmod(mode)
        if synced:
            sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def copied(root: Path, target: Path, *, modes: bool = False) -> Path:
    """Copy a project's files without environments and caches, and return where they are.

    Times are new, and modes too unless they are asked for.
    """

    def ignored(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if is_skipped(Path(folder, name))]

    copy = shutil.copy if modes else shutil.copyfile
    shutil.copytree(root, target, ignore=ignored, copy_function=copy, ignore_dangling_symlinks=True)
    return target


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a lock file between processes; the lock ends with the process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _opened(path)
    try:
        until = clock.monotonic() + _SILENCE
        while not (held := _held(handle, fcntl.LOCK_EX)) and clock.monotonic() < until:
            clock.sleep(_LOOK)
        if not held:
            say(f"waiting for another command that holds `{path}`")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:  # another user's
        return os.open(path, os.O_RDONLY)


def _held(handle: int, how: int) -> bool:
    """Return whether an open file is locked now, without waiting for others."""
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class UseLock:
    """A lock that many share or one has alone; it ends with this value or with the process."""

    def __init__(self, path: Path) -> None:
        """Open the file, in a folder that is there, and hold nothing; OSError where that fails."""
        self._path = path
        self._handle = _opened(path)
        weakref.finalize(self, os.close, self._handle)

    def share(self) -> None:
        """Hold it with others; waits for one that has it alone."""
        self._take(fcntl.LOCK_SH, wait=True)

    def have_alone(self, *, wait: bool) -> bool:
        """Hold it alone and return True, or False where others hold it and one does not wait."""
        return self._take(fcntl.LOCK_EX, wait=wait)

    def release(self) -> None:
        """Hold it no more."""
        fcntl.flock(self._handle, fcntl.LOCK_UN)

    def _take(self, how: int, *, wait: bool) -> bool:
        held = _held(self._handle, how)
        if not held and wait:
            say(f"waiting for other commands that use `{self._path.parent.parent}`")
            fcntl.flock(self._handle, how)
        return held or wait


def use(path: Path) -> None:
    """Set the mtime of a file or folder of a cache to now, by which the least used is known."""
    with contextlib.suppress(OSError):
        if clock.now() - path.lstat().st_mtime > 60.0:  # seconds in which a use more does not count
            os.utime(path, follow_symlinks=False)


def sync(path: Path) -> None:
    """Flush a file to the disk, so that a rename never shows half of it after a power cut."""
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it; nothing where there is none.

    A folder gets another name first: who is killed in the middle leaves no part of it.
    """
    if path.is_dir() and not path.is_symlink():
        gone = path.with_name(f".{path.name}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        with contextlib.suppress(OSError):  # where its folder takes no names
            path = path.rename(gone)
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


def chunks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces of 1 MiB; OSError when it cannot be opened."""
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            yield chunk


def read_text(path: Path) -> str:
    """Return a UTF-8 text file, or raise LockstitchError that names it."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        message = f"`{path}` is not UTF-8: byte {error.start}"
        raise LockstitchError(message, hint="save the file as UTF-8") from error
    except OSError as error:
        message = f"`{path}` cannot be read: {error.strerror}"
        raise LockstitchError(message) from error


def walk(
    root: Path, *, secrets: bool = False, enters: Callable[[str], bool] | None = None
) -> Iterator[FoundFile]:
    """Yield the regular files below a root, sorted by path bytes, without caches and secrets.

    With `secrets`, files that are made to hold some are among them. `enters` says of a folder, by
    its path from the root, whether it is looked into.

    A symlink to a file is followed, one to a folder is not. A file whose `outside` is set is
    not part of the project on another machine.
    """
    listed = _walk(os.fspath(root), root.resolve(), "", secrets=secrets, enters=enters)
    yield from sorted(listed, key=lambda file: os.fsencode(file.name))


def _walk(
    folder: str, root: Path, prefix: str, *, secrets: bool, enters: Callable[[str], bool] | None
) -> Iterator[FoundFile]:
    with os.scandir(folder) as scanned:
        entries = list(scanned)
    if prefix and not OF_ENVIRONMENTS.isdisjoint(entry.name for entry in entries):
        return
    for entry in entries:
        name = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in SKIPPED_FOLDERS and (enters is None or enters(name)):
                yield from _walk(entry.path, root, name + "/", secrets=secrets, enters=enters)
        elif not is_left_out(entry.name, secrets=secrets):
            file = _found(entry, root, name)
            if file is not None:
                yield file


def is_skipped(folder: Path) -> bool:
    """Return whether a folder is never part of a project: by its name, or as an environment."""
    return folder.name in SKIPPED_FOLDERS or any(
        (folder / name).exists() for name in OF_ENVIRONMENTS
    )


def is_left_out(name: str, *, secrets: bool = False) -> bool:
    """Return whether a file is never part of a project: a cache, or one that may hold secrets."""
    if secrets and any(fnmatchcase(name, pattern) for pattern in _SECRETS):
        return False
    return any(fnmatchcase(name, pattern) for pattern in SKIPPED_FILES)


def _found(entry: os.DirEntry[str], root: Path, name: str) -> FoundFile | None:
    path, outside = Path(entry.path), False
    try:
        facts = entry.stat()
        if entry.is_symlink():
            target = path.resolve()
            outside = not target.is_relative_to(root)
            if not outside and _skipped(target, root):
                return None  # a link must not bring in a secret under another name
    except (OSError, RuntimeError):  # a symlink to nothing or itself, or a file that just went
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return FoundFile(
        name=name,
        path=path,
        size=facts.st_size,
        mtime_ns=facts.st_mtime_ns,
        executable=bool(facts.st_mode & stat.S_IXUSR),
        outside=outside,
        ctime_ns=facts.st_ctime_ns,
        inode=facts.st_ino,
    )


def _skipped(path: Path, root: Path) -> bool:
    above = path.relative_to(root).parents[:-1]
    return any(is_skipped(root / folder) for folder in above) or any(
        fnmatchcase(path.name, pattern) for pattern in SKIPPED_FILES
    )


def find_files(root: Path, patterns: Sequence[str]) -> list[FoundFile]:
    """Return the files that any glob matches; `**` crosses folders, `*` stays in one."""
    listed = walk(root, enters=lambda folder: may_match_below(folder, patterns))
    return [f for f in listed if any(matches(f.name, pattern) for pattern in patterns)]


def matches(name: str, pattern: str) -> bool:
    """Return whether a POSIX path matches a glob in which `**` means any folders."""
    return _match(_parts(name), _of_pattern(pattern))


def may_match_below(folder: str, patterns: Sequence[str]) -> bool:
    """Return whether a file in a folder, however deep, may match any of some globs."""
    return any(_leads_to(_parts(folder), _of_pattern(pattern)) for pattern in patterns)


def _parts(name: str) -> tuple[str, ...]:
    parts = name.split("/")
    return tuple(parts) if "" not in parts and "." not in parts else PurePosixPath(name).parts


@lru_cache(maxsize=1024)
def _of_pattern(pattern: str) -> tuple[str, ...]:
    return PurePosixPath(pattern).parts


def _match(parts: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        rest = patterns[1:]
        if not rest:
            return bool(parts)  # what is inside, not the folder's own name
        return any(_match(parts[i:], rest) for i in range(len(parts)))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _match(parts[1:], patterns[1:])


def _leads_to(parts: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    if not parts or not patterns:
        return bool(patterns)
    if patterns[0] == "**":
        return True
    return fnmatchcase(parts[0], patterns[0]) and _leads_to(parts[1:], patterns[1:])


def nearest(name: str, names: Collection[str]) -> str:
    """Return the file that a name may be meant for: of the same base name, or one much like it."""
    import difflib

    parts = [part for part in name.split("/") if part not in {"", ".", ".."}]
    ends = ["/".join(parts[n:]) for n in range(len(parts))]  # the longest end first
    for end in ends:
        same = [other for other in sorted(names) if f"/{other}".endswith(f"/{end}")]
        if same:
            return min(same, key=lambda other: other.count("/"))
    return next(iter(difflib.get_close_matches(name, sorted(names), 1, _ALIKE)), "")
