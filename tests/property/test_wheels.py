"""Wheels: a stitched layer unpacks to exactly what `zipfile` gives, or the wheel is refused.

For random good wheels, for wheels that are hostile in one way each, and for good wheels with
bytes flipped, cut out, put in or cut off.
"""

import base64
import csv
import hashlib
import io
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.images import members
from support.zips import FILENAME, INFO, File, directory_at, patched, wheel

from lockstitch.errors import LockstitchError
from lockstitch.image.contents import InstalledWheel
from lockstitch.image.paths import APP
from lockstitch.oci.layer import arrange, stitch
from lockstitch.store import Store

SITE = "app/.venv/lib/python3.11/site-packages"
RECORD = f"{SITE}/{INFO}/RECORD"


def built(data: bytes, folder: str) -> bytes:
    """Return the layer of a wheel, made the way a build makes it."""
    store = Store(Path(folder))
    path = Path(folder) / FILENAME
    path.write_bytes(data)
    wheel = InstalledWheel(path, FILENAME, "3.11", trimmed=False)
    try:
        entries = arrange(wheel.entries({}), root=APP)
        with store.writer() as writer:
            facts = stitch(entries, writer.write)
            writer.commit(facts.digest)
    finally:
        wheel.close()
    return store.path(facts.digest).read_bytes()


def installed(layer: bytes) -> dict[str, bytes]:
    return {path: data for path, (member, data) in members(layer).items() if member.isreg()}


def zip_contents(data: bytes) -> dict[str, bytes]:
    """Return installed path → content as zipfile gives it, of what is carried as it is."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {
            f"{SITE}/{info.filename}": archive.read(info)
            for info in archive.infolist()
            if not info.is_dir() and info.filename != f"{INFO}/RECORD"
        }


def check(layer: bytes, data: bytes) -> None:
    """Assert that a layer holds what the zip does, a true RECORD, and our INSTALLER."""
    found = installed(layer)
    text = found[RECORD].decode()
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(text, newline=""))}
    for path, content in found.items():
        if path != RECORD:
            raw = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            expected = [f"sha256={raw.decode()}", str(len(content))]
            assert rows.pop(path.removeprefix(f"{SITE}/")) == expected
    assert rows == {f"{INFO}/RECORD": ["", ""]}
    installer = found.pop(f"{SITE}/{INFO}/INSTALLER")
    assert installer == b"lockstitch\n"
    del found[RECORD]
    assert found == zip_contents(data)


def left(folder: str) -> int:
    """Return how many files a store holds; the wheel itself is one."""
    return sum(1 for path in Path(folder).rglob("*") if path.is_file())


# --- good ones --------------------------------------------------------------------------

letters = st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='/\\"')
parts = st.one_of(
    st.sampled_from(["demo", "a.py", "b-1.0", "lib.so.1", "x y", "zoë", "日本", "long" * 30]),
    st.text(letters, min_size=1, max_size=10),
).filter(lambda part: part.strip(".") and not part.startswith(".wh.") and ".d" not in part)
names = st.lists(parts, min_size=1, max_size=4).map("/".join)
contents = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda piece, times: piece * times, st.binary(max_size=9), st.integers(0, 2000)),
)
files = st.builds(
    File,
    name=names.filter(lambda name: not name.endswith((".pyc", ".pyo"))),
    data=contents,
    level=st.integers(0, 9),
    mode=st.sampled_from([0o100644, 0o100755, 0o100600, 0]),
    zip64=st.booleans(),
)


def compatible(chosen: list[File]) -> bool:
    """Return whether no file lies in another one."""
    taken = {file.name for file in chosen}
    return not any(
        "/".join(file.name.split("/")[:n]) in taken
        for file in chosen
        for n in range(1, file.name.count("/") + 1)
    )


wheels = st.builds(
    lambda chosen, streamed: wheel(*chosen, streamed=streamed),
    st.lists(files, max_size=6, unique_by=lambda each: each.name).filter(compatible),
    st.booleans(),
)


@pytest.mark.slow
@given(wheels)
def test_a_layer_unpacks_to_what_zipfile_gives(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(built(data, folder), data)


# --- hostile ones -----------------------------------------------------------------------

GOOD = wheel(
    File(name="demo/__init__.py", data=b"x = 1\n" * 30),
    File(name="demo/data.bin", data=bytes(range(256)), level=0),
    File(name="demo/empty.py"),
    File(name="demo/run", data=b"#!/bin/sh\n" * 5, mode=0o100755),
)
STREAMED = wheel(
    File(name="demo/__init__.py", data=b"x = 1\n" * 30, zip64=True),
    File(name="demo/empty.py"),
    streamed=True,
)
LAYERS: dict[bytes, dict[str, bytes]] = {}


def good_contents(data: bytes) -> dict[str, bytes]:
    if data not in LAYERS:
        with tempfile.TemporaryDirectory() as folder:
            LAYERS[data] = installed(built(data, folder))
    return LAYERS[data]


bad_parts = st.sampled_from(["..", ".", "", ".wh.a", ".wh..wh..opq", "a\\b", "a\0b", "\0"])
bad_names = st.builds(
    lambda before, bad, after: "/".join([*before, bad, *after]),
    st.lists(parts, max_size=2),
    bad_parts,
    st.lists(parts, max_size=2),
).filter(
    lambda name: not (name.endswith("/") and name.count("//") == 0 and name.rstrip("/").strip("./"))
)


@given(bad_names)
@example("/etc/passwd")
@example("../../../../etc/cron.d/evil")
def test_a_hostile_name_is_refused_and_nothing_is_written(name: str) -> None:
    placeholder = "p" * max(len(name.encode()), 1)
    data = wheel(File(name=placeholder, data=b"evil")).replace(placeholder.encode(), name.encode())
    if not name.isascii():
        for place in ("local", "directory"):
            data = patched(data, name, **{place: {"flags": 0x800}})
    with tempfile.TemporaryDirectory() as folder:
        with pytest.raises(LockstitchError):
            built(data, folder)
        assert left(folder) == 1


fields = st.sampled_from(["flags", "method", "crc", "packed", "size"])


@given(
    st.sampled_from(["demo/__init__.py", "demo/data.bin", "demo/empty.py", "demo/run"]),
    st.dictionaries(fields, st.one_of(st.integers(0, 300), st.integers(0, 0xFFFF)), min_size=1),
    st.sampled_from(["both", "local", "directory"]),
)
def test_a_header_that_lies_is_refused_or_does_not_matter(
    name: str, changes: dict[str, int], place: str
) -> None:
    refused_or_identical(patched(GOOD, name, **{place: changes}), GOOD)


def refused_or_identical(data: bytes, good: bytes) -> None:
    """Assert that a spoilt wheel is refused, or gives what the good one and zipfile give."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            layer = built(data, folder)
        except LockstitchError:
            assert left(folder) == 1
            return
    assert installed(layer) == good_contents(good)
    assert zip_contents(data) == zip_contents(good)


