"""Brings what refers to an image to the repository where the image is."""

from collections.abc import Sequence
from dataclasses import dataclass

from lockstitch.digest import Digest
from lockstitch.oci.artifact import Artifact
from lockstitch.oci.layout import Layout
from lockstitch.oci.manifest import Manifest
from lockstitch.oci.model import MANIFEST_TYPE, Descriptor
from lockstitch.oci.registry import blob as blobs
from lockstitch.oci.registry.writer import Target
from lockstitch.oci.signing import cosign
from lockstitch.oci.signing.cosign import Signature

__all__ = ["Brought", "attach", "copy", "sign"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """Documents that were missing, and the bytes of their blobs."""

    documents: int
    bytes: int


def copy(layout: Layout, digest: Digest, target: Target) -> Brought:
    """Bring what refers to an image of a layout, and its signatures.

    To be called when the image itself is there. The image and its tags stay as they are.
    """
    wanted = layout.referrers(digest)
    there = {each.digest for each in target.referrers(digest)} if wanted else set()
    found = [(layout.manifest(each.digest), "") for each in wanted if each.digest not in there]
    signed = cosign.tag(digest)
    if signed in layout.tags():
        signatures = layout.manifest(signed)
        if target.digest_of(signed) != signatures.digest:
            found.append((signatures, signed))
    sent = sum(_bring(layout, each, target, tag) for each, tag in found)
    return Brought(documents=len(found), bytes=sent)


def attach(target: Target, subject: Descriptor, artifacts: Sequence[Artifact]) -> Brought:
    """Write documents about an image that is in the repository, those that it lacks."""
    there = {each.digest for each in target.referrers(subject.digest)} if artifacts else set()
    missing = [each for each in artifacts if each.descriptor(subject).digest not in there]
    sent = 0
    for each in missing:
        sent += sum(_send(target, descriptor, data) for descriptor, data in each.blobs())
        target.put(each.manifest_bytes(subject), MANIFEST_TYPE)
    return Brought(documents=len(missing), bytes=sent)


def sign(target: Target, digest: Digest, found: Sequence[Signature]) -> None:
    """Write the signatures of an image under the tag where cosign looks for them."""
    config, manifest = cosign.manifest_of(found)
    for each in found:
        _send(target, each.descriptor, each.payload)
    _send(target, cosign.config_of(config), config)
    target.put(manifest, MANIFEST_TYPE, tag=cosign.tag(digest))


def _bring(layout: Layout, found: Manifest, target: Target, tag: str) -> int:
    """Send a manifest after the blobs that it names; returns the bytes of those sent."""
    missing = [each for each in (found.config, *found.layers) if not target.has(each)]
    for each in missing:
        target.send(blobs.of_chunks(each, layout.chunks, each.media_type))
    target.put(found.data, found.media_type, tag=tag)
    return sum(each.size for each in missing)


def _send(target: Target, descriptor: Descriptor, data: bytes) -> int:
    """Send a blob that is missing; returns how many bytes that were."""
    if target.has(descriptor):
        return 0
    target.send(blobs.of_bytes(descriptor, data, descriptor.media_type))
    return descriptor.size
