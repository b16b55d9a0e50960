"""An experiment as a person starts it: both sides read, the plan in words, the number watched."""

import argparse
import functools
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lockstitch.cli import drifting
from lockstitch.drift import source
from lockstitch.drift.bisect import coupling, ends, experiment, metric, mixtures, record, search
from lockstitch.drift.bisect.bench import CommandBench, code
from lockstitch.drift.bisect.ends import Ends, Side
from lockstitch.drift.bisect.experiment import Explanation, Limits
from lockstitch.drift.bisect.mixtures import Environments
from lockstitch.drift.bisect.model import Metric, Mixture, Outcome
from lockstitch.drift.bisect.pythons import Pythons
from lockstitch.drift.bisect.scale import Verdict
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.fingerprint import live
from lockstitch.fingerprint.model import Fingerprint
from lockstitch.progress import Reporter, say

__all__ = ["Prepared", "explained", "number", "prepare"]

_NAMED = 3  # causes fit on a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An experiment that can start."""

    ends: Ends
    bench: CommandBench
    limits: Limits

    @property
    def guesses(self) -> int:
        """How many causes are tried alone."""
        return coupling.question(self.ends.causes, {}).guesses

    @property
    def most(self) -> int:
        """How many runs one cause takes at most, where every mixture gives a number."""
        here = search.most(len(self.ends.causes), self.guesses)
        return min(self.limits.runs, self.limits.repeats + 1 + here)


def number(value: float) -> str:
    """Return a metric as people read it, with all of its digits where they are needed."""
    short = f"{value:.10g}"
    return short if float(short) == value else repr(value)


# --- from options


def prepare(options: argparse.Namespace) -> Prepared:
    """Return the experiment that options describe, or raise LockstitchError with what is wrong."""
    folder: Path = options.project
    reading = metric.parse(options.metric_file, options.metric_regex)
    _checked(options)
    words = (options.before, options.after)
    sides, pythons = _sides(options)
    own = mixtures.own_project(folder)
    editable = {p.name for s in sides for p in s.fingerprint.packages if p.origin == "editable"}
    extras = [mixtures.read_extra(each, folder) for each in options.extra]
    extras += [own] if own and own.name in editable - {each.name for each in extras} else []
    made = ends.between(
        *sides,
        [ends.setting(each) for each in options.setting],
        given=frozenset(each.name for each in extras),
        graph=source.graph(drifting.context(options)),
    )
    if not made.causes:
        message = f"nothing that can be tried here differs between `{words[0]}` and `{words[1]}`"
        raise LockstitchError(message, hint=f"lockstitch diff {shlex.join(words)} --all")
    environments = Environments(folder.resolve(), extras, pythons)
    kept = record.Record(_record(made, environments, options), forget=options.again)
    bench = CommandBench(
        ends=made,
        environments=environments,
        command=options.rest,
        folder=folder.resolve(),
        reading=reading,
        record=kept,
    )
    limits = Limits(
        runs=options.runs,
        repeats=options.repeats,
        tolerance=options.tolerance,
        parallel=options.jobs,
    )
    return Prepared(ends=made, bench=bench, limits=limits)


def _record(made: Ends, environments: Environments, options: argparse.Namespace) -> Path:
    everything = frozenset(each.label for each in made.causes)
    both = (frozenset[str](), everything)
    reading = metric.parse(options.metric_file, options.metric_regex)
    known = {
        "environments": [environments.path(made.wanted(each)).name for each in both],
        "variables": [made.variables(each) for each in both],
        "causes": sorted(everything),
        "command": list(options.rest),
        "reading": reading.document(),
        "code": code(options.project, options.rest),
    }
    return Path(options.project, ".lockstitch", "bisect", f"{record.key(known)}.json")


def _checked(options: argparse.Namespace) -> None:
    if not options.rest:
        message = "bisect needs the command that gives the number, after `--`"
        raise UsageError(message, hint="lockstitch bisect A B -- python train.py")
    for name, least in (("repeats", 2), ("jobs", 1), ("runs", 4)):
        if getattr(options, name) < least:
            message = f"--{name} is {getattr(options, name)}, which is less than {least}"
            raise UsageError(message, hint=f"--{name} {least}")
    if not options.tolerance >= 0:
        message = f"--tolerance is {options.tolerance}, not a number of 0 or more"
        raise UsageError(message, hint="--tolerance 0.001")
    if options.metric_file and options.jobs > 1:
        message = f"--jobs {options.jobs}: several runs would write `{options.metric_file}`"
        raise UsageError(message, hint="let the command print the number, or --jobs 1")
    program = Path(options.rest[0])
    fixed = len(program.parts) > 1 and re.fullmatch(r"python[\d.]*t?", program.name)
    manager = program.name in {"uv", "poetry", "pdm", "hatch", "conda"}
    if fixed or manager:
        message = f"`{options.rest[0]}` runs in one fixed environment, whatever the mixture is"
        raise UsageError(message, hint="write it as in an activated one: -- python train.py")


