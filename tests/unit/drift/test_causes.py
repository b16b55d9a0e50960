"""Real causes among half a hundred packages that changed too: the guilty one is named first."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from lockstitch.drift import compare
from lockstitch.fingerprint.model import Fingerprint, Package

CAUSES = tomllib.loads(Path("tests/support/causes.toml").read_text())["cause"]
# Beside each of them: what a project of the field has, all of it changed as well.
BESIDE = {
    "scikit-learn": ("1.5.2", "1.6.1"),
    "numpy": ("1.26.4", "2.1.0"),
    "scipy": ("1.13.1", "1.14.1"),
    "pandas": ("2.2.3", "3.0.0"),
    "xgboost": ("1.7.6", "2.1.0"),
    "joblib": ("1.3.2", "1.4.2"),
    "threadpoolctl": ("3.5.0", "3.6.0"),
    "matplotlib": ("3.8.0", "3.10.3"),
    "requests": ("2.31.0", "2.32.4"),
    "certifi": ("2024.8.30", "2025.6.15"),
    **{f"other-{number:02}": ("1.0", "1.1") for number in range(40)},
}
IMPORTED = ("scikit-learn", "numpy", "scipy", "pandas", "joblib", "threadpoolctl", "matplotlib")


def place(cause: dict[str, Any], *, imported: bool) -> int:
    """Return the place of the guilty package among those that changed, 1 for the first."""
    versions = {**BESIDE, cause["package"]: tuple(cause["versions"])}
    known = {"imported": tuple({*IMPORTED, cause["package"]})} if imported else {}
    before, after = (
        Fingerprint(
            kind="lock",
            packages=tuple(Package(name=n, version=both[side]) for n, both in versions.items()),
            **known,
        )
        for side in (0, 1)
    )
    words = frozenset(cause["code"].replace(".", " ").replace("(", " ").split())
    found = compare.between(before, after, code=lambda: words)
    return [each.name for each in found].index(cause["package"]) + 1


@pytest.mark.parametrize("imported", [True, False])
def test_the_guilty_package_comes_first(imported: bool) -> None:
    """In nine of twelve at least, and among the first three in each; three are no packages."""
    packages = [cause for cause in CAUSES if "package" in cause]
    places = {cause["name"]: place(cause, imported=imported) for cause in packages}
    assert len(CAUSES) == 12
    first = sum(each == 1 for each in places.values())
    assert first >= len(packages) - 2, places
    assert max(places.values()) <= 3, places


def test_each_cause_is_told_from_the_others() -> None:
    assert len({cause["name"] for cause in CAUSES}) == len(CAUSES)
    for cause in CAUSES:
        assert sum(key in cause for key in ("package", "variable", "file")) == 1
        compile(cause["code"], cause["name"], "exec")
