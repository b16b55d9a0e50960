"""What registries say when they refuse: their own code and message (distribution spec 1.1)."""

import json
from collections.abc import Sequence

from lockstitch.errors import LockstitchError, printable
from lockstitch.net.transport import Answer, TransportError

__all__ = ["Again", "RegistryError", "refusal"]

_LONGEST = 1 << 16  # bytes of an error's body
_SHOWN = 300  # characters of what it says
_UNKNOWN = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN"})


class RegistryError(LockstitchError):
    """Says what a registry refused, in its words; `status` is HTTP's, `codes` are the spec's."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        also: Sequence[LockstitchError] = (),
        status: int = 0,
        codes: tuple[str, ...] = (),
    ) -> None:
        """Keep what the registry said."""
        super().__init__(message, hint=hint, also=also)
        self.status = status
        self.codes = codes


class Again(Exception):  # noqa: N818 -- a signal between the functions of this package
    """Says that a try failed in a way that another one may not."""

    def __init__(self, error: RegistryError, wait: float | None = None) -> None:
        """Keep what to raise when there are no more tries, and the seconds to wait."""
        super().__init__(error.message)
        self.error = error
        self.wait = wait


def refusal(answer: Answer, what: str, *, hint: str = "") -> RegistryError:
    """Return the error for an answer that refuses `what`, such as "the manifest `1.0`"."""
    codes, line = _words(answer)
    message = f"{what}: HTTP {answer.status}{f', {line}' if line else ''}"
    unknown = not hint and bool(_UNKNOWN & {*codes})
    hint = "name a repository and a tag that are there" if unknown else hint
    return RegistryError(message, hint=hint, status=answer.status, codes=codes)


def _words(answer: Answer) -> tuple[tuple[str, ...], str]:
    """Return the codes of an error's body and one line that shows all of them."""
    try:
        errors = json.loads(answer.read(_LONGEST))["errors"]
        pairs = [(str(each["code"]), str(each.get("message") or "")) for each in errors]
    except (TransportError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return (), ""
    lines = [f"{code}: {message}" if message else code for code, message in pairs]
    return tuple(code for code, _ in pairs), printable("; ".join(lines), _SHOWN)
