"""The page of `lockstitch report`: its content is gathered here, its form is `report.html.j2`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstitch import git, webpage
from lockstitch.audit import engine, rules, settings
from lockstitch.audit.engine import Report
from lockstitch.audit.rule import Page
from lockstitch.digest import of_bytes
from lockstitch.drift import source
from lockstitch.drift.compare import Difference
from lockstitch.drift.source import Context
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.image.assemble import reference
from lockstitch.lock import file as lock_file
from lockstitch.lock import manager
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Platform
from lockstitch.progress import Reporter
from lockstitch.python.model import ImageSpec, Project
from lockstitch.report import treemap
from lockstitch.report.sizes import Sized, sized
from lockstitch.repository.files import open_repository
from lockstitch.store import Store
from lockstitch.values import field, frozen

_SHOWN = 15  # packages of an image that are not folded away


@frozen
class Drift:
    """One comparison of environments: its differences, or why there is none."""

    title: str
    differences: Sequence[Difference] = ()
    missing: str = ""


@frozen
class Content:
    """All that the page shows."""

    project: str
    version: str
    revision: str  # of git; empty where there is none
    images: Sequence[Sized]
    date: str = ""  # of that commit
    dirty: bool = False  # whether files differ from it
    budgets: Mapping[str, int] = field(default_factory=dict)
    absent: Sequence[str] = ()  # images that were not built
    drifts: Sequence[Drift] = ()
    checked: Report | None = None
    verified: Mapping[str, Any] | None = None  # the document of the last `lockstitch verify`


def gather(project: Project, store: Store, progress: Reporter, since: str) -> Content:
    """Return the page's facts of a project; its lock is compared with the git revision `since`.

    Raises UsageError for an unknown revision, LockstitchError when a built image is damaged or the
    project's settings are wrong.
    """
    if since != "HEAD" and git.revision(project.root, since) is None:
        message = f"`{since}` is no revision of this repository"
        raise UsageError(message, hint="git log --oneline names some")
    kept = project.root / ".lockstitch"
    layout = Layout(kept / "images")
    images = []
    for name in layout.names():
        with progress.task(f"measure {name}", 0):
            own = f"{project.name} {project.version}"
            images.append(sized(layout, name, store, kept / "history.json", own))
    specs = _specs(project)
    with progress.task("compare environments", 0):
        drifts = tuple(_drifts(project, since))
    with progress.task("check", 0):
        checked = _checked(project.root)
    return Content(
        project=project.name,
        version=project.version,
        revision=_git(project.root, "rev-parse", "--short=12", "HEAD"),
        date=_git(project.root, "log", "-1", "--format=%cs"),
        dirty=bool(_git(project.root, "status", "--porcelain", "--untracked-files=no")),
        images=images,
        absent=[name for name in specs if name not in layout.names()],
        budgets={name: spec.budget for name, spec in specs.items()},
        drifts=drifts,
        checked=checked,
        verified=_verified(kept / "verify.json", project.root / lock_file.NAME),
    )


def _specs(project: Project) -> dict[str, ImageSpec]:
    """Return the project's images by the names that they have in a layout."""
    platforms = [Platform.parse(platform) for platform in project.platforms]
    return {
        reference(spec, platform, project): spec
        for spec in project.images
        for platform in platforms
    }


def _drifts(project: Project, since: str) -> Iterator[Drift]:
    lock = manager.of(project).locks(project)[0]
    context = Context(folder=project.root, project=project)
    title = f"Lock since {since}"
    if git.revision(project.root, since):
        yield _drift(title, f"{lock}@{since}", lock, context)
    else:  # `gather` refuses any other revision that there is not
        yield Drift(title=title, missing="there is no commit")
    title = "Environment .venv against the lock"
    if (project.root / ".venv").is_dir():
        yield _drift(title, lock, ".venv", context)
    else:
        yield Drift(title=title, missing="there is no .venv here")
    records = [spec.record for spec in project.images if spec.record]
    serving = [spec.name for spec in project.images if spec.port]
    record = next((record for record in records if (project.root / record).is_file()), "")
    if record and serving:
        yield _drift(f"Training against the image {serving[0]}", record, serving[0], context)


