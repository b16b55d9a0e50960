"""HOK: whether there are hooks, whether git runs them, and what they look for."""

from collections.abc import Iterator

from lockstitch import environ, git
from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.repository.files import Repository
from lockstitch.repository.hooks import configuration
from lockstitch.repository.hooks.configuration import HookFile, hook_files

__all__ = ["RULES"]

_SCANNERS = regex(
    r"(?i)gitleaks|betterleaks|kingfisher|detect-secrets|trufflehog|ggshield|gitguardian|talisman"
    r"|git-secrets|secretlint|ripsecrets|noseyparker|whispers|detect-private-key"
    r"|lockstitch[ -]check"
    r"|lockstitch[ -]secrets|semgrep|trivy"
)
_PROJECT = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")


def _is_top(repo: Repository) -> bool:
    """Return whether the folder is a git clone's top; hooks of a folder in it stand elsewhere."""
    return repo.tracked is not None and (repo.root / ".git").exists()


class HOK001(Rule):
    """A Python repository has no hooks.

    Why: what a formatter, a linter or a scanner for secrets would have stopped is found in review,
    or by whoever clones the history.

    Bad:
        $ ls -a
        .git  pyproject.toml  src

    Good:
        $ ls -a
        .git  .pre-commit-config.yaml  pyproject.toml  src

    Fix: write a .pre-commit-config.yaml or prek.toml; lefthook and husky count too.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield one finding for the repository."""
        if not _is_top(repo) or hook_files(repo) or configuration.others(repo):
            return
        files = [name for name in _PROJECT if name in repo.name_set]
        count = sum(name.endswith((".py", ".ipynb")) for name in repo.names)
        if files and count:
            message = f"{count} Python file{'s' * (count != 1)} and no hooks before a commit"
            hint = "add a .pre-commit-config.yaml, then: pre-commit install"
            yield self.finding(files[0], 0, message, hint=hint)


class HOK002(Rule):
    """Hooks are configured and not installed in this clone.

    Why: git copies no hooks with a clone. Without one `install` in each clone nothing runs, and
    nobody is told. A clone of CI, which sets `CI`, needs none.

    Bad:
        $ ls .git/hooks
        pre-commit.sample

    Good:
        $ ls .git/hooks
        pre-commit  pre-commit.sample

    Fix: `pre-commit install` or `prek install`, once in each clone.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield one finding for each configuration at the top of a clone."""
        if not _is_top(repo) or environ.get("CI"):
            return
        for file in hook_files(repo):
            wanted = file.types or ("pre-commit",)
            if "/" in file.path or file.problems or not file.repos:
                continue
            missing = [kind for kind in wanted if not _installed(repo, kind)]
            if missing == list(wanted):
                runner = "prek" if file.path.endswith(".toml") else "pre-commit"
                message = f"`{file.path}` is there, and this clone has no `{missing[0]}` hook"
                yield self.finding(file.path, file.line, message, hint=f"{runner} install")


def _installed(repo: Repository, kind: str) -> bool:
    """Return whether git would run a hook here: core.hooksPath and worktrees are git's to know."""
    try:
        done = git.run(repo.root, "rev-parse", "--git-path", f"hooks/{kind}", check=False)
    except LockstitchError:
        return True
    return done.code != 0 or (repo.root / done.stdout.strip()).exists()


class HOK007(Rule):
    """No hook looks for secrets.

    Why: a key that was pushed has to be replaced everywhere; one that the commit was stopped for
    has not. What it costs is a quarter of a second.

    Bad:
        repos:
          - repo: https://github.com/astral-sh/ruff-pre-commit
            …

    Good:
        repos:
          - repo: local
            hooks:
              - id: secrets
                name: secrets
                entry: .venv/bin/lockstitch secrets --staged
                language: system
                pass_filenames: false

    Fix: add gitleaks, betterleaks, kingfisher, detect-secrets or `lockstitch secrets --staged`.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield one finding for each configuration, when CI has no scanner either."""
        for file in hook_files(repo):
            blind = file.repos and not file.problems and not _SCANNERS.search(_said(file))
            if blind and not _in_ci(repo):
                message = f"none of the {_count(file)} looks for secrets"
                hint = "add a hook: entry: lockstitch secrets --staged"
                yield self.finding(file.path, file.line, message, hint=hint)


def _said(file: HookFile) -> str:
    words = (f"{r.url} {h.id} {h.entry} {' '.join(h.args)}" for r, h in file.hooks())
    return "\n".join(words)


def _count(file: HookFile) -> str:
    count = sum(1 for _ in file.hooks())
    return f"{count} hooks" if count != 1 else "hooks (one)"


def _in_ci(repo: Repository) -> bool:
    ci = [n for n in repo.names if n.startswith(".github/workflows/") or n == ".gitlab-ci.yml"]
    return any(_SCANNERS.search(repo.text(name) or "") for name in ci)


class HOK009(Rule):
    """The configuration of hooks cannot be read.

    Why: pre-commit stops with an error at each commit, until people commit with `--no-verify`.

    Bad:
        repos:
          - repo: https://github.com/psf/black-pre-commit-mirror
            hooks:
              - id: black

    Good:
        repos:
          - repo: https://github.com/psf/black-pre-commit-mirror
            rev: 25.9.0
            hooks:
              - id: black

    Fix: correct the line that is named; `pre-commit validate-config` says the same.
    Source: pre-commit.com, ".pre-commit-config.yaml".
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each problem that stops pre-commit."""
        for file in hook_files(repo):
            for problem in file.problems:
                hint = "pre-commit validate-config"
                yield self.finding(file.path, problem.line, problem.message, hint=hint)


RULES: tuple[type[Rule], ...] = (HOK001, HOK002, HOK007, HOK009)
