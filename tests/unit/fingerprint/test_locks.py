"""Every form of lock comes down to the same packages."""

import shutil
import subprocess
from pathlib import Path

import pytest

from lockstitch import process
from lockstitch.errors import LockstitchError
from lockstitch.fingerprint import locks
from lockstitch.fingerprint.model import Fingerprint
from lockstitch.python.target import Target

AMD = Target(platform="linux/amd64", python="3.11.2", glibc="2.36")
HEX = "ab" * 32
POETRY = f"""\
[[package]]
name = "Alpha"
version = "1.0"
optional = false
groups = ["main", "dev"]
files = [{{file = "alpha-1.0-py3-none-any.whl", hash = "sha256:{HEX}"}}]
[package.dependencies]
Beta = ">=1"
absent = "*"

[[package]]
name = "beta"
version = "2.0"
optional = false
groups = ["dev"]
files = [{{file = "beta-2.0-py3-none-any.whl", hash = "sha256:{HEX}"}}]

[extras]

[metadata]
lock-version = "2.1"
python-versions = ">=3.11"
"""


def read(text: str, name: str, **chosen: tuple[str, ...]) -> Fingerprint:
    return locks.read(text, name, locks.Wanted(target=AMD, **chosen))


def test_one_project_in_four_forms(locked: Path) -> None:
    """uv.lock, its two exports and the lock of an image give the same packages."""
    groups = ("serve",)
    whole = read((locked / "uv.lock").read_text(), "uv.lock", groups=groups, extras=())
    assert [package.name for package in whole.packages] == ["alpha", "epsilon", "gamma", "tiny"]
    image = read((locked / "pylock.serve.toml").read_text(), "pylock.serve.toml")
    words = ["export", "--frozen", "--no-emit-project", "--no-default-groups", "--group", "serve"]
    text = subprocess.check_output([process.find_uv(), *words, "--quiet"], cwd=locked, text=True)
    exported = read(text, "requirements.txt")
    for found in (image, exported):
        for package in found.packages:
            same = whole.package(package.name)
            assert same is not None
            assert (same.version, same.artifacts) == (package.version, package.artifacts)
        assert len(found.packages) == 3
    alpha = whole.package("alpha")
    assert alpha is not None
    assert (alpha.direct, alpha.needs, alpha.tags) == (True, ("epsilon",), ("py3-none-any",))
    shutil.rmtree(locked)


def test_poetrys_lock_with_its_groups() -> None:
    found = read(POETRY, "poetry.lock")
    assert [(package.name, package.version) for package in found.packages] == [
        ("alpha", "1.0"),
        ("beta", "2.0"),
    ]
    assert found.packages[0].needs == ("beta",)
    main = read(POETRY, "some/poetry.lock", groups=(), extras=())
    assert [package.name for package in main.packages] == ["alpha"]
    assert main.packages[0].needs == ()


def test_two_versions_of_a_name_are_one_package() -> None:
    sources = "".join(
        f'[[package]]\nname = "t"\nversion = "{version}"\nsource = {{ registry = "x" }}\n'
        f'wheels = [{{ url = "https://h.test/t-{version}-py3-none-any.whl",'
        f' hash = "sha256:{digest * 32}" }}]\n'
        for version, digest in (("2.0", "cd"), ("1.0", "ab"))
    )
    text = (
        'version = 1\n[[package]]\nname = "app"\nversion = "1"\nsource = { editable = "." }\n'
        'dependencies = [{ name = "t" }]\n' + sources
    )
    package = read(text, "uv.lock").package("t")
    assert package is not None
    assert (package.version, package.direct) == ("1.0, 2.0", True)
    assert package.artifacts == (f"sha256:{'ab' * 32}", f"sha256:{'cd' * 32}")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("uv.lock", True),
        ("sub/poetry.lock", True),
        ("pylock.toml", True),
        ("pylock.train.toml", True),
        ("requirements-dev.txt", True),
        ("pyproject.toml", False),
        ("run.json", False),
        (".venv", False),
    ],
)
def test_what_is_a_lock(name: str, wanted: bool) -> None:
    assert locks.is_lock(name) == wanted


def test_a_line_that_pins_nothing_is_named() -> None:
    with pytest.raises(LockstitchError, match=r"`numpy` is not pinned with `==`"):
        read("numpy>=2\n", "requirements.txt")


def test_a_uv_lock_that_was_read_is_answered_from_its_record(
    locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks._of_uv.cache_clear()
    text = (locked / "uv.lock").read_text()
    first = locks.read(text, "uv.lock", locks.Wanted(target=AMD))
    locks._of_uv.cache_clear()
    arm = Target(platform="linux/arm64", python="3.11.2", glibc="2.36")
    monkeypatch.setattr(locks, "_read_uv", lambda *_: [])
    again = locks.read(text, "uv.lock", locks.Wanted(target=AMD))
    assert again == first
    assert [package.url for package in again.packages] == [p.url for p in first.packages]
    for other in (locks.Wanted(target=arm), locks.Wanted(target=AMD, groups=("none",))):
        assert locks.read(text, "uv.lock", other).packages == ()
    assert locks.read(f"{text}\n", "uv.lock", locks.Wanted(target=AMD)).packages == ()
