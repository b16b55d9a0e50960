"""What an image will serve with, against what trained its model."""

from pathlib import Path

import pytest
from support import projects, values

from lockstitch.digest import of_bytes
from lockstitch.drift import serving
from lockstitch.drift.compare import Difference
from lockstitch.drift.effects import Effect
from lockstitch.drift.serving import Drift
from lockstitch.fingerprint.model import Fingerprint, System
from lockstitch.lock.file import BuiltWheel, Lock
from lockstitch.python.load import load
from lockstitch.python.model import ImageSpec, Project
from lockstitch.store import Store

ALPINE = values.registry_base(reference="registry.test/python:3.11-alpine", glibc="", musl="1.2")
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
    project = values.project(
        root=tmp_path, name="tiny", version="1", base=ALPINE.reference, images=(spec,)
    )
    lock = values.lock(base=project.base, bases=(ALPINE,))
    trained = Fingerprint(kind="environment")
    image = serving._image(project, lock, spec, "linux/amd64", store, trained)
    assert image.platform == System(system="linux", machine="x86_64", libc="musl")
    (package,) = image.packages
    assert [artifact.hex for artifact in package.artifacts] == [f"1{SHA[1:]}"]


def test_a_wheel_that_was_built_when_locked_is_the_image_s(tmp_path: Path, store: Store) -> None:
    sdist = (
        f'sdist = {{ url = "https://index.test/odd-2.0.tar.gz", hashes = {{ sha256 = "{SHA}" }} }}'
    )
    (tmp_path / "pylock.serve.toml").write_text(PYLOCK.partition("wheels =")[0] + sdist)
    spec = ImageSpec(name="serve")
    project = values.project(
        root=tmp_path, name="tiny", version="1", base=ALPINE.reference, images=(spec,)
    )
    built = BuiltWheel(
        name="odd",
        version="2.0",
        artifact=f"sha256:{SHA}",
        url="https://index.test/odd-2.0.tar.gz",
        filename="odd-2.0-py3-none-any.whl",
        digest=of_bytes(b"built"),
        platform="any",
        python=ALPINE.target().minor,
        compiler="",
        requires=(),
    )
    lock = values.lock(base=project.base, bases=(ALPINE,), built=(built,))
    trained = Fingerprint(kind="environment")
    image = serving._image(project, lock, spec, "linux/amd64", store, trained)
    assert [(package.name, package.artifacts) for package in image.packages] == [
        ("odd", (built.digest,))
    ]


def test_a_build_for_another_accelerator_is_no_drift() -> None:
    def drift(before: str, after: str) -> Drift:
        change = Difference(
            what="package",
            name="torch",
            kind="changed",
            before=before,
            after=after,
            effect=Effect.IMPORTED,
        )
        return Drift(image="serve", path="model.pt", difference=change)

    assert not drift("2.9.0+cu128", "2.9.0+cpu").refused
    assert not drift("2.9.0", "2.9.0+cpu").refused
    assert drift("2.9.0+cu128", "2.9.1+cpu").refused
    assert drift("2.9.0+local", "2.9.0+cpu").refused


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        (
            (),
            (
                "note: trained with Python 3.11.7, the base has 3.11.2; "
                "--allow-drift python silences this\n"
            ),
        ),
        (("python",), ""),
    ],
)
def test_another_patch_of_python_is_one_note(
    allowed: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = load(projects.write(tmp_path))
    patch = Difference(
        what="python",
        name="version",
        kind="changed",
        before="3.11.7",
        after="3.11.2",
        effect=Effect.IMPORTED,
    )

    def differences(
        project: Project, lock: Lock, spec: ImageSpec, *_: object
    ) -> tuple[list[Drift], list[str]]:
        return [Drift(image=spec.name, path="models/m.bin", difference=patch)], []

    monkeypatch.setattr(serving, "differences", differences)
    lock = values.lock(inputs=of_bytes(b""))
    images = serving.labelled(
        project, Store(tmp_path / "store"), lock, project.images, list(allowed)
    )
    assert capsys.readouterr().err == said
    assert [image.labels for image in images] == [image.labels for image in project.images]
