"""STK: where a stack's data goes: volumes, and MLflow's database and artifacts."""

import posixpath
import re
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.audit.rules import stk_fixes
from lockstitch.patterns import regex
from lockstitch.repository.compose.reader import beside
from lockstitch.repository.compose.services import (
    Role,
    Stack,
    command_text,
    dockerfile_of,
    image_of,
    is_for_tests,
    role_of,
    stacks,
)
from lockstitch.repository.compose.values import Mount, Service
from lockstitch.repository.files import Repository
from lockstitch.repository.text.yaml import Scalar, Sequence

# Where images keep data; a mount above, at or below one of them keeps it.
_DATA = {
    **dict.fromkeys(
        ("postgres", "postgresql", "postgis", "timescaledb", "pgvector"),
        ("/var/lib/postgresql", "/home/postgres/pgdata", "/bitnami"),
    ),
    **dict.fromkeys(("mysql", "mariadb", "mysql-server"), ("/var/lib/mysql", "/bitnami")),
    **dict.fromkeys(("mongo", "mongodb"), ("/data", "/bitnami")),
    "qdrant": ("/qdrant",),
    "clickhouse": ("/var/lib/clickhouse",),
    "clickhouse-server": ("/var/lib/clickhouse",),
}
_MOST_SEARCHED = 500  # files
_KEPT = ("volume", "bind", "tmpfs", "npipe", "cluster")  # tmpfs: meant to be lost
_OBJECTS = regex(r"(?:-dir=|\bserver )(/\S+)")
_SQLITE = regex(r"sqlite:///(/?[^\s\"'?]+)")
_APPENDS = regex(r"--appendonly[ =]+yes|--save\s+[1-9]")
_S3 = regex(r"s3://|\bgs://|\bwasbs?://|\babfss?://|\bhdfs://|mlflow-artifacts:/")
_ROOT = regex(
    r"--(?:default-artifact-root|artifacts-destination)\b"
    r"|MLFLOW_(?:DEFAULT_ARTIFACT_ROOT|ARTIFACTS_DESTINATION)"
)
_LOCAL_ROOT = regex(r"[ =]+[\"']?(?:file://|\./|/(?![\w/.-]*\$)|[\w.-]+(?:[/\s]|$)(?![^\s]*\$))")
_NAMED = frozenset(
    {"--backend-store-uri", "--registry-store-uri", "--host", "--port", "--workers", "-h", "-p"}
)
_ENDPOINT = regex(r"MLFLOW_S3_ENDPOINT_URL|AWS_ENDPOINT_URL")
_DATABASE = regex(r"(postgresql|postgres|mysql)(?:\+\w+)?://")
# By the scheme: the database, the driver, its package, and what shows that one is installed.
_DRIVERS = {
    "postgresql": ("PostgreSQL", "psycopg2", "psycopg2-binary", r"psycopg|pg8000|asyncpg"),
    "mysql": ("MySQL", "PyMySQL", "pymysql", r"(?i:pymysql|mysqlclient|mysql-connector)"),
}
_OPAQUE = regex(r"\b(?:uv sync|uv run|poetry|pdm|pipenv|conda|mamba|pixi|nix)\b|\.whl|\.sh\b")
_INSTALLS = regex(r"\bpip3?\s+install\b")
_FROM = regex(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)", re.MULTILINE | re.IGNORECASE)
_REQUIREMENTS = regex(r"(?:-r|--requirements?)[ =]*(\S+)")


