"""Documents that refer to an image: how they are written, and that the image never knows."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.images import image, layer

from lockstitch import files
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci import reader
from lockstitch.oci.entry import file
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import EMPTY, Artifact, referrers_index, referrers_tag, subject_of

IMAGE = image(layer([file("a", b"1")]))
BILL = Artifact(kind="application/vnd.cyclonedx+json", data=b'{"a": 1}')
STATEMENT = Artifact(kind="application/vnd.in-toto+json", data=b"{}", annotations={"x": "y"})


def written(folder: Path) -> Layout:
    layout = Layout(folder / "images")
    layout.write(IMAGE, "serve")
    return layout


def test_the_manifest_is_that_of_the_spec() -> None:
    found = json.loads(BILL.manifest_bytes(IMAGE.descriptor()))
    assert found == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.cyclonedx+json",
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "size": 2,
        },
        "layers": [
            {
                "mediaType": "application/vnd.cyclonedx+json",
                "digest": of_bytes(BILL.data),
                "size": 8,
            }
        ],
        "subject": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": IMAGE.digest,
            "size": len(IMAGE.manifest_bytes()),
        },
    }
    said = json.loads(STATEMENT.manifest_bytes(IMAGE.descriptor()))
    assert said["annotations"] == {"x": "y"}


def test_the_order_of_writing_is_not_in_the_index() -> None:
    found = [each.descriptor(IMAGE.descriptor()) for each in (BILL, STATEMENT)]
    assert referrers_index(found) == referrers_index(found[::-1])


def test_a_layout_has_them_beside_an_image_that_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = written(tmp_path)
    before = layout.manifest_digest("serve"), layout.path(IMAGE.digest).read_bytes()
    assert layout.attach(IMAGE.descriptor(), [STATEMENT, BILL])
    with monkeypatch.context() as patched:
        patched.setattr(files, "lock", None)  # which is not taken
        assert not layout.attach(IMAGE.descriptor(), [BILL, STATEMENT]), "nothing was new"
    assert (layout.manifest_digest("serve"), layout.path(IMAGE.digest).read_bytes()) == before
    assert layout.names() == ["serve"]
    assert layout.tags() == {"serve", referrers_tag(IMAGE.digest)}
    found = layout.referrers(IMAGE.digest)
    assert [each.artifact_type for each in found] == [BILL.kind, STATEMENT.kind]
    (bill,) = layout.referrers(IMAGE.digest, BILL.kind)
    manifest = layout.manifest(bill.digest)
    assert manifest.subject is not None
    assert manifest.subject.digest == IMAGE.digest
    assert b"".join(layout.blob(manifest.layers[0])) == BILL.data
    assert layout.path(of_bytes(EMPTY)).read_bytes() == b"{}"


def test_who_looks_for_images_sees_no_document(tmp_path: Path) -> None:
    layout = written(tmp_path)
    layout.attach(IMAGE.descriptor(), [STATEMENT, BILL])
    assert subject_of(referrers_tag(IMAGE.digest)) == IMAGE.digest
    assert subject_of(f"{referrers_tag(IMAGE.digest)}.sig") == IMAGE.digest
    assert subject_of("sha256-0") is None
    assert [each.name for each in reader.LayoutReader(layout.root).images()] == ["serve"]
    assert len(reader.of_layout(layout.root).layers) == 1, "the only image that there is"


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[::-1]),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to("nothing")),
    ],
)
@pytest.mark.parametrize("part", ["index", "document", "oci-layout"])
def test_what_is_damaged_of_an_own_layout_is_written_anew(
    part: str, damage: Callable[[Path], object], tmp_path: Path
) -> None:
    layout = Layout(written(tmp_path).root, own=True)
    documents = [STATEMENT, BILL]
    layout.attach(IMAGE.descriptor(), documents)
    named = {"index": layout.manifest(referrers_tag(IMAGE.digest)).digest}
    named["document"] = of_bytes(BILL.data)
    place = layout.root / part if part == "oci-layout" else layout.path(named[part])
    whole = place.read_bytes()
    place.chmod(0o644)
    damage(place)
    assert layout.attach(IMAGE.descriptor(), documents)
    assert place.read_bytes() == whole
    assert not layout.attach(IMAGE.descriptor(), documents)


def test_another_digest_of_documents_in_an_own_index_is_mended(tmp_path: Path) -> None:
    layout = Layout(written(tmp_path).root, own=True)
    layout.attach(IMAGE.descriptor(), [STATEMENT, BILL])
    path = layout.root / "index.json"
    whole = path.read_bytes()
    digest = layout.manifest(referrers_tag(IMAGE.digest)).digest
    path.write_bytes(whole.replace(digest.hex.encode(), digest.hex[::-1].encode()))
    assert layout.attach(IMAGE.descriptor(), [STATEMENT, BILL])
    assert path.read_bytes() == whole


def test_a_newer_document_takes_the_place_of_its_type(tmp_path: Path) -> None:
    layout = written(tmp_path)
    layout.attach(IMAGE.descriptor(), [BILL, STATEMENT])
    newer = Artifact(kind=BILL.kind, data=b"[]")
    assert layout.attach(IMAGE.descriptor(), [newer])
    (bill,) = layout.referrers(IMAGE.digest, BILL.kind)
    assert b"".join(layout.blob(layout.manifest(bill.digest).layers[0])) == b"[]"
    assert len(layout.referrers(IMAGE.digest)) == 2
    layout.sweep()
    assert not layout.path(of_bytes(BILL.data)).exists()
    assert layout.path(of_bytes(b"[]")).exists()


def test_the_sweep_takes_documents_of_images_that_are_gone(tmp_path: Path) -> None:
    layout = written(tmp_path)
    layout.attach(IMAGE.descriptor(), [BILL])
    layout.sweep()
    assert layout.path(of_bytes(BILL.data)).exists()
    layout.write(image(layer([file("a", b"2")])), "serve")
    layout.sweep()
    assert layout.tags() == {"serve"}
    assert not layout.path(of_bytes(BILL.data)).exists()
    assert layout.referrers(IMAGE.digest) == []


def test_a_blob_that_is_another_one_is_found_out(tmp_path: Path) -> None:
    layout = written(tmp_path)
    layout.attach(IMAGE.descriptor(), [BILL])
    (bill,) = layout.referrers(IMAGE.digest, BILL.kind)
    descriptor = layout.manifest(bill.digest).layers[0]
    path = layout.path(descriptor.digest)
    path.write_bytes(b'{"a": 2}')
    with pytest.raises(LockstitchError, match=r"a blob of .* is sha256:.* not sha256:"):
        list(layout.blob(descriptor))
    path.unlink()
    with pytest.raises(LockstitchError, match="lacks the blob"):
        list(layout.blob(descriptor))
