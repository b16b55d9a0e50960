"""Builds a project folder in one call."""

from collections.abc import Mapping
from pathlib import Path

__all__ = ["FILES", "PYPROJECT", "minimal", "replace", "small", "write", "write_files"]

PYPROJECT = """\
[build-system]
requires = ["tinybuild>=1"]
build-backend = "tinybuild"

[project]
name = "tiny"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["alpha>=1"]

[project.optional-dependencies]
plot = ["delta"]

[dependency-groups]
train = ["beta"]
serve = ["gamma>=2"]

[tool.lockstitch]
python = "3.11"

[tool.lockstitch.images.serve]
groups = ["serve"]
include = ["app/**"]
command = ["python", "app/main.py"]
port = 8000
health = "/health"

[tool.lockstitch.images.train]
groups = ["train", "plot"]
include = ["app/*.py", "data/**"]
outputs = ["models"]
command = ["python", "-m", "tiny"]
"""
FILES: Mapping[str, str] = {
    "src/tiny/__init__.py": "",
    "src/tiny/__main__.py": "print('tiny')\n",
    "app/main.py": "import tiny\n",
    "app/static/page.html": "<p>page</p>\n",
    "data/rows.csv": "a,b\n1,2\n",
}


def minimal(tables: str, dependencies: str = "[]") -> str:
    """Return the least pyproject.toml that uv takes, with further tables."""
    return (
        '[project]\nname = "tiny"\nversion = "1"\nrequires-python = ">=3.11"\n'
        f"dependencies = {dependencies}\n\n{tables}"
    )


def small(base: str, python: str, dependency: str, *, bytecode: bool = True) -> str:
    """Return a pyproject.toml of one package and one program, `app.py`, on a base."""
    return f"""\
[project]
name = "small"
version = "0.1"
requires-python = ">={python}"
dependencies = ["{dependency}"]

[tool.lockstitch]
python = "{python}"
base = "{base}"

[tool.lockstitch.images.app]
include = ["app.py"]
command = ["python", "app.py"]
bytecode = {str(bytecode).lower()}
"""


def write(folder: Path, *, pyproject: str = PYPROJECT, files: Mapping[str, str] = FILES) -> Path:
    """Write a project into a new folder and return it."""
    return write_files(folder, {"pyproject.toml": pyproject, **files})


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder, with the folders they need, and return the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # As bytes, since a text's line ends are part of what some tests are about.
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def replace(folder: Path, old: str, new: str, name: str = "pyproject.toml") -> None:
    """Change a text of a file, which must be there."""
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
