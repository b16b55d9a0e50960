"""Dockerfiles and the .dockerignore: whole as goldens, and what each setting changes."""

import argparse
import dataclasses
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support import projects, values
from support.images import check_golden

from lockstitch import runtime
from lockstitch.cli import options
from lockstitch.cli.commands import render as command
from lockstitch.digest import of_bytes
from lockstitch.dockerfile import ignore, render
from lockstitch.errors import LockstitchError
from lockstitch.lock.file import Lock, LockedFile
from lockstitch.python.model import ImageSpec, Project

SERVE = ImageSpec(
    name="serve",
    include=("models/metrics.json", "models/model.onnx", "src/api.py", "static/**"),
    command=("uvicorn", "api:app", "--port", "8000"),
    env={"MODEL": "models/model.onnx", "LANG": "de_DE.UTF-8"},
    labels={"team": "churn"},
    port=8000,
    health="/health",
    bytecode=True,
)
TRAIN = ImageSpec(
    name="train",
    include=("data/*.csv.gz", "src/train.py"),
    outputs=("logs", "models"),
    command=("python", "src/train.py"),
)
# Everything that needs care: quotes, variables, spaces, globs that COPY does not know.
ODD = ImageSpec(
    name="odd",
    include=("data/**/*.csv", "notes/my $HOME.txt", "src/[!_]*", "*.toml"),
    env={"A": 'say "$HOME" \\ twice'},
    labels={"price": "$1"},
    command=("python", "-c", "print('$HOME', \"\\n\")"),
)
HATCH = {"hatch": {"build": {"targets": {"wheel": {"packages": ["src/churn"]}}}}}
PROJECT = values.project(
    images=(SERVE, TRAIN),
    is_package=True,
    document={"project": {"readme": "README.md"}, "tool": HATCH},
)
BASE = values.debian_base()
LOCK = values.lock(
    tools=("uv 0.13.9",),
    files=tuple(
        LockedFile(path=f"pylock.{name}.toml", digest=of_bytes(name.encode()))
        for name in ("odd", "serve", "train")
    ),
    build=(
        "b==2 ; python_version < '4' --hash=sha256:02",
        "a==1 --hash=sha256:01 --hash=sha256:03",
    ),
    bases=(BASE,),
)


def rendered(spec: ImageSpec = SERVE, project: Project = PROJECT, lock: Lock = LOCK) -> str:
    return render.render(project, lock, spec)


def instructions(text: str) -> dict[str, str]:
    """Return the last instruction of each kind, on one line."""
    lines = text.replace("\\\n", "").splitlines()
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}


@pytest.mark.parametrize("spec", [SERVE, TRAIN], ids=lambda spec: str(spec.name))
def test_golden(spec: ImageSpec, pytestconfig: pytest.Config) -> None:
    check_golden(pytestconfig, f"dockerfile/Dockerfile.{spec.name}", rendered(spec))


def test_odd_golden(pytestconfig: pytest.Config) -> None:
    project = dataclasses.replace(PROJECT, images=(ODD,), is_package=False)
    check_golden(pytestconfig, "dockerfile/Dockerfile.odd", rendered(ODD, project))
    check_golden(pytestconfig, "dockerfile/odd.dockerignore", ignore.render(project))


def test_ignored_golden(pytestconfig: pytest.Config) -> None:
    check_golden(pytestconfig, "dockerfile/churn.dockerignore", ignore.render(PROJECT))


def test_build_requirements_golden(pytestconfig: pytest.Config) -> None:
    text = render.build_requirements(LOCK)
    check_golden(pytestconfig, "dockerfile/requirements-build.txt", text)


@pytest.mark.parametrize("spec", [SERVE, TRAIN, ODD], ids=lambda spec: str(spec.name))
def test_what_an_old_engine_does_not_know_is_not_there(spec: ImageSpec) -> None:
    text = rendered(spec)
    assert "syntax=" not in text
    assert "<<" not in text
    assert "--link" not in text
    runs = [line for line in text.replace("\\\n", "").splitlines() if line.startswith("RUN ")]
    assert [line for line in runs if not line.endswith('"]')] == []  # a base may have no shell


@pytest.mark.parametrize("spec", [SERVE, TRAIN, ODD], ids=lambda spec: str(spec.name))
def test_the_runtime_stage_runs_nothing_and_knows_no_uv(spec: ImageSpec) -> None:
    stage = rendered(spec).partition("FROM ${BASE} AS runtime\n")[2]
    assert stage
    assert "RUN " not in stage
    assert "uv" not in stage.replace("uvicorn", "")


def test_everything_copied_is_allowed_into_the_context() -> None:
    project = dataclasses.replace(PROJECT, images=(ODD, SERVE, TRAIN))
    allowed = {line[1:] for line in ignore.render(project).splitlines() if line[0] == "!"}
    for spec in project.images:
        for line in rendered(spec, project).replace("\\$", "$").splitlines():
            if line.startswith("COPY ") and "--from" not in line:
                words = line.removeprefix("COPY ").removeprefix("--chmod=755 ")
                paths = json.loads(words.replace("\\", "")) if words[0] == "[" else words.split()
                for path in paths[:-1]:
                    assert path.rstrip("/") in allowed, line


