"""Pins a base of a registry: its digest for a platform, and what its config and layers say."""

import datetime
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lockstitch import threads
from lockstitch.digest import Digest, Hasher, canonical_json, of_bytes, parse_json
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock.bases.base import STAMP
from lockstitch.lock.bases.registry import interpreter, packages
from lockstitch.lock.bases.registry.base import FILES, RegistryBase, history_entry, read
from lockstitch.oci.entry import Kind
from lockstitch.oci.layer import FileLayer, LayerFacts, oci_type
from lockstitch.oci.manifest import Manifest
from lockstitch.oci.model import Descriptor, Platform
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import PARALLEL
from lockstitch.oci.registry.repository import Repository
from lockstitch.oci.rootfs import RootFs, entries
from lockstitch.progress import Reporter
from lockstitch.python.tables import Table
from lockstitch.store import Store
from lockstitch.table import counted
from lockstitch.values import replace

_RECORD = "registry-base-2"  # the kind of store record; a change of what is read is a new name
_LIBRARY = re.compile(r"\.so(?:\.[\w.+-]+)?$")
_PROGRAM = re.compile(r"(?:usr/)?(?:local/)?s?bin/([^/]+)")
_LARGEST = 64 << 30  # bytes of one unpacked layer
_EPOCH = "19800102T000000Z"  # of images that bear no time, or one before that
# What a container of the base would do by itself, and one of ours does not.
_RESETS = (("entrypoint", "Entrypoint"), ("healthcheck", "Healthcheck"))
# Bundles of authorities, as distributions name them.
_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, distroless
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL, UBI
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",
)


def pin(
    reference: str,
    platform: str,
    python: str,
    *,
    repository: Repository,
    store: Store,
    progress: Reporter,
) -> RegistryBase:
    """Return the base that a reference names now, for a platform and Python X.Y.

    Its layers are brought into the store and read once; the base is recorded by its digest.
    Raises LockstitchError when no CPython X.Y is in it, or when it contradicts itself.
    """
    named = repository.manifest(Reference.parse(reference).which)
    wanted = Platform.parse(platform)
    image = named
    if named.is_index:
        image = repository.image(named.for_platform(wanted).digest, wanted)
    key = of_bytes(canonical_json([reference, image.digest, named.digest, platform, python])).hex
    known = store.record(_RECORD, key)
    if known is None:
        index = named.digest if named.is_index else None
        reader = _Reader(image, repository, store)
        known = reader.base(reference, platform, python, index, progress).document()
        store.put_record(_RECORD, key, known)
    problems: list[LockstitchError] = []
    base = read(Table(known, f"`{reference}`", problems), reference)
    raise_all(problems)
    assert base is not None  # noqa: S101 -- without problems there is a value
    return base


def fetch(
    layers: Sequence[LayerFacts], repository: Repository, store: Store, progress: Reporter
) -> None:
    """Fetch a base's layers that the store lacks; raises LockstitchError when one fails."""
    # Each once: an image may have the same empty layer twice.
    wanted = {layer.digest: layer for layer in layers}
    missing = [facts for facts in wanted.values() if not store.has_whole(facts.digest, facts.size)]
    if not missing:
        return
    label = f"fetch {counted(len(missing), 'base layer')}"
    with progress.task(label, sum(facts.size for facts in missing)) as task:

        def bring(layer: LayerFacts) -> None:
            descriptor = Descriptor(
                media_type=layer.media_type, digest=layer.digest, size=layer.size
            )
            repository.fetch(descriptor, store)
            task.advance(layer.size)

        threads.run(missing, bring, parallel=PARALLEL)


class _Reader:
    """Reads one image of a repository, through the store."""

    def __init__(self, image: Manifest, repository: Repository, store: Store) -> None:
        """Read the config and raise LockstitchError when it does not fit the manifest."""
        self.image = image
        self.config = _ImageConfig(repository.small(image.config), image.source)
        self._repository = repository
        self._store = store
        ids = self.config.diff_ids
        if len(ids) != len(image.layers):
            message = f"the config of {image.source} has {len(ids)} diffIDs for "
            message += f"{len(image.layers)} layers"
            raise LockstitchError(message)
        for layer in image.layers:
            oci_type(layer.media_type)
        self._layers = [
            LayerFacts(
                digest=descriptor.digest,
                size=descriptor.size,
                media_type=descriptor.media_type,
                diff_id=diff_id,
                unpacked=0,
            )
            for descriptor, diff_id in zip(image.layers, ids, strict=True)
        ]

    def base(
        self, reference: str, platform: str, python: str, index: Digest | None, report: Reporter
    ) -> RegistryBase:
        """Return the image as a base."""
        config = self.config
        config.check(platform)
        tree, layers = self._tree(reference, platform, report)
        cpython = interpreter.find(tree, config.env, platform, python, reference)
        base = RegistryBase(
            reference=reference,
            platform=platform,
            manifest=self.image.digest,
            index=index,
            config=self.image.config.digest,
            snapshot=config.created,
            python=cpython.version,
            program=cpython.program,
            glibc=cpython.glibc,
            musl=cpython.musl,
            certificates=next((path for path in _CERTIFICATES if tree.file(path)), ""),
            distribution=packages.distribution(tree),
            user=config.user,
            resets=config.resets,
            env=config.env,
            labels=config.labels,
            ports=config.ports,
            volumes=config.volumes,
            history=tuple(config.history(reference, len(layers))),
            layers=tuple(layers),
            packages=packages.find(tree),
        )
        self._store.remember(FILES, base.digest.hex, _files(tree))
        return base

    def _tree(
        self, reference: str, platform: str, report: Reporter
    ) -> tuple[RootFs[bytes], list[LayerFacts]]:
        """Return the root file system, and the layers with the sizes of their contents."""
        fetch(self._layers, self._repository, self._store, report)
        tree = RootFs[bytes]()
        layers = []
        label = f"read {reference} for {platform}"
        with report.task(label, sum(layer.size for layer in self._layers)) as task:
            for layer in self._layers:
                layers.append(replace(layer, unpacked=_add(tree, layer, self._store, reference)))
                task.advance(layer.size)
        taken = [path for path, _ in tree.nodes() if f"{path}/".startswith(_VENV)]
        if taken:
            message = f"`{reference}` has `/{taken[0]:.200}`, where the image's packages are put"
            raise LockstitchError(message, hint="use a base without /app/.venv")
        return tree, layers


