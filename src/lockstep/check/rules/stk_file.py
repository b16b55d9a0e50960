"""STK: compose files as files: what cannot be read, and what no program reads any more."""

from collections.abc import Iterator

from lockstep.check import places
from lockstep.check.finding import Finding, Severity, Skip
from lockstep.check.repository import Repository
from lockstep.check.rule import Rule

__all__ = ["RULES"]


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

    Fix: take the line out; `lockstep check --fix` does.
    Source: Compose Specification, "Version and name top-level elements".
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield the key's line of each file."""
        for file in repo.composes:
            line = file.value.version_line
            if line is not None:
                alone = file.text.splitlines()[line - 1].lstrip().startswith("version")
                fix = [places.without_line(file.path, file.text, line)] if alone else []
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
        for file in repo.composes:
            for problem in file.value.problems:
                if problem.fatal:
                    yield self.finding(problem.path or file.path, problem.line, problem.message)


RULES: tuple[type[Rule], ...] = (STK011, STK012)
