"""The plan: which layers there are, and what moves which of them."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.images import check_golden

from lockstitch.digest import of_bytes
from lockstitch.files import FoundFile
from lockstitch.image import plan as plan_module
from lockstitch.image.plan import AppFiles, HashedFile, LayerPlan, PlanInputs, plan
from lockstitch.python.locks.resolution import LockedWheel

MIB = 1 << 20


def wheel(name: str, version: str = "1.0", *, mib: float = 1) -> LockedWheel:
    filename = f"{name}-{version}-py3-none-any.whl"
    return LockedWheel(
        name=name,
        version=version,
        filename=filename,
        url=f"https://index.test/{filename}",
        digest=of_bytes(filename.encode()),
        size=int(mib * MIB),
        uploaded=1_700_000_000,
    )


SMALL = [
    wheel(name) for name in ("attrs", "click", "idna", "jinja2", "joblib", "pytz", "six", "tqdm")
]
LARGE = [wheel("numpy", mib=18), wheel("scipy", mib=37), wheel("exactly", mib=8)]
INPUTS = PlanInputs(
    python="3.11.2",
    base=of_bytes(b"base"),
    base_name="debian bookworm",
    interpreter=of_bytes(b"interpreter"),
    trimmed=False,
    wheels=[*SMALL, *LARGE],
    project=of_bytes(b"own"),
    project_name="churn 0.1.0",
    app=AppFiles(others="app"),
)


def keys(inputs: PlanInputs) -> Mapping[str, str]:
    """Return title → key; titles of layers of wheels begin with their first wheel's name."""
    found = {}
    for layer in plan(inputs):
        name = f"{layer.kind}: {layer.title}"
        assert name not in found
        found[name] = layer.key
    return found


def changed(**changes: object) -> set[str]:
    """Return the kinds of layers whose keys a change moves."""
    before = {layer.key: layer.kind for layer in plan(INPUTS)}
    after = {layer.key: layer.kind for layer in plan(dataclasses.replace(INPUTS, **changes))}
    return {(before | after)[key] for key in before.keys() ^ after.keys()}


def bucket(name: str, layers: tuple[LayerPlan, ...]) -> LayerPlan:
    (found,) = [layer for layer in layers if name in [each.name for each in layer.wheels]]
    return found


def test_plan_golden(pytestconfig: pytest.Config) -> None:
    lines = [f"{layer.kind:<7} {layer.key} {layer.title}\n" for layer in plan(INPUTS)]
    check_golden(pytestconfig, "plan/churn.txt", "".join(lines))


def test_order_of_layers() -> None:
    kinds = [layer.kind for layer in plan(INPUTS)]
    wheels = kinds.count("wheels")
    assert kinds == ["system", "python", "stdlib", "venv", *["wheels"] * wheels, "own", "app"]
    assert 3 + 1 <= wheels <= 3 + 4


def test_without_bytecode_or_own_code_their_layers_are_missing() -> None:
    found = plan(dataclasses.replace(INPUTS, interpreter=None, project=None, wheels=[]))
    assert [layer.kind for layer in found] == ["system", "python", "venv", "app"]


def test_keys_differ() -> None:
    found = [layer.key for layer in plan(INPUTS)]
    assert len(set(found)) == len(found)
    assert all(len(key) == 64 for key in found)


def test_every_wheel_is_in_one_layer() -> None:
    found = [each for layer in plan(INPUTS) for each in layer.wheels]
    assert sorted(found) == sorted(INPUTS.wheels)


def test_large_wheels_are_alone_and_first_by_name() -> None:
    layers = [layer for layer in plan(INPUTS) if layer.kind == "wheels"]
    assert [layer.title for layer in layers[:3]] == ["exactly 1.0", "numpy 1.0", "scipy 1.0"]
    assert all(len(layer.wheels) == 1 for layer in layers[:3])
    assert not {each.name for layer in layers[3:] for each in layer.wheels} & {"numpy", "scipy"}


