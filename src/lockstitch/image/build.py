"""Builds images: plans them, makes the missing layers, and assembles them."""

import contextlib
import os
import shlex
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from lockstitch import threads
from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError, collected, raise_all
from lockstitch.files import FoundFile, atomic
from lockstitch.image import (
    accelerators,
    assemble,
    bytecode,
    collisions,
    contents,
    imports,
    libraries,
    plan,
    project_wheel,
    sizes,
)
from lockstitch.image.bases import InheritedLayers
from lockstitch.image.bytecode import Interpreter
from lockstitch.image.collisions import Collision, PackageFiles
from lockstitch.image.contents import unusual
from lockstitch.image.layer_records import LayerRecords
from lockstitch.image.layers import ROOT_KINDS, Damaged, Job, LayerResult, Workers, make_all
from lockstitch.image.own_files import OwnFiles
from lockstitch.image.plan import LayerPlan, Prepared, prepare, prepare_base
from lockstitch.image.project_wheel import ProjectWheel
from lockstitch.lock import builder, sources
from lockstitch.lock.file import Lock
from lockstitch.lock.sbom import PackageFacts
from lockstitch.net.download import Download, Fetcher
from lockstitch.oci.layer import PASSTHROUGH, GoneError, Layer, LazyLayer, recompress
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import INDEX_TYPE, Image, index_bytes
from lockstitch.oci.registry.cache import LayerCache
from lockstitch.oci.registry.client import Client
from lockstitch.progress import Quiet, Reporter, say
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.model import ImageSpec, Project
from lockstitch.store import Store
from lockstitch.values import frozen, replace

_COLLISIONS, _SIZES = "collisions", "sizes"  # of store records
_NO_PACKAGE = (
    "the build backend finds no package of the project: its code is in images only where `include` "
    "names it; [tool.uv] package = false, or package-mode = false of Poetry, says the same"
)
_TRIES = 3  # to make layers, since packages of the store may turn out to be damaged


