"""Images that a command is given by name: of the project's layout, or of a registry."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstitch.cli import pushing
from lockstitch.cli.session import layout_folder
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
from lockstitch.python.load import find_root, load
from lockstitch.python.model import Project

__all__ = ["Named", "add_options", "find", "images", "project_of", "said"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a name means: a manifest or an index, and the place where it stands."""

    name: str  # the repository's, or the image's in the layout
    place: Layout | Repository
    manifest: Manifest

    @property
    def digest(self) -> Digest:
        """The digest of what the name means, of an index too."""
        return self.manifest.digest

    def __str__(self) -> str:
        """Return it by digest."""
        return f"{self.name}@{self.digest}"


def add_options(parser: argparse.ArgumentParser, *, platform: bool = True) -> None:
    """Add the operand REF and the options that say where to look for it."""
    parser.add_argument(
        "reference",
        metavar="REF",
        help="HOST/REPOSITORY[:TAG][@DIGEST], or the name of an image in the layout",
    )
    group = parser.add_argument_group("where to look")
    group.add_argument(
        "--layout", metavar="PATH", type=Path, help="OCI layout (default: .lockstitch/images)"
    )
    if platform:
        group.add_argument(
            "--platform", metavar="P", help="of an index, the image of this platform"
        )
    pushing.add_insecure(group)


def project_of(options: argparse.Namespace) -> Project | None:
    """Return the project that a command runs in, or None outside of any."""
    try:
        find_root(options.project)
    except LockstitchError:
        return None
    return load(options.project)


def find(options: argparse.Namespace, project: Project | None, *, write: bool = False) -> Named:
    """Return what REF means; a name with neither `/`, `:` nor `@` is an image of the layout."""
    text = options.reference
    if not set(text) & set("/:@"):
        folder = options.layout or (layout_folder(project) if project else None)
        if folder is None:
            message = f"`{text}` is the name of an image in a layout, and there is no project here"
            raise UsageError(message, hint="--layout PATH, or HOST/REPOSITORY:TAG")
        layout = Layout(folder)
        return Named(name=text, place=layout, manifest=layout.manifest(text))
    reference = Reference.parse(text)
    client = Client(insecure=options.insecure_registry)
    place = RepositoryWriter(client, reference) if write else Repository(client, reference)
    return Named(name=reference.name, place=place, manifest=place.manifest(reference.which))


def images(named: Named, platform: str) -> Sequence[Manifest]:
    """Return the images that a name means: of an index all, or the one of a platform."""
    found = named.manifest
    if not found.is_index:
        return [found]
    if platform:
        wanted = [found.for_platform(Platform.parse(platform))]
    else:
        # Attestations of BuildKit stand under `unknown/unknown`.
        wanted = [e for e in found.manifests if e.platform and e.platform.os != "unknown"]
    return [named.place.manifest(each.digest) for each in wanted]


def said(named: Named, image: Manifest, kind: str) -> bytes:
    """Return the document of a type about an image, the last where there are several.

    Raises LockstitchError when there is none.
    """
    found = named.place.referrers(image.digest, kind)
    if not found:
        message = f"nothing of the type `{kind}` refers to {named.name}@{image.digest}"
        raise LockstitchError(
            message, hint="lockstitch build, or push again from where it was built"
        )
    manifest = named.place.manifest(found[-1].digest)
    return b"".join(verify.document(named.place, layer) for layer in manifest.layers)
