"""A base from a registry as lockstitch.lock has it: enough to build on without its layers."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from lockstitch.digest import Digest, parse_json
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock.bases.base import (
    PATCH,
    PLATFORM,
    STAMP,
    Base,
    ImageDefaults,
    read_digest,
    read_text,
)
from lockstitch.lock.sbom import Component, PackageFacts, purl
from lockstitch.net.download import Download
from lockstitch.oci.layer import LayerFacts, oci_type
from lockstitch.oci.reference import Reference
from lockstitch.patterns import regex
from lockstitch.python.tables import Table
from lockstitch.python.target import Target
from lockstitch.values import field, frozen

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # an engine's own
_PATH = r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._+@~-]+)+"  # what a pyvenv.cfg and a symlink can hold
# The texts of a table, in its order, and their forms.
_TEXTS = {
    "snapshot": STAMP,
    "python": PATCH,
    "program": regex(_PATH),
    "glibc": regex(r"(?:2\.\d{1,3})?"),
    "musl": regex(r"(?:1\.\d{1,2})?"),
    "certificates": regex(f"(?:{_PATH})?"),
    "distribution": regex(r"[A-Za-z0-9._-]*"),
    "user": regex(r"[A-Za-z0-9._:-]*"),
}
_RESETS = frozenset({"entrypoint", "healthcheck"})
_MOST = 1 << 50
_KEYS = ("kind", "name", "version", "architecture", "licence")  # of a package
# What Debian and Alpine allow; nothing here can leave a purl or a line of a terminal.
_FORMS = {
    "kind": regex(r"deb|apk"),
    "name": regex(r"[A-Za-z0-9._][A-Za-z0-9+._-]*"),
    "version": regex(r"[0-9A-Za-z.+~:_-]+"),
    "architecture": regex(r"[A-Za-z0-9_-]*"),
}

FILES = "registry-files"  # the kind of store record of a base's libraries and programs


@frozen
class SystemPackage:
    """A package of the base's own package manager, as its status files name it."""

    kind: str  # "deb", "apk"
    name: str
    version: str
    architecture: str
    licence: str = ""

    def __post_init__(self) -> None:
        """Raise LockstitchError for values that no package has."""
        raise_all(
            [
                LockstitchError(f"`{getattr(self, key)!s:.200}` is not the {key} of a package")
                for key, form in _FORMS.items()
                if not form.fullmatch(getattr(self, key))
            ]
        )

    def component(self, distribution: str) -> Component:
        """Return its component; the distribution is as in `debian-12`."""
        family = distribution.partition("-")[0] or {"deb": "debian", "apk": "alpine"}[self.kind]
        distro = {"distro": distribution} if distribution else {}
        path = (self.kind, family, self.name)
        reference = purl(*path, version=self.version, arch=self.architecture, **distro)
        return Component(
            kind="library",
            ref=reference,
            name=self.name,
            version=self.version,
            facts=PackageFacts(licences=(self.licence,) if self.licence else ()),
        )


@frozen
class RegistryBase:
    """An image with a CPython in it, for one platform; see `Base`."""

    kind: ClassVar[str] = "registry"
    layer_kinds: ClassVar[tuple[str, ...]] = ()
    interpreter: ClassVar[None] = None
    python_paths: ClassVar[tuple[str, ...]] = ()
    library: ClassVar[str] = ""
    lacks: ClassVar[frozenset[str]] = frozenset()
    release: ClassVar[str] = ""
    requested: ClassVar[tuple[str, ...]] = ()

    reference: str  # as pyproject.toml names it
    platform: str
    manifest: Digest
    index: Digest | None  # what holds the manifests of all platforms, if anything does
    config: Digest
    snapshot: str  # when it was made
    python: str
    program: str  # the absolute path of its Python
    glibc: str = ""
    musl: str = ""
    certificates: str = ""  # the absolute path of its bundle of authorities
    distribution: str = ""  # ID and VERSION_ID of os-release, as in `debian-12`
    user: str = ""
    resets: tuple[str, ...] = ()  # settings that its containers have and ours do not
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    history: tuple[str, ...] = ()  # JSON objects, lowest first
    layers: tuple[LayerFacts, ...] = ()
    packages: tuple[SystemPackage, ...] = ()

    @property
    def plain(self) -> Self:
        return self

    @property
    def name(self) -> str:
        return self.reference

    @property
    def digest(self) -> Digest:
        return self.manifest

    @property
    def image(self) -> str:
        return str(Reference.parse(self.reference).at(self.index or self.manifest))

    def target(self) -> Target:
        return Target(platform=self.platform, python=self.python, glibc=self.glibc, musl=self.musl)

    def defaults(self) -> ImageDefaults:
        manifest = {"org.opencontainers.image.base.digest": str(self.manifest)}
        return ImageDefaults(
            env={"PATH": PATH, **self.env},
            certificates=self.certificates,
            labels={**self.labels, **manifest},
            ports=self.ports,
            volumes=self.volumes,
            history=tuple(history_entry(parse_json(text)) for text in self.history),
            user=self.user,
            resets=self.resets,
        )

    def downloads(self) -> list[Download]:
        return []

    def components(self, _: Mapping[str, PackageFacts]) -> list[Component]:
        name = self.reference.partition("@")[0]
        repository, colon, tag = name.rpartition(":")
        repository = repository if colon and "/" not in tag else name
        path = ("oci", repository.rpartition("/")[2])
        reference = purl(*path, version=str(self.manifest), repository_url=repository)
        image = Component(
            kind="container",
            ref=reference,
            name=self.reference,
            version=str(self.manifest),
            digest=self.manifest,
        )
        return [image, *(package.component(self.distribution) for package in self.packages)]

    def pins(self) -> dict[str, tuple[str, frozenset[str]]]:
        return {package.name: (package.version, frozenset()) for package in self.packages} | {
            "base image": (f"sha256:{self.manifest.short}", frozenset([self.manifest.hex])),
            "base python": (self.python, frozenset()),
        }

    def equivalent(self, fresh: Base) -> bool:
        return self == fresh

    def document(self) -> dict[str, object]:
        values: dict[str, object] = {
            "platform": self.platform,
            "manifest": self.manifest.hex,
            "index": self.index.hex if self.index else "",
            "config": self.config.hex,
            **{key: getattr(self, key) for key in _TEXTS},
            "resets": sorted(self.resets),
            "ports": sorted(self.ports),
            "volumes": sorted(self.volumes),
            "history": list(self.history),
            "env": dict(sorted(self.env.items())),
            "labels": dict(sorted(self.labels.items())),
            "layer": [
                {
                    "sha256": layer.digest.hex,
                    "size": layer.size,
                    "type": layer.media_type,
                    "diff-id": layer.diff_id.hex,
                    "unpacked": layer.unpacked,
                }
                for layer in self.layers
            ],
            "package": [
                {key: value for key in _KEYS if (value := getattr(package, key))}
                for package in self.packages
            ],
        }
        return {key: value for key, value in values.items() if value}


