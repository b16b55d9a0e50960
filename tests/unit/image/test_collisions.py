"""Files that two packages have: which of them an image holds, and who is told."""

import dataclasses
from pathlib import Path

import pytest
from support import values
from support.fakes import Counted
from support.zips import SITE, File, recorded, zipped

from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.image import collisions, plan
from lockstitch.image.build import Builder, Built
from lockstitch.image.collisions import Collision, PackageFiles
from lockstitch.image.project_wheel import ProjectWheel
from lockstitch.image.verify import Contents
from lockstitch.net.download import Fetcher
from lockstitch.oci.layout import Layout
from lockstitch.oci.rootfs import files_of
from lockstitch.python.model import ImageSpec
from lockstitch.store import Store

SERVE = ImageSpec(name="serve", include=("main.py",), bytecode=False)
BASE = values.debian_base()
RECORDED = "app/.venv/lib/python0/site-packages"


def package(*requires: str, trimmed: bool = False, **files: int) -> PackageFiles:
    """Return a package with files by name, whose bytes a number stands for."""
    placed = {f"{RECORDED}/{name}.py": (10, crc, trimmed) for name, crc in files.items()}
    return PackageFiles(files=placed, requires=frozenset(requires))


def found(spec: ImageSpec = SERVE, **packages: PackageFiles) -> list[tuple[str, str, str]]:
    named = {name.replace("_", "-"): each for name, each in packages.items()}
    every = collisions.find(named, spec, "3.11")
    assert all(path.startswith(f"{SITE}/") for each in every for path in each.paths)
    return [(each.winner, each.loser, each.reason) for each in every]


def test_equal_bytes_and_different_paths_are_no_matter() -> None:
    assert found(a=package(x=1, y=1), b=package(x=1, z=1)) == []


def test_the_later_name_wins() -> None:
    assert found(cv=package(x=1), cv_headless=package(x=2)) == [("cv-headless", "cv", "name")]


def test_a_package_wins_over_what_it_requires_also_through_others() -> None:
    assert found(a=package("m", x=1), m=package("z"), z=package(x=2)) == [("a", "z", "dependency")]
    assert found(a=package("z", x=1), z=package("a", x=2)) == [("z", "a", "name")]
    # Of three the one that requires another is before it, and the name decides the rest.
    three = found(a=package("c", x=1), b=package(x=2), c=package(x=3))
    assert three == [("b", "a", "name"), ("b", "c", "name")]


def test_the_table_of_the_image_decides_first() -> None:
    spec = dataclasses.replace(SERVE, prefer=("other", "z", "a"))
    assert found(spec, a=package("z", x=1), z=package(x=2)) == [("z", "a", "prefer")]


def test_who_has_the_winner_s_bytes_loses_nothing() -> None:
    assert found(a=package(x=2), b=package(x=1), c=package(x=2)) == [("c", "b", "name")]


def test_what_trimming_leaves_out_collides_with_nothing() -> None:
    one, other = package(x=1, trimmed=True), package(x=2, trimmed=True)
    assert found(dataclasses.replace(SERVE, trim=True), a=one, b=other) == []
    assert found(a=one, b=other) == [("b", "a", "name")]


def test_a_file_of_one_package_and_a_folder_of_another_is_an_error() -> None:
    packages = {"a": package(**{"x.py/y": 1}), "b": package(x=1)}
    with pytest.raises(LockstitchError) as caught:
        collisions.find(packages, SERVE, "3.11")
    assert caught.value.message == f"`{SITE}/x.py` is a file of `b` and a folder of `a`"
    assert caught.value.hint == "keep one of both packages"


def test_a_sentence_names_packages_paths_bytes_and_the_setting() -> None:
    paths = tuple(f"{SITE}/{name}.so" for name in "abcde")
    one = Collision(winner="cv-b", loser="cv-a", reason="name", paths=paths, size=340_000_000)
    (note,) = collisions.notes([one], SERVE)
    assert note == (
        "`cv-b` and `cv-a` both have 5 files with other bytes, and the image has those of `cv-b` "
        f"(340.0 MB are left out): `{SITE}/a.so`, `{SITE}/b.so`, `{SITE}/c.so` and 2 more; "
        'to decide: prefer = ["cv-a"] in [tool.lockstitch.images.serve]'
    )
    few = dataclasses.replace(one, reason="dependency", paths=paths[:1], size=12)
    (note,) = collisions.notes([few], SERVE)
    assert "both have a file with other bytes" in note
    assert "(12 bytes are left out)" in note
    assert "; it requires `cv-a`, the other way round: prefer" in note
    assert collisions.notes([dataclasses.replace(one, reason="prefer")], SERVE) == ()
    strict = dataclasses.replace(SERVE, collisions="error")
    collisions.check([few], strict)
    collisions.check([one], SERVE)
    with pytest.raises(LockstitchError, match="image `serve`: `cv-b` and `cv-a` both") as error:
        collisions.check([one], strict)
    assert error.value.hint == 'prefer = ["cv-a"] in [tool.lockstitch.images.serve]'
    assert Collision.of_document(one.document()) == one


