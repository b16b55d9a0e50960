"""An image by the name that a person gives: of the project's layout, or of a registry."""

from collections.abc import Sequence
from pathlib import Path

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.image import verify
from lockstitch.oci.layout import Layout
from lockstitch.oci.manifest import Manifest
from lockstitch.oci.model import Platform
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.push import RepositoryWriter
from lockstitch.oci.registry.repository import Repository
from lockstitch.values import frozen


@frozen
class Named:
    """The meaning of a name: a manifest or an index, and the place where it stands."""

    name: str  # the repository's, or the image's in the layout
    place: Layout | Repository
    manifest: Manifest

    @property
    def digest(self) -> Digest:
        """The digest of the named manifest or index."""
        return self.manifest.digest

    def __str__(self) -> str:
        """Return it by digest."""
        return f"{self.name}@{self.digest}"

    def images(self, platform: str = "") -> Sequence[Manifest]:
        """Return the images of a name, all or a platform's; raises LockstitchError for none."""
        if not self.manifest.is_index:
            return [self.manifest]
        if platform:
            wanted = [self.manifest.for_platform(Platform.parse(platform))]
        else:
            # Attestations of BuildKit stand under `unknown/unknown`.
            entries = self.manifest.manifests
            wanted = [e for e in entries if e.platform and e.platform.os != "unknown"]
        return [self.place.manifest(entry.digest) for entry in wanted]

    def document(self, image: Manifest, kind: str) -> bytes:
        """Return the last document of a type about an image; raises LockstitchError without one."""
        documents = self.place.referrers(image.digest, kind)
        if not documents:
            message = f"nothing of the type `{kind}` refers to {self.name}@{image.digest}"
            hint = "lockstitch build, or push again from where it was built"
            raise LockstitchError(message, hint=hint)
        manifest = self.place.manifest(documents[-1].digest)
        return b"".join(verify.document(self.place, layer) for layer in manifest.layers)


def find(
    text: str, layout: Path | None, insecure: Sequence[str] = (), *, write: bool = False
) -> Named:
    """Return the image behind a name; one with neither `/`, `:` nor `@` is of the layout.

    Raises UsageError for an image of a layout where there is no layout, and LockstitchError when
    there is no such image. To `write` to a registry, it is asked for the right to.
    """
    if not set(text) & set("/:@"):
        if layout is None:
            message = f"`{text}` is the name of an image in a layout, and there is no project here"
            raise UsageError(message, hint="--layout PATH, or HOST/REPOSITORY:TAG")
        place = Layout(layout)
        return Named(name=text, place=place, manifest=place.manifest(text))
    reference = Reference.parse(text)
    client = Client(insecure=insecure)
    repository = RepositoryWriter(client, reference) if write else Repository(client, reference)
    manifest = repository.manifest(reference.which)
    return Named(name=reference.name, place=repository, manifest=manifest)
