"""The one way to fail: say what is so, and what to type."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence

_UNSEEN = r"[^\x20-\x7e\xa1-\ufffd]+"  # a millisecond to compile, for a message


class LockstitchError(Exception):
    """Says what is so in `message` and what to type in `hint`; the user can fix it (exit 1)."""

    exit_code = 1

    def __init__(
        self, message: str, *, hint: str = "", also: Sequence["LockstitchError"] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.also = tuple(also)

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way back from a worker process, keyword arguments included."""
        return (_rebuild, (type(self), self.message, self.hint, self.also))

    def everything(self) -> Iterable["LockstitchError"]:
        """Yield this error and all that were found with it, in order."""
        yield self
        for error in self.also:
            yield from error.everything()


class UsageError(LockstitchError):
    """Says that the command was called wrongly (exit 2)."""

    exit_code = 2


def nearest(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the hint that names the nearest of known words, or another where none is near."""
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else otherwise


def _rebuild(
    kind: type[LockstitchError], message: str, hint: str, also: Sequence[LockstitchError]
) -> LockstitchError:
    return kind(message, hint=hint, also=also)


def raise_all(errors: Sequence[LockstitchError]) -> None:
    """Raise the first error with the others attached, each once, or return when there is none."""
    unique: dict[tuple[str, str], LockstitchError] = {}
    for error in (e for several in errors for e in several.everything()):
        unique.setdefault((error.message, error.hint), error)
    if not unique:
        return
    first, *rest = unique.values()
    raise type(first)(first.message, hint=first.hint, also=[_alone(e) for e in rest])


@contextlib.contextmanager
def collected(problems: list[LockstitchError]) -> Iterator[None]:
    """Add a LockstitchError of the block to a list, to be raised with others."""
    try:
        yield
    except LockstitchError as error:
        problems.append(error)


def _alone(error: LockstitchError) -> LockstitchError:
    """Return an error without those that are attached to it."""
    return type(error)(error.message, hint=error.hint) if error.also else error


def printable(text: object, most: int = 80) -> str:
    """Return a server's text fit to be shown: short, and without control codes."""
    return re.sub(_UNSEEN, " ", str(text))[:most]  # a terminal's cursor is not theirs to move
