"""LCK: whether there is a lock, what it and lists of requirements hold, whether locks agree."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.lock.uv import workspace
from lockstitch.patterns import regex
from lockstitch.python.locks import Graph, lists
from lockstitch.python.locks.lists import Listed, Required
from lockstitch.python.names import normal
from lockstitch.python.tables import table
from lockstitch.repository.dockerfile import purpose
from lockstitch.repository.dockerfile.images import dockerfiles, image_files
from lockstitch.repository.files import File, Repository
from lockstitch.repository.packaging.declared import Declared, beside, folder_of, of_folder
from lockstitch.repository.packaging.files import (
    lock_files,
    locks_in,
    project_folders,
    requirement_lists,
)
from lockstitch.repository.text.lines import Edit, line_start
from lockstitch.table import counted, first_of

_SHOWN = 3  # names in a message
_LOCKERS = {"Pipfile": "pipenv lock", "setup.py": "uv pip compile setup.py --generate-hashes"}
_FOR_PEOPLE = regex(r"(?:^|[-_./])(?:dev|develop|development|test|tests|testing|docs?|lint|ci)")
_ITEM = regex(r"\s+-\s+[\"']?(-e\s.*?|[^\s=]+\s*@\s*file:.*?)[\"']?\s*$")
_COMMIT = regex(r"@[0-9a-f]{7,40}(?:[#?]|$)")
_DRIVE = regex(r"[A-Za-z]:[\\/]")


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
        locks = purpose.lock_names(repo)
        for folder in project_folders(repo):
            declared = [entry for entry in of_folder(repo, folder) if not entry.group]
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
        listed = next((file for file in requirement_lists(repo) if file.path == path), None)
        target = f"{path.removesuffix('.in')}.txt"
        entries = [e for e in listed.value.entries if e.name and not e.local] if listed else []
        loose = [entry for entry in entries if not entry.pinned]
        if not loose or target in repo.name_set:
            return  # what was made and is not pinned, LCK005 says
        beside_it = [graph.path for graph in locks_in(repo, folder_of(path))]
        if beside_it or _covered(folder_of(path), purpose.lock_names(repo), ()):
            return
        message = f"`{path}` declares {len(entries)} dependencies and no `{target}` locks them"
        hint = f"uv pip compile {path} --universal --generate-hashes -o {target}"
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

    severity = Severity.HINT

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for lock in lock_files(repo):
            if lock.kind != "requirements" or _is_for_docs(lock.path):
                continue
            if purpose.is_beside_model(repo, lock.path):
                continue
            others = locks_in(repo, folder_of(lock.path))
            hashed = any(f.hash for other in others for p in other.packages for f in p.files)
            if hashed and not _installed(repo, lock.path):
                continue
            pinned = [package for package in lock.packages if package.source.kind == "registry"]
            if len(pinned) < len(lock.packages):
                continue  # a place has no hash either: LCK004 or LCK005 is about it
            if pinned and not any(file.hash for pin in pinned for file in pin.files):
                count = counted(len(pinned), "package")
                message = f"`{lock.path}` pins {count} and has no hash"
                hint = f"uv pip compile --generate-hashes … -o {lock.path}"
                yield self.finding(lock.path, pinned[0].line, message, hint=hint)


def _is_for_docs(path: str) -> bool:
    parts = path.lower().split("/")
    return "constraints" in parts[-1] or bool({"docs", "doc"} & {*parts[:-1]})


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
        order = {"uv": 0, "poetry": 1, "pylock": 2, "requirements": 3}
        for folder in sorted({folder_of(lock.path) for lock in lock_files(repo)}):
            graphs = sorted(locks_in(repo, folder), key=lambda lock: (order[lock.kind], lock.path))
            main = next((lock for lock in graphs if lock.kind in {"uv", "poetry"}), None)
            for other in graphs if main else ():
                if main and other is not main:
                    yield from self._pair(main, other)

    def _pair(self, main: Graph, other: Graph) -> Iterator[Finding]:
        have = _versions(main)
        wrong = [
            package
            for package in other.packages
            if package.version
            and package.name in have
            and _public(package.version) not in have[package.name]
        ]
        wrong = [pin for pin in wrong if not _versions(other)[pin.name] & have[pin.name]]
        if not wrong:
            return
        first = wrong[0]
        versions = ", ".join(sorted(have[first.name]))
        more = _more([pin.name for pin in wrong[1:]])
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
    versions: dict[str, set[str]] = {}
    for package in lock.packages:
        if package.version:
            versions.setdefault(package.name, set()).add(_public(package.version))
    return versions


def _public(version: str) -> str:
    """Return a version without what an index adds to it (`+cpu`), as PEP 440 compares it."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version).public
    except InvalidVersion:
        return version