def test_8_mib_is_large_and_a_byte_less_is_small() -> None:
    just = dataclasses.replace(wheel("just"), size=8 * MIB - 1)
    layers = plan(dataclasses.replace(INPUTS, wheels=[*SMALL, just, wheel("exactly", mib=8)]))
    assert bucket("exactly", layers).wheels == (wheel("exactly", mib=8),)
    assert len(bucket("just", layers).wheels) > 1


def test_a_wheel_of_unknown_size_is_small() -> None:
    unknown = dataclasses.replace(wheel("six"), size=None)
    layers = plan(dataclasses.replace(INPUTS, wheels=[*SMALL[:-2], unknown, SMALL[-1], *LARGE]))
    assert [layer.title for layer in layers] == [layer.title for layer in plan(INPUTS)]


def test_one_changed_small_wheel_changes_one_bucket() -> None:
    for old in SMALL:
        wheels = [wheel(old.name, "2.0") if each is old else each for each in INPUTS.wheels]
        before, after = plan(INPUTS), plan(dataclasses.replace(INPUTS, wheels=wheels))
        moved = [a for a, b in zip(before, after, strict=True) if a.key != b.key]
        assert moved == [bucket(old.name, before)]


def test_one_changed_large_wheel_changes_its_layer_alone() -> None:
    wheels = [wheel("numpy", "2.0", mib=18) if e.name == "numpy" else e for e in INPUTS.wheels]
    before, after = plan(INPUTS), plan(dataclasses.replace(INPUTS, wheels=wheels))
    moved = [a.title for a, b in zip(before, after, strict=True) if a.key != b.key]
    assert moved == ["numpy 1.0"]


@pytest.mark.parametrize("name", ["aaa", "new", "zzz"])
def test_a_new_large_wheel_changes_no_other_layer(name: str) -> None:
    before = keys(INPUTS)
    after = keys(dataclasses.replace(INPUTS, wheels=[*INPUTS.wheels, wheel(name, mib=2000)]))
    assert after.keys() - before.keys() == {f"wheels: {name} 1.0"}
    assert {title: key for title, key in after.items() if title in before} == before


def test_a_new_small_wheel_changes_at_most_its_bucket() -> None:
    before = {layer.key for layer in plan(INPUTS)}
    for name in ("aaa", "new", "zzz", "mid"):
        after = plan(dataclasses.replace(INPUTS, wheels=[*INPUTS.wheels, wheel(name)]))
        assert [layer for layer in after if layer.key not in before] == [bucket(name, after)]


def test_at_most_40_are_alone_the_largest_ones() -> None:
    many = [wheel(f"big{n:02}", mib=10 + n) for n in range(50)]
    layers = [e for e in plan(dataclasses.replace(INPUTS, wheels=many)) if e.kind == "wheels"]
    alone = [layer.wheels[0].name for layer in layers if len(layer.wheels) == 1]
    assert alone == [f"big{n:02}" for n in range(10, 50)]
    assert len(layers) <= 40 + 4
    assert sum(len(layer.wheels) for layer in layers) == 50


def test_layers_stay_under_what_docker_takes() -> None:
    many = [wheel(f"big{n:03}", mib=10) for n in range(100)]
    many += [wheel(f"small{n:03}") for n in range(300)]
    assert len(plan(dataclasses.replace(INPUTS, wheels=many))) <= 100


def test_which_part_changes_which_layers() -> None:
    assert changed(app=AppFiles(others="new")) == {"app"}
    assert changed(project=of_bytes(b"new")) == {"own"}
    assert changed(base=of_bytes(b"new")) == {"system", "python"}
    assert changed(trimmed=True) == {"wheels", "own"}
    assert changed(interpreter=of_bytes(b"new")) == {"stdlib", "wheels", "own"}
    assert changed(interpreter=None) == {"stdlib", "wheels", "own"}
    assert changed(python="3.11.3") == {"venv"}
    assert changed(python="3.12.2") == {"venv", "wheels", "own"}