# --- whole images


def made(name: str, word: str, requires: str = "") -> bytes:
    """Return a wheel with a module of its own, and one, a script and data that others have."""
    stem = name.replace("-", "_")
    needs = f"Requires-Dist: {requires}\nRequires-Dist: other; extra == 'x'\n" if requires else ""
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}\n"
    info = f"{stem}-1.0.dist-info"
    files = [
        File(name=f"{word}.py", data=b""),
        File(name="shared/__init__.py", data=f"WORD = {word!r}\n".encode()),
        File(name="shared/same.py", data=b"SAME = 1\n"),
        File(name=f"{info}/METADATA", data=metadata.encode()),
        File(name=f"{info}/WHEEL", data=b"Wheel-Version: 1.0\nTag: py3-none-any\n"),
        File(
            name=f"{info}/entry_points.txt", data=f"[console_scripts]\nrun = {word}:main\n".encode()
        ),
    ]
    return zipped([*files, recorded(files, info)])


def build(
    root: Path, store: Store, spec: ImageSpec, *, package: bool = False, **wheels: bytes
) -> Built:
    builder = builder_of(root, store, spec, package=package, **wheels)
    (built,) = builder.build([spec], Layout(root / "images"))
    return built


def builder_of(
    root: Path, store: Store, spec: ImageSpec, *, package: bool = False, **wheels: bytes
) -> Builder:
    (root / "main.py").write_text("")
    (root / "pylock.serve.toml").write_text(values.pylock(**wheels))
    for data in wheels.values():
        store.put(data)
    project = values.project(root=root, images=(spec,), is_package=package)
    lock = values.lock(bases=(BASE,))
    return Builder(project, lock, store, Fetcher(store), Counted())


def contents(built: Built, root: Path) -> dict[str, bytes]:
    """Return the files of an image; each shared path is in one layer, so any order gives them."""
    image = Layout(root / "images").image("serve")
    layers = [lambda layer=layer: _plain(layer) for layer in image.layers]
    every = files_of(layers, content=lambda _: True, digest=lambda path: "site-packages" in path)
    backwards = files_of(layers[::-1], content=lambda _: True, digest=lambda _: False)
    for path in (f"{SITE}/shared/__init__.py", "app/.venv/bin/run"):
        assert every[path].content == backwards[path].content
    assert list(Contents(every).problems()) == []
    assert built.image.digest == image.digest
    return {path: each.content or b"" for path, each in every.items()}


def _plain(layer: object) -> object:
    from lockstitch.oci.layer import inflate

    return inflate(layer.chunks())


