"""The images run in a real Docker engine, which can reach no registry."""

import json
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from .conftest import Docker, RealProject

CUSTOMER = {
    "gender": "Female",
    "seniorcitizen": 0,
    "partner": "Yes",
    "dependents": "No",
    "tenure": 2,
    "phoneservice": "Yes",
    "multiplelines": "No",
    "internetservice": "Fiber optic",
    "onlinesecurity": "No",
    "onlinebackup": "No",
    "deviceprotection": "No",
    "techsupport": "No",
    "streamingtv": "Yes",
    "streamingmovies": "No",
    "contract": "Month-to-month",
    "paperlessbilling": "Yes",
    "paymentmethod": "Electronic check",
    "monthlycharges": 80.5,
    "totalcharges": 161.0,
}


@pytest.fixture(scope="module", params=["serve", "train"])
def _each(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def loaded(docker: Docker, project: RealProject) -> dict[str, str]:
    ids = {}
    for image in ("serve", "train"):
        archive = project.root.parent / f"{image}.tar"
        built = json.loads(project.lockstitch("build", image, "--output", str(archive), "--json"))
        docker.run("load", "--input", str(archive))
        archive.unlink()
        ids[image] = built[0]["config"]
    return ids


def test_what_runs_is_what_was_built(
    docker: Docker, loaded: dict[str, str], project: RealProject
) -> None:
    """A running container, asked in its own Python, against the layers of the image."""
    words = ["python", "-c", "import time; time.sleep(600)"]
    options = ["--detach", "--rm", "--network", "none", "--read-only", "--name", "drift"]
    docker.run("run", *options, "churn-serve:latest", *words)
    try:
        out = project.lockstitch(
            "diff", "serve", "container:drift", "--all", env={"DOCKER_HOST": docker.host}
        )
    finally:
        docker.run("kill", "drift")
    assert out == "", "no difference"


def test_the_image_id_is_the_config_digest(docker: Docker, loaded: dict[str, str]) -> None:
    for image, config in loaded.items():
        found = docker.run("inspect", f"churn-{image}:latest", "--format", "{{.Id}}").stdout
        assert found.strip() == config


@pytest.mark.parametrize(
    "user",
    [
        "4242:4242",  # who owns nothing in the image: what he may, the image's own user may
        pytest.param("65532:65532", marks=pytest.mark.nightly),
    ],
)
def test_training_prints_its_metrics_as_any_user(
    docker: Docker, loaded: dict[str, str], user: str
) -> None:
    words = ["--network", "none", "--user", user, "churn-train:latest"]
    done = docker.run("run", "--rm", *words)
    assert "Loaded 4930 customers" in done.stdout
    assert "ROC AUC" in done.stdout
    assert "Wrote /app/models/model.onnx" in done.stdout
    assert "Wrote /app/models/metrics.json" in done.stdout


def test_serving_answers_health_and_a_prediction(docker: Docker, loaded: dict[str, str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["python", "src/api.py", "--port", str(port)]
    with docker.container("--network", "host", "--read-only", "churn-serve", *command):
        address = f"http://127.0.0.1:{port}"
        assert json.loads(_ask(f"{address}/health")) == {"status": "healthy"}
        answer = json.loads(_ask(f"{address}/predict", json.dumps(CUSTOMER).encode()))
        assert 0.5 < answer["churn_probability"] < 1
        assert answer["churn"] is True


def _ask(url: str, body: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    for _ in range(100):
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return bytes(answer.read())
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    return pytest.fail(f"{url} does not answer")


def test_the_healthcheck_of_the_image_turns_healthy(docker: Docker, loaded: dict[str, str]) -> None:
    with docker.container("--network", "none", "--health-interval", "1s", "churn-serve") as name:
        for _ in range(200):
            state = docker.json("inspect", name, "--format", "{{json .State.Health}}")
            if state["Status"] == "healthy":
                break
            time.sleep(0.1)
        assert state["Status"] == "healthy", state
        assert state["Log"][-1]["Output"] == "status 200\n"


def test_sigterm_ends_the_server_cleanly(docker: Docker, loaded: dict[str, str]) -> None:
    with docker.container("--network", "none", "churn-serve") as name:
        for _ in range(100):
            if "Uvicorn running" in docker.run("logs", name).stdout:
                break
            time.sleep(0.1)
        docker.run("stop", "--time", "8", name)
        code = docker.json("inspect", name, "--format", "{{.State.ExitCode}}")
        assert code == 0, docker.run("logs", name).stdout


@pytest.mark.parametrize("name", ["sh", "bash", "apt", "dpkg", "pip", "gcc", "curl"])
def test_no_shell_and_no_package_manager(docker: Docker, loaded: dict[str, str], name: str) -> None:
    done = docker.run("run", "--rm", "--network", "none", "churn-serve", name, check=False)
    assert done.returncode == 127
    assert "executable file not found" in done.stderr


def test_the_python_of_the_environment_is_whole(docker: Docker, loaded: dict[str, str]) -> None:
    code = (
        "import sys, ssl, sqlite3, lzma, bz2, zlib, ctypes, uuid, pwd, zoneinfo, churn;"
        "assert sys.prefix == '/app/.venv', sys.prefix;"
        "assert ssl.create_default_context().get_ca_certs();"
        "assert pwd.getpwuid(65532).pw_name == 'nonroot';"
        "assert zoneinfo.ZoneInfo('Europe/Paris');"
        "assert '/site-packages/' in churn.__file__, churn.__file__;"
        "assert churn.__cached__.endswith('.pyc');"
        "print('whole')"
    )
    done = docker.run("run", "--rm", "--network", "none", "churn-serve", "python", "-c", code)
    assert done.stdout == "whole\n"


def test_a_layout_of_the_project_stays_small(project: RealProject) -> None:
    folder = Path(project.layout.root)
    assert sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) < 250e6
