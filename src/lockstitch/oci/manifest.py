"""Manifests and indexes as registries give them, read with suspicion (OCI image spec 1.1)."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Protocol

from lockstitch.digest import Digest, of_bytes, parse_json
from lockstitch.errors import LockstitchError, printable
from lockstitch.oci.model import INDEX_TYPE, MANIFEST_TYPE, Descriptor, Platform
from lockstitch.patterns import regex
from lockstitch.values import frozen

DOCKER_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX_TYPE = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEXES = frozenset({INDEX_TYPE, DOCKER_INDEX_TYPE})
MANIFESTS = frozenset({MANIFEST_TYPE, DOCKER_MANIFEST_TYPE})
ACCEPT = f"{INDEX_TYPE}, {MANIFEST_TYPE}, {DOCKER_INDEX_TYPE}, {DOCKER_MANIFEST_TYPE}"
_WORD = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"  # RFC 6838, 4.2
_TYPE = regex(f"{_WORD}/{_WORD}")
_LARGEST = 1 << 50  # bytes of a blob
_MOST = 10_000  # descriptors of one list


@frozen
class Manifest:
    """A manifest or an index: its bytes, whose digest is its name, and what they say."""

    media_type: str
    digest: Digest
    data: bytes
    source: str  # what messages call it

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The JSON object; raises LockstitchError when it is none."""
        try:
            value = parse_json(self.data)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise LockstitchError(f"{self.source} is not a JSON object")
        return value

    @property
    def is_index(self) -> bool:
        """Whether it names manifests, one for each platform, and not layers."""
        return self.media_type in INDEXES

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor in another manifest."""
        return Descriptor.of(self.media_type, self.data)

    @property
    def config(self) -> Descriptor:
        """The config blob of a manifest; raises LockstitchError when it names none."""
        return self._descriptor(self.document.get("config"), "config")

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """The layers of a manifest, lowest first; raises LockstitchError when it lists none."""
        return self._list("layers")

    @property
    def manifests(self) -> tuple[Descriptor, ...]:
        """The manifests of an index; raises LockstitchError when it lists none."""
        return self._list("manifests")

    @property
    def subject(self) -> Descriptor | None:
        """The manifest that this one is about, if any; raises LockstitchError for a damaged one."""
        value = self.document.get("subject")
        return None if value is None else self._descriptor(value, "subject")

    def for_platform(self, platform: Platform) -> Descriptor:
        """Return the manifest of an index for a platform; LockstitchError lists those it has.

        A platform without variant takes the first that fits, as containerd does.
        """
        named = [manifest for manifest in self.manifests if manifest.platform]
        for descriptor in named:
            if descriptor.platform and fits(descriptor.platform, platform):
                return descriptor
        # Attestations stand under `unknown/unknown`.
        known = ", ".join(
            str(e.platform) for e in named if e.platform and e.platform.os != "unknown"
        )
        message = f"{self.source} has no image for {platform} (it has: {known or 'none'})"
        raise LockstitchError(message)

    def _list(self, key: str) -> tuple[Descriptor, ...]:
        values = self.document.get(key, [])
        if not isinstance(values, list) or len(values) > _MOST:
            message = f"`{key}` of {self.source} is not a list of up to {_MOST} descriptors"
            raise LockstitchError(message)
        return tuple(self._descriptor(item, f"{key}[{n}]") for n, item in enumerate(values))

    def _descriptor(self, value: object, where: str) -> Descriptor:
        try:
            return _descriptor(value)
        except _MalformedError as error:
            message = f"`{where}` of {self.source} is not a descriptor: {error}"
            raise LockstitchError(message) from None


def read(data: bytes, content_type: str, source: str) -> Manifest:
    """Return the manifest or index of some bytes.

    Raises LockstitchError when bytes and content type disagree on which of the two it is: what
    one reader takes for an index must not be an image to another (CVE-2021-41190).
    """
    manifest = Manifest(media_type="", digest=of_bytes(data), data=data, source=source)
    stated = manifest.document.get("mediaType", "")
    given = content_type.partition(";")[0].strip()
    media_type = stated or given
    if media_type not in INDEXES | MANIFESTS:
        message = f"{source} is `{printable(media_type)}`, neither an image's manifest nor an index"
        raise LockstitchError(message)
    twofold = {"layers", "config"} if media_type in INDEXES else {"manifests"}
    if twofold & manifest.document.keys() or (
        given in INDEXES | MANIFESTS and stated and given != stated
    ):
        message = (
            f"{source} can be read as an image and as an index (it is sent as `{printable(given)}`)"
        )
        raise LockstitchError(message)
    return Manifest(media_type=media_type, digest=manifest.digest, data=data, source=source)


class _MalformedError(Exception):
    """A part of a document is malformed."""


def _descriptor(value: object) -> Descriptor:
    """Return the descriptor of a JSON value, or raise _MalformedError."""
    if not isinstance(value, dict):
        raise _MalformedError("it is no object")
    size = value.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST:
        raise _MalformedError("its size is no number of bytes")
    media_type = _text(value, "mediaType")
    if not _TYPE.fullmatch(media_type):
        raise _MalformedError(f"its media type is `{printable(media_type)}`")
    try:
        digest = Digest.parse(_text(value, "digest"))
    except LockstitchError as error:
        raise _MalformedError(error.message) from None
    annotations = _object(value, "annotations")
    return Descriptor(
        media_type=media_type,
        digest=digest,
        size=size,
        annotations={key: _text(annotations, key) for key in annotations},
        platform=_platform(_object(value, "platform")),
        artifact_type=_text(value, "artifactType"),
    )


def _platform(value: Mapping[str, object]) -> Platform | None:
    if not value:
        return None
    words = [_text(value, key) for key in ("os", "architecture", "variant")]
    for word in words:
        if not re.fullmatch(r"[A-Za-z0-9._-]{0,64}", word):
            raise _MalformedError(f"its platform has `{printable(word)}`")
    return Platform(os=words[0], architecture=words[1], variant=words[2])


def _text(value: Mapping[str, object], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str | None):
        raise _MalformedError(f"its `{printable(key)}` is no text")
    return text or ""


def _object(value: Mapping[str, object], key: str) -> Mapping[str, object]:
    mapping = value.get(key)
    if not isinstance(mapping, dict | None):
        raise _MalformedError(f"its `{key}` is no object")
    return mapping or {}


def fits(own: Platform, wanted: Platform) -> bool:
    """Return whether an image of a platform runs on another; a variant that is not named fits."""
    if (own.os, own.architecture) != (wanted.os, wanted.architecture):
        return False
    return (
        not wanted.variant or (own.variant or _DEFAULT.get(own.architecture, "")) == wanted.variant
    )


_DEFAULT = {"arm64": "v8", "arm": "v7"}  # what an index may leave out


class Source(Protocol):
    """A place of manifests and blobs."""

    def manifest(self, which: Digest | str) -> Manifest:
        """Return the manifest or index of a digest, checked, or of a tag."""

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes; raises at the end when they are not what the descriptor says."""

    def referrers(self, digest: Digest, artifact_type: str = "") -> list[Descriptor]:
        """Return the manifests whose subject is a digest: bills of materials, signatures."""
