"""PKG: what a pyproject.toml says, whether its backend finds the package, old settings."""

from collections.abc import Iterator

from lockstitch import environ, process
from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.python.tables import table
from lockstitch.repository.environment import programs
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging import backends, moved_settings, pyproject
from lockstitch.repository.packaging.declared import beside, folder_of, line_of_text
from lockstitch.repository.text.lines import Edit, line_of_key, with_table
from lockstitch.store import Store, default_root

_VALIDATOR = "validate-pyproject"
_SHOWN = 4
_KEYS = regex(
    r"\b(?P<key>name|version|install_requires|extras_require|python_requires|description"
    r"|author|author_email|license|url|classifiers|entry_points)\s*=(?!=)"
)
_FIELDS = {
    "install_requires": "dependencies",
    "extras_require": "optional-dependencies",
    "python_requires": "requires-python",
    "author": "authors",
    "author_email": "authors",
    "url": "urls",
    "entry_points": "scripts",
}
_OLD_POETRY = '\nlock-version = "1.'  # of Poetry 1.0 to 1.2


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

    Fix: write what the specification has; the message names the key. [tool.lockstitch] is checked
    as `lockstitch lock` reads it. Where `validate-pyproject` is installed it is run too, once for
    each text of a file.
    Source: PyPA specifications, "pyproject.toml" (PEP 518, 621, 639, 735).
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for path in repo.named("pyproject.toml"):
            text = repo.text(path)
            if text is None or "{{" in path or "{{" in text or "{%" in text:
                continue  # a template: no TOML yet
            broken = pyproject.broken(text)
            if broken:
                line, why = broken
                yield self.finding(path, line, f"`{path}` is not TOML: {why}")
                continue
            document = repo.toml(path) or {}
            wrong = [*pyproject.check(document), *pyproject.settings(document, repo.root / path)]
            for mistake in wrong:
                line = line_of_key(text, *mistake.path) or 1
                if mistake.text:
                    line += line_of_text(text.splitlines()[line - 1 :], mistake.text) - 1
                yield self.finding(path, line, mistake.message, hint=mistake.hint)
            if not wrong and table(document, "project"):
                yield from self._validated(repo, path, text)

    def _validated(self, repo: Repository, path: str, text: str) -> Iterator[Finding | Skip]:
        """Yield the errors of validate-pyproject; it takes a second, so that answers are kept."""
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
        if not isinstance(known, dict) or not isinstance(known.get("message"), str):
            try:
                env = environ.child(VALIDATE_PYPROJECT_NO_NETWORK="1", NO_NETWORK="1")
                done = process.run([program, "-"], cwd=repo.root, env=env, stdin=text, check=False)
            except LockstitchError as error:
                yield self.skip(str(error), hint=error.hint)
                return
            lines = f"{done.stderr}\n{done.stdout}".splitlines()
            errors = [x.removeprefix("[ERROR] ") for x in lines if x.startswith("[ERROR] ")]
            known = {"message": errors[0] if done.code == 1 and errors else ""}
            store.remember(_VALIDATOR, key, known)
        if known["message"]:
            message = f"validate-pyproject: {known['message'].rstrip(':')}"
            yield self.finding(path, _line_of_key(text, known["message"]), message)


def _line_of_key(text: str, error: str) -> int:
    parts = error.split("`")
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
    `lockstitch check --fix` names the package where there is one, and where there is none writes
    that there is nothing to install: then `pip install -e .` installs the dependencies alone.
    Source: the backends' own discovery: hatchling, setuptools, poetry-core, flit_core, uv_build.
    """

    severity = Severity.ERROR
    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for path in repo.named("pyproject.toml"):
            document, text = repo.toml(path), repo.text(path) or ""
            if document is None or "{{" in path or "{{" in text:
                continue
            for lack in backends.not_found(repo, folder_of(path), document):
                line = line_of_key(text, "build-system", "build-backend") or 1
                fix = with_table(path, text, lack.table, lack.values) if lack.table else None
                yield self.finding(path, line, lack.message, hint=lack.hint, fix=fix)


class PKG003(Rule):
    """A project does not say which Python it needs.

    Why: without `requires-python` the resolver assumes any Python, and a lock or an installation
    on an older one fails late, in the middle of an import.

    Bad:
        [project]
        name = "churn"
        version = "0.1.0"

    Good:
        [project]
        name = "churn"
        version = "0.1.0"
        requires-python = ">=3.11"

    Fix: write the oldest Python that is tested: `requires-python = ">=3.11"`.
    Source: Core metadata, "Requires-Python".
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for path in repo.named("pyproject.toml"):
            document = repo.toml(path)
            project, poetry = table(document, "project"), table(document, "tool", "poetry")
            dynamic = project.get("dynamic")
            stated = "requires-python" in project or "python" in table(poetry, "dependencies")
            if isinstance(dynamic, list) and "requires-python" in dynamic:
                stated = True
            if stated or not (project or table(poetry, "dependencies")):
                continue
            where = ("project",) if project else ("tool", "poetry", "dependencies")
            key = "project.requires-python" if project else "python under tool.poetry.dependencies"
            hint = 'requires-python = ">=3.11"' if project else 'python = "^3.11"'
            line = line_of_key(repo.text(path) or "", *where) or 1
            yield self.finding(path, line, f"`{path}` has no `{key}`", hint=hint)


