"""Sizes as people write them: decimal units, as registries and `docker images` count."""

import re

from lockstitch.patterns import regex

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_FORM = regex(r"(\d+(?:\.\d+)?)\s*([KMG]?B)", re.IGNORECASE)


def parse(text: str) -> int | None:
    """Return the bytes that `500MB` or `1.5 GB` names, or None when it names none."""
    match = _FORM.fullmatch(text.strip())
    return round(float(match[1]) * _UNITS[match[2].upper()]) if match else None


def shown(size: int) -> str:
    """Return a size for people: `52.1 MB`."""
    if size >= _UNITS["GB"]:
        return f"{size / _UNITS['GB']:.2f} GB"
    if size >= _UNITS["MB"]:
        return f"{size / _UNITS['MB']:.1f} MB"
    return f"{size / _UNITS['KB']:.1f} kB"
