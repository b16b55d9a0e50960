"""What an image will serve with, against what trained its model."""

from pathlib import Path

from lockstitch.digest import of_bytes
from lockstitch.drift import serving
from lockstitch.fingerprint.model import Fingerprint, System
from lockstitch.lock.bases.registry import RegistryBase
from lockstitch.lock.file import Lock
from lockstitch.python.model import ImageSpec, Project
from lockstitch.store import Store

ALPINE = RegistryBase(
    reference="registry.test/python:3.11-alpine",
    platform="linux/amd64",
    manifest=of_bytes(b"manifest"),
    index=None,
    config=of_bytes(b"config"),
    snapshot="20260304T050607Z",
    python="3.11.9",
    program="/usr/local/bin/python3.11",
    glibc="",
    musl="1.2",
)
SHA = "0" * 64
WHEEL = '{{ name = "odd-2.0-cp311-cp311-{}_x86_64.whl", url = "{}", hashes = {{ sha256 = "{}" }} }}'
WHEELS = [
    WHEEL.format("manylinux_2_28", "https://index.test/glibc", SHA),
    WHEEL.format("musllinux_1_2", "https://index.test/musl", f"1{SHA[1:]}"),
]
PYLOCK = f"""\
lock-version = "1.0"
created-by = "test"

[[packages]]
name = "odd"
version = "2.0"
wheels = [{", ".join(WHEELS)}]
"""


def test_an_image_on_alpine_is_read_for_its_musl(tmp_path: Path, store: Store) -> None:
    (tmp_path / "pylock.serve.toml").write_text(PYLOCK)
    spec = ImageSpec(name="serve")
    project = Project(
        root=tmp_path,
        name="tiny",
        version="1",
        python="3.11",
        base=ALPINE.reference,
        platforms=("linux/amd64",),
        images=(spec,),
        is_package=False,
        build_requires=(),
        document={},
    )
    lock = Lock(
        inputs=of_bytes(b"inputs"),
        tools=(),
        python="3.11",
        base=project.base,
        files=(),
        build=(),
        bases=(ALPINE,),
    )
    trained = Fingerprint(kind="environment")
    image = serving._image(project, lock, spec, "linux/amd64", store, trained)
    assert image.platform == System(system="linux", machine="x86_64", libc="musl")
    (package,) = image.packages
    assert [each.hex for each in package.artifacts] == [f"1{SHA[1:]}"]
