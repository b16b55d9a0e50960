"""A treemap as SVG: the size of each thing is its area (Bruls, Huizing, van Wijk, 2000)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from lockstitch.webpage import Raw

__all__ = ["Group", "Item", "Rectangle", "draw", "squarified"]

_WIDTH, _HEIGHT = 1000.0, 560.0
_HEAD = 22.0  # of a group's title
_LETTER = 7.2  # width of a letter of 12 px
_COLOURS = {"same": "#7a8fa6", "new": "#b4540a", "grown": "#b3261e", "shrunk": "#2e7d4f"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One rectangle: its name, its size, what is said of it, and how it changed."""

    name: str
    size: float
    words: str
    change: str = "same"  # or new, grown, shrunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rectangles that belong together."""

    name: str
    items: Sequence[Item]

    @property
    def size(self) -> float:
        """The size of all of them."""
        return sum(each.size for each in self.items)


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A place."""

    x: float
    y: float
    width: float
    height: float


def squarified(sizes: Sequence[float], place: Rectangle) -> list[Rectangle]:
    """Return a place for each size, in its order; sizes fall, and are above 0."""
    total = sum(sizes)
    if not sizes or total <= 0:
        return []
    scale = place.width * place.height / total
    areas = [size * scale for size in sizes]
    found: list[Rectangle] = []
    while areas:
        side = min(place.width, place.height)
        row = [areas[0]]
        while len(row) < len(areas) and _worst([*row, areas[len(row)]], side) <= _worst(row, side):
            row.append(areas[len(row)])
        areas = areas[len(row) :]
        place = _lay(row, place, found)
    return found


def _worst(row: list[float], side: float) -> float:
    total = sum(row)
    if not side or not total:
        return float("inf")
    return max(side**2 * max(row) / total**2, total**2 / (side**2 * min(row)))


def _lay(row: list[float], place: Rectangle, found: list[Rectangle]) -> Rectangle:
    """Lay a row along the shorter side, and return what is left."""
    total, at = sum(row), 0.0
    if place.width >= place.height:
        width = total / place.height if place.height else 0.0
        for area in row:
            # What is left over may be a rounding error wide: nothing leaves its place.
            height = min(area / width, place.height - at) if width else 0.0
            found.append(Rectangle(place.x, place.y + at, width, height))
            at += height
        return Rectangle(place.x + width, place.y, max(0.0, place.width - width), place.height)
    height = total / place.width if place.width else 0.0
    for area in row:
        width = min(area / height, place.width - at) if height else 0.0
        found.append(Rectangle(place.x + at, place.y, width, height))
        at += width
    return Rectangle(place.x, place.y + height, place.width, max(0.0, place.height - height))


def draw(groups: Sequence[Group], label: str) -> Raw:
    """Return the picture; groups and items are drawn from the largest to the smallest."""
    ordered = sorted((g for g in groups if g.size > 0), key=lambda g: (-g.size, g.name))
    whole = Rectangle(0.0, 0.0, _WIDTH, _HEIGHT)
    places = squarified([each.size for each in ordered], whole)
    box = f'viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="{escape(label)}"'
    parts = [f'<svg {box} font-family="system-ui,sans-serif" font-size="12">']
    for group, place in zip(ordered, places, strict=True):
        parts += _group(group, place)
    return Raw("\n".join([*parts, "</svg>"]))


def _group(group: Group, place: Rectangle) -> Iterator[str]:
    items = sorted((i for i in group.items if i.size > 0), key=lambda i: (-i.size, i.name))
    head = _HEAD if place.height > 3 * _HEAD and place.width > 4 * _HEAD and len(items) > 1 else 0
    inner = Rectangle(place.x, place.y + head, place.width, place.height - head)
    yield _box(place, "none", "var(--ink)", group.name)
    if head:
        yield _label(Rectangle(place.x, place.y, place.width, head), group.name, "var(--ink)")
    for item, spot in zip(items, squarified([i.size for i in items], inner), strict=True):
        yield _box(spot, _COLOURS[item.change], "var(--back)", f"{item.name}: {item.words}")
        yield from _words(item, spot)


def _box(place: Rectangle, fill: str, stroke: str, title: str) -> str:
    return (
        f'<rect x="{place.x:.1f}" y="{place.y:.1f}" width="{place.width:.1f}" '
        f'height="{place.height:.1f}" fill="{fill}" stroke="{stroke}">'
        f"<title>{escape(title)}</title></rect>"
    )


def _words(item: Item, place: Rectangle) -> Iterator[str]:
    if place.height >= 1.2 * _HEAD:
        yield _label(Rectangle(place.x, place.y, place.width, _HEAD), item.name, "#fff")
    if place.height >= 2.2 * _HEAD:
        below = Rectangle(place.x, place.y + 15, place.width, _HEAD)
        yield _label(below, item.words, "#fff")


def _label(place: Rectangle, text: str, fill: str) -> str:
    most = int((place.width - 8) / _LETTER)
    if most < 3:  # noqa: PLR2004 -- less says nothing
        return ""
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return f'<text x="{place.x + 5:.1f}" y="{place.y + 15:.1f}" fill="{fill}">{escape(cut)}</text>'
