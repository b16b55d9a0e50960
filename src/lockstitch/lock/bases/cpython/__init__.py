"""The CPython base: Debian's C library and friends, with a python-build-standalone archive."""

from lockstitch.lock.bases.base import Kind
from lockstitch.lock.bases.cpython.archive import read_members
from lockstitch.lock.bases.cpython.base import Archive, CPythonBase, parse, read
from lockstitch.lock.bases.cpython.pin import can_fetch, pin

__all__ = ["KIND", "Archive", "CPythonBase", "can_fetch", "parse", "pin", "read_members"]

KIND = Kind(
    table="cpython",
    in_registry=False,
    matches=lambda base: base.partition(":")[0] == "cpython",
    pin=pin,
    read=read,
)
