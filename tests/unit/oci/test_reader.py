"""Images of other tools: layouts and archives, chosen by name and platform, checked by digest."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from support import images

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci import reader
from lockstitch.oci.entry import file
from lockstitch.oci.layout import Layout, write_docker_archive
from lockstitch.oci.model import INDEX_TYPE, Image
from lockstitch.oci.reader import StoredImage


def made(text: bytes = b"one") -> Image:
    return images.image(images.layer([file("a", text)]), images.layer([file("b", b"two")]))


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    root = tmp_path / "layout"
    Layout(root).write(made(), "one")
    return root


def check(found: StoredImage, image: Image) -> None:
    assert found.config == json.loads(image.config_bytes())
    read = [b"".join(layer.chunks()) for layer in found.layers]
    assert read == [b"".join(layer.chunks()) for layer in image.layers]


def refused(root: Path, **chosen: str) -> str:
    with pytest.raises(LockstitchError) as caught:
        reader.of_layout(root, **chosen)
    return caught.value.message.removeprefix(f"`{root}` ")


def test_a_layout_by_name_or_the_only_image(layout: Path) -> None:
    check(reader.of_layout(layout), made())
    check(reader.of_layout(layout, "one"), made())
    assert refused(layout, name="two") == "has no image `two` (it has: one)"
    Layout(layout).write(made(b"other"), "two")
    check(reader.of_layout(layout, "two"), made(b"other"))
    assert refused(layout) == "has not exactly one image (it has: one, two)"


def test_archives_of_docker_and_of_oci(layout: Path, tmp_path: Path) -> None:
    docker, oci = tmp_path / "docker.tar", tmp_path / "oci.tar"
    write_docker_archive(made(), docker, "demo:latest")
    with tarfile.open(oci, "w") as writer:
        writer.add(layout, ".")
    for path in (docker, oci):
        check(reader.of_archive(path), made())
    check(reader.of_archive(docker, "demo:latest"), made())
    check(reader.of_archive(oci, "one"), made())
    with pytest.raises(LockstitchError, match=r"has no image `x` \(it has: demo:latest\)"):
        reader.of_archive(docker, "x")


def put(root: Path, document: Any) -> dict[str, Any]:
    data = json.dumps(document).encode()
    digest = of_bytes(data)
    (root / "blobs" / "sha256" / digest.hex).write_bytes(data)
    return {"mediaType": INDEX_TYPE, "digest": digest, "size": len(data)}


def test_an_index_in_an_index_with_platforms_and_attestations(layout: Path) -> None:
    index = json.loads((layout / "index.json").read_bytes())
    manifest = index["manifests"][0]
    manifest.pop("annotations")
    arm = manifest | {"platform": {"os": "linux", "architecture": "arm64"}}
    proof = manifest | {"platform": {"os": "unknown", "architecture": "unknown"}}
    nested = put(layout, {"manifests": [manifest, arm, proof]})
    (layout / "index.json").write_text(json.dumps({"manifests": [nested]}))
    check(reader.of_layout(layout, platform="linux/amd64"), made())
    assert refused(layout).startswith("has not exactly one image (it has: linux/amd64, linux/arm64")
    assert refused(layout, platform="linux/riscv64").startswith("has no image `linux/riscv64`")


def test_what_is_damaged_is_said(layout: Path, tmp_path: Path) -> None:
    blobs = layout / "blobs" / "sha256"
    layer = made().layers[0].facts.digest
    good = (blobs / layer.hex).read_bytes()
    (blobs / layer.hex).chmod(0o644)
    (blobs / layer.hex).write_bytes(good + b"x")
    with pytest.raises(LockstitchError, match=rf"is sha256:\w+ \({len(good) + 1} bytes\)"):
        b"".join(reader.of_layout(layout).layers[0].chunks())
    (blobs / layer.hex).unlink()
    with pytest.raises(LockstitchError, match=f"lacks the blob {layer}"):
        b"".join(reader.of_layout(layout).layers[0].chunks())
    config = made().config_descriptor().digest
    (blobs / config.hex).write_bytes(b"{}")
    assert f"not {config}" in refused(layout)
    assert refused(tmp_path) == "is no image: it has no index.json"
    (tmp_path / "x.tar").write_bytes(b"nothing")
    with pytest.raises(LockstitchError, match="it is no archive of an image"):
        reader.of_archive(tmp_path / "x.tar")


@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        ("{", "is not a JSON object"),
        ("{}", "has not exactly one image (it has: none)"),
        ('{"manifests": [{}]}', "is not a descriptor: its size is no number of bytes"),
        ('{"manifests": []}', "has not exactly one image (it has: none)"),
    ],
)
def test_an_index_that_names_nothing(index: str, wanted: str, layout: Path) -> None:
    (layout / "index.json").write_text(index)
    assert wanted in refused(layout)


def test_indexes_without_end(layout: Path) -> None:
    inner = json.loads((layout / "index.json").read_bytes())
    for _ in range(5):
        inner = {"manifests": [put(layout, inner)]}
    (layout / "index.json").write_text(json.dumps(inner))
    assert refused(layout) == "is no image: its indexes never come to a manifest"


def test_an_archive_that_lacks_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    texts = {"c.json": "{}", "manifest.json": '[{"Config": "c.json", "Layers": ["gone"]}]'}
    with tarfile.open(path, "w") as writer:
        for name, text in texts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            writer.addfile(entry, io.BytesIO(text.encode()))
    with pytest.raises(LockstitchError, match="it lacks `gone`"):
        b"".join(reader.of_archive(path).layers[0].chunks())