_VENV = "app/.venv/"


def _files(tree: RootFs[bytes]) -> dict[str, list[str]]:
    """Return the paths of the base's libraries and the names of its programs."""
    paths = [path for path, node in tree.nodes() if node.kind is not Kind.FOLDER]
    programs = {m[1] for path in paths if (m := _PROGRAM.fullmatch(path))}
    return {
        "libraries": [path for path in paths if _LIBRARY.search(path)],
        "programs": sorted(programs),
        "symbols": [],
    }


def _add(tree: RootFs[bytes], layer: LayerFacts, store: Store, reference: str) -> int:
    """Lay a layer over the others, check its diffID, and return the bytes of its files."""
    hasher = Hasher()

    def seen(data: bytes) -> None:
        hasher.update(data)
        if hasher.size > _LARGEST:
            message = f"a layer of `{reference}` has more than {_LARGEST} bytes unpacked"
            raise LockstitchError(message)

    facts = replace(layer, media_type=oci_type(layer.media_type))
    fetched = FileLayer(facts=facts, created_by=reference, path=store.path(layer.digest))
    size = tree.add(entries(fetched, _wanted, seen=seen))
    if hasher.digest() != layer.diff_id:
        message = f"the layer {layer.digest} of `{reference}` unpacks to {hasher.digest()}, its "
        message += f"config says {layer.diff_id}"
        raise LockstitchError(message, hint="no engine would run it: use another base")
    return size


def _wanted(name: str) -> bool:
    path = re.sub(r"^(?:\.?/)+", "", name)
    return interpreter.wanted(path) or packages.wanted(path)


class _ImageConfig:
    """The settings of a base's containers: environment, user, labels, and its history."""

    def __init__(self, data: bytes, source: str) -> None:
        """Read it, or raise LockstitchError with all that is wrong with it."""
        try:
            document = _without_empty(parse_json(data))
        except ValueError:
            document = None
        problems: list[LockstitchError] = []
        top = Table(document, f"the config of {source}", problems)
        inner = Table(_without_empty(top.raw("config") or {}), top.path, problems)
        self._source = source
        self._history = top.raw("history")
        self.platform = f"{top.text('os')}/{top.text('architecture')}"
        self.created = _stamp(top.text("created"))
        self.env = dict(_pair(text) for text in inner.texts("Env"))
        labels = _object(inner.raw("Labels"))
        self.labels = {key: value for key, value in labels.items() if isinstance(value, str)}
        self.ports = tuple(sorted(_object(inner.raw("ExposedPorts"))))
        self.volumes = tuple(sorted(_object(inner.raw("Volumes"))))
        self.user = inner.text("User")
        self.resets = tuple(name for name, key in _RESETS if inner.raw(key))
        ids = top.table("rootfs").texts("diff_ids")
        raise_all(problems)
        self.diff_ids = tuple(Digest.parse(text) for text in ids)

    def check(self, platform: str) -> None:
        """Raise LockstitchError when it is for another platform."""
        if self.platform != platform:
            message = f"{self._source} is for {self.platform:.80}, not for {platform}"
            hint = "change `platforms`, or name a base that has it"
            raise LockstitchError(message, hint=hint)

    def history(self, reference: str, layers: int) -> Iterator[str]:
        """Yield the history as JSON texts; one of our own for each layer where it does not fit."""
        entries = self._history if isinstance(self._history, list) else []
        entries = [history_entry(entry) for entry in entries]
        if sum(not entry.get("empty_layer") for entry in entries) != layers:
            entries = [{"created_by": f"{reference}, layer {n + 1}"} for n in range(layers)]
        for step in entries:
            yield json.dumps(step, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _without_empty(value: object) -> object:
    """Return an object without its nulls, which programs in Go write for empty values."""
    if not isinstance(value, dict):
        return value
    return {key: item for key, item in value.items() if item is not None and item != ""}


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _stamp(text: str) -> str:
    """Return a time (RFC 3339) as lockstitch.lock writes it."""
    try:
        time = datetime.datetime.fromisoformat(text)
        time = time if time.tzinfo else time.replace(tzinfo=datetime.UTC)
        stamp = time.astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, OverflowError):
        return _EPOCH
    return max(stamp, _EPOCH) if STAMP.fullmatch(stamp) else _EPOCH