def test_what_is_special_in_a_dockerfile_is_escaped() -> None:
    spec = ImageSpec(name="serve", env={"A": '"$x" \\', "B": "it's"}, labels={"a b": "$c"})
    text = rendered(spec)
    assert r"""ENV A="\"\$x\" \\" """ in text
    assert """    B="it's" """ in text
    assert r"""LABEL "a b"="\$c" """ in text


def test_one_python_is_named_by_its_patch_version_and_two_by_their_minor() -> None:
    assert "ARG PYTHON_VERSION=3.11.2\n" in rendered()
    arm = dataclasses.replace(BASE, platform="linux/arm64", python="3.11.4")
    lock = dataclasses.replace(LOCK, bases=(BASE, arm))
    assert "ARG PYTHON_VERSION=3.11\n" in rendered(lock=lock)


def test_the_uv_that_locked_installs_whoever_else_did() -> None:
    text = rendered(lock=dataclasses.replace(LOCK, tools=("poetry 2.5.0", "uv 0.12.1")))
    assert "ARG UV_VERSION=0.12.1\n" in text
    with pytest.raises(LockstitchError, match=r"names no version of uv: it was made by poetry 2"):
        rendered(lock=dataclasses.replace(LOCK, tools=("poetry 2.5.0",)))


def test_the_base_has_a_name_that_engines_take() -> None:
    project = dataclasses.replace(PROJECT, name="My_Churn.App")
    assert render.base_tag(project) == "my-churn-app-base:latest"
    assert "ARG BASE=my-churn-app-base:latest\n" in rendered(project=project)


def test_a_lock_without_the_image_is_an_error() -> None:
    with pytest.raises(LockstitchError, match=r"the lock does not name `pylock.other.toml`"):
        rendered(ImageSpec(name="other"))


def test_line_breaks_cannot_smuggle_instructions() -> None:
    spec = ImageSpec(name="serve", env={"A": "1\nUSER 0"}, labels={"b": "\r", "c\n": ""})
    with pytest.raises(LockstitchError) as caught:
        rendered(spec)
    assert [each.message for each in caught.value.everything()] == [
        "`env.'A'` of image `serve` has a line break",
        "`labels.'b'` of image `serve` has a line break",
        r"`labels.'c\n'` of image `serve` has a line break",
    ]
    for name in ("a\nUSER 0", "a\\b"):
        with pytest.raises(LockstitchError, match="a character that a Dockerfile cannot copy"):
            rendered(ImageSpec(name="serve", include=(name,)))


def test_a_folder_in_include_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    project = dataclasses.replace(PROJECT, root=tmp_path)
    with pytest.raises(LockstitchError, match="is a folder") as caught:
        rendered(ImageSpec(name="serve", include=("src",)), project)
    assert caught.value.hint == 'include = ["src/**"]'


