"""HOK: when hooks run, what they see, and how long they take."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from posixpath import basename

from lockstitch import clock, process
from lockstitch.audit.rule import Finding, Rule, Skip
from lockstitch.repository.environment.programs import program
from lockstitch.repository.files import Repository
from lockstitch.repository.hooks.configuration import Hook, HookFile, HookRepo, hook_files
from lockstitch.repository.text import lines
from lockstitch.repository.text.lines import Edit
from lockstitch.repository.text.yaml import Scalar

__all__ = ["RULES"]

_OBSOLETE = {"commit": "pre-commit", "push": "pre-push", "merge-commit": "pre-merge-commit"}
_ISOLATED = frozenset({"python", ""})
_FOLDERS = ("venv", "env", "virtualenv")


class HOK005(Rule):
    """A stage has a name that pre-commit has given up.

    Why: since 3.2.0 the names are those of git's hooks. `commit` and `push` still work, with a
    warning at each run, until they do not.

    Bad:
        stages: [commit]

    Good:
        stages: [pre-commit]

    Fix: write the new name; `lockstitch check --fix` does, and so does `pre-commit migrate-config`.
    Source: pre-commit.com, "Confining hooks to run at certain stages".
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each obsolete name, in `stages` and `default_stages`."""
        for file in hook_files(repo):
            listed = [*file.stages, *(stage for _, hook in file.hooks() for stage in hook.stages)]
            seen = set()
            for stage in listed:
                new = _OBSOLETE.get(stage.text)
                if new and stage.column and (stage.line, stage.column) not in seen:
                    seen.add((stage.line, stage.column))
                    message = f"the stage `{stage.text}` is called `{new}`"
                    edit = _renamed(file, stage, new)
                    yield self.finding(
                        file.path, stage.line, message, hint=f"stages: [{new}]", fix=edit
                    )


def _renamed(file: HookFile, stage: Scalar, new: str) -> list[Edit]:
    start = lines.line_start(file.text, stage.line) + stage.column - 1
    start += file.text[start : start + 1] in {'"', "'"}
    end = start + len(stage.text)
    if file.text[start:end] != stage.text:
        return []
    return [Edit(path=file.path, start=start, end=end, text=new)]


class HOK006(Rule):
    """A hook of mypy sees other packages than the project has, or all of an environment.

    Why: pre-commit installs mypy alone, so that every import of a library is `Any`: types that the
    project's own mypy refuses pass. And `mypy .` beside a folder `venv` checks all that is
    installed there.

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
        """Yield each isolated mypy of a project with dependencies, and each over a `venv`."""
        for file in hook_files(repo):
            folder = file.path.rpartition("/")[0]
            for each, hook in file.hooks():
                if _is_alone(each, hook):
                    count = _dependencies(repo, folder)
                    if count:
                        message = f"mypy runs without the project's {count}: their types are `Any`"
                        hint = "lockstitch hooks migrate  # runs the project's own mypy"
                        yield self.finding(file.path, hook.line, message, hint=hint)
                elif each.url == "local" and (found := _over(repo, folder, hook)):
                    message = f"`{hook.entry:.60}` checks all that is installed in `{found}` too"
                    hint = f'[tool.mypy]: exclude = ["^{found}/"], or name the folders'
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
    names = {re.split(r"[\[<>=!~; @]", each, maxsplit=1)[0].lower() for each in hook.dependencies}
    return (own or local) and language and not names - {"mypy"}


def _dependencies(repo: Repository, folder: str) -> str:
    """Return how many packages a project needs, in words, empty for none."""
    lead = f"{folder}/" if folder else ""
    document = repo.toml(f"{lead}pyproject.toml") or {}
    project, tool = document.get("project"), document.get("tool")
    listed = project.get("dependencies") if isinstance(project, dict) else None
    poetry = tool.get("poetry") if isinstance(tool, dict) else None
    older = poetry.get("dependencies") if isinstance(poetry, dict) else None
    count = len(listed) if isinstance(listed, list) else 0
    count += len({*older} - {"python"}) if isinstance(older, dict) else 0
    if not count:
        lines = repo.lines(f"{lead}requirements.txt")
        count = sum(bool(re.match(r"[A-Za-z0-9]", line)) for line in lines)
    return f"{count} dependenc{'ies' if count != 1 else 'y'}" if count else ""


def _over(repo: Repository, folder: str, hook: Hook) -> str:
    """Return the environment that a local mypy walks through, or nothing.

    mypy passes folders by whose name begins with a dot.
    """
    words = _words(hook)
    names = [basename(word) for word in words]
    if "mypy" not in names or "." not in words[names.index("mypy") :]:
        return ""
    lead = f"{folder}/" if folder else ""
    if any(word.startswith("--exclude") for word in words) or _excludes(repo, lead):
        return ""
    found = [name for name in _FOLDERS if repo.exists(f"{lead}{name}/pyvenv.cfg")]
    return found[0] if found else ""


def _excludes(repo: Repository, lead: str) -> bool:
    document = repo.toml(f"{lead}pyproject.toml") or {}
    tool = document.get("tool")
    mypy = tool.get("mypy") if isinstance(tool, dict) else None
    ini = (repo.text(f"{lead}{name}") or "" for name in ("mypy.ini", ".mypy.ini", "setup.cfg"))
    return (isinstance(mypy, dict) and "exclude" in mypy) or any("exclude" in x for x in ini)


class HOK008(Rule):
    """A hook is slow (only with `--measure`).

    Why: a commit that takes half a minute is a commit with `--no-verify`. `--measure` runs each
    hook of the repository on all files, as `pre-commit run --all-files` does: it runs the
    repository's code, and hooks that correct files do so.

    Bad:
        `mypy` took 31.0 s on all files, more than 5 s

    Good:
        stages: [pre-push]

    Fix: let it run before a push or in CI, or a quicker tool (ruff for flake8 and pylint).
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each hook that takes more than five seconds when all it caches is there."""
        configured = [file for file in hook_files(repo) if "/" not in file.path and file.repos]
        if not self.options.measure or not configured:
            return
        file, most = configured[0], self.options.slow
        names = ("prek",) if file.path.endswith(".toml") else ("prek", "pre-commit")
        runner = next((found for name in names if (found := program(repo, name))), None)
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


def _at_commit(file: HookFile, hook: Hook) -> bool:
    stages = {each.text for each in hook.stages or file.stages}
    return not stages or bool(stages & {"commit", "pre-commit"})


def _seconds(repo: Repository, words: Sequence[str | Path]) -> float:
    """Return how long a command takes; the first run of a hook installs it."""
    start = clock.monotonic()
    process.run(words, cwd=repo.root, check=False)
    return clock.monotonic() - start


RULES: tuple[type[Rule], ...] = (HOK005, HOK006, HOK008)
