"""Builds images: plans them, makes the layers that nobody has, and puts them together."""

import concurrent.futures
import concurrent.futures.process
import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from lockstitch import environ
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.files import atomic
from lockstitch.image import assemble, budget, interpreter, project_wheel
from lockstitch.image.bytecode import Interpreter
from lockstitch.image.inherited import Below
from lockstitch.image.layer_records import Records
from lockstitch.image.layers import Job, Made, make
from lockstitch.image.plan import LayerPlan
from lockstitch.image.prepare import Prepared, base_only, prepare
from lockstitch.lock.bases import debian
from lockstitch.lock.bases.debian import DebianBase
from lockstitch.lock.bases.registry import RegistryBase
from lockstitch.lock.file import Lock
from lockstitch.lock.sbom import Facts
from lockstitch.net.download import Download, Fetcher
from lockstitch.oci.layer import Layer, Shallow
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import INDEX_TYPE, Image, index_bytes
from lockstitch.oci.recompress import Recompressed, recompressed
from lockstitch.oci.registry.cache import LayerCache
from lockstitch.oci.registry.client import Client
from lockstitch.progress import Reporter
from lockstitch.python.model import ImageSpec, Project
from lockstitch.store import Store

__all__ = ["Builder", "Built"]

_SMALL = 4 << 20  # bytes of input below which a process costs more than it saves


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image that stands in the layout."""

    name: str  # in the layout
    spec: str  # the image's name in the project: one for all platforms
    prepared: Prepared
    image: Image
    fresh: bool  # whether anything was written
    made: int  # layers that had to be made
    notes: tuple[str, ...]
    plan: tuple[LayerPlan, ...] = ()


class Builder:
    """Builds the images of one project into one layout."""

    def __init__(
        self,
        project: Project,
        lock: Lock,
        store: Store,
        fetcher: Fetcher,
        progress: Reporter,
        *,
        client: Client | None = None,
        cache: LayerCache | None = None,
    ) -> None:
        """Keep what every image needs."""
        self._project = project
        self._lock = lock
        self._store = store
        self._fetcher = fetcher
        self._progress = progress
        self._below = Below(store, progress, client or Client())
        self._records = Records(store, cache)

    def build(
        self,
        specs: Sequence[ImageSpec],
        layout: Layout,
        *,
        form: str = "wheel",
        shallow: bool = False,
    ) -> list[Built]:
        """Build images for all platforms of the project; nothing is written if one fails.

        `form` is how layers are compressed: `wheel`, or one of `oci.recompress.FORMS`. With
        `shallow` nothing goes to the layout, so that layers of a registry's base stay there.
        """
        prepared = self._prepare(specs)
        made = self._make_missing(prepared, layout)
        images = [self._image(each, layout) for each in prepared]
        budget.check(list(zip((each.spec for each in prepared), images, strict=True)))
        built = []
        if not shallow:
            self._bring(prepared, layout)
        for each, planned in zip(prepared, images, strict=True):
            name = assemble.reference(each.spec, planned.platform, self._project)
            image = self._in_form(planned, form)
            mine = [made[plan.key] for plan in each.layers if plan.key in made]
            notes = tuple(note for result in mine for note in result.notes)
            built.append(
                Built(
                    name=name,
                    spec=each.spec.name,
                    prepared=each,
                    image=image,
                    fresh=bool(mine) if shallow else layout.write(image, name),
                    made=len(mine),
                    notes=each.notes + notes,
                    plan=each.layers,
                )
            )
        if not shallow and len(self._project.platforms) > 1:
            for spec in specs:
                # What readers that know indexes choose their platform from.
                found = [e.image.descriptor() for e in built if e.spec == spec.name]
                layout.put((), index_bytes(found), INDEX_TYPE, spec.name)
        self._records.share(layout)
        return built

    def base(self, platform: str, layout: Layout) -> Image:
        """Return what all images stand on, for Dockerfiles; the layout only lends its layers."""
        prepared = base_only(self._project, self._lock, platform)
        self._make_missing([prepared], layout)
        layers = self._layers(prepared, layout)
        return assemble.base_image(prepared, self._project, layers)

    def parts(self, prepared: Prepared) -> dict[str, Facts]:
        """Return what is known of the parts of an image that was built, by their hex digests."""
        found: dict[str, Facts] = {}
        for planned in prepared.layers:
            parts = self._records.parts(planned)
            found |= {key: Facts.of_document(parts[key]) for key in parts}
        return found

    def _prepare(self, specs: Sequence[ImageSpec]) -> list[Prepared]:
        """Return the plan of each image for each platform, or raise what is wrong with any."""
        first_party = self._own()
        found: list[Prepared] = []
        problems: dict[str, tuple[LockstitchError, list[str]]] = {}
        for spec in specs:
            for platform in self._project.platforms:
                try:
                    found.append(
                        prepare(self._project, self._lock, spec, platform, first_party, self._store)
                    )
                except LockstitchError as error:
                    # A package without a wheel is mostly in several images.
                    for each in error.everything():
                        alone = type(each)(each.message, hint=each.hint)
                        problems.setdefault(each.message, (alone, []))[1].append(spec.name)
        raise_all([_for_images(error, names) for error, names in problems.values()])
        return found

    def _bring(self, prepared: Sequence[Prepared], layout: Layout) -> None:
        """Bring the layers of bases that the layout lacks into the store."""
        for each in prepared:
            if isinstance(each.base, RegistryBase):
                layers = [la for la in each.base.layers if not layout.has(la.digest, la.size)]
                self._below.fetch(each.base, layers)

    def _own(self) -> project_wheel.OwnWheel | None:
        if not self._project.is_package:
            return None
        return project_wheel.build(self._project, self._lock.build, self._store)

    def _image(self, prepared: Prepared, layout: Layout) -> Image:
        return assemble.image(prepared, self._project, self._layers(prepared, layout))

    def _layers(self, prepared: Prepared, layout: Layout) -> list[Layer]:
        layers: list[Layer] = []
        if isinstance(prepared.base, RegistryBase):
            layers += self._below.layers(prepared.base, layout)
        for planned in prepared.layers:
            layer = self._records.layer(planned, layout)
            if layer is None:
                message = f"the layer `{planned.title}` is gone"
                raise LockstitchError(message, hint="lockstitch build")
            layers.append(layer)
        return layers

    def _in_form(self, image: Image, form: str) -> Image:
        if form == "wheel":
            return image
        layers: list[Layer] = []
        for layer in image.layers:
            if isinstance(layer, Shallow):
                layers.append(layer)  # the base's bytes are the base's
                continue
            path = self._store.scratch(f"{form}-{layer.facts.diff_id.hex}")
            with (
                self._progress.task(f"{form} {layer.created_by:.40}", 0),
                atomic(path) as temporary,
            ):
                written = recompressed(layer, form, temporary)
            layers.append(Recompressed(written.facts, layer.created_by, path))
        return replace(image, layers=tuple(layers))

    def _make_missing(self, prepared: Sequence[Prepared], layout: Layout) -> dict[str, Made]:
        self._records.look(planned for each in prepared for planned in each.layers)
        missing: dict[str, tuple[LayerPlan, Prepared]] = {}
        for each in prepared:
            for planned in each.layers:
                if self._records.layer(planned, layout) is None:
                    missing.setdefault(planned.key, (planned, each))
        if not missing:
            return {}
        self._fetcher.fetch(list(self._downloads(missing.values())), self._progress)
        jobs = [self._job(planned, each) for planned, each in missing.values()]
        made = {}
        for job, result in _run(jobs, self._progress):
            self._records.put(job.plan.key, result)
            made[job.plan.key] = result
        return made

    def _downloads(self, missing: Iterable[tuple[LayerPlan, Prepared]]) -> Iterator[Download]:
        for planned, prepared in missing:
            compiles = _compiles(planned, prepared)
            if isinstance(prepared.base, DebianBase):
                yield from self._packages(planned, prepared.base, compiles=compiles)
            for wheel in planned.wheels:
                yield Download(
                    name=wheel.filename, url=wheel.url, digest=wheel.digest, size=wheel.size
                )

    def _packages(
        self, planned: LayerPlan, base: DebianBase, *, compiles: bool
    ) -> Iterator[Download]:
        if planned.kind in {"system", "python"} or compiles:
            yield from debian.downloads(base)
        runner = interpreter.runnable(base, self._lock.bases) if compiles else None
        if runner:
            yield from debian.downloads(runner)

    def _interpreter(self, prepared: Prepared) -> Interpreter | None:
        if isinstance(prepared.base, DebianBase):
            return interpreter.prepare(prepared.base, self._lock.bases, self._store)
        return prepared.host

    def _job(self, planned: LayerPlan, prepared: Prepared) -> Job:
        compiles = _compiles(planned, prepared)
        return Job(
            plan=planned,
            store=self._store.root,
            base=prepared.base,
            interpreter=self._interpreter(prepared) if compiles else None,
            image=prepared.spec,
            files=prepared.files if planned.kind == "app" else (),
            own=prepared.own if planned.kind == "own" else None,
        )


def _compiles(planned: LayerPlan, prepared: Prepared) -> bool:
    able = prepared.host is not None or isinstance(prepared.base, DebianBase)
    return able and prepared.spec.bytecode and planned.kind in {"stdlib", "wheels", "own"}


def _for_images(error: LockstitchError, names: Sequence[str]) -> LockstitchError:
    """Return the error about a package with the images that would hold it."""
    if " has no wheel for " not in error.message:
        return error
    images = sorted({*names})
    which = f"image{'s' if len(images) > 1 else ''} {', '.join(f'`{name}`' for name in images)}"
    return LockstitchError(f"{error.message} ({which})", hint=error.hint)


def _weight(job: Job) -> int:
    """Return about how much work a layer is, so that the longest starts first."""
    if job.plan.kind in {"system", "python", "stdlib"}:
        return 200 << 20  # our own encoder runs over all of it
    if job.plan.kind == "wheels":
        return sum(wheel.size or 0 for wheel in job.plan.wheels) * (4 if job.interpreter else 1)
    return sum(found.size for found in job.files)


def _run(jobs: Sequence[Job], progress: Reporter) -> Iterator[tuple[Job, Made]]:
    """Yield each job with what it made, the longest first, on as many processes as cores."""
    ordered = sorted(jobs, key=lambda job: (-_weight(job), job.plan.key))
    workers = min(environ.integer("LOCKSTITCH_JOBS") or os.cpu_count() or 1, len(ordered))
    label = f"build {len(ordered)} layer{'s' if len(ordered) > 1 else ''}"
    total = sum(_weight(job) + 1 for job in ordered)
    with progress.task(label, total) as task:
        if workers <= 1 or total < _SMALL:
            for job in ordered:
                yield job, make(job)
                task.advance(_weight(job) + 1)
            return
        with _pool(workers) as pool:
            with _interrupts_held():  # while children start, who take the mask over
                futures = {pool.submit(make, job): job for job in ordered}
            try:
                for future in concurrent.futures.as_completed(futures):
                    job = futures[future]
                    yield job, _result(future, job)
                    task.advance(_weight(job) + 1)
            except BaseException:
                # Without this, Ctrl-C would wait for the longest layer.
                pool.shutdown(wait=False, cancel_futures=True)
                for child in multiprocessing.active_children():
                    child.terminate()
                raise


def _result(future: "concurrent.futures.Future[Made]", job: Job) -> Made:
    try:
        return future.result()
    except concurrent.futures.process.BrokenProcessPool as error:
        message = f"a worker died while it made `{job.plan.title}`"
        hint = "out of memory? LOCKSTITCH_JOBS=1 lockstitch build"
        raise LockstitchError(message, hint=hint) from error


def _pool(workers: int) -> concurrent.futures.ProcessPoolExecutor:
    # spawn: the same on every system, and no lock of a thread is copied into a child.
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=context, initializer=_ignore_interrupt
    )


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold SIGINT back; one that comes is delivered at the end."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ignore_interrupt() -> None:
    # Ctrl-C goes to the whole group; the parent alone says what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
