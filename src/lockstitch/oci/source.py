"""What one reads images from: a repository of a registry, or whatever has these methods."""

from collections.abc import Iterator
from typing import Protocol

from lockstitch.digest import Digest
from lockstitch.oci.manifest import Manifest
from lockstitch.oci.model import Descriptor

__all__ = ["Source"]


class Source(Protocol):
    """A place of manifests and blobs."""

    def manifest(self, which: Digest | str) -> Manifest:
        """Return the manifest or index of a digest, checked, or of a tag."""

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes; raises at the end when they are not what the descriptor says."""

    def referrers(self, digest: Digest, artifact_type: str = "") -> list[Descriptor]:
        """Return the manifests whose subject is a digest: bills of materials, signatures."""
