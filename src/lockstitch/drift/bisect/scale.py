"""What a number means: as in A, as in B, somewhere else, or no number at all."""

import enum
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lockstitch.drift.bisect.model import Fails, Metric, Outcome

__all__ = ["Scale", "Verdict"]

_FINE = 100  # a number nearer to B than this part of the step from A to B is B's


class Verdict(enum.Enum):
    """Where an outcome lies between A and B."""

    STAYED = "as A"
    MOVED = "as B"
    ELSEWHERE = "neither"
    UNRESOLVED = "no number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The two ends, and how much a number moves by itself."""

    before: float
    after: Outcome
    noise: float = 0.0  # by which repeats of A differ
    tolerance: float = 0.0  # by which two numbers may differ and be the same

    @classmethod
    def of(cls, repeats: Sequence[float], after: Outcome, *, least: float) -> "Scale":
        """Return the scale that repeats of A and a run of B give; `least` is what is asked for.

        A few repeats see less than the whole of a noise: twice what they differ by is allowed.
        """
        finite = [each for each in repeats if math.isfinite(each)]
        noise = max(finite) - min(finite) if finite else 0.0
        before = sorted(repeats, key=_key)[len(repeats) // 2]
        return cls(before=before, after=after, noise=noise, tolerance=max(least, 2 * noise))

    @property
    def differs(self) -> bool:
        """Whether the ends can be told apart at all."""
        after = self.after
        if isinstance(after, Fails):
            return True
        return not _near(self.before, after.value, self.tolerance)

    @property
    def band(self) -> float:
        """How near to an end a number must be: the tolerance, or a hundredth of the step."""
        step = abs(self.after.value - self.before) if isinstance(self.after, Metric) else 0.0
        fine = step / _FINE if math.isfinite(step) else 0.0
        return max(self.tolerance, fine)

    def verdict(self, outcome: Outcome) -> Verdict:
        """Return where an outcome lies."""
        if isinstance(outcome, Fails):
            after = self.after
            same = isinstance(after, Fails) and _kind(after) == _kind(outcome)
            return Verdict.MOVED if same else Verdict.UNRESOLVED
        stayed = _near(outcome.value, self.before, self.band)
        moved = isinstance(self.after, Metric) and _near(outcome.value, self.after.value, self.band)
        if stayed and moved and isinstance(self.after, Metric):  # noise as wide as the step
            stayed = abs(outcome.value - self.before) <= abs(outcome.value - self.after.value)
        if stayed:
            return Verdict.STAYED
        return Verdict.MOVED if moved else Verdict.ELSEWHERE


def _near(one: float, other: float, band: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    # Two infinities are equal, and their difference is no number.
    return one == other or abs(one - other) <= band


def _key(value: float) -> tuple[bool, float]:
    return (math.isnan(value), 0.0 if math.isnan(value) else value)


def _kind(failure: Fails) -> str:
    """Return what kind of failure it is: addresses, numbers and paths differ from run to run."""
    return re.sub(r"0x[0-9a-f]+|\d+|(?:/[^\s:'\"]+)+", "·", failure.reason)
