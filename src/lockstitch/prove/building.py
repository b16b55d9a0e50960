"""Rebuilds images in a varied environment and compares locks, plans, layers and digests."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Platform
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.repository import Repository
from lockstitch.progress import Reporter
from lockstitch.prove import variations
from lockstitch.prove.compare import ImageDifference, Seen, compare
from lockstitch.prove.variations import Environment, Variation, together
from lockstitch.python.model import Project
from lockstitch.values import frozen, replace


@frozen
class Built:
    """The locks and images of one environment."""

    locks: dict[str, str]  # name: digest
    images: dict[str, dict[str, Any]]  # name: its entry in the JSON of `build`
    layout: Layout
    notes: tuple[str, ...] = ()


@frozen
class Compared:
    """A varied environment against this one; `causes` are the variations that change something."""

    images: dict[str, dict[str, str]]  # by name the digest `here` and `there`
    locks: tuple[str, ...]  # names of locks that have other bytes
    plans: tuple[str, ...]  # layers that were planned otherwise
    differences: dict[str, tuple[ImageDifference, ...]]
    varied: tuple[str, ...] = ()  # the names of the variations
    causes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether all is the same."""
        same = all(digest["here"] == digest["there"] for digest in self.images.values())
        return same and not self.locks and not self.plans


@frozen
class Against:
    """A build of this checkout against a published image."""

    image: str
    reference: str
    here: str
    there: str
    differences: tuple[ImageDifference, ...]

    @property
    def equal(self) -> bool:
        """Whether both are the same image."""
        return self.here == self.there


def here(project: Project, layout: Path, images: Sequence[str]) -> Built:
    """Return the images, rebuilt where stale; raises LockstitchError when a build fails."""
    return _build(variations.here(project.root), layout, images, lock=False)


def prove(project: Project, first: Built, images: Sequence[str], progress: Reporter) -> Compared:
    """Rebuild all with all variations, then find those that matter; raises LockstitchError."""

    def rebuilt(some: Sequence[Variation], name: str) -> Compared:
        with tempfile.TemporaryDirectory(prefix="lockstitch-verify-") as folder:
            scratch = Path(folder, "varied")
            with progress.task(f"rebuild, varied: {name}", 0):
                variation = together(some, name)
                varied = variations.varied(project.root, variation, scratch)
                other = _build(varied, scratch / "images", images, lock=variation.folder)
            return _compared(first, other)

    def differs(some: tuple[Variation, ...]) -> bool:
        return not rebuilt(some, ", ".join(variation.name for variation in some) or "nothing").equal

    chosen, notes = _possible()
    result = rebuilt(chosen, "all variations")
    return replace(
        result,
        varied=tuple(variation.name for variation in chosen),
        causes=() if result.equal else tuple(culprits(chosen, differs)),
        notes=(*notes, *result.notes),
    )


def culprits(
    suspects: tuple[Variation, ...], differs: Callable[[tuple[Variation, ...]], bool]
) -> Iterator[str]:
    """Yield the name of each variation that changes something, in few tries.

    `differs` returns whether some variations at once change something; all of them did. Where
    nothing is varied and something changes, or what changed it once does not again, it is chance:
    that is `repeat`, and nothing else is named. One that does so alone is found by halves and left
    out, and the rest is tried again.
    """
    if differs(()):
        yield "repeat"
        return
    rest, known = suspects, True
    while rest and (known or differs(rest)):
        guilty = _halved(rest, differs)
        if not differs(guilty):
            yield "repeat"
            return
        yield " with ".join(variation.name for variation in guilty)
        rest, known = tuple(variation for variation in rest if variation not in guilty), False


def _halved(
    suspects: tuple[Variation, ...], differs: Callable[[tuple[Variation, ...]], bool]
) -> tuple[Variation, ...]:
    """Return the fewest of some guilty variations that halving finds; several act together."""
    while len(suspects) > 1:
        middle = (len(suspects) + 1) // 2
        first, second = suspects[:middle], suspects[middle:]
        if differs(first):
            suspects = first
        elif differs(second):
            suspects = second
        else:
            return suspects
    return suspects


