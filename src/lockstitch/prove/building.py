"""Builds images in another world and compares locks, plans, layers and digests."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci.layout import Layout
from lockstitch.progress import Reporter
from lockstitch.prove import environments
from lockstitch.prove.compare import Difference, Seen, compare
from lockstitch.prove.variation import BUILD, Variation, together
from lockstitch.python.model import Project

__all__ = ["Compared", "Outcome", "culprits", "here", "prove"]

_OTHER = "another world"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What locking and building gave in one world."""

    locks: dict[str, str]  # name: digest
    images: dict[str, dict[str, Any]]  # name: what `build --json` says of it
    layout: Layout
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One world against this one; `causes` are the variations that alone make a difference."""

    variation: str
    varied: tuple[str, ...]  # the names of all that was varied
    digests: dict[str, tuple[str, str]]  # image: here and there
    locks: tuple[str, ...]  # names of locks that have other bytes
    plans: tuple[str, ...]  # layers that were planned otherwise
    differences: dict[str, tuple[Difference, ...]]
    causes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether all is the same."""
        same = all(one == other for one, other in self.digests.values())
        return same and not self.locks and not self.plans


def here(project: Project, layout: Path, images: Sequence[str]) -> Outcome:
    """Return what stands here, built first where it is stale."""
    world = environments.World(root=project.root, env=environments.environment())
    return _build(world, layout, images, lock=False)


def prove(
    project: Project,
    first: Outcome,
    images: Sequence[str],
    progress: Reporter,
    *,
    keep: Path | None = None,
) -> Compared:
    """Build everything again with all variations at once; when it differs, with each alone."""
    chosen, notes = _possible()
    found = _once(project, first, images, together(chosen, _OTHER), progress, keep)
    causes: list[str] = []
    if not found.equal:

        def differs(some: tuple[Variation, ...]) -> bool:
            varied = together(some, ", ".join(each.name for each in some))
            return not _once(project, first, images, varied, progress, None).equal

        causes = list(culprits(chosen, differs))
    return Compared(
        variation=found.variation,
        varied=tuple(each.name for each in chosen),
        digests=found.digests,
        locks=found.locks,
        plans=found.plans,
        differences=found.differences,
        causes=tuple(causes),
        notes=(*notes, *found.notes),
    )


def culprits(
    variations: tuple[Variation, ...], differs: Callable[[tuple[Variation, ...]], bool]
) -> Iterator[str]:
    """Yield the name of each variation that makes a difference, in few tries.

    `differs` says whether some at once make one; that all do is known. One that alone does is
    found by halves and left out, and the rest is tried again.
    """
    rest, known = variations, True
    while rest and (known or differs(rest)):
        guilty = _halved(rest, differs)
        yield " with ".join(each.name for each in guilty)
        rest, known = tuple(each for each in rest if each not in guilty), False


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
    for each in BUILD:
        if not each.root_only:
            chosen.append(each)
        elif not root:
            notes.append(f"skipped: {each.name}: only root can be somebody else")
        elif not environments.entered_by(each.world["uid"]):
            notes.append(f"skipped: {each.name}: uid {each.world['uid']} may not run this Python")
        else:
            chosen.append(each)
    return tuple(chosen), notes


def _once(
    project: Project,
    first: Outcome,
    images: Sequence[str],
    variation: Variation,
    progress: Reporter,
    keep: Path | None,
) -> Compared:
    with tempfile.TemporaryDirectory(prefix="lockstitch-verify-") as name:
        scratch = Path(name)
        with progress.task(f"build in another world: {variation.name}", 0):
            world = environments.enter(project.root, variation, scratch / "world")
            layout = keep or scratch / "world" / "images"
            other = _build(world, layout, images, lock=variation.folder)
        return _compared(variation.name, first, other)


def _build(
    world: environments.World, layout: Path, images: Sequence[str], *, lock: bool
) -> Outcome:
    """Lock, when asked to, and build; raises LockstitchError with the words of what failed."""
    notes = []
    if lock:
        done = environments.lockstitch(world, ["lock", "--quiet"])
        if done.code != 0:  # an index that cannot be asked says nothing of the lock
            notes.append(f"locks were not made again: {_last(done.stderr)}")
    words = ["build", *images, "--json", "--layout", str(layout)]
    done = environments.lockstitch(world, words)
    if done.code != 0:
        message = f"the build in another world failed\n{done.stderr.strip()}"
        raise LockstitchError(message, hint="lockstitch build")
    found = {each["name"]: each for each in json.loads(done.stdout)}
    locks = sorted(p for p in world.root.iterdir() if _is_lock(p.name) and p.is_file())
    return Outcome(
        locks={path.name: str(of_bytes(path.read_bytes())) for path in locks},
        images=found,
        layout=Layout(layout),
        notes=tuple(notes),
    )


def _is_lock(name: str) -> bool:
    fixed = {"uv.lock", "poetry.lock", "lockstitch.lock", "requirements-lock.txt"}
    return name in fixed or (name.startswith("pylock.") and name.endswith(".toml"))


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("error")]
    return (lines or text.strip().splitlines() or [""])[0].removeprefix("error: ")


def _compared(name: str, first: Outcome, other: Outcome) -> Compared:
    digests, plans = {}, []
    differences: dict[str, tuple[Difference, ...]] = {}
    for image, one in first.images.items():
        two = other.images.get(image, {"digest": "", "plan": []})
        digests[image] = (str(one["digest"]), str(two["digest"]))
        planned = {each["key"] for each in two["plan"]}
        plans += [f"{image}: {p['title']}" for p in one["plan"] if p["key"] not in planned]
        if one["digest"] != two["digest"]:
            seen = Seen.in_layout(first.layout, image), Seen.in_layout(other.layout, image)
            differences[image] = tuple(compare(*seen))
    locks = [
        each
        for each in sorted({*first.locks, *other.locks})
        if first.locks.get(each) != other.locks.get(each)
    ]
    return Compared(
        variation=name,
        varied=(name,),
        digests=digests,
        locks=tuple(locks),
        plans=tuple(plans),
        differences=differences,
        notes=other.notes,
    )
