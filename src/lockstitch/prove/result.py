"""What `lockstitch verify` found, as one value: for people, for programs, as a page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lockstitch import webpage
from lockstitch.prove.building import Compared
from lockstitch.prove.compare import Difference
from lockstitch.prove.training import Moved, Run, Trained

__all__ = ["SCHEMA", "Against", "Result", "document", "lines", "page"]

SCHEMA = 1
_SHOWN = 12  # hexadecimal digits of a digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """A build from this checkout against a published image."""

    image: str
    reference: str
    here: str
    there: str
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether both are the same image."""
        return self.here == self.there


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All that was looked at; what was not asked for is None or empty."""

    project: str
    tolerance: float
    build: Compared | None = None
    trainings: dict[str, tuple[Run, tuple[Trained, ...]]] = field(default_factory=dict)
    against: Against | None = None

    @property
    def holds(self) -> bool:
        """Whether the promise was kept everywhere."""
        trained = (each for _, found in self.trainings.values() for each in found)
        return (
            (self.build is None or self.build.equal)
            and (self.against is None or self.against.equal)
            and all(each.holds(self.tolerance) for each in trained)
        )


def lines(result: Result) -> Iterator[str]:
    """Yield the report for people."""
    if result.build:
        yield from _build(result.build)
    if result.against:
        yield from _against(result.against)
    for name, (first, found) in result.trainings.items():
        yield from _training(name, first, found, result.tolerance)


def _build(found: Compared) -> Iterator[str]:
    yield f"build, varied: {', '.join(found.varied)}"
    for image, (one, other) in found.digests.items():
        state = "same" if one == other else "DIFFERS"
        yield f"  {image:<12} {state:<8} {one[: 7 + _SHOWN]}" + (
            "" if one == other else f" here, {other[: 7 + _SHOWN]} there"
        )
    yield from (f"  lock         DIFFERS  {name}" for name in found.locks)
    yield from (f"  plan         DIFFERS  {title}" for title in found.plans)
    for image, differences in found.differences.items():
        yield from (f"  {image}: {each}" for each in differences)
    yield from (f"  cause: {cause}" for cause in found.causes)
    yield from (f"  {note}" for note in found.notes)


def _against(found: Against) -> Iterator[str]:
    yield f"{found.image} against {found.reference}"
    yield f"  {'same' if found.equal else 'DIFFERS'}: {found.here} here"
    if not found.equal:
        yield f"           {found.there} there"
    yield from (f"  {each}" for each in found.differences)


def _training(name: str, first: Run, found: tuple[Trained, ...], tolerance: float) -> Iterator[str]:
    yield f"training {name}: {len(first.outputs)} outputs, {len(first.metrics)} metrics"
    for each in found:
        yield f"  {each.variation:<26} {verdict(each, tolerance)}"
        for moved in each.moved:
            if moved.what != "bytes":
                yield f"    {_moved(moved)}"
        for metric, (one, other) in list(each.metrics.items())[:5]:
            yield f"    {metric}: {one} here, {other} there"
        if len(each.metrics) > 5:  # noqa: PLR2004 -- as many as are shown
            yield f"    and {len(each.metrics) - 5} more metrics"


def verdict(each: Trained, tolerance: float) -> str:
    """Return in a few words what a variation did."""
    if each.problem:
        return f"FAILED: {each.problem.splitlines()[0]}"
    if not each.moved and not each.metrics:
        return "same bytes"
    if each.means_the_same and not each.metrics:
        names = ", ".join(moved.output for moved in each.moved)
        return f"same meaning, other bytes: {names}"
    if each.holds(tolerance):
        return "same metrics, other last digits" if each.metrics else "same metrics, other bits"
    return "DIFFERS"


def _moved(moved: Moved) -> str:
    if moved.what in {"new", "missing"}:
        return f"{moved.output}: {moved.what}"
    largest = f", by up to {moved.largest:.1e}" if moved.largest else ""
    return f"{moved.output}: {', '.join(moved.parts)}{largest}"


def document(result: Result) -> dict[str, Any]:
    """Return the report for programs."""
    build = result.build
    return {
        "schema": SCHEMA,
        "project": result.project,
        "holds": result.holds,
        "tolerance": result.tolerance,
        "build": build
        and {
            "equal": build.equal,
            "varied": list(build.varied),
            "images": {
                name: {"here": one, "there": other} for name, (one, other) in build.digests.items()
            },
            "locks": list(build.locks),
            "plans": list(build.plans),
            "differences": {n: [_difference(e) for e in d] for n, d in build.differences.items()},
            "causes": list(build.causes),
            "notes": list(build.notes),
        },
        "against": result.against
        and {
            "image": result.against.image,
            "reference": result.against.reference,
            "here": result.against.here,
            "there": result.against.there,
            "differences": [_difference(each) for each in result.against.differences],
        },
        "trainings": {
            name: _trained(first, found, result.tolerance)
            for name, (first, found) in result.trainings.items()
        },
    }


def _difference(each: Difference) -> dict[str, str]:
    return {
        "layer": each.layer,
        "entry": each.entry,
        "what": each.what,
        "here": each.here,
        "there": each.there,
    }


def _trained(first: Run, found: tuple[Trained, ...], tolerance: float) -> dict[str, Any]:
    return {
        "metrics": dict(first.metrics),
        "outputs": {
            name: {"sha256": each.bytes, "read_as": each.how, "problem": each.problem}
            for name, each in first.outputs.items()
        },
        "variations": [
            {
                "name": each.variation,
                "holds": each.holds(tolerance),
                "verdict": verdict(each, tolerance),
                "hardware": each.hardware,
                "same_bytes": not each.moved and not each.metrics,
                "seconds": round(each.seconds, 2),
                "moved": [
                    {"output": m.output, "what": m.what, "parts": list(m.parts)}
                    | ({"largest": m.largest} if m.largest is not None else {})
                    for m in each.moved
                ],
                "metrics": {n: list(pair) for n, pair in each.metrics.items()},
                "problem": each.problem,
            }
            for each in found
        ],
    }


def page(document: Mapping[str, Any]) -> str:
    """Return the report as a page, from its JSON."""
    return webpage.render("prove/verify.html.j2", document=document)
