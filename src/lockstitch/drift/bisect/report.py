"""The plan of an experiment and its result, for people and for programs."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lockstitch.drift.bisect.experiment import Explanation
from lockstitch.drift.bisect.model import Cause, Fails, Metric, Mixture, Outcome, Verdict
from lockstitch.drift.bisect.setup import Prepared, number
from lockstitch.drift.bisect.sides import Side, row, untried
from lockstitch.drift.compare import Difference
from lockstitch.fingerprint import live
from lockstitch.table import counted, first_of, table

_NAMED = 4  # parts of a cause that are named; the others are counted


def plan(prepared: Prepared) -> str:
    """Return the most runs that there will be, and what cannot be tried."""
    causes, limits = prepared.ends.causes, prepared.limits
    first = f"A {limits.repeats} times" if limits.repeats else "A twice or more"
    most = f"at most {prepared.most} runs where it is one cause"
    lines = [
        f"plan: {counted(len(causes), 'cause')} to try; {first}, B, then the likelier half;",
        f"what decides runs again: {most}, never more than {limits.runs} (--runs)",
    ]
    if prepared.bench.outcomes.before:
        lines.append(f"{prepared.bench.outcomes.before} outcomes are known from before (--again)")
    lines += untried(prepared.ends)
    return "".join(f"{line}\n" for line in lines)


def ranking(prepared: Prepared) -> str:
    """Return the plan with all causes, the likeliest first."""
    rows = [
        [str(i), *row(cause.parts[0]), "yes" if cause.known else ""]
        for i, cause in enumerate(prepared.ends.causes, 1)
    ]
    head = ("", "name", "A", "B", "known")
    return f"{table(head, rows, left=len(head))}\n\n{plan(prepared)}"


def planned(prepared: Prepared) -> dict[str, Any]:
    """Return the plan as JSON."""
    return {
        "causes": [_cause(cause) for cause in prepared.ends.causes],
        "beside": [difference.document() for difference in prepared.ends.beside],
        "most": prepared.most,
        "limit": prepared.limits.runs,
    }


def document(
    prepared: Prepared, result: Explanation, unseeded: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the result as JSON; `unseeded` are places of the code that draw without a seed."""
    answer, scale, sure = result.answer, result.scale, result.confidence
    return {
        "found": result.found,
        "before": _outcome(Metric(value=scale.before)),
        "after": _outcome(scale.after),
        "noise": scale.noise,
        "confidence": sure and {"word": sure.word, "runs": sure.runs, "chance": 1 / sure.chance},
        "doubt": result.doubt,
        "unseeded": list(unseeded),
        "tolerance": scale.band,
        "sets": [
            [_cause(cause) for cause in result.chosen(labels)]
            for labels in (answer.sets if answer else ())
        ],
        "without": None if answer is None else _outcome(result.outcomes[answer.without]),
        "smallest": sorted(result.smallest) if result.smallest else None,
        "runs": result.runs,
        "outcomes": [
            {"moved": sorted(mixture), **_outcome(outcome)}
            for mixture, outcome in sorted(
                result.outcomes.items(), key=lambda pair: (len(pair[0]), sorted(pair[0]))
            )
        ],
        "beside": [difference.document() for difference in prepared.ends.beside],
    }


def text(prepared: Prepared, result: Explanation, unseeded: Sequence[str] = ()) -> str:
    """Return the result as text for people; `unseeded` places are what to seed first."""
    return "".join(f"{line}\n" for line in _lines(prepared, result, unseeded))


def _lines(prepared: Prepared, result: Explanation, unseeded: Sequence[str]) -> Iterator[str]:
    scale = result.scale
    if scale.noise:
        yield (
            "the number varies by itself: "
            f"repeats of one environment differ by {number(scale.noise)}; "
            f"less than {number(scale.band)} is no difference\n"
        )
    if result.answer is None:
        yield from _unexplained(prepared, result, unseeded)
        return
    sets = [result.chosen(labels) for labels in result.answer.sets]
    how = ", each of these alone" if len(sets) > 1 else ", together" if len(sets[0]) > 1 else ""
    yield f"{_ends(result)}{how}: after {counted(result.runs, 'run')}\n"
    for causes in sets:
        yield from _parts(causes)
        yield ""
    yield from _table(result)
    yield from _rest(result)
    yield from _confidence(result)
    changes = [change for causes in sets for cause in causes for change in cause.known]
    if changes:
        yield "\nknown changes of results between these versions"
        for change in changes:
            yield f"  {change.package} {change.version}: {change.what} ({change.source})"
    parts = [part for causes in sets for cause in causes for part in cause.parts]
    yield "\nto get either"
    yield from _typed("A", [(p, p.before) for p in parts], prepared)
    yield from _typed("B", [(p, p.after) for p in parts], prepared)


def _ends(result: Explanation) -> str:
    after = result.scale.after
    what = number(after.value) if isinstance(after, Metric) else "a failure"
    return f"what changes it from {number(result.scale.before)} to {what}"


def _parts(causes: Sequence[Cause]) -> Iterator[str]:
    for cause in causes:
        first, *others = cause.parts
        # What one side alone has comes with the package that needs it: it is no name.
        with_it = [other for other in others if other.kind in {"added", "removed"}]
        shown = [first, *(other for other in others if other not in with_it)]
        for part in shown[:_NAMED]:
            name, before, after = row(part)
            yield f"  {name} {before} → {after}"
        if with_it := [*shown[_NAMED:], *with_it]:
            names = ", ".join(part.name for part in with_it)
            yield f"  and {len(with_it)} that change with it: {names}"


