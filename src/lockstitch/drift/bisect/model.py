"""Causes, mixtures of two environments, outcomes of runs, and what a number means."""

import enum
import math
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from lockstitch.drift.compare import Difference
from lockstitch.drift.effects import KnownChange
from lockstitch.values import field, frozen

_FINE = 100  # a number nearer to B than this part of the step from A to B is B's
Mixture = frozenset[str]  # labels of the causes that are as in B; everything else is as in A


@frozen
class Metric:
    """A run that came to its end and gave a number."""

    value: float
    line: str = field(default="", compare=False)  # that it was read from
    wrote: str = field(default="", compare=False)  # digest of the files it wrote, "" for few bytes


@frozen
class Fails:
    """A run without a number: the mixture cannot be installed, does not import, crashes."""

    reason: str  # its last line
    detail: str = ""  # its last lines
    passing: bool = False  # not kept: it was stopped, or an index was not reached


Outcome = Metric | Fails


class Bench(Protocol):
    """A runner of the command in mixtures."""

    def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
        """Return the outcome of the command in a mixture; any thread may call it.

        `repeat` tells runs of one mixture apart: they measure how much the number varies by itself.
        """


@frozen
class Cause:
    """One thing that can be as in A or as in B: packages that change together, or a setting."""

    label: str
    parts: tuple[Difference, ...]  # the first is the likeliest of them

    @property
    def packages(self) -> tuple[str, ...]:
        """The names of its packages."""
        return tuple(sorted({part.name for part in self.parts if part.what == "package"}))

    @property
    def known(self) -> tuple[KnownChange, ...]:
        """The known changes of results of its packages."""
        return tuple(change for part in self.parts for change in part.known)

    @property
    def matters(self) -> bool:
        """Whether it is known to change results."""
        return any(part.effect.matters for part in self.parts)


@frozen
class Question:
    """The search's input: labels of causes, the likeliest first."""

    causes: tuple[str, ...]
    implied: Mapping[str, Mixture]  # what else has to be as in B when a cause is
    weights: Mapping[str, float] = field(default_factory=dict)  # how likely each is: 1 where none

    def weight(self, cause: str) -> float:
        """Return how likely a cause is, beside the others."""
        return self.weights.get(cause, 1.0)

    def closed(self, mixture: Mixture) -> Mixture:
        """Return a mixture with all that its causes imply."""
        return closure(mixture, self.implied)


def closure(labels: Mixture, implied: Mapping[str, Mixture]) -> Mixture:
    """Return labels with all that they imply, directly or not."""
    reached, waiting = set(labels), list(labels)
    while waiting:
        new = implied.get(waiting.pop(), frozenset()) - reached
        reached |= new
        waiting += new
    return frozenset(reached)


# --- where an outcome lies between A and B


class Verdict(enum.Enum):
    """The side of an outcome: A, B or between."""

    AS_A = "as A"
    AS_B = "as B"
    NEITHER = "neither"
    NO_NUMBER = "no number"


@frozen
class Scale:
    """The numbers of A and B, and how much a number varies by itself."""

    before: float
    after: Outcome
    noise: float = 0.0  # by which repeats of A differ
    tolerance: float = 0.0  # by which two numbers may differ and be the same

    @classmethod
    def of(
        cls, repeats: Sequence[float], after: Outcome, *, least: float, others: Sequence[float] = ()
    ) -> "Scale":
        """Return the scale that repeats of A, an outcome of B and `others` of B's repeats give.

        `least` is the user's tolerance. A few repeats show less than the whole noise: twice what
        those of A or those of B differ by is allowed.
        """
        noise = max(_spread(repeats), _spread(others))
        tolerance = max(least, 2 * noise)
        return cls(before=middle(repeats), after=after, noise=noise, tolerance=tolerance)

    @property
    def differs(self) -> bool:
        """Whether A and B can be told apart at all."""
        after = self.after
        if isinstance(after, Fails):
            return True
        return not _near(self.before, after.value, self.tolerance)

    @property
    def band(self) -> float:
        """The distance from A or B that still counts: the tolerance, or a hundredth of theirs."""
        step = abs(self.after.value - self.before) if isinstance(self.after, Metric) else 0.0
        return max(self.tolerance, step / _FINE if math.isfinite(step) else 0.0)

    def ends(self, everything: Mixture) -> dict[Mixture, Outcome]:
        """Return the outcomes of A and B, as a search starts from them."""
        return {frozenset(): Metric(value=self.before), everything: self.after}

    def verdict(self, outcome: Outcome) -> Verdict:
        """Return whether an outcome is as in A, as in B, neither, or no number."""
        if isinstance(outcome, Fails):
            after = self.after
            same = isinstance(after, Fails) and _kind(after) == _kind(outcome)
            return Verdict.AS_B if same else Verdict.NO_NUMBER
        as_a = _near(outcome.value, self.before, self.band)
        as_b = isinstance(self.after, Metric) and _near(outcome.value, self.after.value, self.band)
        if as_a and as_b and isinstance(self.after, Metric):  # noise as wide as the step
            as_a = abs(outcome.value - self.before) <= abs(outcome.value - self.after.value)
        if as_a:
            return Verdict.AS_A
        return Verdict.AS_B if as_b else Verdict.NEITHER


def middle(values: Sequence[float]) -> float:
    """Return the value in the middle of some; nan is the largest."""
    return sorted(values, key=_key)[len(values) // 2]


def _spread(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return max(finite) - min(finite) if finite else 0.0


def _near(one: float, other: float, band: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    # Two infinities are equal, and their difference is no number.
    return one == other or abs(one - other) <= band


def _key(value: float) -> tuple[bool, float]:
    return (math.isnan(value), 0.0 if math.isnan(value) else value)


def _kind(failure: Fails) -> str:
    """Return the kind of failure, without addresses, numbers and paths, which differ by run."""
    return re.sub(r"0x[0-9a-f]+|\d+|(?:/[^\s:'\"]+)+", "·", failure.reason)
