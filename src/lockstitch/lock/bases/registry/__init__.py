"""A base from a registry: any image with a CPython in it, pinned to a digest per platform."""

from lockstitch.errors import LockstitchError
from lockstitch.lock.bases.base import Base, Kind, Sources
from lockstitch.lock.bases.registry.base import FILES, RegistryBase, SystemPackage, read
from lockstitch.oci.reference import Reference

__all__ = ["FILES", "KIND", "RegistryBase", "SystemPackage"]


def _pin(
    base: str, platform: str, python: str, sources: Sources, packages: tuple[str, ...]
) -> Base:
    from lockstitch.lock.bases.registry.pin import pin  # which only `lock` needs
    from lockstitch.oci.registry.repository import Repository

    if packages:
        names = ", ".join(f"`{name}`" for name in packages)
        message = f"`{base}` is an image of a registry, which gets no packages: {names}"
        hint = f'base = "debian:bookworm" or "cpython:{python}", or an image that has them'
        raise LockstitchError(message, hint=hint)
    return pin(
        base,
        platform,
        python,
        repository=Repository(sources.client, Reference.parse(base)),
        store=sources.store,
        progress=sources.progress,
    )


KIND = Kind(table="registry", in_registry=True, matches=lambda _: True, pin=_pin, read=read)
