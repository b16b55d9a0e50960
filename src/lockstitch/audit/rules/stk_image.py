"""STK: the images that services run, and what has to be in them."""

import re
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.patterns import regex
from lockstitch.repository.compose import services
from lockstitch.repository.compose.drivers import without_driver
from lockstitch.repository.compose.files import compose_files
from lockstitch.repository.compose.reader import Command, Service
from lockstitch.repository.compose.services import Role, role_of, said, stacks, words
from lockstitch.repository.files import Repository
from lockstitch.repository.text import image_names

__all__ = ["RULES"]

_INSTALL = regex(
    r"\b(?:pip3?|pip3?\.\d+|uv pip|conda|mamba|apt-get|apt|apk)(?:\s+-\S+)*\s+(?:install|add)\b"
)
_RECIPES = regex(
    r"(?:.*/)?(?:Makefile|makefile|justfile|Taskfile\.ya?ml|docker-bake\.hcl|tasks\.py|noxfile\.py)"
    r"|.*\.(?:sh|mk)|\.github/workflows/[^/]+\.ya?ml|\.gitlab-ci\.yml|README\.md"
)


class STK001(Rule):
    """A service runs an image without a tag, or `latest`.

    Why: the next pull brings another version, on one machine and not on the other; a database of
    a new major version does not start on the old data.

    Bad:
        services:
          db:
            image: postgres

    Good:
        services:
          db:
            image: postgres:17.2

    Fix: write the version that runs now; `docker compose images` lists it.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each image that moves by default."""
        built: frozenset[str] | None = None
        for service in _services(repo):
            image, value = services.image_of(service), service.image
            if image is None or value is None or not image.moves or service.build is not None:
                continue
            policy = service.values.get("pull_policy")
            if image_names.is_local(image) or (policy and policy.text in {"never", "build"}):
                continue
            if value.names and role_of(service) is None:  # whoever deploys says the tag
                continue
            built = _built(repo) if built is None else built
            if image.path in built:
                continue
            how = "`latest`" if image.tag else "no tag"
            message = f"`{service.name}` runs `{value.text:.100}`, {how}: the version is not fixed"
            name = value.text.removesuffix(":latest")
            yield self.finding(value.path, value.line, message, hint=f"image: {name:.100}:VERSION")


def _services(repo: Repository) -> Iterator[Service]:
    """Yield the services that each file says itself, each place once."""
    seen = set()
    for file in compose_files(repo):
        for service in file.value.services.values():
            place = service.image or service
            if (place.path, place.line) not in seen:
                seen.add((place.path, place.line))
                yield service


def _built(repo: Repository) -> frozenset[str]:
    """Return the images that a service, a recipe or a script of the repository builds."""
    found = set()
    for file in compose_files(repo):
        for service in file.value.services.values():
            image = services.image_of(service) if service.build else None
            found |= {image.path} if image else set()
    for name in repo.names:
        if _RECIPES.fullmatch(name):
            text = repo.text(name) or ""
            for match in re.finditer(r"(?:-t|--tag|tags\s*[:=])[\s=\"'\[|]*([\w./:-]+)", text):
                image = image_names.reference(match[1])
                found |= {image.path} if image else set()
    return frozenset(found)


class STK002(Rule):
    """A service runs an image that its maker has withdrawn or archived.

    Why: a pull fails today or tomorrow, on the machine that has no copy yet; and nobody mends what
    is found in it. MinIO publishes no images since October 2025: SeaweedFS, Garage, RustFS and
    Ceph RGW speak S3 too.

    Bad:
        services:
          objects:
            image: minio/minio:RELEASE.2025-04-22T22-12-26Z

    Good:
        services:
          objects:
            image: chrislusf/seaweedfs:3.97

    Fix: take what the finding names.
    Source: minio/minio#21647; bitnami/containers#83267; jupyter/docker-stacks#2099.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each image of the table of those that are gone."""
        for service in _services(repo):
            image, value = services.image_of(service), service.image
            known = image_names.gone(image) if image and not service.build else None
            if known and value:
                message = f"`{service.name}` runs `{value.text:.100}`: {known.what}"
                hint = f"{known.instead} ({known.source})"
                yield self.finding(value.path, value.line, message, hint=hint)


class STK008(Rule):
    """MLflow is told to use a database whose driver its image does not have.

    Why: MLflow's own image has no psycopg2 and no PyMySQL: the server ends at its start with
    `No module named 'psycopg2'`. Newer releases have images with the drivers: tags that end with
    `-full`.

    Bad:
        services:
          mlflow:
            image: mlflow/mlflow:v3.4.0
            command: mlflow server --backend-store-uri postgresql://mlflow@db/mlflow

    Good:
        services:
          mlflow:
            build: ./mlflow        # FROM python:3.11-slim, pip install mlflow psycopg2-binary
            command: mlflow server --backend-store-uri postgresql://mlflow@db/mlflow

    Fix: build an image with the driver, or take MLflow's image whose tag ends with `-full`.
    Source: mlflow/mlflow#9513, mlflow/mlflow#19979.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each server that cannot reach its database."""
        for each in stacks(repo):
            for service in each.judged:
                lacks = without_driver(repo, service) if role_of(service) is Role.MLFLOW else None
                if lacks:
                    place = service.image or service.build or service
                    message = (
                        f"`{service.name}` stores in {lacks.database}, and `{lacks.where:.100}` has"
                        f" no {lacks.driver}"
                    )
                    hint = f"build an image with `pip install mlflow {lacks.package}`"
                    hint += " or take MLflow's image whose tag ends with `-full`"
                    yield self.finding(place.path, place.line, message, hint=hint)


class STK014(Rule):
    """A container installs packages when it starts.

    Why: each start needs the network, takes minutes, and brings what is newest that day: the same
    file gives another environment tomorrow, and none at all when an index is down.

    Bad:
        command: bash -c "pip install psycopg2-binary && mlflow server"

    Good:
        build: ./mlflow            # its Dockerfile installs from a lock
        command: mlflow server

    Fix: install in an image.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each command that installs."""
        for file in compose_files(repo):
            for service in file.value.services.values():
                for command in (service.entrypoint, service.command):
                    match = _INSTALL.search(said(command))
                    if command and match and not services.is_for_tests(service):
                        message = f"`{service.name}` runs `{match[0]}` at every start"
                        line = _line(command)
                        hint = "install in an image: build: …"
                        yield self.finding(command.path, line, message, hint=hint)


def _line(command: Command) -> int:
    found = [word.line for word in words(command) if _INSTALL.search(word.text)]
    return found[0] if found else command.line


RULES: tuple[type[Rule], ...] = (STK001, STK002, STK008, STK014)
