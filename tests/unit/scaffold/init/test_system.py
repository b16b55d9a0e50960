"""Packages of the system that Dockerfiles install, and which of them an image gets."""

import tomllib
from pathlib import Path

import pytest
from support.projects import write_files

from lockstitch.python import load
from lockstitch.scaffold.init import plan

DOCKERFILE = """\
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends {} && rm -rf /var/lib/apt
COPY . .
CMD ["python", "app.py"]
"""


def planned(root: Path, packages: str, code: str = "print(1)\n") -> plan.Plan:
    texts = {"Dockerfile": DOCKERFILE.format(packages), "app.py": code}
    found = plan.plan(write_files(root, {**texts, "requirements.txt": "numpy\n"}))
    plan.write(found)
    return found


def test_libraries_and_programs_become_packages_of_the_base(tmp_path: Path) -> None:
    found = planned(tmp_path, "ffmpeg=7:5.1* libsm6:amd64 libgl1-mesa-glx ca-certificates $MORE")
    document = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    assert document["tool"]["lockstitch"]["base"] == {
        "name": "debian:bookworm",
        "packages": ["ffmpeg", "libgl1", "libsm6"],
    }
    assert load.load(tmp_path).packages == ("ffmpeg", "libgl1", "libsm6")
    assert any("`ffmpeg` (Dockerfile:2)" in note for note in found.notes)
    assert plan.plan(tmp_path).changes == ()


@pytest.mark.parametrize(
    ("packages", "reason"),
    [
        ("build-essential libpq-dev g++", "wheels come built"),
        ("curl vim", "no code of the repository starts"),
        ("tini locales", "one program"),
        ("default-jre-headless graphviz", "maintainer scripts"),
        ("trivy-cli && cp t.list /etc/apt/sources.list.d/trivy.list", "and not of Debian"),
    ],
)
def test_what_an_image_does_not_need_is_named(tmp_path: Path, packages: str, reason: str) -> None:
    found = planned(tmp_path, packages)
    document = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    assert document["tool"]["lockstitch"]["base"] == "debian:bookworm"
    (note,) = [note for note in found.notes if reason in note]
    assert all(f"`{name}`" in note for name in packages.partition(" && ")[0].split())


def test_a_tool_that_the_code_starts_is_a_package(tmp_path: Path) -> None:
    planned(tmp_path, "git curl", "import subprocess\nsubprocess.run(['git', 'log'])\n")
    assert load.load(tmp_path).packages == ("git",)


def test_packages_of_alpine_have_other_names(tmp_path: Path) -> None:
    text = DOCKERFILE.replace(
        "apt-get update && apt-get install -y --no-install-recommends", "apk add"
    )
    text = text.replace("3.11-slim", "3.11-alpine").format("ffmpeg")
    files = {"Dockerfile": text, "app.py": "print(1)\n", "requirements.txt": "numpy\n"}
    found = plan.plan(write_files(tmp_path, files))
    assert any("`ffmpeg` (Dockerfile:2): a package of Alpine" in note for note in found.notes)


def test_a_distribution_gets_the_libraries_that_its_wheel_does_not_bring(tmp_path: Path) -> None:
    texts = {"requirements.txt": "LightGBM==4.5\npdf2image\n", "main.py": "import lightgbm\n"}
    found = plan.plan(write_files(tmp_path, texts))
    plan.write(found)
    assert load.load(tmp_path).packages == ("libgomp1", "poppler-utils")
    assert any("`libgomp1` (`lightgbm` needs it)" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "needs", "wanted"),
    [
        ("packages.txt", "streamlit", ("ffmpeg", "libgl1")),
        ("packages.txt", "numpy", ()),  # may be any list
        ("apt.txt", "numpy", ("ffmpeg", "libgl1")),
        ("Aptfile", "numpy", ("ffmpeg", "libgl1")),
    ],
)
def test_lists_that_hosts_install(
    tmp_path: Path, name: str, needs: str, wanted: tuple[str, ...]
) -> None:
    listed = "# of the host\nlibgl1-mesa-glx\nffmpeg  # sound\nhttps://example.org/x.deb\n"
    texts = {name: listed, "app.py": "print(1)\n", "requirements.txt": f"{needs}\n"}
    plan.write(plan.plan(write_files(tmp_path, texts)))
    assert load.load(tmp_path).packages == wanted
