"""HOK: hooks: whether git runs them, which versions they run, what they see and what they cost."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from posixpath import basename

from lockstitch import clock, environ, git, process
from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.errors import LockstitchError
from lockstitch.git import is_commit, without_login
from lockstitch.patterns import regex
from lockstitch.python.declared import default_groups
from lockstitch.python.locks import Graph
from lockstitch.python.locks.graph import walk
from lockstitch.python.names import normal, same_version
from lockstitch.python.tables import table
from lockstitch.repository.environment.programs import program
from lockstitch.repository.files import Repository
from lockstitch.repository.hooks.configuration import (
    Hook,
    HookFile,
    HookRepo,
    hook_files,
    other_managers,
)
from lockstitch.repository.hooks.known import EXCEPT_LOCKS, known, package_of
from lockstitch.repository.packaging.declared import beside
from lockstitch.repository.packaging.files import locks_in
from lockstitch.repository.text import yaml, yaml_edits
from lockstitch.repository.text.lines import Edit

_SCANNERS = regex(
    r"(?i)gitleaks|betterleaks|kingfisher|detect-secrets|trufflehog|ggshield|gitguardian|talisman"
    r"|git-secrets|secretlint|ripsecrets|noseyparker|whispers|detect-private-key"
    r"|lockstitch[ -]check"
    r"|lockstitch[ -]secrets|semgrep|trivy"
)
_PROJECT = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")
_FROZEN = regex(r"#\s*(?:frozen:\s*)?v?(\d[\w.]*)")
_VERSION = regex(r"(?:[A-Za-z_-]*[-_/])?v?(\d+(?:\.\d+)*[\w.]*)")
_OBSOLETE = {"commit": "pre-commit", "push": "pre-push", "merge-commit": "pre-merge-commit"}
_ISOLATED = frozenset({"python", ""})
_FOLDERS = ("venv", "env", "virtualenv")
_MYPY_TARGETS = frozenset({"-p", "-m", "-c", "--package", "--module", "--command"})
_VENV = regex(r"(?:\./)?\.venv/bin/([\w.-]+)")
_CHOOSES = regex(
    r"--(?:(?:only-)?group|extra|all-(?:groups|extras)|with|package|project|isolated)\b"
)
_LINTERS = frozenset(
    {"pytest", "black", "ruff", "flake8", "isort", "pylint", "pyright", "autopep8"}
    | {"yapf", "bandit"}
)
_CI_FILE = regex(
    r"\.github/workflows/[^/]+\.ya?ml|\.gitlab-ci\.yml|azure-pipelines\.yml|Jenkinsfile"
    r"|\.circleci/config\.yml|\.travis\.yml|bitbucket-pipelines\.yml"
)
_LARGE = "check-added-large-files"
_SECRETS = "detect-secrets"
_QUOTED_HASH = regex(r"[\"'][0-9a-f]{40,}[\"']")
_MAXKB = regex(r"--maxkb[= ](\d+)")
_DEFAULT_MAXKB = 500
_LOCK = regex(EXCEPT_LOCKS)


def _is_top(repo: Repository) -> bool:
    """Return whether the folder is a git clone's top; hooks of a folder in it stand elsewhere."""
    return repo.tracked is not None and (repo.root / ".git").exists()


class HOK001(Rule):
    """A Python repository has no hooks.

    Why: what a formatter, a linter or a secret scanner would have stopped is found in review, or by
    whoever clones the repository.

    Bad:
        $ ls -a
        .git  pyproject.toml  src

    Good:
        $ ls -a
        .git  .pre-commit-config.yaml  pyproject.toml  src

    Fix: write a .pre-commit-config.yaml or prek.toml; lefthook and husky count too.
    """

    severity = Severity.HINT

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        if not _is_top(repo) or hook_files(repo) or other_managers(repo):
            return
        files = [name for name in _PROJECT if name in repo.name_set]
        count = sum(name.endswith((".py", ".ipynb")) for name in repo.names)
        if files and count:
            message = f"{count} Python file{'s' * (count != 1)} and no hooks before a commit"
            hint = "add a .pre-commit-config.yaml, then: pre-commit install"
            yield self.finding(files[0], 0, message, hint=hint)


