"""Podman and Buildah build the rendered Dockerfile, and Podman loads the native image."""

import json
import os
import ssl
import subprocess
from dataclasses import replace

import pytest
from support.programs import UV

from .conftest import RealProject, program

# 1 minute and a gigabyte of copies: without overlay file systems each layer is a whole image.
pytestmark = [pytest.mark.network, pytest.mark.nightly]


@pytest.fixture(scope="module")
def apart(project: RealProject, tmp_path_factory: pytest.TempPathFactory) -> RealProject:
    """Return the project in a world where both programs keep what they have in a folder."""
    folder = tmp_path_factory.mktemp("containers")
    (folder / "containers.conf").write_text("[containers]\ndefault_ulimits = []\n")
    places = {"graphroot": folder / "graph", "runroot": folder / "run"}
    lines = [f'{name} = "{path}"' for name, path in places.items()]
    (folder / "storage.conf").write_text("\n".join(["[storage]", 'driver = "vfs"', *lines, ""]))
    variables = {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }
    subprocess.run(
        ["tar", "--create", "--file", folder / "uv.tar", "-C", UV.parent, "uv"], check=True
    )
    words = [program("podman"), "import", folder / "uv.tar", "uv:local"]
    subprocess.run(words, env=os.environ | variables, check=True)
    project.lockstitch("export", "dockerfile")
    return replace(project, environment=project.environment | variables)


@pytest.mark.parametrize("name", ["buildah", "podman"])
def test_it_builds_the_dockerfile(apart: RealProject, name: str) -> None:
    program(name)
    authorities = ssl.get_default_verify_paths().cafile
    words = ["--network", "host", "--build-arg", "UV_IMAGE=uv:local"]
    words += ["--secret", f"id=ca,src={authorities}"] if authorities else []
    found = apart.lockstitch("build", "serve", "--engine", name, "--tag", f"{name}:1", "--", *words)
    assert found == f"serve {name}:1\n"
    shown = [program("podman"), "image", "inspect", f"{name}:1"]
    (inspected,) = json.loads(subprocess.check_output(shown, env=apart.environment))
    assert inspected["Config"]["User"] == "65532:65532"
    assert inspected["Healthcheck"]["Interval"] == 10_000_000_000


def test_podman_loads_the_native_image(apart: RealProject) -> None:
    answer = json.loads(apart.lockstitch("build", "serve", "--load", "podman", "--json"))[0]
    shown = [program("podman"), "image", "inspect", "--format", "{{.Id}}", "churn-serve"]
    found = subprocess.check_output(shown, env=apart.environment, text=True).strip()
    assert found == answer["config"].removeprefix("sha256:")


def test_a_container_of_podman_is_the_image_that_runs_in_it(apart: RealProject) -> None:
    apart.lockstitch("build", "train", "--load", "podman")
    command = [program("podman"), "run", "--detach", "--name", "drift", "--network", "none"]
    command += ["--entrypoint", "python", "churn-train", "-c", "import time; time.sleep(600)"]
    subprocess.run(command, env=apart.environment, check=True)
    try:
        found = json.loads(apart.lockstitch("fingerprint", "container:drift", "--json"))
        said = apart.lockstitch("diff", "train", "container:drift", "--all")
    finally:
        remove = [program("podman"), "rm", "--force", "--time", "0", "drift"]
        subprocess.run(remove, env=apart.environment, check=True)
    assert found["python"]["version"].startswith("3.11.")
    assert {"numpy", "scikit-learn"} <= {each["name"] for each in found["packages"]}
    assert said == "", "no difference"
