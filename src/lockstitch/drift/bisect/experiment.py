"""The whole experiment: both sides, how much the number varies by itself, then the search."""

import json
import math
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
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
    middle,
)
from lockstitch.drift.bisect.search import Answer, Spent, Trials, run_all
from lockstitch.drift.bisect.sides import Ends, Installed
from lockstitch.errors import LockstitchError
from lockstitch.fingerprint import live
from lockstitch.process import Command
from lockstitch.run import imports
from lockstitch.values import frozen, replace

_MOST = 5000  # files of code that are hashed
_LEAST = 5  # runs that give A's number before a name is said
_TWICE = 2  # runs of A that do at first, where all digits of both are alike
_WRITTEN = 256  # bytes of files below which two runs that wrote the same show little
_LARGEST = 256 << 20  # bytes of a run's files that are hashed
_ENOUGH = 16  # runs of an end after which its spread counts as known
_FEW = 3  # a number that has taken so few values is repeated more often
_COARSE_MORE = 3  # by this many runs
_MEDIAN = 3  # runs of each mixture in a search after one that repeats contradicted
_DIGITS = 3  # and so is one with so few digits after the point
_SURE = 1000  # chance alone sorts the runs so cleanly once in so many times
_CONTRADICT = "repeats of one environment contradict each other"
_MOVES = "the number moves by itself"

Told = Callable[[Mixture, Outcome, Verdict | None], None]
Look = Callable[[], tuple[Installed, Installed]]
Rank = Callable[[], Sequence[Cause]]


@frozen
class Limits:
    """The most runs that are allowed, and the tolerance within which numbers are the same."""

    runs: int  # at most, the ends included
    repeats: int = 0  # of A, at first; 0 is two where they show that nothing moves, else five
    tolerance: float = 0.0
    parallel: int = 1


@frozen
class Confidence:
    """The confidence in an answer: all runs of the deciding environments fell to their side."""

    runs: int  # of A, A with it, B without it, and B
    chance: int  # chance alone sorts so many runs so cleanly once in this many times
    exact: bool = False  # every run gave A's or B's number in all of many digits, or A's files

    @property
    def word(self) -> str:
        """The confidence in a word."""
        return "high" if self.exact or self.chance >= _SURE else "good"


@frozen
class Explanation:
    """The result of an experiment."""

    scale: Scale
    question: Question
    causes: tuple[Cause, ...]  # coupled, as they were searched
    answer: Answer | None  # None when there is none
    outcomes: dict[Mixture, Outcome]
    runs: int  # those of an earlier search included
    smallest: Mixture | None = None  # that changes the number, when no more runs were allowed
    confidence: Confidence | None = None
    doubt: str = ""  # why it cannot be told

    @property
    def found(self) -> bool:
        """Whether sufficient and necessary causes are known, and repeats say the same."""
        return self.answer is not None and self.answer.explains and self.confidence is not None

    def chosen(self, labels: Mixture) -> list[Cause]:
        """Return causes by their labels, the likeliest first."""
        return [cause for cause in self.causes if cause.label in labels]


def explain(
    causes: Sequence[Cause],
    bench: Bench,
    look: Look,
    limits: Limits,
    told: Told,
    rank: Rank | None = None,
) -> Explanation:
    """Return which causes change the number from A's to B's; there must be causes.

    No cause is named before the runs that decide are repeated and say the same. `look` returns the
    packages of both environments, once they are made; `told` is called with each run. `rank`
    returns the causes in the order of what the runs of A and B were seen to import.
    Raises LockstitchError when A gives no number.
    """
    runs = _Runs(bench, limits, told)
    everything = frozenset(cause.label for cause in causes)
    scale = _ends(everything, runs)
    causes = rank() if rank else causes
    if not scale.differs:
        return Explanation(
            scale=scale,
            question=sides.question(causes, {}),
            causes=tuple(causes),
            answer=None,
            outcomes=scale.ends(everything),
            runs=runs.count,
            doubt=_MOVES if scale.noise else "",
        )
    needs = sides.implied(*look(), [name for cause in causes for name in cause.packages])
    together = sides.coupled(causes, needs)
    runs.couple(together, causes)
    return _searched(sides.question(together, needs), together, scale, runs)


