"""The result of `lockstitch verify`, as one value: for people, for programs, as a page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lockstitch import webpage
from lockstitch.errors import UsageError
from lockstitch.progress import Reporter
from lockstitch.prove import building, training
from lockstitch.prove.building import Against, Compared
from lockstitch.prove.training import OutputChange, Run, Trained
from lockstitch.python.model import Project
from lockstitch.values import field, frozen

SCHEMA = 1
_SHOWN = 12  # hexadecimal digits of a digest


@frozen
class Result:
    """All that was proved; what was not is None or empty."""

    project: str
    tolerance: float
    build: Compared | None = None
    trainings: dict[str, tuple[Run, tuple[Trained, ...]]] = field(default_factory=dict)
    against: Against | None = None

    @property
    def holds(self) -> bool:
        """Whether everything is the same."""
        trained = (result for _, results in self.trainings.values() for result in results)
        return (
            (self.build is None or self.build.equal)
            and (self.against is None or self.against.equal)
            and all(result.holds(self.tolerance) for result in trained)
        )


def verify(
    project: Project,
    images: Sequence[str],
    progress: Reporter,
    *,
    build: bool,
    train: bool,
    against: str,
    tolerance: float,
) -> Result:
    """Rebuild and retrain the images in varied environments, as far as `build` and `train` say.

    `against` is the reference of a published image that the only one of `images` is compared with,
    or "". Raises LockstitchError when a build or the first training fails.
    """
    compared = published = None
    if build or against:
        with progress.task("build here", 0):
            built = building.here(project, project.root / ".lockstitch" / "images", images)
        if build:
            compared = building.prove(project, built, images, progress)
        if against:
            with progress.task(f"read {against}", 0):
                published = building.with_published(built, images[0], against)
    trainings = {}
    for spec in [project.image(name) for name in images if train]:
        if spec.outputs:
            first, repeats = training.prove(project, spec, progress)
            trainings[spec.name] = (first, tuple(repeats))
    if train and not build and not trainings:
        message = f"none of {', '.join(images)} has `outputs`, so none trains"
        raise UsageError(message, hint='outputs = ["models"] in [tool.lockstitch.images.train]')
    return Result(
        project=project.name,
        tolerance=tolerance,
        build=compared,
        trainings=trainings,
        against=published,
    )


def lines(result: Result) -> Iterator[str]:
    """Yield the report for people."""
    if result.build:
        yield from _build(result.build)
    if result.against:
        yield from _against(result.against)
    for name, (first, results) in result.trainings.items():
        yield from _training(name, first, results, result.tolerance)


def _build(compared: Compared) -> Iterator[str]:
    yield f"build, varied: {', '.join(compared.varied)}"
    for image, digest in compared.images.items():
        one, other = digest["here"], digest["there"]
        state = "same" if one == other else "DIFFERS"
        yield f"  {image:<12} {state:<8} {one[: 7 + _SHOWN]}" + (
            "" if one == other else f" here, {other[: 7 + _SHOWN]} there"
        )
    yield from (f"  lock         DIFFERS  {name}" for name in compared.locks)
    yield from (f"  plan         DIFFERS  {title}" for title in compared.plans)
    for image, differences in compared.differences.items():
        yield from (f"  {image}: {difference}" for difference in differences)
    yield from (f"  cause: {cause}" for cause in compared.causes)
    yield from (f"  {note}" for note in compared.notes)


def _against(against: Against) -> Iterator[str]:
    yield f"{against.image} against {against.reference}"
    yield f"  {'same' if against.equal else 'DIFFERS'}: {against.here} here"
    if not against.equal:
        yield f"           {against.there} there"
    yield from (f"  {difference}" for difference in against.differences)


def _training(name: str, first: Run, runs: tuple[Trained, ...], tolerance: float) -> Iterator[str]:
    yield f"training {name}: {len(first.outputs)} outputs, {len(first.metrics)} metrics"
    for trained in runs:
        yield f"  {trained.variation:<26} {verdict(trained, tolerance)}"
        if trained.note and not trained.holds(tolerance):
            yield f"    {trained.note}"
        for change in trained.changes:
            if change.what != "bytes":
                yield f"    {_changed(change)}"
        for metric, (one, other) in list(trained.metrics.items())[:5]:
            yield f"    {metric}: {one} here, {other} there"
        if len(trained.metrics) > 5:
            yield f"    and {len(trained.metrics) - 5} more metrics"


def verdict(trained: Trained, tolerance: float) -> str:
    """Return in a few words what a variation changed."""
    if trained.problem:
        return f"FAILED: {trained.problem.splitlines()[0]}"
    if not trained.changes and not trained.metrics:
        return "same bytes"
    if trained.means_the_same and not trained.metrics:
        names = ", ".join(change.output for change in trained.changes)
        return f"same meaning, other bytes: {names}"
    if trained.holds(tolerance):
        return "same metrics, other last digits" if trained.metrics else "same metrics, other bits"
    return "DIFFERS"


def _changed(change: OutputChange) -> str:
    if change.what in {"new", "missing"}:
        return f"{change.output}: {change.what}"
    largest = f", by up to {change.largest:.1e}" if change.largest else ""
    return f"{change.output}: {', '.join(change.parts)}{largest}"


def document(result: Result) -> dict[str, Any]:
    """Return the report for programs."""
    build = result.build
    return {
        "schema": SCHEMA,
        "project": result.project,
        "holds": result.holds,
        "tolerance": result.tolerance,
        "build": build and {**asdict(build), "equal": build.equal},
        "against": result.against and asdict(result.against),
        # What was asked for, of which commit, and what was not proved: the command knows.
        "command": "lockstitch verify",
        "commit": {"commit": "", "state": "none"},
        "not_proved": [],
        "trainings": {
            name: _trained(first, results, result.tolerance)
            for name, (first, results) in result.trainings.items()
        },
    }


def _trained(first: Run, runs: tuple[Trained, ...], tolerance: float) -> dict[str, Any]:
    return {
        "metrics": dict(first.metrics),
        "outputs": {
            name: {"sha256": output.bytes, "read_as": output.how, "problem": output.problem}
            for name, output in first.outputs.items()
        },
        "variations": [
            {
                "name": trained.variation,
                "holds": trained.holds(tolerance),
                "verdict": verdict(trained, tolerance),
                "hardware": trained.hardware,
                "same_bytes": not trained.changes and not trained.metrics,
                "seconds": round(trained.seconds, 2),
                "moved": [
                    {"output": m.output, "what": m.what, "parts": list(m.parts)}
                    | ({"largest": m.largest} if m.largest is not None else {})
                    for m in trained.changes
                ],
                "metrics": {n: list(pair) for n, pair in trained.metrics.items()},
                "problem": trained.problem,
                "note": trained.note,
            }
            for trained in runs
        ],
    }


def page(document: Mapping[str, Any]) -> str:
    """Return the report as a page, from its JSON."""
    return webpage.render("prove/verify.html.j2", document=document)
