"""Areas are sizes, nothing overlaps, nothing leaves the frame."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstitch import webpage
from lockstitch.report import treemap
from lockstitch.report.treemap import Group, Item, Rectangle, squarified

PLACE = Rectangle(10, 20, 300, 200)


def draw(groups: list[Group], label: str) -> str:
    boxes = list(treemap.boxes(groups))
    size = {"width": 1, "height": 1, "links": "layer-", "zooms": True}
    return webpage.render("report/treemap.svg.j2", label=label, boxes=boxes, **size)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=40).map(lambda s: sorted(s)[::-1]))
def test_areas_are_sizes_within_the_place(sizes: list[float]) -> None:
    found = squarified(sizes, PLACE)
    assert len(found) == len(sizes)
    whole = PLACE.width * PLACE.height
    for size, each in zip(sizes, found, strict=True):
        assert each.width * each.height == pytest.approx(size / sum(sizes) * whole, abs=0.01)
        assert each.x >= PLACE.x - 0.01
        assert each.y >= PLACE.y - 0.01
        assert each.x + each.width <= PLACE.x + PLACE.width + 0.01
        assert each.y + each.height <= PLACE.y + PLACE.height + 0.01


def test_rectangles_are_not_slivers() -> None:
    found = squarified([6, 6, 4, 3, 2, 2, 1], Rectangle(0, 0, 6, 4))
    worst = max(max(r.width / r.height, r.height / r.width) for r in found)
    assert worst < 3.1  # the example of the paper


def test_nothing_is_drawn_of_nothing() -> None:
    assert squarified([], PLACE) == []
    assert "<rect" not in draw([Group(name="a", items=[])], "nothing")


def test_names_are_escaped_and_the_order_is_fixed() -> None:
    items = [
        Item(name="<b>", size=1, words="1 MB", changed=True),
        Item(name="a&b", size=1, words="1 MB"),
    ]
    one = draw([Group(name="g", items=items)], 'say "x"')
    two = draw([Group(name="g", items=items[::-1])], 'say "x"')
    assert one == two
    assert "<b>" not in one
    assert 'aria-label="say &#34;x&#34;"' in one
    assert len(re.findall("<rect", one)) == 3
