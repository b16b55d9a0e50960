"""Reads one repository: manifests by digest and tag, blobs, referrers (distribution spec 1.1)."""

from collections.abc import Iterator, Mapping
from functools import partial
from urllib.parse import urlencode

from lockstitch.digest import Digest, Hasher
from lockstitch.errors import LockstitchError, printable
from lockstitch.net.retry import bring
from lockstitch.net.transport import Answer, TransportError
from lockstitch.oci import manifest
from lockstitch.oci.manifest import ACCEPT, Manifest
from lockstitch.oci.model import INDEX_TYPE, Descriptor, Platform, referrers_tag
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Call, Client, Host, RegistryError, Scopes, pull_scopes
from lockstitch.patterns import regex
from lockstitch.store import Store

MOST = 4 << 20  # bytes; registries take no larger one (distribution spec, "Pushing Manifests")
_PAGES = 100
_OK, _PARTIAL, _NOT_FOUND, _NO_MORE = 200, 206, 404, 416
# What registries say that have no such address, besides 404.
_NO_REFERRERS = frozenset({400, 404, 405, 406})
_NEXT = regex(r'<([^>]*)>\s*;(?:[^,]*;)?\s*rel="?next"?')


class Repository:
    """One repository of a registry, as a `Source`."""

    def __init__(
        self, client: Client, reference: Reference, *, scopes: Scopes | None = None
    ) -> None:
        self.name = reference.name
        self.host: Host = client.host(reference.host)
        self.repository = reference.repository
        self._path = f"/v2/{reference.repository}"
        self._scopes = scopes or pull_scopes(reference.repository)

    # --- manifests

    def manifest(self, which: Digest | str) -> Manifest:
        """Return the manifest or index of a digest, checked, or of a tag; else RegistryError."""
        what = self._called(which)
        call = self._call(f"{self._path}/manifests/{which}", what, headers={"Accept": ACCEPT})
        with self.host.call(call) as answer:
            data = _whole(answer, MOST, what)
            parsed = manifest.read(data, answer.headers.get("Content-Type", ""), what)
            stated = answer.headers.get("Docker-Content-Digest", "")
        stated = which if isinstance(which, Digest) else stated
        if stated.startswith("sha256:") and stated != parsed.digest:
            message = f"{what} is {parsed.digest} ({len(data)} bytes), not {printable(stated)}"
            raise LockstitchError(message, hint="somebody on the way, or the registry, is lying")
        return parsed

    def find(self, which: Digest | str) -> Manifest | None:
        """Return the manifest of a digest or tag, None without one; else raises RegistryError."""
        try:
            return self.manifest(which)
        except RegistryError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def image(self, which: Digest | str, platform: Platform) -> Manifest:
        """Return an image's manifest, through its index; raises LockstitchError without it."""
        top = self.manifest(which)
        if not top.is_index:
            return top
        image = self.manifest(top.for_platform(platform).digest)
        if image.is_index:
            raise LockstitchError(f"{image.source} is an index inside of an index")
        return image

    def _called(self, which: Digest | str) -> str:
        return f"the manifest `{which}` of `{self.name}`"

    # --- blobs

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, going on where a connection broke off.

        Raises LockstitchError at the end when digest or size are wrong: what was yielded counts
        for nothing before the last byte.
        """
        received = Hasher()
        yield from self._rest(descriptor, received)
        if (received.digest(), received.size) != (descriptor.digest, descriptor.size):
            raise self._wrong(descriptor, received)

    def small(self, descriptor: Descriptor, limit: int = MOST) -> bytes:
        """Return a whole, checked blob; raises LockstitchError for more than `limit` bytes."""
        if descriptor.size > limit:
            message = f"the blob {descriptor.digest} of `{self.name}` has {descriptor.size} bytes, "
            message += f"more than {limit}"
            raise LockstitchError(message)
        return b"".join(self.blob(descriptor))

    def fetch(self, descriptor: Descriptor, store: Store) -> None:
        """Fetch a blob into the store, resumed; raises LockstitchError for wrong bytes."""
        bring(
            store,
            descriptor.digest,
            descriptor.size,
            partial(self._rest, descriptor),
            partial(self._wrong, descriptor),
        )

    def _rest(self, descriptor: Descriptor, received: Hasher) -> Iterator[bytes]:
        """Yield the bytes after those received."""
        what = f"the blob {descriptor.digest} of `{self.name}`"

        def ask(headers: Mapping[str, str]) -> Answer:
            path = f"{self._path}/blobs/{descriptor.digest}"
            wanted = frozenset({_OK, _PARTIAL, _NO_MORE})
            return self.host.once(self._call(path, what, wanted=wanted, headers=headers))

        def broken(reason: str) -> RegistryError:
            return RegistryError(f"{what}: {reason}")

        return self.host.retry.body(ask, received, descriptor.size, broken)

    def _wrong(self, descriptor: Descriptor, received: Hasher) -> LockstitchError:
        message = f"the blob {descriptor.digest} ({descriptor.size} bytes) of `{self.name}` is "
        message += f"{received.digest()} ({received.size} bytes)"
        return LockstitchError(message, hint="somebody on the way, or the registry, is lying")

    def _call(
        self,
        path: str,
        what: str,
        *,
        method: str = "GET",
        wanted: frozenset[int] = frozenset({_OK}),
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Call:
        return Call(
            method=method,
            path=path,
            what=what,
            repository=self.repository,
            scopes=self._scopes,
            wanted=wanted,
            headers=headers or {},
            body=None if data is None else lambda: data,
        )

    # --- referrers

    def referrers(self, digest: Digest, artifact_type: str = "") -> list[Descriptor]:
        """Return the manifests whose subject is a digest, of one type or all, in their order.

        A registry without the referrers API has them in an index under a tag. Raises RegistryError
        when it refuses, LockstitchError for an answer that is damaged.
        """
        query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
        path = f"{self._path}/referrers/{digest}{query}"
        descriptors: list[Descriptor] = []
        for _ in range(_PAGES):
            page, path = self._page(digest, path)
            if page is None:
                break
            descriptors += page.manifests
            if not path:
                break
        return [
            descriptor
            for descriptor in descriptors
            if artifact_type in {"", descriptor.artifact_type}
        ]

    def _page(self, digest: Digest, path: str) -> tuple[Manifest | None, str]:
        what = f"the referrers of `{self.name}@{digest}`"
        wanted = _NO_REFERRERS | {_OK}
        call = self._call(path, what, wanted=wanted, headers={"Accept": INDEX_TYPE})
        with self.host.call(call) as answer:
            if answer.status != _OK:
                return self.find(referrers_tag(digest)), ""
            data = _whole(answer, MOST, what)
            more = _NEXT.search(answer.headers.get("Link", ""))
            return manifest.read(data, INDEX_TYPE, what), more[1] if more else ""


def _whole(answer: Answer, limit: int, what: str) -> bytes:
    try:
        data = answer.read(limit + 1)
    except TransportError as error:
        raise RegistryError(f"{what}: {error}", hint="run the same command again") from error
    if len(data) > limit:
        raise LockstitchError(f"{what} has more than {limit} bytes")
    return data