class HOK002(Rule):
    """Hooks are configured and not installed in this clone.

    Why: a clone copies no hooks. Until `install` has been run in it, no hook runs, and git does not
    say so. A clone of CI, which sets `CI`, needs none, and neither does one in which nothing was
    committed yet: whoever only looks at a repository or builds it commits nothing.

    Bad:
        $ ls .git/hooks
        pre-commit.sample

    Good:
        $ ls .git/hooks
        pre-commit  pre-commit.sample

    Fix: `pre-commit install` or `prek install`, once in each clone; where the lock has the program,
    after `uv run`.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        if not _is_top(repo) or environ.get("CI") or _is_fresh_clone(repo):
            return
        for file in hook_files(repo):
            wanted = file.types or ("pre-commit",)
            if "/" in file.path or file.problems or not file.repos:
                continue
            missing = [kind for kind in wanted if not _installed(repo, kind)]
            if missing == list(wanted):
                message = f"`{file.path}` is there, and this clone has no `{missing[0]}` hook"
                yield self.finding(file.path, file.line, message, hint=_install(repo, file.path))


def _install(repo: Repository, path: str) -> str:
    """Return the command that installs hooks, by the program that a lock of the project has."""
    runners = ("prek",) if path.endswith(".toml") else ("prek", "pre-commit")
    for manager in ("uv", "poetry"):
        text = repo.text(f"{manager}.lock") or ""
        for runner in runners:
            if f'\nname = "{runner}"\n' in text:
                return f"{manager} run {runner} install"
    return f"{runners[-1]} install"


def _is_fresh_clone(repo: Repository) -> bool:
    """Return whether git's log of HEAD begins with a clone and has no commit since."""
    try:
        place = git.run(repo.root, "rev-parse", "--git-path", "logs/HEAD", check=False)
        log = (repo.root / place.stdout.strip()).read_text("utf-8", "replace")
    except (LockstitchError, OSError):
        return False
    actions = [line.partition("\t")[2] for line in log.splitlines()]
    cloned = bool(actions) and actions[0].startswith("clone:")
    return cloned and not any(action.startswith("commit") for action in actions)


def _installed(repo: Repository, kind: str) -> bool:
    """Return whether git would run a hook here: core.hooksPath and worktrees are git's to know."""
    try:
        done = git.run(repo.root, "rev-parse", "--git-path", f"hooks/{kind}", check=False)
    except LockstitchError:
        return True
    return done.code != 0 or (repo.root / done.stdout.strip()).exists()


class HOK003(Rule):
    """A hook runs another version of a tool than the lock.

    Why: the hook's ruff and the project's ruff format differently, and CI fails on what the hook
    let through. Two version numbers that are kept by hand drift apart.

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
        for file in hook_files(repo):
            locks = locks_in(repo, file.path.rpartition("/")[0])
            for source in file.repos:
                version = _version(file, source)
                listed = [k for h in source.hooks if (k := known(source.url, h.id))]
                packages = {k.package for k in listed if not k.counterpart}
                for package in sorted(packages - {""}) if version else ():
                    locked = [(lock.path, p.version) for lock in locks for p in lock.named(package)]
                    if locked and not any(same_version(version, other) for _, other in locked):
                        lock, other = locked[0]
                        message = f"the hook runs {package} {version}, and `{lock}` has {other}"
                        hint = "lockstitch hooks migrate  # local hooks, of the lock"
                        yield self.finding(file.path, source.rev_line, message, hint=hint)


def _version(file: HookFile, source: HookRepo) -> str:
    """Return the version that a rev, or the comment behind a commit, names."""
    if not source.remote:
        return ""
    if is_commit(source.rev):
        line = file.text.splitlines()[source.rev_line - 1 : source.rev_line]
        match = _FROZEN.search(line[0]) if line else None
    else:
        match = _VERSION.fullmatch(source.rev)
    return match[1] if match else ""


class HOK004(Rule):
    """The rev of a hook is a branch.

    Why: a branch moves: each clone runs what the branch had when it was first fetched there. The
    code of others that runs at each commit changes without a trace in the repository.

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
        for file in hook_files(repo):
            lines = {problem.line for problem in file.problems}
            for source in file.repos:
                moving = not is_commit(source.rev) and not re.search(r"\d", source.rev)
                reported = not source.rev and source.line in lines  # the rev is missing: HOK009
                if source.remote and moving and not reported:
                    url = without_login(source.url)
                    message = f"`{url:.100}` is taken at `{source.rev:.60}`, which moves"
                    hint = "pre-commit autoupdate --freeze"
                    yield self.finding(file.path, source.rev_line, message, hint=hint)


