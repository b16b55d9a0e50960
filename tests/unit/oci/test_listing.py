"""Lists of what layers hold: the same from who makes a layer and from who reads it."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.images import layer as made

from lockstitch.cli.main import main
from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci import listing, reader
from lockstitch.oci.entry import file, folder, symlink
from lockstitch.oci.layer import arrange, stitch
from lockstitch.oci.rootfs import image_files
from lockstitch.store import Store, default_root

SITE = "app/.venv/lib/python3.11/site-packages"
ENTRIES = [
    file(f"{SITE}/demo/__init__.py", b"print()\n"),
    file(f"{SITE}/demo/empty.py", b""),
    file(f"{SITE}/demo/__pycache__/__init__.cpython-311.pyc", b"\0" * 50),
    file(f"{SITE}/demo-1.dist-info/METADATA", "Name: d\u00e9mo\n".encode(), mode=0o600),
    file("var/lib/dpkg/status.d/libc6", b"Package: libc6\n"),
    file("usr/bin/program", b"\x7fELF", mode=0o755),
    folder("empty", mode=0o700),
    symlink("usr/bin/link", "program"),
]


def rows(found: listing.Listing) -> list[object]:
    return [
        (m.name, m.type, m.mode, m.size, m.linkname, dataclasses.astuple(f) if f else None)
        for m, f in found
    ]


def blob() -> tuple[Digest, bytes]:
    data = bytearray()
    facts = stitch(arrange(ENTRIES), data.extend)
    return facts.digest, bytes(data)


def read(data: bytes) -> listing.Listing:
    return list(image_files([data], listing.is_note, listing.in_site))


def test_who_makes_a_layer_lists_what_a_reader_finds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest, data = blob()
    found = listing.of_entries(arrange(ENTRIES))
    assert rows(found) == rows(read(data))
    listing.keep(found, digest, store)

    def never() -> Iterator[bytes]:
        pytest.fail("a layer that is known is not read")

    (known,) = listing.of_layers([(digest, never)], store)
    assert rows(known) == rows(found)


def test_layers_that_nobody_knows_are_read_once_in_their_order(tmp_path: Path) -> None:
    store, asked = Store(tmp_path), []
    other = made([file("etc/os-release", b"ID=debian\n")]).data
    digest, data = blob()

    def chunks(number: int, content: bytes) -> Iterator[bytes]:
        asked.append(number)
        yield content

    layers: list[listing.Source] = [
        (digest, lambda: chunks(0, data)),
        (of_bytes(other), lambda: chunks(1, other)),
        (None, lambda: chunks(2, other)),
    ]
    first = listing.of_layers(layers, store)
    assert [rows(each) for each in first] == [rows(read(each)) for each in (data, other, other)]
    assert sorted(asked) == [0, 1, 2]
    asked.clear()
    again = listing.of_layers(layers, store)
    assert list(map(rows, again)) == list(map(rows, first))
    assert asked == [2]  # the one without a digest
    assert listing.files_of(again)["etc/os-release"].content == b"ID=debian\n"


def test_a_layer_that_cannot_be_read_is_not_recorded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest, data = blob()

    def cut() -> Iterator[bytes]:
        yield data[:-30]

    def other() -> Iterator[bytes]:
        yield data
        message = "a blob is not as described"
        raise LockstitchError(message)

    with pytest.raises(LockstitchError, match="layer 0 cannot be read"):
        listing.of_layers([(digest, cut)], store)
    with pytest.raises(LockstitchError, match="not as described"):
        listing.of_layers([(digest, other)], store)
    assert store.record("listings-1", digest.hex) is None


@pytest.mark.parametrize("row", [None, 5, [1], ["a", "0", 0, 0, "", "sha256:x"], ["a"]])
def test_a_record_of_another_form_is_read_anew(row: object, tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest, data = blob()
    store.put_record("listings-1", digest.hex, [row])
    (found,) = listing.of_layers([(digest, lambda: iter([data]))], store)
    assert rows(found) == rows(read(data))


@pytest.mark.slow
def test_a_build_knows_what_its_layers_hold(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "serve", "--quiet"]) == 0
    image = reader.of_layout(locked / ".lockstitch" / "images", "serve")
    store = Store(default_root())
    known = 0
    for layer in image.layers:
        assert layer.descriptor
        record = store.record("listings-1", layer.descriptor.digest.hex)
        if record is not None:
            known += 1
            (found,) = listing.of_layers([(layer.descriptor.digest, layer.chunks)], store)
            assert rows(found) == rows(list(image_files(layer.chunks(), *PREDICATES)))
    assert known == len(image.layers) - 1  # all but the app files
    capsys.readouterr()
    assert main(["image", "inspect", "serve", "--json"]) == 0
    recorded = capsys.readouterr().out
    for kind in ("listings-1", "sizes-2"):
        for path in (default_root() / "records" / kind).glob("*/*"):
            path.unlink()
    assert main(["image", "inspect", "serve", "--json"]) == 0
    assert capsys.readouterr().out == recorded


@pytest.mark.slow
def test_the_fingerprint_of_an_image_is_the_same_once_it_is_recorded(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "serve", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["fingerprint", "serve", "--json"]) == 0
    first = capsys.readouterr().out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "of_layers", lambda *_: pytest.fail("read again"))
        assert main(["fingerprint", "serve", "--json"]) == 0
    assert capsys.readouterr().out == first
    store = Store(default_root())
    (path,) = (store.root / "records" / "image-fingerprints-1").glob("*/*")
    assert (
        json.loads(first)["packages"] == store.record(path.parents[1].name, path.stem)["packages"]
    )


PREDICATES = (listing.is_note, listing.in_site)
