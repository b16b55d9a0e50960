"""Built wheels in a repository of a registry: each an OCI artifact, under the tag of its sha256."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from lockstitch import files
from lockstitch.errors import LockstitchError
from lockstitch.lock.file import BuiltWheel
from lockstitch.oci.model import MANIFEST_TYPE, Artifact, Descriptor
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.push import RepositoryWriter
from lockstitch.oci.registry.repository import Repository
from lockstitch.store import Store

_KIND: Final = "application/vnd.lockstitch.wheel.v1+zip"
_TITLE: Final = "org.opencontainers.image.title"
_LARGEST: Final = 2 << 30  # bytes of a wheel


def push(wheels: Iterable[BuiltWheel], store: Store, client: Client, place: str) -> list[str]:
    """Push missing wheels; return their names. Raises LockstitchError when one is refused."""
    target = RepositoryWriter(client, reference(place))
    sent = []
    for wheel in wheels:
        data = held(wheel, store)
        artifact = Artifact(kind=_KIND, data=data, annotations={_TITLE: wheel.filename})
        manifest = artifact.manifest_bytes()
        if target.find(wheel.digest.hex) is None:
            for blob, content in artifact.blobs():
                target.send_bytes(blob, content)
            target.put(manifest, MANIFEST_TYPE, tag=wheel.digest.hex)
            sent.append(wheel.filename)
    return sent


def fetch(wheel: BuiltWheel, client: Client, place: str) -> bytes | None:
    """Return the bytes that a repository has for a wheel, None where it has none.

    The bytes are those of the repository's own manifest; whether they are the locked ones is the
    caller's question. Raises LockstitchError when the registry does not answer, or has no wheel.
    """
    repository = Repository(client, reference(place))
    manifest = repository.find(wheel.digest.hex)
    if manifest is None:
        return None
    layers: list[Descriptor] = [] if manifest.is_index else [*manifest.layers]
    if len(layers) != 1:
        message = f"{manifest.source} is no wheel of `{wheel.name} {wheel.version}`"
        raise LockstitchError(message, hint="lockstitch export wheels --push, where it was locked")
    return repository.small(layers[0], _LARGEST)


def reference(place: str) -> Reference:
    """Return the repository that `wheels` names, or raise LockstitchError for a tag or digest."""
    parsed = Reference.parse(place)
    if parsed.tag or parsed.digest:
        message = f"`wheels = '{place}'` names an image, and wheels need a whole repository"
        raise LockstitchError(message, hint=f'wheels = "{parsed.name}"')
    return parsed


def held(wheel: BuiltWheel, store: Store) -> bytes:
    """Return a wheel's bytes, or raise LockstitchError where the store lacks them."""
    data = store.read(wheel.digest)
    if data is None:
        message = f"`{wheel.filename}` is not in the store of this machine"
        raise LockstitchError(message, hint="lockstitch build, which builds it, first")
    return data


def write(wheels: Iterable[BuiltWheel], store: Store, folder: Path) -> list[str]:
    """Write wheels into a folder; return the new names. Raises LockstitchError for missing ones."""
    written = []
    for wheel in wheels:
        path = folder / wheel.filename
        data = held(wheel, store)
        if not path.is_file() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(path, data)
            written.append(wheel.filename)
    return written
