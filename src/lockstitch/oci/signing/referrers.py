"""Copies SBOMs, provenance and signatures of an image to the repository where it is."""

from collections.abc import Sequence
from functools import partial

from lockstitch.digest import Digest
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import MANIFEST_TYPE, Artifact, Descriptor
from lockstitch.oci.registry.push import RepositoryWriter
from lockstitch.oci.registry.upload import Blob
from lockstitch.oci.signing.sign import signature_tag
from lockstitch.values import frozen


@frozen
class SentDocuments:
    """The number of missing documents, and the bytes of their blobs."""

    documents: int
    bytes: int


def copy(layout: Layout, digest: Digest, target: RepositoryWriter) -> SentDocuments:
    """Copy what refers to an image of a layout, and its signatures, to where the image is.

    The image and its tags stay as they are. Raises LockstitchError when the registry refuses.
    """
    wanted = layout.referrers(digest)
    present = {referrer.digest for referrer in target.referrers(digest)} if wanted else set()
    missing = [(layout.manifest(old.digest), "") for old in wanted if old.digest not in present]
    tag = signature_tag(digest)
    if tag in layout.tags():
        signatures = layout.manifest(tag)
        if target.digest_of(tag) != signatures.digest:
            missing.append((signatures, tag))
    sent = 0
    for manifest, name in missing:
        for blob in (manifest.config, *manifest.layers):
            if not target.has(blob):
                chunks = partial(layout.blob, blob)
                target.send(Blob(descriptor=blob, chunks=chunks, title=blob.media_type))
                sent += blob.size
        target.put(manifest.data, manifest.media_type, tag=name)
    return SentDocuments(documents=len(missing), bytes=sent)


def attach(
    target: RepositoryWriter, subject: Descriptor, artifacts: Sequence[Artifact]
) -> SentDocuments:
    """Write the documents that an image lacks; raises LockstitchError when refused."""
    present = (
        {referrer.digest for referrer in target.referrers(subject.digest)} if artifacts else set()
    )
    missing = [
        artifact for artifact in artifacts if artifact.descriptor(subject).digest not in present
    ]
    sent = 0
    for artifact in missing:
        sent += sum(target.send_bytes(blob, data) for blob, data in artifact.blobs())
        target.put(artifact.manifest_bytes(subject), MANIFEST_TYPE)
    return SentDocuments(documents=len(missing), bytes=sent)
