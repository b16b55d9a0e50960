"""The OCI layout folder: what is written, skipped, replaced, swept, and never left half done."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.images import MadeLayer, check_golden, image, layer

from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci.entry import file
from lockstitch.oci.layer import LayerFacts
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Config
from lockstitch.store import Store

LOWER, UPPER = layer([file("a", b"lower")], "lower"), layer([file("b", b"upper")], "upper")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "images")


def blobs(layout: Layout) -> dict[str, bytes]:
    folder = layout.root / "blobs" / "sha256"
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def everything(layout: Layout) -> dict[str, tuple[bytes, int]]:
    """Return path → (bytes, time of the last write)."""
    return {
        path.relative_to(layout.root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in layout.root.rglob("*")
        if path.is_file()
    }


def test_layout_golden(layout: Layout, pytestconfig: pytest.Config) -> None:
    layout.write(image(LOWER, UPPER), "train")
    layout.write(image(LOWER), "serve")
    lines = [f"{len(data):>5} {path}\n" for path, (data, _) in sorted(everything(layout).items())]
    index = json.dumps(json.loads((layout.root / "index.json").read_bytes()), indent=2)
    mark = (layout.root / "oci-layout").read_text()
    check_golden(pytestconfig, "layout/tree.txt", "".join(lines) + f"\n{mark}\n\n{index}\n")


def test_blobs_are_named_by_what_they_hold(layout: Layout) -> None:
    made = image(LOWER, UPPER)
    assert layout.write(made, "train") is True
    found = blobs(layout)
    assert {name: of_bytes(data).hex for name, data in found.items()} == {n: n for n in found}
    assert set(found) == {
        each.hex
        for each in (
            made.digest,
            made.config_descriptor().digest,
            LOWER.facts.digest,
            UPPER.facts.digest,
        )
    }


def test_what_was_written_is_read_back(layout: Layout) -> None:
    made = image(LOWER, UPPER)
    layout.write(made, "train")
    assert layout.names() == ["train"]
    assert layout.manifest_digest("train") == made.digest
    manifest = layout.document(made.digest)
    assert manifest == json.loads(made.manifest_bytes())
    config = Digest.parse(manifest["config"]["digest"])
    assert layout.document(config) == json.loads(made.config_bytes())
    assert b"".join(layout.blob(next(image(LOWER).layer_descriptors()))) == LOWER.data


def test_a_second_write_says_nothing_new_and_touches_nothing(layout: Layout) -> None:
    layout.write(image(LOWER), "train")
    before = everything(layout)
    assert layout.write(image(LOWER), "train") is False
    assert everything(layout) == before


class Unread:
    """A layer whose bytes may not be read."""

    facts, created_by = LOWER.facts, LOWER.created_by

    def chunks(self) -> Iterator[bytes]:
        pytest.fail("a layer that is here is read again")


def test_a_layer_that_is_here_is_not_read_again(layout: Layout) -> None:
    layout.write(image(LOWER), "train")
    assert layout.write(image(Unread(), UPPER), "serve") is True
    assert layout.names() == ["serve", "train"]


def test_a_blob_of_another_size_is_written_again(layout: Layout) -> None:
    layout.write(image(LOWER), "train")
    layout.path(LOWER.facts.digest).unlink()
    layout.path(LOWER.facts.digest).write_bytes(b"half")
    assert layout.write(image(LOWER), "train") is True
    assert layout.path(LOWER.facts.digest).read_bytes() == LOWER.data


def test_a_name_is_replaced_and_the_old_image_swept(layout: Layout) -> None:
    old, new = image(LOWER, created=1), image(UPPER, created=2)
    layout.write(old, "train")
    layout.write(new, "train")
    assert layout.names() == ["train"]
    assert layout.manifest_digest("train") == new.digest
    gone = [LOWER.data, old.config_bytes(), old.manifest_bytes()]
    assert layout.sweep() == sum(map(len, gone))
    assert set(blobs(layout)) == {
        new.digest.hex,
        new.config_descriptor().digest.hex,
        UPPER.facts.digest.hex,
    }
    assert layout.sweep() == 0


def test_sweep_keeps_what_another_image_needs(layout: Layout) -> None:
    layout.write(image(LOWER, UPPER), "train")
    layout.write(image(LOWER), "serve")
    before = blobs(layout)
    assert layout.sweep() == 0
    assert blobs(layout) == before


def test_sweep_removes_what_a_killed_write_left(layout: Layout) -> None:
    layout.write(image(LOWER), "train")
    left = layout.root / "blobs" / "sha256" / f".{'0' * 64}.abcd.lockstitch-tmp"
    left.write_bytes(b"12345")
    assert layout.sweep() == 5
    assert not left.exists()


def test_sweep_of_nothing(layout: Layout) -> None:
    assert layout.sweep() == 0
    assert not layout.root.exists()


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_order_of_builds_does_not_show(layout: Layout, names: tuple[str, str]) -> None:
    images = {"a": image(LOWER), "b": image(UPPER)}
    for name in names:
        layout.write(images[name], name)
    index = json.loads((layout.root / "index.json").read_bytes())
    assert [each["digest"] for each in index["manifests"]] == [
        images["a"].digest,
        images["b"].digest,
    ]


@pytest.mark.parametrize("gone", ["oci-layout", "index.json"])
def test_a_file_of_the_layout_that_is_gone_is_written_again(layout: Layout, gone: str) -> None:
    # Without the mark, skopeo and podman do not take the folder for a layout.
    layout.write(image(LOWER), "train")
    before = (layout.root / gone).read_bytes()
    (layout.root / gone).unlink()
    assert layout.write(image(LOWER), "train") is True
    assert (layout.root / gone).read_bytes() == before


def test_builds_at_the_same_time_all_get_their_name(layout: Layout) -> None:
    names = [f"image-{n}" for n in range(8)]

    def write(name: str) -> bool:
        return Layout(layout.root).write(image(LOWER, config=Config(user=name)), name)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(write, names)) == [True] * 8
    assert layout.names() == names
    assert layout.sweep() == 0


def test_a_config_alone_makes_it_new(layout: Layout) -> None:
    layout.write(image(LOWER), "train")
    assert layout.write(image(LOWER, config=Config(user="1")), "train") is True


def test_a_layer_that_is_not_as_recorded_is_refused(layout: Layout) -> None:
    wrong = MadeLayer(facts=LOWER.facts, created_by="wrong", data=UPPER.data)
    with pytest.raises(LockstitchError) as caught:
        layout.write(image(wrong), "train")
    assert "layer `wrong` is " in caught.value.message
    assert str(UPPER.facts.digest) in caught.value.message
    assert str(LOWER.facts.digest) in caught.value.message
    assert "lockstitch build" in caught.value.hint
    assert layout.names() == []
    assert blobs(layout) == {}


class Broken:
    """A layer whose source fails half-way."""

    facts, created_by = UPPER.facts, "broken"

    def chunks(self) -> Iterator[bytes]:
        yield UPPER.data[:20]
        raise OSError(5, "disk on fire")


def test_a_failed_write_leaves_the_old_name(layout: Layout) -> None:
    old = image(LOWER)
    layout.write(old, "train")
    before = everything(layout)
    with pytest.raises(OSError, match="on fire"):
        layout.write(image(LOWER, Broken()), "train")
    assert everything(layout) == before
    assert layout.manifest_digest("train") == old.digest


KILLED = """
import os, signal, sys
from pathlib import Path
from support.images import image, layer
from lockstitch.oci.entry import file
from lockstitch.oci.layout import Layout

