"""A base from a registry: any image with a CPython in it, pinned to a digest per platform."""

from lockstep.lock.registry.base import BaseLayer, RegistryBase, SystemPackage
from lockstep.lock.registry.pin import fetch, pin
from lockstep.lock.registry.table import document, read

__all__ = ["BaseLayer", "RegistryBase", "SystemPackage", "document", "fetch", "pin", "read"]