class STK007(Rule):
    """A service keeps data in its container, without a volume.

    Why: `docker compose down`, or a new version of the image, deletes the database, the runs and
    the models.

    Bad:
        services:
          db:
            image: postgres:17.2

    Good:
        services:
          db:
            image: postgres:17.2
            volumes: ["db:/var/lib/postgresql/data"]
        volumes: {db: {}}

    Fix: mount a named volume where the image keeps its data.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for stack in stacks(repo):
            for service in stack.started:
                lost = None if is_for_tests(service) else _lost(service)
                if lost and (not stack.is_override or service.path == stack.file.path):
                    message = f"`{service.name}` keeps {lost[0]} in the container: no volume is"
                    message += f" mounted at `{lost[1]}`" if lost[1] else " in its folder"
                    where = lost[1] or "/data"
                    hint = f'volumes: ["{service.name}:{where}"], and `{service.name}:` below'
                    hint += " the file's `volumes:`"
                    hint += "" if lost[1] else "; sqlite:////data/mlflow.db in the command"
                    yield self.finding(service.path, service.line, message, hint=hint)


def _lost(service: Service) -> tuple[str, str] | None:
    """Return the data lost with the container and its place, or None."""
    if {"volumes_from", "tmpfs"} & {*service.nodes} or service.build is not None:
        return None
    mounts = [m for m in service.volumes if m.kind in _KEPT and not m.read_only]
    image, role = image_of(service), role_of(service)
    command = command_text(service.entrypoint, service.command)
    if any(mount.value.unknown for mount in mounts) or image is None:
        return None
    if image.last in _DATA:
        given = service.environment.get("PGDATA")
        places = (*_DATA[image.last], *([given.text] if given and given.value else []))
        where = "/var/lib/postgresql/data" if "postgres" in places[0] else places[0]
        where = "/data/db" if where == "/data" else where
        where = f"{where}/storage" if where == "/qdrant" else where
        return None if any(_keeps(m, p) for m in mounts for p in places) else ("its data", where)
    if role is Role.STORE and image.last in {"minio", "seaweedfs", "rustfs", "garage"}:
        place = _OBJECTS.search(command)
        return None if mounts else ("its objects", place[1] if place else "/data")
    if image.last in {"redis", "valkey"} and _APPENDS.search(command):
        return None if any(_keeps(m, "/data") for m in mounts) else ("what it appends", "/data")
    if role is Role.MLFLOW and (match := _SQLITE.search(command)):
        path = match[1]
        kept = any(_keeps(m, path) for m in mounts) if path.startswith("/") else bool(mounts)
        return None if kept else ("its SQLite database", path.rpartition("/")[0])
    return None


def _keeps(mount: Mount, place: str) -> bool:
    target = mount.target.rstrip("/") + "/"
    place = place.rstrip("/") + "/"
    return target.startswith(place) or place.startswith(target)


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
    `lockstitch check --fix` builds MLflow's own image with the driver, in the compose file itself.
    Source: mlflow/mlflow#9513, mlflow/mlflow#19979.
    """

    severity = Severity.ERROR
    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for stack in stacks(repo):
            for service in stack.started:
                driver = _needed_driver(service) if role_of(service) is Role.MLFLOW else None
                if driver is None:
                    continue
                database, module, package, pattern = driver
                if service.build is None:
                    where = _official_image(service)
                else:
                    where = _built_without(repo, service, pattern)
                if where:
                    place = service.image or service.build or service
                    message = (
                        f"`{service.name}` stores in {database}, and `{where:.100}` has no {module}"
                    )
                    hint = f"build an image with `pip install mlflow {package}`"
                    hint += " or take MLflow's image whose tag ends with `-full`"
                    stores = [s for s in stack.services.values() if role_of(s) is Role.STORE]
                    wanted = [package, *(["boto3"] if stores else [])]
                    fix = stk_fixes.with_packages(repo, service, wanted)
                    yield self.finding(place.path, place.line, message, hint=hint, fix=fix)


def _needed_driver(service: Service) -> tuple[str, str, str, str] | None:
    """Return the driver of a server's database, None when the server may bring it itself."""
    command = command_text(service.entrypoint, service.command)
    store = service.environment.get("MLFLOW_BACKEND_STORE_URI")
    match = _DATABASE.search(f"{command} {store.text if store else ''}")
    if match is None:
        return None
    driver = _DRIVERS["mysql" if match[1] == "mysql" else "postgresql"]
    brings = re.search(driver[-1], command.replace(match[0], "")) or ".sh" in command
    return None if brings else driver


def _official_image(service: Service) -> str | None:
    """Return MLflow's own image, None for any other and for one with drivers."""
    image = image_of(service)
    fits = image is not None and image.path == "mlflow/mlflow" and not image.tag.endswith("-full")
    return service.image.text if fits and service.image else None


def _built_without(repo: Repository, service: Service, pattern: str) -> str | None:
    """Return the Dockerfile of a service when all that it installs is known, and no driver is."""
    text = dockerfile_of(repo, service)
    if text is None or re.search(pattern, text) or _OPAQUE.search(text):
        return None
    bases = _FROM.findall(text)
    own = len(bases) == 1 and re.fullmatch(
        r"(?:.*/)?(?:python:.*|mlflow/mlflow(?::(?!.*-full$).*)?)", bases[0]
    )
    if not own or (not _INSTALLS.search(text) and "mlflow/mlflow" not in bases[0]):
        return None
    build = service.build
    context = beside(build.path, build.context.text) if build and build.context else "."
    for name in _REQUIREMENTS.findall(text):
        listed = repo.text(posixpath.normpath(posixpath.join(context, posixpath.basename(name))))
        if listed is None or re.search(pattern, listed) or "-r " in listed:
            return None
    return build.dockerfile.text if build and build.dockerfile else "Dockerfile"