class HOK005(Rule):
    """A stage has a name that pre-commit has deprecated.

    Why: since 3.2.0 the names are those of git's hooks. `commit` and `push` still work, with a
    warning at each run.

    Bad:
        stages: [commit]

    Good:
        stages: [pre-commit]

    Fix: write the new name; `lockstitch check --fix` does, and so does `pre-commit migrate-config`.
    Source: pre-commit.com, "Confining hooks to run at certain stages".
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for file in hook_files(repo):
            listed = [*file.stages, *(stage for _, hook in file.hooks() for stage in hook.stages)]
            for stage in listed:
                new = _OBSOLETE.get(stage.text)
                if new and stage.column:
                    message = f"the stage `{stage.text}` is called `{new}`"
                    hint = f"stages: [{new}]"
                    fix = yaml.renamed(file.path, file.text, stage, new)
                    yield self.finding(file.path, stage.line, message, hint=hint, fix=fix)


class HOK006(Rule):
    """A mypy hook checks without the project's packages, a whole environment, or nothing.

    Why: pre-commit installs mypy alone, so every import of a library is `Any`, and errors that the
    project's own mypy reports pass. `mypy .` beside a folder `venv` checks all packages
    installed there. And `mypy` that gets no file names, from the hook or from its settings, stops
    each commit with `Missing target module, package, files, or command`.

    Bad:
        - repo: https://github.com/pre-commit/mirrors-mypy
          rev: v1.18.2
          hooks:
            - id: mypy

    Good:
        - repo: local
          hooks:
            - id: mypy
              name: mypy
              entry: .venv/bin/mypy
              language: system
              types: [python]
              pass_filenames: false

    Fix: run the mypy of the project's environment: `lockstitch hooks migrate`.
    Source: python/mypy#13916.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for file in hook_files(repo):
            folder = file.path.rpartition("/")[0]
            for source, hook in file.hooks():
                if _is_alone(source, hook):
                    count = _dependencies(repo, folder)
                    if count:
                        message = f"mypy runs without the project's {count}: their types are `Any`"
                        hint = "lockstitch hooks migrate  # runs the project's own mypy"
                        yield self.finding(file.path, hook.line, message, hint=hint)
                elif source.url == "local" and (venv := _checked_venv(repo, folder, hook)):
                    message = f"`{hook.entry:.60}` checks all that is installed in `{venv}` too"
                    hint = f'[tool.mypy]: exclude = ["^{venv}/"], or name the folders'
                    yield self.finding(file.path, hook.line, message, hint=hint)
                elif source.url == "local" and _has_no_target(repo, folder, hook):
                    message = f"`{hook.entry:.60}` names nothing to check, and mypy stops with that"
                    hint = '[tool.mypy]: files = ["src"]'
                    yield self.finding(file.path, hook.line, message, hint=hint)


def _words(hook: Hook) -> list[str]:
    try:
        return [*shlex.split(hook.entry), *hook.args]
    except ValueError:
        return []


def _is_alone(repo: HookRepo, hook: Hook) -> bool:
    """Return whether mypy runs in an environment that has nothing else."""
    own = basename(repo.url).removesuffix(".git") == "mirrors-mypy" and hook.id == "mypy"
    words = _words(hook)
    isolated = repo.url == "local" and hook.language == "python"
    local = isolated and bool(words) and basename(words[0]) == "mypy"
    language = not own or hook.language in _ISOLATED
    names = {
        re.split(r"[\[<>=!~; @]", dependency, maxsplit=1)[0].lower()
        for dependency in hook.dependencies
    }
    return (own or local) and language and not names - {"mypy"}


