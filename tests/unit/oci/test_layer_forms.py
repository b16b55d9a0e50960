"""Layers in other forms: the same tar, with facts of their own."""

import dataclasses
import gzip
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from support.images import MadeLayer, image, layer, members, random_entries

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci.layer import GZIP, ZSTD, decompress, recompress
from lockstitch.oci.rootfs import entries
from lockstitch.oci.validate import problems

MADE = layer(random_entries(7), "seven")


def test_one_gzip_member_with_the_same_tar(tmp_path: Path) -> None:
    found = recompress(MADE, "gzip-single", tmp_path / "layer")
    data = (tmp_path / "layer").read_bytes()
    assert b"".join(found.chunks()) == data
    engine = zlib.decompressobj(31)
    engine.decompress(data)
    assert engine.eof
    assert engine.unused_data == b""
    assert gzip.decompress(data) == gzip.decompress(MADE.data)
    assert found.facts.digest == of_bytes(data) != MADE.facts.digest
    assert found.facts.size == len(data)
    assert found.facts.diff_id == MADE.facts.diff_id
    assert found.facts.unpacked == MADE.facts.unpacked
    assert (found.facts.media_type, found.created_by) == (GZIP, "seven")
    assert problems(image(found)) == []
    assert [member.name for member, _ in entries(found)] == [*members(MADE.data)]


def test_it_holds_no_time_and_no_name(tmp_path: Path) -> None:
    recompress(MADE, "gzip-single", tmp_path / "layer")
    header = (tmp_path / "layer").read_bytes()[:10]
    assert header[3:8] == bytes(5)  # flags and mtime


def test_zstd_with_the_same_tar(tmp_path: Path) -> None:
    found = recompress(MADE, "zstd", tmp_path / "layer")
    data = (tmp_path / "layer").read_bytes()
    assert data[:4] == b"\x28\xb5\x2f\xfd"
    plain = b"".join(decompress((data[at : at + 7] for at in range(0, len(data), 7)), ZSTD))
    assert plain == gzip.decompress(MADE.data)
    assert (found.facts.digest, found.facts.size) == (of_bytes(data), len(data))
    assert (found.facts.diff_id, found.facts.media_type) == (MADE.facts.diff_id, ZSTD)
    made = image(found)
    assert problems(made) == []
    assert [descriptor.media_type for descriptor in made.layer_descriptors()] == [ZSTD]


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: b"no zstd" + data])
def test_broken_zstd_is_found_by_validate(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    found = recompress(MADE, "zstd", tmp_path / "layer")
    data = spoil(b"".join(found.chunks()))
    facts = dataclasses.replace(found.facts, digest=of_bytes(data), size=len(data))
    text = problems(image(MadeLayer(facts=facts, created_by="broken", data=data)))
    assert text
    assert all(each.startswith("layer 0 (broken): ") for each in text)


def test_cut_off_zstd_is_an_error(tmp_path: Path) -> None:
    data = b"".join(recompress(MADE, "zstd", tmp_path / "layer").chunks())
    with pytest.raises(EOFError, match="cut off"):
        list(decompress([data[:-1]], ZSTD))


def test_zstd_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(LockstitchError, match="not installed") as caught:
        recompress(MADE, "zstd", tmp_path / "layer")
    assert caught.value.hint == "pip install 'lockstitch[zstd]'"
    assert not (tmp_path / "layer").exists()
    with pytest.raises(LockstitchError, match="not installed"):
        list(decompress([b""], ZSTD))


def test_a_layer_that_is_cut_off_is_not_recompressed(tmp_path: Path) -> None:
    cut = MadeLayer(facts=MADE.facts, created_by="cut", data=MADE.data[:-3])
    with pytest.raises(EOFError, match="cut off"):
        recompress(cut, "gzip-single", tmp_path / "layer")