class STK009(Rule):
    """An object store is started, and MLflow is not told to use it.

    Why: without an artifact root or an endpoint MLflow writes models into its own container, or
    asks Amazon. The store stays empty, which shows only when the container is gone.

    Bad:
        services:
          objects: {image: "chrislusf/seaweedfs:3.97", …}
          mlflow:
            command: mlflow server --host 0.0.0.0

    Good:
        services:
          mlflow:
            command: mlflow server --artifacts-destination s3://mlflow/artifacts
            environment:
              MLFLOW_S3_ENDPOINT_URL: http://objects:8333

    Fix: give the server `--artifacts-destination s3://BUCKET/…` and `MLFLOW_S3_ENDPOINT_URL`.
    `lockstitch check --fix` does where the store can make the bucket at its start.
    Source: MLflow documentation, "Artifact Stores".
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for stack in stacks(repo):
            stores = [s for s in stack.services.values() if role_of(s) is Role.STORE]
            servers = [s for s in stack.started if role_of(s) is Role.MLFLOW]
            if len(servers) != 1 or not stores:
                continue
            lacks = _unwired(repo, servers[0])
            if lacks and not _used_otherwise(stack, servers[0], stores[0]):
                name, store = servers[0].name, stores[0].name
                message = f"the object store `{store}` is started, and `{name}` has no {lacks}"
                hint = (
                    "--artifacts-destination s3://BUCKET/artifacts, and MLFLOW_S3_ENDPOINT_URL:"
                    f" http://{store}:PORT"
                )
                fix = stk_fixes.wired(repo, servers[0], stores[0]) if len(stores) == 1 else ()
                yield self.finding(servers[0].path, servers[0].line, message, hint=hint, fix=fix)


def _unwired(repo: Repository, server: Service) -> str | None:
    """Return the package that an MLflow server lacks to use a store, None for none or unknown."""
    command = command_text(server.entrypoint, server.command)
    variables = " ".join(f"{value.name}={value.text}" for value in server.environment.values())
    text = f"{command} {variables}"
    for file in server.env_files:
        if file.settings is None:
            return None
        text += " ".join(f" {s.name}={s.value}" for s in file.settings)
    if server.build is not None:
        written = dockerfile_of(repo, server)
        if written is None:
            return None
        text += written
    if ".sh" in text or "configs" in server.nodes:
        return None
    if not _S3.search(text):
        # A root that only a run can tell may well be on the store.
        root = _ROOT.search(text)
        local = root is not None and _LOCAL_ROOT.match(text, root.end()) is not None
        hidden = (root is not None and not local) or _hides_options(server)
        return None if hidden else "artifact root on it (`s3://…`)"
    if "s3://" in text and not _ENDPOINT.search(text):
        return "`MLFLOW_S3_ENDPOINT_URL`, so that it asks Amazon"
    return None


def _hides_options(server: Service) -> bool:
    """Return whether a word that only a run can tell may be more than another option's value."""
    for key in ("entrypoint", "command"):
        node = server.nodes.get(key)
        listed = node.items if isinstance(node, Sequence) else (node,)
        words = " ".join(scalar.text for scalar in listed if isinstance(scalar, Scalar)).split()
        for before, word in zip(["", *words], words, strict=False):
            if "$" in word and not {before, word.partition("=")[0]} & _NAMED:
                return True
    return False


def _used_otherwise(stack: Stack, server: Service, store: Service) -> bool:
    """Return whether another service uses the store for something that is not MLflow's."""
    return any(
        f"//{store.name}:" in variable.text
        and not variable.name.startswith(("MLFLOW_", "AWS_", "MC_"))
        for service in stack.services.values()
        if service.name not in {server.name, store.name}
        for variable in service.environment.values()
    )


class STK015(Rule):
    """An object store is started and nothing uses it.

    Why: it takes memory, a port and a password, and people believe that models and data are kept
    there.

    Bad:
        services:
          objects: {image: "rustfs/rustfs:1.0.0"}
          api: {build: .}

    Good:
        services:
          objects: {image: "rustfs/rustfs:1.0.0"}
          api:
            build: .
            environment: {AWS_ENDPOINT_URL: "http://objects:9000"}

    Fix: give its address to what should use it, or take it out.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for stack in stacks(repo):
            stores = [s for s in stack.started if role_of(s) is Role.STORE]
            others = [s for s in stack.services.values() if s not in stores]
            if len(stores) != 1 or not others or stack.is_override or is_for_tests(stores[0]):
                continue
            if any(role_of(other) is Role.MLFLOW for other in others):
                continue  # STK009
            if not _is_named(repo, stack, stores[0]):
                message = f"the object store `{stores[0].name}` is started, and nothing names it"
                hint = f"AWS_ENDPOINT_URL: http://{stores[0].name}:PORT, where it should be used"
                yield self.finding(stores[0].path, stores[0].line, message, hint=hint)


def _is_named(repo: Repository, stack: Stack, store: Service) -> bool:
    """Return whether anything but the store's own lines speaks of it or of S3."""
    name = re.escape(store.name)
    wanted = re.compile(rf"(?i)\b{name}\b|\bs3\b|s3://|boto3|minio|endpoint_url|aws_")
    lines = stack.file.text.splitlines()
    last = max((node.line for node in store.nodes.values()), default=store.line)
    after = [s.line for s in stack.services.values() if s.line > store.line]
    rest = "\n".join([*lines[: store.line - 1], *lines[min(after, default=last + 20) - 1 :]])
    if wanted.search(rest.partition("\nvolumes:")[0]):
        return True
    kinds = (".py", ".ipynb", ".env", ".toml", ".yaml", ".yml", ".cfg", ".ini", ".sh", "Makefile")
    names = [n for n in repo.every_name if n.endswith(kinds) or ".env" in n]
    return any(
        wanted.search(repo.text(n) or "") for n in names[:_MOST_SEARCHED] if n != stack.file.path
    )