def _searched(
    question: Question, together: Sequence[Cause], scale: Scale, runs: "_Runs"
) -> Explanation:
    """Search, and repeat the deciding runs.

    Two runs of A do where every number is one of two; else the search goes on once it is known how
    much A varies. Where repeats contradict a first answer, each number of a second is a median.
    """
    everything = frozenset(question.causes)
    more: dict[str, Any] = {"answer": None}
    outcomes: dict[Mixture, Outcome] = {}
    widths = [_MEDIAN, 1]
    while widths:
        width = widths.pop()
        trials = _trials(width, outcomes, everything, scale, runs)
        outcomes = trials.outcomes
        try:
            answer = search.find(question, trials)
            moves = runs.quick and not runs.are_exact(everything)
            doubt = _MOVES if moves else _contradiction(answer, everything, runs, scale)
        except Spent:
            more = {"answer": None, "smallest": trials.smallest()}
            break
        if not doubt:
            more = {"answer": answer, "confidence": _confidence(answer, everything, runs)}
            break
        more["doubt"] = doubt
        after = runs.of(everything)
        if moves:
            widths.append(width)
        elif any(isinstance(outcome, Fails) != isinstance(after[0], Fails) for outcome in after):
            more["doubt"] = "B fails now and then, which no package of it explains"
            break
        quick, runs.quick = runs.quick, False
        scale = _ends(everything, runs) if quick else _scale(runs, everything)
        if not scale.differs:
            more["doubt"] = _MOVES
            break
    return Explanation(
        scale=scale,
        question=question,
        causes=tuple(together),
        outcomes=outcomes,
        runs=runs.count,
        **more,
    )


