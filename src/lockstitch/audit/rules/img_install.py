"""IMG: how an image's Python packages get into it."""

import posixpath
import re
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.patterns import regex
from lockstitch.python.tables import table
from lockstitch.repository.dockerfile import purpose, recipes
from lockstitch.repository.dockerfile.images import Built, ImageFile, products
from lockstitch.repository.dockerfile.installs import Install, is_installer, package_of
from lockstitch.repository.dockerfile.stages import SHELLS, Step
from lockstitch.repository.files import Repository

# Tools that install what a lock says: a new one changes no package of the image.
_REDIRECTED = regex(r"(?<![\"'\w.-])([A-Za-z][\w.-]*(?:\[[\w,-]+\])?)>=?\d")
_INSTALLERS = frozenset({"uv", "poetry", "pipenv", "pdm", "hatch", "pip-tools", "pipx"})
_MANAGERS = {"uv", "poetry", "pip", "python"}
_LOCKS = ("uv.lock", "poetry.lock", "pylock.toml", "requirements-lock.txt", "requirements.lock")
_LOCKED = ("--locked", "--frozen", "--check")
_WITHOUT_PROJECT = {
    "uv sync": "uv sync --no-install-project here, and uv sync once more behind the COPY",
    "poetry": "poetry install --no-root here, or after COPY of the source",
}


class IMG016(Rule):
    """Packages are installed after the source is copied.

    Why: any change of a file spoils the cache of all later steps: one changed line of code, and
    each build downloads and installs everything again.

    Bad:
        COPY . .
        RUN pip install -r requirements.txt

    Good:
        COPY requirements.txt .
        RUN pip install -r requirements.txt
        COPY . .

    Fix: copy the lock first, install, and copy the source after it. With uv:
    `uv sync --locked --no-install-project` before, `uv sync --locked` after.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in recipes.running(repo):
            late = _late(repo, built)
            if late is not None:
                install, copied = late
                message = f"the packages are installed after `{copied}` is copied: each"
                message += " change of the source installs them again"
                hint = "copy the lock alone, install, then copy the source"
                yield self.finding(built.image.path, install.line, message, hint=hint)


def _late(repo: Repository, built: Built) -> tuple[Install, str] | None:
    source, whole = "", False
    for step in built.steps:
        copied = step.copied
        if copied is not None and not copied.origin and not copied.target.startswith("/tmp"):  # noqa: S108 -- a path of an image
            code = [
                source for source in copied.sources if recipes.has_code(repo, built.image, source)
            ]
            source = source or (code[0] if code else "")
            whole = whole or any(posixpath.normpath(target) in {".", "/"} for target in code)
        for install in step.installs:
            conda = install.tool == "conda" and not install.files
            itself = install.options.has("--no-deps") and not install.files  # the project's wheel
            if not install.is_python or install.is_tools or conda or itself:
                continue
            if not source:
                return None  # packages come first: later installs are of the project itself
            manager = install.tool in {"uv sync", "poetry", "pdm", "pipenv"}
            if install.files or install.required or manager:
                return install, source
            known = recipes.project(repo, built.image)
            if install.local and whole and known and recipes.has_dependencies(known[1]):
                return install, source
            return None
    return None


class IMG017(Rule):
    """Packages are installed by pip without a lock.

    Why: the image gets what is newest on the day of its build: two builds of the same commit
    differ, and nobody finds out which version answered last month.

    Bad:
        RUN pip install fastapi scikit-learn

    Good:
        RUN pip install --require-hashes -r requirements-lock.txt

    Fix: write the names to the project's dependencies, lock them, and install the lock.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in recipes.running(repo):
            locked = False
            for step, install in built.installs:
                if install.is_pip and not _limited(step, install):
                    names = recipes.unpinned(install)
                    if names:
                        message = f"`pip install {' '.join(names[:4])}` takes what is newest"
                        hint = "lock them, or name versions: NAME==VERSION"
                        cut = [c for c in _REDIRECTED.findall(step.instruction.text) if c in names]
                        if cut:
                            message = f"`{cut[0]}>=…` has no quotes: the shell takes `>` for a file"
                            message += ", and pip what is newest"
                            hint = f'pip install "{cut[0]}>=…", or a lock'
                        level = Severity.HINT if set(names) <= _INSTALLERS else self.severity
                        path, line = built.image.path, install.line
                        yield self.finding(path, line, message, hint=hint, severity=level)
                    elif not locked and _resolves(repo, built, step, install):
                        message = f"`pip install {install.local[0]}` takes the newest of what the"
                        message += " project asks for, whatever a lock says"
                        hint = "install the lock first, then the project with --no-deps"
                        yield self.finding(built.image.path, install.line, message, hint=hint)
                locked = locked or bool(install.files) or install.tool in {"uv sync", "poetry"}


