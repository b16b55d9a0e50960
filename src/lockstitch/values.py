"""Classes of values, cheap to make: a command names a hundred of them before it reads a file.

`dataclasses` writes and compiles a text for every method of every class, and loads `inspect`: a
sixth of what a build after one edited line takes. Here `__init__` is written when the first value
is made; comparing, hashing and showing are the same functions for all. `dataclasses.fields` and
`asdict` take these values too.
"""

import operator
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

_Value = TypeVar("_Value")
_NONE = object()
_USUAL = {"default": _NONE, "default_factory": _NONE, "init": True, "repr": True, "compare": True}


class _Field(SimpleNamespace):
    """What a class states of a field, by the words of `dataclasses.field`."""


if TYPE_CHECKING:
    from dataclasses import field as field  # noqa: PLC0414 -- for others to import
    from dataclasses import replace as replace  # noqa: PLC0414 -- the same
else:

    def field(**stated: Any) -> _Field:
        """Say how a field differs from `name: type = default`."""
        return _Field(**(_USUAL | stated))

    def replace(value: Any, /, **changes: Any) -> Any:
        """Return the value with some fields changed."""
        if not hasattr(value, "__values__"):  # `dataclasses` made its class
            import dataclasses

            return dataclasses.replace(value, **changes)
        for name, field_of in value.__values__.items():
            if field_of.init and name not in changes:
                changes[name] = getattr(value, name)
        return type(value)(**changes)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[_Value]) -> type[_Value]:
    """Make a class one of values: keywords only, slots, equal and hashed by its fields.

    A type checker refuses what would change a value; at run time nothing watches.
    """
    made: type[_Value] = _made(kind, "*, ")
    return made


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def positional(kind: type[_Value]) -> type[_Value]:
    """Make a class one of values as `frozen` does, whose fields need not be named."""
    made: type[_Value] = _made(kind, "")
    return made


@dataclass_transform(
    kw_only_default=True, frozen_default=True, order_default=True, field_specifiers=(field,)
)
def ordered(kind: type[_Value]) -> type[_Value]:
    """Make a class one of values as `frozen` does, in the order of their fields."""
    made: Any = _made(kind, "*, ")
    made.__lt__ = lambda self, other: self.__compared__(self) < other.__compared__(other)
    values: type[_Value] = made
    return values


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a value by their names."""
    return {name: getattr(value, name) for name in value.__values__}


def _made(kind: Any, star: str) -> Any:
    fields: dict[str, _Field] = {}
    for base in reversed(kind.__mro__[1:]):
        fields |= vars(base).get("__values__", {})
    body = {"__eq__": _equal, "__hash__": _hash, "__repr__": _shown, **vars(kind)}
    slots = []
    for name, hint in body.get("__annotations__", {}).items():
        if getattr(hint, "__origin__", hint) is not ClassVar:
            slots += [name] if name not in fields else []
            fields[name] = _stated(body.pop(name, _NONE))
    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)
    if any(isinstance(value, cached_property) for value in body.values()):
        slots.append("__dict__")  # where such a property keeps what it found
    compared = [name for name, field_of in fields.items() if field_of.compare]
    body |= {
        "__compared__": operator.attrgetter(*compared or ["__class__"]),
        "__dataclass_fields__": _Fields(),
        "__qualname__": kind.__qualname__,
        "__slots__": slots,
        "__values__": fields,
    }
    made = type(kind)(kind.__name__, kind.__bases__, body)

    def late(self: Any, *values: Any, **named: Any) -> None:
        made.__init__ = _init(made, fields, star)
        made.__init__(self, *values, **named)

    made.__init__ = late
    return made


def _stated(default: Any) -> Any:
    if not hasattr(default, "default_factory"):
        return field(default=default)
    if isinstance(default, _Field):
        return default
    import dataclasses  # whose field this is

    stated = {name: getattr(default, name) for name in _USUAL}
    return field(**{k: v for k, v in stated.items() if v is not dataclasses.MISSING})


def _init(made: Any, fields: dict[str, _Field], star: str) -> Any:
    """Return the `__init__` of a class, which has one argument for each field."""
    scope: dict[str, Any] = {"_NONE": _NONE}
    heads, lines = [], []
    for name, field_of in fields.items():
        head, value, default = name, name, f"_of_{name}"
        if field_of.default_factory is not _NONE:
            scope[default] = field_of.default_factory
            head, value = f"{name}=_NONE", f"{default}() if {name} is _NONE else {name}"
        elif field_of.default is not _NONE:
            scope[default] = field_of.default
            head = f"{name}={default}"
        if field_of.init:
            heads.append(head)
            lines.append(f"self.{name} = {value}")
    lines.append("self.__post_init__()" if hasattr(made, "__post_init__") else "pass")
    head = f"def __init__(self, {star if heads else ''}{', '.join(heads)}):"
    exec("\n ".join([head, *lines]), scope)  # noqa: S102 -- names of fields alone
    scope["__init__"].__qualname__ = f"{made.__qualname__}.__init__"
    return scope["__init__"]


class _Fields:
    """What `dataclasses` looks for in classes of its own, made when it looks."""

    def __get__(self, value: object, kind: Any) -> Any:
        import dataclasses

        hints: dict[str, Any] = {}
        for base in reversed(kind.__mro__):
            hints |= vars(base).get("__annotations__", {})
        rows = []
        for name, part in kind.__values__.items():
            known = {key: value for key, value in vars(part).items() if value is not _NONE}
            rows.append((name, hints[name], dataclasses.field(**known)))
        made: Any = dataclasses.make_dataclass(kind.__name__, rows, kw_only=True)
        kind.__dataclass_fields__ = made.__dataclass_fields__
        return kind.__dataclass_fields__


def _equal(self: Any, other: Any) -> Any:
    if type(self) is not type(other):
        return NotImplemented
    compared = self.__compared__
    return compared(self) == compared(other)


def _hash(self: Any) -> int:
    return hash(self.__compared__(self))


def _shown(self: Any) -> str:
    shown = [name for name, part in self.__values__.items() if part.repr]
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
    return f"{type(self).__qualname__}({fields})"


@frozen
class Problem:
    """One thing that is wrong with a text; lines count from 1, 0 is the file as a whole."""

    line: int
    message: str
    fatal: bool = True  # the program that the file is for refuses it
    path: str = ""  # of another file, named by the file that was read
