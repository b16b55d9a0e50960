"""IMG: what goes from a project into its builds."""

import posixpath
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.repository.dockerfile import build_context, ignore
from lockstitch.repository.dockerfile.contexts import Context
from lockstitch.repository.dockerfile.images import ImageFile, image_files
from lockstitch.repository.dockerfile.stages import line_of
from lockstitch.repository.files import Repository
from lockstitch.repository.text import edits
from lockstitch.repository.text.edits import Edit

__all__ = ["RULES"]

_WILD = set("*?[")
_NEVER = (
    *(".git", ".venv", "venv", ".env", ".env.*", "**/__pycache__", "**/*.pyc"),
    *("**/.ipynb_checkpoints", "**/.mypy_cache", "**/.pytest_cache", "**/.ruff_cache"),
    *("**/.DS_Store",),
)


class IMG013(Rule):
    """COPY names a file that is not there, or that .dockerignore keeps out.

    Why: the build stops at this line, on the machine of whoever has no such file.

    Bad:
        # .dockerignore has *.txt
        COPY requirements.txt .

    Good:
        # .dockerignore has *.txt and !requirements.txt
        COPY requirements.txt .

    Fix: correct the path (it counts from the build's folder, not from the Dockerfile's), or let
    the file in with `!` below the line that keeps it out.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each source that no folder of the build has, files that are made later apart."""
        for image in image_files(repo):
            for step, source in build_context.copies(image):
                message, hint = _gone(repo, image, source)
                if message:
                    line = line_of(step.instruction, source)
                    yield self.finding(image.path, line, message, hint=hint)


def _gone(repo: Repository, image: ImageFile, source: str) -> tuple[str, str]:
    path = posixpath.normpath("/" + source).lstrip("/")
    if not path or _WILD & set(path) or "\\" in source:
        return "", ""
    contexts = image.contexts
    there = [each for each in contexts if repo.exists(each.path(path))]
    for context in there or contexts:
        if not _keeps_out(repo, context, path):
            break
    else:
        ignore = contexts[0].ignore.path if contexts[0].ignore else ".dockerignore"
        message = f"`{source}` is kept out of the build by `{ignore}`, so COPY does not find it"
        return message, f"add `!{path}` below the line of `{ignore}` that keeps it out"
    if there or any(build_context.is_made(repo, each.path(path)) for each in contexts):
        return "", ""
    folders = " or ".join(f"`{each.folder or '.'}`" for each in contexts)
    message = f"`{source}` is not there: COPY looks in {folders}"
    return message, "correct the path: it counts from the folder that is given to the build"


def _keeps_out(repo: Repository, context: Context, path: str) -> bool:
    if context.ignore is None:
        return False
    if repo.is_folder(context.path(path)):
        return context.ignore.excludes_all(path)
    return context.ignore.excludes(path)


class IMG014(Rule):
    """The whole folder is copied and there is no .dockerignore.

    Why: the history in .git, the machine's .venv, caches and the passwords in .env all go into
    a layer of the image, and each commit or test run spoils the cache of the build.

    Bad:
        COPY . .

    Good:
        # .dockerignore
        .git
        .venv
        .env
        **/__pycache__

    Fix: add a .dockerignore to the folder of the build; `lockstitch check --fix` does.
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield the first COPY of everything of each Dockerfile of Python without one."""
        for image in image_files(repo):
            step = build_context.copies_all(image)
            if step is None or any(each.ignore is not None for each in image.contexts):
                continue
            if any(each.is_python for each in image.stages):
                message = "the whole folder is copied and no .dockerignore leaves anything out"
                hint = "add a .dockerignore with .git, .venv, .env and caches"
                line, fix = step.instruction.first, _made(repo, image)
                yield self.finding(image.path, line, message, hint=hint, fix=fix)


def _made(repo: Repository, image: ImageFile) -> list[Edit]:
    """Return the edit that makes a .dockerignore; none where the build's folder is not certain."""
    if len(image.contexts) != 1:
        return []
    (context,) = image.contexts
    named = build_context.named_sources(repo, context.folder)
    lines = [each for each in _NEVER if not _hits(each, named)]
    if build_context.needs_git(repo, context):
        lines.remove(".git")
    path = posixpath.join(context.folder, ".dockerignore")
    return [Edit(path=path, start=0, end=0, text="".join(f"{each}\n" for each in lines))]


def _hits(pattern: str, names: set[str]) -> bool:
    patterns = ignore.read("", pattern)
    return any(patterns.excludes(name) for name in names)


class IMG015(Rule):
    """A .dockerignore lets in what no image should have.

    Why: .git holds all that ever was in the project, .env its passwords; .venv and data make
    the build slow and the image large.

    Bad:
        # .dockerignore, and the Dockerfile has COPY . .
        __pycache__

    Good:
        # .dockerignore
        __pycache__
        .git
        .venv
        .env

    Fix: add the lines; `lockstitch check --fix` adds those for .git, .venv and .env.
    Source: Docker, "Build context": patterns match from the folder of the build and do not
    recurse as those of .gitignore do.
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each .dockerignore with what comes through it when everything is copied."""
        seen: set[str] = set()
        for image in image_files(repo):
            if build_context.copies_all(image) is None or len(image.contexts) != 1:
                continue
            (context,) = image.contexts
            if context.ignore is None or context.ignore.path in seen:
                continue
            if any(each.is_python for each in image.stages):
                found = build_context.let_in(repo, image, context)
                if found:
                    seen.add(context.ignore.path)
                    yield self._of(repo, context.ignore.path, found)

    def _of(self, repo: Repository, path: str, found: list[str]) -> Finding:
        listed = ", ".join(f"`{each}`" for each in found)
        verb = "is" if len(found) == 1 else "are"
        message = f"{listed} {verb} not left out, and the whole folder is copied"
        text = repo.text(path) or ""
        lines = [each for each in found if each.startswith(".")]
        last = max(1, len(text.splitlines()))
        edit = edits.after_line(path, text, last, "".join(f"{each}\n" for each in lines))
        fix = [edit] if lines else []
        return self.finding(path, 1, message, hint=f"add {' '.join(found)}", fix=fix)


RULES: tuple[type[Rule], ...] = (IMG013, IMG014, IMG015)
