"""The Debian base: which packages it is made of, chosen once from a mirror's signed lists."""

from lockstitch.lock.bases.debian.base import DebianBase, DebianPackage, downloads
from lockstitch.lock.bases.debian.selection import pin

__all__ = ["DebianBase", "DebianPackage", "downloads", "pin"]
