"""LCK: whether there is a lock, whether it has hashes, and whether two of them agree."""

import posixpath
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.python.locks import Graph
from lockstitch.repository.dockerfile import purpose
from lockstitch.repository.dockerfile.images import dockerfiles
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging.declared import Declared, beside, folder_of, of_folder
from lockstitch.repository.packaging.files import (
    lock_files,
    locks_in,
    project_folders,
    requirement_lists,
)

__all__ = ["RULES"]

_SHOWN = 3  # names in a message
_LOCKERS = {"Pipfile": "pipenv lock", "setup.py": "uv pip compile setup.py --generate-hashes"}


class LCK001(Rule):
    """Dependencies are declared and nothing locks them.

    Why: every installation chooses anew. The image of today and the image of next week have other
    versions under the same commit, and the model scores differently in them.

    Bad:
        # pyproject.toml, and no uv.lock, poetry.lock, pdm.lock or pinned requirements beside it
        dependencies = ["scikit-learn>=1.5"]

    Good:
        # the same, and uv.lock in git

    Fix: `uv lock` (or `poetry lock`, `pip-compile --generate-hashes`), and commit what it writes.
    A library needs no lock: a project with a [build-system] and with metadata for an index
    (classifiers, addresses), and with no Dockerfile or pipeline that runs it, is left alone.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each folder's first dependency where no lock covers it."""
        locks = purpose.lock_names(repo)
        for folder in project_folders(repo):
            declared = [each for each in of_folder(repo, folder) if not each.group]
            if not declared or _covered(folder, locks, project_folders(repo)):
                continue
            if not purpose.is_library(repo, folder):
                yield self._unlocked(repo, folder, declared)
        for path in sorted(name for name in repo.names if name.endswith(".in")):
            yield from self._compiled(repo, path)

    def _unlocked(self, repo: Repository, folder: str, declared: list[Declared]) -> Finding:
        first, count = declared[0], len(declared)
        name = posixpath.basename(first.path)
        locker = "poetry" if "[tool.poetry" in (repo.text(first.path) or "") else "uv"
        lock = beside(folder, f"{locker}.lock")
        if repo.exists(lock):
            message = f"`{lock}` locks `{first.path}` and is not in git"
            hint = f"take `{locker}.lock` out of .gitignore, and commit it"
            return self.finding(first.path, first.line, message, hint=hint)
        many = "dependency" if count == 1 else "dependencies"
        message = f"`{first.path}` declares {count} {many} and nothing locks them"
        hint = f"{_LOCKERS.get(name, f'{locker} lock')}, and commit the lock"
        return self.finding(first.path, first.line, message, hint=hint)

    def _compiled(self, repo: Repository, path: str) -> Iterator[Finding]:
        listed = next((each for each in requirement_lists(repo) if each.path == path), None)
        made = f"{path.removesuffix('.in')}.txt"
        entries = [e for e in listed.value.entries if e.name and not e.local] if listed else []
        loose = [each for each in entries if not each.pinned]
        if not loose or made in repo.name_set:
            return  # what was made and is not pinned, LCK005 says
        beside_it = [each.path for each in locks_in(repo, folder_of(path))]
        if beside_it or _covered(folder_of(path), purpose.lock_names(repo), ()):
            return
        message = f"`{path}` declares {len(entries)} dependencies and no `{made}` locks them"
        hint = f"uv pip compile {path} --universal --generate-hashes -o {made}"
        yield self.finding(path, loose[0].line, message, hint=hint)


def _covered(folder: str, locks: list[str], folders: tuple[str, ...]) -> bool:
    """Return whether a lock stands in a folder, above it, or below it in no project of its own."""
    start = f"{folder}/" if folder else ""
    for lock in locks:
        place = folder_of(lock)
        if place == folder or not place or folder.startswith(f"{place}/"):
            return True
        if lock.startswith(start) and not _has_own(place, folder, folders):
            return True
    return False


def _has_own(place: str, folder: str, folders: tuple[str, ...]) -> bool:
    """Return whether a folder below another is a project: more than a place for lists."""
    last = place.rpartition("/")[2]
    return place in folders and place != folder and not last.startswith(("requirement", "lock"))


