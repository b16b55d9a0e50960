"""The only place that asks the time. Nothing that is hashed may come from here."""

import time


def monotonic() -> float:
    """Return seconds on a clock that only goes forward, for durations."""
    return time.monotonic()


def now() -> float:
    """Return seconds since 1970, for comparing with file times of the store."""
    return time.time()


def today() -> str:
    """Return the day in UTC, as `2026-11-30`."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def hour() -> int:
    """Return the hour of the day here, 0 to 23."""
    return time.localtime().tm_hour


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