@frozen
class Built:
    """A built image, which is in the layout unless the build was shallow."""

    name: str  # in the layout
    spec: str  # the image's name in the project: one for all platforms
    prepared: Prepared
    image: Image
    fresh: bool  # whether anything was written
    made: int  # how many of its layers had to be made
    notes: tuple[str, ...]
    lasting: tuple[str, ...] = ()  # notes that a build which makes nothing has too
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
        self._client = client or Client()
        self._inherited = InheritedLayers(store, progress, self._client)
        self._records = LayerRecords(store, cache)
        self._own_files = OwnFiles(project, store)
        self._interpreters: dict[Digest, Interpreter] = {}
        self._workers: Workers | None = None  # of one build
        self._begun: Callable[[], None] = lambda: None  # waits for `_begin`

    def build(
        self,
        specs: Sequence[ImageSpec],
        layout: Layout,
        *,
        form: str = PASSTHROUGH,
        shallow: bool = False,
    ) -> list[Built]:
        """Build images for all platforms of the project; nothing is written if one fails.

        `form` is how layers are compressed: `passthrough`, or one of `oci.layer.FORMS`. With
        `shallow` nothing goes to the layout, so that layers of a registry's base stay there.
        Raises LockstitchError with everything that keeps an image from being built, and for
        each image over its budget.
        """
        assemble.check_references(self._project)
        _check_form(specs, form)
        own = self._own_files
        ended = threading.Event()
        with Workers() as workers:
            self._workers = workers
            self._begun = threads.begin(lambda: self._begin(specs, layout, workers, own, ended))
            try:
                return self._built(specs, layout, form, shallow=shallow)
            finally:
                self._workers = None
                ended.set()

    def _begin(
        self,
        specs: Sequence[ImageSpec],
        layout: Layout,
        workers: Workers,
        own: OwnFiles,
        ended: threading.Event,
    ) -> None:
        """Fetch what a build without its base lacks, and start making the base.

        Meanwhile the project's wheel is built; to compile, the others wait for the base's files.
        """
        platforms = self._project.platforms
        bases = [p for p in platforms if not self._lock.base_for(p).image]
        plans = [prepare_base(self._project, self._lock, platform).layers for platform in bases]
        known = (layer for layers in plans for layer in layers if layer.kind in ROOT_KINDS)
        if self._records.has_cache or all(self._records.layer(p, layout) for p in known):
            return
        prepared = [
            prepare(self._project, self._lock, spec, platform, None, self._store, own=own)
            for spec in specs
            for platform in platforms
        ]
        missing = self._missing(prepared, layout)
        roots = {k: missing[k] for k in missing if missing[k][0].kind in ROOT_KINDS}
        self._fetcher.fetch([*self._downloads(roots.values())], self._progress, ended)
        workers.begin([self._job(planned, image) for planned, image in missing.values()])
        self._fetcher.fetch([*self._downloads(missing.values())], self._progress, ended)

    def _built(
        self, specs: Sequence[ImageSpec], layout: Layout, form: str, *, shallow: bool
    ) -> list[Built]:
        planned = self._prepare_whole(specs)
        accelerators.check(planned)
        for note in accelerators.notes(self._project, planned, self._sizes):
            if note.startswith("warning: ") or not isinstance(self._progress, Quiet):
                say(note)
        results: dict[str, LayerResult] = {}
        written: set[str] = set()
        for left in reversed(range(_TRIES)):
            try:
                built = self._written(planned, layout, results, written, form, shallow=shallow)
                break
            except LockstitchError as error:
                damaged = self._is_damaged(planned)
                # A store that loses layers under each build, or an error that is one.
                if not left or not (damaged or isinstance(error, GoneError)):
                    raise
                planned = self._prepare_whole(specs) if damaged else planned
        if not shallow and len(self._project.platforms) > 1:
            for spec in specs:
                # What readers that know indexes choose their platform from.
                images_of_spec = [e.image.descriptor() for e in built if e.spec == spec.name]
                layout.put((), index_bytes(images_of_spec), INDEX_TYPE, spec.name)
        self._records.share(layout)
        return built

    def _prepare_whole(self, specs: Sequence[ImageSpec]) -> list[Prepared]:
        """Prepare images, again where a wheel is damaged while it is read."""
        for _ in range(_TRIES - 1):
            with contextlib.suppress(GoneError):
                return self._prepare(specs)
        return self._prepare(specs)

    def _is_damaged(self, planned: Sequence[Prepared]) -> bool:
        """Return whether a wheel was changed in the store since it was hashed; it is gone then."""
        own = {prepared.project_wheel.digest for prepared in planned if prepared.project_wheel}
        wheels = {wheel.digest for prepared in planned for wheel in prepared.wheels} | own
        there = [digest for digest in sorted(wheels) if self._store.has(digest)]
        return not all(self._store.has_whole(digest) for digest in there)

    def _written(
        self,
        planned: Sequence[Prepared],
        layout: Layout,
        results: dict[str, LayerResult],
        written: set[str],
        form: str,
        *,
        shallow: bool,
    ) -> list[Built]:
        """Make what is missing and write the images; layers and names of it are added to the sets.

        Raises GoneError where another process took away a layer that was there.
        """
        prepared = self._settled(planned, layout)
        results |= self._make_missing(prepared, layout)
        lacking = self._lacking(prepared)
        images = [
            assemble.image(image, self._project, self._layers(image, layout)) for image in prepared
        ]
        specs = [image.spec for image in prepared]
        sizes.check_budgets(self._project, list(zip(specs, images, strict=True)))
        if not shallow:
            self._fetch_inherited(prepared, layout)
        built = []
        for ready, stitched, missing in zip(prepared, images, lacking, strict=True):
            name = assemble.reference(ready.spec, stitched.platform, self._project)
            image = self._in_form(stitched, form)
            new = [results[layer.key] for layer in ready.layers if layer.key in results]
            notes = tuple(note for result in new for note in result.notes)
            if bool(new) if shallow else layout.write(image, name, self._store.is_whole):
                written.add(name)
            built.append(
                Built(
                    name=name,
                    spec=ready.spec.name,
                    prepared=ready,
                    image=image,
                    fresh=name in written,
                    made=len(new),
                    notes=(*ready.notes, *notes, *missing),
                    lasting=(*ready.notes, *missing),
                    plan=ready.layers,
                )
            )
        return built

    def sweep(self, built: Sequence[Built]) -> None:
        """Remove the replaced layers of the project's own code from the store."""
        plans = {f"{image.name} {image.image.platform}": image.plan for image in built}
        self._records.sweep(of_bytes(str(self._project.root).encode()).hex, plans)

    def pending(self, specs: Sequence[ImageSpec], layout: Layout) -> dict[str, list[str]]:
        """Return the titles of the layers that a build would make, by the names of images.

        Wheels that are unknown here are fetched, since what collides decides the layers, and is
        told. Raises LockstitchError where an image wants collisions to be errors.
        """
        prepared = self._settled(self._prepare_whole(specs), layout)
        for note in dict.fromkeys(note for image in prepared for note in image.notes):
            say(f"warning: {note}")
        missing = self._missing(prepared, layout)
        names = (f"{s.name} for {platform}" for s in specs for platform in self._project.platforms)
        return {
            name: [layer.title for layer in image.layers if layer.key in missing]
            for name, image in zip(names, prepared, strict=True)
        }

    def _lacking(self, prepared: Sequence[Prepared]) -> list[list[str]]:
        """Return notes about what images lack; raises all that a program cannot start without."""
        problems: list[LockstitchError] = []
        notes: list[list[str]] = []
        for image in prepared:
            notes.append([])
            for find in (self._imports, self._libraries):
                try:
                    notes[-1] += find(image)
                except LockstitchError as error:
                    problems += error.everything()
        raise_all(problems)
        return notes

    def _imports(self, prepared: Prepared) -> list[str]:
        """Return notes about modules that programs miss; raises as `imports.check`."""

        def programs() -> Collection[str]:
            system = libraries.system_files(prepared, self._store)
            return system.programs if system else ()

        return imports.check(self._project, prepared, self._store, programs)

    def _libraries(self, prepared: Prepared) -> list[str]:
        """Return notes about libraries that packages miss; raises as `libraries.check`."""

        def packages(names: Sequence[str]) -> Mapping[str, str]:
            from lockstitch.lock.bases.debian import sonames  # which few builds need

            release = prepared.base.release or "bookworm"
            platform = prepared.base.platform
            return sonames.packages(
                release, platform, names, fetcher=self._fetcher, store=self._store
            )

        return libraries.check(self._project, prepared, self._store, packages)

    def inputs(self, specs: Sequence[ImageSpec]) -> list[Download]:
        """Fetch every file that builds of the images read, and return them.

        What was built for lack of a wheel, and the layers of a registry's base, have no address.
        """
        files: dict[Digest, Download] = {}
        for prepared in self._prepare_whole(specs):
            needed = [*prepared.base.downloads(), *prepared.base.plain.downloads()]
            runner = bytecode.runnable(prepared.base, self._lock.bases)
            needed += runner.plain.downloads() if runner else []
            needed += [
                *_wheel_downloads(wheel for layer in prepared.layers for wheel in layer.wheels)
            ]
            self._fetcher.fetch(needed, self._progress)
            self._build_sources((layer, prepared) for layer in prepared.layers)
            self._inherited.fetch(prepared.base, prepared.base.layers)
            local = [wheel for layer in prepared.layers for wheel in layer.wheels if not wheel.url]
            needed += [
                Download(name=wheel.filename, url="", digest=wheel.digest, size=None)
                for wheel in local
                if not wheel.first_party
            ]
            needed += [
                Download(name=layer.digest.hex, url="", digest=layer.digest, size=layer.size)
                for layer in prepared.base.layers
            ]
            files |= {download.digest: download for download in needed}
        return list(files.values())

    def is_decided_here(self, built: Sequence[Built]) -> bool:
        """Return whether files of the project alone decide what was built, and no other program."""
        project, prepared = self._project, [image.prepared for image in built]
        return (
            (not project.is_package or project_wheel.is_decided_by_files(project))
            and not any(".." in PurePosixPath(file.path).parts for file in self._lock.files)
            and not any(wheel.first_party for image in prepared for wheel in image.wheels)
            # A Python of this machine compiles, or is looked for in vain.
            and all(image.base.interpreter or not image.spec.bytecode for image in prepared)
            and not any(accelerators.asks_a_program(image) for image in prepared)
        )

    def unusual(self, specs: Sequence[ImageSpec]) -> list[str]:
        """Return warnings about images' files before a build; raises as `contents.included`."""
        notes = (note for spec in specs for note in unusual(self._project, spec, self._own_files))
        return list(dict.fromkeys(notes))

    def base(self, platform: str, layout: Layout) -> Image:
        """Return the base of all images, for Dockerfiles; the layout only lends its layers.

        Raises LockstitchError for a base that a registry has already.
        """
        prepared = prepare_base(self._project, self._lock, platform)
        self._make_missing([prepared], layout)
        layers = self._layers(prepared, layout)
        return assemble.base_image(prepared, self._project, layers)

    def packages(self, prepared: Prepared) -> dict[str, PackageFacts]:
        """Return the facts of the packages of a built image, by their hex digests."""
        facts: dict[str, PackageFacts] = {}
        for planned in prepared.layers:
            facts |= self._records.packages(planned)
        return facts

    def _prepare(self, specs: Sequence[ImageSpec]) -> list[Prepared]:
        """Return the plan of each image for each platform, or raise the problems of all."""
        own_files, wheel = self._own_files, None
        self._own_files = OwnFiles(self._project, self._store)  # should there be a next try
        if self._project.is_package:
            wheel = project_wheel.build(self._project, self._lock.build, self._store, own_files)
            if wheel is None:
                say(f"warning: {_NO_PACKAGE}")
        prepared: list[Prepared] = []
        problems: dict[str, tuple[LockstitchError, list[str]]] = {}
        for spec in specs:
            for platform in self._project.platforms:
                try:
                    prepared.append(
                        prepare(
                            self._project,
                            self._lock,
                            spec,
                            platform,
                            wheel,
                            self._store,
                            own=own_files,
                        )
                    )
                except LockstitchError as error:
                    # A package without a wheel is mostly in several images.
                    for problem in error.everything():
                        alone = type(problem)(problem.message, hint=problem.hint)
                        problems.setdefault(problem.message, (alone, []))[1].append(spec.name)
        errors = [_for_images(error, names) for error, names in problems.values()]
        failed = {name for _, names in problems.values() for name in names}
        rest = [spec.name for spec in specs if spec.name not in failed]
        for lacking in errors if rest else ():
            if lacking.hint.startswith(("dvc pull", "git lfs pull")):  # which not all can do
                lacking.hint += f", or the other images: lockstitch build {shlex.join(rest)}"
        raise_all(errors)
        return prepared

    def _settled(self, prepared: Sequence[Prepared], layout: Layout) -> list[Prepared]:
        """Return the plans with one package for each path; fetches wheels that are unknown here.

        Raises LockstitchError where an image wants collisions to be errors.
        """
        missing = list(self._missing(prepared, layout).values())
        settled, problems = [], list[LockstitchError]()
        for image in prepared:
            clashes = self._collisions(image, missing)
            with collected(problems):
                collisions.check(clashes, image.spec)
            settled.append(plan.settled(image, clashes))
        raise_all(problems)
        return settled

    def _sizes(self, wheels: Sequence[LockedWheel]) -> dict[Digest, int]:
        """Return the bytes of wheels: PyTorch's indexes say none, so their servers are asked."""
        known = {wheel.digest: wheel.size for wheel in wheels if wheel.size is not None}
        urls = {}
        for wheel in wheels:
            if wheel.digest in known:
                continue
            record = self._store.record(_SIZES, wheel.digest.hex)
            if self._store.has(wheel.digest):
                known[wheel.digest] = self._store.path(wheel.digest).stat().st_size
            elif isinstance(record, int):
                known[wheel.digest] = record
            elif wheel.url:
                urls[wheel.url] = wheel.digest
        for url, size in self._fetcher.sizes([*urls]).items():
            self._store.remember(_SIZES, urls[url].hex, size)
            known[urls[url]] = size
        return known

    def _collisions(
        self, prepared: Prepared, also: Sequence[tuple[LayerPlan, Prepared]]
    ) -> tuple[Collision, ...]:
        """Return the files that packages share; they take a while to find, so they are recorded.

        When wheels have to be fetched for it, all that the other layers need comes with them.
        """
        spec, minor = prepared.spec, prepared.base.target().minor_abi
        key = collisions.key_of(
            spec, minor, [(wheel.name, wheel.digest) for wheel in prepared.wheels]
        )
        record = self._store.record(_COLLISIONS, key)
        packages: dict[str, PackageFiles] = {}
        if record is None:
            packages = self._files(prepared, also)
            clashes = collisions.find(packages, spec, minor)
            tops = collisions.tops(packages.values())
            record = {"found": [clash.document() for clash in clashes], "tops": sorted(tops)}
            self._store.remember(_COLLISIONS, key, record)
        wheel = prepared.project_wheel
        own = collisions.listed(wheel.digest, wheel.filename, self._store) if wheel else None
        # First-party code changes with each edit, and mostly shares no name with a package.
        if own is None or collisions.tops([own]).isdisjoint(record["tops"]):
            return tuple(Collision.of_document(row) for row in record["found"])
        packages = packages or self._files(prepared, also)
        name = plan.own_name(self._project.name)
        return collisions.find({**packages, name: own}, spec, minor)

    def _files(
        self, prepared: Prepared, also: Sequence[tuple[LayerPlan, Prepared]]
    ) -> dict[str, PackageFiles]:
        """Return the modules and files of each wheel of an image, by its name."""
        shared: dict[str, Any] = {}
        for planned in prepared.layers:
            shared |= self._records.files(planned)
        files: dict[str, PackageFiles] = {}
        for _ in range(_TRIES):
            unread = [
                wheel.digest
                for wheel in prepared.wheels
                if wheel.digest.hex not in shared
                and collisions.document(wheel.digest, self._store) is None
            ]
            threads.run(unread, self._store.read_again, parallel=os.cpu_count() or 1)
            for wheel in prepared.wheels:
                if wheel.name in files:
                    continue
                if wheel.digest.hex in shared:
                    with contextlib.suppress(KeyError, TypeError, ValueError):
                        document = shared.pop(wheel.digest.hex)
                        files[wheel.name] = PackageFiles.of_document(document)
                        continue
                listed = collisions.listed(wheel.digest, wheel.filename, self._store)
                files |= {wheel.name: listed} if listed else {}
            missing = [wheel for wheel in prepared.wheels if wheel.name not in files]
            if not missing:
                return files
            self._fetch([*_wheel_downloads(missing), *self._downloads(also)])
            self._build_sources(
                (
                    replace(planned, wheels=tuple(e for e in planned.wheels if e in missing)),
                    prepared,
                )
                for planned in prepared.layers
            )
        names = ", ".join(f"`{wheel.filename}`" for wheel in missing)
        raise self._unstable(names)

    def _fetch_inherited(self, prepared: Sequence[Prepared], layout: Layout) -> None:
        """Bring the layers of bases that the layout lacks into the store."""
        for image in prepared:
            layers = [
                layer
                for layer in image.base.layers
                if not self._store.is_whole(layout.path(layer.digest), layer.digest, layer.size)
            ]
            self._inherited.fetch(image.base, layers)

    def _layers(self, prepared: Prepared, layout: Layout) -> list[Layer]:
        layers: list[Layer] = [*self._inherited.layers(prepared.base, layout)]
        for planned in prepared.layers:
            layer = self._records.layer(planned, layout)
            if layer is None:
                message = f"the layer `{planned.title}` is gone"
                raise GoneError(message, hint="lockstitch build")
            layers.append(layer)
        return layers

    def _in_form(self, image: Image, form: str) -> Image:
        if form == PASSTHROUGH:
            return image
        layers: list[Layer] = []
        for layer in image.layers:
            if isinstance(layer, LazyLayer):
                layers.append(layer)  # the base's bytes are the base's
                continue
            path = self._store.scratch(f"{form}-{layer.facts.diff_id.hex}")
            with (
                self._progress.task(f"{form} {layer.created_by:.40}", 0),
                atomic(path) as temporary,
            ):
                written = recompress(layer, form, temporary)
            layers.append(replace(written, path=path))
        return replace(image, layers=tuple(layers))

    def _missing(
        self, prepared: Sequence[Prepared], layout: Layout
    ) -> dict[str, tuple[LayerPlan, Prepared]]:
        """Return the layers missing from store, layout and cache, by key."""
        self._records.look(planned for image in prepared for planned in image.layers)
        missing: dict[str, tuple[LayerPlan, Prepared]] = {}
        for image in prepared:
            for planned in image.layers:
                if self._records.layer(planned, layout) is None:
                    missing.setdefault(planned.key, (planned, image))
        return missing

    def _make_missing(self, prepared: Sequence[Prepared], layout: Layout) -> dict[str, LayerResult]:
        """Make and record the layers missing from store, layout and cache; return them by key."""
        missing = self._missing(prepared, layout)
        if not missing:
            return {}
        results: dict[str, LayerResult] = {}
        for _ in range(_TRIES):
            self._fetch([*self._downloads(missing.values())])
            self._build_sources(missing.values())
            jobs = [self._job(planned, image) for planned, image in missing.values()]
            damaged = {}
            with self._looked_at(image for planned, image in missing.values() if planned.wheels):
                for job, result in make_all(jobs, self._progress, self._interpreter, self._workers):
                    if isinstance(result, Damaged):
                        damaged[job.plan.key] = missing[job.plan.key]
                        continue
                    self._records.put(job.plan.key, result)
                    results[job.plan.key] = result
            if not damaged:
                return results
            missing = damaged
        raise self._unstable(", ".join(f"`{layer.title:.60}`" for layer, _ in missing.values()))

    def _fetch(self, downloads: Sequence[Download]) -> None:
        """Fetch what is not here once what was begun has ended; raises as `Fetcher.fetch`."""
        with contextlib.suppress(LockstitchError):  # which the other fetch meets again
            self._begun()
        self._fetcher.fetch(downloads, self._progress)

    @contextlib.contextmanager
    def _looked_at(self, prepared: Iterable[Prepared]) -> Iterator[None]:
        """Find out what images import while their layers are made: the store remembers it."""
        images = {id(image): image for image in prepared}
        if not images:
            yield
            return

        def look() -> None:
            for image in images.values():
                with contextlib.suppress(LockstitchError, OSError):  # it is told afterwards
                    self._imports(image)

        thread = threading.Thread(target=look, name="lockstitch", daemon=True)
        thread.start()
        yield
        thread.join()

    def _unstable(self, what: str) -> LockstitchError:
        message = f"packages of {what} do not stay whole in the store `{self._store.root}`"
        hint = "check the disk, or set LOCKSTITCH_CACHE to a folder on another one"
        return LockstitchError(message, hint=hint)

    def _build_sources(self, missing: Iterable[tuple[LayerPlan, Prepared]]) -> None:
        """Build the wheels that the lock names, the index lacks and the store lacks too."""
        for planned, prepared in missing:
            digests = {wheel.digest for wheel in planned.wheels if not wheel.url}
            for wheel in self._lock.built:
                if wheel.digest not in digests or self._store.has_whole(wheel.digest):
                    continue
                archive = sources.download(wheel)
                if archive:
                    self._store.read_again(archive.digest)  # or it is fetched again
                base = prepared.base
                used = self._lock.builder_for(base.platform) if wheel.builder else None
                place = sources.Place(
                    root=self._project.root,
                    store=self._store,
                    target=base.target(),
                    container=builder.of(self._project, base, used, self._store),
                    client=self._client,
                    registry=self._project.wheels,
                )
                wanted = [archive] if archive else []
                wanted += used.downloads(base) if used else []
                self._fetcher.fetch(wanted, self._progress)
                with self._progress.task(f"build {wheel.name} {wheel.version}".strip(), 0):
                    sources.rebuild(wheel, place)

    def _downloads(self, missing: Iterable[tuple[LayerPlan, Prepared]]) -> Iterator[Download]:
        for planned, prepared in missing:
            base, compiles = prepared.base, _compiles(planned, prepared)
            if planned.kind == "added":
                yield from base.downloads()
            elif planned.kind in {"system", "python"} or compiles:
                yield from base.plain.downloads()
            runner = bytecode.runnable(base, self._lock.bases) if compiles else None
            if runner:
                yield from runner.plain.downloads()
            yield from _wheel_downloads(planned.wheels)

    def _job(self, planned: LayerPlan, prepared: Prepared) -> Job:
        compiles = _compiles(planned, prepared)
        return Job(
            plan=planned,
            store=self._store.root,
            base=prepared.base,
            interpreter=prepared.host if compiles else None,
            compiles=compiles and prepared.host is None,
            image=prepared.spec,
            name=of_bytes(
                f"{self._project.root}\n{prepared.spec.name}\n{planned.title}".encode()
            ).hex,
            files=_below_outputs(prepared) if planned.kind == "app" else (),
            project_wheel=self._project_wheel(prepared) if planned.kind == "own" else None,
        )

    def _interpreter(self, job: Job) -> Interpreter:
        """Return the interpreter of a job's base, whose files are read once by each build."""
        base = job.base
        if base.digest not in self._interpreters:
            interpreter = bytecode.of_base(base, self._lock.bases, self._store)
            self._interpreters[base.digest] = interpreter
        return self._interpreters[base.digest]

    def _project_wheel(self, prepared: Prepared) -> ProjectWheel | None:
        """Return the project's own wheel, built again where the store's is damaged since."""
        planned = prepared.project_wheel
        if planned is None or self._store.has(planned.digest):
            return planned
        wheel = project_wheel.build(self._project, self._lock.build, self._store)
        if wheel is None or wheel.contents != planned.contents:
            message = "the project's own package changed while the image was built"
            raise LockstitchError(message, hint="run the same command again")
        return wheel


