"""Which package each byte of an image belongs to, and budgets."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support import projects
from support.images import MadeLayer, image, layer, random_image
from support.zips import File, wheel

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.image.sizes import Package, check_budgets, of_layers, snapshots, unpacked
from lockstitch.oci.entry import file, folder, symlink
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import MANIFEST_TYPE, Image
from lockstitch.python.load import load
from lockstitch.python.model import ImageSpec

SITE = "app/.venv/lib/python3.11/site-packages"
MakeLayer = Callable[..., MadeLayer]


def sizes(*layers: MadeLayer) -> dict[str, int]:
    found = of_layers(layers)
    assert [each.size for each in found] == sorted((e.size for e in found), reverse=True)
    assert sum(each.size for each in found) == sum(each.facts.unpacked for each in layers)
    return {each.name: each.size for each in found}


def test_files_belong_to_the_package_whose_record_lists_them(made: MakeLayer) -> None:
    code = File(name="demo/a.py", data=b"x" * 1000)
    other = File(name="other.py", data=b"y" * 500)
    one = made(wheel(code))
    two = made(wheel(other, name="other", version="2.1"), "other-2.1-py3-none-any.whl")
    found = sizes(one, two)
    assert found == {"demo 1.0": one.facts.unpacked, "other 2.1": two.facts.unpacked}


def test_bytecode_belongs_to_its_package(made: MakeLayer) -> None:
    files = [File(name="demo/a.py", data=b"1"), File(name="demo/sub/b.py"), File(name="top.py")]
    compiled = {
        f"{SITE}/demo/__pycache__/a.cpython-311.pyc": b"p" * 100,
        f"{SITE}/demo/sub/__pycache__/b.cpython-311.pyc": b"p" * 200,
        f"{SITE}/__pycache__/top.cpython-311.pyc": b"p" * 400,
    }
    layer_made = made(wheel(*files), compiled=compiled)
    assert sizes(layer_made) == {"demo 1.0": layer_made.facts.unpacked}


def shared(*packages: tuple[str, str]) -> MadeLayer:
    """Return a layer of packages that have one module each in the folder they share."""
    entries = []
    for name, module in packages:
        rows = f"ns/{module}.py,,\n{name}-1.dist-info/RECORD,,\n"
        entries += [
            file(f"{SITE}/ns/{module}.py", b"x" * 10),
            file(f"{SITE}/ns/__pycache__/{module}.cpython-311.pyc", b"p" * 1000),
            file(f"{SITE}/{name}-1.dist-info/RECORD", rows.encode()),
        ]
    return layer(entries)


def test_bytecode_of_a_shared_folder_goes_with_its_module() -> None:
    found = sizes(shared(("one", "a"), ("two", "b"), ("three", "c")))
    assert {name: size > 1010 for name, size in found.items()} == {
        "one 1": True,
        "two 1": True,
        "three 1": True,
    }


def test_what_belongs_to_no_wheel_goes_by_its_folder() -> None:
    base = layer(
        [
            file("usr/lib/python3.11/os.py", b"1" * 10),
            file("usr/lib/x86_64-linux-gnu/libc.so", b"2" * 20),
            file("usr/bin/python3.11", b"3" * 30),
            file("etc/passwd", b"4" * 40),
            file("app/src/main.py", b"5" * 50),
            file("app/.venv/bin/tool", b"6" * 60),
            folder("tmp", mode=0o1777),
            symlink("usr/bin/python3", "python3.11"),
        ]
    )
    assert sizes(base) == {
        "/app code": 50,
        "/app data": 60,
        "/etc": 40,
        "/usr/bin/python3.11": 30,
        "/usr/lib/x86_64-linux-gnu": 20,
        "/usr/lib/python3.11": 10,
    }


def test_files_of_site_packages_without_a_record_are_other() -> None:
    assert sizes(layer([file(f"{SITE}/lost/a.py", b"1" * 7)])) == {"other": 7}


def test_sizes_of_one_package_in_two_layers_are_added(made: MakeLayer) -> None:
    one = made(wheel(File(name="demo/a.py", data=b"1" * 100)))
    assert sizes(one, one) == {"demo 1.0": 2 * one.facts.unpacked}


def test_equal_sizes_go_by_name() -> None:
    made_layer = layer([file("b/x", b"1"), file("a/x", b"1"), file("c/x", b"1")])
    assert of_layers([made_layer]) == [Package(name=f"/{name}", size=1) for name in "abc"]


@pytest.mark.parametrize("seed", range(10))
def test_every_byte_of_any_image_is_somebody_s(seed: int) -> None:
    image = random_image(seed)
    total = sum(package.size for package in of_layers(image.layers))
    assert total == sum(each.facts.unpacked for each in image.layers)


def packages(**sizes: int) -> Image:
    """Return an image of packages with one module of this many bytes each."""
    entries = []
    for name, size in sizes.items():
        rows = f"{name}.py,,\n{name}-1.0.dist-info/RECORD,,\n".encode()
        entries += [
            file(f"{SITE}/{name}.py", bytes(size - len(rows))),
            file(f"{SITE}/{name}-1.0.dist-info/RECORD", rows),
        ]
    return image(layer(entries))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return projects.write(tmp_path / "project")


def test_what_no_file_imports_is_moved_to_the_tools(tmp_path: Path) -> None:
    """`uv add` of a tool puts it into every image."""
    dependencies = '["scikit-learn", "dvc>=3.1", "great-expectations", "uvicorn"]'
    images = '[tool.lockstitch.images.serve]\ncommand = ["uvicorn", "api:app"]\n'
    texts = {
        "pyproject.toml": projects.minimal(images, dependencies),
        "uv.lock": "version = 1\n",
        "api.py": "def load():\n    import sklearn\n",
    }
    root = projects.write_files(tmp_path, texts)
    with pytest.raises(LockstitchError) as caught:
        check_budgets(load(root), [(ImageSpec(name="serve", budget=1), SIX)])
    assert caught.value.hint == (
        "no file imports `dvc`, `great-expectations`: uv remove dvc great-expectations && "
        "uv add --group dev 'dvc>=3.1' great-expectations && lockstitch lock"
    )


SIX = packages(a=600_000, b=500_000, c=400_000, d=300_000, e=200_000, f=100_000)


def test_unpacked_is_the_sum_of_all_files() -> None:
    assert unpacked(SIX) == 2_100_000


def test_the_error_names_the_five_heaviest_and_both_numbers(project: Path) -> None:
    with pytest.raises(LockstitchError) as caught:
        check_budgets(load(project), [(ImageSpec(name="serve", budget=2_000_000), SIX)])
    assert caught.value.message == (
        "image `serve` has 2.1 MB unpacked, over its budget of 2.0 MB; most of it: "
        "a 1.0 600.0 kB, b 1.0 500.0 kB, c 1.0 400.0 kB, d 1.0 300.0 kB, e 1.0 200.0 kB"
    )
    assert "trim = true" in caught.value.hint
    assert "budget of serve" in caught.value.hint


@pytest.mark.parametrize(("allowed", "fits"), [(0, True), (2_100_000, True), (2_099_999, False)])
def test_exactly_the_budget_fits(project: Path, allowed: int, *, fits: bool) -> None:
    spec = ImageSpec(name="serve", budget=allowed)
    if fits:
        check_budgets(load(project), [(spec, SIX)])
    else:
        with pytest.raises(LockstitchError, match="over its budget"):
            check_budgets(load(project), [(spec, SIX)])


def test_every_image_that_is_too_large_is_named(project: Path) -> None:
    small = packages(a=1000)
    with pytest.raises(LockstitchError) as caught:
        check_budgets(
            load(project),
            [
                (ImageSpec(name="train", budget=1_000_000), SIX),
                (ImageSpec(name="fits", budget=1_000_000), small),
                (ImageSpec(name="serve", budget=10), small),
            ],
        )
    found = [error.message.partition(" has ")[0] for error in caught.value.everything()]
    assert found == ["image `train`", "image `serve`"]


def test_a_bases_entries_without_a_layer_hide_no_snapshot(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "images")
    history = [
        {"created_by": "FROM"},
        {"created_by": "ENV A=1", "empty_layer": True},
        {"created_by": "ours"},
    ]
    config = json.dumps({"history": history}).encode()
    layers = [{"digest": f"sha256:{n * 64}", "size": 1} for n in ("a", "b", "c")]
    document = {"config": {"digest": str(of_bytes(config)), "size": len(config)}, "layers": layers}
    layout.put((config,), json.dumps(document).encode(), MANIFEST_TYPE, "serve")
    found = snapshots(layout, ["serve"])["serve"].layers
    assert [title for title, _, _ in found] == ["FROM", "ours", ""]
