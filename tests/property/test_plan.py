"""The plan depends on what is locked, never on the order in which it is told."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from lockstitch.digest import of_bytes
from lockstitch.image.plan import AppFiles, PlanInputs, plan
from lockstitch.python.locks.resolution import LockedWheel

MIB = 1 << 20
names = st.text("abcdefghij-0", min_size=1, max_size=8)
wheels = st.builds(
    lambda name, version, size: LockedWheel(
        name=name,
        version=str(version),
        filename=f"{name}-{version}-py3-none-any.whl",
        url="https://index.test/",
        digest=of_bytes(f"{name} {version}".encode()),
        size=size,
        uploaded=0,
    ),
    names,
    st.integers(0, 9),
    st.one_of(st.none(), st.integers(0, 100), st.integers(7 * MIB, 10 * MIB)),
)
locks = st.lists(wheels, max_size=60, unique_by=lambda wheel: wheel.name)
parts = st.builds(
    PlanInputs,
    python=st.just("3.11.2"),
    base=st.just(of_bytes(b"base")),
    base_name=st.just("debian"),
    interpreter=st.sampled_from([None, of_bytes(b"one")]),
    trimmed=st.booleans(),
    wheels=locks,
    project=st.sampled_from([None, of_bytes(b"own")]),
    project_name=st.just("own"),
    app=st.just(AppFiles(others="app")),
)


@given(parts, st.data())
def test_order_of_wheels_does_not_matter(before: PlanInputs, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(list(before.wheels)))
    assert plan(dataclasses.replace(before, wheels=shuffled)) == plan(before)
    assert plan(dataclasses.replace(before, wheels=tuple(shuffled))) == plan(before)


@given(parts)
def test_every_wheel_is_in_exactly_one_layer_and_no_key_is_shared(before: PlanInputs) -> None:
    layers = plan(before)
    found = [wheel for layer in layers for wheel in layer.wheels]
    assert sorted(wheel.name for wheel in found) == sorted(w.name for w in before.wheels)
    assert len({layer.key for layer in layers}) == len(layers)
    assert sum(1 for layer in layers if layer.kind == "wheels") <= 40 + 4


@given(parts.filter(lambda found: len(found.wheels) > 0), st.data())
def test_one_changed_wheel_of_the_same_size_changes_one_key(
    before: PlanInputs, data: st.DataObject
) -> None:
    old = data.draw(st.sampled_from(list(before.wheels)))
    new = dataclasses.replace(old, version="99", digest=of_bytes(b"another"))
    wheels_after = [new if wheel is old else wheel for wheel in before.wheels]
    after = plan(dataclasses.replace(before, wheels=wheels_after))
    moved = [a for a, b in zip(plan(before), after, strict=True) if a.key != b.key]
    assert [old in layer.wheels for layer in moved] == [True]


@given(parts, wheels)
def test_a_new_wheel_changes_at_most_one_key(before: PlanInputs, new: LockedWheel) -> None:
    new = dataclasses.replace(new, name="unheard-of")
    alone = sum(1 for wheel in before.wheels if (wheel.size or 0) >= 8 * MIB)
    keys = {layer.key for layer in plan(before)}
    after = plan(dataclasses.replace(before, wheels=[*before.wheels, new]))
    if alone < 40:
        assert [new in layer.wheels for layer in after if layer.key not in keys] == [True]
    if (new.size or 0) >= 8 * MIB and alone < 40:
        assert keys < {layer.key for layer in after}
