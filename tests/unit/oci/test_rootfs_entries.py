"""Layers read back, whatever the chunks they come in."""

import dataclasses
import gzip
import io
import random
import tarfile

import pytest
from support.images import MadeLayer, layer, members

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci.entry import file, folder, symlink
from lockstitch.oci.layer import GZIP, TAR, ZSTD, LayerFacts, inflate, oci_type
from lockstitch.oci.rootfs import entries

MADE = layer([file("a/b", b"content" * 100), folder("c"), symlink("d", "a/b"), file("e", b"")])


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 10, 18, 511, 512, 513, 1 << 20])
def test_inflates_chunks_of_any_size(size: int) -> None:
    assert b"".join(inflate(pieces(MADE.data, size))) == gzip.decompress(MADE.data)


def test_nothing_inflates_to_nothing() -> None:
    assert b"".join(inflate([])) == b""
    assert b"".join(inflate([b"", b""])) == b""


def test_empty_chunks_do_no_harm() -> None:
    chunks = [part for piece in pieces(MADE.data, 7) for part in (b"", piece)]
    assert b"".join(inflate(chunks)) == gzip.decompress(MADE.data)


def test_members_of_other_writers() -> None:
    data = gzip.compress(b"one", mtime=5) + gzip.compress(b"", 1) + gzip.compress(b"two", 9)
    assert b"".join(inflate(pieces(data, 1))) == b"onetwo"


@pytest.mark.parametrize("chunk", [1, 4096])
def test_cut_off_input_is_an_error(chunk: int) -> None:
    data = gzip.compress(b"content" * 20) + gzip.compress(b"more")
    ends = {len(gzip.compress(b"content" * 20)), len(data)}
    for length in range(1, len(data)):
        if length not in ends:
            with pytest.raises(EOFError, match="cut off"):
                list(inflate(pieces(data[:length], chunk)))


def test_members_are_walked_in_order_without_content() -> None:
    found = list(entries(MADE))
    assert [member.name for member, _ in found] == ["a", "a/b", "c", "d", "e"]
    assert [content for _, content in found] == [b""] * 5


def test_wanted_content_is_read() -> None:
    found = {member.name: content for member, content in entries(MADE, lambda _: True)}
    assert found == {path: content for path, (_, content) in members(MADE.data).items()}
    assert found["a/b"] == b"content" * 100


def test_only_wanted_content_is_read() -> None:
    made = layer([file("a", b"1" * 5000), file("b", b"2" * 5000), file("c", b"3" * 10)])
    found = {member.name: content for member, content in entries(made, "b".__eq__)}
    assert found == {"a": b"", "b": b"2" * 5000, "c": b""}


def test_a_wanted_link_has_no_content() -> None:
    made = layer([file("z", b"1"), symlink("a", "z"), symlink("b", "nowhere")])
    assert [content for _, content in entries(made, "a b".__contains__)] == [b"", b"", b""]


def test_what_is_no_tar_is_an_error() -> None:
    data = gzip.compress(b"no tar at all" * 100)
    facts = LayerFacts(digest=MADE.facts.digest, diff_id=MADE.facts.digest, size=1, unpacked=1)
    with pytest.raises(LockstitchError, match="cannot be read"):
        list(entries(MadeLayer(facts=facts, created_by="x", data=data)))


@pytest.mark.parametrize("data", [MADE.data[:-5], MADE.data[:100], b"no gzip", MADE.data + b"x"])
def test_a_damaged_layer_is_an_error_that_names_it(data: bytes) -> None:
    damaged = MadeLayer(facts=MADE.facts, created_by="numpy 2.0", data=data)
    with pytest.raises(LockstitchError, match=r"layer `numpy 2\.0` cannot be read: "):
        list(entries(damaged))


def test_content_that_is_damaged_is_named_too() -> None:
    made = layer([file("a", random.Random(1).randbytes(100_000))])
    damaged = MadeLayer(facts=made.facts, created_by="numpy 2.0", data=made.data[:60_000])
    with pytest.raises(LockstitchError, match=r"layer `numpy 2\.0` cannot be read: "):
        list(entries(damaged, lambda _: True))


def test_a_damaged_header_is_not_the_end_of_the_archive() -> None:
    data = bytearray(gzip.decompress(MADE.data))
    data[512 + 20] ^= 1
    facts = dataclasses.replace(MADE.facts, media_type=TAR, size=len(data))
    with pytest.raises(LockstitchError, match=r"cannot be read: bad checksum"):
        list(entries(MadeLayer(facts=facts, created_by="x", data=bytes(data))))


def test_zeros_come_out_in_pieces() -> None:
    packed = gzip.compress(bytes(40 << 20))
    sizes = [len(each) for each in inflate([packed])]
    assert (sum(sizes), max(sizes)) == (40 << 20, 16 << 20)


def test_a_layer_may_be_a_plain_tar_and_all_its_bytes_are_shown() -> None:
    data = gzip.decompress(MADE.data) + bytes(4096)  # tar pads its end as it likes
    facts = dataclasses.replace(MADE.facts, media_type=TAR, size=len(data))
    seen = bytearray()
    plain = MadeLayer(facts=facts, created_by="plain", data=data)
    assert len(list(entries(plain, seen=seen.extend))) == len(members(MADE.data))
    assert bytes(seen) == data


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", GZIP),
        ("application/vnd.docker.image.rootfs.diff.tar", TAR),
        (ZSTD, ZSTD),
    ],
)
def test_docker_s_types_have_names_of_the_oci_spec(given: str, found: str) -> None:
    assert oci_type(given) == found


def test_what_is_no_layer_is_refused() -> None:
    with pytest.raises(LockstitchError, match="a layer of the type `text/html`"):
        oci_type("text/html")


def tar(name: str, *, size: str, data: bytes = b"", sparse: bool = False) -> MadeLayer:
    """Return a layer whose only file says by a pax header how large it is."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo(name)
        key = "GNU.sparse.realsize" if sparse else "size"
        more = {"GNU.sparse.map": "", "GNU.sparse.major": "0"} if sparse else {}
        member.pax_headers = {key: size, **more}
        archive.addfile(member, io.BytesIO(data))
    digest = of_bytes(made.getvalue())
    facts = LayerFacts(digest=digest, diff_id=digest, size=1, unpacked=1, media_type=TAR)
    return MadeLayer(facts=facts, created_by="x", data=made.getvalue())


@pytest.mark.parametrize("size", [str(2**62), "68719476737", "-512"])
def test_a_size_that_no_file_has_is_refused_before_it_is_read(size: str) -> None:
    with pytest.raises(LockstitchError, match="cannot be read"):
        list(entries(tar("a", size=size)))


def test_an_archive_that_ends_in_a_file_is_refused_soon() -> None:
    with pytest.raises(LockstitchError, match=r"it ends inside of a file|unexpected end of data"):
        list(entries(tar("a", size=str(1 << 36))))


def test_a_text_that_is_too_large_for_its_kind_is_refused() -> None:
    made = layer([file("etc/os-release", b"ID=a\n" * 300_000), file("etc/other", b"a" * 2_000_000)])
    assert len(list(entries(made, "etc/other".__eq__))) == 3
    with pytest.raises(
        LockstitchError, match=r"`etc/os-release` of layer `made` has 1500000 bytes"
    ):
        list(entries(made, "etc/os-release".__eq__))
