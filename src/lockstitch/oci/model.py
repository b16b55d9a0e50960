"""Images as values: a config, layers, and the manifest that follows; documents that refer to one.

Source: OCI image spec 1.1, manifest.md, config.md, descriptor.md; distribution spec 1.1,
"Listing Referrers".
"""

import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci.layer import Layer, LayerFacts
from lockstitch.patterns import regex
from lockstitch.values import field, frozen, replace

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"
_SECOND = 1_000_000_000
_ABOUT = regex(r"sha256-([0-9a-f]{64})(?:\.[a-z]+)?")  # as cosign ends its own: `.sig`


@frozen
class Platform:
    """The platform that an image runs on, in Go's names."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> "Platform":
        """Return the platform that `os/architecture[/variant]` names, or raise LockstitchError."""
        parts = text.split("/")
        if len(parts) not in {2, 3} or not all(part.isalnum() for part in parts):
            message = f"`{text}` is not a platform"
            raise LockstitchError(message, hint="write it as linux/amd64 or linux/arm64")
        return cls(os=parts[0], architecture=parts[1], variant="".join(parts[2:]))

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def document(self) -> dict[str, Any]:
        """Return it as descriptors write it."""
        document = {"os": self.os, "architecture": self.architecture}
        return document | ({"variant": self.variant} if self.variant else {})


@frozen
class Descriptor:
    """A blob by media type, digest and size."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    artifact_type: str = ""

    @classmethod
    def of(cls, media_type: str, data: bytes, **more: Any) -> "Descriptor":
        """Return the descriptor of bytes, with more members by name."""
        return cls(media_type=media_type, digest=of_bytes(data), size=len(data), **more)

    @classmethod
    def of_layer(cls, facts: LayerFacts) -> "Descriptor":
        """Return the descriptor of a layer."""
        return cls(
            media_type=facts.media_type,
            digest=facts.digest,
            size=facts.size,
            annotations=dict(facts.annotations),
        )

    def document(self) -> dict[str, Any]:
        """Return it as JSON writes it, without empty members."""
        document: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        if self.platform:
            document["platform"] = self.platform.document()
        return document


@frozen
class Healthcheck:
    """A command that exits 0 when the container is healthy (Docker's addition to the config)."""

    command: tuple[str, ...]
    interval: int = 10  # seconds, as are the next two
    timeout: int = 3
    start_period: int = 15
    retries: int = 3

    def document(self) -> dict[str, Any]:
        """Return it as Docker writes it, durations in nanoseconds."""
        return {
            "Test": ["CMD", *self.command],
            "Interval": self.interval * _SECOND,
            "Timeout": self.timeout * _SECOND,
            "StartPeriod": self.start_period * _SECOND,
            "Retries": self.retries,
        }


@frozen
class Config:
    """The start of the image's containers."""

    env: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    ports: tuple[int, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    healthcheck: Healthcheck | None = None
    stop_signal: str = ""
    exposed: tuple[str, ...] = ()  # what a base exposes, as in `53/udp`
    volumes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the config's `config` object, without empty members."""
        config: dict[str, Any] = {
            # PATH first by name order is what Docker shows too: a sorted list has one spelling.
            "Env": [f"{name}={value}" for name, value in sorted(self.env.items())],
            "Cmd": list(self.command),
            "User": self.user,
            "WorkingDir": self.workdir,
            "ExposedPorts": {
                port: {} for port in (*self.exposed, *(f"{port}/tcp" for port in self.ports))
            },
            "Volumes": {path: {} for path in self.volumes},
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
            "Healthcheck": self.healthcheck.document() if self.healthcheck else None,
        }
        return {key: value for key, value in config.items() if value}


@frozen
class Image:
    """A platform, a config, layers and a time; its digest follows from these alone."""

    platform: Platform
    config: Config
    layers: tuple[Layer, ...] = ()
    created: int  # seconds since 1970
    history: tuple[Mapping[str, Any], ...] = ()  # of the lowest layers, as their own image has it

    def config_bytes(self) -> bytes:
        """Return the config blob."""
        created = datetime.datetime.fromtimestamp(self.created, datetime.UTC)
        stamp = created.strftime("%Y-%m-%dT%H:%M:%SZ")
        known = sum(not mapping.get("empty_layer") for mapping in self.history)
        ours = [{"created": stamp, "created_by": layer.created_by} for layer in self.layers[known:]]
        document: dict[str, Any] = {
            **self.platform.document(),
            "created": stamp,
            "config": self.config.document(),
            "rootfs": {"type": "layers", "diff_ids": [str(i.facts.diff_id) for i in self.layers]},
            "history": [*self.history, *ours],
        }
        return canonical_json(document)

    def config_descriptor(self) -> Descriptor:
        """Return the descriptor of the config blob."""
        return Descriptor.of(CONFIG_TYPE, self.config_bytes())

    def layer_descriptors(self) -> Iterator[Descriptor]:
        """Yield the descriptor of each layer, lowest first."""
        for layer in self.layers:
            yield Descriptor.of_layer(layer.facts)

    def manifest_bytes(self) -> bytes:
        """Return the manifest, whose digest is the image's name."""
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": self.config_descriptor().document(),
            "layers": [descriptor.document() for descriptor in self.layer_descriptors()],
        }
        return canonical_json(document)

    def descriptor(self) -> Descriptor:
        """Return the descriptor of the manifest, with the platform."""
        return Descriptor.of(MANIFEST_TYPE, self.manifest_bytes(), platform=self.platform)

    @property
    def digest(self) -> Digest:
        """The manifest's digest."""
        return self.descriptor().digest


