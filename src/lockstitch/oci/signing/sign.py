"""Signs images as cosign does, and checks signatures, in a layout or in a registry.

A signature is a payload that names a digest, signed, under a tag beside the image. Source:
sigstore/cosign, specs/SIGNATURE_SPEC.md; containers/image, "simple signing".
"""

import base64
import binascii
from collections.abc import Sequence

from lockstitch.digest import Digest, canonical_json, parse_json
from lockstitch.errors import LockstitchError
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import CONFIG_TYPE, MANIFEST_TYPE, Descriptor
from lockstitch.oci.registry.push import RepositoryWriter
from lockstitch.oci.registry.repository import Repository
from lockstitch.oci.signing.keys import Key
from lockstitch.values import frozen

FORMAT = "application/vnd.dev.cosign.simplesigning.v1+json"
_ANNOTATION = "dev.cosignproject.cosign/signature"
_TYPE = "cosign container image signature"
_NO_TIME = "0001-01-01T00:00:00Z"
_LARGEST = 1 << 20  # bytes of a payload


@frozen
class Signature:
    """A payload, and the DER bytes of its ECDSA signature."""

    payload: bytes
    signature: bytes

    @property
    def descriptor(self) -> Descriptor:
        """The layer that the payload is, with the signature in an annotation."""
        text = base64.b64encode(self.signature).decode()
        return Descriptor.of(FORMAT, self.payload, annotations={_ANNOTATION: text})

    def signs(self, digest: Digest) -> bool:
        """Return whether the payload is about an image of this digest."""
        try:
            critical = parse_json(self.payload)["critical"]
            signed = critical["image"]["docker-manifest-digest"]
        except (ValueError, KeyError, TypeError):
            return False
        return bool(signed == digest and critical.get("type") == _TYPE)


def payload_for(name: str, digest: Digest) -> bytes:
    """Return the payload to sign: the repository's name and the manifest's digest."""
    critical = {
        "identity": {"docker-reference": name},
        "image": {"docker-manifest-digest": str(digest)},
        "type": _TYPE,
    }
    return canonical_json({"critical": critical, "optional": None})


def signature_tag(digest: Digest) -> str:
    """Return the tag under which the signatures of a manifest stand."""
    return f"sha256-{digest.hex}.sig"


def manifest_of(present: Sequence[Signature]) -> tuple[bytes, bytes]:
    """Return the config and the manifest of signatures, in their order."""
    config = canonical_json(
        {
            "architecture": "",
            "config": {},
            "created": _NO_TIME,
            "history": [{"created": _NO_TIME} for _ in present],
            "os": "",
            "rootfs": {
                "type": "layers",
                "diff_ids": [str(signature.descriptor.digest) for signature in present],
            },
        }
    )
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": Descriptor.of(CONFIG_TYPE, config).document(),
            "layers": [signature.descriptor.document() for signature in present],
        }
    )
    return config, manifest


def sign(place: Layout | Repository, name: str, digest: Digest, key: Key) -> bool:
    """Add a key's signature of an image of this name; False when it is there already.

    Signatures of other keys stay. Raises LockstitchError when the key cannot sign.
    """
    payload = payload_for(name, digest)
    present = signatures(place, digest)
    if any(old.payload == payload and key.checks(payload, old.signature) for old in present):
        return False
    present.append(Signature(payload=payload, signature=key.sign(payload)))
    config, manifest = manifest_of(present)
    blobs = [*(signature.payload for signature in present), config]
    if isinstance(place, Layout):
        place.put(blobs, manifest, MANIFEST_TYPE, signature_tag(digest))
        return True
    if not isinstance(place, RepositoryWriter):
        raise LockstitchError(f"`{place.name}` was opened to be read")
    descriptors = [*(old.descriptor for old in present), Descriptor.of(CONFIG_TYPE, config)]
    for descriptor, data in zip(descriptors, blobs, strict=True):
        place.send_bytes(descriptor, data)
    place.put(manifest, MANIFEST_TYPE, tag=signature_tag(digest))
    return True


def problems(place: Layout | Repository, digest: Digest, key: Key) -> list[str]:
    """Return why a key is not known to have signed, if so; raises LockstitchError."""
    present = signatures(place, digest)
    if not present:
        return [f"nobody has signed {digest}"]
    ours = [old for old in present if key.checks(old.payload, old.signature)]
    if not ours:
        return [f"none of the {len(present)} signatures of {digest} is of this key"]
    if not any(our.signs(digest) for our in ours):
        return [f"the key has signed another image than {digest}, and that stands here"]
    return []


def signatures(place: Layout | Repository, digest: Digest) -> list[Signature]:
    """Return an image's unchecked signatures; raises LockstitchError for one above 1 MiB."""
    tag = signature_tag(digest)
    if isinstance(place, Repository):
        manifest = place.find(tag)
    else:
        manifest = place.manifest(tag) if tag in place.tags() else None
    present = []
    for layer in manifest.layers if manifest else ():
        try:
            signature = base64.b64decode(layer.annotations[_ANNOTATION], validate=True)
        except (KeyError, binascii.Error):
            continue
        if layer.media_type != FORMAT:
            continue
        if layer.size > _LARGEST:
            message = f"a signature of {digest} has a payload of {layer.size} bytes"
            raise LockstitchError(message, hint="nothing that signs an image is so large")
        present.append(Signature(payload=b"".join(place.blob(layer)), signature=signature))
    return present
