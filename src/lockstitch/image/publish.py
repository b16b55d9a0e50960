"""Pushes images of a project to registries, with the documents that refer to them."""

from collections.abc import Mapping, Sequence

from lockstitch.digest import Digest
from lockstitch.errors import UsageError
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Artifact
from lockstitch.oci.reference import LATEST, Reference
from lockstitch.oci.registry.cache import LayerCache
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.push import (
    BlobLocations,
    PushableImage,
    Pushed,
    RepositoryWriter,
    push,
)
from lockstitch.oci.signing import referrers
from lockstitch.oci.signing.referrers import SentDocuments
from lockstitch.progress import Reporter
from lockstitch.store import Store
from lockstitch.values import field, frozen

_IMAGE = "{image}"


@frozen
class Published:
    """One image of the project that is in a registry."""

    name: str
    target: Reference
    platforms: tuple[str, ...]
    pushed: Pushed
    documents: SentDocuments  # SBOM, provenance and signatures that were pushed too

    @property
    def reference(self) -> Reference:
        """The image by digest, which no later push changes."""
        return self.target.at(self.pushed.digest)


@frozen
class Documents:
    """The documents about images: in a layout, and `fresh` about images that are in none."""

    layout: Layout
    fresh: Mapping[Digest, Sequence[Artifact]] = field(default_factory=dict)


def targets(text: str, images: Sequence[str]) -> dict[str, Reference]:
    """Return where each image goes: `{image}` in the name stands for the image's own.

    Raises UsageError for several images with one name, and for a digest, which is a result.
    """
    if len(images) > 1 and _IMAGE not in text:
        message = f"`{text}` is one name, and there are {len(images)} images: {', '.join(images)}"
        raise UsageError(message, hint=f"name one image, or write {_IMAGE} in the reference")
    references = {name: Reference.parse(text.replace(_IMAGE, name)) for name in images}
    for reference in references.values():
        if reference.digest:
            message = f"`{text}` has a digest, and that is what a push finds out"
            raise UsageError(message, hint=f"give a tag: {reference.name}:{reference.tag or '1.0'}")
    return references


def layer_cache(store: Store, client: Client, text: str) -> LayerCache:
    """Return the cache of layers in a repository; raises UsageError for a tag or a digest."""
    reference = Reference.parse(text)
    if reference.tag or reference.digest:
        message = f"`{text}` names an image, and a cache is a whole repository"
        raise UsageError(message, hint=f"--cache {reference.name}")
    return LayerCache(RepositoryWriter(client, reference), BlobLocations(store, reference.host))


def publish(
    client: Client,
    target: Reference,
    name: str,
    images: Sequence[PushableImage],
    documents: Documents,
    *,
    store: Store,
    progress: Reporter,
) -> Published:
    """Push an image of all platforms and its referrers; raises LockstitchError when refused."""
    place = RepositoryWriter(client, target)
    pushed = push(place, images, target.tag or LATEST, BlobLocations(store, target.host), progress)
    brought = []
    for subject in (image.descriptor for image in images):
        brought.append(referrers.copy(documents.layout, subject.digest, place))
        fresh = documents.fresh.get(subject.digest, ())
        brought.append(referrers.attach(place, subject, fresh))
    return Published(
        name=name,
        target=target,
        platforms=tuple(sorted(str(image.descriptor.platform) for image in images)),
        pushed=pushed,
        documents=SentDocuments(
            documents=sum(sent.documents for sent in brought),
            bytes=sum(sent.bytes for sent in brought),
        ),
    )
