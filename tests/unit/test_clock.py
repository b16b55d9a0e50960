"""The door to the time."""

import time

from lockstitch import clock


def test_now_is_what_file_times_are_compared_with() -> None:
    assert abs(clock.now() - time.time()) < 5


def test_sleep_passes_time_that_monotonic_sees() -> None:
    before = clock.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.01
