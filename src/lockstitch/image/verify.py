"""Verifies an image's manifest, config, layers, packages, SBOM, provenance and locks.

The image comes from a registry or a layout; nothing in it is trusted, and nothing is run.
"""

import posixpath
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lockstitch.digest import Digest, Hasher, of_bytes, parse_json
from lockstitch.errors import LockstitchError
from lockstitch.headers import fields_of
from lockstitch.image.paths import VENV
from lockstitch.image.wheel import Row, read_record_file, record_hash
from lockstitch.lock import provenance, sbom
from lockstitch.lock.file import Lock, pylock_name
from lockstitch.oci.layer import decompress
from lockstitch.oci.manifest import Manifest, Source
from lockstitch.oci.model import Descriptor
from lockstitch.oci.rootfs import StoredFile, files_of
from lockstitch.progress import Reporter, Task
from lockstitch.python.model import Project
from lockstitch.python.names import normal
from lockstitch.values import frozen, positional

_MOST, _LONGEST = 100, 500  # problems of one check that are shown, and the characters of each
# What reading a malformed document raises.
BROKEN = (LockstitchError, ValueError, LookupError, TypeError, AttributeError)
_LARGEST = 64 << 20  # bytes of a config or of a document
_LABEL = "dev.lockstitch.lock"
_BASE = "org.opencontainers.image.base.name"
_SITE_PACKAGES = rf"{VENV}/lib/python3\.[0-9]+t?/site-packages"
_INFO = re.compile(rf"{_SITE_PACKAGES}/[^/]+\.dist-info/(METADATA|RECORD)")
_SITE = re.compile(rf"{_SITE_PACKAGES}/.*")
_STATUS = re.compile(r"var/lib/dpkg/status\.d/[^/]+(?<!\.md5sums)")
_COMPILED = re.compile(r".*/__pycache__/[^/]+\.pyc")


@dataclass(slots=True, kw_only=True)
class Findings:
    """The checks of an image, and the problems that they show."""

    digest: Digest
    platform: str = ""
    problems: dict[str, list[str]] = field(default_factory=dict)  # by check
    skipped: dict[str, str] = field(default_factory=dict)  # why, by check

    def lines(self) -> list[str]:
        """Return every problem with its check before it."""
        return [f"{check}: {text}" for check, texts in self.problems.items() for text in texts]


@frozen
class Locks:
    """The digests of a project's locks, to compare an image with."""

    project: str
    pylocks: Mapping[str, Digest]  # by image
    bases: Mapping[str, Digest]  # by platform


def locks_of(project: Project, lock: Lock) -> Locks:
    """Return the digests of a project's locks as they are now."""
    paths = {image.name: project.root / pylock_name(image.name) for image in project.images}
    return Locks(
        project=project.name,
        pylocks={k: of_bytes(p.read_bytes()) for k, p in paths.items() if p.is_file()},
        bases={base.platform: base.digest for base in lock.bases},
    )


def verify(
    source: Source, image: Manifest, progress: Reporter, locks: Locks | None = None
) -> Findings:
    """Return the problems of an image of one platform; reads all of its layers."""
    findings = Findings(digest=image.digest)
    problems = findings.problems
    try:
        config = parse_json(document(source, image.config))
        diff_ids = [Digest.parse(text) for text in config["rootfs"]["diff_ids"]]
        labels = dict(config.get("config", {}).get("Labels") or {})
        findings.platform = f"{config['os']}/{config['architecture']}"
    except BROKEN as error:
        problems["config"] = [f"it cannot be read: {error}"]
        return findings
    problems["config"] = []
    if len(diff_ids) != len(image.layers):
        text = f"it has {len(diff_ids)} diffIDs, the manifest has {len(image.layers)} layers"
        problems["config"].append(text)
    layers = _Layers(source, image, diff_ids)
    total = sum(layer.size for layer in image.layers)
    with progress.task(f"read {len(image.layers)} layers", total) as task:
        contents = layers.contents(task)
    problems["layers"] = layers.problems
    if contents is None:
        findings.skipped |= dict.fromkeys(("packages", "sbom"), "a layer cannot be read")
    else:
        problems["packages"] = list(contents.problems())
        check = partial(check_bill, digest=image.digest, contents=contents)
        problems["sbom"] = _of_documents(source, image, sbom.FORMAT, check)
    # The files of a project may be built at several commits with one and the same result.
    statements: list[Any] = []

    def check_and_keep(statement: Any) -> list[str]:
        texts = list(check_origin(statement, image.digest, labels))
        statements.append(statement)  # only what could be read to its end
        return texts

    problems["provenance"] = _of_documents(source, image, provenance.FORMAT, check_and_keep)
    if locks is None:
        findings.skipped["lock"] = "not in a project"
    elif not statements:
        findings.skipped["lock"] = "no provenance"
    else:
        # The record that fits best: an older one is of files that have changed since.
        compared = [_compared_with_locks(statement, locks, labels) for statement in statements]
        problems["lock"] = min(compared, key=len)
    findings.problems = {check: _short(texts) for check, texts in problems.items()}
    return findings


