"""The docker archive: a tar that the standard library and `docker load` read."""

import json
import tarfile
from pathlib import Path

import pytest
from support.images import check_golden, image, layer, random_image

from lockstitch.oci.entry import file
from lockstitch.oci.layout import write_docker_archive
from lockstitch.oci.model import Image

LOWER, UPPER = layer([file("a", b"lower")], "lower"), layer([file("b", b"upper")], "upper")


def contents(path: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(path) as opened:
        for member in opened:
            content = opened.extractfile(member)
            assert content is not None
            found[member.name] = content.read()
    return found


def test_archive_golden(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    write_docker_archive(image(LOWER, UPPER), tmp_path / "out.tar", "demo:train")
    found = contents(tmp_path / "out.tar")
    lines = [f"{len(data):>6} {name}\n" for name, data in found.items()]
    manifest = json.dumps(json.loads(found["manifest.json"]), indent=2)
    check_golden(pytestconfig, "archive/demo.txt", "".join(lines) + f"\n{manifest}\n")


def test_docker_finds_config_and_layers(tmp_path: Path) -> None:
    made = image(LOWER, UPPER)
    write_docker_archive(made, tmp_path / "out.tar", "demo:train")
    found = contents(tmp_path / "out.tar")
    (manifest,) = json.loads(found["manifest.json"])
    assert manifest["RepoTags"] == ["demo:train"]
    assert manifest["Config"] == f"{made.config_descriptor().digest.hex}.json"
    assert found[manifest["Config"]] == made.config_bytes()
    assert [found[name] for name in manifest["Layers"]] == [LOWER.data, UPPER.data]
    assert list(found)[-1] == "manifest.json"


def test_every_diff_id_has_a_layer_even_where_two_are_alike(tmp_path: Path) -> None:
    # `docker load` refuses an archive whose layers and diffIDs differ in number.
    made = image(LOWER, UPPER, LOWER)
    write_docker_archive(made, tmp_path / "out.tar", "demo:train")
    found = contents(tmp_path / "out.tar")
    (manifest,) = json.loads(found["manifest.json"])
    diff_ids = json.loads(made.config_bytes())["rootfs"]["diff_ids"]
    assert len(manifest["Layers"]) == len(diff_ids) == 3
    assert [found[name] for name in manifest["Layers"]] == [LOWER.data, UPPER.data, LOWER.data]


@pytest.mark.parametrize("made", [image(), image(LOWER), random_image(1), random_image(5)])
def test_twice_the_same_bytes(tmp_path: Path, made: Image) -> None:
    for name in ("one", "two"):
        write_docker_archive(made, tmp_path / name, "demo:train")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").stat().st_size % 512 == 0


def test_members_say_nothing_of_the_host(tmp_path: Path) -> None:
    write_docker_archive(image(LOWER), tmp_path / "out.tar", "demo:train")
    with tarfile.open(tmp_path / "out.tar") as opened:
        facts = {(m.mode, m.uid, m.gid, m.uname, m.gname, m.mtime) for m in opened}
    assert facts == {(0o644, 0, 0, "", "", 315619200)}
