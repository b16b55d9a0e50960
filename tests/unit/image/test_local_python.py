"""Which CPython of this machine compiles for a base that is not run here."""

import platform
import sys
from collections.abc import Iterator

import pytest

from lockstitch.image import local_python

OWN = platform.python_version()
MINOR = OWN.rpartition(".")[0]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    local_python.find.cache_clear()
    yield
    local_python.find.cache_clear()


def test_this_python_compiles_for_its_own_version_without_a_word() -> None:
    found, note = local_python.find(OWN)
    assert found is not None
    assert (found.argv, found.minor, note) == ((sys.executable,), MINOR, "")


def test_another_patch_version_is_said_and_has_another_key() -> None:
    same, _ = local_python.find(OWN)
    found, note = local_python.find(f"{MINOR}.999")
    assert found is not None
    assert same is not None
    # What the compiler is decides, and not for whom it works.
    assert found.key == same.key
    assert f"CPython {OWN} of this machine, the base has {MINOR}.999" in note


def test_no_python_means_no_bytecode() -> None:
    found, note = local_python.find("3.99.1")
    assert (found, note) == (
        None,
        "no bytecode: this machine has no CPython 3.99 to make it (uv python install 3.99.1)",
    )
