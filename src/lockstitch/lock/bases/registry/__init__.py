"""A base from a registry: any image with a CPython in it, pinned to a digest per platform."""

from lockstitch.lock.bases.registry.base import BaseLayer, RegistryBase, SystemPackage
from lockstitch.lock.bases.registry.pin import fetch, pin
from lockstitch.lock.bases.registry.table import document, read

__all__ = ["BaseLayer", "RegistryBase", "SystemPackage", "document", "fetch", "pin", "read"]
