"""`lockstitch export`: what is locked, for other programs."""

import dataclasses
import json
import re
import tomllib
from pathlib import Path

import pytest
from support import projects

from lockstitch.cli.main import main
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.lock import export, file
from lockstitch.python.load import load
from lockstitch.python.locks import requirements
from lockstitch.python.target import Target

TARGET = Target(platform="linux/amd64", python="3.11.2", glibc="2.36")
HEX = "ab" * 32
WHEEL = (
    "wheels = [{name = 'a-1-py3-none-any.whl', url = 'https://a.test/x', "
    f"hashes = {{sha256 = '{HEX}'}}}}]"
)
POETRY = """\
[[package]]
name = "alpha"
version = "1.0"
[package.dependencies]
Epsilon = ">=1"
beta = {version = "*", optional = true}
gamma = [{version = "*", markers = "sys_platform == 'win32'"}]

[[package]]
name = "epsilon"
version = "5.0"
"""


def out_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["export", *words]) == 0
    return capsys.readouterr().out


def test_the_whole_lock_as_it_was_locked(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = out_of(capsys, "requirements")
    assert text == (locked / "requirements-lock.txt").read_text()


@pytest.mark.parametrize("platform", [[], ["--platform", "linux/amd64"]])
def test_the_requirements_of_an_image_pin_what_it_gets(
    platform: list[str], locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = out_of(capsys, "requirements", "--image", "train", *platform)
    pins = requirements.select(text, TARGET)
    found = {pin.name: (pin.version, {digest.hex for digest in pin.hashes}) for pin in pins}
    packages = tomllib.loads((locked / "pylock.train.toml").read_text())["packages"]
    assert found == {
        package["name"]: (package["version"], {package["wheels"][0]["hashes"]["sha256"]})
        for package in packages
    }
    assert {"alpha", "beta", "delta", "epsilon"} == set(found)


def test_a_pylock_as_it_is_and_for_one_platform(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = out_of(capsys, "pylock", "--image", "serve")
    assert whole == (locked / "pylock.serve.toml").read_text()
    chosen = tomllib.loads(
        out_of(capsys, "pylock", "--image", "serve", "--platform", "linux/amd64")
    )
    assert [each["name"] for each in chosen["packages"]] == ["alpha", "epsilon", "gamma"]
    assert len(chosen["environments"]) == 1


def test_a_bill_of_materials(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = out_of(capsys, "sbom", "--image", "train")
    assert text == out_of(capsys, "sbom", "--image", "train")
    found = json.loads(text)
    names = {each["bom-ref"].partition("?")[0] for each in found["components"]}
    assert {"pkg:pypi/alpha@1.0", "pkg:pypi/delta@0.4", "project:tiny"} <= names
    assert any(name.startswith("pkg:deb/debian/python3.11-minimal@") for name in names)
    graph = {each["ref"]: each["dependsOn"] for each in found["dependencies"]}
    assert graph["pkg:pypi/alpha@1.0"] == ["pkg:pypi/epsilon@5.0"]
    assert graph["pkg:pypi/epsilon@5.0"] == []
    assert graph["project:tiny"] == [
        "pkg:pypi/alpha@1.0",
        "pkg:pypi/beta@3.1",
        "pkg:pypi/delta@0.4",
    ]
    assert "project:tiny" in graph["image:train"]
    assert not any(ref.startswith("pkg:deb") for ref in graph)  # the lock does not say
    assert found["metadata"]["timestamp"] == "2026-07-12T10:16:37Z"  # the snapshot's


def test_the_bill_has_the_time_that_is_asked_for(
    locked: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    found = json.loads(out_of(capsys, "sbom", "--image", "serve"))
    assert found["metadata"]["timestamp"] == "1970-01-01T00:00:00Z"


def test_a_file_is_written_and_checked(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["requirements", "--image", "serve", "-o", "out/requirements.txt"]
    assert main(["export", *words, "--check"]) == 1
    assert "`out/requirements.txt` is missing" in capsys.readouterr().err
    assert out_of(capsys, *words) == ""
    assert main(["export", *words, "--check"]) == 0
    capsys.readouterr()
    made = locked / "out" / "requirements.txt"
    made.write_text(made.read_text() + "\n")
    assert main(["export", *words, "--check", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found == {"stale": ["`out/requirements.txt` is stale: it is not what the lock gives"]}


def test_the_answer_in_json(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(out_of(capsys, "pylock", "--image", "serve", "--json"))
    assert found["text"] == (locked / "pylock.serve.toml").read_text()
    assert (found["form"], found["image"], found["platform"]) == ("pylock", "serve", None)
    words = ("sbom", "--image", "serve", "-o", "sbom.json", "--json")
    assert json.loads(out_of(capsys, *words)) == {
        "form": "sbom",
        "image": "serve",
        "platform": "linux/amd64",
        "file": "sbom.json",
        "notes": [],
    }


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["pylock"], 2, "more than one image: serve, train"),
        (["pylock", "--image", "sevre"], 2, "`sevre` is not an image"),
        (["requirements", "--platform", "linux/amd64"], 2, "and none is named"),
        (["requirements", "--check"], 2, "--check compares a file"),
        (["pylock", "--image", "serve", "--platform", "linux/arm64"], 2, "not a platform of this"),
        (["pylock", "--image", "serve", "-o", "my.toml"], 1, "no name of a PEP 751 lock"),
        (["pylock", "--image", "serve", "-o", "pylock.serve.toml"], 1, "what the locks are made"),
        (["requirements", "-o", "pyproject.toml"], 1, "what the locks are made"),
    ],
)
def test_what_cannot_be_exported(
    words: list[str], code: int, message: str, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in locked.iterdir() if path.is_file()}
    assert main(["export", *words]) == code
    out, err = capsys.readouterr()
    assert message in err
    assert "hint: " in err
    assert out == ""
    assert {path: path.read_bytes() for path in locked.iterdir() if path.is_file()} == before


def test_a_stale_lock_is_not_exported(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    projects.replace(locked, "gamma>=2", "gamma>=1")
    for form in ("requirements", "pylock", "sbom"):
        assert main(["export", form, "--image", "serve", "-o", "pylock.x.toml"]) == 1
        assert "the lock is stale" in capsys.readouterr().err
    assert not (locked / "pylock.x.toml").exists()


def test_a_lock_for_some_machines_says_so(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = locked / "pylock.serve.toml"
    old = of_bytes(path.read_bytes()).hex
    path.write_text(path.read_text() + "\nenvironments = [\"os_name == 'nt'\"]\n")
    text = path.read_text()
    head, environments = text.rsplit("\n", 2)[0], text.splitlines()[-1]
    path.write_text(f"{environments}\n{head}\n")
    lock = locked / "lockstitch.lock"
    lock.write_text(lock.read_text().replace(old, of_bytes(path.read_bytes()).hex))
    capsys.readouterr()
    assert main(["export", "requirements", "--image", "serve"]) == 0
    out, err = capsys.readouterr()
    assert "# It is for: (os_name == 'nt'" in out.replace('"', "'")
    assert "note: `pylock.serve.toml` is not for every machine" in err


def test_a_lock_of_another_tool_has_no_requirements_of_ours(locked: Path) -> None:
    lock = dataclasses.replace(file.read(locked), files=())
    with pytest.raises(LockstitchError, match="are written by another tool"):
        export.requirements_of_all(load(locked), lock)


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("directory = {path = '.'}", "is no package of an index"),
        (WHEEL.replace("sha256", "md5"), "has no sha256"),
        (f"marker = \"'x' in extras\"\n{WHEEL}", "requirements cannot say"),
    ],
)
def test_what_requirements_cannot_say(package: str, message: str, locked: Path) -> None:
    head = "lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'a'\nversion = '1'\n"
    (locked / "pylock.serve.toml").write_text(f"{head}{package}\n")
    project = load(locked)
    with pytest.raises(LockstitchError, match=message) as caught:
        export.requirements_of(project, file.read(locked), project.image("serve"))
    assert caught.value.hint


def test_what_poetry_locks_need_each_other(tmp_path: Path) -> None:
    text = re.sub(
        r'train = \["beta"\]',
        'train = ["Beta", {include-group = "x"}]\nx = ["x-y>1"]',
        (projects.PYPROJECT),
    )
    root = projects.write(tmp_path / "tiny", pyproject=text)
    (root / "poetry.lock").write_text(POETRY)
    project = load(root)
    assert export.needs(project, project.image("train"), TARGET) == {
        "": {"alpha", "beta", "delta", "x-y"},
        "alpha": {"epsilon"},
        "epsilon": set(),
    }
    (root / "poetry.lock").unlink()
    assert export.needs(project, project.image("train"), TARGET) is None