class LCK004(Rule):
    """A lock or a list of requirements holds a path of one machine.

    Why: `pip freeze` of a project that was installed editable, or of a conda environment, writes
    down folders that are nowhere else. Every image build and every colleague stops there.

    Bad:
        numpy @ file:///croot/numpy_and_numpy_base_1708638617955/dist/numpy-1.26.4.whl
        -e git+https://github.com/me/churn.git@4f1c0a2#egg=churn
        -e .

    Good:
        numpy==1.26.4 --hash=sha256:…

    Fix: export from a lock instead of `pip freeze`: `uv export --no-emit-project --format
    requirements.txt`. Install the project itself with a line of its own, after its files are there;
    `lockstitch check --fix` takes it out of a list that has more than it.
    Source: conda/conda#11580, pypa/pip#4005.
    """

    severity = Severity.ERROR
    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for file in (*requirement_lists(repo), *_conda(repo)):
            yield from self._listed(repo, file)
        for lock in lock_files(repo):
            if lock.kind in {"uv", "poetry", "pylock"}:
                for package in lock.packages:
                    where, url = folder_of(lock.path), package.source.url
                    if package.is_local and _outside(where, url) and not _beside(repo, where, url):
                        message = (
                            f"`{lock.path}` takes `{package.name}` from `{package.source.url}`"
                        )
                        message += ", which is not in the repository"
                        hint = "lock it from an index, or from git with a commit"
                        yield self.finding(lock.path, package.line, message, hint=hint)

    def _listed(self, repo: Repository, file: File[Listed]) -> Iterator[Finding]:
        own = _own_names(repo, folder_of(file.path))
        # Its own project alone is a way to say "install this"; with others it is a freeze.
        alone = all(entry.local for entry in file.value.entries)
        for entry in file.value.entries:
            if entry.local and _of_machine(file, entry, own, alone=alone):
                message = f"`{entry.text:.100}` is a place that other machines do not have"
                hint = "uv export --no-emit-project --format requirements.txt, or name a version"
                fix: tuple[Edit, ...] = ()
                if _is_itself(entry, own):
                    hint = "take it out, and install the project where its files are: pip install ."
                    fix = _without_line(file, entry.line)
                yield self.finding(file.path, entry.line, message, hint=hint, fix=fix)


def _is_itself(entry: Required, own: set[str]) -> bool:
    """Return whether a line is the project that the list is for, as a freeze writes it."""
    where = entry.url.removeprefix("file://").partition("[")[0].rstrip("/")
    here = where in {".", ""} or (not entry.name and normal(posixpath.basename(where)) in own)
    return entry.local in {"editable", "path"} and (here or entry.name in own)


def _without_line(file: File[Listed], line: int) -> tuple[Edit, ...]:
    """Return the edit that takes a line out of a list that says the same of all others then."""
    text = file.text
    start, end = line_start(text, line), line_start(text, line + 1)
    after = lists.read(text[:start] + text[end:])
    before = [(entry.text, entry.url) for entry in file.value.entries if entry.line != line]
    same = [(entry.text, entry.url) for entry in after.entries] == before
    return (Edit(path=file.path, start=start, end=end, text=""),) if same and before else ()


def _conda(repo: Repository) -> Iterator[File[Listed]]:
    """Yield the requirements in the `pip:` part of conda's files."""
    for path in repo.named("environment.yml", "environment.yaml"):
        text = repo.text(path) or ""
        blank = [_ITEM.sub(r"\1", x) if _ITEM.match(x) else "" for x in text.splitlines()]
        yield File(path=path, text=text, value=lists.read("\n".join(blank)))


def _of_machine(file: File[Listed], entry: Required, own: set[str], *, alone: bool) -> bool:
    url = entry.url.removeprefix("file://")
    if entry.url.startswith("file:") or url.startswith(("/", "~")) or _DRIVE.match(url):
        return True
    if entry.local == "editable" and url.startswith("git+"):
        return bool(entry.name) and entry.name in own
    if entry.local not in {"editable", "path"} or "://" in url:
        return False
    if _outside(folder_of(file.path), url.partition("[")[0]):
        return True
    itself = posixpath.normpath(url.partition("[")[0]) == "."
    # Beside requirements that are written by hand it is what the author wants.
    frozen = all(entry.local or entry.pinned for entry in file.value.entries)
    return itself and not alone and frozen and not purpose.is_for_developers(file.path)


