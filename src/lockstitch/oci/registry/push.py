"""Pushes an image: looks for all blobs at once, brings what is missing, manifests after them."""

from collections.abc import Sequence
from dataclasses import dataclass

from lockstitch import threads
from lockstitch.digest import Digest, of_bytes
from lockstitch.oci import manifest
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import INDEX_TYPE, Descriptor, Image, Platform, index_bytes
from lockstitch.oci.registry import blob as blobs
from lockstitch.oci.registry.blob import Blob
from lockstitch.oci.registry.client import PARALLEL
from lockstitch.oci.registry.mounts import Places
from lockstitch.oci.registry.upload import MOUNTED
from lockstitch.oci.registry.writer import Target
from lockstitch.progress import Reporter

__all__ = ["Count", "Parcel", "Pushed", "of_image", "of_layout", "push"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One platform's image as registries take it: a manifest, and the blobs that it names."""

    descriptor: Descriptor  # of the manifest, with its platform
    manifest: bytes
    blobs: tuple[Blob, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Blobs, and their bytes."""

    blobs: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """An image that is in a registry, and what it took."""

    digest: Digest  # of the index where there are several platforms
    sent: Count
    mounted: Count
    present: Count  # which the repository had before
    manifests: int  # written; none when the tag named this image before


def of_image(image: Image) -> Parcel:
    """Return the parcel of an image whose layers give their bytes when they are needed."""
    config = blobs.of_bytes(image.config_descriptor(), image.config_bytes(), "config")
    return Parcel(
        descriptor=image.descriptor(),
        manifest=image.manifest_bytes(),
        blobs=(*(blobs.of_layer(layer) for layer in image.layers), config),
    )


def of_layout(layout: Layout, name: str) -> Parcel:
    """Return the parcel of an image that stands in a layout; LockstitchError when it does not."""
    digest = layout.manifest_digest(name)
    layout.document(digest)  # which checks its bytes
    data = layout.path(digest).read_bytes()
    found = manifest.read(data, "", f"the manifest of `{name}` in `{layout.root}`")
    config = layout.document(found.config.digest)
    history = config.get("history", [])
    titles = [each.get("created_by", "layer") for each in history if not each.get("empty_layer")]
    titles += ["layer"] * len(found.layers)
    wanted = [*zip(found.layers, titles, strict=False), (found.config, "config")]
    platform = Platform(
        os=config["os"], architecture=config["architecture"], variant=config.get("variant", "")
    )
    return Parcel(
        descriptor=Descriptor(
            media_type=found.media_type, digest=digest, size=len(data), platform=platform
        ),
        manifest=data,
        blobs=tuple(blobs.of_chunks(each, layout.chunks, title) for each, title in wanted),
    )


def push(
    target: Target, parcels: Sequence[Parcel], tag: str, places: Places, progress: Reporter
) -> Pushed:
    """Push the image of one platform, or an index of several, under a tag.

    No manifest is written before all that it names is there, and the index is the last: a
    registry never names what it lacks, however the push ends. Raises one LockstitchError with
    all blobs that failed.
    """
    wanted = {each.descriptor.digest: each for parcel in parcels for each in parcel.blobs}
    # Biggest first, so that one large layer does not start when the others have ended.
    queue = sorted(wanted.values(), key=lambda b: (-b.descriptor.size, b.descriptor.digest))
    there = threads.run(queue, lambda each: target.has(each.descriptor), parallel=PARALLEL)
    missing = [each for each, found in zip(queue, there, strict=True) if not found]
    outcomes = _send(target, missing, places, progress) if missing else []
    for each in queue:
        places.note(each.descriptor.digest, target.repository)
    digest, manifests = _name(target, parcels, tag)
    mounted = [b for b, outcome in zip(missing, outcomes, strict=True) if outcome == MOUNTED]
    sent = [b for b, outcome in zip(missing, outcomes, strict=True) if outcome != MOUNTED]
    present = [b for b, found in zip(queue, there, strict=True) if found]
    return Pushed(
        digest=digest,
        sent=_count(sent),
        mounted=_count(mounted),
        present=_count(present),
        manifests=manifests,
    )


def _send(target: Target, missing: Sequence[Blob], places: Places, progress: Reporter) -> list[str]:
    total = sum(each.descriptor.size for each in missing)
    label = f"push {len(missing)} blob{'s' if len(missing) > 1 else ''} to {target.name}"
    with progress.task(label, total) as task:

        def send(each: Blob) -> str:
            sources = places.of(each.descriptor.digest, target.repository)
            outcome = target.send(each, mount_from=sources, advance=task.advance)
            if outcome == MOUNTED:
                task.advance(each.descriptor.size)
            return outcome

        return threads.run(missing, send, parallel=PARALLEL)


def _name(target: Target, parcels: Sequence[Parcel], tag: str) -> tuple[Digest, int]:
    """Write the manifests, those that are named by another one first."""
    if len(parcels) == 1:
        (only,) = parcels
        return only.descriptor.digest, _put(target, only.manifest, only.descriptor, tag)
    # By platform: the order of builds must not show.
    ordered = sorted(parcels, key=lambda parcel: str(parcel.descriptor.platform))
    written = sum(_put(target, each.manifest, each.descriptor, "") for each in ordered)
    data = index_bytes(each.descriptor for each in ordered)
    index = Descriptor(media_type=INDEX_TYPE, digest=of_bytes(data), size=len(data))
    return index.digest, written + _put(target, data, index, tag)


def _put(target: Target, data: bytes, descriptor: Descriptor, tag: str) -> int:
    """Write a manifest unless it is there; a tag that may not move is not written twice."""
    if target.digest_of(tag or descriptor.digest) == descriptor.digest:
        return 0
    target.put(data, descriptor.media_type, tag=tag)
    return 1


def _count(found: Sequence[Blob]) -> Count:
    return Count(blobs=len(found), bytes=sum(each.descriptor.size for each in found))
