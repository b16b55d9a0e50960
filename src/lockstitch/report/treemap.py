"""A treemap: the size of each thing is its area (Bruls, Huizing, van Wijk, 2000).

`treemap.svg.j2` draws what is laid out here.
"""

from collections.abc import Iterator, Sequence

from lockstitch.table import cut
from lockstitch.values import frozen, positional

WIDTH, HEIGHT = 1000, 560
_HEAD = 22.0  # of a group's title
# White text on each has the contrast that WCAG AA asks for, 4.5 to 1.
COLOURS = {"base": "#4a5568", "package": "#1f5fa8", "own code": "#8a4708", "data": "#256d3e"}


@frozen
class Item:
    """One thing: its name, its size, a line about it, and how it changed."""

    name: str
    size: float
    words: str
    kind: str = "package"  # one of COLOURS
    changed: bool = False  # since the build before


@frozen
class Group:
    """Things that belong together."""

    name: str
    items: Sequence[Item]

    @property
    def size(self) -> float:
        """The size of all of them."""
        return sum(item.size for item in self.items)


@positional
class Rectangle:
    """A place on the picture."""

    x: float
    y: float
    width: float
    height: float


@frozen
class Box:
    """One rectangle of the picture: its colours, its tooltip, and the lines of text in it."""

    place: Rectangle
    fill: str
    stroke: str
    ink: str
    title: str
    lines: tuple[str, ...]
    group: int  # its rank among the groups: what a click shows alone


def squarified(sizes: Sequence[float], place: Rectangle) -> list[Rectangle]:
    """Return a place for each size, in their order; sizes fall, and are above 0."""
    total = sum(sizes)
    if not sizes or total <= 0:
        return []
    scale = place.width * place.height / total
    areas = [size * scale for size in sizes]
    places: list[Rectangle] = []
    while areas:
        side = min(place.width, place.height)
        row = [areas[0]]
        while len(row) < len(areas) and _worst([*row, areas[len(row)]], side) <= _worst(row, side):
            row.append(areas[len(row)])
        areas = areas[len(row) :]
        place = _lay(row, place, places)
    return places


def _worst(row: list[float], side: float) -> float:
    total = sum(row)
    if not side or not total:
        return float("inf")
    return max(side**2 * max(row) / total**2, total**2 / (side**2 * min(row)))


def _lay(row: list[float], place: Rectangle, places: list[Rectangle]) -> Rectangle:
    """Lay a row along the shorter side, and return the free rest."""
    total, at = sum(row), 0.0
    if place.width >= place.height:
        width = total / place.height if place.height else 0.0
        for area in row:
            # What is left over may be a rounding error wide: nothing leaves its place.
            height = min(area / width, place.height - at) if width else 0.0
            places.append(Rectangle(place.x, place.y + at, width, height))
            at += height
        return Rectangle(place.x + width, place.y, max(0.0, place.width - width), place.height)
    height = total / place.width if place.width else 0.0
    for area in row:
        width = min(area / height, place.width - at) if height else 0.0
        places.append(Rectangle(place.x + at, place.y, width, height))
        at += width
    return Rectangle(place.x, place.y + height, place.width, max(0.0, place.height - height))


def boxes(groups: Sequence[Group]) -> Iterator[Box]:
    """Yield the boxes of a picture; groups and items go from the largest to the smallest."""
    shown = ordered(groups)
    whole = Rectangle(0.0, 0.0, float(WIDTH), float(HEIGHT))
    places = squarified([group.size for group in shown], whole)
    for rank, (group, place) in enumerate(zip(shown, places, strict=True)):
        yield from _group(group, place, rank)


def ordered(groups: Sequence[Group]) -> list[Group]:
    """Return the groups that have a size, the largest first."""
    return sorted((g for g in groups if g.size > 0), key=lambda g: (-g.size, g.name))


def _group(group: Group, place: Rectangle, rank: int) -> Iterator[Box]:
    items = sorted((i for i in group.items if i.size > 0), key=lambda i: (-i.size, i.name))
    head = _HEAD if place.height > 3 * _HEAD and place.width > 4 * _HEAD and len(items) > 1 else 0
    inner = Rectangle(place.x, place.y + head, place.width, place.height - head)
    lines = _fitting([group.name] if head else [], place)
    yield Box(place=place, fill="var(--soft)", stroke="var(--ink)", ink="var(--ink)",
              title=group.name, lines=lines, group=rank)  # fmt: skip
    for item, spot in zip(items, squarified([i.size for i in items], inner), strict=True):
        room = 2 if spot.height >= 2.2 * _HEAD else 1 if spot.height >= 1.2 * _HEAD else 0
        yield Box(
            place=spot,
            fill=COLOURS[item.kind],
            stroke="#f2c94c" if item.changed else "var(--back)",
            ink="#fff",
            title=f"{item.name}: {item.words}",
            lines=_fitting([item.name, item.words][:room], spot),
            group=rank,
        )


def _fitting(lines: Sequence[str], place: Rectangle) -> tuple[str, ...]:
    """Return lines cut to the width of a place; none where three letters do not fit."""
    most = int((place.width - 8) / 7.2)  # width of a letter of 12 px
    if most < 3:  # less says nothing
        return ()
    return tuple(cut(line, most) for line in lines)
