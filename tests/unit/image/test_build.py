"""Building images: what is made, what is found again, and what keeps an image from being built."""

import dataclasses
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support import values
from support.fakes import Counted
from support.images import members
from support.zips import FILENAME, File, wheel

from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.image.build import Builder, Built
from lockstitch.image.paths import LAYOUT
from lockstitch.net.download import Download, Fetcher
from lockstitch.oci import stargz
from lockstitch.oci.layout import Layout, write_docker_archive
from lockstitch.oci.model import Image
from lockstitch.oci.validate import problems
from lockstitch.progress import Reporter
from lockstitch.python.model import ImageSpec, Project
from lockstitch.store import Store

SERVE = ImageSpec(name="serve", include=("main.py",), bytecode=False)
TRAIN = ImageSpec(name="train", include=("train.py",), bytecode=False)
BASE = values.debian_base()
ARM = dataclasses.replace(BASE, platform="linux/arm64")
WHEEL = wheel(File(name="demo/__init__.py", data=b"print('demo')\n" * 100))
PYLOCK = values.pylock(demo=WHEEL)


@pytest.fixture
def project(tmp_path: Path, store: Store) -> Project:
    """Return a project of two images with one package, whose wheel is in the store."""
    root = tmp_path / "project"
    root.mkdir()
    for name in ("serve", "train"):
        (root / f"pylock.{name}.toml").write_text(PYLOCK)
    (root / "main.py").write_text("print('serve')\n")
    (root / "train.py").write_text("print('train')\n")
    store.put(WHEEL)
    return values.project(root=root, images=(SERVE, TRAIN))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def builder(project: Project, store: Store) -> Builder:
    lock = values.lock(bases=(BASE, ARM))
    return Builder(project, lock, store, Fetcher(store), Counted())


def build(project: Project, store: Store, layout: Layout, *specs: ImageSpec) -> list[Built]:
    return builder(project, store).build(specs or project.images, layout)


def test_images_share_the_layers_that_are_equal(
    project: Project, store: Store, layout: Layout
) -> None:
    serve, train = build(project, store, layout)
    assert [planned.kind for planned in serve.plan] == ["system", "python", "venv", "wheels", "app"]
    assert serve.image.layers[:-1] == train.image.layers[:-1]
    assert serve.image.layers[-1] != train.image.layers[-1]
    assert (serve.name, train.name) == ("serve", "train")
    assert serve.image.digest == layout.manifest_digest("serve")


def test_nothing_changed_means_nothing_made_and_nothing_written(
    project: Project, store: Store, layout: Layout
) -> None:
    first = build(project, store, layout)
    assert [(each.fresh, each.made) for each in first] == [(True, 5), (True, 5)]
    again = build(project, store, layout)
    assert [(each.fresh, each.made) for each in again] == [(False, 0), (False, 0)]
    assert [each.image.digest for each in again] == [each.image.digest for each in first]


def test_the_store_alone_and_the_layout_alone_are_enough(
    project: Project, store: Store, layout: Layout, tmp_path: Path
) -> None:
    (first,) = build(project, store, layout, SERVE)
    other = Layout(tmp_path / "other")
    (from_store,) = build(project, store, other, SERVE)
    assert (from_store.made, from_store.fresh) == (0, True)
    for layer in first.image.layers:
        store.path(layer.facts.digest).unlink(missing_ok=True)
    (from_layout,) = build(project, store, layout, SERVE)
    assert (from_layout.made, from_layout.fresh) == (0, False)


def test_a_missing_blob_is_made_again_with_the_same_digest(
    project: Project, store: Store, layout: Layout
) -> None:
    (first,) = build(project, store, layout, SERVE)
    lost = first.image.layers[-2].facts.digest
    for path in (store.path(lost), layout.path(lost)):
        path.unlink(missing_ok=True)
    (again,) = build(project, store, layout, SERVE)
    assert again.made == 1
    assert again.image.digest == first.image.digest


