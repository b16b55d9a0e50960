"""Reads one repository: manifests by digest and tag, blobs, referrers (distribution spec 1.1)."""

import re
from collections.abc import Iterator
from urllib.parse import urlencode

from lockstitch.digest import Digest, Hasher
from lockstitch.errors import LockstitchError, printable
from lockstitch.net.transport import Answer, TransportError
from lockstitch.oci import manifest
from lockstitch.oci.artifact import referrers_tag
from lockstitch.oci.manifest import ACCEPT, Manifest
from lockstitch.oci.model import INDEX_TYPE, Descriptor, Platform
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Call, Client, Host
from lockstitch.oci.registry.errors import Again, RegistryError
from lockstitch.oci.registry.tokens import Scopes, pull
from lockstitch.store import Store

__all__ = ["MOST", "Repository"]

MOST = 4 << 20  # bytes; registries take no larger one (distribution spec, "Pushing Manifests")
_PROGRESS = 1 << 20  # bytes after which a broken connection is a new one
_PAGES = 100
_OK, _PARTIAL, _NOT_FOUND = 200, 206, 404
# What registries say that have no such address, besides 404.
_NO_REFERRERS = frozenset({400, 404, 405, 406})
_NEXT = re.compile(r'<([^>]*)>\s*;(?:[^,]*;)?\s*rel="?next"?')


