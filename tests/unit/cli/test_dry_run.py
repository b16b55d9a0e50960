"""`--dry-run` of every command that changes something: it says what it would do, and does not."""

import json
from pathlib import Path

import pytest
from support import projects

from lockstitch.cli.main import COMMANDS, main

# The words of each command that changes something, and a step that it names (none: an own form).
CHANGES = {
    "new": ("other", "write "),
    "init": ("", ""),
    "lock": ("", ""),
    "build": ("--output app.tar serve", "build serve for linux/amd64: make "),
    "pack": ("-o out.tar", "write out.tar"),
    "try": ("serve", "build serve and start `python app/main.py`"),
    "run": ("serve --fast", "start `python app/main.py --fast` in the environment of serve"),
    "serve": ("serve", "start `python app/main.py` in the environment of serve"),
    "image push": ("localhost:1/a/{image}", "push serve to localhost:1/a/serve"),
    "image login": ("localhost:1", "log in to localhost:1"),
    "image logout": ("localhost:1", "log out of localhost:1"),
    "image sign": ("", ""),  # in its own test: it wants a key
    "stack up": ("", "start PostgreSQL on 5432"),
    "stack down": ("", "stop the stack"),
    "stack import": ("", ""),  # only with a stack that runs
    "stack open": ("", ""),  # only with a stack that runs
    "stack reset": ("", "stop the stack and delete "),
    "check": ("--fix --exit-zero", ""),
    "verify": ("", "rebuild, retrain and compare serve"),
    "report": ("", "write report.html"),
    "bisect": ("", ""),  # in its own tests: it wants two environments
    "export": ("requirements -o out.txt", "write out.txt"),
    "export dockerfile": ("", "write Dockerfile.serve"),
    "export target": ("", ""),  # only with a target
    "hooks": ("", ""),  # in its own tests: it wants a configuration
    "cache prune": ("--days 0", "remove "),
    "self demo": ("there", "make a project in there"),
}
READS = {
    *("image inspect", "image verify", "stack status", "stack logs", "stack env", "diff"),
    *("fingerprint", "self completion", "self version", "cache dir", "cache size"),
}


def test_every_command_is_one_that_changes_or_one_that_reads() -> None:
    assert {name for name, _ in COMMANDS} == CHANGES.keys() | READS
    assert not CHANGES.keys() & READS


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, (_, step) in CHANGES.items() if step])
def test_it_says_what_it_would_do(
    name: str, built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, step = CHANGES[name]
    before = tree(built)
    assert main([*name.split(), "--dry-run", *words.split()]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert f"would {step}" in err
    assert main([*name.split(), "--dry-run", "--json", *words.split()]) == 0
    out, err = capsys.readouterr()
    assert any(step in line for line in json.loads(out)["would"])
    assert tree(built) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["init", "lock", "check"])
def test_nothing_changes_where_the_answer_is_a_difference(name: str, built: Path) -> None:
    projects.replace(built, 'name = "tiny"', 'name = "tinier"')
    before = tree(built)
    assert main([*name.split(), "--dry-run", *CHANGES[name][0].split()]) == 0
    assert tree(built) == before


@pytest.fixture
def built(locked: Path) -> Path:
    assert main(["build", "--quiet"]) == 0
    (locked / "app" / "main.py").write_text("import tiny  # changed\n")  # a layer is to be made
    return locked


def tree(root: Path) -> dict[str, int]:
    return {
        path.relative_to(root).as_posix(): path.stat().st_mtime_ns
        for path in root.rglob("*")
        if path.is_file()
    }
