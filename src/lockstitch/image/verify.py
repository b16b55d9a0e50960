"""Holds an image against what is said of it: manifest, config, layers, SBOM, provenance, lock.

The image comes from a registry or a layout; nothing in it is trusted, and nothing is run.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lockstitch.digest import Digest, Hasher
from lockstitch.errors import LockstitchError
from lockstitch.image import installed, statements
from lockstitch.image.installed import Contents
from lockstitch.image.statements import Locks
from lockstitch.lock import provenance, sbom
from lockstitch.oci import layer_reader
from lockstitch.oci.contents import of_layers
from lockstitch.oci.manifest import Manifest
from lockstitch.oci.model import Descriptor
from lockstitch.oci.source import Source
from lockstitch.progress import Reporter, Task

__all__ = ["BROKEN", "Findings", "document", "verify"]

_MOST, _LONGEST = 100, 500  # problems of one check that are told, and the characters of each
# What reading a document raises that is not what it should be.
BROKEN = (LockstitchError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
_LARGEST = 64 << 20  # bytes of a config or of a document


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was looked at, and what is wrong, by what was checked."""

    digest: Digest
    platform: str = ""
    problems: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)  # why something was not checked

    def lines(self) -> list[str]:
        """Return every problem with what was checked before it."""
        return [f"{name}: {text}" for name, found in self.problems.items() for text in found]


def verify(
    source: Source, image: Manifest, progress: Reporter, locks: Locks | None = None
) -> Findings:
    """Return what is wrong with an image of one platform; reads all of its layers."""
    found = Findings(digest=image.digest)
    try:
        config = json.loads(document(source, image.config))
        diff_ids = [Digest.parse(each) for each in config["rootfs"]["diff_ids"]]
        labels = dict(config.get("config", {}).get("Labels") or {})
        found.platform = f"{config['os']}/{config['architecture']}"
    except BROKEN as error:
        found.problems["config"] = [f"it cannot be read: {error}"]
        return found
    found.problems["config"] = []
    if len(diff_ids) != len(image.layers):
        text = f"it has {len(diff_ids)} diffIDs, the manifest has {len(image.layers)} layers"
        found.problems["config"].append(text)
    layers = _Layers(source, image, diff_ids)
    total = sum(each.size for each in image.layers)
    with progress.task(f"read {len(image.layers)} layers", total) as task:
        contents = layers.contents(task)
    found.problems["layers"] = layers.problems
    if contents is None:
        found.skipped |= dict.fromkeys(("packages", "sbom"), "a layer cannot be read")
    else:
        found.problems["packages"] = list(contents.problems())
        look = partial(statements.bill, digest=image.digest, contents=contents)
        found.problems["sbom"] = _said(source, image, sbom.FORMAT, look)
    # One project's files may have been built at several commits, with one and the same result.
    origins: list[Any] = []

    def origin(said: Any) -> list[str]:
        problems = list(statements.origin(said, image.digest, labels))
        origins.append(said)  # only what could be read to its end
        return problems

    found.problems["provenance"] = _said(source, image, provenance.FORMAT, origin)
    if locks is None:
        found.skipped["lock"] = "not in a project"
    elif not origins:
        found.skipped["lock"] = "no provenance"
    else:
        each = [_locked(said, locks, labels) for said in origins]
        # The one that fits best: an older one tells of files that have moved since.
        found.problems["lock"] = min(each, key=len)
    found.problems = {name: _short(texts) for name, texts in found.problems.items()}
    return found


def _locked(said: Any, locks: Locks, labels: Mapping[str, str]) -> list[str]:
    try:
        return list(statements.locked(said, locks, labels))
    except BROKEN as error:
        return [f"the provenance cannot be read: {error}"]


def _short(texts: Sequence[str]) -> list[str]:
    """Return problems as a terminal can show them: what they quote may be meant to harm."""
    shown = ["".join(c if c.isprintable() else "\ufffd" for c in text) for text in texts[:_MOST]]
    cut = [text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in shown]
    return cut + ([f"and {len(texts) - _MOST} more"] if len(texts) > _MOST else [])


def document(source: Source, descriptor: Descriptor) -> bytes:
    """Return a small blob, checked."""
    if descriptor.size > _LARGEST:
        message = f"{descriptor.digest} has {descriptor.size} bytes, more than {_LARGEST}"
        raise LockstitchError(message)
    return b"".join(source.blob(descriptor))


class _Layers:
    """The layers of an image, each hashed while it is read."""

    def __init__(self, source: Source, image: Manifest, diff_ids: Sequence[Digest]) -> None:
        """Read nothing yet."""
        self._source = source
        self._layers = image.layers
        self._diff_ids = diff_ids
        self._reading: Iterator[bytes] = iter(())
        self._read: set[int] = set()
        self.problems: list[str] = []

    def contents(self, task: Task) -> Contents | None:
        """Return what the layers hold, or None with the problems of all that are damaged."""
        layers = [partial(self._plain, number, task) for number in range(len(self._layers))]
        try:
            found = of_layers(layers, content=installed.wanted, digest=installed.is_site)
            self._finish()
        except LockstitchError as error:
            self.problems.append(error.message)
        else:
            return Contents(found)
        for number in range(len(self._layers)):
            if number not in self._read:
                self._alone(number, task)
        return None

    def _alone(self, number: int, task: Task) -> None:
        try:
            for _ in self._plain(number, task):
                pass
        except (LockstitchError, zlib.error, EOFError) as error:
            self.problems.append(f"layer {number} cannot be read: {error}")

    def _plain(self, number: int, task: Task) -> Iterator[bytes]:
        """Yield the tar of a layer, after what is left of the one before it."""
        self._finish()
        self._read.add(number)
        self._reading = self._hashed(number, task)
        return self._reading

    def _finish(self) -> None:
        # What comes after the end of an archive is hashed too.
        for _ in self._reading:
            pass

    def _hashed(self, number: int, task: Task) -> Iterator[bytes]:
        layer, hasher = self._layers[number], Hasher()
        for chunk in layer_reader.unpacked(self._told(layer, task), layer.media_type):
            hasher.update(chunk)
            yield chunk
        wanted = self._diff_ids[number] if number < len(self._diff_ids) else None
        if wanted and hasher.digest() != wanted:
            text = f"layer {number} has the diffID {hasher.digest()}, the config says {wanted}"
            self.problems.append(text)

    def _told(self, layer: Descriptor, task: Task) -> Iterator[bytes]:
        for chunk in self._source.blob(layer):
            yield chunk
            task.advance(len(chunk))


def _said(
    source: Source, image: Manifest, kind: str, look: Callable[[Any], Iterable[str]]
) -> list[str]:
    """Return the problems of all documents of a kind, or that there is none."""
    described = source.referrers(image.digest, kind)
    if not described:
        return [f"nothing of the type `{kind}` refers to the image"]
    problems: list[str] = []
    for each in described:
        try:
            manifest = source.manifest(each.digest)
            subject = manifest.subject
            if subject is None or subject.digest != image.digest:
                problems.append(f"{each.digest.short} is not about this image")
                continue
            for layer in manifest.layers:
                problems += look(json.loads(document(source, layer)))
        except BROKEN as error:
            problems.append(f"{each.digest.short} cannot be read: {error}")
    return problems
