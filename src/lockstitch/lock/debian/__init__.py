"""The Debian base: which packages it is made of, chosen once from a mirror's signed lists."""

from lockstitch.lock.debian.base import DebianBase, DebianPackage, downloads
from lockstitch.lock.debian.selection import pin

__all__ = ["DebianBase", "DebianPackage", "downloads", "pin"]
