"""What `push` and `build --push` share: the names of targets, and the words afterwards."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lockstitch.cli.session import Session
from lockstitch.digest import Digest
from lockstitch.errors import UsageError
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Artifact
from lockstitch.oci.reference import LATEST, Reference
from lockstitch.oci.registry.cache import LayerCache
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.push import (
    BlobLocations,
    Count,
    PushableImage,
    Pushed,
    RepositoryWriter,
    push,
)
from lockstitch.oci.signing import referrers
from lockstitch.oci.signing.referrers import SentDocuments
from lockstitch.progress import say
from lockstitch.python.size import shown

__all__ = [
    "Beside",
    "Sent",
    "add_insecure",
    "add_options",
    "cache",
    "document",
    "send",
    "show",
    "targets",
]

IMAGE = "{image}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One image of the project that is in a registry."""

    name: str
    target: Reference
    platforms: tuple[str, ...]
    pushed: Pushed
    about: SentDocuments  # documents about it that were sent too: SBOM, provenance, signatures

    @property
    def reference(self) -> Reference:
        """The image by digest, which no later push can move."""
        return self.target.at(self.pushed.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What refers to images: in a layout, and about images that do not stand there."""

    layout: Layout
    documents: Mapping[Digest, Sequence[Artifact]] = field(default_factory=dict)


def add_insecure(group: "argparse._ArgumentGroup") -> None:
    """Add the option that lets a registry be asked over http."""
    group.add_argument(
        "--insecure-registry",
        metavar="HOST",
        action="append",
        default=[],
        help="host (with port) that may be asked over http; this machine always may",
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a build that have to do with registries."""
    group = parser.add_argument_group("registry")
    group.add_argument(
        "--push",
        metavar="REF",
        help="push to HOST/REPOSITORY[:TAG], as `lockstitch push` does; `{image}` in it stands for "
        "the image's name",
    )
    group.add_argument(
        "--cache",
        metavar="REF",
        help="HOST/REPOSITORY that keeps layers: those it has are neither made nor downloaded, "
        "the others are written to it. Who can write there decides what is in your images",
    )
    add_insecure(group)


def targets(text: str, images: Sequence[str]) -> dict[str, Reference]:
    """Return where each image goes: `{image}` in the name stands for the image's own.

    Raises UsageError for several images with one name, and for a digest, which is a result.
    """
    if len(images) > 1 and IMAGE not in text:
        message = f"`{text}` is one name, and there are {len(images)} images: {', '.join(images)}"
        raise UsageError(message, hint=f"name one image, or write {IMAGE} in the reference")
    found = {name: Reference.parse(text.replace(IMAGE, name)) for name in images}
    for reference in found.values():
        if reference.digest:
            message = f"`{text}` has a digest, and that is what a push finds out"
            raise UsageError(message, hint=f"give a tag: {reference.name}:{reference.tag or '1.0'}")
    return found


def cache(session: Session, client: Client, text: str) -> LayerCache:
    """Return the cache of layers in a repository; UsageError for a tag, which it has no use for."""
    reference = Reference.parse(text)
    if reference.tag or reference.digest:
        message = f"`{text}` names an image, and a cache is a whole repository"
        raise UsageError(message, hint=f"--cache {reference.name}")
    return LayerCache(
        RepositoryWriter(client, reference), BlobLocations(session.store, reference.host)
    )


def send(
    session: Session,
    client: Client,
    name: str,
    target: Reference,
    parcels: Sequence[PushableImage],
    beside: Beside,
) -> Sent:
    """Push one image, all of its platforms, and what refers to them."""
    place = RepositoryWriter(client, target)
    pushed = push(
        place,
        parcels,
        target.tag or LATEST,
        BlobLocations(session.store, target.host),
        session.progress,
    )
    platforms = tuple(sorted(str(each.descriptor.platform) for each in parcels))
    brought = []
    for subject in (each.descriptor for each in parcels):
        brought.append(referrers.copy(beside.layout, subject.digest, place))
        fresh = beside.documents.get(subject.digest, ())
        brought.append(referrers.attach(place, subject, fresh))
    about = SentDocuments(
        documents=sum(each.documents for each in brought),
        bytes=sum(each.bytes for each in brought),
    )
    return Sent(name=name, target=target, platforms=platforms, pushed=pushed, about=about)


def show(sent: Sent) -> None:
    """Print the reference by digest, and say what it took."""
    pushed = sent.pushed
    parts = [
        f"{_count(pushed.sent)} sent",
        f"{_count(pushed.mounted)} mounted",
        f"{_count(pushed.present)} there before",
    ]
    documents = sent.about.documents
    if documents:
        parts.append(f"{documents} document{'' if documents == 1 else 's'} about it sent")
    say(f"{sent.target.name}:{sent.target.tag or LATEST}: {', '.join(parts)}")
    sys.stdout.write(f"{sent.reference}\n")


def document(sent: Sent) -> dict[str, object]:
    """Return the result for programs."""
    pushed = sent.pushed
    return {
        "image": sent.name,
        "reference": str(sent.reference),
        "digest": pushed.digest,
        "tag": sent.target.tag or LATEST,
        "platforms": list(sent.platforms),
        "manifests": pushed.manifests,
        "about": {"documents": sent.about.documents, "bytes": sent.about.bytes},
        "sent": _numbers(pushed.sent),
        "mounted": _numbers(pushed.mounted),
        "present": _numbers(pushed.present),
    }


def _count(count: Count) -> str:
    blobs = f"{count.blobs} blob{'' if count.blobs == 1 else 's'}"
    return f"{blobs} ({shown(count.bytes)})" if count.blobs else blobs


def _numbers(count: Count) -> dict[str, int]:
    return {"blobs": count.blobs, "bytes": count.bytes}