def history_entry(value: object) -> dict[str, Any]:
    """Return the fields of a history entry that the OCI image spec defines."""
    entry = value if isinstance(value, dict) else {}
    texts = ("author", "comment", "created", "created_by")
    kept: dict[str, Any] = {key: entry[key] for key in texts if isinstance(entry.get(key), str)}
    return kept | ({"empty_layer": True} if entry.get("empty_layer") is True else {})


def read(table: Table, reference: str) -> RegistryBase | None:
    """Return the base of a table, or None with problems added to the table."""
    before = len(table.problems)
    layers = [_read_layer(layer) for layer in table.each("layer")]
    packages = [_read_package(package) for package in table.each("package")]
    if not layers:
        table.complain("layer", "is missing")
    resets = table.texts("resets")
    if not _RESETS.issuperset(resets):
        table.complain("resets", f"names `{', '.join(sorted({*resets} - _RESETS)):.80}`")
    base = RegistryBase(
        reference=reference,
        platform=read_text(table, "platform", PLATFORM),
        manifest=read_digest(table, "manifest"),
        index=read_digest(table, "index") if table.has("index") else None,
        config=read_digest(table, "config"),
        **{key: read_text(table, key, form) for key, form in _TEXTS.items()},
        resets=resets,
        env=_texts(table.table("env")),
        labels=_texts(table.table("labels")),
        ports=table.texts("ports"),
        volumes=table.texts("volumes"),
        history=_read_history(table, len(layers)),
        layers=tuple(layer for layer in layers if layer),
        packages=tuple(package for package in packages if package),
    )
    if bool(base.glibc) == bool(base.musl):
        table.complain("glibc", "or `musl` must be there, and not both")
    return base if len(table.problems) == before else None


def _texts(table: Table) -> dict[str, str]:
    return {key: value for key in table if isinstance(value := table.raw(key), str)}


def _read_layer(table: Table) -> LayerFacts | None:
    before = len(table.problems)
    media_type = table.text("type")
    try:
        oci_type(media_type)
    except LockstitchError as error:
        table.complain("type", f"is wrong: {error.message}")
    layer = LayerFacts(
        digest=read_digest(table, "sha256"),
        size=table.number("size", least=1, most=_MOST),
        media_type=media_type,
        diff_id=read_digest(table, "diff-id"),
        unpacked=table.number("unpacked", least=0, most=_MOST),
    )
    return layer if len(table.problems) == before else None


def _read_package(table: Table) -> SystemPackage | None:
    try:
        return SystemPackage(**{key: table.text(key) for key in _KEYS})
    except LockstitchError as error:
        table.problems += [
            LockstitchError(f"`{table.path}`: {problem.message}") for problem in error.everything()
        ]
        return None


def _read_history(table: Table, layers: int) -> tuple[str, ...]:
    texts = table.texts("history")
    try:
        entries = [history_entry(parse_json(text)) for text in texts]
    except ValueError:
        table.complain("history", "is not a list of JSON objects")
        return ()
    real = [entry for entry in entries if not entry.get("empty_layer")]
    if len(real) != layers:
        table.complain("history", f"is of {len(real)} layers, not of {layers}")
    return texts
