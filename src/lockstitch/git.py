"""The only place that starts git: a repository's files, its commit, its ignored names.

No program that a repository's own settings name is run: no pager, no file system monitor, no
external diff (git-config(1), `core.fsmonitor`).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lockstitch import environ, process
from lockstitch.errors import LockstitchError
from lockstitch.listing import SKIPPED_FOLDERS
from lockstitch.patterns import regex
from lockstitch.values import frozen

_COMMIT = regex(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LOGIN = regex(r"(?<=://)[^/@\s]+@")
_SAFE = ("--no-pager", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
# A server that sends nothing for 20 seconds does not answer.
_SLOW = ("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=20")
_HEAD = "# branch.oid "


def run(
    folder: Path,
    *words: str,
    check: bool = True,
    stdin: str = "",
    hint: str = "",
    errors: str = "replace",
) -> process.Finished:
    """Run git and return its output; raises LockstitchError without git, and when it fails."""
    return process.run(
        _command(words, folder),
        cwd=folder,
        env=_variables(),
        stdin=stdin,
        check=check,
        hint=hint,
        errors=errors,
    )


def stream(folder: Path, *words: str, longest: int) -> Iterator[bytes]:
    """Yield the lines that git prints, each cut at `longest` bytes; LockstitchError as `run`."""
    return process.stream(_command(words, folder), cwd=folder, env=_variables(), longest=longest)


def _command(words: Sequence[str], folder: Path) -> list[str | Path]:
    # A `git` that a repository brings on PATH would be run by whoever looks at it.
    above = (at for at in (folder, *folder.absolute().parents) if (at / ".git").exists())
    git = process.find("git", hint="install git", outside=next(above, folder))
    return [git, *_SAFE, *words]


def _variables() -> dict[str, str]:
    return environ.child(GIT_OPTIONAL_LOCKS="0")


# --- what a folder has


def listed(folder: Path) -> tuple[list[str], list[str]] | None:
    """Return the files below a folder that git tracks, and those that it would add.

    Returns None outside of a repository and without git. Files that a sparse checkout leaves out
    are not named.
    """
    if _is_outside(folder):
        return None
    words = ("ls-files", "-z", "-t", "--cached", "--others", "--exclude-standard")
    try:
        done = run(folder, *words, check=False, errors="surrogateescape")
    except LockstitchError:
        return None
    if done.code != 0:
        return None
    tags: dict[str, str] = {}
    for entry in done.stdout.split("\0"):
        if entry:
            tags.setdefault(entry[2:], entry[0])
    kept = {name: tag for name, tag in tags.items() if tag != "S"}
    return [n for n, tag in kept.items() if tag != "?"], [n for n, t in kept.items() if t == "?"]


def ignored(folder: Path, names: Sequence[str]) -> set[str]:
    """Return which of some files below a folder git ignores; none where git cannot tell."""
    if not names or _is_outside(folder):
        return set()
    try:
        done = run(
            folder,
            *("check-ignore", "-z", "--stdin"),
            check=False,
            stdin="".join(f"{name}\0" for name in names),
            errors="surrogateescape",
        )
    except LockstitchError:
        return set()
    return set(done.stdout.split("\0")) - {""} if done.code == 0 else set()


def is_in_repository(folder: Path) -> bool:
    """Return whether a folder is, or lies in, a repository's working tree; starts nothing."""
    place = folder.resolve()
    return any((at / ".git").exists() for at in (place, *place.parents))


def _is_outside(folder: Path) -> bool:
    """Return whether git would find no repository, which takes it milliseconds to say."""
    return not (environ.starting("GIT_DIR") or is_in_repository(folder))


def dirty(folder: Path) -> tuple[str, ...]:
    """Return a folder's changed and new files, sorted; raises LockstitchError without git."""
    words = ("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--", ".")
    done = run(folder, *words, check=False)
    return tuple(sorted(line[3:] for line in done.stdout.split("\0") if line))