def test_records_of_another_layout_version_are_not_read(
    project: Project, store: Store, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = build(project, store, layout, SERVE)
    monkeypatch.setattr("lockstitch.image.plan.LAYOUT", LAYOUT + 1)
    (again,) = build(project, store, layout, SERVE)
    assert again.made == 5
    assert again.image.digest == first.image.digest


def test_a_changed_file_makes_one_layer(project: Project, store: Store, layout: Layout) -> None:
    build(project, store, layout)
    (project.root / "main.py").write_text("print('changed')\n")
    serve, train = build(project, store, layout)
    assert ((serve.made, serve.fresh), (train.made, train.fresh)) == ((1, True), (0, False))


def test_an_image_over_its_budget_leaves_the_layout_as_it_is(
    project: Project, store: Store, layout: Layout
) -> None:
    small = dataclasses.replace(TRAIN, budget=10)
    with pytest.raises(LockstitchError, match=r"image `train` has .* unpacked, over its budget"):
        build(project, store, layout, SERVE, small)
    assert layout.names() == []


def test_a_package_without_a_wheel_is_told_once_with_its_images(
    project: Project, store: Store, layout: Layout
) -> None:
    for name in ("serve", "train"):
        text = PYLOCK.replace(FILENAME, "demo-1.0-cp310-cp310-win32.whl")
        (project.root / f"pylock.{name}.toml").write_text(text)
    with pytest.raises(LockstitchError) as caught:
        build(project, store, layout)
    (error,) = caught.value.everything()
    assert "`demo` has no wheel for " in error.message
    assert error.message.endswith("(images `serve`, `train`)")


def test_every_problem_of_every_image_is_told(
    project: Project, store: Store, layout: Layout
) -> None:
    specs = [dataclasses.replace(image, include=("gone/**",)) for image in project.images]
    with pytest.raises(LockstitchError) as caught:
        build(project, store, layout, *specs)
    messages = [error.message for error in caught.value.everything()]
    assert len(messages) == 2
    assert "`gone/**` of image `serve` matches no file" in messages[0]
    assert "`gone/**` of image `train` matches no file" in messages[1]


def test_several_platforms_stand_below_one_index(
    project: Project, store: Store, layout: Layout
) -> None:
    several = dataclasses.replace(project, platforms=("linux/amd64", "linux/arm64"))
    built = build(several, store, layout, SERVE)
    assert [each.name for each in built] == layout.names() == ["serve-amd64", "serve-arm64"]
    digests = [each["digest"] for each in layout.manifest("serve").document["manifests"]]
    assert digests == [each.image.digest for each in built]


def test_an_image_named_as_another_one_of_a_platform_is_refused(
    project: Project, store: Store, layout: Layout
) -> None:
    named = dataclasses.replace(
        project, images=(SERVE, dataclasses.replace(SERVE, name="serve-amd64"))
    )
    (root := project.root / "pylock.serve-amd64.toml").write_text(PYLOCK)
    assert root.exists()
    assert [built.name for built in build(named, store, layout)] == ["serve", "serve-amd64"]
    several = dataclasses.replace(named, platforms=("linux/amd64", "linux/arm64"))
    with pytest.raises(LockstitchError) as caught:
        build(several, store, layout, SERVE)
    assert caught.value.message == (
        "`serve-amd64` would be the name of image `serve-amd64` and of `serve` for linux/amd64"
    )
    assert caught.value.hint == "rename [tool.lockstitch.images.serve-amd64]"
    assert layout.names() == ["serve", "serve-amd64"]


def test_a_shallow_build_writes_nothing_to_the_layout(
    project: Project, store: Store, layout: Layout
) -> None:
    (built,) = builder(project, store).build([SERVE], layout, shallow=True)
    assert (built.fresh, built.made) == (True, 5)
    assert layout.names() == []


def test_another_compression_keeps_the_contents(
    project: Project, store: Store, layout: Layout
) -> None:
    (stitched,) = build(project, store, layout, SERVE)
    (single,) = builder(project, store).build([SERVE], layout, form="gzip-single")
    diff_ids = [[la.facts.diff_id for la in each.image.layers] for each in (stitched, single)]
    assert diff_ids[0] == diff_ids[1]
    assert single.image.digest != stitched.image.digest


def test_a_lazy_image_names_its_tables_and_has_the_same_files(
    project: Project, store: Store, layout: Layout
) -> None:
    (ordinary,) = build(project, store, layout, SERVE)
    lazy = dataclasses.replace(SERVE, lazy=True)
    (built,) = build(project, store, layout, lazy)
    assert built.made == 5
    assert problems(built.image) == []
    for one, other in zip(ordinary.image.layers, built.image.layers, strict=True):
        assert one.facts.digest != other.facts.digest
        assert one.facts.unpacked == other.facts.unpacked
    manifest = layout.manifest("serve")
    assert all(stargz.TABLE_DIGEST in layer.annotations for layer in manifest.layers)
    (again,) = build(project, store, layout, lazy)
    assert (again.image.digest, again.made, again.fresh) == (built.image.digest, 0, False)
    (back,) = build(project, store, layout, SERVE)
    assert (back.image.digest, back.made) == (ordinary.image.digest, 0)
    assert not any(layer.annotations for layer in layout.manifest("serve").layers)


def test_a_large_file_of_the_project_is_cut_in_a_lazy_image(
    project: Project, store: Store, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stargz, "CHUNK", 40_000)
    (project.root / "data.csv").write_text("1,2,3\n" * 20_000)
    lazy = dataclasses.replace(SERVE, lazy=True, include=("main.py", "data.csv"))
    for _ in range(2):  # what is kept of the first build changes nothing
        (built,) = build(project, store, layout, lazy)
        assert built.made
        top = built.image.layers[-1]
        table = json.loads(members(b"".join(top.chunks()))[stargz.TABLE][1])
        parts = [row["type"] for row in table["entries"] if row["name"] == "app/data.csv"]
        assert parts == ["reg", "chunk", "chunk"]
        (project.root / "main.py").write_text("print('again')\n")


def test_the_layers_of_a_lazy_image_are_not_compressed_again(
    project: Project, store: Store, layout: Layout
) -> None:
    lazy = dataclasses.replace(SERVE, lazy=True)
    with pytest.raises(LockstitchError, match=r"`serve` has lazy = true.*--compression zstd"):
        builder(project, store).build([TRAIN, lazy], layout, form="zstd")
    assert layout.names() == []


def test_the_facts_of_packages_are_known_after_the_build(
    project: Project, store: Store, layout: Layout
) -> None:
    one = builder(project, store)
    (built,) = one.build([SERVE], layout)
    assert list(one.packages(built.prepared)) == [of_bytes(WHEEL).hex]


def test_the_base_alone_is_an_image_of_the_base_s_layers(
    project: Project, store: Store, layout: Layout
) -> None:
    image = builder(project, store).base("linux/amd64", layout)
    assert [layer.created_by for layer in image.layers] == [
        "debian bookworm: system",
        "debian bookworm: python 3.11.2",
    ]


def test_a_base_of_a_registry_is_an_image_already(
    project: Project, store: Store, layout: Layout
) -> None:
    base = values.registry_base()
    one = builder(project, store)
    one._lock = dataclasses.replace(one._lock, bases=(base,))
    with pytest.raises(LockstitchError, match="is an image already") as caught:
        one.base("linux/amd64", layout)
    assert caught.value.hint == f"docker pull registry.test/python@{base.manifest}"


# --- what was damaged since the last build


def flip(path: Path, at: int = -1) -> None:
    """Change one bit of a file, and its mtime with it."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def test_no_record_is_believed_that_does_not_fit_its_sum(
    project: Project, store: Store, layout: Layout
) -> None:
    (first,) = build(project, store, layout, SERVE)
    for kind in ("layers", "wheels", "clean", "imports", "hashed"):
        paths = sorted((store.root / "records" / kind).rglob("*.json"))
        assert paths or kind == "imports"  # which an image without a command has not
        for path in paths:
            flip(path)
    (again,) = build(project, store, layout, SERVE)
    assert again.made == 5
    assert again.image.digest == first.image.digest == layout.manifest_digest("serve")


class Refilling(Fetcher):
    """A fetcher whose index is a table of bytes."""

    def __init__(self, store: Store, *data: bytes) -> None:
        """Count what is brought."""
        super().__init__(store)
        self.data = {of_bytes(each): each for each in data}
        self.brought: list[str] = []

    def fetch(self, downloads: Sequence[Download], progress: Reporter, *stopped: object) -> None:
        """Put what the store lacks there."""
        assert progress
        del stopped
        for download in downloads:
            if download.digest in self.data and not self._store.has_whole(
                download.digest, download.size
            ):
                self._store.put(self.data[download.digest])
                self.brought.append(download.name)


def forget_layers(store: Store) -> None:
    """Let each layer be made again."""
    shutil.rmtree(store.root / "records" / "layers")


@pytest.mark.parametrize("hidden", [True, False])
def test_a_damaged_wheel_is_fetched_again(
    *, hidden: bool, project: Project, store: Store, layout: Layout
) -> None:
    (first,) = build(project, store, layout, SERVE)
    forget_layers(store)
    path = store.path(of_bytes(WHEEL))
    facts = path.stat()
    flip(path, at=WHEEL.index(b"PK\x01\x02") + 40)
    if hidden:
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    one = builder(project, store)
    fetcher = Refilling(store, WHEEL)
    one._fetcher = fetcher
    (again,) = one.build([SERVE], layout)
    assert again.image.digest == first.image.digest
    assert fetcher.brought == [FILENAME]
    assert path.read_bytes() == WHEEL


def test_a_disk_that_keeps_nothing_is_the_only_one_named(
    project: Project, store: Store, layout: Layout
) -> None:
    one = builder(project, store)
    one._fetcher = Refilling(store)
    store.path(of_bytes(WHEEL)).unlink()
    with pytest.raises(
        LockstitchError, match=f"`{FILENAME}` do not stay whole in the store"
    ) as error:
        one.build([SERVE], layout)
    assert "check the disk" in error.value.hint


@pytest.mark.parametrize("how", ["flip", "cut", "empty", "folder"])
@pytest.mark.parametrize("where", ["store", "layout", "both"])
def test_a_damaged_blob_of_a_layer_gets_into_no_layout(
    how: str, where: str, project: Project, store: Store, layout: Layout
) -> None:
    (first,) = build(project, store, layout, SERVE)
    digest = first.image.layers[-2].facts.digest
    data = store.path(digest).read_bytes()
    paths = {"store": store.path(digest), "layout": layout.path(digest)}
    for path in [path for name, path in paths.items() if where in {name, "both"}]:
        path.unlink()
        if how == "folder":
            path.mkdir()
            (path / "inside").touch()
        else:
            kept = {"flip": data[:-9] + b"!" + data[-8:], "cut": data[:-1], "empty": b""}
            path.write_bytes(kept[how])
    (again,) = build(project, store, layout, SERVE)
    assert again.made == (1 if where == "both" else 0)
    assert again.image.digest == first.image.digest
    assert layout.path(digest).read_bytes() == data
    assert problems(again.image) == []
    build(project, store, layout, SERVE)
    assert not store.path(digest).exists() or store.path(digest).read_bytes() == data


def test_damage_of_one_file_under_two_names_is_found(
    project: Project, store: Store, layout: Layout
) -> None:
    (first,) = build(project, store, layout, SERVE)
    digest = first.image.layers[-2].facts.digest
    assert store.path(digest).samefile(layout.path(digest))
    flip(store.path(digest))
    (again,) = build(project, store, layout, SERVE)
    assert (again.made, again.image.digest) == (1, first.image.digest)
    assert of_bytes(layout.path(digest).read_bytes()) == digest


def test_a_lost_bit_in_a_layer_is_found_when_it_is_sent(
    project: Project, store: Store, layout: Layout, tmp_path: Path
) -> None:
    (first,) = build(project, store, layout, SERVE)
    digest = first.image.layers[-2].facts.digest
    facts = store.path(digest).stat()
    flip(store.path(digest))
    os.utime(store.path(digest), ns=(facts.st_atime_ns, facts.st_mtime_ns))
    (built,) = build(project, store, layout, SERVE)
    with pytest.raises(LockstitchError, match=r"`demo 1\.0`, was damaged: it is removed") as error:
        write_docker_archive(built.image, tmp_path / "serve.tar", "serve")
    assert error.value.hint == "run the same command again"
    assert not (tmp_path / "serve.tar").exists()


# --- what another build does meanwhile


@pytest.mark.parametrize("times", [1, 2])
def test_a_layer_that_another_process_takes_away_is_made_again(
    project: Project,
    store: Store,
    layout: Layout,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    times: int,
) -> None:
    (right,) = build(project, store, Layout(tmp_path / "right"), SERVE)
    left = [right.image.layers[-2].facts.digest] * times
    write = Layout.write

    def late(self: Layout, *words: Any) -> bool:
        if left:
            store.path(left.pop()).unlink()
        return write(self, *words)

    monkeypatch.setattr(Layout, "write", late)
    (built,) = build(project, store, layout, SERVE)
    assert built.image.digest == right.image.digest
    assert built.fresh
    assert problems(built.image) == []


def test_a_store_that_loses_a_layer_each_time_is_an_error(
    project: Project, store: Store, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Layout.write

    def late(self: Layout, image: Image, *words: Any) -> bool:
        store.path(image.layers[-1].facts.digest).unlink()
        return write(self, image, *words)

    monkeypatch.setattr(Layout, "write", late)
    with pytest.raises(LockstitchError, match=r"the blob sha256:.* is gone"):
        build(project, store, layout, SERVE)


@pytest.mark.slow
def test_a_wheel_that_another_process_takes_away_blames_nobody(
    project: Project, store: Store, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.path(of_bytes(WHEEL))
    looked = Store.read_again

    def late(self: Store, digest: Digest) -> bool:
        found = looked(self, digest)
        path.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Store, "read_again", late)
    with pytest.raises(LockstitchError) as caught:
        build(project, store, layout, SERVE)
    assert "do not use" not in caught.value.hint
    assert "is not a wheel" not in caught.value.message
