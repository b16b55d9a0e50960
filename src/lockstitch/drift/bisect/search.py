"""Finds the smallest sets of causes that change a number; a bench does the runs.

Halves by likelihood first, which find one cause; then halving along the order, where several act
together; then delta debugging (ddmin: Zeller and Hildebrandt, Simplifying and Isolating
Failure-Inducing Input, 2002) of what is left, with mixtures that give no number as its third
outcome. What is found is sufficient, and no part of it is.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from lockstitch import threads
from lockstitch.drift.bisect.model import Bench, Mixture, Outcome, Question, Scale, Verdict
from lockstitch.values import frozen

_SKIPS = 3  # mixtures without a number that halving steps over before it leaves them to ddmin

Item = TypeVar("Item")


def run_all(
    items: Sequence[Item], work: Callable[[Item], Outcome], *, parallel: int
) -> list[Outcome]:
    """Return the work's outcome for each item; one at a time runs in this thread, for Ctrl-C."""
    if parallel > 1 and len(items) > 1:
        return threads.run(items, work, parallel=parallel)
    return [work(item) for item in items]


class Spent(Exception):  # noqa: N818 -- it ends a search and is no fault
    """No more runs are allowed."""


class Trials:
    """The experiments of one search: each mixture once, several at a time, no more than allowed."""

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
        """Start from known outcomes; `told` is called with each new one, in order."""
        self.outcomes = dict(known)
        self.sets: tuple[Mixture, ...] = ()
        self._bench = bench
        self._scale = scale
        self._left = limit
        self.parallel = max(1, parallel)
        self._told = told

    def of(self, mixture: Mixture) -> Verdict:
        """Return the verdict on a mixture; raise Spent when no more runs are allowed."""
        self._try([mixture])
        return self._verdict(mixture)

    def first(self, mixtures: Sequence[Mixture], wanted: Verdict) -> Mixture | None:
        """Return the first mixture with a verdict, or None; known ones before any is run."""
        for mixture in mixtures:
            if mixture in self.outcomes and self._verdict(mixture) is wanted:
                return mixture
        new = [mixture for mixture in dict.fromkeys(mixtures) if mixture not in self.outcomes]
        for start in range(0, len(new), self.parallel):
            batch = new[start : start + self.parallel]
            self._try(batch)
            for tried in batch:
                if self._verdict(tried) is wanted:
                    return tried
        return None

    def found(self, sets: tuple[Mixture, ...]) -> None:
        """Keep the sets that are found so far, for a search that may not go on."""
        self.sets = sets

    def smallest(self) -> Mixture | None:
        """Return the smallest mixture so far that changes the number, or None."""
        as_b = [m for m in self.outcomes if self._verdict(m) is Verdict.AS_B]
        return min(as_b, key=lambda group: (len(group), sorted(group)), default=None)

    def _verdict(self, mixture: Mixture) -> Verdict:
        return self._scale.verdict(self.outcomes[mixture])

    def _try(self, mixtures: Sequence[Mixture]) -> None:
        new = [mixture for mixture in mixtures if mixture not in self.outcomes]
        allowed = new[: self._left]
        self._left -= len(allowed)
        outcomes = run_all(allowed, self._bench.run, parallel=self.parallel)
        for mixture, outcome in zip(allowed, outcomes, strict=True):
            self.outcomes[mixture] = outcome
            self._told(mixture, outcome, self._verdict(mixture))
        if len(allowed) < len(new):
            raise Spent


@frozen
class Answer:
    """Sets of causes, each of which alone changes the number, and the verdict without them."""

    sets: tuple[Mixture, ...]
    without: Mixture  # everything as in B but what is in the sets
    rest: Verdict  # of that mixture

    @property
    def explains(self) -> bool:
        """Whether the sets are necessary too: without them the number is as in A."""
        return self.rest is Verdict.AS_A


def most(question: Question) -> int:
    """Return the most mixtures that finding one cause takes, where all give numbers."""

    def depth(pool: Sequence[str]) -> int:
        if len(pool) == 1:
            return 1
        first, rest = _by_weight(pool, question, 2)
        return max(1 if len(first) == 1 else 1 + depth(first), 1 + depth(rest))

    return depth(question.causes) + 1 if question.causes else 0


def find(question: Question, trials: Trials) -> Answer:
    """Return the causes that change the number, as all of B does; raises Spent."""
    everything = frozenset(question.causes)
    groups: list[Mixture] = []
    without, rest = everything, Verdict.AS_B
    while rest is Verdict.AS_B:
        smallest = _smallest(without, question, trials)
        groups.append(smallest)
        trials.found(tuple(groups))
        without -= smallest
        rest = trials.of(without) if without else Verdict.AS_A
        if rest is Verdict.NO_NUMBER:
            # What was left needs what was taken: without that, too, there may be a number.
            kept = frozenset(c for c in without if question.closed(frozenset({c})) <= without)
            if kept != without:
                without, rest = kept, trials.of(kept) if kept else Verdict.AS_A
    return Answer(sets=tuple(groups), without=without, rest=rest)


