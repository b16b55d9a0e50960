"""PKG: settings that stand where tools no longer look, and metadata that stands twice."""

from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Skip
from lockstitch.patterns import regex
from lockstitch.python.tables import table
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging import moved_settings
from lockstitch.repository.packaging.declared import beside, folder_of
from lockstitch.repository.text.lines import Edit, line_of_key

__all__ = ["RULES"]

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
        """Yield each [project] without it."""
        for path in repo.named("pyproject.toml"):
            document = repo.toml(path)
            project, poetry = table(document, "project"), table(document, "tool", "poetry")
            dynamic = project.get("dynamic")
            said = "requires-python" in project or "python" in table(poetry, "dependencies")
            if isinstance(dynamic, list) and "requires-python" in dynamic:
                said = True
            if said or not (project or table(poetry, "dependencies")):
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
        """Yield the first line of metadata in each such file."""
        for path in repo.named("pyproject.toml"):
            document, folder = repo.toml(path), folder_of(path)
            project = table(document, "project")
            if not project and not table(document, "tool", "poetry"):
                continue
            listed = project.get("dynamic")
            dynamic = {str(each) for each in listed} if isinstance(listed, list) else set()
            for name, begin in (("setup.py", "setup("), ("setup.cfg", "[metadata]")):
                other = beside(folder, name)
                text = repo.text(other) or "" if other in repo.name_set else ""
                at = text.find(begin)
                found = [
                    match
                    for match in (_KEYS.finditer(text, at) if at >= 0 else ())
                    if not {_FIELDS.get(match["key"], match["key"])} & dynamic
                    and not text[text.rfind("\n", 0, match.start()) + 1 :].lstrip().startswith("#")
                ]
                if found:
                    keys = ", ".join(dict.fromkeys(match["key"] for match in found[:_SHOWN]))
                    line = text.count("\n", 0, found[0].start()) + 1
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
        """Yield one finding for each table of old settings."""
        for path in repo.named("pyproject.toml", "ruff.toml", ".ruff.toml"):
            document, text = repo.toml(path), repo.text(path)
            if document is None or text is None:
                continue
            ruff = not path.endswith("pyproject.toml")
            locked = beside(folder_of(path), "poetry.lock") in repo.name_set
            for move in moved_settings.find(document, text, ruff=ruff, locked=locked):
                yield self._moved(path, text, move)
            if not ruff:
                yield from self._license(path, document, text)

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

    def _license(self, path: str, document: object, text: str) -> Iterator[Finding]:
        said = table(document, "project", "license")
        if said:
            line = line_of_key(text, "project", "license") or 1
            message = "a license in a table is deprecated: PEP 639 has an SPDX expression"
            hint = 'license = "MIT", and license-files = ["LICENSE"]'
            yield self.finding(path, line, message, hint=hint)


RULES: tuple[type[Rule], ...] = (PKG003, PKG004, PKG005)
