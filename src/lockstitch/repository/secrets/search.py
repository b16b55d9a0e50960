"""Searches files for secrets, by our own patterns and by a scanner that is installed."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from posixpath import basename

from lockstitch import files, git
from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.repository.file_cache import cached_per_file, largest
from lockstitch.repository.files import Repository
from lockstitch.repository.secrets.scanners import Scanner
from lockstitch.secrets.patterns import Pattern, may_have, patterns, version
from lockstitch.secrets.secret_files import is_template, kept_login
from lockstitch.secrets.text import Secret, decoded, find_in, merged
from lockstitch.suppressions import allowed_lines
from lockstitch.values import frozen

_LOOSE = frozenset(
    {"test", "tests", "testing", "testdata", "fixtures", "vendor", "vendored", "third_party"}
    | {"third-party", "templates", "examples", "docs"}
)
_TEST = regex(r"test_.*|.*_test\..*|conftest\.py")
_PROSE = regex(r"(?i).+\.(?:md|rst|adoc|ipynb|html|svg)")
_BUILT = regex(r"(?i)(?:.*\.)?(?:dockerfile|containerfile)(?:[.-].+)?|.*compose.*\.ya?ml")
# Other rules of the audit report these, with the variable's name.
_OTHERS = frozenset({"compose-secret-literal", "docker-secret-literal", "env-secret-literal"})


@frozen
class SearchResult:
    """The secrets of some files, and how many of the files could be read."""

    secrets: tuple[Secret, ...]
    files: int
    binary: int
    large: int


# --- all that git has or would add


def patterns_for(path: str) -> tuple[Pattern, ...]:
    """Return the patterns for a file: in tests and prose, only what is a secret by its form.

    Private keys that a test made for itself are no secret, nor is an address in a document.
    """
    name = basename(path)
    apart = _LOOSE & {part.lower() for part in path.split("/")[:-1]} or _TEST.fullmatch(name)
    loose = apart or _PROSE.fullmatch(name) or is_template(path)
    others = _OTHERS | {"url-credentials"} if _BUILT.fullmatch(name) else _OTHERS
    fitting = (pattern for pattern in patterns() if pattern.name not in others)
    return tuple(p for p in fitting if not loose or (p.high and p.name != "private-key"))


def _search(path: str, data: bytes) -> tuple[list[Secret], bool]:
    secrets = find_in(data, path, patterns_for(path)) if may_have(data, path) else []
    return secrets, not secrets


def in_repository(repo: Repository) -> Iterator[Secret]:
    """Yield the secrets of a repository's files, those apart from the project included.

    Which files were clean is remembered, what was found is not.
    """
    looked_for = f"2\n{version()}"
    for _, secrets in cached_per_file(
        repo, repo.every_name, "checked-secrets", looked_for, _search
    ):
        yield from secrets


def by_scanner(
    scanner: Scanner, root: Path, names: Sequence[str], allowed: Callable[[str], Collection[int]]
) -> list[Secret]:
    """Return a scanner's findings in files; `allowed` are the lines of a file that may have any."""
    secrets = scanner.find(root, names) if names else []
    return [secret for secret in secrets if secret.line not in allowed(secret.path)]


# --- the files that a caller names


def in_project(root: Path, names: Sequence[str], scanner: Scanner | None) -> SearchResult:
    """Return the secrets in files below a root, one a line, sorted."""
    secrets: list[Secret] = []
    read: list[str] = []
    allowed: dict[str, set[int]] = {}
    binary = large = 0
    for name in names:
        data = _read(root / name)
        if data is None:
            continue
        if len(data) > largest(name):
            large += 1
            continue
        read.append(name)
        secrets += find_in(data, name)
        text = decoded(data)
        if text is None:
            binary += 1
            continue
        secrets += _as_login(name, text)
        allowed[name] = allowed_lines(text)
    if scanner:
        secrets += by_scanner(scanner, root, read, lambda path: allowed.get(path, ()))
    return SearchResult(
        secrets=tuple(merged(secrets)), files=len(read) - binary, binary=binary, large=large
    )


def _as_login(name: str, text: str) -> Iterator[Secret]:
    """Yield the secrets of a file made for logins, such as `.netrc`."""
    if holds := kept_login(name, text):
        yield Secret(
            path=name,
            line=holds[1],
            column=1,
            rule="login-file",
            severity="medium",
            excerpt=holds[0],
            found_by=("lockstitch",),
        )


def _read(path: Path) -> bytes | None:
    """Return the bytes of a regular file up to one more than may be; a link's target is not it."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as handle:
            return handle.read(largest(path.name) + 1)
    except OSError:  # deleted, and git does not know yet
        return None


def project_files(root: Path, paths: Sequence[Path]) -> list[str]:
    """Return the files of a project, or those below some paths: what git has or would add.

    Where git knows nothing of the folder, all files but caches and environments. A file that
    is named itself is always among them. Raises LockstitchError for a path that is not below the
    root.
    """
    chosen = [_below(root, path) for path in paths]
    known = git.listed(root)
    walked = (file.name for file in files.walk(root) if not file.outside)
    listed = [*known[0], *known[1]] if known else walked
    names = {n for n in listed if not chosen or any(map(PurePosixPath(n).is_relative_to, chosen))}
    return sorted(names | {n for n in chosen if (root / n).is_file()}, key=os.fsencode)


def _below(root: Path, path: Path) -> str:
    if not path.exists():
        raise LockstitchError(f"`{path}` is not there", hint="name files or folders of the project")
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError as error:
        message = f"`{path}` is not below `{root}`"
        raise LockstitchError(message, hint="use --project for another project") from error


@contextlib.contextmanager
def staged(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder with what the next commit changes below a root, and the names in it.

    The files are as git has them staged, whatever the working tree has by now. Raises
    LockstitchError when the root is in no git repository.
    """
    if not _in_git(root):
        message = f"`{root}` is in no git repository, so nothing is staged"
        raise LockstitchError(message, hint="git init, or leave out --staged")
    listed = ["diff", "--cached", "--no-ext-diff", "--name-only", "-z", "--diff-filter=ACMRT"]
    names = [
        name
        for name in git.run(root, *listed, "--relative", errors="surrogateescape").stdout.split(
            "\0"
        )
        if name
    ]
    prefix = git.run(root, "rev-parse", "--show-prefix").stdout.removesuffix("\n")
    with tempfile.TemporaryDirectory() as folder:
        copy = ["checkout-index", "--force", "-z", "--stdin", f"--prefix={folder}{os.sep}"]
        stdin = "".join(f"{name}\0" for name in names)
        git.run(root, *copy, stdin=stdin, errors="surrogateescape")
        yield Path(folder, prefix), sorted(names, key=os.fsencode)


def _in_git(root: Path) -> bool:
    try:
        return git.run(root, "rev-parse", "--is-inside-work-tree", check=False).code == 0
    except LockstitchError:
        return False