def _smallest(within: Mixture, question: Question, trials: Trials) -> Mixture:
    """Return a set that changes the number, no part of which does."""
    order = [cause for cause in question.causes if cause in within]
    start = _likeliest(order, within, question, trials)
    if start is None:
        start = _halved(_in_closed_order(order, within, question), trials)
    return _reduced([cause for cause in order if cause in start], trials)


# --- halves by likelihood


def _likeliest(
    order: Sequence[str], within: Mixture, question: Question, trials: Trials
) -> Mixture | None:
    """Return a set that changes the number, where one cause does; None where it is not one.

    All of `within` does. Of halves by weight the likelier is run: the cause is in it, or in the
    other one.
    """
    pool, hit = list(order), None
    parts: list[Mixture] = []  # each does a part of it
    bound = len(pool)  # how many of the pool are cut next
    while pool:
        pieces = _by_weight(pool[:bound], question, trials.parallel + 1)
        tried = pieces[:-1] or pieces
        mixtures = [question.closed(frozenset(piece)) & within for piece in tried]
        group = trials.first(mixtures, Verdict.AS_B)
        if group is not None:
            pool, hit = tried[mixtures.index(group)], group
            bound = len(pool)
            if bound == 1:
                return hit
            continue
        cleared = frozenset[str]()
        unclear = []  # what gives no number as a whole may give one in halves
        for piece, mixture in zip(tried, mixtures, strict=True):
            verdict = trials.of(mixture)
            parts += [mixture] if verdict is Verdict.NEITHER else []
            if verdict is Verdict.NO_NUMBER and len(piece) > 1:
                unclear.append(len(piece))
            else:
                cleared |= mixture if verdict is Verdict.AS_A else frozenset(piece)
        pool = [cause for cause in pool if cause not in cleared]
        bound = unclear[0] if unclear else len(pool)
    together = frozenset[str]().union(*parts)
    if len(parts) > 1 and trials.of(together) is Verdict.AS_B:
        return together
    return hit


def _by_weight(pool: Sequence[str], question: Question, pieces: int) -> list[list[str]]:
    """Return a pool cut into pieces of about the same likelihood, the likeliest first."""
    parts: list[list[str]] = []
    rest = list(pool)
    for left in range(min(pieces, len(pool)), 1, -1):
        share = sum(map(question.weight, rest)) / left
        size, total = 0, 0.0
        # A cause is taken where most of it fits; at least one, and one for each later piece.
        while size < len(rest) - left + 1:
            weight = question.weight(rest[size])
            if size and total + weight / 2 > share:
                break
            size, total = size + 1, total + weight
        parts.append(rest[:size])
        rest = rest[size:]
    return [*parts, rest]


# --- halving


def _in_closed_order(order: Sequence[str], within: Mixture, question: Question) -> list[str]:
    """Return the causes so that the first n of them imply no other, as far as that can be."""
    ordered: dict[str, None] = {}
    for cause in order:
        implied = question.closed(frozenset({cause})) & within
        ordered |= dict.fromkeys(cause for cause in order if cause in implied)
    return list(ordered)


def _halved(pool: Sequence[str], trials: Trials) -> Mixture:
    """Return causes that together change the number; all of the pool does.

    The shortest beginning of the pool that changes it ends with a cause that is needed. That one
    is kept, and what stands before it is searched in the same way.
    """
    kept: Mixture = frozenset()
    while pool:
        if kept and trials.of(kept) is Verdict.AS_B:
            return kept
        low, high = _shortest(kept, pool, trials)
        kept |= frozenset(pool[low:high])
        pool = pool[:low]
    return kept


def _shortest(kept: Mixture, pool: Sequence[str], trials: Trials) -> tuple[int, int]:
    """Return two lengths of the pool: at the first the number stays, at the second it changes."""
    low, high = 0, len(pool)
    while high - low > 1:
        verdict = Verdict.NO_NUMBER
        for middle in _around(low, high):
            verdict = trials.of(kept | frozenset(pool[:middle]))
            if verdict is not Verdict.NO_NUMBER:
                break
        if verdict is Verdict.NO_NUMBER:
            break
        low, high = (low, middle) if verdict is Verdict.AS_B else (middle, high)
    return low, high


def _around(low: int, high: int) -> list[int]:
    """Return lengths between two, the middle first, as `git bisect skip` goes on beside it."""
    middle = (low + high) // 2
    inside = sorted(range(low + 1, high), key=lambda size: (abs(size - middle), size))
    return inside[: _SKIPS + 1]


# --- delta debugging


def _reduced(causes: Sequence[str], trials: Trials) -> Mixture:
    """Return a part that changes the number and needs each of its causes (ddmin)."""
    pieces = 2
    causes = list(causes)
    while len(causes) > 1:
        mixtures = [frozenset(part) for part in list(_split(causes, pieces))]
        hit = trials.first(mixtures, Verdict.AS_B)
        if hit is not None:
            causes, pieces = [c for c in causes if c in hit], 2
            continue
        others = [frozenset(causes) - mixture for mixture in mixtures]
        hit = trials.first(
            others if pieces > 2 else [], Verdict.AS_B
        )  # of two halves, the others are the halves
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