def _table(result: Explanation) -> Iterator[str]:
    answer, scale = result.answer, result.scale
    if answer is None:
        return
    rows = [["A", _value(Metric(value=scale.before)), ""]]
    rows += [
        [f"A with {_names(labels)} of B", _value(result.outcomes[labels]), "sufficient"]
        for labels in answer.sets
    ]
    taken = frozenset[str]().union(*answer.sets)
    if answer.without:
        necessary = "necessary" if answer.explains else answer.rest.value
        rows.append(
            [f"B with {_names(taken)} of A", _value(result.outcomes[answer.without]), necessary]
        )
    rows.append(["B", _value(scale.after), ""])
    yield table(("environment", "number", ""), rows, left=1)


def _rest(result: Explanation) -> Iterator[str]:
    answer = result.answer
    if answer is None or answer.explains:
        return
    yield ""
    if answer.rest is Verdict.NO_NUMBER:
        yield "it is sufficient; whether it is necessary is not known: no number without it"
    else:
        yield "it is sufficient and not all: without it the number is neither A's nor B's"


def _confidence(result: Explanation) -> Iterator[str]:
    sure = result.confidence
    if sure and result.found:
        yield ""
        yield f"confidence: {sure.word}: {sure.runs} runs of these, each as it should be;"
        if sure.exact:
            yield "every run gave exactly A's result or B's: nothing moves by itself"
        else:
            yield f"chance alone sorts them so once in {sure.chance:,} times"


def _unexplained(prepared: Prepared, result: Explanation, unseeded: Sequence[str]) -> Iterator[str]:
    scale = result.scale
    if result.doubt:
        yield f"cannot tell: {result.doubt}"
        before, after = number(scale.before), _value(scale.after)
        yield f"A gives {before} and B gives {after}, in the middle of their runs"
        yield "seed it, then run bisect again:" if unseeded else "what draws at random needs a seed"
        yield from (f"  {place}" for place in unseeded[:_NAMED])
    elif not scale.differs:
        before, after = number(scale.before), _value(scale.after)
        yield f"not explained: A gives {before} and B gives {after}, which is no difference here"
        yield "what can be installed and set on this machine does not change the number"
    else:
        yield f"not explained after {counted(result.runs, 'run')}, as many as --runs allows"
        if result.smallest and len(result.smallest) < len(result.causes):
            yield f"the smallest so far that changes it: {_names(result.smallest)}"
        yield "the outcomes are kept: go on with a larger --runs"
    yield from untried(prepared.ends, everything=not scale.differs)


def _typed(side: str, parts: Sequence[tuple[Difference, str]], prepared: Prepared) -> Iterator[str]:
    own = prepared.ends.before if side == "A" else prepared.ends.after
    pins = [f"{p.name}=={version}" for p, version in parts if p.what == "package" and version]
    gone = [p.name for p, version in parts if p.what == "package" and not version]
    pip = _pip(own, prepared.bench.folder)
    uv = "uv.lock" in own.word or not own.word.endswith((".txt", ".in", "poetry.lock"))
    if pins:
        words = [w for pin in pins for w in ("--upgrade-package", pin)]
        plain = [*(_with(pip, "install") or ["uv", "pip", "install"]), *pins]
        yield f"  {side}: {shlex.join(['uv', 'lock', *words] if uv and not pip else plain)}"
    if gone:
        words = _with(pip, "uninstall")
        away = shlex.join([*words, *gone]) if pip else f"without {', '.join(gone)}"
        yield f"  {side}: {away}"
    for part, value in parts:
        both = prepared.ends.contents.get(part.name) if part.what == "input" else None
        if both:
            commit = both[side == "B"].commit
            here = f"{part.name} as in this folder" if value else f"without {part.name}"
            back = f"git checkout {commit[:12]} -- {part.name}" if commit else here
            yield f"  {side}: {back}"
        elif part.what == "variable":
            setting = f"export {part.name}={shlex.quote(value)}" if value else f"unset {part.name}"
            yield f"  {side}: {setting}"
        elif part.what == "python" and part.name == "version":
            yield f"  {side}: uv python pin {value}"


def _pip(side: Side, folder: Path) -> list[str]:
    """Return the pip of a side that is an environment without a lock beside it, else nothing."""
    if not live.is_environment(folder / side.word) or (folder / "uv.lock").is_file():
        return []
    if side.fingerprint.package("pip"):
        return [str(live.python_of(Path(side.word))), "-m", "pip"]
    return ["uv", "pip", "--python", side.word]


def _with(pip: Sequence[str], verb: str) -> list[str]:
    """Return a pip with a verb: uv's has it before its options."""
    at = 2 if pip[:1] == ["uv"] else len(pip)
    return [*pip[:at], verb, *pip[at:]] if pip else []


# --- words


def _names(labels: Mixture) -> str:
    return first_of(sorted(labels), _NAMED)


def _value(outcome: Outcome) -> str:
    return number(outcome.value) if isinstance(outcome, Metric) else outcome.reason


def _outcome(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Fails):
        return {"number": None, "failure": outcome.reason}
    # JSON has no nan.
    finite = abs(outcome.value) < float("inf")
    return {"number": outcome.value if finite else str(outcome.value), "failure": None}


def _cause(cause: Cause) -> list[dict[str, Any]]:
    return [part.document() for part in cause.parts]
