"""Compares the runs that trained a model with the image that will serve it.

The image will hold the packages of its lock, so nothing has to be built for the comparison.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lockstitch import files
from lockstitch.digest import Digest
from lockstitch.drift import compare
from lockstitch.drift.compare import Difference
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.files import FoundFile
from lockstitch.fingerprint import contents, locks
from lockstitch.fingerprint.model import Fingerprint, Python, System
from lockstitch.image.paths import DRIFT
from lockstitch.lock.file import Lock, pylock_name
from lockstitch.lock.sources import built_for
from lockstitch.progress import say
from lockstitch.python.accelerators import is_build
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.names import minor
from lockstitch.run import record
from lockstitch.run.record import RunRecord
from lockstitch.store import Store
from lockstitch.values import frozen, replace

_SMALL = 256  # bytes; two smaller files may be equal by chance
_MODELS = frozenset(
    {".joblib", ".pkl", ".pickle", ".onnx", ".pt", ".pth", ".keras", ".h5", ".safetensors"}
    | {".skops", ".cbm", ".ubj"}
)


@frozen
class Drift:
    """One difference between the run that wrote a file and the image that holds the file."""

    image: str
    path: str  # the file
    difference: Difference

    @property
    def name(self) -> str:
        """The name that `--allow-drift` takes: the package, or `python`."""
        return self.difference.name if self.difference.what == "package" else "python"

    @property
    def refused(self) -> bool:
        """Whether the build ends.

        Another patch release of Python, or the same release built for another accelerator, is
        told only: a model trained with CUDA is meant to serve without.
        """
        difference = self.difference
        if difference.what == "python":
            return _minor(difference.before) != _minor(difference.after)
        return not self.is_other_build

    @property
    def is_other_build(self) -> bool:
        """Whether a package is the same release, built for another accelerator."""
        difference = self.difference
        sides = [text.partition("+") for text in (difference.before, difference.after)]
        builds = [not local or is_build(local) for _, _, local in sides]
        return difference.kind == "changed" and all(builds) and sides[0][0] == sides[1][0]

    def __str__(self) -> str:
        """Return it as one sentence, for a warning, an error and a label."""
        change = self.difference
        if change.kind == "edited":
            what = f"`{change.name}` was edited when it trained `{self.path}`: {change.before}"
            return f"{what}; `{self.image}` has it {change.after}"
        if change.kind == "other files":
            return (
                f"`{change.name} {change.before}` that trained `{self.path}` has other files than "
                f"the one in `{self.image}`"
            )
        before, after = change.before, change.after
        return f"`{self.name}` {before} trained `{self.path}`, `{self.image}` has {after}"


def check(drifts: Sequence[Drift], allowed: Sequence[str]) -> list[Drift]:
    """Return the drifts that are no error; raises LockstitchError with each of the others."""
    refused = [drift for drift in drifts if drift.refused and drift.name not in allowed]
    if not refused:
        return list(drifts)
    errors = []
    for refusal in refused:
        notes = "".join(f"\n{c.package} {c.version}: {c.what}" for c in refusal.difference.known)
        hint = "train with the lock as it is (lockstitch run), or go on: --allow-drift "
        errors.append(LockstitchError(f"{refusal}{notes}", hint=hint + refusal.name))
    raise LockstitchError(errors[0].message, hint=errors[0].hint, also=errors[1:])


def labelled(
    project: Project, store: Store, lock: Lock, specs: Sequence[ImageSpec], allowed: Sequence[str]
) -> list[ImageSpec]:
    """Return the images, those with an allowed drift labelled with it.

    Raises LockstitchError for each difference between the run that trained a model and the image
    that holds it, unless its name is allowed, and for each model of no recorded run where the
    project requires one.
    """
    if project.require_record:
        raise_all([problem for spec in specs for problem in _unrecorded(project, spec)])
    names: set[str] = set()
    patches: dict[tuple[str, str], None] = {}
    images = []
    for spec in specs:
        drifts: dict[str, Drift] = {}
        notes: set[str] = set()
        for platform in project.platforms:
            some, more = differences(project, lock, spec, platform, store)
            drifts |= {str(drift): drift for drift in some}
            notes |= {*more}
        kept = check(list(drifts.values()), allowed)
        for text in sorted(notes):
            say(f"warning: {text}")
        for drift in kept:
            if drift.refused:
                say(f"warning: {drift}")
            elif drift.is_other_build and drift.name not in allowed:
                say(f"note: {drift}: the same release for another accelerator")
            elif drift.name not in allowed:
                patches[drift.difference.before, drift.difference.after] = None
        names |= {drift.name for drift in drifts.values()}
        known = sorted(text for text, drift in drifts.items() if drift.refused)
        labels = {DRIFT: "; ".join(known)} if known else {}
        models = _provenance(project, spec)
        images.append(replace(spec, labels={**spec.labels, **labels}, models=models))
    for before, after in patches:  # harmless: reported once for all images
        text = f"trained with Python {before}, the base has {after}"
        say(f"note: {text}; --allow-drift python silences this")
    for name in sorted({*allowed} - names):
        say(f"note: `{name}` did not drift: --allow-drift {name} is not needed")
    return images


def differences(
    project: Project, lock: Lock, spec: ImageSpec, platform: str, store: Store
) -> tuple[list[Drift], list[str]]:
    """Return the drift of each model of a run record that an image includes, and notes to print.

    A package that only one side has is no difference: serving needs fewer.
    """
    included = {file.name: file for file in files.find_files(project.root, spec.include)}
    drifts: dict[tuple[str, str], Drift] = {}
    notes = []
    for run in _records(project):
        same = _written(run, included.values())
        changed = sorted(name for name in run.outputs if name in included and name not in same)
        notes += [
            f"`{name}` is not the file that the run of `{run.task}` wrote" for name in changed
        ]
        if not same:
            continue
        model = max(same, key=lambda name: (included[name].size, name))
        image = _image(project, lock, spec, platform, store, run.fingerprint)
        for difference in _differences(run.fingerprint, image):
            drift = Drift(image=spec.name, path=model, difference=difference)
            drifts.setdefault((drift.name, difference.kind), drift)
    return list(drifts.values()), notes


def _written(run: RunRecord, included: Iterable[FoundFile]) -> dict[str, Digest]:
    """Return the files that a run wrote, by their content: a model may lie elsewhere by now.

    A small file with the content of another is no model; such a one counts by its name.
    """
    digests = {*run.outputs.values()}
    same = {}
    for file in included:
        if file.name in run.outputs or file.size >= _SMALL:
            digest = _digest(file.path, file.mtime_ns, file.size)
            if digest == run.outputs.get(file.name) or (file.size >= _SMALL and digest in digests):
                same[file.name] = digest
    return same


@functools.cache
def _digest(path: Path, mtime_ns: int, size: int) -> Digest:
    """Return the digest of a file that has this time and size: it is read once."""
    del mtime_ns, size
    return record.digest_of(path)


def _provenance(project: Project, spec: ImageSpec) -> dict[str, str]:
    """Return the digests of an image's models and of the records of the runs that wrote them."""
    included = files.find_files(project.root, spec.include)
    digests: dict[str, str] = {}
    for run in _records(project):
        same = _written(run, included)
        if same:
            digests |= {name: str(digest) for name, digest in same.items()}
            digests[f"run record of {run.task}"] = str(run.digest)
    return digests


