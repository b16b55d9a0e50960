"""The page of `lockstitch report`: what is known, in the order in which one asks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockstitch import webpage
from lockstitch.audit.engine import Report
from lockstitch.drift.compare import Difference
from lockstitch.prove import page as prove_page
from lockstitch.report.sizes import Sized, mb
from lockstitch.report.treemap import draw
from lockstitch.webpage import Raw

__all__ = ["Content", "Drift", "document", "render"]

_SHOWN = 15  # packages of an image that are not folded away


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A comparison: what of, and what it found; or why there is none."""

    title: str
    differences: Sequence[Difference] = ()
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All that the page shows."""

    project: str
    version: str
    revision: str  # of git; empty where there is none
    images: Sequence[Sized]
    budgets: Mapping[str, int] = field(default_factory=dict)
    absent: Sequence[str] = ()  # images that were not built
    drifts: Sequence[Drift] = ()
    checked: Report | None = None
    verified: Mapping[str, Any] | None = None  # the document of the last `lockstitch verify`


def render(content: Content) -> str:
    """Return the page."""
    title = f"{content.project} {content.version}".strip()
    revision = f" at {content.revision}" if content.revision else ""
    head = Raw(f'<h1>{webpage.text(title)}</h1><p class="dim">the environment{revision}</p>')
    return webpage.render(title, head, _summary(content), *_body(content))


def document(content: Content) -> dict[str, Any]:
    """Return what the page sums up, for programs."""
    return {
        "project": content.project,
        "revision": content.revision,
        "images": [
            {
                "name": image.name,
                "digest": image.digest,
                "unpacked": image.unpacked,
                "compressed": image.packed,
                "before": None if image.before is None else sum(image.before.values()),
            }
            for image in content.images
        ],
        "drift": [
            {
                "title": drift.title,
                "missing": drift.missing,
                "differences": [each.document() for each in drift.differences],
            }
            for drift in content.drifts
        ],
        "findings": len(content.checked.findings) if content.checked else None,
        "verified": content.verified["holds"] if content.verified else None,
    }


def _body(content: Content) -> Iterator[Raw]:
    for image in content.images:
        yield from _image(image, content.budgets.get(image.name, 0))
    for name in content.absent:
        how = webpage.code(f"lockstitch build {name}")
        yield Raw(f"<h2>{webpage.code(name)}</h2><p>Not built: {how}</p>")
    for drift in content.drifts:
        yield from _drift(drift)
    if content.checked:
        yield from _checked(content.checked)
    yield Raw("<h2>Verification</h2>")
    if content.verified:
        yield from _verified(content)
    else:
        yield Raw(f"<p>Not done here: {webpage.code('lockstitch verify')}</p>")


def _summary(content: Content) -> Raw:
    rows: list[list[object]] = []
    for image in content.images:
        budget = content.budgets.get(image.name, 0)
        kind = "bad" if budget and image.unpacked > budget else "good"
        said = webpage.badge(mb(image.unpacked), kind)
        rows.append([f"image {image.name}", said, _growth(image) or "no other build is known"])
    for drift in content.drifts:
        matter = [each for each in drift.differences if each.effect.matters]
        kind = "dim" if drift.missing else "warn" if matter else "good"
        words = drift.missing or f"{len(matter)} that can change results"
        rest = len(drift.differences) - len(matter)
        others = f"and {webpage.amount(rest, 'other')}" if rest else ""
        rows.append([drift.title, webpage.badge(words, kind), others])
    if content.checked:
        found = len(content.checked.findings)
        kind = "bad" if found else "good"
        skips = len(content.checked.skips)
        skipped = f"{webpage.amount(skips, 'rule')} skipped" if skips else ""
        rows.append(["check", webpage.badge(webpage.amount(found, "finding"), kind), skipped])
    if content.verified:
        rows.append(["verified", prove_page.answer(content.verified), ""])
    return webpage.table(["", "", ""], rows)


def _growth(image: Sized) -> str:
    if image.before is None:
        return ""
    change = image.unpacked - sum(image.before.values())
    if not change:
        return f"as large as {image.before_digest[7:19]}, the build before"
    more = "more" if change > 0 else "less"
    return f"{mb(abs(change))} {more} than {image.before_digest[7:19]}, the build before"


def _image(image: Sized, budget: int) -> Iterator[Raw]:
    yield Raw(f"<h2>Image {webpage.code(image.name)}</h2>")
    limit = f" of {mb(budget)} allowed" if budget else ""
    text = f"{mb(image.unpacked)} unpacked{limit}, {mb(image.packed)} compressed, "
    text += f"{len(image.layers)} layers. {_growth(image)}"
    yield Raw(f"<p>{webpage.text(text)}<br>{webpage.code(image.digest)}</p>")
    drawn = draw(image.groups(), f"sizes of layers and packages of {image.name}")
    yield webpage.picture(drawn)
    yield Raw(
        '<p class="dim">Area is size unpacked; frames are layers. Orange is new, red has grown, '
        "green has shrunk since the build before.</p>"
    )
    moved = image.changed()
    if moved:
        rows = [[name, mb(a), mb(b), _signed(b - a)] for name, a, b in moved]
        yield webpage.table(["moved", "before", "now", "change"], rows, numbers=[1, 2, 3])
    ordered = sorted(image.now.items(), key=lambda pair: (-pair[1], pair[0]))
    rows = [[name, mb(size), f"{size / image.unpacked:.1%}"] for name, size in ordered]
    head = ["package", "unpacked", "share"]
    yield webpage.table(head, rows[:_SHOWN], numbers=[1, 2])
    if rows[_SHOWN:]:
        more = webpage.table(head, rows[_SHOWN:], numbers=[1, 2])
        yield webpage.details(f"{len(rows) - _SHOWN} smaller ones", more)


def _signed(change: int) -> str:
    return f"{'+' if change > 0 else '−'}{mb(abs(change))}"


def _drift(drift: Drift) -> Iterator[Raw]:
    yield Raw(f"<h2>{webpage.text(drift.title)}</h2>")
    if drift.missing:
        yield Raw(f"<p>{webpage.text(drift.missing)}</p>")
        return
    matter = [each for each in drift.differences if each.effect.matters]
    rest = [each for each in drift.differences if not each.effect.matters]
    if not drift.differences:
        yield Raw("<p>Nothing differs.</p>")
    if matter:
        yield Raw("<p>Can change results:</p>")
        yield _differences(matter)
    if rest:
        yield webpage.details(f"{len(rest)} that change no results", _differences(rest))


def _differences(found: Sequence[Difference]) -> Raw:
    rows = []
    for each in found:
        why = [Raw(f"<p>{webpage.text(move.what)}</p>") for move in each.moves]
        note = webpage.details(f"{len(why)} known changes", *why) if why else ""
        used = {True: "imported by the training", False: "not imported", None: ""}[each.imported]
        asked = "direct" if each.direct else ", ".join(each.by[:3])
        rows.append([each.name, each.kind, each.before, each.after, used, asked, note])
    head = ["what", "", "before", "after", "training", "asked for by", ""]
    return webpage.table(head, rows)


def _checked(report: Report) -> Iterator[Raw]:
    yield Raw("<h2>Check</h2>")
    rows = [
        [
            webpage.badge(each.code, "bad" if each.severity == "error" else "warn"),
            webpage.code(each.place),
            each.message,
            webpage.text(each.hint),
        ]
        for each in report.findings
    ]
    if rows:
        yield webpage.table(["rule", "where", "what is so", "what to do"], rows)
    else:
        yield Raw(f"<p>Nothing found by {len(report.rules)} rules in {report.files} files.</p>")
    skipped = [[each.code, each.reason] for each in report.skips]
    if skipped:
        listed = webpage.table(["rule", "could not look"], skipped)
        yield webpage.details(f"{len(skipped)} rules were skipped", listed)


def _verified(content: Content) -> Iterator[Raw]:
    document = content.verified or {}
    now = {image.name: image.digest for image in content.images}
    images = (document["build"] or {}).get("images", {})
    then = {name: each["here"] for name, each in images.items()}
    old = sorted(name for name, digest in then.items() if now.get(name, digest) != digest)
    if old:
        names = ", ".join(old)
        yield Raw(f'<p class="warn">Of builds before these: {webpage.text(names)}</p>')
    yield from prove_page.sections(document)
