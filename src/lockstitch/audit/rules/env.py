"""ENV: the installed environment beside a project, against its lock and against itself."""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lockstitch import environ, process
from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.python.locks import Graph, Package
from lockstitch.python.names import normal, same_version
from lockstitch.python.tables import table
from lockstitch.repository.environment import installed
from lockstitch.repository.environment.installed import Environment
from lockstitch.repository.environment.programs import virtual_environment
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging import wheels
from lockstitch.repository.packaging.declared import beside, folder_of
from lockstitch.repository.packaging.files import locks_in
from lockstitch.table import counted, first_of

_SHOWN = 4
_APART = frozenset({"tests", "test", "fixtures", "testdata"})
_INSTALLED = regex(r"(.+?)/(?:pyvenv\.cfg|(?:lib/python[\d.]*|Lib)/site-packages/.*)")
_OWN = frozenset({"pip", "setuptools", "wheel", "uv", "distribute"})  # of venv and virtualenv


def _environments(repo: Repository) -> Iterator[tuple[str, Environment]]:
    """Yield each folder whose `.venv` is an environment that git does not track."""
    for folder in dict.fromkeys(folder_of(name) for name in repo.named("pyproject.toml")):
        venv = virtual_environment(repo, folder)
        environment = None if venv is None else installed.read(venv)
        if environment:
            yield folder, environment


def _locked_environments(repo: Repository) -> Iterator[tuple[str, Environment, Graph]]:
    """Yield the environments beside the lock of one manager: which of two counts is not known."""
    for folder, environment in _environments(repo):
        locks = [lock for lock in locks_in(repo, folder) if lock.kind in {"uv", "poetry"}]
        if len(locks) == 1:
            yield folder, environment, locks[0]