def _possible() -> tuple[tuple[Variation, ...], list[str]]:
    """Return the variations that this machine allows, and why not the others."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    chosen, notes = [], []
    for variation in variations.of_build():
        if variation.root_only and not root:
            notes.append(f"skipped: {variation.name}: only root can be another user")
        elif variation.root_only and not variations.user_can_run(variation.process["uid"]):
            uid = variation.process["uid"]
            notes.append(f"skipped: {variation.name}: uid {uid} may not run this Python")
        else:
            chosen.append(variation)
    return tuple(chosen), notes


def _build(environment: Environment, layout: Path, images: Sequence[str], *, lock: bool) -> Built:
    """Build, and lock before it when `lock` is set; raise LockstitchError with what failed."""
    notes = []
    if lock:
        done = variations.lockstitch(environment, ["lock", "--quiet"])
        if done.code != 0:  # an index that is not reached proves nothing of the lock
            notes.append(f"locks were not compared: {_last(done.stderr)}")
    words = ["build", *images, "--json", "--layout", str(layout)]
    done = variations.lockstitch(environment, words)
    if done.code != 0:
        raise LockstitchError(f"the build failed\n{done.stderr.strip()}", hint="lockstitch build")
    locks = sorted(p for p in environment.root.iterdir() if _is_lock(p.name) and p.is_file())
    return Built(
        locks={path.name: str(of_bytes(path.read_bytes())) for path in locks},
        images={image["name"]: image for image in json.loads(done.stdout)},
        layout=Layout(layout),
        notes=tuple(notes),
    )


def _is_lock(name: str) -> bool:
    fixed = {"uv.lock", "poetry.lock", "lockstitch.lock", "requirements-lock.txt"}
    return name in fixed or (name.startswith("pylock.") and name.endswith(".toml"))


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("error")]
    return (lines or text.strip().splitlines() or [""])[0].removeprefix("error: ")


def _compared(first: Built, other: Built) -> Compared:
    images, plans = {}, []
    differences: dict[str, tuple[ImageDifference, ...]] = {}
    for image, one in first.images.items():
        two = other.images.get(image, {"digest": "", "plan": []})
        images[image] = {"here": str(one["digest"]), "there": str(two["digest"])}
        planned = {layer["key"] for layer in two["plan"]}
        plans += [f"{image}: {p['title']}" for p in one["plan"] if p["key"] not in planned]
        if one["digest"] != two["digest"]:
            seen = Seen.in_layout(first.layout, image), Seen.in_layout(other.layout, image)
            differences[image] = tuple(compare(*seen))
    locks = sorted({*first.locks, *other.locks})
    return Compared(
        images=images,
        locks=tuple(lock for lock in locks if first.locks.get(lock) != other.locks.get(lock)),
        plans=tuple(plans),
        differences=differences,
        notes=other.notes,
    )


# --- a published image


def with_published(built: Built, image: str, reference: str) -> Against:
    """Return an image that was built here against a published one.

    `reference` is a registry's, or `LAYOUT:NAME` for a folder of this machine. Layers are read only
    when the digests differ. Raises LockstitchError when there is no such image.
    """
    (name,) = [key for key in built.images if key == image or key.startswith(f"{image}-")][:1]
    here = Seen.in_layout(built.layout, name)
    there = _published(reference, Platform.parse(str(built.images[name]["platform"])))
    return Against(
        image=name,
        reference=reference,
        here=str(here.digest),
        there=str(there.digest),
        differences=tuple(compare(here, there)),
    )


def _published(reference: str, platform: Platform) -> Seen:
    folder, _, name = reference.rpartition(":")
    if folder and (Path(folder) / "oci-layout").is_file():
        return Seen.in_layout(Layout(Path(folder)), name)
    parsed = Reference.parse(reference)
    repository = Repository(Client(), parsed)
    return Seen.of_source(repository, repository.image(parsed.which, platform))
