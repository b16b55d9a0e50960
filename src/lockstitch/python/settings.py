"""The schema of [tool.lockstitch], in JSON Schema: `settings.toml` beside this file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lockstitch.errors import LockstitchError, nearest
from lockstitch.resources import load_table

_ROOT = ("tool", "lockstitch")
_ABSENT = object()
_KINDS: Mapping[str, tuple[type, str]] = {
    "string": (str, "a text"),
    "boolean": (bool, "true or false"),
    "integer": (int, "a whole number from {minimum} to {maximum}"),
    "array": (list, "a list of texts"),
    "object": (Mapping, "a table"),
}


def schema() -> Mapping[str, Any]:
    """Return the JSON Schema of [tool.lockstitch]."""
    return load_table(__package__, "settings.toml")


def tool_schema(name: str) -> dict[str, Any]:
    """Return the schema for validate-pyproject; raises ValueError for another tool's name."""
    if name != "lockstitch":
        raise ValueError(f"`{name}` is not lockstitch")
    return dict(schema())


def resolved(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part of the schema with what it refers to."""
    where = part.get("$ref")
    return {**schema()["definitions"][where.rpartition("/")[2]], **part} if where else part


def conform(
    value: object, problems: list[LockstitchError], *path: str, by: Mapping[str, Any] | None = None
) -> Any:
    """Return the value at a path of [tool.lockstitch] with the schema's defaults in it.

    Each part that does not fit is a problem, and has its default. The value is of the whole table
    without a path, and of the part `by` of the schema where that is given.
    """
    part = resolved(schema() if by is None else by)
    if "anyOf" in part:  # a text, or a table that says more
        part = resolved(part["anyOf"][isinstance(value, Mapping)])
    kind, wanted = _KINDS[part["type"]]
    if value is not _ABSENT and not _is_of(value, kind, part):
        wanted = wanted.format(**part) if "minimum" in part else wanted
        number = kind is str and isinstance(value, int | float) and not isinstance(value, bool)
        hint = f'{path[-1]} = "{value}"' if number else ""
        problems.append(problem(path, f"must be {wanted}, found `{value!r:.80}`", hint=hint))
        value = _ABSENT
    if kind is Mapping:
        return _table(value if isinstance(value, Mapping) else {}, problems, path, part)
    if value is _ABSENT:
        default = part.get("default", kind())
        return tuple(default) if kind is list else default
    before = len(problems)
    problems += _misfits(value, path, part)
    if kind is list:
        return tuple(value)  # type: ignore[arg-type] # `_is_of`
    return value if len(problems) == before else part.get("default", kind())


def problem(path: Sequence[str], message: str, *, hint: str = "") -> LockstitchError:
    """Return an error that names the place of a setting, by its path below [tool.lockstitch]."""
    return LockstitchError(f"`{'.'.join((*_ROOT, *path))}` {message}", hint=hint)


def _is_of(value: object, kind: type, part: Mapping[str, Any]) -> bool:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return False
    if isinstance(value, list):
        return all(isinstance(item, str) and item for item in value)
    if isinstance(value, int) and "minimum" in part:
        return bool(part["minimum"] <= value <= part["maximum"])
    return value != ""


def _misfits(
    value: object, path: Sequence[str], part: Mapping[str, Any]
) -> Iterator[LockstitchError]:
    """Yield the problems of a text, or of a list and its items."""
    if isinstance(value, list):
        count = len(value)
        if count < part.get("minItems", 0) or (part.get("uniqueItems") and len(set(value)) < count):
            yield _misfit("", path, part)
        for item in value:
            yield from _misfits(item, path, part["items"])
    elif isinstance(value, str):
        for branch in (part, *part.get("allOf", ())):
            if not _matches(value, branch) or value not in branch.get("enum", (value,)):
                yield _misfit(value, path, branch)
                return


def _misfit(value: str, path: Sequence[str], part: Mapping[str, Any]) -> LockstitchError:
    names = " or ".join(f'"{value}"' for value in part.get("enum", ()))
    message = part.get("x-problem", "is `{}`").replace("{}", f"{value:.80}")
    return problem(path, message, hint=part.get("x-hint", names))


def _matches(value: str, part: Mapping[str, Any]) -> bool:
    pattern = part.get("pattern", "")
    if pattern.endswith("$"):  # which Python lets a line feed follow
        pattern = rf"{pattern[:-1]}\Z"
    return re.search(pattern, value) is not None


def _table(
    value: Mapping[str, Any],
    problems: list[LockstitchError],
    path: tuple[str, ...],
    part: Mapping[str, Any],
) -> dict[str, Any]:
    known: Mapping[str, Any] = part.get("properties", {})
    names, others = part.get("propertyNames"), part.get("additionalProperties")
    result = {
        key: conform(value.get(key, _ABSENT), problems, *path, key, by=below)
        for key, below in known.items()
    }
    for key, item in value.items():
        if key in known:
            continue
        if not others:
            problems.append(_unknown(key, path, sorted(known)))
            continue
        if names and not _matches(key, names):
            problems.append(_misfit("", (*path, key), names))
        result[key] = conform(item, problems, *path, key, by=others)
    return result


def _unknown(key: str, path: Sequence[str], known: Sequence[str]) -> LockstitchError:
    hint = nearest(key, known, f"known keys: {', '.join(known)}")
    return problem((*path, key), "is not a setting of lockstitch", hint=hint)
