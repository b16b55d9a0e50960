"""Who makes a difference is found in few tries."""

import pytest

from lockstitch.prove import variations
from lockstitch.prove.building import culprits
from lockstitch.prove.variations import Variation


@pytest.mark.parametrize(
    ("guilty", "most", "named"),
    [
        ({"umask"}, 8, ["umask"]),
        ({"empty store"}, 11, ["empty store"]),
        ({"time zone", "clock"}, 17, ["time zone", "clock"]),
    ],
)
def test_each_alone(guilty: set[str], most: int, named: list[str]) -> None:
    tries = []

    def differs(some: tuple[Variation, ...]) -> bool:
        tries.append(some)
        return bool(guilty & {variation.name for variation in some})

    assert list(culprits(variations.of_build(), differs)) == named
    assert len(tries) <= most


def test_two_that_only_act_together() -> None:
    def differs(some: tuple[Variation, ...]) -> bool:
        return {"a", "d"} <= {variation.name for variation in some}

    found = list(culprits(tuple(Variation(name=name) for name in "abcd"), differs))
    assert found == ["a with b with c with d"]


def test_chance_is_a_repeat_and_no_variation() -> None:
    """It does not change again, or changes where nothing is varied."""
    assert list(culprits(variations.of_build()[:2], lambda _: False)) == ["repeat"]
    assert list(culprits(variations.of_build(), lambda _: True)) == ["repeat"]