def described(folder: Path) -> str | None:
    """Return the git facts that decide a version: commit, branch and tags.

    Returns an empty text outside of a repository and without git, and None where files differ
    from the commit: tools put the time into such a version.
    """
    words = ("status", "--porcelain=v2", "--branch", "--untracked-files=normal", "-z")
    try:
        done = run(folder, *words, check=False)
        tags = run(folder, "for-each-ref", "--format=%(refname) %(objectname)", check=False)
    except LockstitchError:
        return ""
    if done.code != 0:
        return ""
    lines = done.stdout.split("\0")
    if any(line and not line.startswith("#") for line in lines):
        return None
    return "\n".join([*lines, tags.stdout])


_OF_REPOSITORIES = (
    *("HEAD", "index", "config", "config.worktree", "packed-refs", "reftable/tables.list"),
    *("info/exclude", "info/attributes", "info/sparse-checkout", "modules", "MERGE_HEAD"),
)
_OF_USERS = ("config", "ignore", "attributes")  # below `git` of the folder of settings


def decided_by(folder: Path) -> list[Path] | None:
    """Return the files outside a folder that decide what git says of it, there or not.

    Returns None where more than such files decides: submodules, files that git has in a folder
    that is no part of a project, and where git fails.
    """
    above = [folder.absolute(), *folder.absolute().parents]
    top = next((n for n, at in enumerate(above) if (at / ".git").exists()), None)
    if top is None:
        return [at / ".git" for at in above]
    names = [word for name in _OF_REPOSITORIES for word in ("--git-path", name)]
    try:
        paths = run(folder, "rev-parse", *names, check=False)
        branch = run(folder, "symbolic-ref", "--quiet", "HEAD", check=False).stdout.strip()
        settings = run(folder, "config", "--list", "--show-origin", "-z", check=False)
        listed = run(folder, "ls-files", "-z", check=False, errors="surrogateescape")
    except LockstitchError:
        return None
    if paths.code or settings.code or listed.code or (above[top] / ".gitmodules").exists():
        return None
    if any(not SKIPPED_FOLDERS.isdisjoint(name.split("/")) for name in listed.stdout.split("\0")):
        return None
    files = [folder / line for line in paths.stdout.splitlines()]
    files += [files[2].parent / branch] if branch else []  # of all worktrees, as the config is
    files += [at / n for at in above[: top + 1] for n in (".git", ".gitignore", ".gitattributes")]
    home = Path.home()
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "git"
    files += [home / ".gitconfig", *(own / name for name in _OF_USERS)]
    files += [Path("/etc/gitconfig"), Path("/etc/gitattributes")]
    files += map(Path, environ.starting("GIT_CONFIG_").values())
    return [*dict.fromkeys([*files, *_of_settings(folder, settings.stdout)])]


def _of_settings(folder: Path, text: str) -> Iterator[Path]:
    """Yield the files that git's settings come from, and those that they name."""
    fields = text.split("\0")
    for origin, setting in zip(fields[::2], fields[1::2], strict=False):
        kind, _, name = origin.partition(":")
        source = folder / name
        if kind == "file":
            yield source
        key, _, value = setting.partition("\n")
        if key.endswith((".path", "excludesfile", "attributesfile")):
            yield source.parent / Path(value).expanduser()


# --- commits


@frozen
class Commit:
    """The commit that a project's folder is at."""

    digest: str = ""  # hex; empty outside of a repository, before a commit, and without git
    dirty: bool = False  # whether a file of the project is changed, or not in the commit

    @property
    def state(self) -> str:
        """`clean`, `dirty`, or `none` where there is no commit."""
        return "none" if not self.digest else "dirty" if self.dirty else "clean"


