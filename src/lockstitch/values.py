"""Classes of values, cheap to make: a command names a hundred of them before it reads a file.

`dataclasses` writes and compiles a text for every method of every class: 13 to 46 ms of the 130
that `lockstitch check` needs to start, and 40 of the 220 of a build after one line. Here only
`__init__` is written so; comparing, hashing and showing are the same three functions for all.
"""

import dataclasses
import operator
from typing import Any, TypeVar, dataclass_transform

_Value = TypeVar("_Value")


@dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field,)
)
def frozen(kind: type[_Value]) -> type[_Value]:
    """Make a class one of values: keywords only, slots, equal and hashed by its fields.

    A type checker refuses what would change a value; at run time nothing watches.
    """
    made: Any = dataclasses.dataclass(slots=True, kw_only=True, repr=False, eq=False)(kind)
    compared = [field.name for field in dataclasses.fields(made) if field.compare]
    made.__compared__ = operator.attrgetter(*compared or ["__class__"])
    for name, method in (("__eq__", _equal), ("__hash__", _hash), ("__repr__", _shown)):
        if name not in vars(kind):
            setattr(made, name, method)
    values: type[_Value] = made
    return values


def _equal(self: Any, other: Any) -> Any:
    if type(self) is not type(other):
        return NotImplemented
    compared = self.__compared__
    return compared(self) == compared(other)


def _hash(self: Any) -> int:
    return hash(self.__compared__(self))


def _shown(self: Any) -> str:
    shown = [field.name for field in dataclasses.fields(self) if field.repr]
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
    return f"{type(self).__qualname__}({fields})"


@frozen
class Problem:
    """One thing that is wrong with a text; lines count from 1, 0 is the file as a whole."""

    line: int
    message: str
    fatal: bool = True  # the program that the file is for refuses it
    path: str = ""  # of another file, named by the file that was read
