"""The time that an image and its documents bear: of what is locked, never of the clock."""

import datetime
from collections.abc import Iterable

from lockstitch import environ
from lockstitch.errors import LockstitchError
from lockstitch.lock.bases import Base
from lockstitch.python.locks.resolution import LockedWheel

__all__ = ["created"]


def created(wheels: Iterable[LockedWheel], base: Base) -> int:
    """Return SOURCE_DATE_EPOCH, else the time of the newest locked part, in seconds since 1970."""
    asked = environ.integer("SOURCE_DATE_EPOCH")
    if asked is not None:
        return asked
    try:
        stamp = datetime.datetime.strptime(base.snapshot + "+0000", "%Y%m%dT%H%M%SZ%z")
    except ValueError as error:
        message = f"the lock's snapshot `{base.snapshot}` is not a time"
        raise LockstitchError(message, hint="lockstitch lock --upgrade") from error
    return max([wheel.uploaded for wheel in wheels] + [int(stamp.timestamp())])
