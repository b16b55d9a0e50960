"""Compares what this checkout gives with an image that somebody published."""

from pathlib import Path

from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Platform
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.repository import Repository
from lockstitch.prove.building import Outcome
from lockstitch.prove.compare import Seen, compare
from lockstitch.prove.result import Against

__all__ = ["compared"]


def compared(built: Outcome, image: str, reference: str) -> Against:
    """Return an image that was built here against a published one; bytes are read if need be.

    `reference` is a registry's, or `LAYOUT:NAME` for a folder of this machine.
    """
    (name,) = [each for each in built.images if each == image or each.startswith(f"{image}-")][:1]
    here = Seen.in_layout(built.layout, name)
    platform = Platform.parse(str(built.images[name]["platform"]))
    there = _published(reference, platform)
    return Against(
        image=name,
        reference=reference,
        here=str(here.digest),
        there=str(there.digest),
        differences=tuple(compare(here, there)),
    )


def _published(reference: str, platform: Platform) -> Seen:
    folder, _, name = reference.rpartition(":")
    if folder and (Path(folder) / "oci-layout").is_file():
        return Seen.in_layout(Layout(Path(folder)), name)
    parsed = Reference.parse(reference)
    repository = Repository(Client(), parsed)
    return Seen.of_source(repository, repository.image(parsed.which, platform))