def index_bytes(descriptors: Iterable[Descriptor]) -> bytes:
    """Return the index of one image for several platforms, whose digest is its name."""
    # By platform: the order of builds must not show.
    return index_of(e.document() for e in sorted(descriptors, key=lambda m: str(m.platform)))


def index_of(manifests: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the index of manifests by their descriptors, in this order."""
    document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": list(manifests)}
    return canonical_json(document)


def empty(platform: Platform, *, created: int) -> Image:
    """Return an image with nothing in it."""
    return Image(platform=platform, config=Config(), created=created)


def append(image: Image, *layers: Layer) -> Image:
    """Return the image with these layers on top."""
    return replace(image, layers=(*image.layers, *layers))


def with_config(image: Image, config: Config) -> Image:
    """Return the image with another config."""
    return replace(image, config=config)


# --- documents about an image: bills of materials, provenance, signatures. It does not know of
# them: its digest is the same with and without.


@frozen
class Artifact:
    """One document about an image."""

    kind: str  # the artifact type, which is the media type of the document too
    data: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)

    def blobs(self) -> tuple[tuple[Descriptor, bytes], ...]:
        """Return the blobs that the manifest names: the empty config, and the document."""
        return tuple(
            (Descriptor.of(media_type, data), data)
            for media_type, data in ((EMPTY_TYPE, EMPTY), (self.kind, self.data))
        )

    def manifest_bytes(self, subject: Descriptor | None = None) -> bytes:
        """Return the manifest of the document about this image, or about none."""
        (empty, _), (document, _) = self.blobs()
        manifest: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": self.kind,
            "config": empty.document(),
            "layers": [document.document()],
        }
        if subject:
            # A subject is a descriptor without platform: registries compare digests alone.
            bare = replace(subject, annotations={}, platform=None, artifact_type="")
            manifest["subject"] = bare.document()
        if self.annotations:
            manifest["annotations"] = dict(self.annotations)
        return canonical_json(manifest)

    def descriptor(self, subject: Descriptor) -> Descriptor:
        """Return the descriptor that an index of referrers has for it."""
        data, notes = self.manifest_bytes(subject), self.annotations
        return Descriptor.of(MANIFEST_TYPE, data, artifact_type=self.kind, annotations=notes)


def referrers_index(referrers: Iterable[Descriptor]) -> bytes:
    """Return the index of the referrers of one image."""
    # By type and digest: the order of writing must not show.
    ordered = sorted(referrers, key=lambda referrer: (referrer.artifact_type, referrer.digest))
    return index_of(referrer.document() for referrer in ordered)


def referrers_tag(digest: Digest) -> str:
    """Return the tag of that index where there is no referrers API ("Referrers Tag Schema")."""
    return f"sha256-{digest.hex}"


def subject_of(tag: str) -> Digest | None:
    """Return the image that what stands under a tag is about; None for an image's own tag."""
    match = _ABOUT.fullmatch(tag)
    return Digest(f"sha256:{match[1]}") if match else None
