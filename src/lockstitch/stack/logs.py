"""Reads logs that may be moved away while they are read."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from lockstitch import clock

__all__ = ["last", "lines"]

_LOOK = 0.2  # seconds between two looks at a log
_MOST = 1 << 20  # bytes of a log's end that are read for its last lines


def last(log: Path, count: int) -> list[str]:
    """Return the last lines of a log, none when there is no log."""
    return _last(log, count)[0]


def lines(logs: Mapping[str, Path], count: int, *, follow: bool) -> Iterator[tuple[str, str]]:
    """Yield name and line: the last of each log, then, to `follow`, what comes."""
    places = {}
    for name, log in logs.items():
        found, places[name] = _last(log, count)
        yield from ((name, line) for line in found)
    rest = dict.fromkeys(logs, b"")
    while follow:
        for name, log in logs.items():
            data, places[name] = _new(log, places[name])
            *whole, rest[name] = (rest[name] + data).split(b"\n")
            yield from ((name, line.decode(errors="replace")) for line in whole)
        clock.sleep(_LOOK)


def _last(log: Path, count: int) -> tuple[list[str], int]:
    try:
        size = log.stat().st_size
        with log.open("rb") as handle:
            handle.seek(max(0, size - _MOST))
            data = handle.read(_MOST)
    except FileNotFoundError:
        return [], 0
    whole = data[: data.rfind(b"\n") + 1]
    found = whole.decode(errors="replace").splitlines()
    return found[-count:] if count > 0 else [], max(0, size - _MOST) + len(whole)


def _new(log: Path, place: int) -> tuple[bytes, int]:
    try:
        with log.open("rb") as handle:
            if log.stat().st_size < place:  # it was moved, and begins again
                place = 0
            handle.seek(place)
            data = handle.read()
    except FileNotFoundError:
        return b"", 0
    return data, place + len(data)