edits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "set", "cut", "insert"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=3,
)


def spoilt(data: bytes, todo: list[tuple[str, float, bytes]]) -> bytes:
    found = bytearray(data)
    for kind, place, value in todo:
        at = int(place * len(found))
        if kind == "flip" and at < len(found):
            found[at] ^= value[0] or 0xFF
        elif kind == "set":
            found[at : at + len(value)] = value
        elif kind == "cut":
            del found[at : at + len(value)]
        else:
            found[at:at] = value
    return bytes(found)


@given(st.sampled_from([GOOD, STREAMED]), edits)
def test_random_damage_is_refused_or_does_not_matter(
    good: bytes, todo: list[tuple[str, float, bytes]]
) -> None:
    refused_or_identical(spoilt(good, todo), good)


@given(st.sampled_from([GOOD, STREAMED]), st.data())
def test_damage_of_the_directory_is_refused_or_does_not_matter(
    good: bytes, data: st.DataObject
) -> None:
    start = directory_at(good, "demo/__init__.py")
    at = data.draw(st.integers(start, len(good) - 1))
    value = data.draw(st.integers(1, 255))
    found = bytearray(good)
    found[at] ^= value
    refused_or_identical(bytes(found), good)


@pytest.mark.parametrize("good", [GOOD, STREAMED], ids=["seekable", "streamed"])
def test_a_wheel_cut_off_anywhere_is_refused(good: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for length in range(0, len(good), 7):
            with pytest.raises(LockstitchError):
                built(good[:length], folder)
    with pytest.raises(LockstitchError), tempfile.TemporaryDirectory() as folder:
        built(good[:-1], folder)
