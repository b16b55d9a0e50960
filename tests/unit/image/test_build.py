"""Building images: what is made, what is found again, and what keeps an image from being built."""

import dataclasses
from pathlib import Path

import pytest
from support.fakes import Counted
from support.zips import FILENAME, File, wheel

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.image.build import Builder, Built
from lockstitch.image.paths import LAYOUT
from lockstitch.lock.bases.debian import DebianBase
from lockstitch.lock.bases.registry import RegistryBase
from lockstitch.lock.file import Lock
from lockstitch.net.download import Fetcher
from lockstitch.oci.layout import Layout
from lockstitch.python.model import ImageSpec, Project
from lockstitch.store import Store

SERVE = ImageSpec(name="serve", include=("main.py",), bytecode=False)
TRAIN = ImageSpec(name="train", include=("train.py",), bytecode=False)
BASE = DebianBase(
    release="bookworm",
    platform="linux/amd64",
    python="3.11.2",
    glibc="2.36",
    snapshot="20260711T101637Z",
    packages=(),
)
ARM = dataclasses.replace(BASE, platform="linux/arm64")
WHEEL = wheel(File(name="demo/__init__.py", data=b"print('demo')\n" * 100))
PYLOCK = f"""\
lock-version = "1.0"
created-by = "test"

[[packages]]
name = "demo"
version = "1.0"

[[packages.wheels]]
name = "{FILENAME}"
url = "https://index.test/{FILENAME}"
size = {len(WHEEL)}
hashes = {{ sha256 = "{of_bytes(WHEEL).hex}" }}
"""


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
    return Project(
        root=root,
        name="churn",
        version="0.1.0",
        python="3.11",
        base="debian:bookworm",
        platforms=("linux/amd64",),
        images=(SERVE, TRAIN),
        is_package=False,
        build_requires=(),
        document={},
    )


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def builder(project: Project, store: Store) -> Builder:
    lock = Lock(
        inputs=of_bytes(b"inputs"),
        tools=(),
        python="3.11",
        base=project.base,
        files=(),
        build=(),
        bases=(BASE, ARM),
    )
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
    specs = [dataclasses.replace(each, include=("gone/**",)) for each in project.images]
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
    base = RegistryBase(
        reference="registry.test/python:3.11",
        platform="linux/amd64",
        manifest=of_bytes(b"manifest"),
        index=None,
        config=of_bytes(b"config"),
        snapshot="20260304T050607Z",
        python="3.11.9",
        program="/usr/local/bin/python3.11",
        glibc="2.36",
    )
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