def _drift(title: str, before: str, after: str, context: Context) -> Drift:
    try:
        both = [source.read_whole(word, context) for word in (before, after)]
        differences = source.differences(both[0], both[1], context)
    except LockstitchError as error:
        return Drift(title=title, missing=error.message.splitlines()[0])
    return Drift(title=title, differences=tuple(differences))


def _checked(root: Path) -> Report:
    own = settings.load(root, rules.codes())
    repo = open_repository(root, exclude=own.exclude)
    return engine.audit(repo, settings.chosen(rules.RULES, own), own, rules.codes())


def _git(root: Path, *words: str) -> str:
    """Return git's output in a folder; empty outside of a repository and without git."""
    try:
        done = git.run(root, *words, check=False)
    except LockstitchError:
        return ""
    return done.stdout.strip() if done.code == 0 else ""


def _verified(path: Path, lock: Path) -> dict[str, Any] | None:
    """Return what the last `lockstitch verify` wrote of this lock, or None."""
    try:
        document, now = json.loads(path.read_bytes()), of_bytes(lock.read_bytes())
    except (OSError, ValueError):
        return None
    known = isinstance(document, dict) and document.get("schema") == 1
    known = known and document.get("lock") == now
    return document if known else None


def render(content: Content) -> str:
    """Return the page as HTML."""
    now = {image.name: image.digest for image in content.images}
    build = (content.verified or {}).get("build") or {}
    then = {name: image["here"] for name, image in build.get("images", {}).items()}
    codes = sorted(
        {finding.code for finding in content.checked.findings} if content.checked else ()
    )
    problems = [
        *(f"{i.name} is over its budget" for i in content.images if _is_large(i, content)),
        *(
            f"{drift.title}: differences that can change results"
            for drift in content.drifts
            if any(difference.effect.matters for difference in drift.differences)
        ),
        *(
            [f"check: {len(content.checked.findings)} findings"]
            if codes and content.checked
            else ()
        ),
        *(["verify: not the same"] if content.verified and not content.verified["holds"] else ()),
    ]
    return webpage.render(
        "report/report.html.j2",
        problems=problems,
        colours=treemap.COLOURS,
        rules=[(code, Page.of(rules.by_code(code))) for code in codes],
        title=f"{content.project} {content.version}".strip(),
        content=content,
        images=[_image(image, content.budgets.get(image.name, 0)) for image in content.images],
        comparisons=[_comparison(drift) for drift in content.drifts],
        older=sorted(name for name, digest in then.items() if now.get(name, digest) != digest),
    )


def _is_large(image: Sized, content: Content) -> bool:
    budget = content.budgets.get(image.name, 0)
    return bool(budget) and image.unpacked > budget


def _image(image: Sized, budget: int) -> dict[str, object]:
    packages = sorted(image.now.items(), key=lambda pair: (-pair[1], pair[0]))
    label = f"sizes of layers and packages of {image.name}"
    groups = image.groups()
    boxes = list(treemap.boxes(groups))
    return {
        "name": image.name,
        "digest": image.digest,
        "unpacked": image.unpacked,
        "packed": image.packed,
        "layers": len(image.layers),
        "budget": budget,
        "too_large": bool(budget) and image.unpacked > budget,
        "growth": image.growth,
        "treemap": (label, boxes, treemap.WIDTH, treemap.HEIGHT),
        "layer_maps": [
            (rank, f"sizes of {group.name}", list(treemap.boxes([group])))
            for rank, group in enumerate(treemap.ordered(groups))
        ],
        "changed": image.changed(),
        "largest": packages[:_SHOWN],
        "smaller": packages[_SHOWN:],
    }


def _comparison(drift: Drift) -> dict[str, object]:
    return {
        "title": drift.title,
        "missing": drift.missing,
        "strong": [difference for difference in drift.differences if difference.effect.matters],
        "rest": [difference for difference in drift.differences if not difference.effect.matters],
    }


def document(content: Content) -> dict[str, Any]:
    """Return the page's summary, for programs."""
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
                "differences": [difference.document() for difference in drift.differences],
            }
            for drift in content.drifts
        ],
        "findings": len(content.checked.findings) if content.checked else None,
        "verified": content.verified["holds"] if content.verified else None,
    }
