"""A base from a registry: any image with a CPython in it, pinned to a digest per platform."""

from lockstitch.lock.bases.base import Base, Kind, Sources
from lockstitch.lock.bases.registry.base import RegistryBase, SystemPackage, read
from lockstitch.lock.bases.registry.pin import fetch, pin
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.repository import Repository

__all__ = ["KIND", "RegistryBase", "SystemPackage", "fetch", "pin"]


def _pin(base: str, platform: str, python: str, sources: Sources) -> Base:
    return pin(
        base,
        platform,
        python,
        repository=Repository(sources.client, Reference.parse(base)),
        store=sources.store,
        progress=sources.progress,
    )


KIND = Kind(
    table="registry",
    in_registry=True,
    matches=lambda _: True,
    pin=_pin,
    read=read,
)
