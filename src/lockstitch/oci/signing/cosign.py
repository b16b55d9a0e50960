"""Signatures of images as cosign keeps them: a payload that names a digest, signed, under a tag.

Source: sigstore/cosign, specs/SIGNATURE_SPEC.md; containers/image, "simple signing".
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass

from lockstitch.digest import Digest, of_bytes
from lockstitch.oci import canonical
from lockstitch.oci.manifest import Manifest
from lockstitch.oci.model import CONFIG_TYPE, MANIFEST_TYPE, Descriptor

__all__ = ["FORMAT", "Signature", "config_of", "manifest_of", "payload", "signatures", "tag"]

FORMAT = "application/vnd.dev.cosign.simplesigning.v1+json"
_ANNOTATION = "dev.cosignproject.cosign/signature"
_TYPE = "cosign container image signature"
_BEGINNING = "0001-01-01T00:00:00Z"  # the time that says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A payload, and the DER bytes of its ECDSA signature."""

    payload: bytes
    signature: bytes

    @property
    def descriptor(self) -> Descriptor:
        """The layer that the payload is, with the signature in an annotation."""
        text = base64.b64encode(self.signature).decode()
        return Descriptor(
            media_type=FORMAT,
            digest=of_bytes(self.payload),
            size=len(self.payload),
            annotations={_ANNOTATION: text},
        )

    def signs(self, digest: Digest) -> bool:
        """Return whether the payload is about an image of this digest."""
        try:
            critical = json.loads(self.payload)["critical"]
            said = critical["image"]["docker-manifest-digest"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return False
        return bool(said == digest and critical.get("type") == _TYPE)


def payload(name: str, digest: Digest) -> bytes:
    """Return what is signed: that the image of this repository has this manifest's digest."""
    critical = {
        "identity": {"docker-reference": name},
        "image": {"docker-manifest-digest": str(digest)},
        "type": _TYPE,
    }
    return canonical.dumps({"critical": critical, "optional": None})


def tag(digest: Digest) -> str:
    """Return the tag under which the signatures of a manifest stand."""
    return f"sha256-{digest.hex}.sig"


def manifest_of(found: Sequence[Signature]) -> tuple[bytes, bytes]:
    """Return the config and the manifest of signatures, in their order."""
    config = canonical.dumps(
        {
            "architecture": "",
            "config": {},
            "created": _BEGINNING,
            "history": [{"created": _BEGINNING} for _ in found],
            "os": "",
            "rootfs": {
                "type": "layers",
                "diff_ids": [str(each.descriptor.digest) for each in found],
            },
        }
    )
    described = config_of(config)
    manifest = canonical.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": described.document(),
            "layers": [each.descriptor.document() for each in found],
        }
    )
    return config, manifest


def config_of(data: bytes) -> Descriptor:
    """Return the descriptor of a config of signatures."""
    return Descriptor(media_type=CONFIG_TYPE, digest=of_bytes(data), size=len(data))


def signatures(manifest: Manifest) -> list[tuple[Descriptor, bytes]]:
    """Return the payloads' descriptors and the signatures of a manifest that `tag` names."""
    found = []
    for layer in manifest.layers:
        try:
            text = layer.annotations[_ANNOTATION]
            signature = base64.b64decode(text, validate=True)
        except (KeyError, binascii.Error):
            continue
        if layer.media_type == FORMAT:
            found.append((layer, signature))
    return found
