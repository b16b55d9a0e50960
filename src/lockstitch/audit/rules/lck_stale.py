"""LCK: a lock that no longer fits what the project declares."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from lockstitch import environ, files, process
from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.python.locks import Graph
from lockstitch.python.tables import table, texts
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging import stale
from lockstitch.repository.packaging.declared import beside, folder_of
from lockstitch.repository.packaging.files import lock_files
from lockstitch.store import Store, default_root
from lockstitch.table import first_of

_REASON = regex(r"existing lockfile due to (?P<why>.+)")
_BROKEN = regex(r"error: Failed to parse `uv\.lock`\n\s*(?:cause|Caused by): (?P<why>.+)")
_STALE = "needs to be updated"
_RECORD = "checked-uv-lock"  # that a lock fits, under all that uv looks at
_SHOWN = 3  # differences in a message


class LCK002(Rule):
    """A lock does not fit the project any more.

    Why: what is declared and what is installed are two things. `uv sync --frozen` and
    `pip install -r requirements.txt` install the old one in silence; `uv sync --locked` and
    `poetry install` stop, in CI or in the image build.

    Bad:
        # pyproject.toml has "httpx>=0.27", added after the last `uv lock`
        dependencies = ["httpx>=0.27", "numpy>=2"]

    Good:
        # the same, and uv.lock was made again: `uv lock --check` says nothing

    Fix: `uv lock`, `poetry lock`, or compile the requirements again, and commit the lock.
    uv.lock is compared with `uv lock --check --offline`, which builds nothing here: where a
    project's dependencies are dynamic the rule is skipped. poetry.lock has a hash of what it was
    made from, requirements are compared with the `.in` file beside them.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for lock in lock_files(repo):
            if lock.kind == "uv":
                yield from self._uv(repo, lock)
            elif lock.kind == "poetry":
                yield from self._poetry(repo, lock)
            elif lock.kind == "requirements":
                yield from self._compiled(repo, lock)

    def _poetry(self, repo: Repository, lock: Graph) -> Iterator[Finding | Skip]:
        path = beside(folder_of(lock.path), "pyproject.toml")
        pyproject = repo.toml(path)
        header = (repo.text(lock.path) or "").partition("\n")[0]
        if pyproject is not None and stale.fits_poetry(pyproject, lock.document, header) is False:
            digest = str(table(lock.document, "metadata").get("content-hash"))
            message = f"the content-hash {digest[:12]}… of `{lock.path}` is not that of `{path}`"
            yield self.finding(lock.path, 1, message, hint="poetry lock")

    def _compiled(self, repo: Repository, lock: Graph) -> Iterator[Finding | Skip]:
        path = f"{lock.path.removesuffix('.txt')}.in"
        text = repo.text(path) if path != lock.path and path in repo.name_set else None
        if text is None:
            return
        wrong = list(stale.compiled(text, lock))
        if wrong:
            message = f"`{lock.path}` does not fit `{path}`: {first_of(wrong, _SHOWN)}"
            by_uv = "uv pip compile" in "\n".join(repo.lines(lock.path)[:5])
            hint = f"{'uv pip compile' if by_uv else 'pip-compile'} {path} -o {lock.path}"
            yield self.finding(lock.path, 1, message, hint=hint)

    def _uv(self, repo: Repository, lock: Graph) -> Iterator[Finding | Skip]:
        folder = folder_of(lock.path)
        root = _workspace(repo, folder)
        if root is not None:
            message = f"`{lock.path}` is left over: uv uses `{beside(root, 'uv.lock')}`, of the"
            message += " workspace that the folder is a member of"
            yield self.finding(lock.path, 1, message, hint=f"git rm {lock.path}")
            return
        own = [
            package for package in lock.packages if package.source.kind in {"editable", "virtual"}
        ]
        static = True
        for where in dict.fromkeys((".", *(package.source.url for package in own))):
            path = _pyproject(folder, where)
            document = repo.toml(path) if path else None
            if path is None or document is None:
                static = False
                continue
            wrong = list(stale.uv_differences(document, lock, where))
            if wrong:
                message = f"`{lock.path}` does not fit `{path}`: {first_of(wrong, _SHOWN)}"
                yield self.finding(lock.path, 1, message, hint="uv lock")
                return
            static = static and not stale.dynamic(document)
        if not static or _unknown_builds(repo, folder, lock):
            reason = f"only a build can tell what `{lock.path}` has to lock"
            yield self.skip(reason, hint="uv lock --check")
            return
        store, key = Store(default_root()), _key(repo, lock, folder)
        if key and store.record(_RECORD, key) is not None:
            return
        findings = [*self._asked(repo, lock, folder)]
        yield from findings
        if key and not findings:
            store.remember(_RECORD, key, value=True)

    def _asked(self, repo: Repository, lock: Graph, folder: str) -> Iterator[Finding | Skip]:
        """Yield uv's answers; it gets no environment of the project, whose Python it would run."""
        path = beside(folder, "pyproject.toml")
        pyproject = repo.toml(path)
        requires = lock.requires_python or table(pyproject, "project").get("requires-python")
        words: list[str | Path] = ["lock", "--check", "--offline", "--no-build", "--verbose"]
        words += ["--no-progress", "--color", "never", *_python(requires, repo.root)]
        if "cache-dir" in table(pyproject, "tool", "uv") or repo.exists(beside(folder, "uv.toml")):
            words.append("--no-cache")  # a project does not choose what is written where
        env = environ.for_uv(
            CONDA_PREFIX=None,
            UV_FROZEN=None,
            UV_LOCKED=None,
            UV_PROJECT_ENVIRONMENT=str(Path(sys.executable).parent / "no-environment"),
            UV_PYTHON_DOWNLOADS="never",
        )
        try:
            done = process.run(
                [process.find_uv(outside=repo.root), *words],
                cwd=repo.root / folder,
                env=env,
                check=False,
            )
        except LockstitchError as error:
            yield self.skip(str(error), hint=error.hint)
            return
        if done.code == 0:
            return
        why = _REASON.search(done.stderr)
        if why or _STALE in done.stderr:
            detail = f": {why['why']}" if why else ""
            message = f"`{lock.path}` does not fit `{path}`{detail}"
            yield self.finding(lock.path, 1, message, hint="uv lock")
            return
        broken = _BROKEN.search(done.stderr)
        if broken:
            message = f"uv cannot read `{lock.path}`: {broken['why']}"
            yield self.finding(lock.path, 1, message, hint="uv lock")
            return
        last = next((x for x in done.stderr.splitlines() if x.startswith("error: ")), "error: uv")
        reason = f"`uv lock --check` could not tell: {last.removeprefix('error: ')[:200]}"
        yield self.skip(reason, hint="uv lock --check")