def commit(root: Path) -> Commit:
    """Return the commit that a folder is at; what git ignores does not make it dirty."""
    words = ("status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", ".")
    try:
        done = run(root, *words, check=False)
    except LockstitchError:
        return Commit()
    lines = done.stdout.splitlines() if done.code == 0 else []
    heads = [line.removeprefix(_HEAD) for line in lines if line.startswith(_HEAD)]
    digest = heads[0] if heads and heads[0].isalnum() else ""  # `(initial)` before the first
    return Commit(digest=digest, dirty=any(not line.startswith("#") for line in lines))


def last_change(folder: Path, apart: Sequence[str] = ()) -> str:
    """Return the day of the last commit that changed a folder, as `2021-05-03`, else "".

    `apart` are patterns of files that do not count (gitglossary(7), pathspec).
    """
    if _is_outside(folder):
        return ""
    words = ["log", "-1", "--format=%cs", "--", "."]
    words += [f":(exclude,glob){pattern}" for pattern in apart]
    try:
        done = run(folder, *words, check=False)
    except LockstitchError:
        return ""
    return done.stdout.strip() if done.code == 0 else ""


@frozen
class Revision:
    """A commit, seen from a folder of its repository: its files are read without a checkout."""

    folder: Path
    commit: str

    def names(self) -> frozenset[str]:
        """Return the names in the folder; raises LockstitchError where git fails."""
        words = ("ls-tree", "--name-only", "-z", self.commit, "./")
        return frozenset(run(self.folder, *words).stdout.split("\0")) - {""}

    def text(self, path: str) -> str:
        """Return a file by its path from the folder, or raise LockstitchError."""
        done = run(self.folder, "show", f"{self.commit}:./{path}", check=False)
        if done.code != 0:
            message = f"`{path}` is not in the commit {self.commit[:12]}"
            raise LockstitchError(message, hint=f"git ls-tree --name-only {self.commit[:12]}")
        return done.stdout

    def data(self, path: str, longest: int) -> bytes | None:
        """Return the bytes of a file by its path from the folder, None where it has none."""
        try:
            return b"".join(stream(self.folder, "show", f"{self.commit}:./{path}", longest=longest))
        except LockstitchError:
            return None


def revision(folder: Path, name: str) -> Revision | None:
    """Return the commit that git knows by a name such as `HEAD~5`, or None."""
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    try:
        done = run(folder, *words, check=False)
    except LockstitchError:
        return None
    digest = done.stdout.strip()
    return Revision(folder=folder, commit=digest) if done.code == 0 and digest else None


def is_commit(name: str) -> bool:
    """Return whether a revision is a commit's own digest, which always names the same commit."""
    return _COMMIT.fullmatch(name) is not None


# --- remotes


def without_login(text: str) -> str:
    """Return a text with the logins of its addresses left out."""
    return _LOGIN.sub("", text)


def remote_names(url: str, root: Path) -> Mapping[str, str]:
    """Return a remote's commits by tag or branch, tags first; raises LockstitchError."""
    git = process.find("git", hint="apt-get install git")
    quiet = environ.child(GIT_TERMINAL_PROMPT="0", GIT_DIR=None, GIT_INDEX_FILE=None)
    words: list[str | Path] = [git, *_SLOW, "ls-remote", "--", url]
    done = process.run(words, cwd=root, env=quiet, check=False)
    if done.code != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        tail = f": {without_login(lines[0])}" if lines else ""
        raise LockstitchError(f"`{without_login(url)}` cannot be asked for its tags{tail}")
    branches: dict[str, str] = {}
    tags: dict[str, str] = {}
    for line in sorted(done.stdout.splitlines(), key=lambda line: line.partition("\t")[2]):
        digest, _, name = line.partition("\t")
        if not is_commit(digest):
            continue
        if name.startswith("refs/tags/"):
            # `v1^{}` follows `v1`: the commit that an annotated tag, an object of its own, means.
            tags[name.removeprefix("refs/tags/").removesuffix("^{}")] = digest
        else:
            branches[name.removeprefix("refs/heads/")] = digest
    return branches | tags