class Repository:
    """One repository of a registry, as a `Source`."""

    def __init__(
        self, client: Client, reference: Reference, *, scopes: Scopes | None = None
    ) -> None:
        """Ask nothing yet; of the reference only host and repository are used."""
        self.name = reference.name
        self.host: Host = client.host(reference.host)
        self.repository = reference.repository
        self._path = f"/v2/{reference.repository}"
        self._scopes = scopes or pull(reference.repository)

    # --- manifests

    def manifest(self, which: Digest | str) -> Manifest:
        """Return the manifest or index of a digest, checked, or of a tag; else RegistryError."""
        with self.host.call(self._manifest_call("GET", which)) as answer:
            return self._read(answer, which)

    def find(self, which: Digest | str) -> Manifest | None:
        """Return the manifest of a digest or tag, or None when the repository has none."""
        try:
            return self.manifest(which)
        except RegistryError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def image(self, which: Digest | str, platform: Platform) -> Manifest:
        """Return the manifest of one image, through its index where there is one."""
        found = self.manifest(which)
        if not found.is_index:
            return found
        image = self.manifest(found.for_platform(platform).digest)
        if image.is_index:
            message = f"{image.source} is an index inside of an index"
            raise LockstitchError(message)
        return image

    def _manifest_call(self, method: str, which: Digest | str) -> Call:
        return Call(
            method=method,
            path=f"{self._path}/manifests/{which}",
            what=self._called(which),
            repository=self.repository,
            scopes=self._scopes,
            headers={"Accept": ACCEPT},
        )

    def _called(self, which: Digest | str) -> str:
        return f"the manifest `{which}` of `{self.name}`"

    def _read(self, answer: Answer, which: Digest | str) -> Manifest:
        what = self._called(which)
        data = _whole(answer, MOST, what)
        found = manifest.read(data, answer.headers.get("Content-Type", ""), what)
        stated = which if isinstance(which, Digest) else answer.headers.get("Docker-Content-Digest")
        if stated and stated.startswith("sha256:") and stated != found.digest:
            message = f"{what} is {found.digest} ({len(data)} bytes), not {printable(stated)}"
            raise LockstitchError(message, hint="somebody on the way, or the registry, is lying")
        return found

    # --- blobs

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, going on where a connection broke off.

        Raises LockstitchError at the end when digest or size are wrong: what was yielded counts
        for nothing before the last byte.
        """
        yield from self._chunks(descriptor, Hasher())

    def small(self, descriptor: Descriptor, limit: int = MOST) -> bytes:
        """Return a whole blob of up to `limit` bytes, such as a config, checked."""
        if descriptor.size > limit:
            message = f"the blob {descriptor.digest} of `{self.name}` has {descriptor.size} bytes, "
            message += f"more than {limit}"
            raise LockstitchError(message)
        return b"".join(self.blob(descriptor))

    def fetch(self, descriptor: Descriptor, store: Store) -> None:
        """Bring a blob into the store, checked; one that was begun before is gone on with."""
        digest = descriptor.digest
        with store.lock(digest.hex):
            if store.has(digest, descriptor.size):
                return
            partial = store.partial(digest)
            hasher = Hasher()
            with partial.open("a+b") as handle:
                handle.seek(0)
                while chunk := handle.read(_PROGRESS):
                    hasher.update(chunk)
                if hasher.size > descriptor.size:
                    handle.truncate(0)
                    hasher = Hasher()
                try:
                    for chunk in self._chunks(descriptor, hasher):
                        handle.write(chunk)
                except WrongBlobError:
                    handle.truncate(0)
                    raise
            store.adopt(partial, digest)

    def _chunks(self, descriptor: Descriptor, hasher: Hasher) -> Iterator[bytes]:
        """Yield what comes after the bytes that were hashed, and check the whole."""
        number, reached = 1, hasher.size
        while hasher.size < descriptor.size:
            try:
                yield from self._rest(descriptor, hasher)
            except Again as failure:
                if hasher.size - reached >= _PROGRESS:  # it goes on, if in pieces
                    number, reached = 1, hasher.size
                self.host.pause(number, failure)
                number += 1
        if (hasher.digest(), hasher.size) != (descriptor.digest, descriptor.size):
            message = f"the blob {descriptor.digest} ({descriptor.size} bytes) of `{self.name}` is "
            message += f"{hasher.digest()} ({hasher.size} bytes)"
            raise WrongBlobError(message, hint="somebody on the way, or the registry, is lying")

    def _rest(self, descriptor: Descriptor, hasher: Hasher) -> Iterator[bytes]:
        start = hasher.size
        what = f"the blob {descriptor.digest} of `{self.name}`"
        call = Call(
            method="GET",
            path=f"{self._path}/blobs/{descriptor.digest}",
            what=what,
            repository=self.repository,
            scopes=self._scopes,
            wanted=frozenset({_OK, _PARTIAL}),
            headers={"Range": f"bytes={start}-"} if start else {},
        )
        with self.host.once(call) as answer:
            skip = 0 if answer.status == _PARTIAL else start
            try:
                for chunk in answer.stream():
                    fresh, skip = chunk[skip:], max(0, skip - len(chunk))
                    hasher.update(fresh)
                    if hasher.size > descriptor.size:
                        return  # more than was promised: it is wrong, and said so
                    yield fresh
            except TransportError as error:
                reason = f"{what}: the connection ended after {hasher.size} of "
                reason += f"{descriptor.size} bytes ({error})"
                raise Again(RegistryError(reason)) from error
        if hasher.size < descriptor.size:
            reason = f"{what}: it ended after {hasher.size} of {descriptor.size} bytes"
            raise Again(RegistryError(reason))

    # --- referrers

    def referrers(self, digest: Digest, artifact_type: str = "") -> list[Descriptor]:
        """Return the manifests whose subject is a digest, of one type or all, in their order.

        A registry without the referrers API has them in an index under a tag.
        """
        query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
        path = f"{self._path}/referrers/{digest}{query}"
        found: list[Descriptor] = []
        for _ in range(_PAGES):
            page, path = self._page(digest, path)
            if page is None:
                break
            found += page.manifests
            if not path:
                break
        return [each for each in found if artifact_type in {"", each.artifact_type}]

    def _page(self, digest: Digest, path: str) -> tuple[Manifest | None, str]:
        what = f"the referrers of `{self.name}@{digest}`"
        call = Call(
            method="GET",
            path=path,
            what=what,
            repository=self.repository,
            scopes=self._scopes,
            wanted=_NO_REFERRERS | {_OK},
            headers={"Accept": INDEX_TYPE},
        )
        with self.host.call(call) as answer:
            if answer.status != _OK:
                return self.find(referrers_tag(digest)), ""
            data = _whole(answer, MOST, what)
            more = _NEXT.search(answer.headers.get("Link", ""))
            return manifest.read(data, INDEX_TYPE, what), more[1] if more else ""


class WrongBlobError(RegistryError):
    """Says that a blob is not what its digest says."""


def _whole(answer: Answer, limit: int, what: str) -> bytes:
    try:
        data = answer.read(limit + 1)
    except TransportError as error:
        message = f"{what}: {error}"
        raise RegistryError(message, hint="run the same command again") from error
    if len(data) > limit:
        message = f"{what} has more than {limit} bytes"
        raise RegistryError(message)
    return data
