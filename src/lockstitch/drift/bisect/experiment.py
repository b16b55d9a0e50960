"""The whole experiment: both ends, how much the number moves by itself, then the search."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lockstitch.drift.bisect import coupling, search
from lockstitch.drift.bisect.coupling import Installed
from lockstitch.drift.bisect.model import Bench, Cause, Fails, Metric, Mixture, Outcome, Question
from lockstitch.drift.bisect.scale import Scale, Verdict
from lockstitch.drift.bisect.search import Answer
from lockstitch.drift.bisect.trials import Spent, Trials, run_all
from lockstitch.errors import LockstitchError

__all__ = ["Explanation", "Limits", "explain"]

_NOISY = 3  # repeats more of A when the first differ

Told = Callable[[Mixture, Outcome, Verdict | None], None]
Look = Callable[[], tuple[Installed, Installed]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may be run, and what counts as the same number."""

    runs: int  # at most, the ends included
    repeats: int = 2  # of A
    tolerance: float = 0.0
    parallel: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is known at the end."""

    scale: Scale
    question: Question
    causes: tuple[Cause, ...]  # as the search had them: coupled
    answer: Answer | None  # None when there is none
    outcomes: dict[Mixture, Outcome]
    runs: int  # made for it, those of before included
    smallest: Mixture | None = None  # the smallest so far that moves it, when runs were spent

    @property
    def found(self) -> bool:
        """Whether the difference is explained: by what is sufficient and necessary."""
        return self.answer is not None and self.answer.explains

    def chosen(self, labels: Mixture) -> list[Cause]:
        """Return causes by their labels, the likeliest first."""
        return [each for each in self.causes if each.label in labels]


def explain(
    causes: Sequence[Cause], bench: Bench, look: Look, limits: Limits, told: Told
) -> Explanation:
    """Return which causes move the number from A to B.

    There must be causes. `look` says what both environments hold, once they are made; `told` hears
    of each run. Raises LockstitchError when A gives no number.
    """
    everything = frozenset(each.label for each in causes)
    scale, spent = _ends(everything, bench, limits, told)
    before, after = Metric(value=scale.before), scale.after
    known: dict[Mixture, Outcome] = {everything: after, frozenset(): before}
    if not scale.differs:
        nothing = coupling.question(causes, {})
        return Explanation(
            scale=scale,
            question=nothing,
            causes=tuple(causes),
            answer=None,
            outcomes=known,
            runs=spent,
        )
    needs = coupling.implied(*look(), [name for each in causes for name in each.packages])
    together = coupling.coupled(causes, needs)
    labels = frozenset(each.label for each in together)
    known = {labels: after, frozenset(): before}
    question = coupling.question(together, needs)
    whole = _Whole(bench, together, causes)
    trials = Trials(
        whole,
        scale,
        known=known,
        limit=max(0, limits.runs - spent),
        parallel=limits.parallel,
        told=lambda mixture, outcome, verdict: told(whole.members(mixture), outcome, verdict),
    )
    answer, smallest = None, None
    try:
        answer = search.find(question, trials)
    except Spent:
        smallest = trials.smallest()
    return Explanation(
        scale=scale,
        question=question,
        causes=tuple(together),
        answer=answer,
        outcomes=trials.outcomes,
        runs=spent + len(trials.outcomes) - len(known),
        smallest=smallest,
    )


class _Whole:
    """A bench for causes that are made of several: it moves all that are in them."""

    def __init__(self, bench: Bench, together: Sequence[Cause], causes: Sequence[Cause]) -> None:
        """Keep which causes are in which."""
        owner = {part: cause.label for cause in causes for part in cause.parts}
        self._bench = bench
        self._members = {c.label: frozenset(owner[part] for part in c.parts) for c in together}

    def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
        """Run the mixture of all members."""
        return self._bench.run(self.members(mixture), repeat)

    def members(self, mixture: Mixture) -> Mixture:
        """Return the causes of a mixture, each by its own label."""
        return frozenset[str]().union(*(self._members[label] for label in mixture))


def _ends(everything: Mixture, bench: Bench, limits: Limits, told: Told) -> tuple[Scale, int]:
    def each(asked: tuple[Mixture, int]) -> Outcome:
        outcome = bench.run(*asked)
        told(asked[0], outcome, None)
        return outcome

    nothing: Mixture = frozenset()
    asked = [(nothing, number) for number in range(limits.repeats)]
    asked.append((everything, 0))
    found = run_all(asked, each, parallel=limits.parallel)
    after = found[-1]
    repeats = _numbers(found[: limits.repeats], after)
    if len({*map(repr, repeats)}) > 1:
        more = [(nothing, limits.repeats + number) for number in range(_NOISY)]
        repeats += _numbers(run_all(more, each, parallel=limits.parallel), after)
        asked += more
    return Scale.of(repeats, after, least=limits.tolerance), len(asked)


def _numbers(outcomes: Sequence[Outcome], after: Outcome) -> list[float]:
    """Return the numbers of A, or raise LockstitchError when it gives none."""
    for each in outcomes:
        if isinstance(each, Fails):
            both = isinstance(after, Fails)
            message = f"{'A and B give' if both else 'A gives'} no number: {each.reason}"
            if each.detail and each.detail != each.reason:
                message += f"\n{each.detail}"
            hint = "run the command by hand in both" if both else "to find what breaks it: B A"
            if each.reason.startswith("no number"):
                hint = "--metric-file metrics.json:accuracy, or --metric-regex 'accuracy: (.*)'"
            raise LockstitchError(message, hint=hint)
    return [each.value for each in outcomes if isinstance(each, Metric)]
