"""What layers add up to: whiteouts, symlinks, hard links, folders without an entry."""

import random
import tarfile
from collections.abc import Iterator, Mapping

import pytest
from support.bases import Layer
from support.images import MadeLayer

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci.layer import TAR, LayerFacts
from lockstitch.oci.rootfs import RootFs, entries

Files = Mapping[str, bytes | str | int]


def stand(files: Files) -> MadeLayer:
    """Return an uncompressed layer."""
    data = Layer(files=files).tar()
    digest = of_bytes(data)
    facts = LayerFacts(digest=digest, diff_id=digest, size=len(data), unpacked=0, media_type=TAR)
    return MadeLayer(facts=facts, created_by="made", data=data)


def members(files: Files) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    return entries(stand(files), lambda _: True)


def tree(*layers: Files) -> RootFs[bytes]:
    made = RootFs[bytes]()
    for layer in layers:
        made.add(members(layer))
    return made


def content(made: RootFs[bytes], path: str) -> bytes | None:
    node = made.file(path)
    return node.content if node else None


def test_the_upper_layer_wins() -> None:
    made = tree({"etc/a": b"1", "etc/b": b"2"}, {"etc/a": b"3"})
    assert (content(made, "etc/a"), content(made, "/etc/b")) == (b"3", b"2")


def test_a_whiteout_hides_a_file_and_all_of_a_folder() -> None:
    made = tree({"a/x": b"1", "a/y/z": b"2", "ab": b"3"}, {"a/.wh.y": b"", ".wh.missing": b""})
    assert (content(made, "a/x"), content(made, "a/y/z"), content(made, "ab")) == (b"1", None, b"3")
    assert content(tree({"a/x": b"1", "ab": b"2"}, {".wh.a": b""}), "ab") == b"2"


@pytest.mark.parametrize("order", [("a/.wh..wh..opq", "a/new"), ("a/new", "a/.wh..wh..opq")])
def test_an_opaque_folder_hides_what_was_there_and_not_what_comes_with_it(
    order: tuple[str, str],
) -> None:
    made = tree({"a/old": b"1", "b": b"2"}, {path: path.encode() for path in order})
    assert (content(made, "a/old"), content(made, "a/new"), content(made, "b")) == (
        *(None, b"a/new", b"2"),
    )


def test_a_file_in_place_of_a_folder_hides_what_was_in_it() -> None:
    made = tree({"a/x": b"1"}, {"a": b"file"}, {"a/": 0o755, "a/y": b"2"})
    assert (content(made, "a/x"), content(made, "a/y")) == (None, b"2")


def test_symlinks_lead_on_and_stay_inside() -> None:
    made = tree(
        {
            "bin": "-> usr/bin",
            "usr/bin/python3": "-> ../../../../../etc/alternatives/python3",
            "etc/alternatives/python3": "-> /usr/local/bin/python3.11",
            "usr/local/bin/python3.11": b"program",
            "loop": "-> loop2",
            "loop2": "-> loop",
            "nowhere": "-> missing",
        }
    )
    assert made.resolve("/bin/python3") == "usr/local/bin/python3.11"
    assert content(made, "bin/python3") == b"program"
    assert (made.resolve("loop"), made.resolve("nowhere"), made.file("bin")) == (None, None, None)


def test_what_is_written_through_a_symlink_of_a_lower_layer_is_found() -> None:
    made = tree({"lib": "-> usr/lib", "usr/lib/a": b"1"}, {"lib/b": b"2"})
    assert (content(made, "usr/lib/b"), content(made, "lib/b")) == (b"2", b"2")


def test_a_hard_link_has_the_content_of_its_target_in_this_layer_or_below() -> None:
    made = tree({"a": b"1"}, {"b": "=> a", "c": b"3", "d": "=> c", "e": "=> missing"})
    assert [content(made, path) for path in "bde"] == [b"1", b"3", None]


def test_modes_are_those_of_the_tar_and_0755_without_an_entry() -> None:
    made = tree({"a/": 0o700, "a/b/c": b""})
    assert (made.mode("a"), made.mode("a/b"), made.mode("a/b/c")) == (0o700, 0o755, 0o755)


def test_a_path_out_of_the_root_is_refused() -> None:
    for name in ("../x", "a/../../x"):
        with pytest.raises(LockstitchError, match="leads out of the image"):
            tree({name: b""})


def test_the_bytes_of_a_layer_are_counted_once() -> None:
    made = RootFs[bytes]()
    assert made.add(members({"a": b"123", "b": "=> a", "c": "-> a", "d/": 0o755})) == 3


def plainly(layers: list[dict[str, bytes | str | int]]) -> dict[str, bytes]:
    """Apply layers of files alone in the way that the specification tells it."""
    root: dict[str, bytes] = {}
    for files in layers:
        for path in files:
            folder, _, name = path.rpartition("/")
            inside = f"{folder}/" if folder else ""
            if name == ".wh..wh..opq":
                root = {p: c for p, c in root.items() if not p.startswith(inside)}
            elif name.startswith(".wh."):
                hidden = inside + name.removeprefix(".wh.")
                root = {p: c for p, c in root.items() if f"{p}/".find(f"{hidden}/") != 0}
        root |= {p: c for p, c in files.items() if ".wh." not in p and isinstance(c, bytes)}
    return root


@pytest.mark.parametrize("seed", range(40))
def test_it_agrees_with_the_specification_read_plainly(seed: int) -> None:
    chance = random.Random(seed)
    layers: list[dict[str, bytes | str | int]] = []
    names = ("a", "b", "c")
    for number in range(4):
        files: dict[str, bytes | str | int] = {}
        for _ in range(chance.randint(1, 6)):
            folder = chance.choice(("", "d/", "d/e/"))
            name = chance.choice(names)
            kind = chance.randrange(4)
            path = f"{folder}.wh.{name}" if kind == 0 else f"{folder}{name}"
            if kind == 1 and folder:
                path = f"{folder}.wh..wh..opq"
            files[path] = f"{number}".encode()
        layers.append(files)
    made = tree(*layers)
    assert {path: node.content for path, node in made.files(lambda _: True)} == plainly(layers)