def _dependencies(repo: Repository, folder: str) -> str:
    """Return how many packages a project needs, in words, empty for none."""
    document = repo.toml(beside(folder, "pyproject.toml"))
    listed = table(document, "project").get("dependencies")
    older = table(document, "tool", "poetry").get("dependencies")
    count = len(listed) if isinstance(listed, list) else 0
    count += len({*older} - {"python"}) if isinstance(older, dict) else 0
    if not count:
        lines = repo.lines(beside(folder, "requirements.txt"))
        count = sum(bool(re.match(r"[A-Za-z0-9]", line)) for line in lines)
    return f"{count} dependenc{'ies' if count != 1 else 'y'}" if count else ""


def _checked_venv(repo: Repository, folder: str, hook: Hook) -> str:
    """Return the environment, in a folder without a dot, that a local mypy walks, or ""."""
    words = _words(hook)
    names = [basename(word) for word in words]
    if "mypy" not in names or "." not in words[names.index("mypy") :]:
        return ""
    mypy = table(repo.toml(beside(folder, "pyproject.toml")), "tool", "mypy")
    ini = (repo.text(beside(folder, n)) or "" for n in ("mypy.ini", ".mypy.ini", "setup.cfg"))
    excludes = any(word.startswith("--exclude") for word in words)
    if excludes or "exclude" in mypy or any("exclude" in text for text in ini):
        return ""
    venvs = (name for name in _FOLDERS if repo.exists(beside(folder, f"{name}/pyvenv.cfg")))
    return next(venvs, "")


def _has_no_target(repo: Repository, folder: str, hook: Hook) -> bool:
    """Return whether mypy is started without anything to check: no names, no words, no settings."""
    words = _words(hook)
    names = [basename(word) for word in words]
    if "mypy" not in names or hook.options.get("pass_filenames", "").lower() != "false":
        return False
    after = words[names.index("mypy") + 1 :]
    if any(not word.startswith("-") or word in _MYPY_TARGETS for word in after):
        return False
    mypy = table(repo.toml(beside(folder, "pyproject.toml")), "tool", "mypy")
    ini = (repo.text(beside(folder, n)) or "" for n in ("mypy.ini", ".mypy.ini", "setup.cfg"))
    targets = any(re.search(r"(?m)^(?:files|packages|modules)\s*=", text) for text in ini)
    return not targets and not mypy.keys() & {"files", "packages", "modules"}


class HOK007(Rule):
    """No hook looks for secrets.

    Why: a key that was pushed has to be replaced everywhere; a key in a stopped commit has not. The
    hook takes a quarter of a second.

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
                entry: .venv/bin/lockstitch check --secrets --staged
                language: system
                pass_filenames: false

    Fix: add gitleaks, betterleaks, kingfisher, detect-secrets or
    `lockstitch check --secrets --staged`.
    """

    severity = Severity.HINT

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for file in hook_files(repo):
            hooks = [f"{r.url} {h.id} {h.entry} {' '.join(h.args)}" for r, h in file.hooks()]
            scans = any(map(_SCANNERS.search, hooks))
            if file.repos and not file.problems and not scans and not _in_ci(repo):
                count = f"{len(hooks)} hooks" if len(hooks) != 1 else "hooks (one)"
                message = f"none of the {count} looks for secrets"
                hint = "add a hook: entry: lockstitch check --secrets --staged"
                yield self.finding(file.path, file.line, message, hint=hint)


def _in_ci(repo: Repository) -> bool:
    ci = [n for n in repo.names if n.startswith(".github/workflows/") or n == ".gitlab-ci.yml"]
    return any(_SCANNERS.search(repo.text(name) or "") for name in ci)