class LCK003(Rule):
    """A lock has no hashes.

    Why: a version names no bytes. An index that was tampered with, a mirror, or a wheel that was
    added later installs something else under the same pin, and nobody notices.

    Bad:
        numpy==2.1.3
        pandas==2.2.3

    Good:
        numpy==2.1.3 --hash=sha256:…
        pandas==2.2.3 --hash=sha256:…

    Fix: `uv export --format requirements.txt`, `pip-compile --generate-hashes` or
    `uv pip compile --generate-hashes`; pip then refuses whatever has another hash.
    Source: pip documentation, "Secure installs".
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield the first line of requirements that pin all and hash nothing."""
        for lock in lock_files(repo):
            if lock.kind != "requirements" or _is_for_docs(lock.path):
                continue
            if purpose.is_beside_model(repo, lock.path):
                continue
            others = locks_in(repo, folder_of(lock.path))
            if any(_hashed(other) for other in others) and not _installed(repo, lock.path):
                continue
            pinned = [each for each in lock.packages if each.source.kind == "registry"]
            if len(pinned) < len(lock.packages):
                continue  # a place has no hash either: LCK004 or LCK005 is about it
            if pinned and not any(file.hash for each in pinned for file in each.files):
                count = f"{len(pinned)} package{'s' if len(pinned) > 1 else ''}"
                message = f"`{lock.path}` pins {count} and has no hash"
                hint = f"uv pip compile --generate-hashes … -o {lock.path}"
                yield self.finding(lock.path, pinned[0].line, message, hint=hint)


def _is_for_docs(path: str) -> bool:
    parts = path.lower().split("/")
    return "constraints" in parts[-1] or bool({"docs", "doc"} & {*parts[:-1]})


def _hashed(lock: Graph) -> bool:
    return any(file.hash for each in lock.packages for file in each.files)


def _installed(repo: Repository, path: str) -> bool:
    """Return whether a Dockerfile names a list of requirements."""
    name = posixpath.basename(path)
    return any(name in file.text for file in dockerfiles(repo))


class LCK007(Rule):
    """Two locks of one project disagree on a version.

    Why: the laptop installs from one and the image from the other; both are locked and still not
    the same.

    Bad:
        uv.lock:                numpy 2.1.3
        requirements-lock.txt:  numpy==1.26.4

    Good:
        one lock, and the other exported from it

    Fix: make the second one from the first: `uv export --format requirements.txt --output-file
    requirements-lock.txt`, and take out a lock that nobody uses.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each pair with a package of which they have no version in common."""
        order = {"uv": 0, "poetry": 1, "pylock": 2, "requirements": 3}
        for folder in sorted({folder_of(lock.path) for lock in lock_files(repo)}):
            found = sorted(locks_in(repo, folder), key=lambda lock: (order[lock.kind], lock.path))
            main = next((lock for lock in found if lock.kind in {"uv", "poetry"}), None)
            for other in found if main else ():
                if main and other is not main:
                    yield from self._pair(main, other)

    def _pair(self, main: Graph, other: Graph) -> Iterator[Finding]:
        have = _versions(main)
        wrong = [
            each
            for each in other.packages
            if each.version and each.name in have and _public(each.version) not in have[each.name]
        ]
        wrong = [each for each in wrong if not _versions(other)[each.name] & have[each.name]]
        if not wrong:
            return
        first = wrong[0]
        versions = ", ".join(sorted(have[first.name]))
        more = _more([each.name for each in wrong[1:]])
        message = f"`{other.path}` has {first.name} {first.version}, `{main.path}` {versions}{more}"
        hint = "uv export --format requirements.txt --output-file NAME makes one from the other"
        if main.kind == "poetry":
            hint = "poetry export makes one from the other"
        elif other.kind == "poetry":
            hint = "keep one of the two"
        yield self.finding(other.path, first.line, message, hint=hint)


def _more(names: list[str]) -> str:
    rest = list(dict.fromkeys(names))
    if not rest:
        return ""
    shown = ", ".join(rest[:_SHOWN])
    return f"; they differ in {len(rest)} more: {shown}{' …' if len(rest) > _SHOWN else ''}"


def _versions(lock: Graph) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for each in lock.packages:
        if each.version:
            found.setdefault(each.name, set()).add(_public(each.version))
    return found


def _public(version: str) -> str:
    """Return a version without what an index adds to it (`+cpu`), as PEP 440 compares it."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version).public
    except InvalidVersion:
        return version


RULES: tuple[type[Rule], ...] = (LCK001, LCK003, LCK007)
