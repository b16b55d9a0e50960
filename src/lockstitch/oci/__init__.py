"""OCI images as values; knows nothing of Python projects and nothing of registries.

`__all__` is the public API, with one page: docs/reference/api-oci.md. A name is imported from its
module when it is first used, so that `import lockstitch.oci` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockstitch.digest import Digest
    from lockstitch.oci.entry import Entry, file, folder, symlink
    from lockstitch.oci.layer import FileLayer, Layer, LayerFacts, write_layer
    from lockstitch.oci.layout import Layout, write_docker_archive
    from lockstitch.oci.model import Config, Image, Platform, append, empty, with_config
    from lockstitch.oci.reader import StoredImage, StoredLayer, of_archive, of_layout
    from lockstitch.oci.rootfs import StoredFile, files_of
    from lockstitch.oci.validate import problems

__all__ = [
    "Config",
    "Digest",
    "Entry",
    "FileLayer",
    "Image",
    "Layer",
    "LayerFacts",
    "Layout",
    "Platform",
    "StoredFile",
    "StoredImage",
    "StoredLayer",
    "append",
    "empty",
    "file",
    "files_of",
    "folder",
    "of_archive",
    "of_layout",
    "problems",
    "symlink",
    "with_config",
    "write_docker_archive",
    "write_layer",
]

_MODULES = {
    "lockstitch.digest": "Digest",
    "lockstitch.oci.entry": "Entry file folder symlink",
    "lockstitch.oci.layer": "FileLayer Layer LayerFacts write_layer",
    "lockstitch.oci.layout": "Layout write_docker_archive",
    "lockstitch.oci.model": "Config Image Platform append empty with_config",
    "lockstitch.oci.reader": "StoredImage StoredLayer of_archive of_layout",
    "lockstitch.oci.rootfs": "StoredFile files_of",
    "lockstitch.oci.validate": "problems",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module (PEP 562)."""
    for module, names in _MODULES.items():
        if name in names.split():
            return getattr(import_module(module), name)
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")


def __dir__() -> list[str]:
    return sorted({*__all__, *globals()})
