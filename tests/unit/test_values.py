"""Values are what `dataclasses` would make of them, but for what is not needed."""

from dataclasses import dataclass, fields

import pytest

from lockstitch.values import field, frozen, replace


@frozen
class Point:
    """Where something is."""

    x: int
    names: tuple[str, ...] = ()
    seen: list[int] = field(default_factory=list)

    @property
    def double(self) -> int:
        """Return twice x."""
        return 2 * self.x


@dataclass(frozen=True, slots=True, kw_only=True)
class Same:
    """The same of the standard library."""

    x: int
    names: tuple[str, ...] = ()


@frozen
class Alone:
    """Shown its own way."""

    x: int

    def __repr__(self) -> str:
        """Return its number."""
        return str(self.x)


def test_it_is_equal_and_hashed_by_its_fields() -> None:
    assert Point(x=1, names=("a",)) == Point(x=1, names=("a",))
    assert Point(x=1) != Point(x=2)
    assert Alone(x=1) != Same(x=1)
    assert {Alone(x=1): "one"}[Alone(x=1)] == "one"
    assert hash(Alone(x=1)) == hash(Alone(x=1))


def test_it_takes_keywords_and_has_slots_fields_and_replace() -> None:
    with pytest.raises(TypeError, match="positional"):
        Point(1)
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'x'"):
        Point()
    with pytest.raises(AttributeError):
        Point(x=1).y = 2
    assert [each.name for each in fields(Point)] == ["x", "names", "seen"]
    assert replace(Point(x=1, names=("a",)), x=3) == Point(x=3, names=("a",))
    assert Point(x=1).seen is not Point(x=1).seen
    assert Point(x=4).double == 8


def test_it_is_shown_as_a_dataclass_is_unless_it_says_how() -> None:
    assert repr(Same(x=1, names=("a",))) == "Same(x=1, names=('a',))"
    assert repr(Point(x=1)) == "Point(x=1, names=(), seen=[])"
    assert repr(Alone(x=5)) == "5"


@frozen
class Partly:
    """Compared and shown in part."""

    x: int
    note: str = field(default="", compare=False)
    known: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Know nothing yet."""
        object.__setattr__(self, "known", {})


def test_a_field_may_be_left_out_of_what_is_compared_or_shown() -> None:
    one, other = Partly(x=1, note="a"), Partly(x=1, note="b")
    other.known["y"] = 2
    assert one == other
    assert hash(one) == hash(other)
    assert one != Partly(x=2, note="a")
    assert repr(one) == "Partly(x=1, note='a')"


@frozen
class Empty:
    """No field at all."""


def test_a_value_without_fields_is_equal_to_its_like() -> None:
    assert Empty() == Empty()
    assert len({Empty(), Empty()}) == 1
    assert Empty() != Point(x=1)