def _unrecorded(project: Project, spec: ImageSpec) -> Iterator[LockstitchError]:
    """Yield an error for each model that an image includes and no recorded run wrote."""
    included = files.find_files(project.root, spec.include)
    written = {name for run in _records(project) for name in _written(run, included)}
    folders = tuple(
        f"{output.rstrip('/')}/" for image in project.images for output in image.outputs
    )
    for file in included:
        beside = file.name.endswith((".run.json", "metrics.json")) or not file.size
        is_model = file.name.startswith(folders) or file.path.suffix in _MODELS
        if is_model and not beside and file.name not in written:
            message = f"`{file.name}`, which `{spec.name}` includes, is of no recorded run"
            trains = next((image.name for image in project.images if image.outputs), "train")
            hint = f"lockstitch run {trains} writes it with a record; or require-record = false"
            yield LockstitchError(message, hint=hint)


def _records(project: Project) -> Iterator[RunRecord]:
    for spec in project.images:
        path = project.root / spec.record
        if spec.record and path.is_file():
            yield record.read(path)


def _differences(trained: Fingerprint, served: Fingerprint) -> Iterator[Difference]:
    for difference in compare.between(trained, served):
        both = difference.kind not in {"added", "removed"}
        of_package = difference.what == "package" and difference.effect.matters
        if both and (of_package or (difference.what, difference.name) == ("python", "version")):
            yield difference


def _image(
    project: Project, lock: Lock, spec: ImageSpec, platform: str, store: Store, trained: Fingerprint
) -> Fingerprint:
    """Return an image's future contents: its lock's packages, with digests of wheels here."""
    base = lock.base_for(platform)
    target = base.target()
    name = pylock_name(spec.name)
    text = files.read_text(project.root / name)
    built = built_for(lock, target, project.root, store)
    locked = locks.read(text, name, locks.Wanted(target=target), built=built)
    libc = f"glibc {target.glibc}" if target.glibc else "musl"
    relevant = {package.name for package in trained.packages}
    packages = [
        contents.with_files(package, store) if package.name in relevant else package
        for package in locked.packages
    ]
    return replace(
        locked.with_packages(packages),
        kind="image",
        python=Python(version=base.python),
        platform=System(system="linux", machine=target.machine, libc=libc),
    )


def _minor(version: str) -> str:
    return minor(version)
