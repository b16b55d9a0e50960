"""Pushes images: the blobs that a repository lacks, then manifests, and what refers to them."""

from collections.abc import Callable, Sequence
from functools import partial

from lockstitch import threads
from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.errors import LockstitchError, printable
from lockstitch.net.retry import Retryable
from lockstitch.net.transport import Answer
from lockstitch.oci import manifest, reader
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import (
    INDEX_TYPE,
    Descriptor,
    Image,
    Platform,
    index_bytes,
    index_of,
    referrers_tag,
)
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import PARALLEL, Call, Client, RegistryError, push_scopes
from lockstitch.oci.registry.repository import MOST, Repository
from lockstitch.oci.registry.upload import MOUNTED, Blob, Upload
from lockstitch.progress import Reporter
from lockstitch.store import Store
from lockstitch.table import counted
from lockstitch.values import frozen, replace

_MOST = 4  # the newest ones: a mount from a repository that lost the blob costs one request
_KIND = "places"  # of records
_OK, _CREATED, _ACCEPTED, _NOT_FOUND = 200, 201, 202, 404
# What is said of a manifest whose blobs are there, and not for every reader yet.
_UNSEEN = frozenset({"BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"})


class BlobLocations:
    """Remembers in the store where blobs were put, so that another repository mounts them."""

    def __init__(self, store: Store, host: str) -> None:
        self._store = store
        self._host = host

    def of(self, digest: Digest, but: str) -> tuple[str, ...]:
        """Return the repositories that may have a blob, but one, the newest first."""
        known = self._store.record(_KIND, self._key(digest))
        names = known if isinstance(known, list) else []
        return tuple(name for name in names if isinstance(name, str) and name != but)

    def note(self, digest: Digest, repository: str) -> None:
        """Remember that a repository has a blob."""
        names = [repository, *self.of(digest, repository)][:_MOST]
        if self._store.record(_KIND, self._key(digest)) != names:
            self._store.put_record(_KIND, self._key(digest), names)

    def _key(self, digest: Digest) -> str:
        return of_bytes(canonical_json([self._host, digest])).hex