def _shown(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")


class ENV001(Rule):
    """An installed package differs from the lock, or is missing.

    Why: what you try out here differs from what the image and your colleagues run: a score that
    only this machine reaches.

    Bad:
        # uv.lock: numpy 2.1.3; .venv after a `pip install numpy==1.26.4`: numpy 1.26.4

    Good:
        # both 2.1.3

    Fix: `uv sync`, or `poetry sync`. Versions come from the names of the .dist-info folders of
    `.venv`; nothing of it is run.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for _, environment, lock in _locked_environments(repo):
            have = environment.packages
            differing = [
                package
                for package in lock.packages
                if not package.is_local and _differs(lock, package, environment)
            ]
            missing = [p for p in _needed(lock, environment) if p.name not in have]
            parts = []
            if differing:
                first = differing[0]
                version = have[first.name].version
                parts.append(f"`.venv` has {first.name} {version}, `{lock.path}` {first.version}")
                rest = list(dict.fromkeys(p.name for p in differing if p.name != first.name))
                parts += [f"{len(rest)} more differ: {_shown(rest)}"] if rest else []
            if missing:
                names = [f"{package.name} {package.version}" for package in missing]
                subject = "" if differing else f" of `{lock.path}` in `.venv`"
                verb = "is" if len(names) == 1 else "are"
                parts.append(f"{len(names)}{subject} {verb} missing: {_shown(names)}")
            if parts:
                line = (differing or missing)[0].line
                hint = "uv sync" if lock.kind == "uv" else "poetry sync"
                yield self.finding(lock.path, line, "; ".join(parts), hint=hint)


def _differs(lock: Graph, package: Package, environment: Environment) -> bool:
    own = environment.packages.get(package.name)
    if own is None or not package.version:
        return False
    locked = lock.named(package.name)
    return not any(same_version(own.version, other.version) for other in locked)


def _needed(lock: Graph, environment: Environment) -> list[Package]:
    """Return the packages that a run needs on this machine."""
    if not sys.platform.startswith("linux") or (lock.kind == "uv" and not lock.roots):
        return []
    import platform

    machine = wheels.Machine(python=environment.python, processor=platform.machine())
    listed = wheels.installed(lock, machine)
    # What only an extra needs is in Poetry's main group too, and not installed without it.
    return [package for package in listed if not package.is_local and not package.optional]


class ENV002(Rule):
    """A package is installed and not locked.

    Why: it was installed by hand. Code that imports it works on this machine alone.

    Bad:
        $ pip install seaborn      # and `import seaborn` works on this machine alone

    Good:
        $ uv add seaborn

    Fix: `uv add NAME` when the code needs it; `uv sync` takes out what is not locked, and
    `poetry sync` does.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for folder, environment, lock in _locked_environments(repo):
            document = repo.toml(beside(folder, "pyproject.toml"))
            tables = (table(document, "project"), table(document, "tool", "poetry"))
            own = {normal(str(entry.get("name", ""))) for entry in tables}
            known = {package.name for package in lock.packages} | own | _OWN
            extra = [p for name, p in sorted(environment.packages.items()) if name not in known]
            if extra:
                names = [f"{distribution.name} {distribution.version}" for distribution in extra]
                verb = "is" if len(names) == 1 else "are"
                message = f"{_shown(names)} {verb} installed in `.venv` and not in `{lock.path}`"
                tool = "uv" if lock.kind == "uv" else "poetry"
                hint = f"{tool} add {extra[0].name}, or {tool} sync takes it out"
                yield self.finding(lock.path, 1, message, hint=hint)


class ENV003(Rule):
    """An installed file was changed after its installation.

    Why: somebody edited a library in `.venv` to try something, and forgot it. Tools that compare
    versions do not see it: `uv sync --check` reports no difference.

    Bad:
        # .venv/…/sklearn/linear_model/_logistic.py, with a print() more than RECORD knows

    Good:
        # every file as RECORD has it

    Fix: `uv sync --reinstall-package NAME`. Sizes are compared for all files, and a file that is
    newer than the RECORD that lists it is hashed, up to 64 MiB in all. An edit that kept both the
    size and the time is only seen with `lockstitch check --verify`, which hashes everything.
    Source: PyPA, "Recording installed projects".
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for folder, environment in _environments(repo):
            by_package: dict[str, list[installed.ChangedFile]] = {}
            for file in installed.changed_files(environment, thorough=self.options.verify):
                by_package.setdefault(file.package.name, []).append(file)
            for name, files in sorted(by_package.items()):
                first, more = files[0], len(files) - 1
                also = f", and {more} more file{'s' if more > 1 else ''} of it" if more else ""
                path = beside(folder, f".venv/{first.path}")
                version = first.package.version
                message = f"{name} {version} is not as it was installed: the file {first.why}{also}"
                uses_uv = any(lock.kind == "uv" for lock in locks_in(repo, folder))
                hint = f"pip install --force-reinstall --no-deps {name}=={version}"
                hint = f"uv sync --reinstall-package {name}" if uses_uv else hint
                yield self.finding(path, 1, message, hint=hint)


class ENV004(Rule):
    """Code imports a package that the project does not declare.

    Why: it is installed only because another package needs it, and disappears when that no longer
    does.

    Bad:
        import numpy            # and pyproject.toml has only scikit-learn

    Good:
        dependencies = ["numpy>=2", "scikit-learn>=1.5"]

    Fix: `uv add NAME`. deptry decides it, where it is installed in the project's `.venv`: only
    there does it know which package a module is of.
    Source: deptry, DEP001 and DEP003.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for folder in dict.fromkeys(folder_of(name) for name in repo.named("pyproject.toml")):
            start = f"{folder}/" if folder else ""
            code = any(n.endswith(".py") and n.startswith(start) for n in repo.names)
            venv = virtual_environment(repo, folder)
            if not code or venv is None or repo.tracked is None:
                continue  # without git it is not known whose environment it is
            program = _program(venv, "deptry")
            if program is not None:
                yield from self._by_deptry(repo, folder, program)
            else:
                reason = f"`deptry` is not installed in `{beside(folder, '.venv')}`"
                yield self.skip(reason, hint="uv add --dev deptry")

    def _by_deptry(self, repo: Repository, folder: str, program: Path) -> Iterator[Finding | Skip]:
        with tempfile.TemporaryDirectory() as temporary:
            report = Path(temporary) / "deptry.json"
            words: list[str | Path] = [program, ".", "--no-ansi", "--json-output", report]
            env = environ.child(VIRTUAL_ENV=None, PYTHONDONTWRITEBYTECODE="1")
            try:
                process.run(words, cwd=repo.root / folder, env=env, check=False)
                issues = json.loads(report.read_text("utf-8"))
            except (LockstitchError, OSError, ValueError) as error:
                yield self.skip(f"`deptry` failed: {error!s:.200}", hint="deptry .")
                return
        seen: set[tuple[str, str]] = set()
        for issue in issues if isinstance(issues, list) else ():
            code, module = table(issue, "error").get("code"), table(issue).get("module")
            place = table(issue, "location")
            path, line = beside(folder, Path(str(place.get("file"))).as_posix()), place.get("line")
            known = code in {"DEP001", "DEP003"} and path in repo.name_set
            if not known or (path, str(module)) in seen:
                continue
            seen.add((path, str(module)))
            how = "not declared" if code == "DEP001" else "there only because something needs it"
            message = f"`{module}` is imported and {how} ({code})"
            hint = "uv add it, or poetry add it"
            yield self.finding(path, line if isinstance(line, int) else 1, message, hint=hint)


class ENV005(Rule):
    """Two installed packages have a file of the same path, with different bytes.

    Why: which of both is installed depends on the order of installation, which no lock says: the
    same lock gives two environments. In an image `lockstitch build` decides it by a rule.

    Bad:
        dependencies = ["opencv-python", "opencv-python-headless"]  # both bring cv2/

    Good:
        dependencies = ["opencv-python-headless"]

    Fix: keep one of both. `uv tree --invert --package NAME` shows what requires it. Where both
    have to stay, `prefer = ["NAME"]` in the table of a lockstitch image says whose files it has.
    Source: astral-sh/uv#17662; PyPA, "Recording installed projects".
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for folder, environment in _environments(repo):
            for (one, other), paths in installed.shared_files(environment).items():
                count = f"{len(paths)} files" if len(paths) > 1 else "a file"
                shown = first_of([f"`{path.rpartition('site-packages/')[2]}`" for path in paths], 2)
                message = (
                    f"`{one}` and `{other}` both install {count} with different bytes: {shown}"
                )
                locks = [lock.path for lock in locks_in(repo, folder)]
                path = locks[0] if len(locks) == 1 else beside(folder, "pyproject.toml")
                uses_uv = any(lock.kind == "uv" for lock in locks_in(repo, folder))
                shows = f"uv tree --invert --package {other}" if uses_uv else f"pip show {other}"
                hint = f"keep one of both; `{shows}` shows what requires the other"
                yield self.finding(path, 1, message, hint=hint)


def _program(venv: Path, name: str) -> Path | None:
    for place in (venv / "bin" / name, venv / "Scripts" / f"{name}.exe"):
        if place.is_file():
            return place
    return None


class ENV006(Rule):
    """Git has an installed environment.

    Why: its files are for one system and one folder: nobody else can use them, each clone carries
    them for ever, and COPY of the whole folder puts a Windows environment into a Linux image.

    Bad:
        $ git ls-files | head -1
        .venv/Lib/site-packages/pip/__init__.py

    Good:
        $ git ls-files | head -1
        .gitignore                # .venv/ is in it

    Fix: `git rm -r --cached .venv`, and name the folder in .gitignore. A lock says what is in it.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        inside: dict[str, list[str]] = {}
        for name in repo.tracked or ():
            match = _INSTALLED.fullmatch(name)
            if match and not _APART & {*match[1].split("/")}:
                inside.setdefault(match[1], []).append(name)
        for folder, names in inside.items():
            message = (
                f"git has the environment `{folder}`: {counted(len(names), 'file')} for one machine"
            )
            hint = f"git rm -r -q --cached {folder} && echo '{folder}/' >> .gitignore"
            yield self.finding(folder, 0, message, hint=hint)
