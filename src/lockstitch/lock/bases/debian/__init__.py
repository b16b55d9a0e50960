"""The Debian base: which packages it is made of, chosen once from a mirror's signed lists."""

from lockstitch.lock.bases.base import Base, Kind, Sources
from lockstitch.lock.bases.debian.base import Added, DebianBase, DebianPackage, read

__all__ = ["KIND", "Added", "DebianBase", "DebianPackage"]


def _pin(
    base: str, platform: str, python: str, sources: Sources, packages: tuple[str, ...]
) -> Base:
    from lockstitch.lock.bases.debian.selection import pin  # which only `lock` needs

    return pin(base.partition(":")[2], platform, python, sources, packages)


KIND = Kind(
    table="debian",
    in_registry=False,
    matches=lambda base: base.partition(":")[0] == "debian",
    pin=_pin,
    read=read,
)
