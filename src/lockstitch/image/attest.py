"""Makes the bill of materials and the provenance of an image.

Both follow from the lock, the project's files and its commit: no clock, no name of a machine.
"""

from collections.abc import Sequence

from lockstitch import __version__, git
from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.git import Commit
from lockstitch.image.build import Builder, Built
from lockstitch.image.paths import DRIFT, LAYOUT
from lockstitch.image.plan import Prepared
from lockstitch.lock import export, file, provenance, sbom
from lockstitch.lock.export import Known
from lockstitch.lock.file import Lock, pylock_name
from lockstitch.lock.provenance import Material
from lockstitch.oci.layer import PASSTHROUGH
from lockstitch.oci.model import Artifact
from lockstitch.python.model import Project
from lockstitch.store import Store

_KIND, _FORM = "bills", 1  # of store records; the number changes when a bill holds more
_EDGES = "edges"  # of records of what packages need


class Attester:
    """Makes the documents of the images of one build."""

    def __init__(
        self,
        project: Project,
        lock: Lock,
        builder: Builder,
        store: Store,
        *,
        form: str = PASSTHROUGH,
    ) -> None:
        """`form` is how layers are compressed."""
        self._project = project
        self._lock = lock
        self._builder = builder
        self._store = store
        self._form = form

    def documents(self, built: Sequence[Built]) -> dict[Digest, tuple[Artifact, ...]]:
        """Return both documents of each image, by its digest."""
        state = git.commit(self._project.root)
        return {
            image.image.digest: (self.bill(image), self.provenance(image, state)) for image in built
        }

    def bill(self, built: Built) -> Artifact:
        """Return an image's bill of materials; making one takes a while, so it is recorded."""
        prepared, digest = built.prepared, built.image.digest
        wheel = prepared.project_wheel
        packages = self._builder.packages(prepared)
        facts = {key: part.document() for key, part in packages.items()}
        sources = sorted(
            [material.name, material.digest] for material in _files(self._project, self._lock)
        )
        wanted = [_FORM, digest, prepared.spec.name, prepared.created, sources, facts]
        key = of_bytes(canonical_json(wanted)).hex
        known = self._store.record(_KIND, key)
        data = self._store.read(Digest.parse(known)) if known else None
        if data is not None:
            return Artifact(kind=sbom.FORMAT, data=data)
        of_build = Known(
            digest=digest,
            facts=packages,
            project_wheel=wheel.contents if wheel else None,
            wheels=prepared.wheels,
            edges=self._edges(prepared, sources),
        )
        platform = prepared.base.platform
        text = export.bill(self._project, self._lock, prepared.spec, platform, of_build)
        self._store.put_record(_KIND, key, self._store.put(text.encode()))
        return Artifact(kind=sbom.FORMAT, data=text.encode())

    def _edges(self, prepared: Prepared, sources: list[list[str]]) -> dict[str, list[str]] | None:
        """Return the dependency graph, which is the same for the same locks."""
        spec, target = prepared.spec, prepared.base.target()
        key = of_bytes(canonical_json([_FORM, sources, spec.name, *target.markers().items()])).hex
        record = self._store.record(_EDGES, key)
        if record is not None:
            edges: dict[str, list[str]] | None = record["known"]
            return edges
        needs = export.needs(self._project, spec, target)
        known = (
            {name: sorted(names) for name, names in needs.items()} if needs is not None else None
        )
        self._store.remember(_EDGES, key, {"known": known})
        return known

    def provenance(self, built: Built, state: Commit) -> Artifact:
        """Return the provenance of an image, as an in-toto statement with SLSA's predicate."""
        project, prepared = self._project, built.prepared
        spec, base = prepared.spec, prepared.base
        drifts = spec.labels.get(DRIFT, "")
        others = {pylock_name(image.name) for image in project.images if image.name != spec.name}
        materials = [e for e in _files(project, self._lock) if e.name not in others]
        materials.append(Material(name="base", digest=base.digest, uri=project.base))
        if prepared.project_wheel:
            contents = prepared.project_wheel.contents
            materials.append(Material(name="first-party code", digest=contents))
        decided = [collision.document() for collision in prepared.collisions]
        # Which run wrote the image's model: by digest, and so is its record.
        models = spec.models.items()
        materials += [Material(name=name, digest=Digest.parse(digest)) for name, digest in models]
        statement = provenance.statement(
            f"{project.name}-{spec.name}",
            built.image.digest,
            materials,
            commit=state,
            external={
                "image": spec.name,
                "platform": base.platform,
                "base": project.base,
                **({"packages": [*project.packages]} if project.packages else {}),
                "allowedDrift": drifts.split("; ") if drifts else [],
            },
            internal={
                "layout": LAYOUT,
                "compression": self._form,
                "python": base.python,
                # Which package a file is of, where several have one.
                **({"collisions": decided} if decided else {}),
            },
            version=__version__,
        )
        return Artifact(
            kind=provenance.FORMAT,
            data=provenance.dumps(statement),
            annotations={"in-toto.io/predicate-type": provenance.PREDICATE},
        )


def _files(project: Project, lock: Lock) -> list[Material]:
    """Return the files that decide what is built: pyproject.toml, and all locks."""
    materials = [Material(name=locked.path, digest=locked.digest) for locked in lock.files]
    for name in ("pyproject.toml", file.NAME):
        data = (project.root / name).read_bytes()
        materials.append(Material(name=name, digest=of_bytes(data)))
    return materials
