"""Finds shell patterns (`*`, `?`) in a text in time that no pattern can blow up.

They are what `${name#pattern}` and its kin take. A pattern is cut at its stars into runs of plain
characters, and each run is looked for once: from the left for the earliest end, from the right
for the latest. BuildKit's regular expressions find the same places (frontend/dockerfile/shell).
"""

__all__ = ["PatternError", "replaced", "without_prefix", "without_suffix"]

_ANY = None  # what `?` stands for in a run
_Run = list[str | None]
_LONGEST_PATTERN = 100
_LONGEST_VALUE = 1_000


class PatternError(ValueError):
    """Says that a pattern is not one, or too long."""


def without_prefix(value: str, pattern: str, *, longest: bool) -> str:
    """Return a value without the shortest or longest start that fits a pattern."""
    end = _end(value, _runs(value, pattern), 0, longest=longest)
    return value if end is None else value[end:]


def without_suffix(value: str, pattern: str, *, longest: bool) -> str:
    """Return a value without the shortest or longest end that fits a pattern."""
    runs = [run[::-1] for run in reversed(_runs(value, pattern))]
    end = _end(value[::-1], runs, 0, longest=longest)
    return value if not end else value[:-end]


def replaced(value: str, pattern: str, replacement: str, *, everywhere: bool) -> str:
    """Return a value with the first, or every, longest fit of a pattern replaced."""
    runs = _runs(value, pattern)
    found: list[str] = []
    position, fitted = 0, -1
    while (start := _find(value, runs[0], position)) is not None:
        end = _end(value, runs, start, longest=True)
        if end is None:  # what does not fit from here fits from no later place either
            break
        if end == start == fitted:  # nothing, right behind a fit: Go's rule is to go on
            if start == len(value):
                break
            found.append(value[start])
            position, fitted = start + 1, -1
            continue
        found += [value[position:start], replacement]
        position = fitted = end
        if not everywhere:
            break
    return "".join(found) + value[position:]


def _runs(value: str, pattern: str) -> list[_Run]:
    if len(pattern) > _LONGEST_PATTERN or len(value) > _LONGEST_VALUE:
        message = f"a pattern of {len(pattern)} characters for {len(value)} is too much"
        raise PatternError(message)
    runs: list[_Run] = [[]]
    characters = iter(pattern)
    for character in characters:
        if character == "*":
            runs.append([])
        elif character == "?":
            runs[-1].append(_ANY)
        elif character == "\\":
            # `}` and `/` are escaped for the sake of `${}`, the others for the pattern's.
            escaped = next(characters, "")
            if not escaped or escaped not in "*?\\}/":
                message = f"`\\{escaped}` is no escape of a pattern"
                raise PatternError(message)
            runs[-1].append(escaped)
        else:
            runs[-1].append(character)
    return runs


def _end(value: str, runs: list[_Run], start: int, *, longest: bool) -> int | None:
    """Return where a fit that begins at `start` ends, or None."""
    first, *others = runs
    if not _fits(value, first, start):
        return None
    end = start + len(first)
    for number, run in enumerate(others, 1):
        last = number == len(others)
        found = _find_last(value, run, end) if last and longest else _find(value, run, end)
        if found is None:
            return None
        end = found + len(run)
    return end


def _fits(value: str, run: _Run, start: int) -> bool:
    if start + len(run) > len(value):
        return False
    return all(c is _ANY or c == value[start + i] for i, c in enumerate(run))


def _find(value: str, run: _Run, start: int) -> int | None:
    places = range(start, len(value) - len(run) + 1)
    return next((place for place in places if _fits(value, run, place)), None)


def _find_last(value: str, run: _Run, start: int) -> int | None:
    places = range(len(value) - len(run), start - 1, -1)
    return next((place for place in places if _fits(value, run, place)), None)
