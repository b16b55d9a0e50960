"""A repository as rules see it: its files, each read and parsed once, with edits laid over them."""

import functools
import os
import posixpath
import re
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lockstitch import environ, files, process
from lockstitch.check.facts import locks as lock_files
from lockstitch.check.facts import requirements
from lockstitch.check.facts.locks import LockFile
from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.values import frozen

if TYPE_CHECKING:
    from lockstitch.check.facts.built import ImageFile
    from lockstitch.check.facts.code import Signs
    from lockstitch.check.facts.hooks import HookFile
    from lockstitch.check.facts.scripts import Script
    from lockstitch.check.reading.compose import Compose
    from lockstitch.check.reading.dockerfile import Dockerfile

__all__ = ["Asked", "File", "Repository", "open_repository"]

T = TypeVar("T")

_LARGEST = 5 << 20  # bytes of a file that rules read
# Folders whose files are somebody else's, or wrong on purpose: only secrets are looked for there.
_APART = frozenset(
    {"test", "tests", "testing", "testdata", "fixtures", "templates", "vendor", "vendored"}
    | {"third_party", "third-party", "node_modules", "site-packages", ".venv", "venv"}
)
_DOCKERFILE = regex(r"(?:.*\.)?(?:dockerfile|containerfile)(?:[.-].+)?", re.IGNORECASE)
_NO_DOCKERFILE = (
    ".dockerignore",
    ".md",
    ".txt",
    ".py",
    ".sh",
    ".j2",
    ".jinja",
    ".tmpl",
    ".template",
)
_COMPOSE = regex(r"(?:docker-)?compose(?:[.-][\w.-]+)?\.ya?ml", re.IGNORECASE)


@frozen
class Asked:
    """What the caller wants of rules that cost more, or that look at more."""

    measure: bool = False  # run each hook and say how long it takes
    slow: float = 5.0  # seconds of a hook for all files
    verify: bool = False  # hash every file of an environment
    history: bool = False  # look for secrets in all commits
    images: tuple[Path, ...] = ()  # OCI layouts beside the project's own


_NOTHING = Asked()


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
        asked: Asked = _NOTHING,
        changed: Mapping[str, str] | None = None,
    ) -> None:
        """Keep what is there; `tracked` is None where git knows nothing of the folder."""
        self.root = root
        self.tracked = tracked
        self.asked = asked
        self.changed: Mapping[str, str] = changed or {}
        self._exclude = tuple(exclude)
        self._given = tuple(names)
        self._texts: dict[str, str | None] = {}
        self._tomls: dict[str, dict[str, Any] | None] = {}

    def with_texts(self, changed: Mapping[str, str]) -> "Repository":
        """Return the repository as it would be with these texts."""
        return Repository(
            self.root,
            self._given,
            tracked=self.tracked,
            exclude=self._exclude,
            asked=self.asked,
            changed={**self.changed, **changed},
        )

    # --- files

    @functools.cached_property
    def every_name(self) -> tuple[str, ...]:
        """All names, those apart from the project included."""
        found = {*self._given, *self.changed}
        return tuple(sorted((n for n in found if not self._excluded(n)), key=str.encode))

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The names that rules look at: no tests' data, templates or vendored code."""
        return tuple(name for name in self.every_name if not _APART & {*name.split("/")[:-1]})

    @functools.cached_property
    def name_set(self) -> frozenset[str]:
        """The names that rules look at."""
        return frozenset(self.names)

    def named(self, *basenames: str) -> list[str]:
        """Return the names whose last part is one of these."""
        return [name for name in self.names if name.rpartition("/")[2] in basenames]

    def exists(self, name: str) -> bool:
        """Return whether a file or folder is there, also one that git ignores."""
        name = posixpath.normpath(name)
        return name in self.changed or (not _leads_out(name) and (self.root / name).exists())

    def is_folder(self, name: str) -> bool:
        """Return whether a folder is there."""
        return not _leads_out(name) and (self.root / name).is_dir()

    def text(self, name: str) -> str | None:
        """Return a file's text as it is, with the line ends that it has; None when not readable.

        The name is normal and leads nowhere else; what it names need not be in `names`.
        """
        if name in self.changed:
            return self.changed[name]
        if name not in self._texts:
            self._texts[name] = _read(self.root, name)
        return self._texts[name]

    def read_names(self) -> list[str]:
        """Return the names whose text rules have read so far."""
        return [name for name in self.names if self._texts.get(name) or name in self.changed]

    def lines(self, name: str) -> list[str]:
        """Return a file's lines without their ends, none when it cannot be read."""
        return (self.text(name) or "").splitlines()

    def toml(self, name: str) -> dict[str, Any] | None:
        """Return a TOML document, or None when it is not there or not TOML."""
        if name not in self._tomls:
            self._tomls[name] = _toml(self.text(name))
        return self._tomls[name]

    def _excluded(self, name: str) -> bool:
        return any(files.matches(name, each) for each in self._exclude)

    # --- what is in them

    @functools.cached_property
    def folders(self) -> tuple[str, ...]:
        """Folders with a pyproject.toml, requirements, a setup.py or their kin; "" is the root."""
        return tuple(sorted({n.rpartition("/")[0] for n in self.names if _is_project_file(n)}))

    @functools.cached_property
    def dockerfiles(self) -> tuple["File[Dockerfile]", ...]:
        """Every Dockerfile, read."""
        from lockstitch.check.reading import dockerfile

        found = [n for n in self.names if _is_dockerfile(n.rpartition("/")[2])]
        return tuple(
            File(path=name, text=text, value=dockerfile.read(text))
            for name in found
            if (text := self.text(name)) is not None
        )

    @functools.cached_property
    def images(self) -> tuple["ImageFile", ...]:
        """Every Dockerfile with the images that it makes."""
        from lockstitch.check.facts import built

        return built.images(self)

    @functools.cached_property
    def composes(self) -> tuple["File[Compose]", ...]:
        """Every compose file, read with the files that it names and no variable of this machine."""
        from lockstitch.check.reading import compose

        found = [n for n in self.names if _COMPOSE.fullmatch(n.rpartition("/")[2])]
        return tuple(
            File(path=name, text=text, value=compose.read(text, {}, self.text, name))
            for name in found
            if (text := self.text(name)) is not None
        )

    @functools.cached_property
    def hooks(self) -> tuple["HookFile", ...]:
        """Every configuration of pre-commit or prek, read."""
        from lockstitch.check.facts import hooks

        return hooks.hook_files(self)

    @functools.cached_property
    def code_signs(self) -> dict[str, "Signs"]:
        """What a quick look sees in each Python file and notebook."""
        from lockstitch.check.facts import code

        return code.signs(self)

    @functools.cached_property
    def scripts(self) -> dict[str, "Script"]:
        """What is in each Python file and notebook that may train, serve or load a pickle."""
        from lockstitch.check.facts import scripts

        seen = self.code_signs.items()
        return scripts.read(self, [n for n, s in seen if s.trains or s.serves or s.loads])

    @functools.cached_property
    def locks(self) -> tuple[LockFile, ...]:
        """Every lock: uv.lock, poetry.lock, pylock.toml, requirements that pin all they name."""
        found = []
        for name in self.names:
            kind = lock_files.kind_of(name)
            text = self.text(name) if kind else None
            lock = lock_files.read(kind, name, text) if kind and text is not None else None
            found += [lock] if lock else []
        return tuple(found)

    @functools.cached_property
    def requirements(self) -> tuple[File[requirements.Listed], ...]:
        """Every list of requirements, pinned or not, read."""
        return tuple(
            File(path=name, text=text, value=requirements.read(text))
            for name in self.names
            if requirements.is_name(name) and (text := self.text(name)) is not None
        )

    def locks_in(self, folder: str) -> list[LockFile]:
        """Return the locks that stand in a folder itself."""
        return [lock for lock in self.locks if lock.path.rpartition("/")[0] == folder]

    # --- programs

    def environment(self, folder: str = "") -> Path | None:
        """Return a folder's .venv; None when there is none, or when it came with the repository.

        It came with it when git tracks it or something in it, or when it is a link to another
        folder of the repository.
        """
        venv = posixpath.join(folder, ".venv")
        if not self.is_folder(venv):
            return None
        if any(name == venv or name.startswith(f"{venv}/") for name in self.tracked or ()):
            return None
        root, real = self.root.resolve(), (self.root / venv).resolve()
        own = real == root / venv or not real.is_relative_to(root)
        return self.root / venv if own else None

    def program(self, name: str, *, folder: str = "") -> Path | None:
        """Return a program: beside this Python, of a folder's .venv, or on PATH; None when absent.

        Of an environment that may be part of the repository none is run: one that is tracked, and
        any where there is no git to ask.
        """
        places = [str(Path(sys.executable).parent)]
        venv = self.environment(folder)
        if venv is not None and self.tracked is not None:
            places += [str(venv / each) for each in ("bin", "Scripts")]
        for place in (*places, ""):
            try:
                return process.find(os.path.join(place, name), hint="")  # noqa: PTH118 -- "" is PATH
            except LockstitchError:
                continue
        return None


