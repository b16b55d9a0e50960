"""The command line: words and exit codes."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support import projects

import lockstitch
from lockstitch.cli.main import COMMANDS, GROUPS, main, module_of
from lockstitch.oci import deflate


def leave(words: list[str]) -> int:
    with pytest.raises(SystemExit) as caught:
        main(words)
    return int(caught.value.code or 0)


def program(
    *words: str, cwd: Path, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lockstitch", *words],
        cwd=cwd,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def test_without_words_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for name, first in COMMANDS:
        group, _, rest = name.partition(" ")
        assert f"\n  {group}" in out
        if rest and group in GROUPS:
            assert main([group]) == 0
            about = capsys.readouterr().out
            assert f"\n  {rest}" in about
            assert first in about
        elif not rest:
            assert first in out
    assert "examples:\n  # a project with training and serving, in ./churn" in out


def test_help_is_the_same_as_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    out, _ = capsys.readouterr()
    assert main(["--help"]) == main(["help"]) == 0
    assert capsys.readouterr() == (out + out, "")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_has_help(
    command: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    name, first = command
    assert leave(["help", *name.split()]) == 0
    said = capsys.readouterr()
    assert leave([*name.split(), "--help"]) == 0
    assert capsys.readouterr() == said
    out, err = said
    assert err == ""
    assert out.startswith(f"usage: lockstitch {name} ")
    assert f"\n{first}" in out  # the line that the overview shows
    examples = out.partition("\nexamples:\n")[2]
    assert 1 <= examples.count("\n  lockstitch ") + examples.count("\n  cd ") <= 9
    assert "  # " in examples  # each under the situation it is for


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_is_a_module_with_options(command: tuple[str, str]) -> None:
    module = module_of(command[0])
    assert callable(module.run)
    assert module.OPTIONS


def test_the_version_is_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == main(["-V"]) == 0
    assert capsys.readouterr() == (f"lockstitch {lockstitch.__version__}\n" * 2, "")


@pytest.mark.parametrize("encoder", ["compiled", "python"])
def test_the_version_says_which_encoder_works(
    encoder: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = deflate.in_python if encoder == "compiled" else None
    monkeypatch.setattr(deflate, "compiled", lambda: twin)
    assert main(["self", "version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"lockstitch {lockstitch.__version__}"
    assert second.lower().startswith(f"encoder: {encoder}")
    assert ("install lockstitch again" in second) == (encoder == "python")
    assert main(["self", "version", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"version": lockstitch.__version__, "encoder": encoder}


@pytest.mark.parametrize(
    "words",
    [
        *(
            ["nothing"],
            ["--nothing"],
            ["build", "--nothing"],
            ["lock", "extra"],
            ["image", "inspect"],
        ),
        *(["new"], ["--project", ".", "lock"], ["build", "--out", "x"], ["lock", "--che"]),
    ],
)
def test_wrong_use_exits_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert leave(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: lockstitch")
    assert "error: " in err
    assert "hint: " in err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["biuld"], "did you mean `lockstitch build`?"),
        (["push"], "did you mean `lockstitch image push`?"),
        (["stack", "stauts"], "did you mean `lockstitch stack status`?"),
        (["help", "imgae"], "did you mean `lockstitch image`?"),
        (["lock", "--chek"], "did you mean `--check`?"),
        (["export", "sbon"], "did you mean `sbom`?"),
        (["new", "x", "--template", "irsi"], "did you mean `iris`?"),
        (["build", "serv"], "did you mean `serve`?"),
        (["run", "trian"], "did you mean `train`?"),
    ],
)
def test_the_nearest_name_is_named(
    words: list[str], hint: str, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(words)
    except SystemExit as left:
        code = int(left.code or 0)
    assert code == 2
    assert f"hint: {hint}\n" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_has_the_common_options(
    command: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave([*command[0].split(), "--help"]) == 0
    out = capsys.readouterr().out
    common = ("-q, --quiet", "-v, --verbose", "--project PATH", "--json", "--dry-run")
    assert all(each in out for each in common)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_names_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["self", "completion", shell]) == 0
    text = capsys.readouterr().out
    assert all(name.split()[-1] in text for name, _ in COMMANDS)
    assert "allow-drift" in text


def test_completion_in_bash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["self", "completion", "bash"]) == 0
    script = capsys.readouterr().out + (
        "COMP_WORDS=(lockstitch image push --im); COMP_CWORD=3; _lockstitch; "
        'echo "${COMPREPLY[@]}"; COMP_WORDS=(lockstitch st); COMP_CWORD=1; _lockstitch; '
        'echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["--image", "stack"]


def test_verbose_shows_the_programs_that_are_started(
    locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lockstitch.process._shown", [])
    assert main(["lock", "--check", "-v"]) == 0
    assert " lock --check --offline" in capsys.readouterr().err


def test_it_runs_as_a_module_and_as_a_program(tmp_path: Path) -> None:
    done = program("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"lockstitch {lockstitch.__version__}\n")
    script = Path(sys.executable).with_name("lockstitch")
    assert subprocess.check_output([script, "--version"], text=True) == done.stdout


def test_a_module_reports_the_exit_code(tmp_path: Path) -> None:
    done = program("lock", "--check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: no pyproject.toml in `{tmp_path}` or above it\nhint: lockstitch new NAME\n"
    )


def test_the_worst_exit_code_counts(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--output", "x.tar"]) == 2
    assert capsys.readouterr().err == (
        "error: --output takes one image, not 2\nhint: lockstitch build serve --output FILE\n"
    )
    assert not (locked / "x.tar").exists()


@pytest.mark.parametrize("words", [["lock", "--check", "--json"], ["--help"], ["--version"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_failure(
    words: list[str], unbuffered: str, locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = program(*words, cwd=locked, stdout=theirs)
    finally:
        os.close(theirs)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["build", "serve", "--output", "app"], "app"),
        (["build", "--layout", "pyproject.toml"], "pyproject.toml"),
        (["image", "inspect", "serve", "--layout", "pyproject.toml"], "pyproject.toml"),
        (["new", "pyproject.toml/x"], "pyproject.toml"),
    ],
)
def test_a_place_that_is_something_else_is_named(
    words: list[str], place: str, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*words, "--quiet"] if words[0] != "new" else words)
    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    assert err.count("error: ") == 1
    assert place in err


def test_a_cache_that_is_a_file_says_which_variable_to_set(
    locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(locked / "pyproject.toml"))
    assert main(["build", "--quiet"]) == 1
    err = capsys.readouterr().err
    assert err.count("error: ") == 1
    assert "hint: set LOCKSTITCH_CACHE to a folder of yours" in err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("LOCKSTITCH_JOBS", "many"), ("SOURCE_DATE_EPOCH", "yesterday")),
        *(("SOURCE_DATE_EPOCH", "9" * 15), ("LOCKSTITCH_UV", "no-such-uv")),
        ("LOCKSTITCH_DEBIAN_MIRROR", "nowhere"),
    ],
)
def test_a_variable_that_is_no_value_is_named(
    name: str,
    value: str,
    locked: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["build", "--quiet"]) == 1
    err = capsys.readouterr().err
    assert err.count("error: ") == err.count("hint: ") == 1
    assert name in err or value in err


@pytest.mark.slow
def test_data_goes_to_stdout_and_talk_to_stderr(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build"]) == 0
    out, err = capsys.readouterr()
    words = [line.split() for line in out.splitlines()]
    assert [name for name, _ in words] == ["serve", "train"]
    assert all(digest.startswith("sha256:") and len(digest) == 71 for _, digest in words)
    assert "built in " in err


def test_the_project_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = projects.write(tmp_path / "a" / "tiny")
    assert main(["lock", "--check", "--project", str(root / "src")]) == 1
    assert f"no `lockstitch.lock` in `{root}`" in capsys.readouterr().err


def outputs(form: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with its outputs as a shell redirects them."""
    command = " ".join(map(shlex.quote, [sys.executable, "-m", "lockstitch", *words]))
    return subprocess.run(
        ["/bin/sh", "-c", f"{command} {form}"], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("form", "line"),
    [
        (">&-", "error: the standard output is closed\n"),
        (">/dev/full", "error: the standard output cannot be written: no space left on device\n"),
    ],
)
def test_an_output_that_cannot_be_written_is_one_line(form: str, line: str) -> None:
    done = outputs(form, "--version")
    assert (done.stderr, done.returncode) == (line, 1)


@pytest.mark.parametrize("form", ["2>&-", "2>/dev/full"])
def test_talk_that_cannot_be_written_is_an_exit_code(form: str) -> None:
    done = outputs(form, "build", "--project", "/nowhere")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr


def test_a_name_that_is_too_long_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "a" * 300]) == 1
    assert capsys.readouterr().err.startswith("error: file name too long: `aaa")
