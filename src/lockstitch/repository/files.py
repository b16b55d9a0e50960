"""A repository as rules see it: its files, each read and parsed once, with edits laid over them."""

import contextlib
import functools
import os
import posixpath
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from lockstitch import files, git
from lockstitch.values import frozen

T = TypeVar("T")

_OUT_OF_GIT = ".env"  # which a fix writes for one person
_LARGEST = 5 << 20  # bytes of a file that rules read
# Folders whose files are somebody else's, out of use or wrong on purpose: only secrets are looked
# for there.
_APART = frozenset(
    {"test", "tests", "testing", "testdata", "fixtures", "templates", "vendor", "vendored"}
    | {"third_party", "third-party", "node_modules", "site-packages", ".venv", "venv"}
    | {"archive", "archived", "deprecated", "attic", ".ipynb_checkpoints"}
)


@frozen
class File(Generic[T]):
    """A file of the repository and what its text was read into."""

    path: str
    text: str
    value: T


class Repository:
    """A folder's files by their POSIX paths from it; a change of text gives a new repository.

    `names` are those that git has or would add. What is not text, larger than 5 MiB or behind a
    link is not read.
    """

    def __init__(
        self,
        root: Path,
        names: Sequence[str],
        *,
        tracked: frozenset[str] | None,
        exclude: Sequence[str] = (),
        changed: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the names of files; `tracked` is None where git knows nothing of the folder."""
        self.root = root
        self.tracked = tracked
        self.changed: Mapping[str, str] = changed or {}
        self._exclude = tuple(exclude)
        self._given = tuple(names)
        self._texts: dict[str, str | None] = {}
        self._tomls: dict[str, dict[str, Any] | None] = {}
        self._facts: dict[Any, Any] = {}

    def with_texts(self, changed: Mapping[str, str]) -> "Repository":
        """Return the repository as it would be with these texts."""
        return Repository(
            self.root,
            self._given,
            tracked=self.tracked,
            exclude=self._exclude,
            changed={**self.changed, **changed},
        )

    # --- files

    @functools.cached_property
    def every_name(self) -> tuple[str, ...]:
        """All names, those apart from the project included."""
        names = {*self._given, *(n for n in self.changed if posixpath.basename(n) != _OUT_OF_GIT)}
        kept = (n for n in names if not any(files.matches(n, pattern) for pattern in self._exclude))
        return tuple(sorted(kept, key=os.fsencode))  # a name need not be UTF-8

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The names that rules look at: no tests' data, templates, archives or vendored code."""
        return tuple(name for name in self.every_name if not _APART & {*name.split("/")[:-1]})

    @functools.cached_property
    def name_set(self) -> frozenset[str]:
        """The names that rules look at."""
        return frozenset(self.names)

    def named(self, *basenames: str) -> list[str]:
        """Return the names whose last part is one of these."""
        return [name for name in self.names if name.rpartition("/")[2] in basenames]

    def exists(self, name: str) -> bool:
        """Return whether a file or folder exists, also one that git ignores."""
        name = posixpath.normpath(name)
        return name in self.changed or self._mode(name) != 0

    def is_folder(self, name: str) -> bool:
        """Return whether a folder exists."""
        return stat.S_ISDIR(self._mode(name))

    def _mode(self, name: str) -> int:
        """Return the mode of a file or folder, 0 where there is none."""
        with contextlib.suppress(OSError, ValueError):
            return 0 if _leads_out(name) else (self.root / name).stat().st_mode
        return 0

    def text(self, name: str) -> str | None:
        """Return a file's text with its own line ends; None when not readable.

        The name is normal and leads nowhere else; what it names need not be in `names`.
        """
        if name in self.changed:
            return self.changed[name]
        if name not in self._texts:
            self._texts[name] = _read(self.root, name)
        return self._texts[name]

    def why_left(self, name: str) -> str:
        """Return why a file's text cannot be changed without loss, or nothing when it can."""
        path = self.root / name
        try:
            if path.is_symlink():
                return "it is a link"
            if path.parent.resolve() != self.root.resolve().joinpath(*name.split("/")[:-1]):
                return "it is behind a link"
            if not path.exists():
                return ""
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            return f"it cannot be read: {error}"
        text = self._texts.get(name)
        if text is None or text.encode("utf-8", "surrogatepass") != data:
            return "it is not UTF-8" if not _is_utf8(data) else "it has changed meanwhile"
        return ""

    def read_names(self) -> list[str]:
        """Return the names whose text rules have read so far."""
        return [name for name in self.names if self._texts.get(name) or name in self.changed]

    def begins_with(self, name: str, marks: tuple[bytes, ...]) -> bool:
        """Return whether a file as it lies there begins with one of these bytes."""
        if name in self.changed or _leads_out(name):
            return False
        try:
            with (self.root / name).open("rb") as file:
                return file.read(max(map(len, marks))).startswith(marks)
        except OSError:
            return False

    def lines(self, name: str) -> list[str]:
        """Return a file's lines without their ends, none when it cannot be read."""
        return (self.text(name) or "").splitlines()

    def toml(self, name: str) -> dict[str, Any] | None:
        """Return a TOML document, or None when it is not there or not TOML."""
        if name not in self._tomls:
            self._tomls[name] = _toml(self.text(name))
        return self._tomls[name]

    # --- what is in them

    def once(self, function: Callable[["Repository"], T]) -> T:
        """Return a function's result for this repository; it is called once."""
        if function not in self._facts:
            self._facts[function] = function(self)
        answer: T = self._facts[function]
        return answer


def once(function: Callable[[Repository], T]) -> Callable[[Repository], T]:
    """Return a function that is called once for each repository, its result being kept."""

    @functools.wraps(function)
    def remembered(repo: Repository) -> T:
        return repo.once(function)

    return remembered


def open_repository(root: Path, *, exclude: Sequence[str] = ()) -> Repository:
    """Return the repository of a folder: what git has or would add below it, else all its files."""
    listed = git.listed(root)
    if listed is None:
        walked = [file.name for file in files.walk(root, secrets=True) if not file.outside]
        return Repository(root, walked, tracked=None, exclude=exclude)
    tracked, others = listed
    return Repository(root, [*tracked, *others], tracked=frozenset(tracked), exclude=exclude)


def _read(root: Path, name: str) -> str | None:
    if _leads_out(name):
        return None
    path = root / name
    try:
        facts = path.lstat()
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _LARGEST:
            return None
        if "/" in name and path.parent.resolve() != root.resolve().joinpath(*name.split("/")[:-1]):
            return None  # a folder on the way is a link
        data = path.read_bytes()
    except (OSError, ValueError):
        return None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")  # as PowerShell writes lists
    return None if b"\0" in data[:8192] else data.decode("utf-8", "replace")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _leads_out(name: str) -> bool:
    return name.startswith(("/", "../")) or name == ".." or "\0" in name or "\\" in name


def _toml(text: str | None) -> dict[str, Any] | None:
    from lockstitch.python.tables import toml

    try:
        return None if text is None else toml(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
