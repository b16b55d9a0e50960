"""The whole experiment: both sides, how much the number varies by itself, then the search."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockstitch import digest, environ, files, process
from lockstitch.digest import canonical_json
from lockstitch.drift.bisect import search, sides
from lockstitch.drift.bisect.environments import Environments
from lockstitch.drift.bisect.metric import MetricSource
from lockstitch.drift.bisect.model import (
    Bench,
    Cause,
    Fails,
    Metric,
    Mixture,
    Outcome,
    Question,
    Scale,
    Verdict,
)
from lockstitch.drift.bisect.search import Answer, Spent, Trials, run_all
from lockstitch.drift.bisect.sides import Ends, Installed
from lockstitch.errors import LockstitchError

__all__ = [
    "CommandBench",
    "Explanation",
    "Limits",
    "Outcomes",
    "code",
    "explain",
    "key",
]

_MOST = 5000  # files of code that are hashed
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
    """The result of an experiment."""

    scale: Scale
    question: Question
    causes: tuple[Cause, ...]  # coupled, as they were searched
    answer: Answer | None  # None when there is none
    outcomes: dict[Mixture, Outcome]
    runs: int  # those of an earlier search included
    smallest: Mixture | None = None  # that changes the number, when no more runs were allowed

    @property
    def found(self) -> bool:
        """Whether sufficient and necessary causes are known."""
        return self.answer is not None and self.answer.explains

    def chosen(self, labels: Mixture) -> list[Cause]:
        """Return causes by their labels, the likeliest first."""
        return [each for each in self.causes if each.label in labels]


def explain(
    causes: Sequence[Cause], bench: Bench, look: Look, limits: Limits, told: Told
) -> Explanation:
    """Return which causes change the number from A's to B's; there must be causes.

    `look` returns the packages of both environments, once they are made; `told` is called with each
    run. Raises LockstitchError when A gives no number.
    """
    everything = frozenset(each.label for each in causes)
    scale, spent = _ends(everything, bench, limits, told)
    before, after = Metric(value=scale.before), scale.after
    known: dict[Mixture, Outcome] = {everything: after, frozenset(): before}
    if not scale.differs:
        nothing = sides.question(causes, {})
        return Explanation(
            scale=scale,
            question=nothing,
            causes=tuple(causes),
            answer=None,
            outcomes=known,
            runs=spent,
        )
    needs = sides.implied(*look(), [name for each in causes for name in each.packages])
    together = sides.coupled(causes, needs)
    labels = frozenset(each.label for each in together)
    known = {labels: after, frozenset(): before}
    question = sides.question(together, needs)
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
    """A bench for coupled causes: a mixture has all that are in each of them."""

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


# --- outcomes, kept in a file after each run: a search that was killed goes on


def key(what: Mapping[str, Any]) -> str:
    """Return the name of an experiment: equal only where all that decides its runs is equal."""
    return digest.of_bytes(canonical_json(dict(what))).hex[:16]


class Outcomes:
    """The outcomes of one experiment in a file, by mixture and repeat."""

    def __init__(self, path: Path, *, forget: bool = False) -> None:
        """Read the file; one that is damaged counts as empty."""
        self.path = path
        self._lock = threading.Lock()
        self._runs = {} if forget else _read(path)
        self.before = len(self._runs)  # outcomes of earlier searches

    def get(self, mixture: Mixture, repeat: int) -> Outcome | None:
        """Return the outcome of a run, or None."""
        return self._runs.get(_name(mixture, repeat))

    def put(self, mixture: Mixture, repeat: int, outcome: Outcome) -> None:
        """Keep an outcome, on the disk before it is used."""
        with self._lock:
            self._runs[_name(mixture, repeat)] = outcome
            runs = {name: _document(each) for name, each in sorted(self._runs.items())}
            files.write_text(self.path, json.dumps(runs, indent=1, sort_keys=True) + "\n")


def _name(mixture: Mixture, repeat: int) -> str:
    # Sorted: a set has no order, and the name must find the run again.
    return " ".join([f"#{repeat}", *sorted(mixture)])


def _document(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Metric):
        return {"metric": repr(outcome.value)}  # JSON has no nan
    return {"reason": outcome.reason, "detail": outcome.detail}


def _read(path: Path) -> dict[str, Outcome]:
    try:
        document = json.loads(files.read_text(path))
        return {str(name): _outcome(each) for name, each in document.items()}
    except (LockstitchError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _outcome(each: Mapping[str, Any]) -> Outcome:
    if "metric" in each:
        return Metric(value=float(each["metric"]))
    return Fails(reason=str(each["reason"]), detail=str(each["detail"]))


# --- the user's command as the bench


@dataclass(slots=True, kw_only=True)
class CommandBench:
    """A `Bench` for a command in a folder."""

    ends: Ends
    environments: Environments
    command: Sequence[str]
    folder: Path
    metric: MetricSource
    outcomes: Outcomes
    runs: int = field(default=0, init=False)  # of this search

    def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
        """Return the outcome of the command in a mixture: the kept one, or that of a run."""
        known = self.outcomes.get(mixture, repeat)
        if known is not None:
            return known
        self.runs += 1
        try:
            place = self.environments.make(self.ends.wanted(mixture))
        except LockstitchError as error:
            # A and B are made before: what fails here is the mixture, as in an import that fails.
            lines = [line for line in error.message.splitlines() if line.strip()]
            outcome: Outcome = Fails(reason=lines[-1].strip(), detail=error.message, passing=True)
        else:
            outcome = self._ran(place, mixture)
        if not (isinstance(outcome, Fails) and outcome.passing):
            self.outcomes.put(mixture, repeat, outcome)
        return outcome

    def _ran(self, place: Path, mixture: Mixture) -> Outcome:
        changes = {**self.environments.variables(place), **self.ends.variables(mixture)}
        before = self.metric.stamp(self.folder)
        env = environ.child(**changes)
        done = process.run(self.command, cwd=self.folder, env=env, check=False)
        return self.metric.read(done, self.folder, before)


def code(folder: Path, command: Sequence[str]) -> list[list[str]]:
    """Return digests of the Python files of a folder and of files that a command names.

    An outcome is one of this code: with other code it does not count.
    """
    walked = [each for each in files.walk(folder) if _is_code(each.name)][:_MOST]
    named = [(word, folder / word) for word in command if (folder / word).is_file()]
    found = {**{each.name: each.path for each in walked}, **dict(named)}
    return [[name, digest.of_bytes(path.read_bytes())] for name, path in sorted(found.items())]


def _is_code(name: str) -> bool:
    return name.endswith(".py") and "/site-packages/" not in name
