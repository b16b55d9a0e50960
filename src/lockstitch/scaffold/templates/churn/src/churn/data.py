"""The training data: read and checked against the schema before anything learns from it."""

import gzip
import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from churn import schema

# pandas ships no annotations, so its frames and series have no static type here.
Frame = Any
Series = Any
FEWEST = 10  # customers who leave, and who stay: each fold has to have some


class DataError(ValueError):
    """Says which column of which file does not satisfy the schema."""


@dataclass(frozen=True)
class Dataset:
    """Holds the validated customers."""

    features: Frame
    churned: Series
    blanks: int  # how many blank totalcharges were read as 0
    name: str  # of the file
    sha256: str


def load(path: Path) -> Dataset:
    """Read the customers from a csv file and refuse what the schema does not allow."""
    try:
        content = path.read_bytes()  # once, so that the digest is of what is learned from
        text = gzip.decompress(content) if path.suffix == ".gz" else content
        table = pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if sorted(table.columns) != sorted(schema.COLUMNS):
        wrong = sorted(set(table.columns) ^ set(schema.COLUMNS))
        raise DataError(f"{path}: columns missing, unknown or repeated: {wrong}")
    if not table[schema.ID].is_unique:
        raise DataError(f"{path}: {schema.ID} is not unique")
    blanks = _fill_blanks(table)
    columns = {f.name: _category(table[f.name], f.texts) for f in schema.CATEGORIES}
    columns |= {f.name: _number(table[f.name], f) for f in schema.NUMBERS}
    label = _category(table[schema.LABEL], list(schema.YesNo))
    features = pd.DataFrame({f.name: columns[f.name] for f in schema.FEATURES})
    _refuse_conflicts(features)
    churned = label == schema.YesNo.YES
    fewest = int(min(churned.sum(), (~churned).sum()))
    if fewest < FEWEST:
        raise DataError(f"{schema.LABEL}: {fewest} of one kind, expected {FEWEST} or more of each")
    return Dataset(features, churned, blanks, path.name, hashlib.sha256(content).hexdigest())


def _fill_blanks(table: Frame) -> int:
    """Set totalcharges to 0 where it is blank and the tenure is 0, and return how often."""
    blank = (table["totalcharges"].str.strip() == "") & (table["tenure"].str.strip() == "0")
    table.loc[blank, "totalcharges"] = "0"
    return int(blank.sum())


def _category(column: Series, texts: list[str]) -> Series:
    """Return a column of texts after checking that each is a known one."""
    unknown = sorted(set(column) - set(texts))
    if unknown:
        raise DataError(f"{column.name}: unknown values {unknown[:5]}, expected {texts}")
    return column.astype(object)


def _number(column: Series, number: schema.Number) -> Series:
    """Return a column of numbers after checking each against its kind and range."""
    values = pd.to_numeric(column, errors="coerce")
    wrong = ~values.between(number.low, number.high)
    if number.kind is int:
        wrong |= values % 1 != 0
    if wrong.any():
        first = column[wrong].iloc[0]
        expected = f"{number.kind.__name__} from {number.low:g} to {number.high:g}"
        raise DataError(
            f"{column.name}: {int(wrong.sum())} bad values, first {first!r}, expected {expected}"
        )
    return values.astype(float)


def _refuse_conflicts(features: Frame) -> None:
    """Raise if a customer's columns contradict each other."""
    for row, record in enumerate(features.to_dict("records")):
        problem = schema.conflict(record)
        if problem:
            raise DataError(f"row {row + 1}: {problem}")
