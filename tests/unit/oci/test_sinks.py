"""One image through every sink, read back and compared."""

import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.images import MadeLayer, image, layer, members, random_image
from support.registry import run

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci.entry import file
from lockstitch.oci.layout import Layout, write_docker_archive
from lockstitch.oci.model import Config, Healthcheck, Image
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.push import BlobLocations, RepositoryWriter, of_image, push
from lockstitch.oci.registry.repository import Repository
from lockstitch.oci.validate import problems
from lockstitch.progress import Quiet
from lockstitch.store import Store


@dataclass(frozen=True)
class ReadBack:
    """What any reader of any format finds."""

    config: Mapping[str, Any]
    layers: list[bytes]


def through_layout(made: Image, folder: Path) -> ReadBack:
    layout = Layout(folder / "images")
    layout.write(made, "demo")
    manifest = json.loads(layout.path(layout.manifest_digest("demo")).read_bytes())
    sha256 = folder / "images" / "blobs" / "sha256"
    blobs = {path.name: path.read_bytes() for path in sha256.iterdir()}
    return ReadBack(
        config=json.loads(blobs[manifest["config"]["digest"].removeprefix("sha256:")]),
        layers=[blobs[each["digest"].removeprefix("sha256:")] for each in manifest["layers"]],
    )


def through_archive(made: Image, folder: Path) -> ReadBack:
    write_docker_archive(made, folder / "image.tar", "demo:latest")
    with tarfile.open(folder / "image.tar") as opened:
        found = {member.name: opened.extractfile(member).read() for member in opened}
    (manifest,) = json.loads(found["manifest.json"])
    return ReadBack(
        config=json.loads(found[manifest["Config"]]),
        layers=[found[name] for name in manifest["Layers"]],
    )


def through_registry(made: Image, folder: Path) -> ReadBack:
    with run() as registry:
        reference = Reference.parse(f"{registry.address}/app:1")
        target = RepositoryWriter(Client(), reference)
        places = BlobLocations(Store(folder / "store"), reference.host)
        try:
            pushed = push(target, [of_image(made)], "1", places, Quiet())
        finally:
            assert registry.holes() == []
        assert pushed.digest == made.digest
        found = Repository(Client(), reference).manifest("1")
        return ReadBack(
            config=json.loads(target.small(found.config)),
            layers=[b"".join(target.blob(each)) for each in found.layers],
        )


SINKS = [through_layout, through_archive, through_registry]
Sink = Callable[[Image, Path], ReadBack]
FULL = Config(
    env={"A": "zoë"},
    command=("python",),
    ports=(80,),
    labels={"a": "b"},
    healthcheck=Healthcheck(command=("true",)),
)
IMAGES = {
    "no layer": image(),
    "one layer": image(layer([file("a", b"1")]), config=FULL),
    "an empty layer": image(layer([]), layer([file("a", b"1")])),
    "the same layer twice": image(layer([file("a", b"1")]), layer([file("a", b"1")])),
    **{f"random {seed}": random_image(seed) for seed in range(3)},
}


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("name", IMAGES)
def test_what_is_read_is_what_was_written(sink: Sink, name: str, tmp_path: Path) -> None:
    made = IMAGES[name]
    assert problems(made) == []
    found = sink(made, tmp_path)
    assert found.config == json.loads(made.config_bytes())
    assert found.layers == [b"".join(each.chunks()) for each in made.layers]
    assert found.config["rootfs"]["diff_ids"] == [each.facts.diff_id for each in made.layers]


@pytest.mark.parametrize("name", IMAGES)
def test_all_sinks_agree(name: str, tmp_path: Path) -> None:
    one, *others = [sink(IMAGES[name], tmp_path) for sink in SINKS]
    assert others == [one] * len(others)
    assert [set(members(data)) for data in one.layers] == [
        set(members(b"".join(each.chunks()))) for each in IMAGES[name].layers
    ]


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("other", [[file("a", b"2")], [file("a", b"1"), file("b", b"2" * 2000)]])
def test_a_layer_that_is_not_as_recorded_is_refused(
    sink: Sink, other: list[Any], tmp_path: Path
) -> None:
    right, wrong = layer([file("a", b"1")]), layer(other)
    lying = MadeLayer(facts=right.facts, created_by="lying", data=wrong.data)
    assert of_bytes(lying.data) != lying.facts.digest
    with pytest.raises(LockstitchError, match="lying"):
        sink(image(lying), tmp_path)
    assert not (tmp_path / "image.tar").exists()
    assert Layout(tmp_path / "images").names() == []
