"""Artifacts that refer to an image: bills of materials, provenance, signatures.

Source: OCI image spec 1.1, manifest.md, "Guidelines for Artifact Usage"; distribution spec 1.1,
"Listing Referrers". The image does not know of them: its digest is the same with and without.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lockstitch.digest import Digest, of_bytes
from lockstitch.oci import canonical
from lockstitch.oci.model import INDEX_TYPE, MANIFEST_TYPE, Descriptor

__all__ = ["EMPTY", "EMPTY_TYPE", "Artifact", "index_bytes", "referrers_tag", "subject_of"]

_ABOUT = re.compile(r"sha256-([0-9a-f]{64})(?:\.[a-z]+)?")  # as cosign ends its own: `.sig`
EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One document about an image."""

    kind: str  # the artifact type, which is the media type of the document too
    data: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)

    def blobs(self) -> tuple[tuple[Descriptor, bytes], ...]:
        """Return the blobs that the manifest names: the empty config, and the document."""
        empty = Descriptor(media_type=EMPTY_TYPE, digest=of_bytes(EMPTY), size=len(EMPTY))
        return (empty, EMPTY), (self._document(), self.data)

    def _document(self) -> Descriptor:
        return Descriptor(media_type=self.kind, digest=of_bytes(self.data), size=len(self.data))

    def manifest_bytes(self, subject: Descriptor) -> bytes:
        """Return the manifest of the document about this image."""
        (empty, _), (document, _) = self.blobs()
        # A subject is a descriptor without platform: registries compare digests alone.
        about = Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size)
        found: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": self.kind,
            "config": empty.document(),
            "layers": [document.document()],
            "subject": about.document(),
        }
        if self.annotations:
            found["annotations"] = dict(self.annotations)
        return canonical.dumps(found)

    def descriptor(self, subject: Descriptor) -> Descriptor:
        """Return the descriptor that an index of referrers has for it."""
        data = self.manifest_bytes(subject)
        return Descriptor(
            media_type=MANIFEST_TYPE,
            digest=of_bytes(data),
            size=len(data),
            artifact_type=self.kind,
            annotations=self.annotations,
        )


def index_bytes(referrers: Iterable[Descriptor]) -> bytes:
    """Return the index of the referrers of one image."""
    # By type and digest: the order of writing must not show.
    ordered = sorted(referrers, key=lambda each: (each.artifact_type, each.digest))
    return canonical.dumps(
        {
            "schemaVersion": 2,
            "mediaType": INDEX_TYPE,
            "manifests": [each.document() for each in ordered],
        }
    )


def referrers_tag(digest: Digest) -> str:
    """Return the tag of that index where there is no referrers API ("Referrers Tag Schema")."""
    return f"sha256-{digest.hex}"


def subject_of(tag: str) -> Digest | None:
    """Return the image that what stands under a tag is about; None for an image's own tag."""
    found = _ABOUT.fullmatch(tag)
    return Digest.of_hex(found[1]) if found else None