class HOK008(Rule):
    """A hook is slow, or looks at all files at each commit.

    Why: people skip a hook that takes half a minute with `--no-verify`. A local hook that runs the
    tests, or a linter on `.`, takes longer with each file of the repository, whatever is committed.
    `--measure` runs each hook on all files, as `pre-commit run --all-files` does, and names those
    that take more than five seconds: it runs the repository's code, and hooks that correct files do
    so.

    Bad:
        `mypy` took 31.0 s on all files, more than 5 s

    Good:
        stages: [pre-push]

    Fix: run it before a push or in CI, or take a faster tool (ruff for flake8 and pylint).
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        configured = [file for file in hook_files(repo) if "/" not in file.path and file.repos]
        for file in configured:
            yield from self._of_all_files(file)
        if not self.options.measure or not configured:
            return
        file, most = configured[0], self.options.slow
        names = ("prek",) if file.path.endswith(".toml") else ("prek", "pre-commit")
        runner = next((path for name in names if (path := program(repo, name))), None)
        if runner is None:
            hint = f"pip install {names[-1]}"
            yield self.skip(f"`{' or '.join(names)}` is not installed", hint=hint)
            return
        for hook in {h.id: h for _, h in file.hooks() if _at_commit(file, h)}.values():
            words: list[str | Path] = [runner, "run", hook.id, "--all-files"]
            seconds = _seconds(repo, words)
            seconds = _seconds(repo, words) if seconds > most else seconds
            if seconds > most:
                message = f"`{hook.id}` took {seconds:.1f} s on all files, more than {most:g} s"
                hint = "stages: [pre-push]"
                yield self.finding(file.path, hook.line, message, hint=hint)

    def _of_all_files(self, file: HookFile) -> Iterator[Finding]:
        for source, hook in file.hooks():
            if source.url == "local" and _at_commit(file, hook) and _is_of_all_files(hook):
                message = f"`{hook.entry:.60}` looks at all files at each commit"
                hint = "let it have the names of what is committed, or stages: [pre-push]"
                yield self.finding(file.path, hook.line, message, hint=hint)


def _is_of_all_files(hook: Hook) -> bool:
    """Return whether a hook looks at all files, whatever is committed."""
    words = _words(hook)
    programs = [basename(word) for word in words]
    tool = next((name for name in programs if name in _LINTERS), "")
    named = {"."} & {*words} or hook.options.get("pass_filenames", "").lower() == "false"
    return tool == "pytest" or bool(tool and named and "mypy" not in programs)


def _at_commit(file: HookFile, hook: Hook) -> bool:
    stages = {stage.text for stage in hook.stages or file.stages}
    return not stages or bool(stages & {"commit", "pre-commit"})


def _seconds(repo: Repository, words: Sequence[str | Path]) -> float:
    """Return how long a command takes; the first run of a hook installs it."""
    start = clock.monotonic()
    process.run(words, cwd=repo.root, check=False)
    return clock.monotonic() - start


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
        for file in hook_files(repo):
            for problem in file.problems:
                hint = "pre-commit validate-config"
                yield self.finding(file.path, problem.line, problem.message, hint=hint)


class HOK010(Rule):
    """The rev of a hook is a tag, not a commit.

    Why: the owner of a repository, or an attacker who has taken it over, can move a tag: a fresh
    clone then runs other code than yours.

    Bad:
        rev: v0.14.0

    Good:
        rev: 4a2e5b8f6d1c3e9a7b0f2d4c6e8a1b3d5f7c9e0b  # frozen: v0.14.0

    Fix: `pre-commit autoupdate --freeze`, or local hooks: `lockstitch hooks migrate`.
    """

    default = False

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for file in hook_files(repo):
            for source in file.repos:
                rev = source.rev
                if source.remote and not is_commit(rev) and re.search(r"\d", rev):
                    url = without_login(source.url)
                    message = f"`{url:.100}` is taken at the tag `{rev:.60}`, not at a commit"
                    hint = "pre-commit autoupdate --freeze"
                    yield self.finding(file.path, source.rev_line, message, hint=hint)


class HOK011(Rule):
    """A local hook calls a program that the project's environment does not get.

    Why: `uv sync` installs the project, its group `dev` and no extra. A hook that calls
    `.venv/bin/black` while black is in an extra stops each commit of a fresh clone with
    `No such file or directory`. Poetry makes its environment in a folder of its own unless it is
    told otherwise, so `.venv/bin/…` is not there at all.

    Bad:
        [project.optional-dependencies]
        dev = ["black>=25"]            # and a hook with `entry: .venv/bin/black`

    Good:
        [dependency-groups]
        dev = ["black>=25"]

    Fix: `uv add --dev black`; with Poetry, `poetry config --local virtualenvs.in-project true`.
    Source: uv documentation, "Default groups"; Poetry documentation, "virtualenvs.in-project".
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for file in hook_files(repo):
            folder = file.path.rpartition("/")[0]
            causes: dict[tuple[str, str], tuple[int, list[str]]] = {}
            for source, hook in file.hooks():
                program = _called(hook) if source.url == "local" else ""
                if program and (cause := _why_missing(repo, folder, hook, program)):
                    causes.setdefault(cause, (hook.line, []))[1].append(program)
            for (why, hint), (line, programs) in causes.items():
                names = ", ".join(f"`{name}`" for name in dict.fromkeys(programs))
                shown = hint.format(programs=" ".join(dict.fromkeys(map(_package, programs))))
                yield self.finding(file.path, line, f"the hooks call {names}, {why}", hint=shown)