class Deadly:
    made = layer([file("b", b"upper")], "upper")
    facts, created_by = made.facts, "deadly"
    def chunks(self):
        yield self.made.data[:20]
        os.kill(os.getpid(), signal.SIGKILL)

Layout(Path(sys.argv[1])).write(image(layer([file("a", b"lower")]), Deadly()), "train")
"""


@pytest.mark.slow
def test_a_killed_write_leaves_no_name_and_the_next_one_works(layout: Layout) -> None:
    tests = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(layout.root)],
        env=os.environ | {"PYTHONPATH": tests},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert layout.names() == []
    assert UPPER.facts.digest.hex not in blobs(layout)
    made = image(LOWER, UPPER)
    assert layout.write(made, "train") is True
    assert layout.manifest_digest("train") == made.digest
    layout.sweep()
    assert {of_bytes(data).hex for data in blobs(layout).values()} == set(blobs(layout))


class InStore:
    """A layer that says where its file is."""

    def __init__(self, made: MadeLayer, path: Path) -> None:
        self.facts: LayerFacts = made.facts
        self.created_by, self.path = made.created_by, path

    def chunks(self) -> Iterator[bytes]:
        yield self.path.read_bytes()


def test_a_layer_in_the_store_takes_no_second_place(layout: Layout, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digest = store.put(LOWER.data)
    layout.write(image(InStore(LOWER, store.path(digest))), "train")
    assert layout.path(digest).read_bytes() == LOWER.data
    assert layout.path(digest).samefile(store.path(digest))


def test_the_store_s_file_stays_read_only(layout: Layout, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digest = store.put(LOWER.data)
    before = store.path(digest).stat().st_mode & 0o777
    layout.write(image(InStore(LOWER, store.path(digest))), "train")
    assert store.path(digest).stat().st_mode & 0o777 == before


def test_a_file_of_the_store_that_was_cut_short_is_refused(layout: Layout, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    path.write_bytes(LOWER.data[:-1])
    with pytest.raises(LockstitchError, match="not as recorded"):
        layout.write(image(InStore(LOWER, path)), "train")
    assert layout.names() == []


def test_an_unknown_name_lists_the_known(layout: Layout) -> None:
    with pytest.raises(LockstitchError, match=r"has no image `serve` \(it has: none\)"):
        layout.manifest_digest("serve")
    layout.write(image(LOWER), "train")
    layout.write(image(LOWER), "base")
    with pytest.raises(LockstitchError, match=r"`serve` \(it has: base, train\)") as caught:
        layout.manifest_digest("serve")
    assert caught.value.hint == "lockstitch build serve"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"manifests":[{}]}', '{"manifests":[{"annotations":{}}]}']
)
def test_a_foreign_index_is_refused(layout: Layout, text: str) -> None:
    layout.root.mkdir()
    (layout.root / "index.json").write_text(text)
    with pytest.raises(LockstitchError, match="is not an index of named images"):
        layout.names()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-9],
        lambda data: data.replace(b'"ref.name"', b'"ref.nome"').replace(b"ref.name", b"ref.nome"),
        lambda data: data.replace(b"sha256:", b"sha257:"),
        lambda data: data.replace(b'"size":', b'"size":1'),
        lambda data: b"[" * 100_000,
        lambda data: b'{"manifests":[1,{"digest":1},null]}',
        lambda data: b'{"manifests":' + data[data.index(b"[") : data.rindex(b"]")] + b",{}]}",
        lambda data: data.replace(
            b"}]", b"}," + data[data.index(b"[") + 1 : data.rindex(b"]")] + b"]"
        ),
    ],
)
def test_an_own_index_that_is_damaged_keeps_what_is_whole(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    layout = Layout(tmp_path / "images", own=True)
    layout.write(image(LOWER), "train")
    path = layout.root / "index.json"
    before = path.read_bytes()
    path.write_bytes(damage(before))
    assert layout.write(image(UPPER), "serve")
    assert layout.manifest("serve").digest == image(UPPER).digest
    assert {*layout.names()} in ({"serve"}, {"serve", "train"})
    layout.write(image(LOWER), "train")
    again = Layout(tmp_path / "again", own=True)
    for name, made in (("train", image(LOWER)), ("serve", image(UPPER))):
        again.write(made, name)
    assert path.read_bytes() == (again.root / "index.json").read_bytes()


def test_a_whole_entry_beside_a_damaged_one_is_kept(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "images", own=True)
    layout.write(image(LOWER), "train")
    path = layout.root / "index.json"
    whole = path.read_bytes()
    entry = whole[whole.index(b"[") + 1 : whole.rindex(b"]")]
    strange = entry.replace(b"amd64", b"a}d64").replace(b"train", b"other")
    for damaged in (b'{"damaged":1}', strange):
        path.write_bytes(whole.replace(b"[", b"[" + damaged + b",", 1))
        layout.write(image(UPPER), "serve")
        assert layout.names() == ["serve", "train"]


def test_a_folder_or_a_link_in_place_of_an_own_index_goes(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "images", own=True)
    path = layout.root / "index.json"
    for make in (path.mkdir, lambda: path.symlink_to("nothing")):
        layout.write(image(LOWER), "train")
        path.unlink()
        make()
        layout.write(image(UPPER), "serve")
        assert layout.names() == ["serve"]
        path.unlink()


def test_two_images_of_one_name_are_refused(layout: Layout) -> None:
    layout.write(image(LOWER), "train")
    path = layout.root / "index.json"
    index = json.loads(path.read_bytes())
    index["manifests"] *= 2
    path.write_text(json.dumps(index))
    with pytest.raises(LockstitchError, match="two images of one name: train, train"):
        layout.write(image(UPPER), "serve")


def test_a_blob_that_is_gone_or_changed_is_named(layout: Layout) -> None:
    made = image(LOWER)
    layout.write(made, "train")
    layout.path(made.digest).write_bytes(b"{}")
    with pytest.raises(LockstitchError, match=f"is {of_bytes(b'{}')}, not {made.digest}"):
        layout.document(made.digest)
    layout.path(made.digest).unlink()
    with pytest.raises(LockstitchError, match=f"lacks the blob {made.digest}"):
        layout.document(made.digest)