class RepositoryWriter(Repository):
    """One repository that may be written to."""

    def __init__(self, client: Client, reference: Reference) -> None:
        super().__init__(client, reference, scopes=push_scopes(reference.repository))

    def has(self, descriptor: Descriptor) -> bool:
        """Return whether the repository has a blob; RegistryError for one of another size."""
        what = f"the blob {descriptor.digest} of `{self.name}`"
        path = f"{self._path}/blobs/{descriptor.digest}"
        call = self._call(path, what, method="HEAD", wanted=frozenset({_OK, _NOT_FOUND}))
        with self.host.call(call) as answer:
            size = answer.headers.get("Content-Length") or str(descriptor.size)
            if answer.status == _OK and size != str(descriptor.size):
                message = f"{what} has {printable(size)} bytes there, not {descriptor.size}"
                raise RegistryError(message, hint="the registry's storage is damaged")
            return answer.status == _OK

    def send(
        self,
        blob: Blob,
        *,
        mount_from: tuple[str, ...] = (),
        advance: Callable[[int], None] = lambda _: None,
    ) -> str:
        """Send a blob that is missing there; return `upload.MOUNTED` or `upload.SENT`.

        `mount_from` are repositories of the same registry that may have it; `advance` is told
        of bytes that are sent. Wrong bytes are never sent to their end: LockstitchError.
        """
        return Upload(self.host, self.repository, blob, advance).run(mount_from)

    def send_bytes(self, descriptor: Descriptor, data: bytes) -> int:
        """Send bytes that are missing there, or raise RegistryError; return how many that were."""
        if self.has(descriptor):
            return 0
        self.send(Blob.of_bytes(descriptor, data, descriptor.media_type))
        return descriptor.size

    def put(self, data: bytes, media_type: str, *, tag: str = "") -> Digest:
        """Write a manifest or an index under its digest, and a tag if given; return the digest.

        All that it names must be there before. Where the registry does not know of subjects,
        the index of the subject's referrers is written too ("Referrers Tag Schema"); two that
        write it at once may lose one entry, as the spec says. Raises LockstitchError for a manifest
        that is too large, RegistryError when the registry refuses it or has another one.
        """
        if len(data) > MOST:
            message = f"a manifest for `{self.name}` has {len(data)} bytes, more than {MOST}"
            raise LockstitchError(message, hint="fewer layers or annotations")
        digest = of_bytes(data)
        which = tag or digest
        what = f"the manifest `{which}` to `{self.name}`"
        call = self._call(
            f"{self._path}/manifests/{which}",
            what,
            method="PUT",
            wanted=frozenset({_CREATED, _ACCEPTED, _OK}),
            headers={"Content-Type": media_type, "Content-Length": str(len(data))},
            data=data,
        )
        with self.host.retry.call(partial(self._put_once, call)) as answer:
            stated = answer.headers.get("Docker-Content-Digest", "")
            known = bool(answer.headers.get("OCI-Subject"))
            created = answer.status == _CREATED
        if stated.startswith("sha256:") and stated != digest:
            message = f"{what}: the registry has {printable(stated)}, not {digest}"
            raise RegistryError(message, hint="something on the way changes manifests")
        if not created and self.digest_of(which) != digest:
            raise RegistryError(f"{what}: the registry took it and does not have it")
        parsed = manifest.read(data, media_type, what)
        if parsed.subject and not known:
            self._refer(parsed)
        return digest

    def _put_once(self, call: Call) -> Answer:
        """Return the answer; what a registry does not see yet of another push is tried again."""
        try:
            return self.host.once(call)
        except RegistryError as error:
            if _UNSEEN & {*error.codes}:
                raise Retryable(error) from error
            raise

    def digest_of(self, which: Digest | str) -> Digest | None:
        """Return the digest of a tag's manifest, None without one; raises RegistryError."""
        what = self._called(which)
        headers = {"Accept": manifest.ACCEPT}
        path = f"{self._path}/manifests/{which}"
        wanted = frozenset({_OK, _NOT_FOUND})
        call = self._call(path, what, method="HEAD", wanted=wanted, headers=headers)
        with self.host.call(call) as answer:
            stated = answer.headers.get("Docker-Content-Digest", "")
            if answer.status == _NOT_FOUND:
                return None
        if stated.startswith("sha256:"):
            return Digest.parse(stated)
        return self.manifest(which).digest

    def _refer(self, referrer: manifest.Manifest) -> None:
        """Add a manifest to the index of its subject's referrers."""
        subject = referrer.subject
        if subject is None:
            return
        tag = referrers_tag(subject.digest)
        before = self.find(tag)
        others = [e for e in before.manifests if e.digest != referrer.digest] if before else []
        index = index_of(descriptor.document() for descriptor in (*others, _referrer(referrer)))
        self.put(index, INDEX_TYPE, tag=tag)


def _referrer(referrer: manifest.Manifest) -> Descriptor:
    """Return the descriptor that an index of referrers has (spec, "Listing Referrers")."""
    document = referrer.document
    artifact_type = document.get("artifactType") or document.get("config", {}).get("mediaType", "")
    notes = document.get("annotations", {})
    return replace(referrer.descriptor, artifact_type=artifact_type, annotations=notes)


@frozen
class PushableImage:
    """One platform's image as registries take it: a manifest, and the blobs that it names."""

    descriptor: Descriptor  # of the manifest, with its platform
    manifest: bytes
    blobs: tuple[Blob, ...]


@frozen
class Count:
    """Blobs, and their bytes."""

    blobs: int
    bytes: int


@frozen
class Pushed:
    """An image that is in a registry, and what it took."""

    digest: Digest  # of the index where there are several platforms
    sent: Count
    mounted: Count
    present: Count  # which the repository had before
    manifests: int  # written; none when the tag named this image before


def of_image(image: Image) -> PushableImage:
    """Return an image's blobs to push; its layers give their bytes when they are needed."""
    config = Blob.of_bytes(image.config_descriptor(), image.config_bytes(), "config")
    return PushableImage(
        descriptor=image.descriptor(),
        manifest=image.manifest_bytes(),
        blobs=(*(Blob.of_layer(layer) for layer in image.layers), config),
    )


