"""Small base images for registries: layers as python:3.11-slim has them, and a config."""

import gzip
import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from support.registry import Registry, digest_of

__all__ = ["GLIBC", "MUSL", "Base", "Layer", "elf", "publish", "publish_index", "python_slim"]

MACHINES = {"amd64": 62, "arm64": 183}
_OCI = "application/vnd.oci.image"
_DOCKER = "application/vnd.docker"
GLIBC = b"GNU C Library (Tiny GLIBC 2.36-9) stable release version 2.36.\n"
MUSL = b"musl libc\0" + b"1.2.4\0"


def elf(loader: str, *texts: bytes, machine: str = "amd64") -> bytes:
    """Return a program of headers and texts: what is read of one, and nothing that could run."""
    name = loader.encode() + b"\0" if loader else b""
    count = 1 if loader else 0
    start = 64 + 56 * count
    header = struct.pack(
        "<4sBBBx8xHHIQQQIHHHHHH",
        *(b"\x7fELF", 2, 1, 1, 3, MACHINES[machine], 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 3, 4, start, 0, 0, len(name), len(name), 1) * count
    return header + segment + name + b"\0" + b"\0".join(texts) + b"\0"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Path → bytes of a file, `-> target` of a symlink, `=> target` of a hard link, or a mode."""

    files: Mapping[str, bytes | str | int]
    modes: Mapping[str, int] = field(default_factory=dict)

    def tar(self) -> bytes:
        """Return the layer's tar archive."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as made:
            for path, what in self.files.items():
                info = tarfile.TarInfo(path)
                info.mode = self.modes.get(path, 0o755)
                data = b""
                if isinstance(what, int):
                    info.type, info.mode = tarfile.DIRTYPE, what
                elif isinstance(what, str):
                    kind, _, info.linkname = what.partition(" ")
                    info.type = {"->": tarfile.SYMTYPE, "=>": tarfile.LNKTYPE}[kind]
                else:
                    data, info.size = what, len(what)
                made.addfile(info, io.BytesIO(data))
        return out.getvalue()


@dataclass(frozen=True, kw_only=True)
class Base:
    """An image as a registry has it."""

    layers: Sequence[Layer]
    config: Mapping[str, object] = field(default_factory=dict)
    architecture: str = "amd64"
    docker: bool = True  # the media types of Docker, as most images of its hub have
    history: Sequence[Mapping[str, object]] | None = None
    created: str = "2026-03-04T05:06:07.123456789Z"


def _debian(architecture: str, word: str) -> Layer:
    return Layer(
        files={
            "bin": "-> usr/bin",
            "lib": "-> usr/lib",
            "usr/": 0o755,
            "usr/bin/": 0o755,
            f"usr/lib/{word}-linux-gnu/libc.so.6": GLIBC,
            "etc/os-release": "-> ../usr/lib/os-release",
            "usr/lib/os-release": b'ID=debian\nVERSION_ID="12"\n',
            "etc/ssl/certs/ca-certificates.crt": b"CERT\n",
            "var/lib/dpkg/status": _status(architecture),
        }
    )


def python_slim(
    *,
    version: str = "3.11.9",
    architecture: str = "amd64",
    config: Mapping[str, object] | None = None,
    extra: Sequence[Layer] = (),
    docker: bool = True,
) -> Base:
    """Return what docker-library's images are like: Debian, then a CPython in /usr/local."""
    minor = version.rpartition(".")[0]
    tag = f"cpython-{minor.replace('.', '')}".encode()
    word = {"amd64": "x86_64", "arm64": "aarch64"}[architecture]
    loader = {"amd64": "/lib64/ld-linux-x86-64.so.2", "arm64": "/lib/ld-linux-aarch64.so.1"}
    library = elf("", tag, version.encode(), machine=architecture)
    python = Layer(
        files={
            "usr/local/": 0o755,
            "usr/local/bin/": 0o755,
            f"usr/local/bin/python{minor}": elf(loader[architecture], machine=architecture),
            "usr/local/bin/python3": f"-> python{minor}",
            f"usr/local/lib/libpython{minor}.so.1.0": library,
            f"usr/local/lib/python{minor}/os.py": b"# os\n",
        }
    )
    inner: dict[str, object] = {
        "Env": [
            "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
            f"PYTHON_VERSION={version}",
        ],
        "Cmd": ["python3"],
        "User": "",
        "Labels": None,
    }
    return Base(
        layers=[_debian(architecture, word), python, *extra],
        config=inner | dict(config or {}),
        architecture=architecture,
        docker=docker,
        history=[
            {"created": "2026-03-01T00:00:00Z", "created_by": "ADD rootfs.tar"},
            {"created": "2026-03-01T00:00:00Z", "created_by": "ENV LANG", "empty_layer": True},
            {"created": "2026-03-04T05:06:07Z", "created_by": "RUN make install"},
            *({"created_by": "RUN more"} for _ in extra),
        ],
    )


def _status(architecture: str) -> bytes:
    stanzas = (
        ("libc6", "2.36-9+deb12u9", "install ok installed"),
        ("base-files", "12.4+deb12u8", "install ok installed"),
        ("gone", "1.0", "deinstall ok config-files"),
    )
    return "\n".join(
        f"Package: {name}\nStatus: {status}\nArchitecture: {architecture}\nVersion: {version}\n"
        "Description: text\n more text\n"
        for name, version, status in stanzas
    ).encode()


def publish(registry: Registry, repository: str, tag: str, base: Base) -> str:
    """Put an image into a registry and return the digest of its manifest."""
    types = (
        (f"{_DOCKER}.image.rootfs.diff.tar.gzip", f"{_DOCKER}.container.image.v1+json")
        if base.docker
        else (f"{_OCI}.layer.v1.tar+gzip", f"{_OCI}.config.v1+json")
    )
    tars = [layer.tar() for layer in base.layers]
    layers = [
        registry.add(repository, gzip.compress(data, mtime=0)) | {"mediaType": types[0]}
        for data in tars
    ]
    config = {
        "architecture": base.architecture,
        "os": "linux",
        "created": base.created,
        "config": base.config,
        "rootfs": {
            "type": "layers",
            "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest() for data in tars],
        },
        **({"history": base.history} if base.history is not None else {}),
    }
    kind = f"{_DOCKER}.distribution.manifest.v2+json" if base.docker else f"{_OCI}.manifest.v1+json"
    document = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": registry.add(repository, json.dumps(config).encode()) | {"mediaType": types[1]},
        "layers": layers,
    }
    return registry.name(repository, tag, document)


def publish_index(registry: Registry, repository: str, tag: str, bases: Sequence[Base]) -> str:
    """Put an image of several platforms into a registry and return the digest of its index."""
    manifests = []
    for base in bases:
        digest = publish(registry, repository, f"{tag}-{base.architecture}", base)
        kind, data = registry.manifests[repository][digest]
        assert digest_of(data) == digest
        platform = {"os": "linux", "architecture": base.architecture}
        platform |= {"variant": "v8"} if base.architecture == "arm64" else {}
        manifests.append(
            {"mediaType": kind, "digest": digest, "size": len(data), "platform": platform}
        )
    kind = f"{_DOCKER}.distribution.manifest.list.v2+json"
    document = {"schemaVersion": 2, "mediaType": kind, "manifests": manifests}
    return registry.name(repository, tag, document)