BACKENDS: Mapping[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "hatch": (HATCH, ("src/churn/",)),
    "setuptools": ({"setuptools": {"packages": {"find": {"where": ["lib"]}}}}, ("lib/",)),
    "uv": ({"uv": {"build-backend": {"module-root": "code"}}}, ("code/",)),
    "poetry": ({"poetry": {"packages": [{"include": "churn", "from": "src"}]}}, ("src/churn/",)),
    "glob": ({"poetry": {"packages": [{"include": "churn/**/*.py"}]}}, ("churn/",)),
    "nothing": ({}, ("src/",)),
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_packages_of_each_backend_are_found(backend: str, tmp_path: Path) -> None:
    tool, wanted = BACKENDS[backend]
    (tmp_path / "src").mkdir()
    project = dataclasses.replace(PROJECT, root=tmp_path, document={"tool": tool})
    copies = ignore.first_party(project)
    assert tuple(f"{copy.source}/" for copy in copies if copy.folder) == wanted


def test_what_lies_flat_is_found_too(tmp_path: Path) -> None:
    project = dataclasses.replace(PROJECT, root=tmp_path, name="My-Churn", document={})
    with pytest.raises(LockstitchError, match="nothing says where the packages of `My-Churn` are"):
        ignore.first_party(project)
    for name in ("my_churn.py", "setup.py", "LICENSE"):
        (tmp_path / name).touch()
    found = [copy.source for copy in ignore.first_party(project)]
    assert found == ["LICENSE", "my_churn.py", "pyproject.toml", "setup.py"]


def test_a_readme_outside_the_project_is_an_error() -> None:
    document = {"project": {"readme": {"file": "../README.md"}}, "tool": HATCH}
    with pytest.raises(LockstitchError, match="is outside the project"):
        ignore.render(dataclasses.replace(PROJECT, document=document))


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers each path with the status that it names."""

    def do_GET(self) -> None:
        self.send_response(int(self.path[1:]))
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize("status", [200, 204, 302, 404, 503, 0])
def test_the_health_check_says_what_that_of_the_other_image_says(port: int, status: int) -> None:
    spec = dataclasses.replace(SERVE, port=port if status else 1, health=f"/{status}")
    check = instructions(rendered(spec))["HEALTHCHECK"].partition(" CMD ")[2]
    _, *words = json.loads(check)
    ours = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    script = Path(runtime.__path__[0]) / "health.py"
    theirs = subprocess.run(
        [sys.executable, "-I", script, str(spec.port), spec.health],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ours.returncode == theirs.returncode == (0 if 200 <= status < 300 else 1)
    assert not status or ours.stdout == theirs.stdout == f"status {status}\n"


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    options.add(parser, command.OPTIONS)
    options.add(parser, options.missing(command.OPTIONS, options.COMMON_NAMES))
    return command.run(parser.parse_args(words))


FILES = [".dockerignore", "Dockerfile.serve", "Dockerfile.train", "requirements-build.txt"]


def test_render_writes_what_changed(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert capsys.readouterr() == ("", f"rendered: {', '.join(FILES)}\n")
    assert run() == 0
    assert capsys.readouterr().err == "nothing to do: the rendered files fit\n"
    projects.replace(locked, "port = 8000", "port = 8001")
    assert run("--json") == 0
    assert json.loads(capsys.readouterr().out) == {"changed": ["Dockerfile.serve"]}
    assert "EXPOSE 8001\n" in (locked / "Dockerfile.serve").read_text()


def test_a_check_says_what_is_stale(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert run("--check") == 0
    projects.replace(locked, "port = 8000", "port = 8001")
    (locked / "Dockerfile.train").unlink()
    (locked / ".dockerignore").write_text("*.log\n")
    (locked / "Dockerfile.old").write_text(f"{ignore.MARK}\n")
    before = {path: path.stat().st_mtime_ns for path in locked.rglob("*")}
    with pytest.raises(LockstitchError) as caught:
        run("--check")
    assert {path: path.stat().st_mtime_ns for path in locked.rglob("*")} == before
    stale = [
        ("`.dockerignore` was not written by lockstitch", "lockstitch export dockerfile --force"),
        (
            "`Dockerfile.serve` is stale: it is not what pyproject.toml and the lock give",
            "lockstitch export dockerfile",
        ),
        ("`Dockerfile.train` is missing", "lockstitch export dockerfile"),
        ("`Dockerfile.old` belongs to nothing in pyproject.toml any more", "rm Dockerfile.old"),
    ]
    assert [(each.message, each.hint) for each in caught.value.everything()] == stale
    capsys.readouterr()
    assert run("--check", "--json") == 1
    assert json.loads(capsys.readouterr().out) == {"stale": [message for message, _ in stale]}


def test_a_checkout_with_other_line_ends_is_not_stale(locked: Path) -> None:
    assert run() == 0
    path = locked / "Dockerfile.serve"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert run("--check") == 0


def test_a_file_of_somebody_else_stays(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = "FROM scratch\nCOPY . ."
    (locked / "Dockerfile.serve").write_text(mine)
    with pytest.raises(LockstitchError) as caught:
        run()
    assert [each.hint for each in caught.value.everything()] == [
        "lockstitch export dockerfile --force"
    ]
    assert (locked / "Dockerfile.serve").read_text() == mine
    assert not (locked / "Dockerfile.train").exists()
    shown = capsys.readouterr().err.splitlines()
    assert shown[:2] == ["--- Dockerfile.serve", "+++ Dockerfile.serve of lockstitch"]
    assert {"-FROM scratch", "-COPY . .", "+USER 65532:65532"} <= set(shown)
    assert run("--force") == 0
    assert run("--check") == 0


def test_what_belongs_to_nothing_is_named(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (locked / "Dockerfile.old").write_text(f"{ignore.MARK}\n")
    (locked / "Dockerfile.mine").write_text("FROM scratch\n")
    assert run() == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert warnings == [
        "warning: `Dockerfile.old` belongs to nothing in pyproject.toml any more: remove it"
    ]


def test_a_stale_lock_renders_nothing(locked: Path) -> None:
    projects.replace(locked, "gamma>=2", "gamma>=1")
    with pytest.raises(LockstitchError, match="the lock is stale"):
        run()
    assert not (locked / "Dockerfile.serve").exists()


def test_every_image_s_problems_are_told(locked: Path) -> None:
    projects.replace(locked, "port = 8000", 'port = 8000\nenv = {A = "\\n"}')
    projects.replace(locked, 'outputs = ["models"]', 'labels = {b = "\\n"}')
    with pytest.raises(LockstitchError) as caught:
        run()
    assert len(list(caught.value.everything())) == 2


def test_a_program_that_writes_beside_its_code_may_do_so() -> None:
    spec = dataclasses.replace(TRAIN, outputs=(".", "logs"))
    text = rendered(spec)
    assert '"/outputs/logs"' in text
    assert "/outputs/." not in text
    stage = text.partition("FROM ${BASE} AS runtime\n")[2]
    assert "os.chmod('/app', 0o1777)" in stage
    assert stage.index("RUN ") < stage.index("USER 65532")
    alone = rendered(dataclasses.replace(TRAIN, outputs=(".",)))
    assert "/outputs" not in alone
