"""STK: compose files as files: what cannot be read, and what no program reads any more."""

import posixpath
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.patterns import regex
from lockstitch.repository.compose import services
from lockstitch.repository.compose.files import compose_files
from lockstitch.repository.compose.reader import Service, Value
from lockstitch.repository.files import Repository
from lockstitch.repository.text import ignore, lines

__all__ = ["RULES"]

_EXAMPLES = ("example", "sample", "template", "dist", "tmpl", "default", "defaults")
_REMOTE = regex(r"[A-Za-z][\w+.-]*://|git@|github\.com/|docker-image:|service:")


class STK011(Rule):
    """A compose file has the obsolete `version:` key.

    Why: Compose v2 ignores it and warns on every call; people read it as a choice of features,
    which it is not.

    Bad:
        version: "3.8"
        services:
          db: …

    Good:
        services:
          db: …

    Fix: take the line out; `lockstitch check --fix` does.
    Source: Compose Specification, "Version and name top-level elements".
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield the key's line of each file."""
        for file in compose_files(repo):
            line = file.value.version_line
            if line is not None:
                alone = file.text.splitlines()[line - 1].lstrip().startswith("version")
                fix = [lines.remove_line(file.path, file.text, line)] if alone else []
                message = "`version:` is obsolete: Compose ignores it and warns"
                yield self.finding(file.path, line, message, hint="take the line out", fix=fix)


class STK012(Rule):
    """A compose file cannot be read.

    Why: `docker compose` refuses it, or drops what it does not know, and nothing of it can be
    checked.

    Bad:
        services:
          db:
            imagee: postgres:17

    Good:
        services:
          db:
            image: postgres:17

    Fix: correct the line that is named.
    Source: Compose Specification.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each problem that stops Compose."""
        for file in compose_files(repo):
            for problem in file.value.problems:
                # `${X:?why}`: whoever starts it gives the value.
                if problem.fatal and " must be given: " not in problem.message:
                    yield self.finding(problem.path or file.path, problem.line, problem.message)


class STK013(Rule):
    """A compose file names a file, a folder or a Dockerfile that is not there.

    Why: `docker compose up` refuses it. On the laptop of the one who wrote it the file is there;
    git does not have it.

    Bad:
        services:
          api:
            build: ./servce

    Good:
        services:
          api:
            build: ./serve

    Fix: correct the path, or commit the file. An env file that git ignores is expected to be made
    by hand, and is no finding.
    Source: Compose Build Specification, "context" and "dockerfile"; "env_file".
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each env file, context and Dockerfile that is missing."""
        seen = set()
        for file in compose_files(repo):
            for service in file.value.services.values():
                for value, message, hint in (*_env_files(repo, service), *_builds(repo, service)):
                    if (value.path, value.line) not in seen:
                        seen.add((value.path, value.line))
                        yield self.finding(value.path, value.line, message, hint=hint)


def _env_files(repo: Repository, service: Service) -> Iterator[tuple[Value, str, str]]:
    for each in service.env_files:
        name = each.file.text
        path = services.beside(each.file.path, name)
        known = not each.file.unknown and not each.file.wrong and _is_inside(name, path)
        missing = each.required and each.settings is None and not repo.exists(path)
        if known and missing and not _is_made_by_hand(repo, path):
            message = f"`{service.name}` reads `{name:.100}`, which is not there"
            yield each.file, message, "commit it, or one with `.example` at its end"


def _is_made_by_hand(repo: Repository, path: str) -> bool:
    """Return whether an env file is to be made by each person: ignored, or with an example."""
    folder, name = posixpath.split(path)
    examples = (*(f"{name}.{x}" for x in _EXAMPLES), *(f"{x}{name}" for x in ("example", "sample")))
    examples = (*examples, *(f"env.{x}" for x in _EXAMPLES), *(f".env.{x}" for x in _EXAMPLES))
    shown = any(repo.exists(posixpath.join(folder, each)) for each in examples)
    return shown or ignore.is_git_ignored(repo, path)


def _builds(repo: Repository, service: Service) -> Iterator[tuple[Value, str, str]]:
    build = service.build
    context = build.context if build else None
    if build is None or (context and (context.unknown or context.wrong)):
        return
    folder = context.text if context else "."
    path = services.beside(build.path, folder)
    if _REMOTE.match(folder) or not _is_inside(folder, path):
        return
    # `--project-directory` may say that paths begin at the root.
    roots = [each for each in (path, posixpath.normpath(folder)) if repo.is_folder(each)]
    if context and not roots:
        message = f"`{service.name}` is built in `{folder:.100}`, which is not there"
        yield context, message, "name the folder of the Dockerfile, from the compose file's"
        return
    file = build.dockerfile
    if build.inline is not None or (file and (file.unknown or file.wrong)):
        return
    name = file.text if file else "Dockerfile"
    places = [posixpath.normpath(posixpath.join(root, name)) for root in roots or [path]]
    inside = all(_is_inside(name, place) for place in places)
    if inside and not any(map(repo.exists, places)) and not _is_submodule(repo, path):
        message = f"`{service.name}` is built with `{places[0]:.100}`, which is not there"
        place = file or context
        if place:
            yield place, message, "dockerfile: PATH  # from the context"


def _is_submodule(repo: Repository, path: str) -> bool:
    return f"path = {path}" in (repo.text(".gitmodules") or "")


def _is_inside(name: str, path: str) -> bool:
    return not name.startswith(("/", "~")) and not path.startswith("..") and ":\\" not in name


RULES: tuple[type[Rule], ...] = (STK011, STK012, STK013)
