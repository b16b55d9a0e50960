"""The CPython base: Debian's C library and friends, with a python-build-standalone archive."""

from lockstitch.lock.bases.base import Base, Kind, Sources
from lockstitch.lock.bases.cpython.archive import read_members
from lockstitch.lock.bases.cpython.base import Archive, CPythonBase, parse, read

__all__ = ["KIND", "Archive", "CPythonBase", "parse", "read_members"]


def _pin(
    base: str, platform: str, python: str, sources: Sources, packages: tuple[str, ...]
) -> Base:
    from lockstitch.lock.bases.cpython.pin import pin  # which only `lock` needs

    return pin(base, platform, python, sources, packages)


KIND = Kind(
    table="cpython",
    in_registry=False,
    matches=lambda base: base.partition(":")[0] == "cpython",
    pin=_pin,
    read=read,
)