def test_a_lazy_image_shares_no_record_with_another() -> None:
    ordinary = plan(dataclasses.replace(INPUTS, lazy=False))
    lazy = plan(dataclasses.replace(INPUTS, lazy=True))
    assert [each.title for each in lazy] == [each.title for each in ordinary]
    assert not {each.key for each in lazy} & {each.key for each in ordinary}
    assert {each.lazy for each in lazy} == {True}
    assert {each.lazy for each in ordinary} == {False}
    split = plan(dataclasses.replace(INPUTS, lazy=True, split=True))
    differs = {new.kind for old, new in zip(lazy, split, strict=True) if old.key != new.key}
    assert differs == {each.kind for each in split if each.split} == {"wheels"}
    assert plan(dataclasses.replace(INPUTS, split=True)) == ordinary


def test_names_for_people_change_no_key() -> None:
    assert changed(project_name="renamed") == set()
    assert changed(base_name="renamed") == set()


def test_where_a_wheel_comes_from_changes_no_key() -> None:
    moved = [dataclasses.replace(e, url="https://mirror.test/x", uploaded=5) for e in INPUTS.wheels]
    assert changed(wheels=moved) == set()


def test_the_layout_version_is_in_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {layer.key for layer in plan(INPUTS)}
    monkeypatch.setattr(plan_module, "LAYOUT", plan_module.LAYOUT + 1)
    assert before.isdisjoint(layer.key for layer in plan(INPUTS))


def own(name: str, text: str = "", *, mib: float = 0) -> HashedFile:
    found = FoundFile(name=name, path=Path(name), size=int(mib * MIB), mtime_ns=0, executable=False)
    return found, of_bytes((text or name).encode())


def app_layers(*files: HashedFile) -> dict[str, LayerPlan]:
    layers = plan(dataclasses.replace(INPUTS, app=AppFiles(files=files)))
    found = {layer.title: layer for layer in layers if layer.kind in {"files", "app"}}
    assert [*found][-1] == "app files"
    listed = sorted(file.name for layer in found.values() for file, _ in layer.files)
    assert listed == sorted(file.name for file, _ in files)
    return found


def moved(before: dict[str, LayerPlan], after: dict[str, LayerPlan]) -> list[str]:
    known = {layer.key for layer in before.values()}
    return [title for title, layer in after.items() if layer.key not in known]


def test_few_small_app_files_are_one_layer() -> None:
    assert [*app_layers(own("src/a.py"), own("data/x.csv", mib=7))] == ["app files"]


def test_large_app_files_are_alone_so_that_code_moves_without_them() -> None:
    files = [own("models/b.bin", mib=16), own("models/a.bin", mib=4096), own("src/a.py")]
    before = app_layers(*files)
    assert [*before] == ["app files: models/a.bin", "app files: models/b.bin", "app files"]
    assert moved(before, app_layers(*files[:2], own("src/a.py", "new"))) == ["app files"]
    after = app_layers(own("models/b.bin", "new", mib=16), *files[1:])
    assert moved(before, after) == ["app files: models/b.bin"]


def test_one_of_many_app_files_moves_a_sixteenth_of_them() -> None:
    files = [own(f"data/{n}.txt") for n in range(5000)]
    before = app_layers(*files)
    assert len(before) == 16 + 1
    assert all(200 < len(layer.files) < 450 for t, layer in before.items() if "part" in t)
    assert len(moved(before, app_layers(own("data/0.txt", "new"), *files[1:]))) == 1
    assert len(moved(before, app_layers(*files, own("data/new.txt")))) == 1


def test_many_bytes_of_app_files_are_in_parts_too() -> None:
    files = [own(f"data/{n}.bin", mib=3) for n in range(5)]
    before = app_layers(*files)
    assert len(before) > 1
    assert len(moved(before, app_layers(*files[:4], own("data/4.bin", "new", mib=3)))) == 1


def test_app_files_stay_under_what_docker_takes() -> None:
    files = [own(f"big{n}.bin", mib=20) for n in range(60)]
    files += [own(f"{n}.txt") for n in range(3000)]
    assert len(app_layers(*files)) == 24 + 16 + 1
