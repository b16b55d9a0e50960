"""Two images down to the byte."""

import dataclasses
import json

import pytest
from support import images

from lockstitch.oci.entry import Entry, file, folder, symlink
from lockstitch.oci.model import Config, Image
from lockstitch.prove.compare import ImageDifference, Seen, compare

BASE = [folder("app"), file("app/a.txt", b"one\n"), file("app/b.txt", b"two\n")]


def seen(image: Image) -> Seen:
    return Seen(digest=image.digest, config=json.loads(image.config_bytes()), layers=image.layers)


def image(entries: list[Entry], *, title: str = "app files", **config: str) -> Seen:
    made = images.layer(entries, title)
    return seen(images.image(made, config=Config(env=config)))


def found(entries: list[Entry]) -> list[tuple[str, str, str, str]]:
    differences = compare(image(BASE), image(entries))
    assert {difference.layer for difference in differences} == {"app files"}
    return [
        (difference.entry, difference.what, difference.here, difference.there)
        for difference in differences
    ]


def test_equal_images_have_no_difference() -> None:
    assert compare(image(BASE), image(BASE)) == []


def test_the_first_byte_of_a_content_is_named() -> None:
    changed = [*BASE[:2], file("app/b.txt", b"twO!\n")]
    assert found(changed) == [
        ("app/b.txt", "size", "4", "5"),
        ("app/b.txt", "content from byte 2", "6f 0a", "4f 21 0a"),
    ]


def test_a_content_that_only_ends() -> None:
    changed = [*BASE[:2], file("app/b.txt", b"tw")]
    assert found(changed)[1] == ("app/b.txt", "content from byte 2", "6f 0a", "the end")


def test_a_mode() -> None:
    changed = [*BASE[:2], file("app/b.txt", b"two\n", mode=0o755)]
    assert found(changed) == [("app/b.txt", "mode", "0o644", "0o755")]


def test_another_kind_of_entry() -> None:
    kinds = {each[1] for each in found([*BASE[:2], symlink("app/b.txt", "a.txt")])}
    assert {"type", "link"} <= kinds


def test_entries_that_only_one_has() -> None:
    changed = [BASE[0], BASE[1], file("app/c.txt", b"")]
    assert found(changed) == [
        ("app/b.txt", "entry", "there", "missing"),
        ("app/c.txt", "entry", "missing", "there"),
    ]


def test_the_config_is_told_by_its_keys() -> None:
    assert compare(image(BASE, A="1"), image(BASE, A="2")) == [
        ImageDifference(
            layer="", entry="config config.Env", what="value", here="['A=1']", there="['A=2']"
        )
    ]


def test_layers_that_are_not_the_same_kind() -> None:
    differences = compare(image(BASE), image(BASE, title="other"))
    assert [str(difference) for difference in differences if difference.layer] == []
    changed = [*BASE[:2], file("app/b.txt", b"x")]
    (first, *_) = compare(image(BASE), image(changed, title="other"))
    assert str(first) == "`app files`: another layer stands here: app files here, other there"


def test_a_layer_more() -> None:
    one = images.layer(BASE, "app files")
    two = images.layer([file("x", b"")], "more")
    (first, *_) = compare(seen(images.image(one)), seen(images.image(one, two)))
    assert str(first) == "`more`: layer: none here, a layer there"


@pytest.mark.parametrize("size", [1, 1000])
def test_many_differences_end_somewhere(size: int) -> None:
    one = [file(f"f{n:04}", b"a") for n in range(size)]
    two = [file(f"f{n:04}", b"b") for n in range(size)]
    differences = compare(image(one), image(two))
    assert 0 < len(differences) <= 50
    assert dataclasses.asdict(differences[0])["entry"] == "f0000"