def test_a_dry_run_tells_before_anything_is_built(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, layout = made("cv-a", "one"), made("cv-b", "two"), Layout(tmp_path / "images")
    pending = builder_of(tmp_path, store, SERVE, cv_a=first, cv_b=second).pending([SERVE], layout)
    assert [*pending] == ["serve for linux/amd64"]
    told = capsys.readouterr().err
    assert told.startswith("warning: `cv-b` and `cv-a` both have 2 files with other bytes")
    assert 'prefer = ["cv-a"]' in told
    strict = dataclasses.replace(SERVE, collisions="error")
    with pytest.raises(LockstitchError, match="both have 2 files with other bytes"):
        builder_of(tmp_path, store, strict, cv_a=first, cv_b=second).pending([strict], layout)
    preferred = dataclasses.replace(strict, prefer=("cv-a",))
    builder_of(tmp_path, store, preferred, cv_a=first, cv_b=second).pending([preferred], layout)
    assert capsys.readouterr().err == ""
    assert not layout.root.exists()


@pytest.mark.parametrize("alone", [True, False])
def test_an_image_holds_one_of_both_whatever_its_layers(
    *, alone: bool, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_ALONE_FROM", 1 if alone else 1 << 30)
    monkeypatch.setattr(plan, "_BUCKETS", 1)
    first, second = made("cv-a", "one"), made("cv-b", "two")
    built = build(tmp_path, store, SERVE, cv_a=first, cv_b=second)
    files = contents(built, tmp_path)
    assert files[f"{SITE}/shared/__init__.py"] == b"WORD = 'two'\n"
    assert b"from two import main" in files["app/.venv/bin/run"]
    (note,) = [note for note in built.notes if "both have" in note]
    assert note.startswith("`cv-b` and `cv-a` both have 2 files with other bytes")
    assert [collision.reason for collision in built.prepared.collisions] == ["name"]
    again = build(tmp_path, store, SERVE, cv_a=first, cv_b=second)
    assert (again.image.digest, again.made, again.notes) == (built.image.digest, 0, built.notes)
    preferred = dataclasses.replace(SERVE, prefer=("cv-a",), collisions="error")
    other = build(tmp_path, store, preferred, cv_a=first, cv_b=second)
    assert contents(other, tmp_path)[f"{SITE}/shared/__init__.py"] == b"WORD = 'one'\n"
    assert other.notes == ()
    strict = dataclasses.replace(SERVE, collisions="error")
    with pytest.raises(LockstitchError, match="both have 2 files with other bytes"):
        build(tmp_path, store, strict, cv_a=first, cv_b=second)


def test_a_dependent_wins_and_the_layer_of_a_package_alone_keeps_its_key(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_ALONE_FROM", 1)
    first, second = made("cv-a", "one", requires="Cv.B >=1"), made("cv-b", "two")
    alone = build(tmp_path, store, SERVE, cv_b=second)
    both = build(tmp_path, store, SERVE, cv_a=first, cv_b=second)
    files = contents(both, tmp_path)
    assert files[f"{SITE}/shared/__init__.py"] == b"WORD = 'one'\n"
    assert f"{SITE}/two.py" in files
    (note,) = [note for note in both.notes if "both have" in note]
    assert "it requires `cv-b`" in note
    key = {layer.title: layer.key for layer in alone.plan}
    assert {layer.title: layer.key for layer in both.plan}["cv-b 1.0"] != key["cv-b 1.0"]
    again = build(tmp_path, store, SERVE, cv_b=second)
    assert again.image.digest == alone.image.digest


def test_what_is_remembered_of_a_wheel_is_no_more_than_its_record(store: Store) -> None:
    data = made("cv-a", "one", requires="cv-b")
    filename = "cv_a-1.0-py3-none-any.whl"
    assert collisions.listed(of_bytes(data), filename, store) is None
    store.put(data)
    listed = collisions.listed(of_bytes(data), filename, store)
    assert listed is not None
    assert listed.requires == {"cv-b"}
    store.path(of_bytes(data)).unlink()
    assert collisions.listed(of_bytes(data), filename, store) == listed
    for path in (store.root / "records" / "files").rglob("*.json"):
        path.write_bytes(path.read_bytes()[:-1])
    assert collisions.listed(Digest(of_bytes(data)), filename, store) is None


def test_top_level_names_are_those_of_modules_and_the_paths_of_programs() -> None:
    one = package(**{"cv/x": 1, "single": 2})
    other = PackageFiles(files={"app/.venv/bin/run": (1, 1, False)}, requires=frozenset())
    assert collisions.tops([one, other]) == {"cv", "single.py", "app/.venv/bin/run"}


def test_first_party_code_wins_over_the_packages_that_it_requires(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = made("churn", "own", requires="cv-b")
    own = ProjectWheel(
        filename="churn-1.0-py3-none-any.whl", digest=store.put(data), contents=of_bytes(b"own")
    )
    monkeypatch.setattr("lockstitch.image.build.project_wheel.build", lambda *_: own)
    monkeypatch.setattr("lockstitch.image.secret_guard._of_wheel", lambda *_: ())
    built = build(tmp_path, store, SERVE, package=True, cv_b=made("cv-b", "two"))
    assert contents(built, tmp_path)[f"{SITE}/shared/__init__.py"] == b"WORD = 'own'\n"
    (found,) = built.prepared.collisions
    assert (found.winner, found.loser, found.reason) == ("churn", "cv-b", "dependency")
    preferred = dataclasses.replace(SERVE, prefer=("cv-b",))
    other = build(tmp_path, store, preferred, package=True, cv_b=made("cv-b", "two"))
    assert contents(other, tmp_path)[f"{SITE}/shared/__init__.py"] == b"WORD = 'two'\n"
