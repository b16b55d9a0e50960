"""Signs images, and finds who signed them, in a layout or in a registry."""

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.oci.layout import Layout
from lockstitch.oci.manifest import Manifest
from lockstitch.oci.model import MANIFEST_TYPE
from lockstitch.oci.registry.repository import Repository
from lockstitch.oci.registry.writer import Target
from lockstitch.oci.signing import cosign, referrers
from lockstitch.oci.signing.cosign import Signature
from lockstitch.oci.signing.keys import Key

__all__ = ["problems", "sign"]

_LARGEST = 1 << 20  # bytes of a payload


def sign(place: Layout | Repository, name: str, digest: Digest, key: Key) -> bool:
    """Add a key's signature of an image of this name; False when it is there already.

    Signatures of other keys stay.
    """
    payload = cosign.payload(name, digest)
    found = signatures(place, digest)
    if any(each.payload == payload and key.checks(payload, each.signature) for each in found):
        return False
    found.append(Signature(payload=payload, signature=key.sign(payload)))
    if isinstance(place, Target):
        referrers.sign(place, digest, found)
        return True
    if isinstance(place, Repository):
        message = f"`{place.name}` was opened to be read"
        raise LockstitchError(message)
    config, manifest = cosign.manifest_of(found)
    blobs = [config, *(each.payload for each in found)]
    place.put(blobs, manifest, MANIFEST_TYPE, cosign.tag(digest))
    return True


def problems(place: Layout | Repository, digest: Digest, key: Key) -> list[str]:
    """Return why the key is not known to have signed an image, or nothing when it has."""
    found = signatures(place, digest)
    if not found:
        return [f"nobody has signed {digest}"]
    ours = [each for each in found if key.checks(each.payload, each.signature)]
    if not ours:
        return [f"none of the {len(found)} signatures of {digest} is of this key"]
    if not any(each.signs(digest) for each in ours):
        return [f"the key has signed another image than {digest}, and that stands here"]
    return []


def signatures(place: Layout | Repository, digest: Digest) -> list[Signature]:
    """Return the signatures that stand beside an image; nobody has checked them."""
    manifest = _find(place, cosign.tag(digest))
    found = []
    for descriptor, signature in cosign.signatures(manifest) if manifest else ():
        if descriptor.size > _LARGEST:
            message = f"a signature of {digest} has a payload of {descriptor.size} bytes"
            raise LockstitchError(message, hint="nothing that signs an image is so large")
        payload = b"".join(place.blob(descriptor))
        found.append(Signature(payload=payload, signature=signature))
    return found


def _find(place: Layout | Repository, name: str) -> Manifest | None:
    if isinstance(place, Repository):
        return place.find(name)
    return place.manifest(name) if name in place.tags() else None
