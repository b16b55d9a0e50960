"""What is known of releases that change results: whole, cited, and found by version."""

import itertools

import pytest

from lockstitch.drift import effects


def test_the_set_is_whole() -> None:
    changes = effects.everything()
    packages = {change.package for change in changes}
    assert len(changes) >= 25
    assert packages == {
        *("numpy", "scipy", "pandas", "scikit-learn", "xgboost", "lightgbm", "torch"),
        *("pillow", "imbalanced-learn", "optuna", "polars", "category-encoders", "statsmodels"),
        *("transformers", "tokenizers"),
    }
    for change in changes:
        assert change.what[-1] != "."
        assert change.source, change
        assert effects._parsed(change.version), change
    for package, group in itertools.groupby(changes, key=lambda each: each.package):
        versions = [effects._parsed(each.version) or () for each in group]
        assert versions == sorted(versions), package
    assert len({(change.package, change.what) for change in changes}) == len(changes)


@pytest.mark.parametrize(
    ("before", "after", "crossed"),
    [
        ("1.5.2", "1.6.1", True),
        ("1.6.1", "1.5.2", True),
        ("1.5.2", "1.6.0", True),
        ("1.6.0", "1.6.1", False),
        ("1.4.0", "1.5.2", False),
        ("1.5.2", "no version", False),
        ("", "1.6", False),
    ],
)
def test_a_change_is_known_when_its_version_lies_between(
    before: str, after: str, crossed: bool
) -> None:
    found = effects.known_changes("scikit-learn", before, after)
    assert any("categories as categories" in each.what for each in found) == crossed


@pytest.mark.parametrize(
    ("before", "after", "step"),
    [
        ("1.0", "2.0", 0),
        ("1.1", "1.2.0", 1),
        ("1.1.1", "1.1.2", 2),
        ("1", "1.0.1", 2),
        ("", "1", 3),
    ],
)
def test_a_step_is_by_the_first_number_that_differs(before: str, after: str, step: int) -> None:
    assert effects.step(before, after) == step
