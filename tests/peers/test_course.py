"""A course on environments, followed to its end: from its first command to a started image.

The files have the shape of what such a course lets students type in: a project without a package
for hatchling, tools in an extra `dev`, hooks of five repositories, a frozen list with the project
itself in it, a laboratory of one script.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import programs
from support.projects import write_files

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("in_store")]

TRAIN = """\
import pandas as pd
from sklearn.datasets import load_iris

def main():
    data = load_iris(as_frame=True)
    print(f"Loaded {len(data.frame)} samples")

if __name__ == "__main__":
    main()
"""
LAB = {
    "pyproject.toml": """\
[project]
name = "lab02"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["pandas>=2.1.0", "scikit-learn>=1.3.0"]

[project.optional-dependencies]
dev = ["black>=23.11.0", "ruff>=0.1.6"]
""",
    ".pre-commit-config.yaml": """\
repos:
  - repo: https://github.com/psf/black
    rev: 23.11.0
    hooks:
      - id: black
""",
    "train.py": TRAIN,
    "Dockerfile": """\
FROM python:3.11-slim
WORKDIR /app
COPY requirements-lock.txt .
RUN pip install --no-cache-dir -r requirements-lock.txt
COPY train.py .
CMD ["python", "train.py"]
""",
}
DEMO = {
    "pyproject.toml": """\
[project]
name = "mlops-demo"
version = "0.1.0"
description = "A project to follow a course with"
requires-python = ">=3.11"
dependencies = [
    "scikit-learn>=1.3.0",
    "pandas>=2.1.0",
    "mlflow>=2.9.0",
    "fastapi>=0.104.0",
    "uvicorn>=0.24.0",
    "pydantic>=2.5.0",
]

[project.optional-dependencies]
dev = ["pytest>=7.4.0", "black>=23.11.0", "ruff>=0.1.6", "mypy>=1.7.0", "pre-commit>=3.5.0"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.black]
line-length = 100
target-version = ["py311"]

[tool.ruff]
line-length = 100
select = ["E", "F", "I"]  # as the course has it

[tool.mypy]
python_version = "3.11"
warn_return_any = true
warn_unused_configs = true
""",
    ".pre-commit-config.yaml": """\
repos:
  - repo: https://github.com/pre-commit/pre-commit-hooks
    rev: v4.5.0
    hooks:
      - id: trailing-whitespace
      - id: end-of-file-fixer
      - id: check-yaml
      - id: check-added-large-files
        args: ['--maxkb=500']
      - id: check-merge-conflict

  - repo: https://github.com/psf/black
    rev: 23.11.0
    hooks:
      - id: black
        language_version: python3.11

  - repo: https://github.com/astral-sh/ruff-pre-commit
    rev: v0.1.6
    hooks:
      - id: ruff
        args: [--fix, --exit-non-zero-on-fix]

  - repo: https://github.com/pre-commit/mirrors-mypy
    rev: v1.7.1
    hooks:
      - id: mypy
        additional_dependencies: [types-requests]

  - repo: https://github.com/gitleaks/gitleaks
    rev: v8.18.1
    hooks:
      - id: gitleaks
""",
    "Dockerfile.train": """\
FROM python:3.11-slim as builder
WORKDIR /app
COPY pyproject.toml requirements-lock.txt ./
RUN python -m venv /app/.venv && \\
    /app/.venv/bin/pip install --no-cache-dir -r requirements-lock.txt
FROM python:3.11-slim
COPY --from=builder /app/.venv /app/.venv
ENV PATH="/app/.venv/bin:$PATH"
WORKDIR /app
COPY src/ ./src/
COPY data/ ./data/
CMD ["python", "src/train.py"]
""",
    "Dockerfile.serve": """\
FROM python:3.11-slim
WORKDIR /app
COPY pyproject.toml requirements-lock.txt ./
RUN pip install --no-cache-dir -r requirements-lock.txt
COPY src/api.py ./
COPY models/ ./models/
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \\
  CMD curl -f http://localhost:8000/health || exit 1
CMD ["uvicorn", "api:app", "--host", "0.0.0.0", "--port", "8000"]
""",
    "src/train.py": """\
import json
import pathlib

from sklearn.datasets import load_iris

def main():
    data = load_iris(as_frame=True)
    print(f"Loaded {len(data.frame)} samples")
    pathlib.Path("models").mkdir(exist_ok=True)
    pathlib.Path("models/means.json").write_text(json.dumps(data.frame.mean().to_dict()))


if __name__ == "__main__":
    main()
""",
    "src/api.py": """\
import json
from pathlib import Path

from fastapi import FastAPI

app = FastAPI()
MEANS = json.loads(Path("models/means.json").read_text())


@app.get("/health")
def health():
    return {"status": "healthy"}