def _sides(options: argparse.Namespace) -> tuple[tuple[Side, Side], Pythons]:
    asked = _asked(options.python)
    options.python = asked[0]
    context = drifting.context(options)
    project = context.project
    # Mixtures run here: a lock is read for this machine, not for the base of an image.
    here = replace(context, project=None)
    default = project.python if project else source.target(here).python
    words = (options.before, options.after)
    images = {each.name for each in project.images} if project else set()

    def reader(word: str) -> Callable[[str], Fingerprint]:
        where = context if word in images else here
        # A mixture asks again: an environment is read once, a lock once for each Python.
        return functools.cache(lambda python: source.read(word, replace(where, python=python)))

    reads = [reader(word) for word in words]
    found = [read(asked[i] or default) for i, read in enumerate(reads)]
    known = [_version(each, word) for each, word in zip(found, words, strict=True)]
    # A lock that stands beside an environment is read for that environment's Python.
    chosen = [known[i] or asked[i] or known[1 - i] or default for i in range(2)]
    found = [each if known[i] else reads[i](chosen[i]) for i, each in enumerate(found)]
    places = [options.project / word for word in words]
    pythons = Pythons(_programs(list(zip(places, known, strict=True))))
    versions = pythons.both(*chosen)
    before, after = (
        Side(word=words[i], fingerprint=found[i], read=reads[i], python=versions[i])
        for i in range(2)
    )
    return (before, after), pythons


def _asked(text: str) -> tuple[str, str]:
    """Return the Python that is asked for A and for B, "" where none is."""
    before, _, after = text.partition(",")
    after = after or before
    if any(each and not re.fullmatch(r"3\.\d{1,2}(\.\d{1,3})?", each) for each in (before, after)):
        message = f"--python is `{text}`, not one or two versions of Python 3"
        raise UsageError(message, hint="--python 3.11,3.12")
    return before, after


def _version(fingerprint: Fingerprint, word: str) -> str:
    python = fingerprint.python
    if python is None:
        return ""
    # It comes from somebody's file and becomes a word that uv takes: no path, no option.
    known = re.fullmatch(r"3\.\d{1,2}(?:\.\d{1,3}(?:(?:a|b|rc)\d{1,2})?)?", python.version)
    if python.implementation.lower() != "cpython" or not known:
        message = f"`{word}` has {python.implementation} {python.version}, mixtures have CPython 3"
        raise LockstitchError(message, hint="name an environment with CPython 3")
    return f"{python.version}{'t' * python.free_threaded}"


def _programs(sides: Sequence[tuple[Path, str]]) -> dict[str, str]:
    """Return the interpreters of environments of this machine by their version."""
    there = [(live.python_of(path), version) for path, version in sides]
    return {version: str(path.absolute()) for path, version in there if version and path.exists()}


# --- the runs


def explained(made: Prepared, progress: Reporter, *, talk: bool) -> Explanation:
    """Make the experiment, and say what each run gives."""
    bench, causes = made.bench, made.ends.causes
    both = [made.ends.wanted(frozenset(each)) for each in ((), {c.label for c in causes})]
    bench.environments.sweep()
    with progress.task("install A and B", 0):
        for each in both:
            bench.environments.make(each)
    runs, everything = 0, frozenset(each.label for each in causes)
    with progress.task("runs", made.most) as task:

        def told(mixture: Mixture, outcome: Outcome, verdict: Verdict | None) -> None:
            nonlocal runs
            runs += 1
            task.advance(1)
            if talk:
                say(f"run {runs}: {_moved(mixture, everything)}: {_gave(outcome, verdict)}")

        return experiment.explain(
            causes,
            bench,
            lambda: (
                bench.environments.installed(both[0]),
                bench.environments.installed(both[1]),
            ),
            made.limits,
            told,
        )


def _moved(mixture: Mixture, everything: Mixture) -> str:
    """Say what a mixture is, by what is named quicker."""
    rest = everything - mixture
    if not mixture or not rest:
        return "B" if mixture else "A"
    if len(rest) <= _NAMED < len(mixture):
        return f"B with {', '.join(sorted(rest))} of A"
    if len(mixture) <= _NAMED:
        return f"A with {', '.join(sorted(mixture))} of B"
    return f"A with {len(mixture)} of {len(everything)} of B"


def _gave(outcome: Outcome, verdict: Verdict | None) -> str:
    if isinstance(outcome, Metric):
        return number(outcome.value) + (f", {verdict.value}" if verdict else "")
    return f"{Verdict.UNRESOLVED.value} ({outcome.reason})"