def open_repository(root: Path, *, exclude: Sequence[str], asked: Asked) -> Repository:
    """Return the repository of a folder: what git has or would add below it, else all its files."""
    listed = _of_git(root)
    if listed is None:
        walked = [found.name for found in files.walk(root, secrets=True) if not found.outside]
        return Repository(root, walked, tracked=None, exclude=exclude, asked=asked)
    tracked, others = listed
    names = [*tracked, *others]
    return Repository(root, names, tracked=frozenset(tracked), exclude=exclude, asked=asked)


def _of_git(root: Path) -> tuple[list[str], list[str]] | None:
    """Return what git has below a folder and what it would add, or None."""
    try:
        git = process.find("git", hint="install git")
    except LockstitchError:
        return None
    # No monitor: that is a program which the repository's own settings name.
    words: list[str | Path] = [git, "-c", "core.fsmonitor=false", "ls-files", "-z", "-t"]
    words += ["--cached", "--others", "--exclude-standard"]
    done = process.run(words, cwd=root, env=environ.child(GIT_OPTIONAL_LOCKS="0"), check=False)
    if done.code != 0:
        return None
    found: dict[str, str] = {}
    for each in done.stdout.split("\0"):
        if each:
            found.setdefault(each[2:], each[0])
    there = {name: tag for name, tag in found.items() if tag != "S"}
    return [n for n, tag in there.items() if tag != "?"], [n for n, t in there.items() if t == "?"]


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
    return None if b"\0" in data[:8192] else data.decode("utf-8", "replace")


def _leads_out(name: str) -> bool:
    return name.startswith(("/", "../")) or name == ".." or "\0" in name or "\\" in name


def _toml(text: str | None) -> dict[str, Any] | None:
    import tomllib

    try:
        return None if text is None else tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None


def _is_project_file(name: str) -> bool:
    base = name.rpartition("/")[2]
    return base in {"pyproject.toml", "setup.py", "setup.cfg", "Pipfile"} or (
        base.startswith("requirements") and base.endswith((".txt", ".in"))
    )


def _is_dockerfile(base: str) -> bool:
    return _DOCKERFILE.fullmatch(base) is not None and not base.lower().endswith(_NO_DOCKERFILE)
