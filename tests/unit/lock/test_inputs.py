"""What makes a lock stale, and what does not."""

import tomllib
from pathlib import Path

import pytest
from support import projects

from lockstitch.digest import Digest
from lockstitch.lock import inputs
from lockstitch.python.load import read


def digest(text: str = projects.PYPROJECT, root: str = "/p") -> Digest:
    return inputs.digest(read(tomllib.loads(text), Path(root)))


def test_the_digest_is_this() -> None:
    # Another one makes every lock there is stale: that is a decision, not an accident.
    assert digest() == "sha256:9f2571f5e718b5eb56e2fe82d132866af457f056576cffbe834ea0b28f029d90"


def test_the_folder_does_not_matter() -> None:
    assert digest(root="/elsewhere") == digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "tiny"\n', 'name = "tiny"\ndescription = "x"\n'),
        ("port = 8000", "port = 9000"),
        ('command = ["python", "app/main.py"]', 'command = ["true"]'),
        ('include = ["app/**"]', 'include = ["app/main.py"]'),
        ('health = "/health"', 'health = "/other"\nbudget = "1GB"\nenv = {A = "b"}\ntrim = true'),
        ("[tool.lockstitch]\n", "[tool.ruff]\nline-length = 9\n[tool.lockstitch]\n"),
        ('python = "3.11"\n', 'python = "3.11"\nplatforms = ["linux/amd64"]\n'),
        ('python = "3.11"\n', ""),  # which is the default
        ('groups = ["train", "plot"]', 'groups = ["plot", "train"]'),
        ("# nothing", "# nothing"),
    ],
)
def test_what_pins_nothing_does_not_matter(old: str, new: str) -> None:
    assert digest(projects.PYPROJECT.replace(old, new)) == digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "tiny"', 'name = "tinier"'),
        ('version = "0.1.0"', 'version = "0.2.0"'),
        ('">=3.11"', '">=3.12"'),
        ('["alpha>=1"]', '["alpha>=1", "beta"]'),
        ('plot = ["delta"]', 'plot = ["delta>=1"]'),
        ('train = ["beta"]', 'train = ["beta>=3"]'),
        ("tinybuild>=1", "tinybuild>=2"),
        ('python = "3.11"', 'python = "3.12"'),
        ('python = "3.11"\n', 'python = "3.11"\nbase = "debian:trixie"\n'),
        ('python = "3.11"\n', 'python = "3.11"\nplatforms = ["linux/arm64"]\n'),
        ('groups = ["serve"]', 'groups = ["serve", "train"]'),
        ('groups = ["train", "plot"]', 'groups = ["train"]'),
        ("[tool.lockstitch.images.serve]", "[tool.lockstitch.images.api]"),
        ("[tool.lockstitch]\n", "[tool.uv]\nprerelease = 'allow'\n[tool.lockstitch]\n"),
    ],
)
def test_what_pins_something_matters(old: str, new: str) -> None:
    assert old in projects.PYPROJECT
    assert digest(projects.PYPROJECT.replace(old, new)) != digest()


def test_the_order_of_platforms_does_not_matter() -> None:
    both = ['["linux/amd64", "linux/arm64"]', '["linux/arm64", "linux/amd64"]']
    old = 'python = "3.11"\n'
    one, two = (
        digest(projects.PYPROJECT.replace(old, f"{old}platforms = {platforms}\n"))
        for platforms in both
    )
    assert one == two
