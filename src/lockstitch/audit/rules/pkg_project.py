"""PKG: what a pyproject.toml says, and whether its build backend finds the package."""

from collections.abc import Iterator

from lockstitch import environ, process
from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.python.tables import table
from lockstitch.repository.environment import programs
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging import backends, pyproject
from lockstitch.repository.packaging.declared import folder_of, line_of_text
from lockstitch.repository.text.lines import line_of_key
from lockstitch.store import Store, default_root

__all__ = ["RULES"]

_VALIDATOR = "validate-pyproject"


class PKG001(Rule):
    """A pyproject.toml is not valid.

    Why: pip, uv and the build backends stop at it, or, of a key with a letter wrong, read nothing
    and say nothing.

    Bad:
        [project]
        name = "churn model"
        verison = "0.1.0"

    Good:
        [project]
        name = "churn-model"
        version = "0.1.0"

    Fix: write what the specification has; the message names the key. Where `validate-pyproject`
    is installed it is asked too, once for each text of a file.
    Source: PyPA specifications, "pyproject.toml" (PEP 518, 621, 639, 735).
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each defect of each file."""
        for path in repo.named("pyproject.toml"):
            text = repo.text(path)
            if text is None or "{{" in path or "{{" in text or "{%" in text:
                continue  # a template: no TOML yet
            broken = pyproject.broken(text)
            if broken:
                line, why = broken
                yield self.finding(path, line, f"`{path}` is not TOML: {why}")
                continue
            wrong = list(pyproject.check(repo.toml(path) or {}))
            for each in wrong:
                line = line_of_key(text, *each.path) or 1
                if each.text:
                    line = _below(text, line, each.text)
                yield self.finding(path, line, each.message, hint=each.hint)
            if not wrong and table(repo.toml(path), "project"):
                yield from self._validated(repo, path, text)

    def _validated(self, repo: Repository, path: str, text: str) -> Iterator[Finding | Skip]:
        """Yield what validate-pyproject says; it takes a second, so that answers are kept."""
        program = programs.program(repo, _VALIDATOR, folder=folder_of(path))
        if program is None:
            reason = f"`{_VALIDATOR}` is not installed; the checks of lockstitch ran"
            yield self.skip(reason, hint=f"uv tool install {_VALIDATOR}")
            return
        facts = program.stat()
        store = Store(default_root())
        parts = (str(program), str(facts.st_mtime_ns), str(facts.st_size), text)
        key = of_bytes("\0".join(parts).encode()).hex
        known = store.record(_VALIDATOR, key)
        if not isinstance(known, dict) or not isinstance(known.get("said"), str):
            try:
                env = environ.child(VALIDATE_PYPROJECT_NO_NETWORK="1", NO_NETWORK="1")
                done = process.run([program, "-"], cwd=repo.root, env=env, stdin=text, check=False)
            except LockstitchError as error:
                yield self.skip(str(error), hint=error.hint)
                return
            lines = f"{done.stderr}\n{done.stdout}".splitlines()
            errors = [x.removeprefix("[ERROR] ") for x in lines if x.startswith("[ERROR] ")]
            known = {"said": errors[0] if done.code == 1 and errors else ""}
            store.remember(_VALIDATOR, key, known)
        if known["said"]:
            message = f"validate-pyproject: {known['said'].rstrip(':')}"
            yield self.finding(path, _line_of_key(text, known["said"]), message)


def _below(text: str, line: int, wanted: str) -> int:
    """Return the line of a quoted text at or below a line, or that line."""
    rest = text.splitlines()[line - 1 :]
    found = line_of_text(rest, wanted)
    return line + found - 1


def _line_of_key(text: str, said: str) -> int:
    parts = said.split("`")
    return line_of_key(text, *parts[1].split(".")) or 1 if len(parts) > 1 else 1


class PKG002(Rule):
    """The build backend will not find the package.

    Why: `pip install -e .`, `uv sync` and the image build stop there, or install an empty package
    whose import fails in production.

    Bad:
        [project]
        name = "churn-model"        # and the code is in src/churn
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

    Good:
        [tool.hatch.build.targets.wheel]
        packages = ["src/churn"]

    Fix: say where the package is, or name the folder as the project. A project that is no package
    needs no [build-system]: with uv `package = false`, with Poetry `package-mode = false`.
    Source: the backends' own discovery: hatchling, setuptools, poetry-core, flit_core, uv_build.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield what each backend will not find."""
        for path in repo.named("pyproject.toml"):
            document, text = repo.toml(path), repo.text(path) or ""
            if document is None or "{{" in path or "{{" in text:
                continue
            for message, hint in backends.not_found(repo, folder_of(path), document):
                line = line_of_key(text, "build-system", "build-backend") or 1
                yield self.finding(path, line, message, hint=hint)


RULES: tuple[type[Rule], ...] = (PKG001, PKG002)
