"""STK: what waits for what, and how it knows."""

import re
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Skip
from lockstitch.patterns import regex
from lockstitch.repository.compose import services
from lockstitch.repository.compose.reader import Dependency, Service
from lockstitch.repository.compose.services import Role, Stack, role_of, said
from lockstitch.repository.files import Repository
from lockstitch.repository.text import yaml

__all__ = ["RULES"]

_WAITS = regex(r"wait[-_]?for|wait-on|dockerize|pg_isready|\buntil\b|\bwhile\b|\bsleep\b|\.sh\b")
_AWAITED = frozenset({Role.DATABASE, Role.STORE, Role.MLFLOW})
# Pages that connect when somebody logs in.
_PAGES = frozenset(
    {"adminer", "pgadmin4", "phpmyadmin", "mongo-express", "redisinsight", "redis-commander"}
)
_CHECKS = {
    "postgres": 'test: ["CMD-SHELL", "pg_isready -U $$POSTGRES_USER"]',
    "mysql": 'test: ["CMD-SHELL", "mysqladmin ping -h 127.0.0.1"]',
    "mariadb": 'test: ["CMD", "healthcheck.sh", "--connect"]',
    "redis": 'test: ["CMD", "redis-cli", "ping"]',
    "mongo": """test: ["CMD", "mongosh", "--eval", "db.adminCommand('ping')"]""",
}


def _checked(repo: Repository, service: Service) -> bool | None:
    """Return whether a service has a health check, None where nobody can tell."""
    if service.healthcheck is not None:
        # Without a test it changes that of the image.
        return not service.healthcheck.disabled
    if service.build is not None:
        text = services.dockerfile_of(repo, service)
        if text is None:
            return None
        return re.search(r"^\s*HEALTHCHECK\s", text, re.MULTILINE | re.IGNORECASE) is not None
    # Of the images that are known here, none has one.
    return False if role_of(service) is not None else None


def _edges(each: Stack) -> Iterator[tuple[Service, Dependency, Service]]:
    """Yield who waits for whom."""
    for service in each.judged:
        for name, dependency in service.depends_on.items():
            target = each.services.get(name)
            own = not each.over or dependency.path == each.file.path
            if target is not None and own:
                yield service, dependency, target


class STK005(Rule):
    """Others wait for a service that has no health check.

    Why: without one, Compose starts the others as soon as the process is there: the first start
    of a database takes seconds, and MLflow or the training ends with `connection refused`. With
    `condition: service_healthy` and no check, nothing starts at all.

    Bad:
        services:
          db: {image: "postgres:17.2"}
          mlflow: {depends_on: [db], …}

    Good:
        services:
          db:
            image: postgres:17.2
            healthcheck: {test: ["CMD-SHELL", "pg_isready -U mlflow"], interval: 3s}

    Fix: add a `healthcheck` with a program that the image has.
    Source: Compose Specification, "healthcheck" and "depends_on".
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each database, store or MLflow server, and each that somebody wants healthy."""
        seen = set()
        for each in services.stacks(repo):
            for service, dependency, target in _edges(each):
                wanted = dependency.condition == "service_healthy"
                place = (target.path, target.line)
                role = role_of(target)
                if place in seen or not (wanted or role in _AWAITED):
                    continue
                if not wanted and (_has_another_end(dependency) or _waits_itself(service)):
                    continue
                if _checked(repo, target) is False:
                    seen.add(place)
                    message = f"`{target.name}` has no health check, and `{service.name}` waits "
                    message += "for it to be healthy" if wanted else "for it"
                    image = services.image_of(target)
                    test = _CHECKS.get(image.last if image else "", 'test: ["CMD", …]')
                    yield self.finding(*place, message, hint=f"healthcheck: {{{test}}}")


def _has_another_end(dependency: Dependency) -> bool:
    return dependency.condition == "service_completed_successfully"


def _waits_itself(service: Service) -> bool:
    image = services.image_of(service)
    if image and image.last in _PAGES:
        return True
    return _WAITS.search(said(service.entrypoint, service.command)) is not None


class STK006(Rule):
    """A `depends_on` waits for the start of a service, not for its being ready.

    Why: the short form orders starts only. A database answers seconds after its start, longer the
    first time: what depends on it fails now and then, on the slow machine first.

    Bad:
        depends_on:
          - db

    Good:
        depends_on:
          db:
            condition: service_healthy

    Fix: write the long form with `condition: service_healthy`.
    Source: Compose Specification, "depends_on".
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each short form on a database, a store or MLflow."""
        seen = set()
        for each in services.stacks(repo):
            for service, dependency, target in _edges(each):
                role = role_of(target)
                awaited = role in _AWAITED or (
                    role is Role.QUEUE and _checked(repo, target) is True
                )
                place = (dependency.path, dependency.line)
                if not awaited or place in seen or not _is_short(service, target.name):
                    continue
                if not _waits_itself(service) and not services.is_for_tests(service):
                    seen.add(place)
                    message = (
                        f"`{service.name}` waits for the start of the {role} `{target.name}`,"
                        " not for its being ready"
                    )
                    hint = f"depends_on: {{{target.name}: {{condition: service_healthy}}}}"
                    yield self.finding(*place, message, hint=hint)


def _is_short(service: Service, name: str) -> bool:
    node = service.nodes.get("depends_on")
    if not isinstance(node, yaml.Sequence):
        return False
    return any(isinstance(e, yaml.Scalar) and e.text == name for e in node.items)


RULES: tuple[type[Rule], ...] = (STK005, STK006)
