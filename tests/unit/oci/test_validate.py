"""`validate` names every planted break and nothing in a good image."""

import dataclasses
import gzip
import io
import tarfile
import zlib
from collections.abc import Sequence

import pytest
from support.images import MadeLayer, image, layer, random_image

from lockstitch.digest import of_bytes
from lockstitch.oci.entry import MTIME, TAR_END, file, tar_header
from lockstitch.oci.layer import LayerFacts
from lockstitch.oci.model import Config
from lockstitch.oci.validate import problems

GOOD = layer([file("a", b"one"), file("b/c", b"two" * 300)], "good")


def planted(*, title: str = "planted", **facts: object) -> MadeLayer:
    """Return the good layer with facts that are not its own."""
    return MadeLayer(
        facts=dataclasses.replace(GOOD.facts, **facts), created_by=title, data=GOOD.data
    )


def foreign(*members: tarfile.TarInfo, plain: bytes | None = None) -> MadeLayer:
    """Return a layer that the standard library wrote; its own facts are right."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as made:
        for member in members:
            made.addfile(member, io.BytesIO(bytes(member.size)))
    plain = output.getvalue() if plain is None else plain
    data = gzip.compress(plain, mtime=0)
    facts = LayerFacts(
        digest=of_bytes(data),
        diff_id=of_bytes(plain),
        size=len(data),
        unpacked=sum(member.size for member in members),
    )
    return MadeLayer(facts=facts, created_by="foreign", data=data)


def member(name: str, **changes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mtime = MTIME
    for key, value in changes.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize("seed", range(30))
def test_random_images_are_valid(seed: int) -> None:
    assert problems(random_image(seed)) == []


def test_an_empty_image_is_valid() -> None:
    assert problems(image()) == []


def test_a_tar_of_the_standard_library_can_be_valid() -> None:
    long = member("x" * 150, size=700)
    assert problems(image(foreign(member("a", size=5), long))) == []


def test_a_command_needs_a_layer() -> None:
    found = problems(image(config=Config(command=("true",))))
    assert found == ["the config names a command but the image has no layer"]


OTHER = of_bytes(b"other")
BREAKS = [
    (planted(digest=OTHER), f"digest is {GOOD.facts.digest}, the manifest says {OTHER}"),
    (planted(size=7), f"size is {GOOD.facts.size}, the manifest says 7"),
    (planted(diff_id=OTHER), f"diffID is {GOOD.facts.diff_id}, the config says {OTHER}"),
    (foreign(member("b"), member("a")), "`a` is not in order"),
    (foreign(member("a/b"), member("a-b")), "`a-b` is not in order"),
    (foreign(member("a", uid=1000)), "`a` has an owner: 1000:0"),
    (foreign(member("a", gid=7)), "`a` has an owner: 0:7"),
    (foreign(member("a", uname="root")), "`a` has an owner: 0:0"),
    (foreign(member("a", gname="root")), "`a` has an owner: 0:0"),
    (foreign(member("a", mtime=5)), f"`a` has the time 5, not {MTIME}"),
    (foreign(member("a"), member("a")), "`a` is there twice"),
    (
        foreign(member("a"), member("b", type=tarfile.LNKTYPE, linkname="a")),
        "`b` is neither file, folder nor symlink",
    ),
    (foreign(member("a", type=tarfile.CHRTYPE)), "`a` is neither file, folder nor symlink"),
    (foreign(member("a", type=tarfile.FIFOTYPE)), "`a` is neither file, folder nor symlink"),
    (foreign(member("/a")), "`'/a'` is not a safe path for an image"),
    (foreign(member("../a")), "`'../a'` is not a safe path for an image"),
    (foreign(member("./a")), "`'./a'` is not a safe path for an image"),
    (
        foreign(member("a/.wh.b")),
        "`a/.wh.b` has a name that starts with `.wh.`, which deletes files",
    ),
]


@pytest.mark.parametrize(("broken", "text"), BREAKS, ids=[text[:40] for _, text in BREAKS])
def test_each_break_is_found_alone(broken: MadeLayer, text: str) -> None:
    found = problems(image(GOOD, broken, config=Config(command=("true",))))
    assert found == [f"layer 1 ({broken.created_by}): {text}"]


def test_wrong_unpacked_size_is_found() -> None:
    found = problems(image(planted(unpacked=12345)))
    assert len(found) == 1
    assert "12345" in found[0]
    assert str(GOOD.facts.unpacked) in found[0]


def test_all_breaks_are_listed_not_only_the_first() -> None:
    many = foreign(member("b", uid=5, mtime=9), member("a"))
    found = problems(image(planted(size=7, diff_id=OTHER), GOOD, many))
    assert [text.partition(":")[0] for text in found] == [
        "layer 0 (planted)",
        "layer 0 (planted)",
        "layer 2 (foreign)",
        "layer 2 (foreign)",
        "layer 2 (foreign)",
    ]


def packed(data: bytes) -> MadeLayer:
    facts = LayerFacts(digest=of_bytes(data), diff_id=OTHER, size=len(data), unpacked=0)
    return MadeLayer(facts=facts, created_by="packed", data=data)


@pytest.mark.parametrize(
    "data",
    [
        GOOD.data[:-1],
        GOOD.data[: len(GOOD.data) // 2],
        GOOD.data + b"garbage",
        b"no gzip at all",
        GOOD.data[:20] + bytes([GOOD.data[20] ^ 0xFF]) + GOOD.data[21:],
        zlib.compress(b"zlib, not gzip"),
    ],
)
def test_what_does_not_inflate_is_found(data: bytes) -> None:
    (found,) = problems(image(packed(data)))
    assert found.startswith("layer 0 (packed): does not inflate: ")


@pytest.mark.parametrize("plain", [b"", b"no tar", b"x" * 5000, gzip.decompress(GOOD.data)[:700]])
def test_what_is_no_tar_is_found_and_not_raised(plain: bytes) -> None:
    found = problems(image(foreign(plain=plain)))
    assert found
    assert all(text.startswith("layer 0 (foreign): ") for text in found)


def test_a_name_that_is_no_utf8_is_found_and_not_raised() -> None:
    block = bytearray(tar_header(file("caf_", b"")))
    block[3] = 0xE9  # é in Latin-1
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    found = problems(image(foreign(plain=bytes(block) + TAR_END)))
    assert len(found) == 1
    assert found[0].startswith("layer 0 (foreign): ")


def test_shallow_reads_no_layer() -> None:
    class Unread:
        facts, created_by = GOOD.facts, "unread"

        def chunks(self) -> Sequence[bytes]:
            pytest.fail("read")

    assert problems(image(Unread()), deep=False) == []