def _limited(step: Step, install: Install) -> bool:
    """Return whether a constraints file or the like says the versions."""
    options = ("-c", "--constraint", "--constraints", "--no-deps", "--no-index", "--require-hashes")
    names = ("PIP_CONSTRAINT", "UV_CONSTRAINT", "PIP_NO_DEPS", "PIP_NO_INDEX")
    return install.options.has(*options) or any(
        step.state.get(name) or install.call.assignments.get(name) for name in names
    )


def _resolves(repo: Repository, built: Built, step: Step, install: Install) -> bool:
    """Return whether an install of the project itself chooses the versions of what it needs."""
    known = recipes.project(repo, built.image)
    locked = any(recipes.file_in(repo, built.image, name) for name in _LOCKS)
    needs = known is not None and recipes.has_dependencies(known[1])
    return recipes.installs_own_folder(step, install) and locked and needs


class IMG023(Rule):
    """An image that runs holds packages of development.

    Why: pytest, ruff and their kin are size, are more that can be attacked, and hide that the
    program needs one of them.

    Bad:
        RUN uv sync --locked

    Good:
        RUN uv sync --locked --no-dev

    Fix: `uv sync --no-dev`, `poetry install --only main`, or a list without them.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in recipes.running(repo):
            shell = any(call.program in SHELLS and not call.words for call in built.entry.calls)
            for step, install in () if shell else built.installs:  # else people work in it
                what = _development(repo, built, step, install)
                if _ASKED.search(step.instruction.text):
                    continue
                if what and not _removed_later(built, step, install):
                    message = f"`{_shown(install)}` brings {what} to an image that runs"
                    hint = _WITHOUT.get(install.tool, "leave them out")
                    yield self.finding(built.image.path, install.line, message, hint=hint)


# A command that an argument of the build asks for.
_ASKED = regex(r"\bif\s+(?:\[|test\s)[^;\n]*\$|(?:^|&&|;)\s*\[[^;\n]*\$[^;\n]*\]\s*(?:&&|\|\|)")
_WITHOUT = {
    "uv sync": "uv sync --locked --no-dev",
    "poetry": "poetry install --only main",
    "pipenv": "pipenv install --deploy",
}


def _shown(install: Install, *, local: bool = False) -> str:
    if install.tool == "uv sync":
        return install.tool
    option = "-e " if install.editable else ""
    what = f" {option}{install.local[0]}" if local and install.is_pip else ""
    return f"{install.tool} install{what}"


def _removed_later(built: Built, step: Step, first: Install) -> bool:
    """Return whether a later `uv sync --no-dev` of the same stage takes them out again."""
    later = False
    for other, install in built.installs:
        if other is step:
            later = True
        elif later and first.tool == install.tool == "uv sync":
            return install.options.has("--no-dev") or recipes.is_set(other, install, "UV_NO_DEV")
    return False


def _development(repo: Repository, built: Built, step: Step, install: Install) -> str:
    """Return the development packages that a command installs, in words; empty for none."""
    if install.is_pip:
        return _of_pip(install)
    known = recipes.project(repo, built.image)
    if known is None:
        return ""
    _, document = known
    if install.tool == "uv sync":
        member = next(iter(install.options.values("--package")), "")
        return _of_uv(_member(repo, member) if member else document, step, install)
    if install.tool == "poetry":
        return _of_poetry(document, step, install)
    return "the packages of `--dev`" if install.options.has("--dev", "-d") else ""


def _member(repo: Repository, name: str) -> object:
    """Return the document of a workspace's member, None when there is none of this name."""
    for path in repo.named("pyproject.toml"):
        document = repo.toml(path)
        if table(document, "project").get("name") == name:
            return document
    return None


def _of_pip(install: Install) -> str:
    packages = [package_of(name)[0] for name in install.required]
    kept = {"jupyter", "jupyterlab", "notebook", "ipykernel"}
    tools = [n for n in packages if purpose.is_tool(n) and not is_installer(n) and n not in kept]
    if tools:
        return ", ".join(f"`{name}`" for name in tools)
    for name in install.files:
        base = posixpath.basename(name).lower()
        if re.search(r"(?:^|[-_.])(?:dev|development|tests?|lint)(?:[-_.]|$)", base):
            return f"`{name}`"
    names = [*install.local, *install.names]
    extras = [part for name in names for part in re.findall(r"\[([^\]]+)\]$", name)]
    asked = {extra.strip() for part in extras for extra in part.split(",")}
    wrong = sorted(asked & {"dev", "test", "tests", "lint", "develop", "development"})
    return f"the extra `{wrong[0]}`" if wrong else ""


