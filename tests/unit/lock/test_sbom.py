"""Bills of materials: the official schema takes them, and their bytes depend on nothing else."""

import json
from pathlib import Path

import pytest
from packageurl import PackageURL

from lockstitch.cli.main import main
from lockstitch.digest import of_bytes
from lockstitch.lock import sbom
from lockstitch.lock.bases.debian import DebianPackage
from lockstitch.lock.bases.debian.base import component as component_of

DIGEST = of_bytes(b"wheel")
GCC = DebianPackage(
    name="libstdc++6",
    version="1:12.2.0-14+deb12u1",
    architecture="amd64",
    archive="debian",
    path="pool/main/g/gcc-12/libstdc++6_12.2.0-14_amd64.deb",
    digest=of_bytes(b"deb"),
    size=3,
)
pytestmark = pytest.mark.xdist_group("jsonschema")  # which cyclonedx imports
IMAGE = sbom.image("churn", "0.1.0", "serve", properties={"lockstitch:platform": "linux/amd64"})
ADDRESS = "https://example.test/a-1.whl"


def component(name: str, *, licence: str = "") -> sbom.Component:
    facts = sbom.PackageFacts(licences=(licence,) if licence else ())
    return sbom.python(name, "1.0+cpu", DIGEST, ADDRESS, facts)


def problems(text: str) -> object:
    # Not at the top: it takes 3 s, and every process of the suite imports every file.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)


def test_the_schema_takes_it() -> None:
    parts = [
        component("alpha", licence="mit or Apache-2.0"),
        component("beta", licence="as is, in French"),
        component_of(GCC, "bookworm"),
        sbom.project("churn", "0.1.0"),
    ]
    needs = {IMAGE.ref: [part.ref for part in parts], parts[0].ref: [parts[1].ref]}
    text = sbom.dumps(sbom.document(IMAGE, parts, needs, created=1767323045))
    assert problems(text) is None
    found = json.loads(text)
    assert found["metadata"]["timestamp"] == "2026-01-02T03:04:05Z"
    alpha, beta = (each for each in found["components"] if "licenses" in each)
    assert alpha["licenses"] == [{"expression": "MIT OR Apache-2.0"}]
    assert beta["licenses"] == [{"license": {"name": "as is, in French"}}]
    assert alpha["externalReferences"][0]["url"] == ADDRESS
    assert alpha["hashes"] == [{"alg": "SHA-256", "content": DIGEST.hex}]


def test_the_schema_takes_what_is_exported(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "sbom", "--image", "train"]) == 0
    assert problems(capsys.readouterr().out) is None


def test_the_schema_is_really_asked() -> None:
    found = sbom.document(IMAGE, [], {})
    assert problems(sbom.dumps(found)) is None
    assert problems(sbom.dumps(found | {"invented": 1})) is not None


@pytest.mark.parametrize(
    ("purl", "wanted"),
    [
        (component("torch").purl, PackageURL("pypi", None, "torch", "1.0+cpu")),
        (
            component_of(GCC, "bookworm").purl,
            PackageURL(
                "deb", "debian", GCC.name, GCC.version, {"arch": "amd64", "distro": "bookworm"}
            ),
        ),
    ],
)
def test_a_purl_is_spelled_as_the_reference_spells_it(purl: str, wanted: PackageURL) -> None:
    assert purl == wanted.to_string()


def test_the_order_of_finding_is_not_in_the_bytes() -> None:
    parts = [component(name) for name in "abcdef"]
    needs = {IMAGE.ref: [part.ref for part in parts], parts[0].ref: [p.ref for p in parts[1:]]}
    wanted = sbom.dumps(sbom.document(IMAGE, parts, needs))
    for _ in range(5):
        parts = [*parts[1::2], *parts[::2]]
        turned = {ref: [*refs[1::2], *refs[::2]] for ref, refs in reversed(needs.items())}
        assert sbom.dumps(sbom.document(IMAGE, parts, turned)) == wanted


def test_the_serial_number_is_of_the_contents() -> None:
    one = sbom.document(IMAGE, [component("a")], {})
    assert one == sbom.document(IMAGE, [component("a")], {})
    assert one["serialNumber"] != sbom.document(IMAGE, [component("b")], {})["serialNumber"]
    assert (
        one["serialNumber"] != sbom.document(IMAGE, [component("a")], {}, created=1)["serialNumber"]
    )
    assert "timestamp" not in one["metadata"]


def test_what_is_not_known_is_not_said() -> None:
    found = sbom.document(sbom.project("a", ""), [component("b")], {})
    assert "licenses" not in sbom.dumps(found)
    assert found["dependencies"] == []
    assert found["metadata"]["component"] == {
        "type": "application", "bom-ref": "project:a", "name": "a"
    }  # fmt: skip