def _outside(folder: str, where: str) -> bool:
    """Return whether a path leads out of the repository."""
    if where.startswith(("/", "~", "file:")) or _DRIVE.match(where):
        return True
    return posixpath.normpath(posixpath.join(folder or ".", where)).startswith("..")


def _beside(repo: Repository, folder: str, where: str) -> bool:
    """Return whether a path leads to another member of the workspace that the repository is of."""
    top = workspace(repo.root.absolute())
    place = posixpath.normpath(posixpath.join(str(repo.root.absolute()), folder, where))
    return top != repo.root.absolute() and Path(place).is_relative_to(top)


def _own_names(repo: Repository, folder: str) -> set[str]:
    names = {normal(repo.root.resolve().name)}
    for place in {folder, ""}:
        document = repo.toml(beside(place, "pyproject.toml"))
        for section in (table(document, "project"), table(document, "tool", "poetry")):
            names.add(normal(str(section.get("name", ""))))
        match = re.search(
            r"\bname\s*=\s*[\"']?([\w.-]+)", repo.text(beside(place, "setup.py")) or ""
        )
        names.add(normal(match[1]) if match else "")
    return names - {""}


class LCK005(Rule):
    """A requirement is not pinned where an environment is made from it.

    Why: `pip install -r requirements.txt` takes the newest version of that day; the image that
    worked yesterday has another pandas today.

    Bad:
        pandas
        scikit-learn>=1.3

    Good:
        pandas==2.2.3 --hash=sha256:…
        scikit-learn==1.5.2 --hash=sha256:…

    Fix: keep what you want in `requirements.in`, and make the list from it: `uv pip compile
    requirements.in --universal --generate-hashes -o requirements.txt`. Lists beside a lock, of
    constraints, for documentation, tests or development are left alone, and those of a library,
    which are for its developers.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        locks = purpose.lock_names(repo)
        for file in requirement_lists(repo):
            folder = folder_of(file.path)
            fixed = {entry.name for entry in file.value.entries if entry.pinned}
            loose = [e for e in file.value.entries if _is_loose(e) and e.name not in fixed]
            if not loose or not file.path.endswith(".txt") or "constraints" in file.path:
                continue
            options = {option.name for option in file.value.options}
            if not purpose.is_runtime_list(repo, file.path) or options & {"-c", "--constraint"}:
                continue
            beside_it = any(folder_of(lock) == folder for lock in locks if lock != file.path)
            if beside_it or _is_metadata(repo, file.path) or purpose.is_library(repo, folder):
                continue
            declared = [entry for entry in of_folder(repo, folder) if not entry.group]
            if declared and not _covered(folder, locks, project_folders(repo)):
                continue  # no lock, which LCK001 says
            stem = file.path.removesuffix(".txt")
            hint = f"write them in {stem}.in: uv pip compile {stem}.in --universal"
            hint += f" --generate-hashes -o {file.path}"
            count = len(file.value.entries)
            message = f"{_names([f'{requirement.text:.60}' for requirement in loose])} not pinned"
            message += f": {len(loose)} of {count}" if count > 1 else ""
            yield self.finding(file.path, loose[0].line, message, hint=hint)


def _names(names: list[str]) -> str:
    """Return names for a message, the first of many, with their verb."""
    quoted = [f"`{name}`" for name in dict.fromkeys(names)]
    return f"{first_of(quoted, _SHOWN)} {'is' if len(quoted) == 1 else 'are'}"


def _is_loose(entry: Required) -> bool:
    if entry.local in {"git", "editable"} and "git+" in entry.url:
        return not _COMMIT.search(entry.url)
    return not entry.local and not entry.pinned


def _is_metadata(repo: Repository, path: str) -> bool:
    """Return whether a library takes its abstract dependencies from a list."""
    folder, name = folder_of(path), posixpath.basename(path)
    dynamic = table(repo.toml(beside(folder, "pyproject.toml")), "tool", "setuptools", "dynamic")
    listed = table(dynamic, "dependencies").get("file")
    if name in (listed if isinstance(listed, list) else [listed]):
        return not purpose.is_deployed(repo, folder)
    setup = repo.text(beside(folder, "setup.py")) or ""
    return name in setup and not purpose.is_deployed(repo, folder)


class LCK006(Rule):
    """Development tools are among what is installed at run time.

    Why: pytest, black and jupyter in the serving image cost hundreds of megabytes, start-up time
    and vulnerabilities, and their dependencies hold back the versions of the ones that matter.

    Bad:
        dependencies = ["scikit-learn>=1.5", "pytest>=8", "black"]

    Good:
        dependencies = ["scikit-learn>=1.5"]
        [dependency-groups]
        dev = ["pytest>=8", "black"]

    Fix: move them into the `dev` group (`uv remove pytest && uv add --dev pytest`,
    `poetry add --group dev pytest`), or into requirements-dev.txt. A tool that the project's own
    code imports, or that the project is a plugin of, is left alone.
    Source: PEP 735.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for folder in project_folders(repo):
            declared = [entry for entry in of_folder(repo, folder) if not entry.group]
            names = purpose.misplaced(repo, folder, {entry.name for entry in declared})
            by_file: dict[str, list[Declared]] = {}
            for dependency in declared:
                if dependency.name in names:
                    by_file.setdefault(dependency.path, []).append(dependency)
            for path, entries in by_file.items():
                yield self._misplaced(path, entries[0].line, [lock.name for lock in entries])
        for file in requirement_lists(repo):
            if _is_of_run_time(repo, file.path):
                yield from self._listed(repo, file)

    def _listed(self, repo: Repository, file: File[Listed]) -> Iterator[Finding]:
        folder, name = folder_of(file.path), posixpath.basename(file.path)
        asked = _asked(repo, file)
        if not any(name in image.text for image in image_files(repo)):
            # A lock of all groups, which people install from.
            grouped = {entry.name for entry in of_folder(repo, folder) if entry.group}
            asked = [requirement for requirement in asked if requirement.name not in grouped]
        names = purpose.misplaced(repo, folder, {requirement.name for requirement in asked})
        tools = [requirement for requirement in asked if requirement.name in names]
        if tools:
            level = Severity.WARNING if _installed(repo, file.path) else Severity.HINT
            yield self._misplaced(file.path, tools[0].line, [tool.name for tool in tools], level)

    def _misplaced(
        self, path: str, line: int, names: list[str], level: Severity = Severity.WARNING
    ) -> Finding:
        one = len({*names}) == 1
        what = "a development tool" if one else "development tools"
        message = f"{_names(names)} {what}, and `{path}` installs {'it' if one else 'them'} at run"
        message += " time"
        hint = "move to requirements-dev.txt"
        if path.endswith(".toml"):
            hint = "move to [dependency-groups] dev"
        return self.finding(path, line, message, hint=hint, severity=level)


