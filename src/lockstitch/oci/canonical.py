"""JSON with one spelling, because its digest is a name."""

import json

__all__ = ["dumps"]


def dumps(value: object) -> bytes:
    """Return compact UTF-8 JSON with sorted keys; a float is an error, as its text can move."""
    _refuse_floats(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        raise TypeError(value)
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(key)
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
