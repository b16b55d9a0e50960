"""Writes one repository: blobs, then manifests, and what refers to them (spec 1.1, "Push")."""

import json
from collections.abc import Callable

from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError, printable
from lockstitch.oci import canonical, manifest
from lockstitch.oci.artifact import referrers_tag
from lockstitch.oci.model import INDEX_TYPE, Descriptor
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.blob import Blob
from lockstitch.oci.registry.client import Call, Client
from lockstitch.oci.registry.errors import RegistryError
from lockstitch.oci.registry.repository import MOST, Repository
from lockstitch.oci.registry.tokens import push
from lockstitch.oci.registry.upload import Upload

__all__ = ["Target"]

_OK, _CREATED, _ACCEPTED, _NOT_FOUND = 200, 201, 202, 404


class Target(Repository):
    """One repository that may be written to."""

    def __init__(self, client: Client, reference: Reference) -> None:
        """Ask nothing yet; of the reference only host and repository are used."""
        super().__init__(client, reference, scopes=push(reference.repository))

    def has(self, descriptor: Descriptor) -> bool:
        """Return whether the repository has a blob; one of another size is an error."""
        what = f"the blob {descriptor.digest} of `{self.name}`"
        path = f"{self._path}/blobs/{descriptor.digest}"
        with self.host.call(self._write("HEAD", path, what, {_OK, _NOT_FOUND})) as answer:
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
        """Bring a blob that is missing there; returns `upload.MOUNTED` or `upload.SENT`.

        `mount_from` are repositories of the same registry that may have it; `advance` is told
        of bytes that are sent. Wrong bytes are never sent to their end.
        """
        return Upload(self.host, self.repository, blob, advance).run(mount_from)

    def put(self, data: bytes, media_type: str, *, tag: str = "") -> Digest:
        """Write a manifest or an index under its digest, and a tag if given; return the digest.

        All that it names must be there before. Where the registry does not know of subjects,
        the index of the subject's referrers is written too ("Referrers Tag Schema"); two that
        write it at once may lose one entry, as the spec says.
        """
        if len(data) > MOST:
            message = f"a manifest for `{self.name}` has {len(data)} bytes, more than {MOST}"
            raise LockstitchError(message, hint="fewer layers or annotations")
        digest = of_bytes(data)
        which = tag or digest
        what = f"the manifest `{which}` to `{self.name}`"
        wanted = {_CREATED, _ACCEPTED, _OK}
        headers = {"Content-Type": media_type, "Content-Length": str(len(data))}
        call = self._write("PUT", f"{self._path}/manifests/{which}", what, wanted, headers, data)
        with self.host.call(call) as answer:
            stated = answer.headers.get("Docker-Content-Digest", "")
            known = bool(answer.headers.get("OCI-Subject"))
            created = answer.status == _CREATED
        if stated.startswith("sha256:") and stated != digest:
            message = f"{what}: the registry has {printable(stated)}, not {digest}"
            raise RegistryError(message, hint="something on the way changes manifests")
        if not created and self.digest_of(which) != digest:
            message = f"{what}: the registry took it and does not have it"
            raise RegistryError(message)
        found = manifest.read(data, media_type, what)
        if found.subject and not known:
            self._refer(found)
        return digest

    def digest_of(self, which: Digest | str) -> Digest | None:
        """Return the digest of the manifest of a tag or digest, None when there is none."""
        what = self._called(which)
        headers = {"Accept": manifest.ACCEPT}
        path = f"{self._path}/manifests/{which}"
        with self.host.call(self._write("HEAD", path, what, {_OK, _NOT_FOUND}, headers)) as answer:
            stated = answer.headers.get("Docker-Content-Digest", "")
            if answer.status == _NOT_FOUND:
                return None
        if stated.startswith("sha256:"):
            return Digest.parse(stated)
        return self.manifest(which).digest

    def _refer(self, found: manifest.Manifest) -> None:
        """Add a manifest to the index of its subject's referrers."""
        subject = found.subject
        if subject is None:
            return
        tag = referrers_tag(subject.digest)
        before = self.find(tag)
        others = [e for e in before.manifests if e.digest != found.digest] if before else []
        entries = [each.document() for each in (*others, _referrer(found))]
        document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
        self.put(canonical.dumps(document), INDEX_TYPE, tag=tag)

    def _write(
        self,
        method: str,
        path: str,
        what: str,
        wanted: set[int],
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> Call:
        return Call(
            method=method,
            path=path,
            what=what,
            repository=self.repository,
            scopes=self._scopes,
            wanted=frozenset(wanted),
            headers=headers or {},
            body=None if data is None else lambda: data,
        )


def _referrer(found: manifest.Manifest) -> Descriptor:
    """Return the descriptor that an index of referrers has (spec, "Listing Referrers")."""
    document = json.loads(found.data)
    artifact_type = document.get("artifactType") or document.get("config", {}).get("mediaType", "")
    return Descriptor(
        media_type=found.media_type,
        digest=found.digest,
        size=len(found.data),
        artifact_type=artifact_type,
        annotations=document.get("annotations", {}),
    )