def of_layout(layout: Layout, name: str) -> PushableImage:
    """Return the blobs to push of an image in a layout; LockstitchError when it has none."""
    manifest = layout.manifest(layout.manifest_digest(name))
    image = reader.of_source(layout, manifest, name)
    titles = [layer.created_by or "layer" for layer in image.layers]
    platform = Platform(
        os=image.config["os"],
        architecture=image.config["architecture"],
        variant=image.config.get("variant", ""),
    )
    return PushableImage(
        descriptor=replace(manifest.descriptor, platform=platform),
        manifest=manifest.data,
        blobs=tuple(
            Blob(descriptor=blob, chunks=partial(layout.blob, blob), title=title)
            for blob, title in zip(
                (*manifest.layers, manifest.config), (*titles, "config"), strict=True
            )
        ),
    )


def push(
    target: RepositoryWriter,
    images: Sequence[PushableImage],
    tag: str,
    locations: BlobLocations,
    progress: Reporter,
) -> Pushed:
    """Push the image of one platform, or an index of several, under a tag.

    No manifest is written before all that it names is there, and the index is the last: a
    registry never names what it lacks, however the push ends. Raises one LockstitchError with
    all blobs that failed.
    """
    wanted = {blob.descriptor.digest: blob for image in images for blob in image.blobs}
    target.host.open()  # once, not by each of the parallel requests
    # Biggest first, so that one large layer does not start when the others have ended.
    queue = sorted(wanted.values(), key=lambda b: (-b.descriptor.size, b.descriptor.digest))
    there = threads.run(queue, lambda blob: target.has(blob.descriptor), parallel=PARALLEL)
    missing = [blob for blob, is_there in zip(queue, there, strict=True) if not is_there]
    outcomes = _send(target, missing, locations, progress) if missing else []
    for item in queue:
        locations.note(item.descriptor.digest, target.repository)
    digest, manifests = _name(target, images, tag)
    mounted = [b for b, outcome in zip(missing, outcomes, strict=True) if outcome == MOUNTED]
    sent = [b for b, outcome in zip(missing, outcomes, strict=True) if outcome != MOUNTED]
    present = [b for b, is_there in zip(queue, there, strict=True) if is_there]
    return Pushed(
        digest=digest,
        sent=_count(sent),
        mounted=_count(mounted),
        present=_count(present),
        manifests=manifests,
    )


def _send(
    target: RepositoryWriter, missing: Sequence[Blob], locations: BlobLocations, progress: Reporter
) -> list[str]:
    total = sum(blob.descriptor.size for blob in missing)
    label = f"push {counted(len(missing), 'blob')} to {target.name}"
    with progress.task(label, total) as task:

        def send(blob: Blob) -> str:
            sources = locations.of(blob.descriptor.digest, target.repository)
            outcome = target.send(blob, mount_from=sources, advance=task.advance)
            if outcome == MOUNTED:
                task.advance(blob.descriptor.size)
            return outcome

        return threads.run(missing, send, parallel=PARALLEL)


def _name(
    target: RepositoryWriter, images: Sequence[PushableImage], tag: str
) -> tuple[Digest, int]:
    """Write the manifests, those that are named by another one first."""
    if len(images) == 1:
        (only,) = images
        return only.descriptor.digest, _put(target, only.manifest, only.descriptor, tag)
    # By platform: the order of builds must not show.
    ordered = sorted(images, key=lambda image: str(image.descriptor.platform))
    written = sum(_put(target, part.manifest, part.descriptor, "") for part in ordered)
    data = index_bytes(part.descriptor for part in ordered)
    index = Descriptor.of(INDEX_TYPE, data)
    return index.digest, written + _put(target, data, index, tag)


def _put(target: RepositoryWriter, data: bytes, descriptor: Descriptor, tag: str) -> int:
    """Write a manifest unless it is there; an immutable tag is not written twice."""
    if target.digest_of(tag or descriptor.digest) == descriptor.digest:
        return 0
    target.put(data, descriptor.media_type, tag=tag)
    return 1


def _count(blobs: Sequence[Blob]) -> Count:
    return Count(blobs=len(blobs), bytes=sum(blob.descriptor.size for blob in blobs))