""",
    "data/rows.csv": "a,b\n1,2\n",
}


class Student:
    """Types commands in a folder, without a network for git."""

    def __init__(self, root: Path) -> None:
        self.root = root
        people = {f"GIT_{who}_NAME": "A. Student" for who in ("AUTHOR", "COMMITTER")}
        people |= {f"GIT_{who}_EMAIL": "student@example.test" for who in ("AUTHOR", "COMMITTER")}
        self.env = programs.without("VIRTUAL_ENV", "SOURCE_DATE_EPOCH", **people) | {
            "PATH": f"{programs.UV.parent}{os.pathsep}{os.environ['PATH']}",
            "PREK_HOME": str(root.parent / "prek"),
        }
        # Hooks of other repositories are fetched by git.
        self.offline = self.env | {"GIT_ALLOW_PROTOCOL": "file"}

    def run(self, *words: str | Path, code: int = 0, offline: bool = False) -> str:
        env = self.offline if offline else self.env
        return programs.run(*words, cwd=self.root, env=env, code=code, stderr=True)

    def lockstitch(self, *words: str, code: int = 0, offline: bool = False) -> str:
        return self.run(sys.executable, "-m", "lockstitch", *words, code=code, offline=offline)

    def installed(self) -> None:
        """Install as the course does: an environment, the project editable, a frozen list."""
        self.run("git", "init", "--quiet")
        self.run(programs.UV, "venv", "--quiet", "--clear")
        self.run(programs.UV, "pip", "install", "--quiet", "-e", ".[dev]")
        frozen = subprocess.run(
            [programs.UV, "pip", "freeze"],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
            check=True,
        )
        (self.root / "requirements-lock.txt").write_text(frozen.stdout)

    def committed(self) -> str:
        """Commit until the hooks have nothing to correct, and return what the first said."""
        self.run(self.root / ".venv" / "bin" / "prek", "install")
        self.run("git", "add", "--all")
        first = self.run("git", "commit", "--message", "Add training script", code=1, offline=True)
        self.run("git", "add", "--all")
        self.run("git", "commit", "--message", "Add training script", offline=True)
        return first


def test_the_laboratory(tmp_path: Path) -> None:
    student = Student(write_files(tmp_path / "mlops-lab-02", LAB))
    student.installed()
    python = student.root / ".venv" / "bin" / "python"
    assert student.run(python, "train.py") == "Loaded 150 samples\n"
    # The frozen list has the project itself, at which each build of the image stops.
    assert "-e file:///" in (student.root / "requirements-lock.txt").read_text()
    assert "LCK004" in student.lockstitch("check", code=1)
    student.lockstitch("check", "--fix", code=1)
    assert "-e" not in (student.root / "requirements-lock.txt").read_text().split()
    said = student.lockstitch("init", "--with-tools", "--yes")
    assert "git init" not in said
    student.lockstitch("lock", "--quiet")
    student.run(programs.UV, "sync", "--quiet")
    assert (python.with_name("black")).exists()
    student.lockstitch("hooks", "migrate", "--quiet", offline=True)
    assert "reformatted train.py" in student.committed()
    student.lockstitch("build", "--quiet")
    said = student.lockstitch("try", "train")
    assert "Loaded 150 samples" in said
    assert "train: ended with 0" in said
    student.lockstitch("check")


@pytest.mark.nightly
def test_the_demo(tmp_path: Path) -> None:
    student = Student(write_files(tmp_path / "mlops-demo", DEMO))
    student.run("git", "init", "--quiet")
    student.run(programs.UV, "venv", "--quiet")
    # hatchling finds no package, until it is told that there is none.
    editable = ("pip", "install", "--quiet", "-e", ".[dev]")
    failed = programs.run(
        programs.UV, *editable, cwd=student.root, env=student.env, code=1, stderr=True
    )
    assert "hatchling" in failed
    said = student.lockstitch("check", "--fix", code=1)
    assert "bypass-selection = true" in said
    student.installed()
    python = student.root / ".venv" / "bin" / "python"
    assert student.run(python, "src/train.py") == "Loaded 150 samples\n"
    student.lockstitch("check", "--fix", code=1)  # what the list has too much of
    student.lockstitch("init", "--with-tools", "--yes")
    student.lockstitch("lock", "--quiet")
    student.run(programs.UV, "sync", "--quiet")
    said = student.lockstitch("hooks", "migrate", "--quiet", code=1, offline=True)
    assert "uv add --dev pre-commit-hooks  # makes 5 of its hooks local" in said
    assert "uv add --dev kingfisher-bin  # makes 1 of its hooks local" in said
    student.run(programs.UV, "add", "--quiet", "--dev", "pre-commit-hooks", "kingfisher-bin")
    student.lockstitch("hooks", "migrate", "--quiet", offline=True)
    student.lockstitch("lock", "--quiet")
    lock = student.root / "uv.lock"
    assert lock.stat().st_size > 500 * 1024  # which the hook against large files lets through
    said = student.committed()
    assert "reformatted src/train.py" in said, said
    student.lockstitch("build", "--quiet")
    assert "Loaded 150 samples" in student.lockstitch("try", "train")
    assert "/health" in student.lockstitch("try", "serve")


@pytest.mark.nightly
def test_tools_that_are_added_to_a_template(tmp_path: Path) -> None:
    """`uv add` puts tools into every image, and what the budget says moves them away."""
    programs.run(sys.executable, "-m", "lockstitch", "new", "churn", cwd=tmp_path, stderr=True)
    student = Student(tmp_path / "churn")
    tools = ("dvc", "evidently", "great-expectations")
    student.run(programs.UV, "add", "--quiet", *tools)
    student.lockstitch("lock", "--quiet")
    said = student.lockstitch("build", "train", code=1)
    assert "over its budget of 450.0 MB" in said
    hint = said.partition("hint: ")[2].strip()
    assert hint.startswith("no file imports `dvc`, `evidently`, `great-expectations`: uv remove ")
    student.run("sh", "-c", hint.partition(": ")[2])
    student.lockstitch("build", "--quiet", "train")
    student.run("git", "init", "--quiet")
    student.run(programs.UV, "run", "prek", "install")
    student.run("git", "add", "--all")
    student.run("git", "commit", "--quiet", "--message", "Add tools")
    assert student.run("git", "status", "--porcelain") == ""
