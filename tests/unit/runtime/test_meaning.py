"""What files mean, whatever their bytes are: `runtime/meaning.py`."""

import gzip
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

from lockstitch.runtime import meaning


def parts(path: Path) -> dict[str, str]:
    found = meaning.read(str(path))
    assert not found["problem"]
    return {name: digest for name, (digest, _) in found["parts"].items()}


def test_gzip_means_its_content(tmp_path: Path) -> None:
    one, two = tmp_path / "a.csv.gz", tmp_path / "b.csv.gz"
    one.write_bytes(gzip.compress(b"1,2\n", mtime=1))
    two.write_bytes(gzip.compress(b"1,2\n", mtime=2))
    assert one.read_bytes() != two.read_bytes()
    assert parts(one) == parts(two)


def test_json_means_its_values(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"b": [1, 2.5], "a": {"x": null}}')
    (tmp_path / "b.json").write_text('{"a": {"x": null},\n "b": [1, 2.6]}')
    one, two = parts(tmp_path / "a.json"), parts(tmp_path / "b.json")
    assert [name for name in one if one[name] != two[name]] == ["b[1]"]


class Model:
    """Keeps an address beside what it knows, as CountVectorizer does."""

    def __init__(self, knows: object) -> None:
        self.knows = knows
        self._stop_words_id = id(self)
        self.me = self


def test_a_pickle_means_its_parts_and_not_its_addresses(tmp_path: Path) -> None:
    for name, knows in (("a", {"z", "y"}), ("b", {"y", "z"}), ("c", {"y", "x"})):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(Model({"words": knows})))
    one, two, other = (parts(tmp_path / f"{name}.pkl") for name in "abc")
    assert one == two
    assert [name for name in one if one[name] != other[name]] == ["knows.words"]


def test_members_of_an_archive(tmp_path: Path) -> None:
    for name, year in (("a", 1990), ("b", 2020)):
        with zipfile.ZipFile(tmp_path / f"{name}.pt", "w") as archive:
            archive.writestr(zipfile.ZipInfo("data", (year, 1, 1, 0, 0, 0)), b"x")
    assert parts(tmp_path / "a.pt") == parts(tmp_path / "b.pt")


def test_a_picture_means_its_pixels(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(data))

    for name, word, level in (("a", b"Software\0one", 1), ("b", b"Software\0two", 9)):
        body = chunk(b"IHDR", b"head") + chunk(b"tEXt", word)
        body += chunk(b"IDAT", zlib.compress(b"pixels" * 99, level)) + chunk(b"IEND", b"")
        (tmp_path / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert parts(tmp_path / "a.png") == parts(tmp_path / "b.png")


def test_what_cannot_be_read_is_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    found = meaning.read(str(tmp_path / "a.json"))
    assert found["how"] == "bytes"
    assert found["problem"].startswith("JSONDecodeError")
    assert list(found["parts"]) == ["."]