def _compared_with_locks(statement: Any, locks: Locks, labels: Mapping[str, str]) -> list[str]:
    try:
        return list(check_locks(statement, locks, labels))
    except BROKEN as error:
        return [f"the provenance cannot be read: {error}"]


def _short(texts: Sequence[str]) -> list[str]:
    """Return problems fit for a terminal: their quotes may be meant to harm."""
    shown = ["".join(c if c.isprintable() else "\ufffd" for c in text) for text in texts[:_MOST]]
    cut = [text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in shown]
    return cut + ([f"and {len(texts) - _MOST} more"] if len(texts) > _MOST else [])


def document(source: Source, descriptor: Descriptor) -> bytes:
    """Return a small blob, checked; raises LockstitchError when it is large, or not its digest."""
    if descriptor.size > _LARGEST:
        message = f"{descriptor.digest} has {descriptor.size} bytes, more than {_LARGEST}"
        raise LockstitchError(message)
    return b"".join(source.blob(descriptor))


def _of_documents(
    source: Source, image: Manifest, kind: str, check: Callable[[Any], Iterable[str]]
) -> list[str]:
    """Return the problems of all documents of a kind, or that there is none."""
    descriptors = source.referrers(image.digest, kind)
    if not descriptors:
        return [f"nothing of the type `{kind}` refers to the image"]
    problems: list[str] = []
    for descriptor in descriptors:
        try:
            manifest = source.manifest(descriptor.digest)
            subject = manifest.subject
            if subject is None or subject.digest != image.digest:
                problems.append(f"{descriptor.digest.short} is not about this image")
                continue
            for layer in manifest.layers:
                problems += check(parse_json(document(source, layer)))
        except BROKEN as error:
            problems.append(f"{descriptor.digest.short} cannot be read: {error}")
    return problems


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

    def contents(self, task: Task) -> "Contents | None":
        """Return the contents of the layers, or None with the problems of all that are damaged."""
        layers = [partial(self._plain, number, task) for number in range(len(self._layers))]
        try:
            files = files_of(layers, content=_tells_packages, digest=_is_in_environment)
            self._finish()
        except LockstitchError as error:
            self.problems.append(error.message)
        else:
            return Contents(files)
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
        for chunk in decompress(self._blob(layer, task), layer.media_type):
            hasher.update(chunk)
            yield chunk
        wanted = self._diff_ids[number] if number < len(self._diff_ids) else None
        if wanted and hasher.digest() != wanted:
            text = f"layer {number} has the diffID {hasher.digest()}, the config says {wanted}"
            self.problems.append(text)

    def _blob(self, layer: Descriptor, task: Task) -> Iterator[bytes]:
        for chunk in self._source.blob(layer):
            yield chunk
            task.advance(len(chunk))


# --- what is installed, read from the files of the layers


@frozen
class Installed:
    """One package in the environment of an image."""

    name: str  # normalised
    version: str
    info: str  # the path of its .dist-info folder
    rows: tuple[Row, ...]  # of its RECORD file


def _tells_packages(path: str) -> bool:
    """Return whether the content of a file says what is installed."""
    return bool(_INFO.fullmatch(path) or _STATUS.fullmatch(path))


def _is_in_environment(path: str) -> bool:
    """Return whether RECORD files may name a file with a hash."""
    return path.startswith(f"{VENV}/")


@positional
class Contents:
    """The files of an image by path, those of the environment with their digests."""

    files: Mapping[str, StoredFile]

    def debian(self) -> dict[str, str]:
        """Return the versions of the Debian packages by their names."""
        paths = [path for path in self.files if _STATUS.fullmatch(path)]
        fields = [fields_of(self._text(path)) for path in sorted(paths)]
        return {row.get("package", ""): row.get("version", "") for row in fields}

    def _text(self, path: str) -> bytes:
        file = self.files.get(path)
        return (file.content if file else None) or b""

    def installed(self) -> list[Installed]:
        """Return the packages of the environment, sorted by name."""
        packages = []
        for path in sorted(path for path in self.files if _INFO.fullmatch(path)):
            info, _, name = path.rpartition("/")
            if name != "METADATA":
                continue
            fields = fields_of(self._text(path))
            try:
                rows = read_record_file(self._text(f"{info}/RECORD"))
            except ValueError:
                rows = []
            packages.append(
                Installed(
                    name=normal(fields.get("name", "")),
                    version=fields.get("version", ""),
                    info=info,
                    rows=tuple(rows),
                )
            )
        return sorted(packages, key=lambda package: package.name)

    def problems(self) -> Iterator[str]:
        """Yield each file that is missing or not as its RECORD says, or that no RECORD names."""
        named = set()
        for package in self.installed():
            if f"{package.info}/RECORD" not in self.files:
                yield f"`{package.name}` has no RECORD"
            site = package.info.rpartition("/")[0]
            for row, hashed, size in package.rows:
                path = posixpath.normpath(f"{site}/{row}")
                named.add(path)
                yield from self._compared(package.name, path, hashed, size)
        for path in sorted(self.files):
            if _SITE.fullmatch(path) and path not in named and not _COMPILED.fullmatch(path):
                yield f"`{path}` is of no package"

    def _compared(self, package: str, path: str, hashed: str, size: str) -> Iterator[str]:
        file = self.files.get(path)
        if file is None:
            yield f"`{path}` of `{package}` is missing"
            return
        if file.digest and hashed.startswith("sha256="):
            actual = record_hash(file.digest)
            if hashed.rstrip("=") not in {actual, f"sha256={file.digest.hex}"}:
                yield f"`{path}` of `{package}` is {actual}, its RECORD says {hashed:.80}"
                return
        if size and size != str(file.size):
            yield f"`{path}` of `{package}` has {file.size} bytes, its RECORD says {size:.20}"