def _is_of_run_time(repo: Repository, path: str) -> bool:
    """Return whether a list is for what runs: not for people, and no export of a whole lock."""
    if purpose.is_library(repo, folder_of(path)):
        return False
    name = posixpath.basename(path)
    main = any(lock.kind in {"uv", "poetry"} for lock in locks_in(repo, folder_of(path)))
    if main and name != "requirements.txt":
        return False
    special = ("constraints", "all", "notebook", "jupyter")
    return purpose.is_runtime_list(repo, path) and not any(word in name for word in special)


def _asked(repo: Repository, file: File[Listed]) -> list[Required]:
    """Return the entries that somebody asked for: not those that only others need.

    Compiled lists say it in comments below each line: `# via -r requirements.in`, `# via pandas`.
    """
    lines = repo.lines(file.path)
    if "# via" not in file.text:
        return list(file.value.entries)
    own = _own_names(repo, folder_of(file.path))
    return [entry for entry in file.value.entries if _direct(lines, entry.line, own)]


def _direct(lines: list[str], line: int, own: set[str]) -> bool:
    via = []
    for text in lines[line - 1 :]:
        if text is not lines[line - 1] and not text.startswith((" ", "\t", "#")):
            break
        comment = text.partition("#")[2].strip().removeprefix("via").strip()
        via += [comment] if comment else []
    origins = [w for comment in via for w in re.split(r",\s*", comment)]
    return not origins or any("-r " in w or "(" in w or normal(w) in own for w in origins)
