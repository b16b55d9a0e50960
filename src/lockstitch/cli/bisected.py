"""A plan of an experiment, and what it found, for people and for programs."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from lockstitch.cli.bisecting import Prepared, number
from lockstitch.cli.table import table
from lockstitch.drift.bisect.experiment import Explanation
from lockstitch.drift.bisect.model import Cause, Fails, Metric, Mixture, Outcome
from lockstitch.drift.bisect.scale import Verdict
from lockstitch.drift.compare import Difference

__all__ = ["document", "plan", "planned", "ranking", "text"]

_NAMED = 4  # parts of a cause that are named; the others are counted


def plan(made: Prepared) -> str:
    """Return how many runs there will be at most, and what cannot be tried."""
    causes, limits = made.ends.causes, made.limits
    guesses = f", then {_count(made.guesses, 'guess')} alone" if made.guesses else ""
    first = f"A {limits.repeats} times, B once{guesses}"
    lines = [
        f"plan: {_count(len(causes), 'cause')} to try; {first}, then halves:",
        f"at most {made.most} runs where it is one cause, never more than {limits.runs} (--runs)",
    ]
    if made.bench.record.before:
        lines.append(f"{made.bench.record.before} outcomes are known from before (--again)")
    lines += _beside(made.ends.beside)
    return "".join(f"{line}\n" for line in lines)


def ranking(made: Prepared) -> str:
    """Return the plan with all causes, the likeliest first."""
    rows = [
        [str(i), *_row(cause.parts[0]), "yes" if cause.moves else ""]
        for i, cause in enumerate(made.ends.causes, 1)
    ]
    head = ("", "name", "A", "B", "known")
    return f"{table(head, rows, left=len(head))}\n\n{plan(made)}"


def planned(made: Prepared) -> dict[str, Any]:
    """Return the plan as JSON."""
    return {
        "causes": [_cause(each) for each in made.ends.causes],
        "beside": [each.document() for each in made.ends.beside],
        "most": made.most,
        "limit": made.limits.runs,
    }


def document(made: Prepared, found: Explanation) -> dict[str, Any]:
    """Return what was found as JSON."""
    answer, scale = found.answer, found.scale
    return {
        "found": found.found,
        "before": _outcome(Metric(value=scale.before)),
        "after": _outcome(scale.after),
        "noise": scale.noise,
        "tolerance": scale.band,
        "sets": [
            [_cause(cause) for cause in found.chosen(labels)]
            for labels in (answer.sets if answer else ())
        ],
        "without": None if answer is None else _outcome(found.outcomes[answer.without]),
        "smallest": sorted(found.smallest) if found.smallest else None,
        "runs": found.runs,
        "outcomes": [
            {"moved": sorted(moved), **_outcome(outcome)}
            for moved, outcome in sorted(
                found.outcomes.items(), key=lambda each: (len(each[0]), sorted(each[0]))
            )
        ],
        "beside": [each.document() for each in made.ends.beside],
    }


def text(made: Prepared, found: Explanation) -> str:
    """Return what was found, for people."""
    return "".join(f"{line}\n" for line in _lines(made, found))


def _lines(made: Prepared, found: Explanation) -> Iterator[str]:
    scale = found.scale
    if scale.noise:
        yield (
            f"the number moves by itself: repeats of A differ by {number(scale.noise)}; "
            f"less than {number(scale.band)} is no difference\n"
        )
    if found.answer is None:
        yield from _unexplained(made, found)
        return
    sets = [found.chosen(labels) for labels in found.answer.sets]
    how = ", each of these alone" if len(sets) > 1 else ", together" if len(sets[0]) > 1 else ""
    yield f"{_ends(found)}{how}: after {_count(found.runs, 'run')}\n"
    for causes in sets:
        yield from _parts(causes)
        yield ""
    yield from _table(found)
    yield from _rest(found)
    yield from _known(sets)
    yield from _hints(made, sets)


def _ends(found: Explanation) -> str:
    after = found.scale.after
    what = number(after.value) if isinstance(after, Metric) else "a failure"
    return f"what moves it from {number(found.scale.before)} to {what}"


def _parts(causes: Sequence[Cause]) -> Iterator[str]:
    for cause in causes:
        for part in cause.parts[:_NAMED]:
            name, before, after = _row(part)
            yield f"  {name} {before} → {after}"
        if len(cause.parts) > _NAMED:
            names = [part.name for part in cause.parts[_NAMED:]]
            yield f"  and {len(names)} that move with it: {', '.join(names)}"


def _table(found: Explanation) -> Iterator[str]:
    answer, scale = found.answer, found.scale
    if answer is None:
        return
    rows = [["A", _value(Metric(value=scale.before)), ""]]
    rows += [
        [f"A with {_names(labels)} of B", _value(found.outcomes[labels]), "sufficient"]
        for labels in answer.sets
    ]
    taken = frozenset[str]().union(*answer.sets)
    if answer.without:
        necessary = "necessary" if answer.explains else answer.rest.value
        rows.append(
            [f"B with {_names(taken)} of A", _value(found.outcomes[answer.without]), necessary]
        )
    rows.append(["B", _value(scale.after), ""])
    yield table(("environment", "number", ""), rows, left=1)


def _rest(found: Explanation) -> Iterator[str]:
    answer = found.answer
    if answer is None or answer.explains:
        return
    yield ""
    if answer.rest is Verdict.UNRESOLVED:
        yield "it is sufficient; whether it is necessary is not known: no number without it"
    else:
        yield "it is sufficient and not all: without it the number is neither A's nor B's"


def _unexplained(made: Prepared, found: Explanation) -> Iterator[str]:
    scale = found.scale
    if not scale.differs:
        before, after = number(scale.before), _value(scale.after)
        yield f"not explained: A gives {before} and B gives {after}, which is no difference here"
        yield "what can be installed and set on this machine does not move the number"
    else:
        yield f"not explained after {_count(found.runs, 'run')}, as many as --runs allows"
        if found.smallest and len(found.smallest) < len(found.causes):
            yield f"the smallest so far that moves it: {_names(found.smallest)}"
        yield "the outcomes are kept: go on with a larger --runs"
    yield from _beside(made.ends.beside)


def _known(sets: Sequence[Sequence[Cause]]) -> Iterator[str]:
    moves = [move for causes in sets for cause in causes for move in cause.moves]
    if moves:
        yield "\nknown changes of results between these versions"
        for move in moves:
            yield f"  {move.package} {move.version}: {move.what} ({move.source})"


def _hints(made: Prepared, sets: Sequence[Sequence[Cause]]) -> Iterator[str]:
    parts = [part for causes in sets for cause in causes for part in cause.parts]
    yield "\nto get either"
    yield from _typed("A", [(p, p.before) for p in parts], made.ends.before.word)
    yield from _typed("B", [(p, p.after) for p in parts], made.ends.after.word)


def _typed(side: str, parts: Sequence[tuple[Difference, str]], word: str) -> Iterator[str]:
    pins = [f"{p.name}=={version}" for p, version in parts if p.what == "package" and version]
    gone = [p.name for p, version in parts if p.what == "package" and not version]
    uv = "uv.lock" in word or not word.endswith((".txt", ".in", "poetry.lock"))
    if pins:
        words = [w for pin in pins for w in ("--upgrade-package", pin)]
        command = ["uv", "lock", *words] if uv else ["uv", "pip", "install", *pins]
        yield f"  {side}: {shlex.join(command)}"
    if gone:
        yield f"  {side}: without {', '.join(gone)}"
    for part, value in parts:
        if part.what == "variable":
            setting = f"export {part.name}={shlex.quote(value)}" if value else f"unset {part.name}"
            yield f"  {side}: {setting}"
        elif part.what == "python" and part.name == "version":
            yield f"  {side}: uv python pin {value}"


def _beside(found: Sequence[Difference]) -> Iterator[str]:
    if found:
        yield f"{_count(len(found), 'difference')} that can change results cannot be tried here:"
        for each in found[:_NAMED]:
            name, before, after = _row(each)
            yield f"  {name} ({each.kind}) {before} → {after}{_tried_so(each)}"
        if len(found) > _NAMED:
            yield f"  and {len(found) - _NAMED} more: lockstitch diff"


def _tried_so(each: Difference) -> str:
    """Return how a difference of machines can be tried on one."""
    if each.what == "blas" and each.name.startswith("openblas") and "kernels" in each.name:
        return f"; try --setting OPENBLAS_CORETYPE={each.before},{each.after}"
    if (each.what == "blas" and "threads" in each.name) or each.name == "cores":
        return f"; try --setting OMP_NUM_THREADS={each.before},{each.after}"
    return ""


# --- words


def _row(each: Difference) -> list[str]:
    name = each.name if each.what == "package" else f"{each.what} {each.name}"
    unset = "unset" if each.what == "variable" else "-"
    if each.kind == "other files":
        return [name, each.before, f"{each.after}, other files"]
    return [name, each.before or unset, each.after or unset]


def _names(labels: Mixture) -> str:
    names = sorted(labels)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _value(outcome: Outcome) -> str:
    return number(outcome.value) if isinstance(outcome, Metric) else outcome.reason


def _outcome(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Fails):
        return {"number": None, "failure": outcome.reason}
    # JSON has no nan.
    finite = abs(outcome.value) < float("inf")
    return {"number": outcome.value if finite else str(outcome.value), "failure": None}


def _cause(cause: Cause) -> list[dict[str, Any]]:
    return [each.document() for each in cause.parts]


def _count(number: int, what: str) -> str:
    plural = "es" if what.endswith("s") else "s"
    return f"{number} {what}{'' if number == 1 else plural}"
