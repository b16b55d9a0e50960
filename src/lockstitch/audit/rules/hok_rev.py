"""HOK: which version of a hook runs."""

import re
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.git import is_commit, without_login
from lockstitch.patterns import regex
from lockstitch.repository.files import Repository
from lockstitch.repository.hooks.configuration import HookFile, HookRepo, hook_files
from lockstitch.repository.hooks.known import known
from lockstitch.repository.packaging.files import locks_in

__all__ = ["RULES"]

_FROZEN = regex(r"#\s*(?:frozen:\s*)?v?(\d[\w.]*)")
_VERSION = regex(r"(?:[A-Za-z_-]*[-_/])?v?(\d+(?:\.\d+)*[\w.]*)")


class HOK003(Rule):
    """A hook runs another version of a tool than the lock has.

    Why: `ruff` of the hook and `ruff` of the project's environment format differently, and CI fails
    on what the hook has let through. Two numbers that nobody keeps together drift apart.

    Bad:
        - repo: https://github.com/astral-sh/ruff-pre-commit
          rev: v0.9.1            # the lock has ruff 0.14.0

    Good:
        - repo: local
          hooks:
            - id: ruff
              name: ruff
              entry: uv run --locked ruff check
              language: system

    Fix: make it a local hook (`lockstitch hooks migrate`), or write the version of the lock.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each repository whose tool the lock has in another version."""
        for file in hook_files(repo):
            folder = file.path.rpartition("/")[0]
            for each in file.repos:
                said = _version(file, each)
                packages = {k.package for h in each.hooks if (k := known(each.url, h.id))} - {""}
                for package in sorted(packages) if said else ():
                    locked = _locked(repo, folder, package)
                    if locked and not any(_same(said, version) for _, version in locked):
                        lock, version = locked[0]
                        message = f"the hook runs {package} {said}, and `{lock}` has {version}"
                        hint = "lockstitch hooks migrate  # local hooks, of the lock"
                        yield self.finding(file.path, each.rev_line, message, hint=hint)


def _version(file: HookFile, repo: HookRepo) -> str:
    """Return the version that a rev, or the comment behind a commit, names."""
    if not repo.remote:
        return ""
    if is_commit(repo.rev):
        line = file.text.splitlines()[repo.rev_line - 1 : repo.rev_line]
        match = _FROZEN.search(line[0]) if line else None
        return match[1] if match else ""
    match = _VERSION.fullmatch(repo.rev)
    return match[1] if match else ""


def _locked(repo: Repository, folder: str, package: str) -> list[tuple[str, str]]:
    """Return the locks beside a configuration that have a package, with its version."""
    found = locks_in(repo, folder)
    return [(lock.path, each.version) for lock in found for each in lock.named(package)]


def _same(one: str, other: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


class HOK004(Rule):
    """The rev of a hook is a branch, which moves.

    Why: each clone runs what the branch had when it was first fetched there, and
    `pre-commit autoupdate` aside nobody sees the change: code of others that runs at each commit.

    Bad:
        - repo: https://github.com/psf/black
          rev: main

    Good:
        - repo: https://github.com/psf/black
          rev: 25.9.0

    Fix: `pre-commit autoupdate` writes the newest tag, `--freeze` its commit.
    Source: pre-commit.com, "Using the latest version for a repository".
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each rev that names no version and no commit."""
        for file in hook_files(repo):
            for each in file.repos:
                moving = not is_commit(each.rev) and not re.search(r"\d", each.rev)
                if each.remote and moving and not _is_missing(file, each):
                    url = without_login(each.url)
                    message = f"`{url:.100}` is taken at `{each.rev:.60}`, which moves"
                    hint = "pre-commit autoupdate --freeze"
                    yield self.finding(file.path, each.rev_line, message, hint=hint)


def _is_missing(file: HookFile, repo: HookRepo) -> bool:
    """Return whether there is no rev at all, which the reader has complained of."""
    return not repo.rev and any(each.line == repo.line for each in file.problems)


class HOK010(Rule):
    """The rev of a hook is a tag, not a commit.

    Why: the owner of a repository, or who has taken it over, can move a tag: a fresh clone then
    runs other code than yours.

    Bad:
        rev: v0.14.0

    Good:
        rev: 4a2e5b8f6d1c3e9a7b0f2d4c6e8a1b3d5f7c9e0b  # frozen: v0.14.0

    Fix: `pre-commit autoupdate --freeze`, or local hooks: `lockstitch hooks migrate`.
    """

    default = False

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each tag."""
        for file in hook_files(repo):
            for each in file.repos:
                if each.remote and not is_commit(each.rev) and re.search(r"\d", each.rev):
                    url = without_login(each.url)
                    message = f"`{url:.100}` is taken at the tag `{each.rev:.60}`, not at a commit"
                    hint = "pre-commit autoupdate --freeze"
                    yield self.finding(file.path, each.rev_line, message, hint=hint)


RULES: tuple[type[Rule], ...] = (HOK003, HOK004, HOK010)