def _of_uv(document: object, step: Step, install: Install) -> str:
    options = install.options
    if options.has("--no-dev", "--no-default-groups", "--only-group", "--no-group"):
        return ""
    if recipes.is_set(step, install, "UV_NO_DEV", "UV_NO_DEFAULT_GROUPS"):
        return ""
    uv = table(document, "tool", "uv")
    groups = table(document, "dependency-groups")
    default = uv.get("default-groups", ["dev"])
    chosen = [*groups] if default == "all" or options.has("--all-groups") else default
    named = [group for group in options.values("--group") if group in {"dev", "test", "lint"}]
    if "dev" in chosen and uv.get("dev-dependencies"):
        return "`dev-dependencies`"
    dev = [n for n in chosen if _is_development_group(n) and groups.get(n)] if chosen else []
    return f"the group `{(dev or named)[0]}`" if dev or named else ""


def _of_poetry(document: object, step: Step, install: Install) -> str:
    if install.options.has("--only", "--without", "--no-dev", "--only-root", "--only=main"):
        return ""
    if any(step.state.get(name) for name in ("POETRY_WITHOUT", "POETRY_ONLY", "POETRY_NO_DEV")):
        return ""
    poetry = table(document, "tool", "poetry")
    if poetry.get("dev-dependencies"):
        return "`dev-dependencies`"
    for name, group in table(poetry, "group").items():
        optional = isinstance(group, dict) and group.get("optional") is True
        if _is_development_group(name) and not optional and table(group, "dependencies"):
            return f"the group `{name}`"
    return "the group `dev`" if table(document, "dependency-groups").get("dev") else ""


def _is_development_group(name: object) -> bool:
    words = {"dev", "test", "tests", "lint", "docs", "development", "typing", "check"}
    return isinstance(name, str) and name in words


class IMG024(Rule):
    """The lock is not what is installed.

    Why: `uv sync` alone writes a new lock where the old one does not fit, and goes on: the image
    holds other versions than were tested. Without the lock in the build it resolves anew.

    Bad:
        COPY pyproject.toml uv.lock ./
        RUN uv sync --no-dev

    Good:
        COPY pyproject.toml uv.lock ./
        RUN uv sync --locked --no-dev

    Fix: add `--locked`, which stops the build when the lock is stale, and copy the lock.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in recipes.running(repo):
            for step, install in built.installs:
                name = {"uv sync": "uv.lock", "poetry": "poetry.lock"}.get(install.tool)
                if name is None:
                    continue
                if _without(repo, built, step, name):
                    message = f"`{name}` is not copied before `{_shown(install)}`, which resolves"
                    message += " anew or stops"
                    hint = f"COPY pyproject.toml {name} ./"
                    path, error = built.image.path, Severity.ERROR
                    yield self.finding(path, install.line, message, hint=hint, severity=error)
                elif install.tool == "uv sync" and not (
                    install.options.has(*_LOCKED)
                    or recipes.is_set(step, install, "UV_LOCKED", "UV_FROZEN")
                    or _has_none(repo, built.image, name)
                ):
                    message = "`uv sync` without `--locked` may change the lock while it builds"
                    hint = "uv sync --locked"
                    yield self.finding(built.image.path, install.line, message, hint=hint)


def _has_none(repo: Repository, image: ImageFile, name: str) -> bool:
    """Return whether an image's folders have no lock, which LCK001 says."""
    return bool(image.contexts) and recipes.file_in(repo, image, name) is None


def _without(repo: Repository, built: Built, at: Step, name: str) -> bool:
    """Return whether the project has a lock that a step surely cannot see."""
    image = built.image
    if recipes.file_in(repo, image, name) is None:
        return False
    for step in built.steps:
        copied = step.copied
        mounts = [mount.get("source", mount.get("src", ".")) for mount in step.mounts("bind")]
        if step is at and any(_brings(repo, image, source, name) for source in mounts):
            return False
        stage = image.dockerfile.stage(copied.origin) if copied and copied.origin else None
        if copied is not None and (stage is not None or not copied.known):
            return False  # another stage may bring it
        if copied is not None and copied.origin:
            continue
        if copied is not None and any(_brings(repo, image, s, name) for s in copied.sources):
            return False
        others = [call for call in step.calls if call.program not in _MANAGERS]
        if any(name in word for call in others for word in call.words):
            return False
        if step is at:
            break
    return True


def _brings(repo: Repository, image: ImageFile, source: str, name: str) -> bool:
    """Return whether a source is a file of this name, or a folder with it that is let in."""
    from fnmatch import fnmatchcase

    base = posixpath.basename(source.rstrip("/"))
    if base and fnmatchcase(name, base):
        return True
    for context in image.contexts:
        inside = posixpath.normpath(posixpath.join(source.lstrip("/") or ".", name))
        if repo.exists(context.path(inside)) and not context.excludes(inside):
            return True
    return "$" in source


