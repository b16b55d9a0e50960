"""STK: where a stack's data goes: volumes, and MLflow's artifacts."""

from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Skip
from lockstitch.patterns import regex
from lockstitch.repository.compose import services
from lockstitch.repository.compose.reader import Mount, Service
from lockstitch.repository.compose.services import (
    Role,
    Stack,
    dockerfile_of,
    image_of,
    role_of,
    said,
    stacks,
)
from lockstitch.repository.files import Repository
from lockstitch.repository.text.yaml import Scalar, Sequence

__all__ = ["RULES"]

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
_KEPT = ("volume", "bind", "tmpfs", "npipe", "cluster")  # tmpfs: meant to be lost
_SQLITE = regex(r"sqlite:///(/?[^\s\"'?]+)")
_APPENDS = regex(r"--appendonly[ =]+yes|--save\s+[1-9]")
_S3 = regex(r"s3://|\bgs://|\bwasbs?://|\babfss?://|\bhdfs://|mlflow-artifacts:/")
_ROOT = regex(
    r"--(?:default-artifact-root|artifacts-destination)\b"
    r"|MLFLOW_(?:DEFAULT_ARTIFACT_ROOT|ARTIFACTS_DESTINATION)"
)
_NAMED = frozenset(
    {"--backend-store-uri", "--registry-store-uri", "--host", "--port", "--workers", "-h", "-p"}
)
_ENDPOINT = regex(r"MLFLOW_S3_ENDPOINT_URL|AWS_ENDPOINT_URL")


class STK007(Rule):
    """A service keeps data in its container, where no volume is.

    Why: `docker compose down`, or a new version of the image, takes the database, the runs and the
    models with it.

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
        """Yield each database, store, lasting queue and SQLite file without a volume."""
        for each in stacks(repo):
            for service in each.judged:
                lost = None if services.is_for_tests(service) else _lost(service)
                if lost and (not each.over or service.path == each.file.path):
                    message = f"`{service.name}` keeps {lost[0]} in the container: no volume is"
                    message += f" mounted at `{lost[1]}`"
                    hint = f'volumes: ["{service.name}:{lost[1]}"], and `{service.name}:` below'
                    hint += " the file's `volumes:`"
                    yield self.finding(service.path, service.line, message, hint=hint)


def _lost(service: Service) -> tuple[str, str] | None:
    """Return what is lost with the container and where it is, or None."""
    if {"volumes_from", "tmpfs"} & {*service.nodes} or service.build is not None:
        return None
    mounts = [m for m in service.volumes if m.kind in _KEPT and not m.read_only]
    image, role = image_of(service), role_of(service)
    command = said(service.entrypoint, service.command)
    if any(mount.value.unknown for mount in mounts) or image is None:
        return None
    if image.last in _DATA:
        given = service.environment.get("PGDATA")
        places = (*_DATA[image.last], *([given.value.text] if given and given.value else []))
        where = "/var/lib/postgresql/data" if "postgres" in places[0] else places[0]
        where = "/data/db" if where == "/data" else where
        where = f"{where}/storage" if where == "/qdrant" else where
        return None if any(_keeps(m, p) for m in mounts for p in places) else ("its data", where)
    if role is Role.STORE and image.last in {"minio", "seaweedfs", "rustfs", "garage"}:
        return None if mounts else ("its objects", "/data")
    if image.last in {"redis", "valkey"} and _APPENDS.search(command):
        return None if any(_keeps(m, "/data") for m in mounts) else ("what it appends", "/data")
    if role is Role.MLFLOW and (match := _SQLITE.search(command)):
        path = match[1]
        kept = any(_keeps(m, path) for m in mounts) if path.startswith("/") else bool(mounts)
        folder = path.rpartition("/")[0] if path.startswith("/") else "the folder of its SQLite"
        return None if kept else ("its SQLite database", folder or "/")
    return None


def _keeps(mount: Mount, place: str) -> bool:
    target = mount.target.rstrip("/") + "/"
    place = place.rstrip("/") + "/"
    return target.startswith(place) or place.startswith(target)


class STK009(Rule):
    """An object store is started, and MLflow is not told to use it.

    Why: without an artifact root or an endpoint MLflow writes models into its own container, or
    asks Amazon: the store stays empty, and nobody notices until the container is gone.

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
    Source: MLflow documentation, "Artifact Stores".
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each MLflow server that a store beside it is not wired to."""
        for each in stacks(repo):
            stores = [s for s in each.services.values() if role_of(s) is Role.STORE]
            servers = [s for s in each.judged if role_of(s) is Role.MLFLOW]
            if len(servers) != 1 or not stores:
                continue
            lacks = _unwired(repo, servers[0])
            if lacks and not _used_otherwise(each, servers[0], stores[0]):
                name, store = servers[0].name, stores[0].name
                message = f"the object store `{store}` is started, and `{name}` has no {lacks}"
                hint = (
                    "--artifacts-destination s3://BUCKET/artifacts, and MLFLOW_S3_ENDPOINT_URL:"
                    f" http://{store}:PORT"
                )
                yield self.finding(servers[0].path, servers[0].line, message, hint=hint)


def _unwired(repo: Repository, server: Service) -> str | None:
    """Return what an MLflow server lacks to use a store, None when nothing or nobody knows."""
    command = said(server.entrypoint, server.command)
    text = f"{command} {_environment(server)}"
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
        return (
            None
            if _ROOT.search(text) or _hides_options(server)
            else "artifact root on it (`s3://…`)"
        )
    if "s3://" in text and not _ENDPOINT.search(text):
        return "`MLFLOW_S3_ENDPOINT_URL`, so that it asks Amazon"
    return None


def _hides_options(server: Service) -> bool:
    """Return whether a word that only a run can tell may be more than another option's value."""
    for key in ("entrypoint", "command"):
        node = server.nodes.get(key)
        listed = node.items if isinstance(node, Sequence) else (node,)
        words = " ".join(each.text for each in listed if isinstance(each, Scalar)).split()
        for before, word in zip(["", *words], words, strict=False):
            if "$" in word and not {before, word.partition("=")[0]} & _NAMED:
                return True
    return False


def _environment(service: Service) -> str:
    listed = service.environment.values()
    return " ".join(f"{each.name}={each.value.text if each.value else ''}" for each in listed)


def _used_otherwise(each: Stack, server: Service, store: Service) -> bool:
    """Return whether somebody else uses the store for something that is not MLflow's."""
    for service in each.services.values():
        if service.name in {server.name, store.name}:
            continue
        for variable in service.environment.values():
            text = variable.value.text if variable.value else ""
            mentions = f"//{store.name}:" in text
            if mentions and not variable.name.startswith(("MLFLOW_", "AWS_", "MC_")):
                return True
    return False


RULES: tuple[type[Rule], ...] = (STK007, STK009)
