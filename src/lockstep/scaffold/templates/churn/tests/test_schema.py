"""The schema and what is made from it agree."""

import gzip
from pathlib import Path

import pytest

from churn import data, schema
from churn.request import Customer

SOURCE = Path(__file__).resolve().parent.parent / "data" / "telco_churn.csv.gz"


def written(folder: Path, old: str, new: str) -> Path:
    """Write the first 50 customers with a text replaced, and return the file."""
    text = gzip.decompress(SOURCE.read_bytes()).decode()
    head = "".join(text.splitlines(keepends=True)[:51])
    assert old in head
    path = folder / "customers.csv"
    path.write_text(head.replace(old, new, 1))
    return path


def test_example_is_a_valid_request() -> None:
    """The documented example passes, field by field in the schema's order."""
    customer = Customer.model_validate(schema.example())
    assert customer.row() == schema.example()
    assert tuple(customer.row()) == schema.COLUMNS[1:-1]


def test_data_and_request_accept_the_same_customers() -> None:
    """Every customer that training accepts could be asked for."""
    for row in data.load(SOURCE).features.head(500).to_dict("records"):
        numbers = {f.name: f.kind(row[f.name]) for f in schema.NUMBERS}
        Customer.model_validate(row | numbers)


def test_blank_charges_are_zero_only_without_tenure() -> None:
    """The real data's blanks are counted and become 0."""
    dataset = data.load(SOURCE)
    assert dataset.blanks == 8
    assert (dataset.features["totalcharges"][dataset.features["tenure"] == 0] == 0).all()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("One year", "Ten years", "contract: unknown values"),
        (",593.3,", ", ,", "totalcharges: 1 bad values, first ' '"),
        (",65.6,", ",6560,", "monthlycharges: 1 bad values, first '6560'"),
        ("0003-MKNFE", "0002-ORFBO", "customerid is not unique"),
        ("tenure", "age", r"columns missing, unknown or repeated: \['age', 'tenure'\]"),
        ("Yes,No,DSL", "No,No,DSL", "multiplelines 'No' does not go with phoneservice 'No'"),
    ],
)
def test_bad_data_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    """Each fault is named with its column."""
    with pytest.raises(data.DataError, match=reason):
        data.load(written(tmp_path, old, new))


def test_unreadable_data_is_refused(tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(data.DataError, match=r"cannot read .*none\.csv"):
        data.load(tmp_path / "none.csv")
