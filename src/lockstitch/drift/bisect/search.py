"""Finds the smallest sets of causes that move a number. Pure: experiments are somebody else's.

Guesses first, each alone; then halving along their order; then delta debugging (ddmin: Zeller and
Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002) of what is left, with mixtures
that give no number as its third outcome. What is found is sufficient, and no part of it is.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lockstitch.drift.bisect.model import Mixture, Question
from lockstitch.drift.bisect.scale import Verdict
from lockstitch.drift.bisect.trials import Trials

__all__ = ["Answer", "find", "most"]

_SKIPS = 3  # mixtures without a number that halving steps over before it leaves them to ddmin


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Sets of causes, each of which moves the number alone, and what happens without them."""

    sets: tuple[Mixture, ...]
    without: Mixture  # everything as in B but what is in the sets
    rest: Verdict  # of that mixture

    @property
    def explains(self) -> bool:
        """Whether it is necessary too: without it the number is as in A."""
        return self.rest is Verdict.STAYED


def most(causes: int, guesses: int) -> int:
    """Return how many mixtures one cause among so many takes at most, where all give numbers."""
    # Guesses, halves, the one that is left alone, and everything without it.
    return guesses + math.ceil(math.log2(max(causes, 1))) + 2


def find(question: Question, trials: Trials) -> Answer:
    """Return what moves the number; everything as in B must move it.

    Raises `trials.Spent` when no more runs are allowed.
    """
    everything = frozenset(question.causes)
    found: list[Mixture] = []
    without, rest = everything, Verdict.MOVED
    while rest is Verdict.MOVED:
        smallest = _smallest(without, question, trials)
        found.append(smallest)
        trials.found(tuple(found))
        without -= smallest
        rest = trials.of(without) if without else Verdict.STAYED
        if rest is Verdict.UNRESOLVED:
            # What was left needs what was taken: without that, too, there may be a number.
            kept = frozenset(c for c in without if question.closed(frozenset({c})) <= without)
            if kept != without:
                without, rest = kept, trials.of(kept) if kept else Verdict.STAYED
    return Answer(sets=tuple(found), without=without, rest=rest)


def _smallest(within: Mixture, question: Question, trials: Trials) -> Mixture:
    """Return a set that moves the number, of which no part does."""
    order = [cause for cause in question.causes if cause in within]
    start = _guessed(order, within, question, trials)
    if start is None:
        start = _halved(_in_closed_order(order, within, question), trials)
    return _reduced([cause for cause in order if cause in start], trials)


# --- guesses


def _guessed(
    order: Sequence[str], within: Mixture, question: Question, trials: Trials
) -> Mixture | None:
    guesses = [c for c in question.causes[: question.guesses] if c in order]
    mixtures = [question.closed(frozenset({cause})) & within for cause in guesses]
    hit = trials.first(mixtures, Verdict.MOVED)
    if hit is not None:
        return hit
    # Each alone does a part of it: all of those together may do all of it.
    parts = [each for each in mixtures if trials.of(each) is Verdict.ELSEWHERE]
    together = frozenset[str]().union(*parts)
    return together if len(parts) > 1 and trials.of(together) is Verdict.MOVED else None


# --- halving


def _in_closed_order(order: Sequence[str], within: Mixture, question: Question) -> list[str]:
    """Return the causes so that the first n of them imply no other, as far as that can be."""
    found: dict[str, None] = {}
    for cause in order:
        implied = question.closed(frozenset({cause})) & within
        found |= dict.fromkeys(each for each in order if each in implied)
    return list(found)


def _halved(pool: Sequence[str], trials: Trials) -> Mixture:
    """Return causes that together move the number; all of the pool does.

    The shortest beginning of the pool that moves it ends with a cause that is needed. That one
    is kept, and the same is asked of what stands before it.
    """
    kept: Mixture = frozenset()
    while pool:
        if kept and trials.of(kept) is Verdict.MOVED:
            return kept
        low, high = _shortest(kept, pool, trials)
        kept |= frozenset(pool[low:high])
        pool = pool[:low]
    return kept


def _shortest(kept: Mixture, pool: Sequence[str], trials: Trials) -> tuple[int, int]:
    """Return two lengths of the pool: with the first it does not move, with the second it does."""
    low, high = 0, len(pool)
    while high - low > 1:
        verdict = Verdict.UNRESOLVED
        for middle in _around(low, high):
            verdict = trials.of(kept | frozenset(pool[:middle]))
            if verdict is not Verdict.UNRESOLVED:
                break
        if verdict is Verdict.UNRESOLVED:
            break
        low, high = (low, middle) if verdict is Verdict.MOVED else (middle, high)
    return low, high


def _around(low: int, high: int) -> list[int]:
    """Return lengths between two, the middle first, as `git bisect skip` goes on beside it."""
    middle = (low + high) // 2
    inside = sorted(range(low + 1, high), key=lambda each: (abs(each - middle), each))
    return inside[: _SKIPS + 1]


# --- delta debugging


def _reduced(causes: Sequence[str], trials: Trials) -> Mixture:
    """Return a part that moves the number and from which nothing can be left out (ddmin)."""
    pieces = 2
    causes = list(causes)
    while len(causes) > 1:
        parts = list(_split(causes, pieces))
        mixtures = [frozenset(part) for part in parts]
        hit = trials.first(mixtures, Verdict.MOVED)
        if hit is not None:
            causes, pieces = [c for c in causes if c in hit], 2
            continue
        others = [frozenset(causes) - each for each in mixtures]
        hit = trials.first(others if pieces > 2 else [], Verdict.MOVED)  # noqa: PLR2004 -- of two halves, the others are the halves
        if hit is not None:
            causes, pieces = [c for c in causes if c in hit], max(pieces - 1, 2)
        elif pieces >= len(causes):
            break
        else:
            pieces = min(2 * pieces, len(causes))
    return frozenset(causes)


def _split(causes: Sequence[str], pieces: int) -> Iterator[Iterable[str]]:
    start = 0
    for number in range(pieces):
        end = start + (len(causes) - start) // (pieces - number)
        yield causes[start:end]
        start = end