class IMG026(Rule):
    """A package of the image points to source that is not in it.

    Why: an editable install is a path to the source. In an image without that source at that
    path `import` fails when it starts.

    Bad:
        FROM python:3.11-slim AS build
        WORKDIR /app
        COPY . .
        RUN uv sync --locked --no-dev
        FROM python:3.11-slim
        COPY --from=build /app/.venv /app/.venv

    Good:
        FROM python:3.11-slim AS build
        WORKDIR /app
        COPY . .
        RUN uv sync --locked --no-dev --no-editable
        FROM python:3.11-slim
        COPY --from=build /app/.venv /app/.venv

    Fix: install without `-e`, with `uv sync --no-editable`, or copy the source too.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in recipes.running(repo):
            early = _early(repo, built)
            if early is not None:
                shown = _shown(early, local=True)
                message = f"`{shown}` installs the project before its source is copied"
                hint = _WITHOUT_PROJECT.get(early.tool, "install after COPY of the source")
                yield self.finding(built.image.path, early.line, message, hint=hint)
        for built in products(repo):
            for source in built.sources:
                editable = _editable(repo, source)
                copied = _environment_alone(built, source, editable[1]) if editable else None
                if editable and copied:
                    step, folder = editable
                    message = f"the environment points to the source in `{folder}` (line"
                    message += f" {step.instruction.first}), which this image has not"
                    hint = "uv sync --no-editable, or pip install without -e, in that stage"
                    line = copied.instruction.first
                    yield self.finding(built.image.path, line, message, hint=hint)


def _editable(repo: Repository, built: Built) -> tuple[Step, str] | None:
    """Return the last step that installs the project as a path, and that path."""
    last = None
    for step, install in built.installs:
        if install.is_pip:
            places = [name.split("[")[0] for name in install.editable]
            last = (step, step.state.path(places[0])) if places else last
        elif install.tool in {"uv sync", "poetry"}:
            if install.options.has("--no-install-project", "--no-root", "--no-install-workspace"):
                continue
            plain = install.options.has("--no-editable") or step.state.get("UV_NO_EDITABLE")
            known = recipes.project(repo, built.image)
            is_package = known is not None and _is_package(known[1], install.tool)
            last = (step, step.state.workdir) if is_package and not plain else None
    return last


def _early(repo: Repository, built: Built) -> Install | None:
    """Return an install of the project itself where no step has brought any code."""
    known = recipes.project(repo, built.image)
    if known is None:
        return None
    for step in built.steps:
        copied = step.copied
        if copied is not None:
            code = [recipes.has_code(repo, built.image, name) for name in copied.sources]
            if copied.origin or not copied.known or any(copies is not False for copies in code):
                return None
        prepared = any(call.program in {"mkdir", "touch", "git", "cp"} for call in step.calls)
        if step.mounts("bind") or prepared or step.instruction.heredocs:
            return None
        for install in step.installs:
            if _takes_project(known[1], step, install):
                # With its source on PYTHONPATH, the install is for what the project needs.
                return None if install.is_pip and step.state.get("PYTHONPATH") else install
    return None


def _takes_project(document: object, step: Step, install: Install) -> bool:
    if install.is_pip:
        return (
            recipes.installs_own_folder(step, install)
            and step.state.workdir != "/"
            and _is_package(document, "pip")
        )
    if install.options.has("--no-install-project", "--no-root", "--no-install-workspace"):
        return False
    setuptools = "setuptools" in str(table(document, "build-system").get("build-backend", ""))
    if install.tool == "uv sync":
        environment = recipes.is_set(step, install, "UV_NO_INSTALL_PROJECT")
        return _is_package(document, "uv") and not setuptools and not environment
    return install.tool == "poetry" and _is_package(document, "poetry")


def _is_package(document: object, tool: str) -> bool:
    if tool == "poetry":
        return table(document, "tool", "poetry").get("package-mode", True) is True
    setting = table(document, "tool", "uv").get("package")
    return setting is True or (setting is None and bool(table(document, "build-system")))


def _environment_alone(built: Built, source: Built, folder: str) -> Step | None:
    """Return the COPY of an environment from a stage, where nothing brings the source itself."""
    environment = None
    for step in built.steps:
        copied = step.copied
        if copied is None:
            continue
        stage = built.image.dockerfile.stage(copied.origin) if copied.origin else None
        if copied.origin and stage is not None and stage.index == source.stage.index:
            for name in copied.sources:
                venv = posixpath.basename(name.rstrip("/")) in {".venv", "venv", "site-packages"}
                environment = step if venv else environment
                if not venv:
                    return None
        code = any(not recipes.LISTS.fullmatch(name) for name in copied.sources)
        target, source_folder = f"{copied.target.rstrip('/')}/", f"{folder.rstrip('/')}/"
        near = target.startswith(source_folder) or source_folder.startswith(target)
        if not copied.origin and code and near:
            return None
    return environment
