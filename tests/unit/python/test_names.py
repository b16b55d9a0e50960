"""Names as packaging specifications compare them."""

import pytest

from lockstitch.python.names import distribution_of, of_requirement, undeclared


@pytest.mark.parametrize(
    ("line", "name"), [("A_b.C[x]>=1", "a-b-c"), ("a", "a"), (" a;x", "a"), ("-e", ""), ("", "")]
)
def test_the_name_of_a_requirement(line: str, name: str) -> None:
    assert of_requirement(line) == name


@pytest.mark.parametrize(
    ("module", "distribution"),
    [
        ("sklearn.linear_model", "scikit-learn"),
        ("google.cloud.storage.blob", "google-cloud-storage"),
        ("google.protobuf", "protobuf"),
        ("huggingface_hub", "huggingface-hub"),
        ("of_no_table.x", "of-no-table"),
        ("pkg_resources", "'setuptools<81'"),
    ],
)
def test_what_to_add_for_a_module(module: str, distribution: str) -> None:
    assert distribution_of(module) == distribution


def test_what_packages_do_not_declare_is_what_an_import_of_it_says_to_add() -> None:
    assert undeclared()["mlflow<2.16"] == distribution_of("pkg_resources").strip("'")
