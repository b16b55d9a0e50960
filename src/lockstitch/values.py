"""Classes of values, cheap to make: a check names a hundred of them before it reads a file.

`dataclasses` writes and compiles a text for every method of every class: 13 to 46 ms of the 130
that `lockstitch check` needs to start. Here only `__init__` is written so; comparing, hashing and
showing are the same three functions for all.
"""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

_Value = TypeVar("_Value")


@dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field,)
)
def frozen(kind: type[_Value]) -> type[_Value]:
    """Make a class one of values: keywords only, slots, equal and hashed by its fields.

    A type checker refuses what would change a value; at run time nothing watches.
    """
    made = dataclasses.dataclass(slots=True, kw_only=True, repr=False, eq=False)(kind)
    for name, method in (("__eq__", _equal), ("__hash__", _hash), ("__repr__", _shown)):
        if name not in vars(kind):
            setattr(made, name, method)
    return made


def _fields(value: Any) -> tuple[Any, ...]:
    return tuple(getattr(value, name) for name in value.__dataclass_fields__)


def _equal(self: Any, other: Any) -> Any:
    return _fields(self) == _fields(other) if type(self) is type(other) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_fields(self))


def _shown(self: Any) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__dataclass_fields__)
    return f"{type(self).__qualname__}({fields})"


@frozen
class Problem:
    """One thing that is wrong with a text; lines count from 1, 0 is the file as a whole."""

    line: int
    message: str
    fatal: bool = True  # the program that the file is for refuses it
    path: str = ""  # of another file, named by the file that was read