def _trials(
    width: int, outcomes: dict[Mixture, Outcome], everything: Mixture, scale: Scale, runs: "_Runs"
) -> Trials:
    """Return the experiments of a search, each number of which is a median of so many runs."""
    left, ends = max(0, runs.limits.runs - runs.count), scale.ends(everything)
    if width > 1:
        return Trials(_Median(runs, scale, width), scale, known=ends, limit=left // width)
    parallel = runs.limits.parallel
    known = outcomes | ends
    return Trials(runs, scale, known=known, limit=left, parallel=parallel, told=runs.told)


class _Runs:
    """Runs mixtures again and again: a bench that counts, and keeps each outcome."""

    def __init__(self, bench: Bench, limits: Limits, told: Told) -> None:
        self.limits = limits
        self.count = 0
        self.quick = not limits.repeats  # whether A may do with two runs
        self._bench = bench
        self._told = told
        self._members: dict[str, Mixture] = {}
        self._begun: Counter[Mixture] = Counter()
        self._outcomes: dict[Mixture, list[Outcome]] = {}
        self._lock = threading.Lock()

    def couple(self, together: Sequence[Cause], causes: Sequence[Cause]) -> None:
        """Take labels of coupled causes from now on: a mixture has all that are in each of them."""
        owner = {part: cause.label for cause in causes for part in cause.parts}
        self._members = {c.label: frozenset(owner[part] for part in c.parts) for c in together}

    def members(self, mixture: Mixture) -> Mixture:
        """Return the causes of a mixture, each by its own label."""
        return frozenset[str]().union(
            *(self._members.get(label, frozenset({label})) for label in mixture)
        )

    def of(self, mixture: Mixture) -> list[Outcome]:
        """Return all outcomes of a mixture so far."""
        return self._outcomes.get(self.members(mixture), [])

    def numbers(self, mixture: Mixture) -> list[float]:
        """Return all numbers of a mixture so far."""
        return [outcome.value for outcome in self.of(mixture) if isinstance(outcome, Metric)]

    def are_exact(self, everything: Mixture) -> bool:
        """Return whether every number so far is A's first or B's, in each digit of many.

        Or A wrote the same files each time, such as a model: what draws at random does not.
        """
        nothing: Mixture = frozenset()
        first = [metric.value for m in (nothing, everything) for metric in self.numbered(m)[:1]]
        every = [outcome for some in self._outcomes.values() for outcome in some]
        values = [outcome.value for outcome in every if isinstance(outcome, Metric)]
        if any(value not in first and not math.isnan(value) for value in values):
            return False
        written = {metric.wrote for metric in self.numbered(nothing)}
        alike = len({repr(metric.value) for metric in self.numbered(nothing)}) == 1
        return alike and (
            not all(map(_is_coarse, first)) or (len(written) == 1 and "" not in written)
        )

    def low(self, scale: Scale) -> int:
        """Return how many runs gave A's number so far."""
        every = [outcome for some in self._outcomes.values() for outcome in some]
        return sum(scale.verdict(outcome) is Verdict.AS_A for outcome in every)

    def surprises(self, answer: Answer, scale: Scale) -> int:
        """Return how many runs so far gave another number than an answer foretells."""
        sets = [self.members(group) for group in answer.sets]
        return sum(
            scale.verdict(outcome)
            is (Verdict.AS_A if any(s <= mixture for s in sets) else Verdict.AS_B)
            for mixture, some in self._outcomes.items()
            for outcome in some
        )

    def numbered(self, mixture: Mixture) -> list[Metric]:
        """Return all outcomes of a mixture so far that are numbers."""
        return [outcome for outcome in self.of(mixture) if isinstance(outcome, Metric)]

    def told(self, mixture: Mixture, outcome: Outcome, verdict: Verdict | None) -> None:
        """Pass an outcome on to whoever watches."""
        self._told(self.members(mixture), outcome, verdict)

    def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
        """Run a mixture once more; `repeat` is counted here."""
        members = self.members(mixture)
        with self._lock:
            repeat = self._begun[members]
            self._begun[members] += 1
            self.count += 1
        outcome = self._bench.run(members, repeat)
        with self._lock:
            self._outcomes.setdefault(members, []).append(outcome)
        return outcome

    def several(self, mixtures: Sequence[Mixture], scale: Scale | None = None) -> list[Outcome]:
        """Run mixtures in turn and return their outcomes; raise Spent where it is too much."""
        if self.count + len(mixtures) > self.limits.runs:
            raise Spent
        results: list[Outcome] = []
        for start in range(0, len(mixtures), max(1, self.limits.parallel)):
            batch = mixtures[start : start + max(1, self.limits.parallel)]
            outcomes = run_all(batch, self.run, parallel=self.limits.parallel)
            for mixture, outcome in zip(batch, outcomes, strict=True):
                self.told(mixture, outcome, scale.verdict(outcome) if scale else None)
            results += outcomes
        return results


class _Median:
    """A bench whose number of a mixture is the median of several runs."""

    def __init__(self, runs: _Runs, scale: Scale, width: int) -> None:
        self._runs, self._scale, self._width = runs, scale, width

    def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
        """Run a mixture several times and return the outcome in the middle."""
        del repeat
        outcomes = self._runs.several([mixture] * self._width, self._scale)
        numbers = sorted(outcome.value for outcome in outcomes if isinstance(outcome, Metric))
        if len(numbers) <= self._width // 2:
            return next(outcome for outcome in outcomes if isinstance(outcome, Fails))
        return Metric(value=numbers[len(numbers) // 2])


def _ends(everything: Mixture, runs: _Runs) -> Scale:
    """Return the scale of A and B; A runs until it is known how much it varies by itself.

    A and B take turns, so that a number that drifts with time is no difference of theirs.
    """
    nothing: Mixture = frozenset()
    if not runs.of(nothing):
        runs.several([nothing, nothing, everything])
        _need_numbers(runs.of(nothing), runs.of(everything))
    runs.quick = runs.quick and runs.are_exact(everything)
    repeats = _TWICE if runs.quick else max(runs.limits.repeats, _LEAST)
    few = [nothing] * (repeats - len(runs.of(nothing)))
    try:
        # More runs only widen the spread: where ends do not differ now, they would not then.
        while few:
            runs.several(few)
            _need_numbers(runs.of(nothing), runs.of(everything))
            scale = _scale(runs, everything)
            moves = scale.noise and scale.differs
            few = [m for m in (nothing, everything) if moves and not _known(runs.of(m), repeats)]
    except Spent:
        pass  # what is known of it decides; no run is left for a name
    return _scale(runs, everything)


def _scale(runs: _Runs, everything: Mixture) -> Scale:
    after, numbers = runs.of(everything), runs.numbers(everything)
    return Scale.of(
        runs.numbers(frozenset()),
        after[0] if isinstance(after[0], Fails) else Metric(value=middle(numbers)),
        least=runs.limits.tolerance,
        others=numbers,
    )


def _known(outcomes: Sequence[Outcome], least: int) -> bool:
    """Return whether it is known how much a number varies: the last runs did not widen it."""
    values = [outcome.value for outcome in outcomes if isinstance(outcome, Metric)]
    if len(values) < len(outcomes) or len(values) >= _ENOUGH:
        return True
    least += _COARSE_MORE if len({*values}) <= _FEW else 0
    first = values[: len(values) - max(2, len(values) // 3)]
    return len(values) >= least and (min(first), max(first)) == (min(values), max(values))


def _contradiction(answer: Answer, everything: Mixture, runs: _Runs, scale: Scale) -> str:
    """Repeat the deciding runs; return what contradicts the answer, or "". Raises Spent."""
    nothing: Mixture = frozenset()
    # Numbers of A and of B in turn: one that drifts with time is no difference of theirs.
    expected = [(answer.without, answer.rest), *((group, Verdict.AS_B) for group in answer.sets)]
    if not runs.quick or runs.low(scale) < _LEAST - 1:
        expected = [(nothing, Verdict.AS_A), *expected]
    expected += [(everything, Verdict.AS_B)]
    parts = [group - {c} for group in answer.sets if len(group) > 1 for c in sorted(group)]
    numbers = [*runs.numbers(nothing), *runs.numbers(everything)]
    coarse = all(map(_is_coarse, numbers)) and not runs.quick
    rounds = 3 if scale.noise else 2 if coarse else 1
    # Several causes, and runs of the search that the answer does not foretell: chance makes such.
    rounds += len(frozenset[str]().union(*answer.sets)) > 1
    rounds += runs.surprises(answer, scale) > 0
    for _ in range(rounds):
        outcomes = runs.several([*(mixture for mixture, _ in expected), *parts], scale)
        verdicts = [scale.verdict(outcome) for outcome in outcomes]
        decided, beside = verdicts[: len(expected)], verdicts[len(expected) :]
        if decided != [verdict for _, verdict in expected] or Verdict.AS_B in beside:
            return _CONTRADICT
    if runs.quick and not runs.are_exact(everything):
        return _CONTRADICT
    if isinstance(scale.after, Metric):
        without = [nothing] + [answer.without] * answer.explains
        low = [value for mixture in without for value in runs.numbers(mixture)]
        high = [value for mixture in (*answer.sets, everything) for value in runs.numbers(mixture)]
        if min(high) <= max(low) and min(low) <= max(high):
            return "the numbers of both sides overlap"
    return ""


def _confidence(answer: Answer, everything: Mixture, runs: _Runs) -> Confidence:
    low = {frozenset[str](), *([answer.without] if answer.explains else [])}
    high = {*answer.sets, everything}
    # The first run of what was chosen by the search chose it: it is no evidence.
    one, other = (
        sum(len(runs.of(mixture)) - (mixture not in ends) for mixture in group)
        for group, ends in ((low, {frozenset()}), (high, {everything}))
    )
    total = sum(len(runs.of(mixture)) for mixture in (*low, *high))
    return Confidence(runs=total, chance=math.comb(one + other, one), exact=runs.quick)


def _is_coarse(value: float) -> bool:
    """Return whether a number is one of few: of two or three digits, or a part of few rows."""
    if not math.isfinite(value):
        return True
    part = Fraction(value).limit_denominator(200)  # a part of so many rows is a coarse number
    digits = len(repr(value).rpartition(".")[2])
    return digits <= _DIGITS or math.isclose(part, value, rel_tol=1e-12)


def _need_numbers(before: Sequence[Outcome], after: Sequence[Outcome]) -> None:
    """Raise LockstitchError when a run of A gave no number, or B was stopped."""
    failed = next((outcome for outcome in before if isinstance(outcome, Fails)), None)
    if failed:
        both = any(isinstance(outcome, Fails) for outcome in after)
        message = f"{'A and B give' if both else 'A gives'} no number: {failed.reason}"
        if failed.detail and failed.detail != failed.reason:
            message += f"\n{failed.detail}"
        hint = "run the command by hand in both" if both else "to find what breaks it: B A"
        if failed.reason.startswith(("no number", "a time")):
            hint = "--metric-file metrics.json:accuracy, or --metric-regex 'accuracy: (.*)'"
        raise LockstitchError(message, hint=hint)
    stopped = [outcome for outcome in after if isinstance(outcome, Fails)]
    if any(fails.passing for fails in stopped) or 0 < len(stopped) < len(after):
        message = f"B gives no number, for a reason that no package is: {stopped[0].reason}"
        raise LockstitchError(message, hint="run the command by hand in B, then again")


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
        self._runs, self._imported = ({}, {}) if forget else _read(path)
        self.before = len(self._runs)  # outcomes of earlier searches

    def imported(self, mixture: Mixture) -> frozenset[str] | None:
        """Return the packages that the first run of a mixture imported, None where not known."""
        return self._imported.get(_name(mixture, 0))

    def put_imported(self, mixture: Mixture, packages: frozenset[str]) -> None:
        """Keep the imports of a mixture's first run until its outcome is put."""
        self._imported[_name(mixture, 0)] = packages

    def get(self, mixture: Mixture, repeat: int) -> Outcome | None:
        """Return the outcome of a run, or None."""
        return self._runs.get(_name(mixture, repeat))

    def put(self, mixture: Mixture, repeat: int, outcome: Outcome) -> None:
        """Keep an outcome, on the disk before it is used."""
        with self._lock:
            self._runs[_name(mixture, repeat)] = outcome
            runs = {name: _document(outcome) for name, outcome in self._runs.items()}
            for name, packages in self._imported.items():
                runs.get(name, {})["imported"] = sorted(packages)
            files.write_text(self.path, json.dumps(runs, indent=1, sort_keys=True) + "\n")


def _name(mixture: Mixture, repeat: int) -> str:
    # Sorted: a set has no order, and the name must find the run again.
    return " ".join([f"#{repeat}", *sorted(mixture)])


def _document(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Metric):
        # JSON has no nan.
        return {"metric": repr(outcome.value), "line": outcome.line, "wrote": outcome.wrote}
    return {"reason": outcome.reason, "detail": outcome.detail}


def _read(path: Path) -> tuple[dict[str, Outcome], dict[str, frozenset[str]]]:
    try:
        document = json.loads(files.read_text(path))
        runs = {str(name): _outcome(run) for name, run in document.items()}
        seen = {name: run["imported"] for name, run in document.items() if "imported" in run}
        return runs, {name: frozenset(map(str, packages)) for name, packages in seen.items()}
    except (LockstitchError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}, {}


def _outcome(document: Mapping[str, Any]) -> Outcome:
    if "metric" in document:
        texts = {key: str(document.get(key, "")) for key in ("line", "wrote")}
        return Metric(value=float(document["metric"]), **texts)
    return Fails(reason=str(document["reason"]), detail=str(document["detail"]))


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
        """Return the outcome of the command in a mixture: the kept one, or that of a run.

        A run that fails is tried again: what fails once is no property of a mixture.
        """
        known = self.outcomes.get(mixture, repeat)
        if known is not None:
            return known
        self.runs += 1
        # Watching costs a little, and what is imported is the same each time.
        watched = not repeat and mixture in self._ends
        outcome = self._tried(mixture, watched=watched)
        if isinstance(outcome, Fails):
            outcome = self._tried(mixture, watched=watched)
        if not (isinstance(outcome, Fails) and outcome.passing):
            self.outcomes.put(mixture, repeat, outcome)
        return outcome

    @property
    def imported(self) -> frozenset[str] | None:
        """The packages that the first runs of A and B imported, None where one is not known."""
        seen = [self.outcomes.imported(end) for end in self._ends]
        return frozenset[str]().union(*filter(None, seen)) if all(seen) else None

    @property
    def _ends(self) -> tuple[Mixture, Mixture]:
        return frozenset(), frozenset(cause.label for cause in self.ends.causes)

    def _tried(self, mixture: Mixture, *, watched: bool) -> Outcome:
        try:
            place = self.environments.make(self.ends.wanted(mixture))
        except LockstitchError as error:
            # A and B are made before: what fails here is the mixture, as in an import that fails.
            lines = [line for line in error.message.splitlines() if line.strip()]
            return Fails(reason=lines[-1].strip(), detail=error.message, passing=True)
        with tempfile.TemporaryDirectory(prefix="lockstitch-bisect-") as scratch:
            root = _elsewhere(self.folder, Path(scratch))
            for name, data in self.ends.files(mixture).items():
                _put(root / name, data)
            target = Path(scratch) / "imported.txt" if watched else None
            before = _files(root)
            outcome = self._ran(place, mixture, root, target)
            if target:
                self.outcomes.put_imported(mixture, imports.noted(target, live.site_of(place)))
            if isinstance(outcome, Metric):
                outcome = replace(outcome, wrote=_written(root, before))
            return outcome

    def _ran(self, place: Path, mixture: Mixture, root: Path, target: Path | None) -> Outcome:
        changes = {**self.environments.variables(place), **self.ends.variables(mixture)}
        if self.environments.editable:
            # The environment has the project where it is: the copy's own sources come first.
            sources = root / "src"
            changes["PYTHONPATH"] = str(sources if sources.is_dir() else root)
        before = self.metric.stamp(root)
        env = environ.child(**changes)
        own = f"{self.folder}/"
        words = [w.replace(own, f"{root}/") if w.startswith(own) else w for w in self.command]
        if target:
            env = imports.with_children(Command(words=tuple(words), cwd=root, env=env), target).env
        return self.metric.read(process.run(words, cwd=root, env=env, check=False), root, before)


def _elsewhere(folder: Path, scratch: Path) -> Path:
    """Return a copy of a project, beside links to its neighbours, where runs do not meet."""
    for beside in folder.parent.iterdir():
        if beside != folder:
            (scratch / beside.name).symlink_to(beside)
    root = files.copied(folder, scratch / (folder.name or "project"), modes=True)
    if (folder / ".git").exists():
        (root / ".git").symlink_to(folder / ".git")
    return root


def _put(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink(missing_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _files(root: Path) -> dict[str, tuple[int, int]]:
    # What MLflow keeps has new names and times in each run.
    walked = [e for e in files.walk(root) if not e.name.startswith(("mlruns/", "mlflow.db"))]
    return {file.name: (file.mtime_ns, file.size) for file in walked}


def _written(root: Path, before: Mapping[str, tuple[int, int]]) -> str:
    """Return a digest of the files that a run wrote, "" where they are too few bytes or many."""
    after = _files(root)
    changed = sorted(name for name, state in after.items() if before.get(name) != state)
    if not _WRITTEN <= sum(after[name][1] for name in changed) <= _LARGEST:
        return ""
    sums = [[name, digest.of_bytes((root / name).read_bytes())] for name in changed]
    return digest.of_bytes(canonical_json({"files": sums})).hex


def code(folder: Path, command: Sequence[str]) -> list[list[str]]:
    """Return digests of the Python files of a folder and of files that a command names.

    An outcome is one of this code: with other code it does not count.
    """
    walked = [file for file in files.walk(folder) if _is_code(file.name)][:_MOST]
    named = [(word, folder / word) for word in command if (folder / word).is_file()]
    paths = {**{file.name: file.path for file in walked}, **dict(named)}
    return [[name, digest.of_bytes(path.read_bytes())] for name, path in sorted(paths.items())]


def _is_code(name: str) -> bool:
    return name.endswith(".py") and "/site-packages/" not in name
