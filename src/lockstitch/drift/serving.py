"""Compares the runs that made a model with the image that will serve it.

The image holds what its lock says, so nothing has to be built for the comparison.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lockstitch import files
from lockstitch.digest import Digest, of_bytes
from lockstitch.drift import compare
from lockstitch.drift.compare import Difference
from lockstitch.drift.effects import Effect
from lockstitch.errors import LockstitchError
from lockstitch.fingerprint import locks, wheels
from lockstitch.fingerprint.model import Fingerprint, Python, System
from lockstitch.lock.file import Lock, pylock_name
from lockstitch.python.model import ImageSpec, Project
from lockstitch.run import record
from lockstitch.run.record import RunRecord
from lockstitch.store import Store

__all__ = ["Drift", "check", "found"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference between the run that made a file and the image that holds the file."""

    image: str
    path: str  # the file
    difference: Difference

    @property
    def name(self) -> str:
        """What `--allow-drift` calls it: the package, or `python`."""
        return self.difference.name if self.difference.what == "package" else "python"

    @property
    def refused(self) -> bool:
        """Whether the build ends; a patch release of Python is only said."""
        each = self.difference
        if each.what == "python":
            return _minor(each.before) != _minor(each.after)
        return True

    def __str__(self) -> str:
        """Say it in one sentence, for a warning, an error and a label."""
        each = self.difference
        if each.kind == "edited":
            what = f"`{each.name}` was edited when it trained `{self.path}`: {each.before}"
            return f"{what}; `{self.image}` has it {each.after}"
        if each.kind == "other files":
            return (
                f"`{each.name} {each.before}` that trained `{self.path}` has other files than "
                f"the one in `{self.image}`"
            )
        return f"`{self.name}` {each.before} trained `{self.path}`, `{self.image}` has {each.after}"


def check(drifts: Sequence[Drift], allowed: Sequence[str]) -> list[Drift]:
    """Return what is allowed or only worth saying; raise LockstitchError for each of the others."""
    refused = [each for each in drifts if each.refused and each.name not in allowed]
    if not refused:
        return list(drifts)
    errors = []
    for each in refused:
        notes = "".join(f"\n{m.package} {m.version}: {m.what}" for m in each.difference.moves)
        hint = f"train with the lock as it is (lockstitch run), or go on: --allow-drift {each.name}"
        errors.append(LockstitchError(f"{each}{notes}", hint=hint))
    raise LockstitchError(errors[0].message, hint=errors[0].hint, also=errors[1:])


def found(
    project: Project, lock: Lock, spec: ImageSpec, platform: str, store: Store
) -> tuple[list[Drift], list[str]]:
    """Return what differs for each recorded file that an image includes, and what to say.

    Packages that only one of them has are no difference: serving needs fewer.
    """
    included = {each.name: each.path for each in files.find_files(project.root, spec.include)}
    drifts: dict[tuple[str, str], Drift] = {}
    notes = []
    for made in _records(project):
        mine = sorted(name for name in made.outputs if name in included)
        same = [name for name in mine if _digest(included[name]) == made.outputs[name]]
        changed = sorted({*mine} - {*same})
        notes += [
            f"`{name}` is not the file that the run of `{made.task}` wrote" for name in changed
        ]
        if not same:
            continue
        model = max(same, key=lambda name: (included[name].stat().st_size, name))
        image = _image(project, lock, spec, platform, store, made.fingerprint)
        for each in _differences(made.fingerprint, image):
            drift = Drift(image=spec.name, path=model, difference=each)
            drifts.setdefault((drift.name, each.kind), drift)
    return list(drifts.values()), notes


def _records(project: Project) -> Iterator[RunRecord]:
    for spec in project.images:
        path = project.root / spec.record
        if spec.record and path.is_file():
            yield record.read(path)


def _digest(path: Path) -> Digest:
    with path.open("rb") as handle:
        return of_bytes(iter(lambda: handle.read(1 << 20), b""))


def _differences(trained: Fingerprint, served: Fingerprint) -> Iterator[Difference]:
    for each in compare.between(trained, served):
        both = each.kind not in {"added", "removed"}
        of_package = each.what == "package" and each.effect in {Effect.IMPORTED, Effect.EDITED}
        unknown = trained.imported is None and each.effect.matters and each.what == "package"
        if both and (of_package or unknown or (each.what, each.name) == ("python", "version")):
            yield each


def _image(
    project: Project,
    lock: Lock,
    spec: ImageSpec,
    platform: str,
    store: Store,
    trained: Fingerprint,
) -> Fingerprint:
    """Return what an image will hold: its lock's packages, with digests where wheels are here."""
    base = lock.base_for(platform)
    target = base.target()
    name = pylock_name(spec.name)
    text = files.read_text(project.root / name)
    locked = locks.read(text, name, locks.Wanted(target=target))
    relevant = {each.name for each in trained.packages}
    packages = [
        wheels.known(each, store) if each.name in relevant else each for each in locked.packages
    ]
    return replace(
        locked.with_packages(packages),
        kind="image",
        python=Python(version=base.python),
        platform=System(system="linux", machine=target.machine, libc=f"glibc {target.glibc}"),
    )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
