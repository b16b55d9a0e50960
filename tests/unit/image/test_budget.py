"""Budgets: the error says both numbers and who is to blame."""

import pytest
from support.images import image, layer

from lockstitch.errors import LockstitchError
from lockstitch.image import budget
from lockstitch.oci.entry import file
from lockstitch.oci.model import Image
from lockstitch.python.model import ImageSpec

SITE = "app/.venv/lib/python3.11/site-packages"


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


SIX = packages(a=600_000, b=500_000, c=400_000, d=300_000, e=200_000, f=100_000)


def test_unpacked_is_the_sum_of_all_files() -> None:
    assert budget.unpacked(SIX) == 2_100_000


def test_the_error_names_the_five_heaviest_and_both_numbers() -> None:
    with pytest.raises(LockstitchError) as caught:
        budget.check([(ImageSpec(name="serve", budget=2_000_000), SIX)])
    assert caught.value.message == (
        "image `serve` has 2.1 MB unpacked, over its budget of 2.0 MB; most of it: "
        "a 1.0 600.0 kB, b 1.0 500.0 kB, c 1.0 400.0 kB, d 1.0 300.0 kB, e 1.0 200.0 kB"
    )
    assert "trim = true" in caught.value.hint
    assert "budget of serve" in caught.value.hint


@pytest.mark.parametrize(("allowed", "fits"), [(0, True), (2_100_000, True), (2_099_999, False)])
def test_exactly_the_budget_fits(allowed: int, *, fits: bool) -> None:
    spec = ImageSpec(name="serve", budget=allowed)
    if fits:
        budget.check([(spec, SIX)])
    else:
        with pytest.raises(LockstitchError, match="over its budget"):
            budget.check([(spec, SIX)])


def test_every_image_that_is_too_large_is_named() -> None:
    small = packages(a=1000)
    with pytest.raises(LockstitchError) as caught:
        budget.check(
            [
                (ImageSpec(name="train", budget=1_000_000), SIX),
                (ImageSpec(name="fits", budget=1_000_000), small),
                (ImageSpec(name="serve", budget=10), small),
            ]
        )
    found = [error.message.partition(" has ")[0] for error in caught.value.everything()]
    assert found == ["image `train`", "image `serve`"]
