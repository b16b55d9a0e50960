"""The app layer: what `include` names, output folders, the health check."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import values
from support.images import layer, members
from support.programs import git

from lockstitch.errors import LockstitchError
from lockstitch.image import contents
from lockstitch.oci.entry import Entry
from lockstitch.python.model import ImageSpec, Project


def app(tree: Project, spec: ImageSpec) -> Iterator[Entry]:
    """Yield all that the layers of app files of an image have."""
    found = contents.included(tree, spec)
    yield from contents.app_files(found, spec)
    yield from contents.app_folders(found, spec)


def project(root: Path) -> Project:
    return values.project(root=root, name="demo", version="1.0")


@pytest.fixture
def tree(tmp_path: Path) -> Project:
    for name in (
        "src/main.py",
        "src/lib/a.py",
        "src/b.txt",
        "data/x.csv",
        "data/y/z.csv",
        "README",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "src/run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "src/run.sh").chmod(0o700)
    (tmp_path / "src/__pycache__").mkdir()
    (tmp_path / "src/__pycache__/main.pyc").write_bytes(b"stray")
    (tmp_path / "src/.env").write_text("SECRET=1")
    return project(tmp_path)


@pytest.mark.parametrize(
    ("include", "names"),
    [
        (("src/**",), ["src/b.txt", "src/lib/a.py", "src/main.py", "src/run.sh"]),
        (("src/*.py",), ["src/main.py"]),
        (("**/*.py",), ["src/lib/a.py", "src/main.py"]),
        (("data/*.csv", "README"), ["README", "data/x.csv"]),
        (("data/**", "data/x.csv"), ["data/x.csv", "data/y/z.csv"]),
        ((), []),
    ],
)
def test_include_names_files(tree: Project, include: tuple[str, ...], names: list[str]) -> None:
    found = contents.included(tree, ImageSpec(name="train", include=include))
    assert [each.name for each in found] == names


def test_each_glob_without_a_file_is_named(tree: Project) -> None:
    spec = ImageSpec(name="serve", include=("src/**", "models/**", "dato/*.csv"))
    with pytest.raises(LockstitchError) as caught:
        contents.included(tree, spec)
    found = list(caught.value.everything())
    assert [error.message.partition(" of ")[0] for error in found] == [
        "`models/**`",
        "`dato/*.csv`",
    ]
    assert "train first" in found[0].hint
    assert "correct the pattern" in found[1].hint


def test_a_program_that_writes_beside_its_code_may_do_so_and_change_no_code(tree: Project) -> None:
    (tree.root / "app.db").write_bytes(b"1")
    (tree.root / "app.py").write_bytes(b"1")
    spec = ImageSpec(name="train", include=("app.*", "src/*"), outputs=(".", "logs"))
    entries = app(tree, spec)
    found = members(layer(entries, root="").data)
    modes = {path: oct(member.mode) for path, (member, _) in found.items()}
    assert modes.pop("app") == "0o1777"
    assert modes.pop("app/app.db") == "0o666"
    assert modes.pop("app/app.py") == "0o644"
    assert modes.pop("app/logs") == "0o1777"
    assert {*modes.values()} == {"0o755", "0o644"}
    assert spec.record == "logs/train.run.json"


def test_included_files_below_outputs_may_be_overwritten(tree: Project) -> None:
    (tree.root / "models" / "v1").mkdir(parents=True)
    for name in ("models/m.bin", "models/v1/m.bin", "models/load.py", "models.txt"):
        (tree.root / name).write_bytes(b"1")
    spec = ImageSpec(name="train", include=("models/**", "models.txt"), outputs=("models",))
    entries = app(tree, spec)
    found = members(layer(entries, root="app").data)
    assert {path: oct(member.mode) for path, (member, _) in found.items()} == {
        "app/models": "0o1777",
        "app/models.txt": "0o644",
        "app/models/load.py": "0o644",
        "app/models/m.bin": "0o666",
        "app/models/v1": "0o1777",
        "app/models/v1/m.bin": "0o666",
    }


def test_layer_holds_files_outputs_and_the_health_check(tree: Project) -> None:
    spec = ImageSpec(name="serve", include=("src/*",), outputs=("models", "runs/x"), health="/h")
    entries = app(tree, spec)
    found = members(layer(entries, root="app").data)
    assert {path: oct(member.mode) for path, (member, _) in found.items()} == {
        "app/.lockstitch": "0o755",
        "app/.lockstitch/health.py": "0o644",
        "app/models": "0o1777",
        "app/runs": "0o755",
        "app/runs/x": "0o1777",
        "app/src": "0o755",
        "app/src/b.txt": "0o644",
        "app/src/main.py": "0o644",
        "app/src/run.sh": "0o755",
    }
    assert found["app/src/main.py"][1] == b"src/main.py"


def test_a_link_that_leads_out_of_the_project_is_refused(tree: Project) -> None:
    (tree.root / "src" / "passwd").symlink_to("/etc/passwd")
    (tree.root / "src" / "inside.py").symlink_to("main.py")
    with pytest.raises(LockstitchError, match="`src/passwd` leads out of the project") as caught:
        contents.included(tree, ImageSpec(name="serve", include=("src/**",)))
    assert caught.value.hint == "copy the file into the project"
    spec = ImageSpec(name="serve", include=("src/*.py",))
    found = members(layer(app(tree, spec), root="app").data)
    assert found["app/src/inside.py"][0].isreg()
    assert found["app/src/inside.py"][1] == b"src/main.py"


def test_a_file_that_changes_during_the_build_is_refused(tree: Project) -> None:
    spec = ImageSpec(name="serve", include=("README",))
    found = contents.included(tree, spec)
    (tree.root / "README").write_text("longer than before")
    with pytest.raises(LockstitchError, match="`README` changed while the image was built"):
        layer(contents.app_files(found, spec))


def test_a_large_file_is_stored_and_never_whole_in_memory(tree: Project) -> None:
    with (tree.root / "weights.bin").open("wb") as handle:
        handle.truncate(16 << 20)
    spec = ImageSpec(name="serve", include=("weights.bin",))
    (entry,) = app(tree, spec)
    assert entry.content is not None
    packed = [len(chunk) for chunk in entry.content.deflated()]
    assert sum(packed) > 16 << 20
    assert max(packed) < 5 << 20


def test_without_health_there_is_no_health_check(tree: Project) -> None:
    spec = ImageSpec(name="train", include=("README",))
    found = members(layer(app(tree, spec), root="app").data)
    assert set(found) == {"app/README"}


def test_a_umask_does_not_show(tree: Project) -> None:
    spec = ImageSpec(name="train", include=("src/**",))
    before = layer(app(tree, spec), root="app").data
    for path in (tree.root / "src").rglob("*"):
        path.chmod(0o777 if path.is_dir() or path.name == "run.sh" else 0o666)
    assert layer(app(tree, spec), root="app").data == before


def test_the_health_check_compiles(tree: Project, tmp_path: Path) -> None:
    spec = ImageSpec(name="serve", health="/health")
    ((_, script),) = [
        pair
        for path, pair in members(layer(contents.app_folders([], spec)).data).items()
        if "py" in path
    ]
    path = tmp_path / "health.py"
    path.write_bytes(script)
    # Nobody listens on port 1, so the answer is no, without a traceback of ours.
    done = subprocess.run(
        [sys.executable, "-I", path, "1", "/health"], check=False, capture_output=True
    )
    assert done.returncode == 1


def test_what_git_ignores_or_an_editor_left_is_no_part_of_a_pattern(tree: Project) -> None:
    git(tree.root, "init", "-q")
    (tree.root / ".gitignore").write_text("src/build/\n*.log\nmodels/\n")
    for name in (
        "src/build/lib.py",
        "src/a.log",
        "src/main.py~",
        "src/.main.py.swp",
        "src/.idea/x.xml",
        "src/.coverage",
        "src/demo.egg-info/PKG-INFO",
        "src/building.py",
        "models/model.onnx",
    ):
        (tree.root / name).parent.mkdir(exist_ok=True)
        (tree.root / name).write_text(name)
    spec = ImageSpec(name="serve", include=("src/**", "models/**"))
    found = [each.name for each in contents.included(tree, spec)]
    assert found == [
        "models/model.onnx",  # nothing else is there for its pattern
        "src/b.txt",
        "src/building.py",
        "src/lib/a.py",
        "src/main.py",
        "src/run.sh",
    ]
    assert contents.passed_over(tree, spec) == [
        "src/.coverage",
        "src/.idea/x.xml",
        "src/.main.py.swp",
        "src/a.log",
        "src/build/lib.py",
        "src/demo.egg-info/PKG-INFO",
        "src/main.py~",
    ]
    said = [note for note in contents.unusual(tree, spec) if "left out" in note]
    first = "`src/.coverage`, `src/.idea/x.xml`, `src/.main.py.swp`"
    why = "git ignores them, or an editor made them"
    assert said == [f"{first} and 4 more left out of `serve`: {why}"]
    named = ImageSpec(name="serve", include=("src/**", "src/a.log"))
    assert "src/a.log" in [each.name for each in contents.included(tree, named)]


def test_what_git_tracks_is_included_though_it_is_ignored(tree: Project) -> None:
    git(tree.root, "init", "-q")
    (tree.root / ".gitignore").write_text("*.txt\n")
    git(tree.root, "add", "-f", "src/b.txt")
    spec = ImageSpec(name="serve", include=("src/**",))
    assert "src/b.txt" in [each.name for each in contents.included(tree, spec)]
    assert contents.passed_over(tree, spec) == []
