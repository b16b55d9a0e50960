"""The schema and what is made from it agree."""

import csv
import gzip
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from churn import data, schema
from churn.request import Customer

SOURCE = Path(__file__).resolve().parent.parent / "data" / "telco_churn.csv.gz"
Row = dict[str, Any]


@st.composite
def customers(draw: st.DrawFn) -> Row:
    """Give any customer that the schema describes."""
    row: Row = {}
    for feature in schema.FEATURES:
        if isinstance(feature, schema.Number):
            numbers: st.SearchStrategy[float] = (
                st.integers(int(feature.low), int(feature.high))
                if feature.kind is int
                else st.floats(feature.low, feature.high)
            )
            row[feature.name] = draw(numbers)
            continue
        service, absent = schema.DEPENDENT.get(feature.name, (None, None))
        texts = [text for text in feature.texts if text != absent]
        without = service and row[service] == schema.YesNo.NO
        row[feature.name] = absent if without else draw(st.sampled_from(texts))
    return row


@st.composite
def changed(draw: st.DrawFn) -> Row:
    """Give a customer with one field replaced by anything of its kind, which may be wrong."""
    row = draw(customers())
    feature = draw(st.sampled_from(schema.FEATURES))
    values: st.SearchStrategy[Any] = st.floats()
    if isinstance(feature, schema.Category):
        plain = st.text(st.characters(exclude_categories=["Cc", "Cs"]))
        values = st.sampled_from(feature.texts) | plain
    elif feature.kind is int:
        values = st.integers()
    return row | {feature.name: draw(values)}


def load(row: Row) -> data.Dataset:
    """Read a file in which a customer is once for each label and as often as training needs."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "customers.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(schema.COLUMNS)
            for number in range(2 * data.FEWEST):
                writer.writerow([number, *row.values(), ["No", "Yes"][number % 2]])
        return data.load(path)


def accepted(row: Row) -> bool:
    """Tell whether the service takes a customer."""
    try:
        Customer.model_validate(row)
    except ValidationError:
        return False
    return True


def trained_on(row: Row) -> bool:
    """Tell whether training takes a customer."""
    try:
        load(row)
    except data.DataError:
        return False
    return True


@given(customers())
def test_any_customer_is_read_as_written(row: Row) -> None:
    """What the schema describes, both sides accept and neither changes."""
    dataset = load(row)
    for read in dataset.features.to_dict("records"):
        assert read == pytest.approx(row)
    assert Customer.model_validate(row).row() == row
    assert schema.conflict(row) is None


@given(changed())
def test_training_and_service_refuse_the_same(row: Row) -> None:
    """A customer whose churn can be asked for could have been trained on, and no other."""
    assert accepted(row) == trained_on(row)


@pytest.mark.parametrize("number", schema.NUMBERS, ids=lambda number: number.name)
def test_limits_are_the_same(number: schema.Number) -> None:
    """Both sides take what lies on a limit and refuse what lies beyond."""
    for value, fine in [
        (number.low, True),
        (number.high, True),
        (number.low - 1, False),
        (number.high + 1, False),
    ]:
        row = schema.example() | {number.name: number.kind(value)}
        assert accepted(row) is trained_on(row) is fine


@given(customers(), st.sampled_from(["", " ", "\t"]))
def test_blank_charges_need_no_tenure(row: Row, blank: str) -> None:
    """A blank is read as 0 for those who have just come, and is wrong for all others."""
    new = load(row | {"tenure": 0, "totalcharges": blank})
    assert new.blanks == 2 * data.FEWEST
    assert set(new.features["totalcharges"]) == {0}
    assert not trained_on(row | {"tenure": max(1, row["tenure"]), "totalcharges": blank})


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


def test_one_class_is_refused(tmp_path: Path) -> None:
    """Customers of whom next to none left teach nothing."""
    path = written(tmp_path, "customerid", "customerid")
    stay = [line for line in path.read_text().splitlines() if not line.endswith("Yes")]
    path.write_text("\n".join(stay) + "\n")
    with pytest.raises(data.DataError, match="churn: 0 of one kind, expected 10 or more of each"):
        data.load(path)


@pytest.mark.parametrize("kept", [0, 5, 1000])
def test_cut_data_is_refused(tmp_path: Path, kept: int) -> None:
    """A file whose end is missing is named."""
    path = tmp_path / "customers.csv.gz"
    path.write_bytes(SOURCE.read_bytes()[:kept])
    with pytest.raises(data.DataError, match=r"cannot read .*customers\.csv\.gz"):
        data.load(path)


def test_unreadable_data_is_refused(tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(data.DataError, match=r"cannot read .*none\.csv"):
        data.load(tmp_path / "none.csv")
