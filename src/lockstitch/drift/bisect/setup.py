"""Sets an experiment up from its options, and runs it."""

import functools
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lockstitch import git
from lockstitch.digest import of_bytes
from lockstitch.drift import source
from lockstitch.drift.bisect import environments, experiment, metric, search, sides
from lockstitch.drift.bisect.environments import Environments, Pythons
from lockstitch.drift.bisect.experiment import CommandBench, Explanation, Limits, Outcomes
from lockstitch.drift.bisect.metric import MetricSource
from lockstitch.drift.bisect.model import Metric, Mixture, Outcome, Verdict
from lockstitch.drift.bisect.sides import Content, Ends, Side
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.fingerprint import live
from lockstitch.fingerprint.model import Fingerprint
from lockstitch.progress import Reporter, say
from lockstitch.values import frozen, replace

_LARGEST = 256 << 20  # bytes of a file that is tried
_NAMED = 3  # causes fit on a line
_DECIDING = 8  # runs that repeat what decides, where the number does not change by itself


@frozen
class Options:
    """The options of `lockstitch bisect`, as its help describes them."""

    before: str
    after: str
    rest: tuple[str, ...]  # the command
    project: Path
    image: str | None
    python: str
    setting: Sequence[str]
    extra: Sequence[str]
    metric_file: str
    metric_regex: str
    runs: int
    repeats: int
    tolerance: float
    jobs: int
    again: bool


@frozen
class Prepared:
    """An experiment that can start."""

    ends: Ends
    bench: CommandBench
    limits: Limits
    ranked: Callable[[frozenset[str] | None], Ends]  # the ends anew, by what runs imported

    @property
    def most(self) -> int:
        """The most runs that finding one cause takes, where every mixture gives a number."""
        searched = search.most(sides.question(self.ends.causes, {}))
        return min(self.limits.runs, (self.limits.repeats or 5) + 1 + searched + _DECIDING)


def number(value: float) -> str:
    """Return a metric as people read it, with all of its digits where they are needed."""
    short = f"{value:.10g}"
    return short if float(short) == value else repr(value)


# --- from options


def prepare(options: Options) -> Prepared:
    """Return the experiment of options; raises UsageError, or LockstitchError for a side."""
    folder = options.project
    reading = metric.parse(options.metric_file, options.metric_regex)
    _check(options)
    pythons_named = _named_pythons(options.python)
    context = source.context(folder, image=options.image, python=pythons_named[0])
    both, pythons = _sides(options, context, pythons_named)
    own = environments.own_project(folder)
    editable = {p.name for s in both for p in s.fingerprint.packages if p.origin == "editable"}
    extras = [environments.read_extra(text, folder) for text in options.extra]
    extras += [own] if own and own.name in editable - {extra.name for extra in extras} else []
    between = functools.partial(
        sides.between,
        settings=[sides.setting(text) for text in options.setting],
        given=frozenset(extra.name for extra in extras),
        graph=source.graph(context),
        contents=_contents(both, folder),
        code=functools.cache(functools.partial(source.words, folder)),
    )
    ends = between(*both)
    if not ends.causes:
        words = (options.before, options.after)
        message = f"nothing that can be tried here differs between `{words[0]}` and `{words[1]}`"
        message = "\n".join([message, *sides.untried(ends, everything=True)])
        raise LockstitchError(message, hint=f"lockstitch diff {shlex.join(words)} --all")
    envs = Environments(folder.resolve(), extras, pythons)
    path = _outcomes_file(ends, envs, reading, options)
    bench = CommandBench(
        ends=ends,
        environments=envs,
        command=options.rest,
        folder=folder.resolve(),
        metric=reading,
        outcomes=Outcomes(path, forget=options.again),
    )
    limits = Limits(
        runs=options.runs,
        repeats=options.repeats,
        tolerance=options.tolerance,
        parallel=options.jobs,
    )

    def ranked(imported: frozenset[str] | None) -> Ends:
        return between(*(side.importing(imported) for side in both))

    return Prepared(ends=ends, bench=bench, limits=limits, ranked=ranked)


