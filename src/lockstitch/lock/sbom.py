"""A bill of materials (CycloneDX 1.6): components in, a document in one spelling out."""

import datetime
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from lockstitch.digest import Digest
from lockstitch.lock.bases.debian import DebianPackage
from lockstitch.lock.bases.registry import RegistryBase, SystemPackage
from lockstitch.oci import canonical

__all__ = [
    "FORMAT",
    "LEFT_OUT",
    "Component",
    "Facts",
    "base",
    "debian",
    "document",
    "dumps",
    "image",
    "own",
    "python",
    "system",
]

FORMAT = "application/vnd.cyclonedx+json"
LEFT_OUT = "lockstitch:left-out"  # a property for each path, or folder with all in it
_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"  # a name, which nobody fetches
_NAMESPACE = uuid.UUID("a4f5c0d2-6f0e-5b43-9d0f-3c1f6f0a7b61")  # ours; never changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a part only when it has been read, and not from the locks."""

    licences: tuple[str, ...] = ()  # SPDX expressions, or names of licences
    left_out: tuple[str, ...] = ()  # its files that the image does not have

    def document(self) -> dict[str, list[str]]:
        """Return it as JSON."""
        return {"licences": list(self.licences), "left_out": list(self.left_out)}

    @classmethod
    def of_document(cls, found: Mapping[str, list[str]]) -> "Facts":
        """Return what `document` gave."""
        return cls(licences=tuple(found["licences"]), left_out=tuple(found["left_out"]))


_UNKNOWN = Facts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One thing that an image is made of, or the image itself."""

    kind: str  # as CycloneDX names it: `library`, `application`, `container`
    ref: str  # what names it inside the document: its purl where it has one
    name: str
    version: str
    purl: str = ""
    digest: Digest | None = None
    url: str = ""
    licences: tuple[str, ...] = ()  # SPDX expressions, or names of licences; () means unknown
    properties: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def python(name: str, version: str, digest: Digest, url: str, facts: Facts = _UNKNOWN) -> Component:
    """Return the component of a wheel, by its sha256 and the address of the file."""
    purl = f"pkg:pypi/{_quoted(name)}" + (f"@{_quoted(version)}" if version else "")
    return Component(
        kind="library",
        ref=purl,
        name=name,
        version=version,
        purl=purl,
        digest=digest,
        url=url,
        licences=facts.licences,
        left_out=facts.left_out,
    )


def debian(package: DebianPackage, release: str, facts: Facts = _UNKNOWN) -> Component:
    """Return the component of a Debian package of a release, as in `bookworm`."""
    purl = f"pkg:deb/debian/{_quoted(package.name)}@{_quoted(package.version)}"
    purl += f"?arch={_quoted(package.architecture)}&distro={_quoted(release)}"
    return Component(
        kind="library",
        ref=purl,
        name=package.name,
        version=package.version,
        purl=purl,
        digest=package.digest,
        licences=facts.licences,
        left_out=facts.left_out,
    )


def base(found: RegistryBase) -> Component:
    """Return the component of the base itself, an image that a registry has."""
    name, _, _ = found.reference.partition("@")
    repository, colon, tag = name.rpartition(":")
    repository = repository if colon and "/" not in tag else name
    purl = f"pkg:oci/{_quoted(repository.rpartition('/')[2])}@{_quoted(found.manifest)}"
    purl += f"?repository_url={_quoted(repository)}"
    return Component(
        kind="container",
        ref=purl,
        name=found.reference,
        version=str(found.manifest),
        purl=purl,
        digest=found.manifest,
    )


def system(package: SystemPackage, distribution: str) -> Component:
    """Return the component of a package of the base's distribution, as in `debian-12`."""
    family = distribution.partition("-")[0] or {"deb": "debian", "apk": "alpine"}[package.kind]
    purl = f"pkg:{package.kind}/{_quoted(family)}/{_quoted(package.name)}"
    purl += f"@{_quoted(package.version)}?arch={_quoted(package.architecture)}"
    purl += f"&distro={_quoted(distribution)}" if distribution else ""
    return Component(
        kind="library",
        ref=purl,
        name=package.name,
        version=package.version,
        purl=purl,
        licences=(package.licence,) if package.licence else (),
    )


