"""Experiments of one search: each mixture once, several at a time, and no more than allowed."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from lockstitch import threads
from lockstitch.drift.bisect.model import Bench, Mixture, Outcome
from lockstitch.drift.bisect.scale import Scale, Verdict

__all__ = ["Spent", "Trials", "run_all"]

Item = TypeVar("Item")


def run_all(
    items: Sequence[Item], work: Callable[[Item], Outcome], *, parallel: int
) -> list[Outcome]:
    """Return what the work gives for each item; one at a time is in this thread.

    There, Ctrl-C ends the program that runs.
    """
    if parallel > 1 and len(items) > 1:
        return threads.run(items, work, parallel=parallel)
    return [work(each) for each in items]


class Spent(Exception):  # noqa: N818 -- it ends a search and is no fault
    """No more runs are allowed."""


class Trials:
    """What was tried, and what it gave."""

    def __init__(
        self,
        bench: Bench,
        scale: Scale,
        *,
        known: dict[Mixture, Outcome],
        limit: int,
        parallel: int = 1,
        told: Callable[[Mixture, Outcome, Verdict], None] = lambda *_: None,
    ) -> None:
        """Start from what is known, with so many runs in all, `parallel` at a time.

        `told` hears of each new outcome, in the order in which they were asked for.
        """
        self.outcomes = dict(known)
        self.sets: tuple[Mixture, ...] = ()
        self._bench = bench
        self._scale = scale
        self._left = limit
        self._parallel = max(1, parallel)
        self._told = told

    def of(self, mixture: Mixture) -> Verdict:
        """Return where the number of a mixture lies; raise Spent when it may not be tried."""
        self._try([mixture])
        return self._verdict(mixture)

    def first(self, mixtures: Sequence[Mixture], wanted: Verdict) -> Mixture | None:
        """Return the first mixture with a verdict, or None.

        One that is known is taken before any is tried.
        """
        for each in mixtures:
            if each in self.outcomes and self._verdict(each) is wanted:
                return each
        new = [each for each in dict.fromkeys(mixtures) if each not in self.outcomes]
        for start in range(0, len(new), self._parallel):
            batch = new[start : start + self._parallel]
            self._try(batch)
            for each in batch:
                if self._verdict(each) is wanted:
                    return each
        return None

    def found(self, sets: tuple[Mixture, ...]) -> None:
        """Keep what is found so far, for a search that may not go on."""
        self.sets = sets

    def smallest(self) -> Mixture | None:
        """Return the smallest mixture so far that moves the number, or None."""
        moved = [m for m in self.outcomes if self._verdict(m) is Verdict.MOVED]
        return min(moved, key=lambda each: (len(each), sorted(each)), default=None)

    def _verdict(self, mixture: Mixture) -> Verdict:
        return self._scale.verdict(self.outcomes[mixture])

    def _try(self, mixtures: Sequence[Mixture]) -> None:
        new = [each for each in mixtures if each not in self.outcomes]
        allowed = new[: self._left]
        self._left -= len(allowed)
        found = run_all(allowed, self._bench.run, parallel=self._parallel)
        for mixture, outcome in zip(allowed, found, strict=True):
            self.outcomes[mixture] = outcome
            self._told(mixture, outcome, self._verdict(mixture))
        if len(allowed) < len(new):
            raise Spent
