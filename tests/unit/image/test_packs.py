"""Compressed app files are kept by what is in them, and never taken for anything else."""

from pathlib import Path

import pytest

from lockstitch.digest import of_bytes
from lockstitch.image import packs
from lockstitch.oci import deflate
from lockstitch.oci.entry import Generated
from lockstitch.store import Store

TEXTS = {name: f"{name} has text and text and text\n".encode() * 9 for name in ("a", "b", "c")}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return what passes through the encoder."""
    seen: list[bytes] = []
    compress = deflate.compress

    def noted(data: bytes) -> bytes:
        seen.append(data)
        return compress(data)

    monkeypatch.setattr(deflate, "compress", noted)
    return seen


def pack(store: Store, folder: Path, texts: dict[str, bytes]) -> dict[str, tuple[bytes, bytes]]:
    """Return stream and content of each file, of one layer after the other of one name."""
    found = {}
    with packs.opened(store, "ab") as opened:
        for name, data in texts.items():
            (folder / name).write_bytes(data)
            content = opened.content(folder / name, len(data), of_bytes(data))
            assert content is not None
            plain = Generated(data)
            assert (content.size, content.crc) == (plain.size, plain.crc)
            found[name] = b"".join(content.deflated()), b"".join(content.plain())
        opened.keep()
    assert {name: plain for name, (_, plain) in found.items()} == texts
    return found


def blobs(store: Store) -> list[Path]:
    return [path for path in (store.root / "blobs").rglob("*") if path.is_file()]


def test_only_what_changed_is_compressed(
    store: Store, tmp_path: Path, encoded: list[bytes]
) -> None:
    first = pack(store, tmp_path, TEXTS)
    assert encoded == [*TEXTS.values()]
    encoded.clear()
    assert pack(store, tmp_path, TEXTS) == first
    assert encoded == []
    other = TEXTS | {"b": TEXTS["b"][5:]}
    second = pack(store, tmp_path, other)
    assert encoded == [other["b"]]
    assert second["a"] == first["a"]
    assert second["b"][0] == b"".join(Generated(other["b"]).deflated())
    assert len(blobs(store)) == 1  # the last pack is gone


def test_small_and_incompressible_files_are_as_ever(store: Store, tmp_path: Path) -> None:
    texts = {"empty": b"", "one": b"x", "noise": bytes(range(256)), "same": b"x"}
    for _ in range(2):
        found = pack(store, tmp_path, texts)
        for name, data in texts.items():
            assert found[name][0] == b"".join(Generated(data).deflated())


def test_a_file_of_another_digest_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    with packs.opened(store, "ab") as opened:
        assert opened.content(tmp_path / "a", 3, of_bytes(b"old")) is None


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "folder"])
def test_a_damaged_pack_is_made_again(
    damage: str, store: Store, tmp_path: Path, encoded: list[bytes]
) -> None:
    first = pack(store, tmp_path, TEXTS)
    (blob,) = blobs(store)
    data = bytearray(blob.read_bytes())
    data[7] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data if damage == "flip" else data[:20])
    if damage in {"gone", "folder"}:
        blob.unlink()
    if damage == "folder":
        blob.mkdir()
    encoded.clear()
    assert pack(store, tmp_path, TEXTS) == first
    assert encoded == [*TEXTS.values()]
    encoded.clear()
    assert pack(store, tmp_path, TEXTS) == first
    assert encoded == []


def test_what_is_gone_from_a_layer_is_gone_from_its_pack(store: Store, tmp_path: Path) -> None:
    pack(store, tmp_path, TEXTS)
    whole = blobs(store)[0].stat().st_size
    pack(store, tmp_path, {"a": TEXTS["a"]})
    (left,) = blobs(store)
    assert left.stat().st_size < whole / 2