def own(name: str, version: str, facts: Facts = _UNKNOWN) -> Component:
    """Return the component of first-party code, which no index has."""
    return Component(
        kind="application",
        ref=f"project:{name}",
        name=name,
        version=version,
        licences=facts.licences,
        left_out=facts.left_out,
    )


def image(
    project: str,
    version: str,
    name: str,
    *,
    digest: Digest | None = None,
    properties: Mapping[str, str] | None = None,
) -> Component:
    """Return the component of an image itself, whose digest is its manifest's."""
    return Component(
        kind="container",
        ref=f"image:{name}",
        name=f"{project}/{name}",
        version=version,
        digest=digest,
        properties=properties or {},
    )


def document(
    subject: Component,
    components: Iterable[Component],
    needs: Mapping[str, Iterable[str]],
    *,
    created: int | None = None,
) -> dict[str, object]:
    """Return the document about `subject`.

    `needs` says what needs what, by `ref`; a component that is no key of it has needs that are
    not known. `created` is in seconds since 1970, None leaves the time out. Equal arguments in
    any order give an equal document: its serial number is made from the rest of it.
    """
    # By name: the order of finding must not reach the bytes.
    ordered = sorted(components, key=lambda each: each.ref)
    metadata: dict[str, object] = {
        "component": _component(subject),
        # Without a version: a newer lockstitch that finds the same writes the same.
        "tools": {"components": [{"type": "application", "name": "lockstitch"}]},
    }
    if created is not None:
        time = datetime.datetime.fromtimestamp(created, datetime.UTC)
        metadata["timestamp"] = f"{time:%Y-%m-%dT%H:%M:%SZ}"
    found: dict[str, object] = {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": [_component(each) for each in ordered],
        "dependencies": [
            {"ref": ref, "dependsOn": sorted(set(refs))} for ref, refs in sorted(needs.items())
        ],
    }
    serial = uuid.uuid5(_NAMESPACE, canonical.dumps(found).decode())
    return found | {"serialNumber": f"urn:uuid:{serial}"}


def dumps(found: Mapping[str, object]) -> str:
    """Return a document in its one spelling, for people to read and for programs to hash."""
    return json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _component(each: Component) -> dict[str, object]:
    found: dict[str, object] = {"type": each.kind, "bom-ref": each.ref, "name": each.name}
    found |= {"version": each.version} if each.version else {}
    found |= {"purl": each.purl} if each.purl else {}
    hashes = [{"alg": "SHA-256", "content": each.digest.hex}] if each.digest else []
    found |= {"hashes": hashes} if hashes else {}
    if each.url:
        reference: dict[str, object] = {"type": "distribution", "url": each.url}
        found["externalReferences"] = [reference | ({"hashes": hashes} if hashes else {})]
    found |= {"licenses": _licences(each.licences)} if each.licences else {}
    pairs = sorted([*each.properties.items(), *((LEFT_OUT, path) for path in each.left_out)])
    if pairs:
        found["properties"] = [{"name": name, "value": value} for name, value in pairs]
    return found


def _licences(texts: tuple[str, ...]) -> list[dict[str, object]]:
    """Return one SPDX expression, or a list in which each licence has an SPDX id or a name."""
    if len(texts) == 1 and (expression := _expression(texts[0])):
        return [{"expression": expression}]
    found: list[dict[str, object]] = []
    for text in sorted(texts):
        expression = _expression(text)
        # An id is a word of SPDX's list; expressions and references are none.
        single = bool(expression) and not set(expression) & set(" +") and "Ref-" not in expression
        found.append({"license": {"id": expression} if single else {"name": text}})
    return found


def _expression(text: str) -> str:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return ""


def _quoted(text: str) -> str:
    # The purl specification: a colon stays as it is, all else that is not unreserved is quoted.
    return quote(text, safe=":")