def _check_form(specs: Iterable[ImageSpec], form: str) -> None:
    """Raise LockstitchError for each lazy image whose layers would be compressed again."""
    problems = []
    for spec in specs if form != PASSTHROUGH else ():
        if spec.lazy:
            message = f"image `{spec.name}` has lazy = true, and its tables fit no layers that are "
            message += f"compressed again (--compression {form})"
            problems.append(LockstitchError(message, hint=f"lockstitch build {spec.name}"))
    raise_all(problems)


def _wheel_downloads(wheels: Iterable[LockedWheel]) -> Iterator[Download]:
    for wheel in wheels:
        if wheel.url:
            yield Download(name=wheel.filename, url=wheel.url, digest=wheel.digest, size=wheel.size)


def _compiles(planned: LayerPlan, prepared: Prepared) -> bool:
    able = prepared.host is not None or prepared.base.interpreter is not None
    return able and prepared.spec.bytecode and planned.kind in {"stdlib", "wheels", "own"}


def _below_outputs(prepared: Prepared) -> tuple[FoundFile, ...]:
    return tuple(contents.below_outputs(prepared.files, prepared.spec))


def _for_images(error: LockstitchError, names: Sequence[str]) -> LockstitchError:
    """Return the error about a package with the images that would hold it."""
    if " has no wheel for " not in error.message:
        return error
    images = sorted({*names})
    which = f"image{'s' if len(images) > 1 else ''} {', '.join(f'`{name}`' for name in images)}"
    return LockstitchError(f"{error.message} ({which})", hint=error.hint)
