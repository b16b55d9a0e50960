"""Bills of materials (CycloneDX 1.6): components in, a document in canonical form out."""

import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

from lockstitch.digest import Digest, canonical_json
from lockstitch.values import field, frozen

FORMAT: Final = "application/vnd.cyclonedx+json"
LEFT_OUT: Final = "lockstitch:left-out"  # a property for each path, or folder with all in it
_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"  # a name, never fetched
_NAMESPACE = bytes.fromhex("a4f5c0d26f0e5b439d0f3c1f6f0a7b61")  # ours; never changes


@frozen
class PackageFacts:
    """The facts of a package that only its file has, and not the locks."""

    licences: tuple[str, ...] = ()  # SPDX expressions, or names of licences; () means unknown
    left_out: tuple[str, ...] = ()  # its files that the image does not have

    def document(self) -> dict[str, list[str]]:
        """Return it as JSON."""
        return {"licences": list(self.licences), "left_out": list(self.left_out)}

    @classmethod
    def of_document(cls, document: Mapping[str, list[str]]) -> "PackageFacts":
        """Return the facts of a document that `document` made."""
        return cls(licences=tuple(document["licences"]), left_out=tuple(document["left_out"]))


NO_FACTS: Final = PackageFacts()


@frozen
class Component:
    """One thing that an image is made of, or the image itself."""

    kind: str  # as CycloneDX names it: `library`, `application`, `container`
    ref: str  # what names it inside the document: its purl where it has one
    name: str
    version: str
    digest: Digest | None = None
    url: str = ""
    facts: PackageFacts = NO_FACTS
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def purl(self) -> str:
        """Its package URL, "" where it has none."""
        return self.ref if self.ref.startswith("pkg:") else ""


def purl(*path: str, version: str, **qualifiers: str) -> str:
    """Return a package URL: a type, a namespace where it has one, a name, and what qualifies it."""
    text = f"pkg:{'/'.join(map(_quoted, path))}"
    text += f"@{_quoted(version)}" if version else ""
    pairs = "&".join(f"{key}={_quoted(value)}" for key, value in qualifiers.items())
    return f"{text}?{pairs}" if pairs else text


def _quoted(text: str) -> str:
    # The purl specification: a colon stays as it is, all else that is not unreserved is quoted.
    return quote(text, safe=":")


def python(
    name: str, version: str, digest: Digest, url: str, facts: PackageFacts = NO_FACTS
) -> Component:
    """Return the component of a wheel, by its sha256 and the address of the file."""
    return Component(
        kind="library",
        ref=purl("pypi", name, version=version),
        name=name,
        version=version,
        digest=digest,
        url=url,
        facts=facts,
    )


def project(name: str, version: str, facts: PackageFacts = NO_FACTS) -> Component:
    """Return the component of first-party code, which no index has."""
    ref = f"project:{name}"
    return Component(kind="application", ref=ref, name=name, version=version, facts=facts)


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
    metadata: dict[str, object] = {
        "component": _component(subject),
        # Without a version: a newer lockstitch with the same components writes the same.
        "tools": {"components": [{"type": "application", "name": "lockstitch"}]},
    }
    if created is not None:
        time = datetime.datetime.fromtimestamp(created, datetime.UTC)
        metadata["timestamp"] = f"{time:%Y-%m-%dT%H:%M:%SZ}"
    content: dict[str, object] = {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        # By name: the order of the arguments must not reach the bytes.
        "components": [_component(part) for part in sorted(components, key=lambda part: part.ref)],
        "dependencies": [
            {"ref": ref, "dependsOn": sorted(set(refs))} for ref, refs in sorted(needs.items())
        ],
    }
    return content | {"serialNumber": f"urn:uuid:{_uuid5(canonical_json(content))}"}


def _uuid5(name: bytes) -> str:
    """Return RFC 4122's UUID of a name, without `uuid`, which loads `platform`."""
    data = bytearray(hashlib.sha1(_NAMESPACE + name, usedforsecurity=False).digest()[:16])
    data[6], data[8] = data[6] & 0x0F | 0x50, data[8] & 0x3F | 0x80
    text = data.hex()
    return "-".join([text[:8], text[8:12], text[12:16], text[16:20], text[20:]])


def dumps(document: Mapping[str, object]) -> str:
    """Return a document in canonical form, for people to read and for programs to hash."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _component(component: Component) -> dict[str, object]:
    content: dict[str, object] = {
        "type": component.kind,
        "bom-ref": component.ref,
        "name": component.name,
    }
    content |= {"version": component.version} if component.version else {}
    content |= {"purl": component.purl} if component.purl else {}
    hashes = [{"alg": "SHA-256", "content": component.digest.hex}] if component.digest else []
    content |= {"hashes": hashes} if hashes else {}
    if component.url:
        reference: dict[str, object] = {"type": "distribution", "url": component.url}
        content["externalReferences"] = [reference | ({"hashes": hashes} if hashes else {})]
    licences = component.facts.licences
    content |= {"licenses": _licences(licences)} if licences else {}
    left_out = ((LEFT_OUT, path) for path in component.facts.left_out)
    pairs = sorted([*component.properties.items(), *left_out])
    if pairs:
        content["properties"] = [{"name": name, "value": value} for name, value in pairs]
    return content


def _licences(texts: tuple[str, ...]) -> list[dict[str, object]]:
    """Return one SPDX expression, or a list in which each licence has an SPDX id or a name."""
    if len(texts) == 1 and (expression := _expression(texts[0])):
        return [{"expression": expression}]
    licences: list[dict[str, object]] = []
    for text in sorted(texts):
        expression = _expression(text)
        # An id is a word of SPDX's list; expressions and references are none.
        single = bool(expression) and not set(expression) & set(" +") and "Ref-" not in expression
        licences.append({"license": {"id": expression} if single else {"name": text}})
    return licences


def _expression(text: str) -> str:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return ""
