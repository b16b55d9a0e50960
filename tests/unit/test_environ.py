"""Variables are declared, typed, and passed on."""

import os
from pathlib import Path

import pytest

from lockstitch import environ
from lockstitch.errors import LockstitchError


def test_a_variable_that_is_not_declared_is_refused() -> None:
    with pytest.raises(KeyError, match="LOCKSTITCH_OTHER"):
        environ.get("LOCKSTITCH_OTHER")


def test_a_variable_that_is_not_set_is_empty() -> None:
    assert environ.get("LOCKSTITCH_UV") == ""
    assert not environ.flag("LOCKSTITCH_UV")


def test_a_flag_is_set_by_anything_but_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "0")
    assert environ.flag("NO_COLOR")
    monkeypatch.setenv("NO_COLOR", "")
    assert not environ.flag("NO_COLOR")


@pytest.mark.parametrize(("text", "number"), [("", None), ("0", 0), ("007", 7), ("12", 12)])
def test_whole_numbers_are_read(
    text: str, number: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTITCH_JOBS", text)
    assert environ.integer("LOCKSTITCH_JOBS") == number


@pytest.mark.parametrize("text", ["-1", "1.5", "two", "²", "٣", " 1", "1_0"])
def test_other_numbers_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTITCH_JOBS", text)
    with pytest.raises(LockstitchError) as caught:
        environ.integer("LOCKSTITCH_JOBS")
    assert caught.value.message == f"`LOCKSTITCH_JOBS` is `{text}`, not a whole number"
    assert caught.value.hint == "unset LOCKSTITCH_JOBS, or set it to a whole number"


def test_a_number_without_end_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "9" * 5000)
    with pytest.raises(LockstitchError, match="not a whole number"):
        environ.integer("SOURCE_DATE_EPOCH")


def test_a_child_gets_this_environment_with_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("DROPPED", "1")
    found = environ.child(DROPPED=None, ADDED="2", NEVER_THERE=None)
    assert (found["KEPT"], found["ADDED"]) == ("1", "2")
    assert not {"DROPPED", "NEVER_THERE"} & set(found)
    assert environ.child()["DROPPED"] == "1"  # ours is as it was


def test_every_variable_says_what_it_is_for() -> None:
    assert all(environ.VARIABLES.values())


def test_uv_sees_every_python_of_pyenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("3.9.18", "3.12.1", "3.8.2", "2.7.18", "tools"):
        (tmp_path / "versions" / version / "bin").mkdir(parents=True)
    (tmp_path / "version").write_text("3.9.18\nsystem\n")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    shims = str(tmp_path / "shims")
    monkeypatch.setenv("PATH", os.pathsep.join(["/first", shims, "/bin", shims]))
    chosen_first = [str(tmp_path / "versions" / v / "bin") for v in ("3.9.18", "3.12.1", "3.8.2")]
    environment = environ.for_uv(UV_PYTHON="3.12")
    assert environment["PATH"].split(os.pathsep) == ["/first", *chosen_first, "/bin"]
    assert environment["UV_PYTHON"] == "3.12"
    assert "VIRTUAL_ENV" not in environment
    assert environ.before_uv(lambda name: name.startswith("3.8")) == (
        "PYENV_VERSION=3.9.18:system:3.8.2 "
    )
    assert environ.before_uv(lambda name: name.startswith("3.9")) == ""
    assert environ.before_uv(lambda name: name.startswith("3.7")) == ""
    monkeypatch.setenv("PYENV_VERSION", "3.8.2:3.12.1")
    chosen_first = [str(tmp_path / "versions" / v / "bin") for v in ("3.8.2", "3.12.1", "3.9.18")]
    assert environ.for_uv()["PATH"].split(os.pathsep) == ["/first", *chosen_first, "/bin"]


def test_without_pyenv_uv_has_the_path_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join(["/first", "/bin"]))
    assert environ.for_uv()["PATH"] == os.pathsep.join(["/first", "/bin"])
    assert environ.before_uv(lambda _: True) == ""
