"""The report of `lockstitch verify` as one page, made from its JSON."""

from collections.abc import Iterator, Mapping
from typing import Any

from lockstitch import webpage
from lockstitch.webpage import Raw

__all__ = ["render", "sections"]

Document = Mapping[str, Any]


def render(document: Document) -> str:
    """Return the page."""
    title = f"{document['project']}: is it the same everywhere?"
    head = Raw(f"<h1>{webpage.text(title)} {answer(document)}</h1>")
    return webpage.render(title, head, *sections(document))


def answer(document: Document) -> Raw:
    """Return yes or no."""
    return webpage.badge(*(("yes", "good") if document["holds"] else ("no", "bad")))


def sections(document: Document) -> Iterator[Raw]:
    """Yield the parts of the page, for this report and for those that include it."""
    if document["build"]:
        yield Raw("<h3>Images, built again in another world</h3>")
        yield from _build(document["build"])
    if document["against"]:
        yield Raw("<h3>Against the published image</h3>")
        yield from _against(document["against"])
    for name, found in document["trainings"].items():
        yield Raw(f"<h3>Training {webpage.code(name)}, again in other worlds</h3>")
        yield from _training(found)


def _state(*, equal: bool) -> Raw:
    return webpage.badge("same", "good") if equal else webpage.badge("differs", "bad")


def _build(found: Document) -> Iterator[Raw]:
    yield Raw(f"<p>Varied: {webpage.text(', '.join(found['varied']))}.</p>")
    rows = []
    for name, each in found["images"].items():
        same = each["here"] == each["there"]
        digests = each["here"] if same else f"{each['here']} {each['there']}"
        rows.append([name, _state(equal=same), webpage.code(digests)])
    yield webpage.table(["image", "", "digest"], rows)
    for what, names in (("Locks", found["locks"]), ("Planned layers", found["plans"])):
        if names:
            listed = ", ".join(map(webpage.code, names))
            yield Raw(f'<p class="bad">{what} that differ: {listed}</p>')
    if found["causes"]:
        yield Raw(f"<p>Cause: <b>{webpage.text(', '.join(found['causes']))}</b></p>")
    for name, differences in found["differences"].items():
        yield Raw(f"<h4>{webpage.code(name)}</h4>")
        yield _differences(differences)
    for note in found["notes"]:
        yield Raw(f'<p class="dim">{webpage.text(note)}</p>')


def _against(found: Document) -> Iterator[Raw]:
    rows = [
        ["here", found["image"], webpage.code(found["here"])],
        ["there", webpage.code(found["reference"]), webpage.code(found["there"])],
    ]
    yield webpage.table(["", "image", "digest"], rows)
    yield Raw(f"<p>{_state(equal=found['here'] == found['there'])}</p>")
    if found["differences"]:
        yield _differences(found["differences"])


def _differences(found: list[Document]) -> Raw:
    code = webpage.code
    rows = [
        [each["layer"], code(each["entry"]), each["what"], code(each["here"]), code(each["there"])]
        for each in found
    ]
    return webpage.table(["layer", "entry", "what", "here", "there"], rows)


def _training(found: Document) -> Iterator[Raw]:
    rows = []
    for each in found["variations"]:
        kind = "bad" if not each["holds"] else "good" if each["same_bytes"] else "warn"
        inside = [Raw(f"<p>{webpage.code(line)}</p>") for line in _moved(each)]
        more = webpage.details(f"{len(inside)} moved", *inside) if inside else ""
        said = webpage.badge(each["verdict"], kind)
        rows.append([each["name"], said, f"{each['seconds']:.1f} s", more])
    yield webpage.table(["variation", "", "took", "what moved"], rows, numbers=[2])
    outputs = [
        [webpage.code(name), each["read_as"], webpage.code(each["sha256"][:12]), each["problem"]]
        for name, each in found["outputs"].items()
    ]
    listed = webpage.table(["output", "read as", "sha256", "not read because"], outputs)
    yield webpage.details(f"{len(outputs)} outputs were compared", listed)


def _moved(each: Document) -> Iterator[str]:
    for moved in each["moved"]:
        largest = f" (by up to {moved['largest']:.1e})" if "largest" in moved else ""
        yield f"{moved['output']}: {', '.join(moved['parts']) or moved['what']}{largest}"
    for name, (one, other) in each["metrics"].items():
        yield f"{name}: {one} → {other}"
