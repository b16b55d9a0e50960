"""IMG: how an image's Python packages get into it."""

import posixpath
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.repository.dockerfile import recipes
from lockstitch.repository.dockerfile.images import Built, ImageFile, image_files
from lockstitch.repository.dockerfile.installs import Install
from lockstitch.repository.dockerfile.stages import Step
from lockstitch.repository.files import Repository

__all__ = ["RULES"]

_MANAGERS = {"uv", "poetry", "pip", "python"}
_LOCKS = ("uv.lock", "poetry.lock", "pylock.toml", "requirements-lock.txt", "requirements.lock")
_LOCKED = ("--locked", "--frozen", "--check")


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
        """Yield the first install of each stage that stands behind a copy of the source."""
        for image in image_files(repo):
            for built in recipes.running(image):
                found = _late(repo, built)
                if found is not None:
                    each, copied = found
                    message = f"the packages are installed after `{copied}` is copied: each"
                    message += " change of the source installs them again"
                    hint = "copy the lock alone, install, then copy the source"
                    yield self.finding(image.path, each.line, message, hint=hint)


def _late(repo: Repository, built: Built) -> tuple[Install, str] | None:
    source, whole = "", False
    for step in built.steps:
        copied = step.copied
        if copied is not None and not copied.origin and not copied.target.startswith("/tmp"):  # noqa: S108 -- a path of an image
            code = [each for each in copied.sources if recipes.has_code(repo, built.image, each)]
            source = source or (code[0] if code else "")
            whole = whole or any(posixpath.normpath(each) in {".", "/"} for each in code)
        for each in step.installs:
            if not each.is_python or each.is_tools or (each.tool == "conda" and not each.files):
                continue
            if not source:
                return None  # packages come first: later installs are of the project itself
            manager = each.tool in {"uv sync", "poetry", "pdm", "pipenv"}
            if each.files or each.required or manager:
                return each, source
            found = recipes.project(repo, built.image)
            if each.local and whole and found and recipes.needs_of(found[1]):
                return each, source
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
        """Yield each pip install of names without versions, or of a project without its lock."""
        for image in image_files(repo):
            for built in recipes.running(image):
                locked = False
                for step, each in built.installs:
                    if each.is_pip and not _limited(step, each):
                        names = recipes.unpinned(each)
                        if names:
                            message = f"`pip install {' '.join(names[:4])}` takes what is newest"
                            hint = "lock them, or name versions: NAME==VERSION"
                            yield self.finding(image.path, each.line, message, hint=hint)
                        elif not locked and _resolves(repo, built, step, each):
                            message = f"`pip install {each.local[0]}` takes the newest of what the"
                            message += " project asks for, whatever a lock says"
                            hint = "install the lock first, then the project with --no-deps"
                            yield self.finding(image.path, each.line, message, hint=hint)
                    locked = locked or bool(each.files) or each.tool in {"uv sync", "poetry"}


def _limited(step: Step, each: Install) -> bool:
    """Return whether a constraints file or the like says the versions."""
    options = ("-c", "--constraint", "--constraints", "--no-deps", "--no-index", "--require-hashes")
    names = ("PIP_CONSTRAINT", "UV_CONSTRAINT", "PIP_NO_DEPS", "PIP_NO_INDEX")
    return each.options.has(*options) or any(
        step.state.get(name) or each.call.assignments.get(name) for name in names
    )


def _resolves(repo: Repository, built: Built, step: Step, each: Install) -> bool:
    """Return whether an install of the project itself chooses the versions of what it needs."""
    found = recipes.project(repo, built.image)
    locked = any(recipes.file_in(repo, built.image, name) for name in _LOCKS)
    return (
        recipes.is_here(step, each) and locked and found is not None and recipes.needs_of(found[1])
    )


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
        """Yield each install with development packages that the project has."""
        for image in image_files(repo):
            for built in recipes.running(image):
                for step, each in built.installs:
                    what = recipes.development(repo, built, step, each)
                    if what and not _removed_later(built, step, each):
                        message = f"`{_shown(each)}` brings {what} to an image that runs"
                        hint = _WITHOUT.get(each.tool, "leave them out")
                        yield self.finding(image.path, each.line, message, hint=hint)


_WITHOUT = {
    "uv sync": "uv sync --locked --no-dev",
    "poetry": "poetry install --only main",
    "pipenv": "pipenv install --deploy",
}


def _shown(each: Install) -> str:
    verb = {"uv sync": "uv sync", "poetry": "poetry install"}.get(each.tool, "")
    return verb or f"{each.tool} install"


def _removed_later(built: Built, step: Step, each: Install) -> bool:
    """Return whether a later `uv sync --no-dev` of the same stage takes them out again."""
    later = False
    for other, install in built.installs:
        if other is step:
            later = True
        elif later and each.tool == install.tool == "uv sync":
            return install.options.has("--no-dev") or recipes.is_set(other, install, "UV_NO_DEV")
    return False


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
        """Yield each `uv sync` that may change the lock, and each manager that gets none."""
        for image in image_files(repo):
            for built in recipes.running(image):
                for step, each in built.installs:
                    name = {"uv sync": "uv.lock", "poetry": "poetry.lock"}.get(each.tool)
                    if name is None:
                        continue
                    if _without(repo, built, step, name):
                        message = f"`{name}` is not copied before `{_shown(each)}`, which resolves"
                        message += " anew or stops"
                        hint = f"COPY pyproject.toml {name} ./"
                        severity = Severity.ERROR
                        line = each.line
                        yield self.finding(image.path, line, message, hint=hint, severity=severity)
                    elif each.tool == "uv sync" and not _fixed(step, each):
                        message = "`uv sync` without `--locked` may change the lock while it builds"
                        hint = "uv sync --locked"
                        yield self.finding(image.path, each.line, message, hint=hint)


def _fixed(step: Step, each: Install) -> bool:
    names = ("UV_LOCKED", "UV_FROZEN")
    return each.options.has(*_LOCKED) or any(recipes.is_set(step, each, name) for name in names)


def _without(repo: Repository, built: Built, at: Step, name: str) -> bool:
    """Return whether the project has a lock that a step surely cannot see."""
    image = built.image
    if recipes.file_in(repo, image, name) is None:
        return False
    for step in built.steps:
        copied = step.copied
        mounts = [each.get("source", each.get("src", ".")) for each in step.mounts("bind")]
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


RULES: tuple[type[Rule], ...] = (IMG016, IMG017, IMG023, IMG024)