class PKG004(Rule):
    """Metadata stands in setup.py or setup.cfg beside a pyproject.toml that has it.

    Why: two places say the version and the dependencies, tools read one of them, and people
    change the other. Beside another build backend than setuptools nothing reads it at all.

    Bad:
        # setup.py, beside a pyproject.toml with [project]
        setup(name="churn", version="0.1", install_requires=["pandas"])

    Good:
        # setup.py with what pyproject.toml cannot say, or none
        setup(ext_modules=[…])

    Fix: take out what [project] says; take the file out when nothing is left.
    Source: setuptools documentation, "Configuring setuptools using pyproject.toml files".
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for path in repo.named("pyproject.toml"):
            document, folder = repo.toml(path), folder_of(path)
            project = table(document, "project")
            if not project and not table(document, "tool", "poetry"):
                continue
            listed = project.get("dynamic")
            dynamic = {str(item) for item in listed} if isinstance(listed, list) else set()
            for name, begin in (("setup.py", "setup("), ("setup.cfg", "[metadata]")):
                other = beside(folder, name)
                text = repo.text(other) or "" if other in repo.name_set else ""
                at = text.find(begin)
                matches = [
                    match
                    for match in (_KEYS.finditer(text, at) if at >= 0 else ())
                    if not {_FIELDS.get(match["key"], match["key"])} & dynamic
                    and not text[text.rfind("\n", 0, match.start()) + 1 :].lstrip().startswith("#")
                ]
                if matches:
                    keys = ", ".join(dict.fromkeys(match["key"] for match in matches[:_SHOWN]))
                    line = text.count("\n", 0, matches[0].start()) + 1
                    message = f"`{other}` says {keys} beside `{path}`, which is what tools read"
                    yield self.finding(other, line, message, hint=f"take them out of {name}")


class PKG005(Rule):
    """Settings stand in a deprecated place.

    Why: tools warn on every run and stop reading the old place one day: then the checks that a
    team relies on are silently off, or development tools are not installed.

    Bad:
        [tool.ruff]
        select = ["E", "F"]

    Good:
        [tool.ruff.lint]
        select = ["E", "F"]

    Fix: `lockstitch check --fix` moves ruff's linter settings to `[tool.ruff.lint]`, uv's
    `dev-dependencies` to `[dependency-groups]`, and Poetry's to `[tool.poetry.group.dev]` where no
    poetry.lock has a hash of them; comments go along. It leaves alone what stands in inline tables
    or dotted keys. A license in a table is for you to write: `license = "MIT"`.
    Source: ruff 0.2 release notes; PEP 735; PEP 639.
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for path in repo.named("pyproject.toml", "ruff.toml", ".ruff.toml"):
            document, text = repo.toml(path), repo.text(path)
            if document is None or text is None:
                continue
            ruff = not path.endswith("pyproject.toml")
            lock = beside(folder_of(path), "poetry.lock")
            old = _OLD_POETRY in (repo.text(lock) or "")  # reads no groups
            locked = lock in repo.name_set
            for move in moved_settings.find(document, text, ruff=ruff, locked=locked):
                if old and move.target[:2] == ("tool", "poetry"):
                    continue
                yield self._moved(path, text, move)
            if not ruff and table(document, "project", "license"):
                line = line_of_key(text, "project", "license") or 1
                message = "a license in a table is deprecated: PEP 639 has an SPDX expression"
                hint = 'license = "MIT", and license-files = ["LICENSE"]'
                yield self.finding(path, line, message, hint=hint, severity=Severity.HINT)

    def _moved(self, path: str, text: str, move: moved_settings.Move) -> Finding:
        lines = [line_of_key(text, *move.source, key) for key in move.keys]
        keys = ", ".join(f"`{key}`" for key in move.keys[:_SHOWN])
        more = " …" if len(move.keys) > _SHOWN else ""
        target = ".".join(move.target)
        where = f"`[{'.'.join(move.source)}]`" if move.source else "the top of the file"
        message = f"{keys}{more} in {where} is deprecated: it belongs to `[{target}]`"
        hint = f"move to [{target}]: lockstitch check --fix does"
        fix = []
        if move.text is not None:
            fix = [Edit(path=path, start=0, end=len(text), text=move.text)]
        elif target == "tool.poetry.group.dev":
            hint = f"move to [{target}.dependencies], then: poetry lock"
        else:
            hint = f"move to [{target}]"
        return self.finding(path, min(lines) or 1, message, hint=hint, fix=fix)
