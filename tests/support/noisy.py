"""Noisy numbers of simulated environments, for searches that may not name a wrong culprit."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lockstitch.drift.bisect import experiment
from lockstitch.drift.bisect.experiment import Explanation, Limits
from lockstitch.drift.bisect.model import Cause, Metric, Mixture, Outcome
from lockstitch.drift.bisect.sides import Installed
from lockstitch.drift.compare import Difference
from lockstitch.drift.effects import Effect
from lockstitch.prove import training, variations
from lockstitch.prove.training import Output, Run
from lockstitch.prove.variations import Variation

__all__ = ["KINDS", "Simulated", "Verified", "simulate", "verify"]


@dataclass
class Simulated:
    """What a simulation gave: whether it named something, whether that was wrong, its runs."""

    kind: str
    explanation: Explanation
    named: bool
    wrong: bool


class _Bench:
    """Mixtures whose number is `base` with the true causes as in B, and noise."""

    def __init__(self, kind: str, seed: int, truth: Mixture, step: float) -> None:
        self.random = random.Random(f"{kind} {seed}")
        self.truth, self.step, self.ran = truth, step, 0
        self.noise = KINDS[kind]
        self.jump = self.random.randrange(3, 40)

    def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
        del repeat
        self.ran += 1
        moved = bool(self.truth) and self.truth <= mixture
        return Metric(value=self.noise(self, 0.8 + self.step * moved))


def _rows(bench: _Bench, value: float) -> float:
    return sum(bench.random.random() < value for _ in range(30)) / 30


def _split(bench: _Bench, value: float) -> float:
    return value + bench.random.gauss(0, 0.02)


def _flips(bench: _Bench, value: float) -> float:
    return value + (1 / 30) * (bench.random.random() < 0.2)


def _rare(bench: _Bench, value: float) -> float:
    return value + 0.05 * (bench.random.random() < 0.07)


def _jumps(bench: _Bench, value: float) -> float:
    other = {0.8: 0.85, 0.85: 0.8}.get(round(value, 6), 0.85)
    return other if bench.random.random() < 0.2 else value


def _coarse(bench: _Bench, value: float) -> float:
    return round(value + bench.random.gauss(0, 0.03), 1)


def _drifts(bench: _Bench, value: float) -> float:
    return value + 0.004 * bench.ran


def _warms(bench: _Bench, value: float) -> float:
    return value + 0.05 * (bench.ran > bench.jump)


def _still(bench: _Bench, value: float) -> float:
    del bench
    return value


def _fine(bench: _Bench, value: float) -> float:
    """Give all digits, and now and then those of the other one."""
    other = {0.8: 0.85, 0.85: 0.8}.get(round(value, 6), 0.85)
    return (other if bench.random.random() < 0.2 else value) + 0.0012345


def _still_fine(bench: _Bench, value: float) -> float:
    del bench
    return value + 0.0012345


def _fine_rare(bench: _Bench, value: float) -> float:
    return value + 0.0012345 + 0.05 * (bench.random.random() < 0.07)


def _fine_warms(bench: _Bench, value: float) -> float:
    return value + 0.0012345 + 0.05 * (bench.ran > bench.jump)


KINDS: dict[str, Callable[[_Bench, float], float]] = {
    "accuracy on 30 rows": _rows,
    "unseeded split": _split,
    "flips of probability 0.2": _flips,
    "rare flips": _rare,
    "flips between both numbers": _jumps,
    "coarse values": _coarse,
    "drift over time": _drifts,
    "one jump in time": _warms,
    "no noise": _still,
    "flips between both, all digits": _fine,
    "rare flips, all digits": _fine_rare,
    "one jump in time, all digits": _fine_warms,
    "no noise, all digits": _still_fine,
}


def _cause(name: str, *, matters: bool) -> Cause:
    effect = Effect.NUMERIC if matters else Effect.NONE
    part = Difference(
        name=name, what="package", before="1", after="2", kind="changed", effect=effect
    )
    return Cause(label=name, parts=(part,))


def simulate(kind: str, seed: int) -> Simulated:
    """Search for the cause of a noisy number; a third of the seeds have none, a third has two."""
    dice = random.Random(f"{seed} {kind} causes")
    count = dice.choice([1, 3, 12, 40])
    names = [f"p{number:02}" for number in range(count)]
    truth = frozenset(dice.sample(names, min(count, seed % 3)))
    step = dice.choice([0.05, 0.1, 0.2])
    bench = _Bench(kind, seed, truth, step)
    causes = [_cause(name, matters=number < 6) for number, name in enumerate(names)]
    nothing = Installed(versions={}, requires={}, python="3.11")
    found = experiment.explain(
        causes, bench, lambda: (nothing, nothing), Limits(runs=200), lambda *_: None
    )
    named = frozenset[str]().union(*found.answer.sets) if found.answer else frozenset()
    return Simulated(
        kind=kind, explanation=found, named=bool(named), wrong=bool(named) and named != truth
    )


# --- trainings, for `verify`


@dataclass
class Verified:
    """What a simulated training with a random flip gave: names, wrong ones, missed ones, runs."""

    named: int
    wrong: int
    missed: int  # true causes that no variation was named for
    runs: int


def verify(probability: float, seed: int) -> Verified:
    """Vary trainings of which two outputs flip now and then, and a metric with the first of them.

    Half of the seeds have another output, which one variation truly changes.
    """
    dice = random.Random(f"{probability} {seed} verify")
    listed = variations.of_training()
    able = [each.name for each in listed if each.name != "repeat" and not each.hardware]
    guilty = dice.choice(able) if seed % 2 else ""
    ran: list[str] = []

    def train(each: Variation) -> Run:
        ran.append(each.name)
        flipped, other = (dice.random() < probability for _ in range(2))
        joint = each.name == "several at once" and any(v.joint and v.name == guilty for v in listed)
        steady = f"{each.name == guilty or joint}"
        made = {"flips.bin": f"{flipped}", "other.bin": f"{other}", "steady.bin": steady}
        outputs = {n: Output(bytes=v, how="x", parts={"w": (v, 1.0)}) for n, v in made.items()}
        return Run(outputs=outputs, metrics={"auc": 0.8 + 0.1 * flipped}, seconds=1)

    found, _ = training.varied(train(Variation(name="here")), listed, train)
    of = {
        name: {*each.metrics, *(change.output for change in each.changes)}
        for name, each in found.items()
        if name != "repeat" and not each.holds(0.0)
    }
    wrong = [n for n, moved in of.items() if moved - ({"steady.bin"} if n == guilty else set())]
    missed = bool(guilty) and "steady.bin" not in of.get(guilty, ())
    return Verified(
        named=sum(map(bool, of.values())), wrong=len(wrong), missed=missed, runs=len(ran)
    )