def _package(program: str) -> str:
    return package_of(program) or program


def _called(hook: Hook) -> str:
    """Return the program of the environment that a hook calls; of no other kind of hook any."""
    words = _words(hook)
    if not words or hook.language not in {"system", "unsupported"}:
        return ""
    if match := _VENV.fullmatch(words[0]):
        return match[1]
    if words[:2] in (["uv", "run"], ["poetry", "run"]) and not _CHOOSES.search(hook.entry):
        return basename(next((word for word in words[2:] if not word.startswith("-")), ""))
    return ""


def _why_missing(repo: Repository, folder: str, hook: Hook, program: str) -> tuple[str, str] | None:
    """Return why an environment does not get a program and what to type, None when it may."""
    locks = {lock.kind: lock for lock in locks_in(repo, folder)}
    lock = locks.get("uv") or locks.get("poetry")
    in_venv = _VENV.match(hook.entry) is not None
    venv = (repo.root / folder / ".venv").resolve()
    if lock is None or (in_venv and (venv / "bin" / program).exists()):
        return None
    if lock.kind == "poetry" and in_venv and not venv.exists():
        settings = table(repo.toml(beside(folder, "poetry.toml")), "virtualenvs")
        if settings.get("in-project") is not True:
            hint = "poetry config --local virtualenvs.in-project true, then: poetry install"
            return "and Poetry makes its environment outside of the project", hint
    package = _package(program)
    if not lock.named(package):
        known_one = package_of(program)
        add = "uv add --dev" if lock.kind == "uv" else "poetry add --group dev"
        why = f"which `{lock.path}` does not have"
        return (why, f"{add} {{programs}}") if known_one else None
    if lock.kind != "uv" or not lock.roots:
        return None
    document = repo.toml(beside(folder, "pyproject.toml")) or {}
    if _is_reached(lock, package, default_groups(document, lock.group_names), ()):
        return None
    extra = next((e for e in lock.extra_names if _is_reached(lock, package, (), (e,))), "")
    group = next((g for g in lock.group_names if _is_reached(lock, package, (g,), ())), "")
    where = f"the extra `{extra}`" if extra else f"the group `{group}`" if group else "no group"
    return f"and `uv sync` does not install what is in {where}", "uv add --dev {programs}"


def _is_reached(lock: Graph, package: str, groups: Sequence[str], extras: Sequence[str]) -> bool:
    try:
        packages = walk(lock, lambda *_: True, groups, extras).packages
    except LockstitchError:
        return True  # groups that exclude each other: it is not known
    return any(locked.name == normal(package) for locked in packages)


