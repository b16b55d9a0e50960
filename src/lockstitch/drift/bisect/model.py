"""Words of an experiment: causes, mixtures of two environments, and what a run of one gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from lockstitch.drift.compare import Difference
from lockstitch.drift.known import Move

__all__ = ["Bench", "Cause", "Fails", "Metric", "Mixture", "Outcome", "Question"]

Mixture = frozenset[str]  # labels of the causes that are as in B; everything else is as in A


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A run that came to its end and gave a number."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fails:
    """A run without a number: the mixture cannot be installed, does not import, crashes."""

    reason: str  # one line, the last that was said
    detail: str = ""  # the end of what was said
    passing: bool = False  # it may be otherwise the next time: stopped, or an index that is away


Outcome = Metric | Fails


class Bench(Protocol):
    """Where experiments are made."""

    def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
        """Return what the command gives in a mixture; any thread may call it.

        `repeat` tells runs of one mixture apart, which measure how much the number moves by itself.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that can be as in A or as in B: packages that move together, or a setting."""

    label: str
    parts: tuple[Difference, ...]  # the first is the likeliest of them

    @property
    def packages(self) -> tuple[str, ...]:
        """The names of the packages in it."""
        return tuple(sorted({each.name for each in self.parts if each.what == "package"}))

    @property
    def moves(self) -> tuple[Move, ...]:
        """Known changes of results that lie in it."""
        return tuple(move for each in self.parts for move in each.moves)

    @property
    def matters(self) -> bool:
        """Whether it is known to be able to change results."""
        return any(each.effect.matters for each in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is searched: labels of causes, the likeliest first."""

    causes: tuple[str, ...]
    guesses: int  # how many of the first are tried alone
    implied: Mapping[str, Mixture]  # what else has to be as in B when a cause is

    def closed(self, mixture: Mixture) -> Mixture:
        """Return a mixture with all that its causes imply."""
        found = set(mixture)
        waiting = list(mixture)
        while waiting:
            new = self.implied.get(waiting.pop(), frozenset()) - found
            found |= new
            waiting += new
        return frozenset(found)
