"""The same work on many things at once."""

import threading

import pytest

from lockstitch import threads
from lockstitch.errors import LockstitchError


def test_results_come_in_the_order_of_items() -> None:
    assert threads.run(range(50), lambda n: n * n, parallel=7) == [n * n for n in range(50)]
    assert threads.run([], str, parallel=3) == []


def test_what_failed_is_told_together_and_in_order() -> None:
    done = []

    def work(number: int) -> None:
        if number % 2:
            message = f"number {number}"
            raise LockstitchError(message)
        done.append(number)

    with pytest.raises(LockstitchError) as info:
        threads.run(range(5), work, parallel=2)
    assert [each.message for each in info.value.everything()] == ["number 1", "number 3"]
    assert sorted(done) == [0, 2, 4]


def test_another_error_stops_the_work() -> None:
    stopped = threading.Event()

    def work(number: int) -> None:
        raise KeyError(number)

    with pytest.raises(KeyError):
        threads.run(range(100), work, parallel=1, stopped=stopped)
    assert stopped.is_set()


def test_work_that_was_stopped_before_it_began_is_no_wait_for_ever() -> None:
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(LockstitchError, match="stopped before it began"):
        threads.run(range(3), str, parallel=2, stopped=stopped)


def test_work_that_was_begun_gives_its_result_or_its_error() -> None:
    assert [threads.begin(lambda: 7)() for _ in range(2)] == [7, 7]

    def fails() -> None:
        message = "no"
        raise LockstitchError(message)

    wait = threads.begin(fails)
    for _ in range(2):  # as often as somebody waits
        with pytest.raises(LockstitchError, match="no"):
            wait()
