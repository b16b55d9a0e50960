"""The same work on many things at once, on a few daemon threads.

Not `concurrent.futures`: its threads are joined when the interpreter ends, so that Ctrl-C would
wait for a server that is silent.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

from lockstitch.errors import LockstitchError, collected, raise_all

Item = TypeVar("Item")
Result = TypeVar("Result")


def run(
    items: Sequence[Item],
    work: Callable[[Item], Result],
    *,
    parallel: int,
    stopped: threading.Event | None = None,
) -> list[Result]:
    """Return the results of the work, one for each item, in the items' order.

    Raises one LockstitchError with all that failed, or any other error at once; then, and on
    Ctrl-C, `stopped` is set, which the work may look at.
    """
    stopped = stopped or threading.Event()
    todo: SimpleQueue[tuple[int, Item]] = SimpleQueue()
    done: SimpleQueue[tuple[int, list[Result], BaseException | None]] = SimpleQueue()
    for numbered in enumerate(items):
        todo.put(numbered)

    def each() -> None:
        with contextlib.suppress(Empty):
            while True:
                number, item = todo.get_nowait()
                try:
                    if stopped.is_set():
                        message = "stopped before it began"
                        raise LockstitchError(message)  # noqa: TRY301 -- who waits counts items
                    done.put((number, [work(item)], None))
                except BaseException as error:  # noqa: BLE001 -- raised in the thread that waits
                    done.put((number, [], error))

    for _ in range(min(parallel, len(items))):
        threading.Thread(target=each, name="lockstitch", daemon=True).start()
    try:
        return _collected(done, len(items))
    except BaseException:
        stopped.set()
        raise


def begin(work: Callable[[], Result]) -> Callable[[], Result]:
    """Start the work, and return the function that waits for its result, or raises its error."""
    done: list[tuple[list[Result], BaseException | None]] = []

    def all_of_it() -> None:
        try:
            done.append(([work()], None))
        except BaseException as error:  # noqa: BLE001 -- raised in the thread that waits
            done.append(([], error))

    thread = threading.Thread(target=all_of_it, name="lockstitch", daemon=True)
    thread.start()

    def wait() -> Result:
        thread.join()
        ((results, error),) = done
        if error:
            raise error
        return results[0]

    return wait


def in_turn(items: Iterable[Item], work: Callable[[Item], Result]) -> list[Result]:
    """Return the results of the work in this thread; raises all its LockstitchErrors at once."""
    results, problems = list[Result](), list[LockstitchError]()
    for item in items:
        with collected(problems):
            results.append(work(item))
    raise_all(problems)
    return results


def _collected(
    done: "SimpleQueue[tuple[int, list[Result], BaseException | None]]", count: int
) -> list[Result]:
    results: dict[int, Result] = {}
    failures: dict[int, LockstitchError] = {}
    for _ in range(count):
        number, result, error = done.get()
        if isinstance(error, LockstitchError):
            failures[number] = error
        elif error is not None:
            raise error
        else:
            results[number] = result[0]
    raise_all([failures[number] for number in sorted(failures)])
    return [results[number] for number in sorted(results)]
