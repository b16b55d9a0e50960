"""`lockstitch cache dir|size|prune`, and what builds remove of their own accord."""

import json
import shutil
import threading
from pathlib import Path

import pytest
from support.fakes import python
from support.programs import wait
from unit.test_cache import held

from lockstitch.cli.main import main
from lockstitch.store import Store, default_root


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def edit(project: Path, text: str) -> None:
    (project / "app" / "main.py").write_text(f"import tiny\n{text}\n")


def layers(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["build", "serve", "--quiet"]) == 0


def blobs() -> int:
    """Return how many layers the store has."""
    found = (default_root() / "blobs").glob("*/*")
    return sum(path.read_bytes()[:2] == b"\x1f\x8b" for path in found)


def test_the_folder_and_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(default_root())
    assert answer(capsys, "cache", "size")["bytes"] == 0
    assert main(["cache", "dir"]) == 0
    assert capsys.readouterr().out == f"{store.root}\n"
    assert answer(capsys, "cache", "dir") == {"dir": str(store.root)}
    store.put(b"x" * 10_000)
    found = answer(capsys, "cache", "size")
    assert isinstance(found["bytes"], int)
    assert found["bytes"] > 10_000
    assert found["limit"] is None
    assert main(["cache", "size"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("all ")


def test_a_prune_tells_before_it_removes(capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(default_root())
    digest = store.put(b"x" * 10_000)
    assert main(["cache", "prune", "--days", "0", "--dry-run"]) == 0
    assert "would remove 1 item (10." in capsys.readouterr().err
    assert store.has(digest)
    assert main(["cache", "prune"]) == 0
    assert "removed 0 items (0.0 kB); 10." in capsys.readouterr().err
    found = answer(capsys, "cache", "prune", "--size", "1 kB")
    assert (found["removed"], found["bytes"]) == (1, 0)
    assert not store.has(digest)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "much"], "error: `--size much` names no size"),
        (["--days", "-1"], "error: `--days -1.0` is no number of days"),
        (["--days", "nan"], "error: `--days nan` is no number of days"),
    ],
)
def test_what_is_no_size_and_no_number_of_days(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "prune", *words]) == 2
    assert capsys.readouterr().err.splitlines()[0] == message


def test_a_prune_waits_for_who_uses_the_store(capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(default_root())
    digest = store.put(b"x" * 10_000)
    with held(store.root):
        pruning = threading.Thread(target=main, args=[["cache", "prune", "--days", "0"]])
        pruning.start()
        wait(lambda: "waiting for other commands that use" in capsys.readouterr().err)
        assert store.has(digest)
    pruning.join(30)
    assert not store.has(digest)


@pytest.mark.slow
def test_a_build_keeps_of_its_own_code_what_is_and_what_was_before_the_last_edit(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layers(capsys)
    before = blobs()
    for number in range(3):
        edit(locked, f"print({number})")
        layers(capsys)
        assert blobs() == before + 1
    edit(locked, "print(1)")
    assert answer_of_build(capsys)["made"] == 0  # an edit that is undone
    edit(locked, "print(0)")
    assert answer_of_build(capsys)["made"] == 1
    assert main(["build", "--quiet"]) == 0  # the other image's layers stay beside
    edit(locked, "print(8)")
    assert main(["build", "--quiet"]) == 0
    both = blobs()
    edit(locked, "print(9)")
    assert main(["build", "--quiet"]) == 0
    assert blobs() == both


def answer_of_build(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    assert main(["build", "serve", "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found[0]


@pytest.mark.slow
def test_a_copy_of_the_project_keeps_the_layers_that_it_has(
    locked: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layers(capsys)
    shutil.copytree(locked, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    layers(capsys)
    monkeypatch.chdir(locked)
    for number in range(3):
        edit(locked, f"print({number})")
        layers(capsys)
    monkeypatch.chdir(tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / ".lockstitch")  # the store has it still
    assert answer_of_build(capsys)["made"] == 0


@pytest.mark.slow
def test_old_layers_stay_while_another_command_runs_and_go_later(
    locked: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    layers(capsys)
    before = blobs()
    monkeypatch.setenv("LOCKSTITCH_CACHE_SIZE", "1kB")
    with held(default_root()):
        for number in range(3):
            edit(locked, f"print({number})")
            layers(capsys)
        assert blobs() == before + 3
    monkeypatch.delenv("LOCKSTITCH_CACHE_SIZE")
    edit(locked, "print(9)")
    layers(capsys)
    assert blobs() == before + 1


@pytest.mark.slow
def test_a_build_keeps_the_store_as_small_as_the_variable_says(
    locked: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTITCH_CACHE_SIZE", "1kB")
    layers(capsys)
    size = answer(capsys, "cache", "size")
    assert isinstance(size["bytes"], int)
    assert size["bytes"] <= 1000
    assert size["limit"] == 1000
    edit(locked, "print(1)")
    layers(capsys)  # with everything fetched and made again
    monkeypatch.setenv("LOCKSTITCH_CACHE_SIZE", "much")
    capsys.readouterr()
    assert main(["build", "serve"]) == 1
    message = "error: `LOCKSTITCH_CACHE_SIZE` is `much`, not a size such as `20GB`"
    assert capsys.readouterr().err.splitlines()[0] == message


@pytest.mark.slow
def test_builds_and_prunes_at_once_end_well(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two projects build, again and again, while the store is emptied between and under them."""
    prune = "from lockstitch.cli.main import main\nmain(['cache', 'prune', '--days', '0', '-q'])\n"
    build = "import sys\nfrom lockstitch.cli.main import main\nsys.exit(main(['build', '-q']))\n"
    running = [python(text) for text in (build, prune, build, prune, build, prune)]
    for each in running:
        each.communicate(timeout=300)
        assert each.returncode == 0
    layers(capsys)
