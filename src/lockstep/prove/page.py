"""The report of `lockstep verify` as one page."""

from collections.abc import Iterator

from lockstep import webpage
from lockstep.prove.building import Compared
from lockstep.prove.compare import Difference
from lockstep.prove.result import Against, Result, verdict
from lockstep.prove.training import Run, Trained
from lockstep.webpage import Raw

__all__ = ["render", "sections"]


def render(result: Result) -> str:
    """Return the page."""
    title = f"{result.project}: is it the same everywhere?"
    answer = webpage.badge(*(("yes", "good") if result.holds else ("no", "bad")))
    return webpage.render(title, Raw(f"<h1>{title} {answer}</h1>"), *sections(result))


def sections(result: Result) -> Iterator[Raw]:
    """Yield the parts of the page, for this report and for those that include it."""
    if result.build:
        yield Raw("<h2>Images, built again in another world</h2>")
        yield from _build(result.build)
    if result.against:
        yield Raw("<h2>Against the published image</h2>")
        yield from _against(result.against)
    for name, (first, found) in result.trainings.items():
        yield Raw(f"<h2>Training {webpage.code(name)}, again in other worlds</h2>")
        yield from _training(first, found, result.tolerance)


def _state(*, equal: bool) -> Raw:
    return webpage.badge("same", "good") if equal else webpage.badge("differs", "bad")


def _build(found: Compared) -> Iterator[Raw]:
    yield Raw(f"<p>Varied: {', '.join(found.varied)}.</p>")
    rows = [
        [name, _state(equal=one == other), webpage.code(one if one == other else f"{one} {other}")]
        for name, (one, other) in found.digests.items()
    ]
    yield webpage.table(["image", "", "digest"], rows)
    for what, names in (("Locks", found.locks), ("Planned layers", found.plans)):
        if names:
            yield Raw(f"<p class=bad>{what} that differ: {', '.join(map(webpage.code, names))}</p>")
    if found.causes:
        yield Raw(f"<p>Cause: <b>{', '.join(map(str, found.causes))}</b></p>")
    for name, differences in found.differences.items():
        yield Raw(f"<h3>{webpage.code(name)}</h3>")
        yield _differences(differences)
    for note in found.notes:
        yield Raw(f"<p class=dim>{webpage.code(note)}</p>")


def _against(found: Against) -> Iterator[Raw]:
    rows = [
        ["here", found.image, webpage.code(found.here)],
        ["there", webpage.code(found.reference), webpage.code(found.there)],
    ]
    yield webpage.table(["", "image", "digest"], rows)
    yield Raw(f"<p>{_state(equal=found.equal)}</p>")
    if found.differences:
        yield _differences(found.differences)


def _differences(found: tuple[Difference, ...]) -> Raw:
    rows = [
        [
            each.layer,
            webpage.code(each.entry),
            each.what,
            webpage.code(each.here),
            webpage.code(each.there),
        ]
        for each in found
    ]
    return webpage.table(["layer", "entry", "what", "here", "there"], rows)


def _training(first: Run, found: tuple[Trained, ...], tolerance: float) -> Iterator[Raw]:
    rows = []
    for each in found:
        kind = "good" if each.holds(tolerance) else "bad"
        kind = "warn" if kind == "good" and (each.moved or each.metrics) else kind
        moved = [
            f"{m.output}: {', '.join(m.parts) or m.what}"
            + (f" (by up to {m.largest:.1e})" if m.largest else "")
            for m in each.moved
        ]
        changed = [f"{n}: {a} → {b}" for n, (a, b) in each.metrics.items()]
        inside = [Raw(f"<p>{webpage.code(text)}</p>") for text in (*moved, *changed)]
        more = webpage.details(f"{len(inside)} moved", *inside) if inside else ""
        said = webpage.badge(verdict(each, tolerance), kind)
        rows.append([each.variation, said, f"{each.seconds:.1f} s", more])
    yield webpage.table(["variation", "", "took", "what moved"], rows, numbers=[2])
    outputs = [
        [webpage.code(name), each.how, webpage.code(each.bytes[:12]), each.problem]
        for name, each in first.outputs.items()
    ]
    listed = webpage.table(["output", "read as", "sha256", "not read because"], outputs)
    yield webpage.details(f"{len(outputs)} outputs were compared", listed)