class HOK012(Rule):
    r"""The hook against large files or secrets stops the project's own lock.

    Why: the lock of a project with MLflow or torch has more than 500 KB, and detect-secrets takes
    the hashes of a pylock.toml for secrets. The commit that should make the environment
    reproducible is refused, and people commit without the lock or without hooks.

    Bad:
        - id: check-added-large-files
          args: [--maxkb=500]            # uv.lock has 866 KB

    Good:
        - id: check-added-large-files
          args: [--maxkb=500]
          exclude: (^|/)[^/]+\.lock$

    Fix: except the locks; `lockstitch check --fix` does, where the hook has no `exclude` yet.
    """

    severity = Severity.ERROR
    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for file in hook_files(repo):
            if "/" in file.path or re.search(r"(?m)^exclude\s*[:=]", file.text):
                continue
            for _, hook in file.hooks():
                if hook.id in {_LARGE, _SECRETS}:
                    yield from self._stopped(repo, file, hook)

    def _stopped(self, repo: Repository, file: HookFile, hook: Hook) -> Iterator[Finding]:
        match = _MAXKB.search(" ".join((hook.entry, *hook.args)))
        most = int(match[1]) if match else _DEFAULT_MAXKB
        pattern = hook.options.get("exclude", "^$")
        named = [n for n in repo.names if _LOCK.search(n) and repo.exists(n)]
        for name in (n for n in named if not _searched(pattern, n) and not _is_committed(repo, n)):
            size = -(-(repo.root / name).stat().st_size // 1024)  # as the hook does, rounded up
            message = f"`{name}` has {size} KB, and the hook `{_LARGE}` refuses more than {most}"
            stops = size > most
            if hook.id == _SECRETS:
                message = f"the hook `{_SECRETS}` takes the hashes of `{name}` for secrets"
                stops = _QUOTED_HASH.search(repo.text(name) or "") is not None
            if not stops:
                continue
            hint = f"exclude: {EXCEPT_LOCKS}"
            fix = _excepting(file, hook)
            yield self.finding(file.path, hook.line, message, hint=hint, fix=fix)
            return


def _excepting(file: HookFile, hook: Hook) -> tuple[Edit, ...]:
    where = yaml_edits.at_line(file.text, hook.line)
    if where is None or "exclude" in hook.options or file.path.endswith(".toml"):
        return ()
    edits = yaml_edits.added(file.path, file.text, where, {"exclude": EXCEPT_LOCKS})
    change = yaml_edits.put((*where, "exclude"), EXCEPT_LOCKS)
    return yaml_edits.proved(file.path, file.text, edits, change)


def _searched(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return True


def _is_committed(repo: Repository, name: str) -> bool:
    return git.run(repo.root, "cat-file", "-e", f"HEAD:./{name}", check=False).code == 0


class HOK013(Rule):
    """CI runs none of the hooks.

    Why: hooks are of each clone. Who never ran `pre-commit install`, or commits with `--no-verify`
    or in the browser, passes them, and nobody sees it.

    Bad:
        $ ls .github/workflows .pre-commit-config.yaml
        .pre-commit-config.yaml  tests.yml        # which runs pytest alone

    Good:
        - run: uv run pre-commit run --all-files

    Fix: run `pre-commit run --all-files` or `prek run --all-files` in CI, or let pre-commit.ci.
    Source: pre-commit.com, "Usage in continuous integration".
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        names = [name for name in repo.names if _CI_FILE.fullmatch(name)]
        texts = [text for name in names if (text := repo.text(name))]
        scripts = [repo.text(name) or "" for name in ("Makefile", "justfile", "tox.ini")]
        scripts += [repo.text(name) or "" for name in ("noxfile.py", "tasks.py", "pyproject.toml")]
        jobs = "\n".join(texts)
        for file in hook_files(repo):
            if "/" in file.path or not texts or not file.repos or re.search(r"(?m)^ci:", file.text):
                continue
            if not re.search(r"\b(?:pytest|pip|uv|poetry|python)\b", jobs):
                continue  # CI of something else
            tools = {basename(word) for _, hook in file.hooks() for word in _words(hook)[:3]}
            tools |= {hook.id for _, hook in file.hooks()}
            by_make = re.search(r"\b(?:make|just|tox|nox|invoke|hatch)\b", jobs)
            every = jobs + ("\n".join(scripts) if by_make else "")
            runs = re.search(r"pre-commit|\bprek\b", every)
            if not runs and not any(_names(tool, every) for tool in tools):
                message = f"none of what `{file.path}` checks is run by CI (`{names[0]}`)"
                hint = "pre-commit run --all-files, in a job"
                yield self.finding(file.path, file.line, message, hint=hint)


def _names(tool: str, text: str) -> bool:
    short = tool.partition("-")[0]
    return len(short) > 2 and re.search(rf"\b{re.escape(short)}\b", text) is not None
