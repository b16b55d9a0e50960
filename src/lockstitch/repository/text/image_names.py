"""What the name of an image says: where it comes from, whether it moves, whether it is gone."""

from lockstitch.patterns import regex
from lockstitch.values import frozen

__all__ = ["GONE", "STORES", "Gone", "Reference", "gone", "is_local", "reference"]

_NAME = regex(
    r"(?:(?P<host>localhost(?::\d+)?|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::\d+)?|[A-Za-z0-9-]+:\d+)/)?"
    r"(?P<path>[a-z0-9._-]+(?:/[a-z0-9._-]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(?:@(?P<digest>[a-z0-9]+:[0-9a-fA-F]{32,128}))?"
)
_HUB = frozenset({"", "docker.io", "index.docker.io", "registry.hub.docker.com"})
STORES = "SeaweedFS, Garage, RustFS or Ceph RGW"
# Of names without a namespace the hub has these; any other was built on the machine.
_OFFICIAL_NAMES = (
    "adminer alpine amazoncorretto amazonlinux archlinux bash buildpack-deps busybox caddy "
    "cassandra centos clickhouse consul couchbase couchdb debian docker eclipse-mosquitto "
    "eclipse-temurin elasticsearch elixir fedora flink fluentd gcc ghost golang gradle "
    "haproxy hello-world httpd influxdb java julia kibana kong logstash mariadb matomo maven "
    "memcached mongo mongo-express mysql nats neo4j nextcloud nginx node openjdk oraclelinux "
    "perl php postgres pypy python r-base rabbitmq redis registry rethinkdb rockylinux ruby "
    "rust solr sonarqube spark storm telegraf tomcat traefik ubuntu valkey vault wordpress "
    "zookeeper"
)
_OFFICIAL = frozenset(_OFFICIAL_NAMES.split())


@frozen
class Reference:
    """An image's name in its parts; what is not said is empty."""

    host: str
    path: str  # without `library/`
    tag: str
    digest: str

    @property
    def on_hub(self) -> bool:
        """Return whether Docker's own registry has it."""
        return self.host in _HUB

    @property
    def text(self) -> str:
        """Return the name as it is written, `library/` left out."""
        host = f"{self.host}/" if self.host else ""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{host}{self.path}{tag}{digest}"

    @property
    def key(self) -> str:
        """Return one spelling for all that mean the same image, without a digest."""
        host = "" if self.on_hub else f"{self.host}/"
        return f"{host}{self.path}:{self.tag or 'latest'}"

    @property
    def last(self) -> str:
        """Return the last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def moves(self) -> bool:
        """Return whether tomorrow's pull may give another image by default."""
        return not self.digest and self.tag in {"", "latest"}


def reference(text: str) -> Reference | None:
    """Return the parts of an image's name, None when it is none."""
    match = _NAME.fullmatch(text.strip())
    if match is None:
        return None
    found = {name: value or "" for name, value in match.groupdict().items()}
    return Reference(**{**found, "path": found["path"].removeprefix("library/")})


def is_local(image: Reference) -> bool:
    """Return whether no registry has the name: it was built on the machine."""
    official = "/" in image.path or image.path in _OFFICIAL
    return (image.host in _HUB and not official) or image.host.startswith("localhost")


@frozen
class Gone:
    """An image that is no longer published, what happened, what to take, and who says so."""

    path: str  # a whole path, or `namespace/*`
    what: str
    instead: str
    source: str
    only_on_hub: bool = True


GONE = (
    Gone(
        path="minio/minio",
        what="MinIO publishes no images since October 2025, and its repository is archived",
        instead=f"take another store that speaks S3: {STORES}",
        source="minio/minio#21647, apache/iceberg-python#3928",
        only_on_hub=False,
    ),
    Gone(
        path="minio/mc",
        what="MinIO publishes no images since October 2025, its client `mc` included",
        instead="make buckets with the store's own tool, or with `aws s3 mb` or boto3",
        source="minio/minio#21647",
        only_on_hub=False,
    ),
    Gone(
        path="bitnami/*",
        what="Bitnami's public images were taken away on 2025-09-29",
        instead="take the software's own image; `bitnamilegacy/…` has the old ones without updates",
        source="bitnami/containers#83267",
    ),
    Gone(
        path="bitnamilegacy/*",
        what="it is an archive of Bitnami's images that gets no updates, for moving away only",
        instead="take the software's own image",
        source="bitnami/containers#83267",
    ),
    *(
        Gone(
            path=f"jupyter/{name}-notebook",
            what="Jupyter's images on Docker Hub end with 2023-10-20",
            instead=f"Quay has jupyter/{name}-notebook since",
            source="jupyter/docker-stacks#2099",
        )
        for name in (
            *("base", "minimal", "scipy", "r", "julia", "tensorflow", "pytorch"),
            *("datascience", "pyspark", "all-spark"),
        )
    ),
    Gone(
        path="tiangolo/uvicorn-gunicorn-fastapi",
        what="its author deprecated it in August 2024",
        instead="take python:3.X-slim and `uvicorn --workers`",
        source="tiangolo/uvicorn-gunicorn-fastapi-docker#303",
    ),
    Gone(
        path="openjdk",
        what="the image is deprecated and gets no updates",
        instead="take eclipse-temurin",
        source="docker-library/openjdk#505",
    ),
    Gone(
        path="java",
        what="the image is deprecated and gets no updates since 2016-12-31",
        instead="take eclipse-temurin",
        source="docker-library/docs#660",
    ),
)
_EXCEPT = frozenset({"bitnami/sealed-secrets-controller", "bitnami/minideb"})  # #83267 says so


def gone(image: Reference) -> Gone | None:
    """Return what is known of an image that is no longer published."""
    namespace = image.path.partition("/")[0]
    for each in GONE:
        fits = each.path in {image.path, f"{namespace}/*"} and image.path not in _EXCEPT
        if fits and (image.on_hub or not each.only_on_hub):
            return each
    return None
