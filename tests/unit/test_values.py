"""Values are what `dataclasses` would make of them, but for what is not needed."""

import pickle
from dataclasses import asdict, dataclass, fields
from dataclasses import field as stated
from functools import cached_property
from typing import ClassVar

import pytest

from lockstitch.values import field, fields_of, frozen, ordered, positional, replace


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


@positional
class Pair:
    """Two numbers, the second of which may be left out."""

    left: int
    right: int = 0
    seen: list[int] = stated(default_factory=list)  # as a module that has mutable classes too


@ordered
class Version:
    """In order, and with more than its fields."""

    kind: ClassVar[str] = "version"
    major: int
    minor: int = 0

    @cached_property
    def text(self) -> str:
        """Return it as people write it."""
        return f"{self.major}.{self.minor}"


@frozen
class Release(Partly):
    """What Partly has, and more."""

    day: str


def test_fields_need_no_names_where_a_class_says_so() -> None:
    assert Pair(1, 2) == Pair(left=1, right=2)
    assert Pair(1).seen == []
    with pytest.raises(TypeError, match=r"Pair.__init__\(\) missing 1 required positional"):
        Pair()


def test_values_may_be_ordered_and_keep_what_they_found() -> None:
    first, last = Version(major=1, minor=9), Version(major=2)
    assert sorted([last, first]) == [first, last]
    assert (last.kind, last.text, last.text is last.text) == ("version", "2.0", True)
    assert fields_of(last) == {"major": 2, "minor": 0}
    with pytest.raises(TypeError, match="'<' not supported"):
        sorted([Pair(1), Pair(2)])


def test_a_class_takes_the_fields_of_its_base() -> None:
    release = Release(x=1, day="1 May")
    assert repr(release) == "Release(x=1, note='', day='1 May')"
    assert replace(release, day="2 May", note="b") == Release(x=1, day="2 May")
    assert fields_of(release) == {"x": 1, "note": "", "known": {}, "day": "1 May"}


def test_replace_takes_classes_of_dataclasses_and_asdict_takes_values() -> None:
    assert replace(Same(x=1), x=2) == Same(x=2)
    assert asdict(Version(major=1)) == {"major": 1, "minor": 0}
    assert [each.name for each in fields(Release)] == ["x", "note", "known", "day"]


def test_a_value_goes_to_another_process_and_back() -> None:
    back = pickle.loads(pickle.dumps(Point(x=1, seen=[2])))  # noqa: S301 -- its own bytes
    assert back == Point(x=1, seen=[2])