def _contents(both: tuple[Side, Side], folder: Path) -> sides.Contents:
    """Return the files of the project that two runs read otherwise, where both are here.

    In the project's folder, or in the commit of one of the runs; what is there is believed by its
    digest only.
    """
    inputs = [side.fingerprint.inputs for side in both]
    if inputs[0] is None or inputs[1] is None:
        return {}
    commits = [side.fingerprint.commit for side in both]
    revisions = [r for commit in commits if (r := git.revision(folder, commit) if commit else None)]

    def content(path: str, digest: str | None) -> Content | None:
        if digest is None:
            return Content(data=None)
        place = folder / path
        inside = place.is_file() and place.resolve().is_relative_to(folder.resolve())
        own = place.read_bytes() if inside else None
        tried = [
            (own, ""),
            *((revision.data(path, _LARGEST), revision.commit) for revision in revisions),
        ]
        same = [(d, commit) for d, commit in tried if d is not None and of_bytes(d) == digest]
        return Content(data=same[0][0], commit=same[0][1]) if same else None

    contents = {}
    for path in sorted({*inputs[0], *inputs[1]}):
        old, new = inputs[0].get(path), inputs[1].get(path)
        if old != new and not Path(path).is_absolute() and ".." not in Path(path).parts:
            before, after = content(path, old), content(path, new)
            if before and after:
                contents[path] = (before, after)
    return contents


def _outcomes_file(ends: Ends, envs: Environments, reading: MetricSource, options: Options) -> Path:
    everything = frozenset(cause.label for cause in ends.causes)
    both = (frozenset[str](), everything)
    known = {
        "environments": [envs.path(ends.wanted(mixture)).name for mixture in both],
        "variables": [ends.variables(mixture) for mixture in both],
        "files": [_digests(ends.files(mixture)) for mixture in both],
        "causes": sorted(everything),
        "command": list(options.rest),
        "reading": reading.document(),
        "code": experiment.code(options.project, options.rest),
    }
    return Path(options.project, ".lockstitch", "bisect", f"{experiment.key(known)}.json")


def _digests(contents: Mapping[str, bytes | None]) -> dict[str, str]:
    return {name: str(of_bytes(data)) for name, data in contents.items() if data is not None}


def _check(options: Options) -> None:
    if not options.rest:
        message = "bisect needs the command that prints the number, after `--`"
        raise UsageError(message, hint="lockstitch bisect A B -- python train.py")
    for name, least in (("repeats", 5), ("jobs", 1), ("runs", 10)):
        if 0 != getattr(options, name) < least or (
            name != "repeats" and not getattr(options, name)
        ):
            message = f"--{name} is {getattr(options, name)}, which is less than {least}"
            raise UsageError(message, hint=f"--{name} {least}")
    if not options.tolerance >= 0:
        message = f"--tolerance is {options.tolerance}, not a number of 0 or more"
        raise UsageError(message, hint="--tolerance 0.001")
    program = Path(options.rest[0])
    fixed = len(program.parts) > 1 and re.fullmatch(r"python[\d.]*t?", program.name)
    manager = program.name in {"uv", "poetry", "pdm", "hatch", "conda"}
    if fixed or manager:
        message = f"`{options.rest[0]}` runs in one fixed environment, whatever the mixture is"
        raise UsageError(message, hint="write it as in an activated one: -- python train.py")


def _sides(
    options: Options, context: source.Context, named: tuple[str, str]
) -> tuple[tuple[Side, Side], Pythons]:
    project = context.project
    # Mixtures run here: a lock is read for this machine, not for the base of an image.
    here = replace(context, project=None)
    default = project.python if project else source.target(here).python
    words = (options.before, options.after)
    images = {image.name for image in project.images} if project else set()

    def reader(word: str) -> Callable[[str], Fingerprint]:
        where = context if word in images else here
        # A mixture asks again: an environment is read once, a lock once for each Python.
        return functools.cache(lambda python: source.read(word, replace(where, python=python)))

    reads = [reader(word) for word in words]
    prints = [read(named[i] or default) for i, read in enumerate(reads)]
    known = [_version(fingerprint, word) for fingerprint, word in zip(prints, words, strict=True)]
    # A lock that stands beside an environment is read for that environment's Python.
    chosen = [known[i] or named[i] or known[1 - i] or default for i in range(2)]
    prints = [side if known[i] else reads[i](chosen[i]) for i, side in enumerate(prints)]
    programs = [(live.python_of(options.project / words[i]), known[i]) for i in range(2)]
    pythons = Pythons({v: str(path.absolute()) for path, v in programs if v and path.exists()})
    versions = pythons.both(*chosen)
    ready = [version for version in versions if pythons.path(version)]
    if len(ready) == 1 and not any(named):  # the other one cannot be tried: it is told of
        versions = (ready[0], ready[0])
    before, after = (
        Side(word=words[i], fingerprint=prints[i], read=reads[i], python=versions[i])
        for i in range(2)
    )
    return (before, after), pythons


