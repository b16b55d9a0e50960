"""Layers lie on each other: the files that are left are those of the image."""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator

import pytest
import zstandard

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci import rootfs
from lockstitch.oci.rootfs import StoredFile


def tar(*members: tuple[str, bytes | str]) -> bytes:
    """Return a tar of files (bytes), symlinks (text), folders (a name that ends in /)."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as made:
        for name, content in members:
            entry = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                entry.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                kind, _, entry.linkname = content.partition(":")
                entry.type = tarfile.LNKTYPE if kind == "hard" else tarfile.SYMTYPE
            else:
                entry.size = len(content)
            made.addfile(entry, io.BytesIO(content if isinstance(content, bytes) else b""))
    return output.getvalue()


def layer(data: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter([data[at : at + 700] for at in range(0, len(data), 700)])


def held(*layers: bytes) -> dict[str, StoredFile]:
    return rootfs.files_of(
        [layer(each) for each in layers], content=lambda _: True, digest=lambda _: True
    )


@pytest.mark.parametrize(
    "packed",
    [lambda data: data, gzip.compress, zstandard.ZstdCompressor().compress],
    ids=["plain", "gzip", "zstd"],
)
def test_a_layer_may_be_packed_in_any_way(packed: Callable[[bytes], bytes]) -> None:
    assert held(packed(tar(("./etc/name", b"me")))) == {
        "etc/name": StoredFile(size=2, content=b"me", digest=of_bytes(b"me"))
    }


def test_later_layers_hide_what_is_below() -> None:
    below = tar(
        *(("a/one", b"1"), ("a/two", b"2"), ("a/deep/x", b"x"), ("b/three", b"3"), ("c", b"c")),
        ("d", b"d"),
    )
    above = tar(
        *(("a/.wh.two", b""), ("a/.wh.deep", b""), ("b/.wh..wh..opq", b""), ("b/new", b"n")),
        *(("c/", b""), ("d", b"other")),
    )
    found = held(below, above)
    assert sorted(found) == ["a/one", "b/new", "d"]
    assert found["d"].content == b"other"
    assert sorted(held(below, tar((".wh..wh..opq", b"")))) == []


def test_links_and_names_from_the_root() -> None:
    found = held(
        tar(("lib/real", b"r"), ("lib/link", "soft:real")),
        tar(("lib/second", "hard:lib/real"), ("/abs", b"a"), ("gone", "hard:x")),
    )
    assert found["lib/link"].target == "real"
    assert found["lib/second"].content == b"r"
    assert found["abs"].content == b"a"
    assert "gone" not in found


def test_a_name_that_leaves_the_root_is_refused() -> None:
    with pytest.raises(LockstitchError, match="leads out of the image"):
        held(tar(("../../out", b"o")))


def test_what_is_written_through_a_symlink_lands_where_it_leads() -> None:
    found = held(tar(("usr/lib/a", b"a"), ("lib", "soft:usr/lib")), tar(("lib/b", b"b")))
    assert sorted(found) == ["lib", "usr/lib/a", "usr/lib/b"]


def test_only_what_is_wanted_is_read() -> None:
    data = tar(("a", b"a"), ("b", b"b"))
    found = rootfs.files_of(
        [layer(data)], content=lambda path: path == "a", digest=lambda path: path == "b"
    )
    assert found == {
        "a": StoredFile(size=1, content=b"a"),
        "b": StoredFile(size=1, digest=of_bytes(b"b")),
    }


@pytest.mark.parametrize(
    "data",
    [b"no tar at all" * 60, gzip.compress(tar(("a", b"a")))[:-20]],
    ids=["no tar", "cut off"],
)
def test_a_damaged_layer_is_named(data: bytes) -> None:
    with pytest.raises(LockstitchError, match="layer 1 cannot be read"):
        held(tar(("a", b"a")), data)


def test_a_text_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "_TEXT", 10)
    with pytest.raises(LockstitchError, match="`big` has more than 10 bytes"):
        held(tar(("big", b"x" * 11)))
