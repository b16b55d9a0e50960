"""What lockstitch refuses, and with which words."""

from collections.abc import Callable

import pytest

from lockstitch.errors import LockstitchError

__all__ = ["problems", "refused"]


def refused(call: Callable[[], object]) -> LockstitchError:
    """Return the error that a call raises."""
    with pytest.raises(LockstitchError) as caught:
        call()
    return caught.value


def problems(call: Callable[[], object]) -> list[tuple[str, str]]:
    """Return message and hint of each error that a call raises."""
    return [(error.message, error.hint) for error in refused(call).everything()]
