"""Interpreters for mixtures: exactly, else of the same minor version, else none."""

import platform
import sys

import pytest

from lockstitch.drift.bisect.pythons import Pythons, minor
from lockstitch.errors import LockstitchError

OWN = platform.python_version()


@pytest.mark.parametrize(
    ("version", "wanted"),
    [("3.11.7", "3.11"), ("3.11", "3.11"), ("3.13.1t", "3.13t"), ("3.13t", "3.13t")],
)
def test_minor(version: str, wanted: str) -> None:
    assert minor(version) == wanted


def test_this_one_and_those_that_are_known() -> None:
    found = Pythons({"3.99.1": "/env/bin/python"})
    assert found.path(OWN) == found.path(minor(OWN)) == sys.executable
    assert found.need("3.99.1") == "/env/bin/python"
    with pytest.raises(LockstitchError, match=r"Python 3\.98 cannot be had here"):
        found.need("3.98")


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ("3.99.1", "3.99.2", ("3.99.1", "3.99.2")),
        ("3.99.1", "3.99.3", ("3.99.1", "3.99.1")),
        ("3.99.3", "3.99.2", ("3.99.2", "3.99.2")),
        ("3.98.3", "3.98.2", ("3.98", "3.98")),
        ("3.98.3", "3.99.2", ("3.98", "3.99.2")),
    ],
)
def test_two_versions(before: str, after: str, wanted: tuple[str, str]) -> None:
    assert Pythons({"3.99.1": "/one", "3.99.2": "/two"}).both(before, after) == wanted