def _named_pythons(text: str) -> tuple[str, str]:
    """Return the Python of --python for A and for B, "" where there is none."""
    before, _, after = text.partition(",")
    after = after or before
    if any(text and not re.fullmatch(r"3\.\d{1,2}(\.\d{1,3})?", text) for text in (before, after)):
        message = f"--python is `{text}`, not one or two versions of Python 3"
        raise UsageError(message, hint="--python 3.11,3.12")
    return before, after


def _version(fingerprint: Fingerprint, word: str) -> str:
    python = fingerprint.python
    if python is None:
        return ""
    # It comes from a file and becomes a word that uv takes: no path, no option.
    known = re.fullmatch(r"3\.\d{1,2}(?:\.\d{1,3}(?:(?:a|b|rc)\d{1,2})?)?", python.version)
    if python.implementation.lower() != "cpython" or not known:
        message = f"`{word}` has {python.implementation} {python.version}, mixtures have CPython 3"
        raise LockstitchError(message, hint="name an environment with CPython 3")
    return f"{python.version}{'t' * python.free_threaded}"


# --- the runs


def explained(prepared: Prepared, progress: Reporter, *, talk: bool) -> Explanation:
    """Run the experiment, printed when `talk`; raises LockstitchError when a side does not run."""
    bench, causes = prepared.bench, prepared.ends.causes
    both = [prepared.ends.wanted(frozenset(labels)) for labels in ((), {c.label for c in causes})]
    bench.environments.sweep()
    with progress.task("install A and B", 0):
        for requirements in both:
            bench.environments.make(requirements)
    runs, everything = 0, frozenset(cause.label for cause in causes)
    ends = {frozenset[str](), everything}  # of which no line has been shown
    with progress.task("runs", prepared.most) as task:

        def told(mixture: Mixture, outcome: Outcome, verdict: Verdict | None) -> None:
            nonlocal runs
            runs += 1
            task.advance(1)
            if talk:
                line = _line(outcome) if mixture in ends else ""
                ends.discard(mixture)
                result = _result(outcome, verdict)
                say(f"run {runs}: {_name(mixture, everything)}: {result}{line}")

        return experiment.explain(
            causes,
            bench,
            lambda: (bench.environments.installed(both[0]), bench.environments.installed(both[1])),
            prepared.limits,
            told,
            lambda: prepared.ranked(bench.imported).causes,
        )


def _name(mixture: Mixture, everything: Mixture) -> str:
    """Return a mixture in words: by the causes of A or those of B, whichever are fewer."""
    rest = everything - mixture
    if not mixture or not rest:
        return "B" if mixture else "A"
    if len(rest) <= _NAMED < len(mixture):
        return f"B with {', '.join(sorted(rest))} of A"
    if len(mixture) <= _NAMED:
        return f"A with {', '.join(sorted(mixture))} of B"
    return f"A with {len(mixture)} of {len(everything)} of B"


def _line(outcome: Outcome) -> str:
    """Return where a number was read, for people to see whether it is the right one."""
    return f" (read from: {outcome.line})" if isinstance(outcome, Metric) and outcome.line else ""


def _result(outcome: Outcome, verdict: Verdict | None) -> str:
    if isinstance(outcome, Metric):
        return number(outcome.value) + (f", {verdict.value}" if verdict else "")
    return f"{Verdict.NO_NUMBER.value} ({outcome.reason})"
