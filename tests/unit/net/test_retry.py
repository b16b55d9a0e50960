"""Tries, waits, and parts of files that earlier commands left."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockstitch import clock
from lockstitch.digest import Hasher, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.net.retry import Retry, Retryable, bring
from lockstitch.store import Store

ERROR = LockstitchError("it failed")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(clock, "sleep", found.append)
    return found


def failing(times: int, wait: float | None = None) -> Callable[[], str]:
    left = iter(range(times))

    def once() -> str:
        if next(left, None) is not None:
            raise Retryable(ERROR, wait)
        return "done"

    return once


def test_waits_double_and_the_fifth_failure_is_raised(waits: list[float]) -> None:
    assert Retry(0.5).call(failing(4)) == "done"
    for wait, wanted in zip(waits, (0.5, 1, 2, 4), strict=True):
        assert 0.8 * wanted <= wait <= 1.2 * wanted
    with pytest.raises(LockstitchError, match="it failed"):
        Retry(0.5).call(failing(5))


@pytest.mark.parametrize(("asked", "waited"), [(0, 0), (7, 7), (3600, 60)])
def test_a_retry_after_header_comes_first(asked: float, waited: float, waits: list[float]) -> None:
    assert Retry(0.5).call(failing(1, asked)) == "done"
    assert waits == [waited]


def test_nothing_is_tried_again_once_it_is_stopped(waits: list[float]) -> None:
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(LockstitchError, match="it failed"):
        Retry(0.5, stopped).call(failing(1))
    assert waits == []


@pytest.mark.parametrize("left", [b"", b"right", b"wrong", b"right bytes", b"right bytes and more"])
@pytest.mark.parametrize("size", [11, None])
def test_a_part_that_was_left_counts_only_if_the_whole_is_right(
    left: bytes, size: int | None, tmp_path: Path
) -> None:
    data = b"right bytes"
    store = Store(tmp_path)
    store.partial(of_bytes(data)).write_bytes(left)

    def read(received: Hasher) -> Iterator[bytes]:
        for letter in data[received.size :]:
            received.update(bytes([letter]))
            yield bytes([letter])

    bring(store, of_bytes(data), size, read, lambda _: ERROR)
    assert store.path(of_bytes(data)).read_bytes() == data


def test_bytes_that_are_wrong_from_their_beginning_are_an_error(tmp_path: Path) -> None:
    def read(received: Hasher) -> Iterator[bytes]:
        received.update(b"wrong")
        yield b"wrong"

    store = Store(tmp_path)
    with pytest.raises(LockstitchError, match="it failed"):
        bring(store, of_bytes(b"right"), 5, read, lambda _: ERROR)
    assert list((tmp_path / "partial").iterdir()) == []
