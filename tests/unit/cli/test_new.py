"""`lockstitch new`: a project from a template."""

import json
import tomllib
from pathlib import Path

import pytest

from lockstitch import files
from lockstitch.cli.main import main
from lockstitch.errors import LockstitchError
from lockstitch.python.load import load
from lockstitch.scaffold import new


def tree(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_the_project_has_the_name_of_its_folder(tmp_path: Path) -> None:
    written = new.create(tmp_path / "my-churn.2", "churn")
    assert written == sorted(written) == tree(tmp_path / "my-churn.2")
    found = load(tmp_path / "my-churn.2")
    assert (found.name, [image.name for image in found.images]) == (
        "my-churn.2",
        ["serve", "train"],
    )


@pytest.mark.parametrize("manager", new.MANAGERS)
@pytest.mark.parametrize("template", new.TEMPLATES)
def test_every_template_is_a_project_for_every_manager(
    template: str, manager: str, tmp_path: Path
) -> None:
    written = new.create(tmp_path / "my-own", template, manager)
    assert written == tree(tmp_path / "my-own")
    for name in written:  # nothing that is for us alone is left
        data = (tmp_path / "my-own" / name).read_bytes()
        assert b"{{name}}" not in data
        assert b"\n#: " not in data
    found = load(tmp_path / "my-own")
    assert found.name == "my-own"
    assert {"serve", "train"} <= {image.name for image in found.images}
    assert ("poetry" in found.document["tool"]) is (manager == "poetry")


def test_what_is_written_is_whole(tmp_path: Path) -> None:
    new.create(tmp_path / "a", "churn")
    written = tree(tmp_path / "a")
    assert {"pyproject.toml", "README.md", "src/api.py", "src/train.py"} <= set(written)
    # Each is a file of a project: no cache of ours or of anybody's.
    assert written == [each.name for each in files.walk(tmp_path / "a")]
    document = tomllib.loads((tmp_path / "a" / "pyproject.toml").read_text())
    assert document["project"]["name"] == "a"


def test_two_projects_are_the_same_but_for_the_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        new.create(tmp_path / name, "churn")
    for name in tree(tmp_path / "one"):
        one, two = ((tmp_path / each / name).read_bytes() for each in ("one", "two"))
        assert one == two or name in {"pyproject.toml", "README.md"}


def test_an_empty_folder_is_as_good_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["new", "."]) == 0
    assert load(Path()).name == "here"


@pytest.mark.parametrize(
    "name", ["9lives", "-x", "a--b", "a_", "a b", "ä", "a-_b", ".hidden", "x" + "\n"]
)
def test_a_folder_that_cannot_name_a_project_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(LockstitchError, match="cannot name a project") as caught:
        new.create(tmp_path / name, "churn")
    assert caught.value.hint
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("taken", ["file", "folder/file"])
def test_what_is_there_is_never_touched(taken: str, tmp_path: Path) -> None:
    (tmp_path / taken).parent.mkdir(exist_ok=True)
    (tmp_path / taken).write_text("mine")
    with pytest.raises(LockstitchError, match="is there already and not empty") as caught:
        new.create(tmp_path / taken.split("/", maxsplit=1)[0], "churn")
    assert caught.value.hint == "choose another name, or remove it"
    assert tree(tmp_path) == [taken]


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "file").touch()
    with pytest.raises(LockstitchError) as caught:
        new.create(tmp_path / "9", "cats", "conda")
    assert len([*caught.value.everything()]) == 4


def test_the_answer_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a"
    assert main(["new", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"folder": str(folder), "files": tree(folder)}
    assert err == ""


def test_every_template_says_what_it_is() -> None:
    assert all(new.TEMPLATES.values())
