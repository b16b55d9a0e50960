"""An archive that `docker load`, `podman load` and skopeo read (Docker image spec 1.2)."""

from pathlib import Path
from typing import BinaryIO

from lockstitch import files
from lockstitch.digest import of_bytes
from lockstitch.oci import canonical, tar
from lockstitch.oci.entry import Entry, file
from lockstitch.oci.layer import Layer, checked
from lockstitch.oci.model import Image

__all__ = ["write"]


def write(image: Image, path: Path, tag: str) -> None:
    """Write the image as a docker archive with one tag; layers stay compressed.

    The same image and tag give the same bytes. The image's ID after `docker load` is the
    digest of the config.
    """
    config = image.config_bytes()
    name = f"{of_bytes(config).hex}.json"
    names = [f"{layer.facts.digest.hex}.tar.gz" for layer in image.layers]
    layers: dict[str, Layer] = dict(zip(names, image.layers, strict=True))
    # One name for each diffID of the config, even where two layers are the same file.
    manifest = [{"Config": name, "RepoTags": [tag], "Layers": names}]
    with files.atomic(path) as temporary, temporary.open("wb") as handle:
        _add(handle, file(name, config))
        for layer_name, layer in layers.items():
            size = layer.facts.size
            handle.write(tar.header(file(layer_name, b""), size=size))
            handle.writelines(checked(layer))
            handle.write(tar.padding(size))
        _add(handle, file("manifest.json", canonical.dumps(manifest)))
        handle.write(tar.END)


def _add(handle: BinaryIO, entry: Entry) -> None:
    handle.write(tar.header(entry))
    handle.writelines(entry.content.plain() if entry.content else ())
    handle.write(tar.padding(entry.size))