def _key(repo: Repository, lock: Graph, folder: str) -> str:
    """Return a key of all that uv looks at for its answer and of uv itself; empty without uv."""
    try:
        uv = process.find_uv(outside=repo.root)
        facts = uv.stat()
    except (LockstitchError, OSError):
        return ""
    parts = [str(uv), f"{facts.st_size} {facts.st_mtime_ns}", sys.executable, folder]
    for name in [lock.path, *repo.named("pyproject.toml", "uv.toml", ".python-version")]:
        parts += [name, repo.text(name) or ""]
    home = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for path in (home / "uv" / "uv.toml", Path("/etc/uv/uv.toml")):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            parts += [str(path), path.read_text("utf-8")]
    for name, value in sorted(environ.child().items()):
        if name.startswith("UV_") and not name.endswith(("_PASSWORD", "_TOKEN")):
            parts.append(f"{name}={value}")
    return of_bytes("\0".join(parts).encode("utf-8", "surrogateescape")).hex


def _workspace(repo: Repository, folder: str) -> str | None:
    """Return the root of the workspace that a folder is a member of, None where it is none."""
    above = folder
    while above:
        above = folder_of(above)
        inside = folder.removeprefix(f"{above}/") if above else folder
        listed = table(repo.toml(beside(above, "pyproject.toml")), "tool", "uv", "workspace")
        members, excluded = texts(listed.get("members")), texts(listed.get("exclude"))
        if any(files.matches(inside, member) for member in members):
            return None if any(files.matches(inside, pattern) for pattern in excluded) else above
    return None


def _pyproject(folder: str, where: str) -> str | None:
    """Return the pyproject.toml of a package of the lock, None when it is not below the lock."""
    if where == ".":
        return beside(folder, "pyproject.toml")
    inside = not where.startswith(("/", "..")) and ":" not in where and "\\" not in where
    return beside(folder, f"{where}/pyproject.toml") if inside else None


def _unknown_builds(repo: Repository, folder: str, lock: Graph) -> bool:
    """Return whether uv might have to build something of the repository to answer.

    Folders that the lock does not name yet may be members of the workspace.
    """
    if any(package.source.kind in {"directory", "path"} for package in lock.packages):
        return True
    uv = table(repo.toml(beside(folder, "pyproject.toml")), "tool", "uv")
    listed = [x for v in table(uv, "sources").values() for x in (v if isinstance(v, list) else [v])]
    if any("path" in table(value) for value in listed):
        return True
    members = table(uv, "workspace").get("members", [])
    return any(_is_unknown(repo, folder, member) for member in members)


def _is_unknown(repo: Repository, folder: str, pattern: object) -> bool:
    """Return whether a pattern of workspace members leads to one that only a build can tell."""
    if (
        not isinstance(pattern, str)
        or pattern.startswith("/")
        or {"..", "**"} & {*pattern.split("/")}
    ):
        return True
    for path in (repo.root / folder).glob(pattern or "."):
        if (path / "pyproject.toml").exists():
            document = repo.toml((path / "pyproject.toml").relative_to(repo.root).as_posix())
            if document is None or stale.dynamic(document):
                return True
    return False


def _python(requires: object, root: Path) -> list[str | Path]:
    """Return which Python uv is told to use: this one where it fits, else the oldest that does.

    A search of uv's own starts every `python` on PATH, which takes seconds where they are shims.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        allowed = SpecifierSet(requires if isinstance(requires, str) else "")
    except InvalidSpecifier:
        allowed = SpecifierSet()
    if ".".join(str(part) for part in sys.version_info[:3]) in allowed:
        return ["--python", sys.executable]
    for minor in range(8, 30):
        if f"3.{minor}.99" in allowed:
            try:
                return ["--python", process.find(f"python3.{minor}", hint="", outside=root)]
            except LockstitchError:
                continue
    return ["--managed-python", "--python", str(allowed)]