# --- what documents say about the image


def check_bill(bill: Any, digest: Digest, contents: Contents) -> Iterator[str]:
    """Yield where a bill of materials and the image differ: each package, both ways."""
    if bill["bomFormat"] != "CycloneDX":
        yield f"it is `{bill['bomFormat']!s:.40}`, not CycloneDX"
        return
    about = [known["content"] for known in bill["metadata"]["component"].get("hashes", [])]
    if about != [digest.hex]:
        yield f"it is about {', '.join(map(str, about)) or 'no image'}, not {digest.hex}"
    python: set[tuple[str, str]] = set()
    debian: dict[tuple[str, str], bool] = {}  # whether it is one of the lock's
    for component in bill["components"]:
        purl, version = component.get("purl", ""), component.get("version", "")
        if purl.startswith("pkg:pypi/") or component["bom-ref"].startswith("project:"):
            python.add((normal(component["name"]), version))
        elif purl.startswith("pkg:deb/"):
            # Without a hash it is of a registry's base.
            debian[component["name"], version] = "hashes" in component
    installed = {(package.name, package.version) for package in contents.installed()}
    yield from _both_ways(python, installed, "package")
    # The packages of a registry's base are in the status files of its own package manager.
    elsewhere = {package for package, ours in debian.items() if not ours}
    yield from _both_ways({*debian}, {*contents.debian().items()} | elsewhere, "Debian package")


def _both_ways(
    listed: set[tuple[str, str]], present: set[tuple[str, str]], what: str
) -> Iterator[str]:
    for name, version in sorted(listed - present):
        yield f"{what} `{name} {version}` is in it and not in the image"
    for name, version in sorted(present - listed):
        yield f"{what} `{name} {version}` is in the image and not in it"


def check_origin(statement: Any, digest: Digest, labels: Mapping[str, str]) -> Iterator[str]:
    """Yield where a statement of provenance and the image differ."""
    about = [part["digest"].get("sha256") for part in statement["subject"]]
    if about != [digest.hex]:
        yield f"it is about {', '.join(map(str, about)) or 'no image'}, not {digest.hex}"
    if statement["predicateType"] != provenance.PREDICATE:
        yield f"it is `{statement['predicateType']!s:.80}`, not {provenance.PREDICATE}"
        return
    parameters, materials = _build_definition(statement)
    name = pylock_name(parameters["image"])
    known = materials.get(name)
    label = labels.get(_LABEL, "").removeprefix("sha256:")
    if known != label:
        yield f"`{name}` is {known}, the label {_LABEL} says {label or 'nothing'}"
    base = parameters["base"]
    if base != labels.get(_BASE):
        yield f"the base is `{base}`, the label {_BASE} says `{labels.get(_BASE)}`"


def check_locks(statement: Any, locks: Locks, labels: Mapping[str, str]) -> Iterator[str]:
    """Yield which of a project's locks are not those that the image was made from."""
    parameters, materials = _build_definition(statement)
    title = statement["subject"][0]["name"]
    if title != f"{locks.project}-{parameters['image']}":
        yield f"the image is `{title!s:.80}`, of another project than `{locks.project}`"
        return
    image, platform = parameters["image"], parameters["platform"]
    name = pylock_name(image)
    pylock = locks.pylocks.get(image)
    for material, here in {name: pylock, "base": locks.bases.get(platform)}.items():
        if here is None:
            yield f"the project has no `{material}` for {image}, {platform}"
        elif here.hex != materials.get(material):
            yield f"`{material}` is {here.hex}, the image is from {materials.get(material)}"
    if pylock is not None and str(pylock) != labels.get(_LABEL):
        yield f"`{name}` is {pylock}, the label {_LABEL} says {labels.get(_LABEL)}"


def _build_definition(statement: Any) -> tuple[Any, dict[str, str]]:
    """Return the user's settings, and the sha256 of each input of the image."""
    definition = statement["predicate"]["buildDefinition"]
    materials = definition["resolvedDependencies"]
    digests = {material["name"]: material["digest"].get("sha256", "") for material in materials}
    return definition["externalParameters"], digests
