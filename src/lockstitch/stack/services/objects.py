"""SeaweedFS: an S3 store in one process, closed to everybody without its keys."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePath

from lockstitch import clock, files
from lockstitch.errors import LockstitchError
from lockstitch.net.download import ask
from lockstitch.runtime.stack.presign import presigned
from lockstitch.stack.service import ADMIN, HOST, Launch, Parts, probe
from lockstitch.values import frozen

# The ports between the store's own parts: first choice of each.
PORTS = {
    "filer": 18888,
    "filer.grpc": 28888,
    "master": 19333,
    "master.grpc": 29333,
    "volume": 19340,
    "volume.grpc": 29340,
    "s3.grpc": 29000,
    "admin": 23646,
    "admin.grpc": 33646,
}
# Of Go: 200 MB that are written leave it with 700 MB otherwise, which it keeps.
MEMORY = {"GOMEMLIMIT": "256MiB"}
SIGNING = (
    "WEED_JWT_SIGNING_KEY",
    "WEED_JWT_SIGNING_READ_KEY",
    "WEED_JWT_FILER_SIGNING_KEY",
    "WEED_JWT_FILER_SIGNING_READ_KEY",
)


def arguments(data: PurePath, address: str, bucket: str, ports: Mapping[str, int]) -> list[str]:
    """Return the words of `weed`; `ports` are the store's own and those between its parts."""
    options: dict[str, object] = {
        "dir": data,
        "ip": "127.0.0.1",
        "ip.bind": address,
        "bucket": bucket,
        "s3.port": ports["objects"],
        "s3.port.grpc": ports["s3.grpc"],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "filer.port": ports["filer"],
        "filer.port.grpc": ports["filer.grpc"],
        "master.port": ports["master"],
        "master.port.grpc": ports["master.grpc"],
        "master.telemetry": "false",
        "volume.port": ports["volume"],
        "volume.port.grpc": ports["volume.grpc"],
        "admin.port": ports["admin"],
        "admin.port.grpc": ports["admin.grpc"],
        "webdav": "false",
    }
    return ["-logtostderr", "mini", *(f"-{name}={value}" for name, value in options.items())]


@frozen
class Objects:
    """Keeps MLflow's artifacts."""

    parts: Parts
    name: str = "objects"
    needs: tuple[str, ...] = ()
    # A part of SeaweedFS's index that could not write once never writes again until it is opened
    # anew, and objects are taken meanwhile that no list has (docs/decisions/014).
    rests: bool = True

    def launch(self) -> Launch:
        """Write the configuration with the keys, and say how to start."""
        parts = self.parts
        data = parts.folder.root / "objects"
        temporary = parts.folder.root / "objects.tmp"  # it leaves sockets in its temporary folder
        for folder in (data, temporary):
            folder.mkdir(mode=0o700, exist_ok=True)
        config = parts.folder.root / "objects.json"
        key = {"accessKey": parts.keys.access_key, "secretKey": parts.keys.secret_key}
        actions = ["Admin", "Read", "List", "Tagging", "Write"]
        identity = {"name": "lockstitch", "credentials": [key], "actions": actions}
        files.write_bytes(config, json.dumps({"identities": [identity]}).encode(), mode=0o600)
        env = parts.clean(
            **dict(zip(SIGNING, parts.keys.signing, strict=True)),
            WEED_ADMIN_USER=ADMIN,
            **MEMORY,
            WEED_ADMIN_PASSWORD=parts.keys.admin,
            TMPDIR=str(temporary),
        )
        words = arguments(data, HOST, parts.bucket, parts.ports)
        words = [str(parts.tools.weed), *words, f"-s3.config={config}"]
        return Launch(words=words, cwd=data, env=env)

    def ready(self) -> str:
        """Return "" once a signed list and a write of an object succeed."""
        return probe(self.parts, 3)

    def well(self) -> str:
        """Return "" when the object that `ready` wrote can be read, else why not."""
        parts = self.parts
        path = f"/{parts.bucket}/.lockstitch"
        host = f"{HOST}:{parts.ports['objects']}"
        login = parts.keys.access_key, parts.keys.secret_key
        try:
            status, _ = ask(presigned("GET", (host, path), login, parts.region, clock.now()))
        except LockstitchError as error:
            return error.message
        return "" if status == 200 else f"a read of `{path}` is answered with HTTP {status}"


def sweep(ports: Mapping[str, int]) -> None:
    """Remove the sockets of a store that has ended, which it puts below /tmp by their port."""
    for port in ports.values():
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 -- its choice
            with contextlib.suppress(OSError):
                path.unlink()
