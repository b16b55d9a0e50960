"""The customer's columns: what training accepts in the data and the service in a request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

ID = "customerid"
LABEL = "churn"
THRESHOLD = 0.5  # a probability from here on counts as churn


class Gender(StrEnum):
    """Names a gender as the data does."""

    FEMALE = "Female"
    MALE = "Male"


class YesNo(StrEnum):
    """Answers a question about the customer."""

    YES = "Yes"
    NO = "No"


class Lines(StrEnum):
    """Says whether the customer has several phone lines."""

    YES = "Yes"
    NO = "No"
    NO_PHONE = "No phone service"


class Internet(StrEnum):
    """Names the kind of internet connection."""

    DSL = "DSL"
    FIBER = "Fiber optic"
    NO = "No"


class AddOn(StrEnum):
    """Says whether the customer has a service that needs an internet connection."""

    YES = "Yes"
    NO = "No"
    NO_INTERNET = "No internet service"


class Contract(StrEnum):
    """Names the term of the contract."""

    MONTHLY = "Month-to-month"
    ONE_YEAR = "One year"
    TWO_YEARS = "Two year"


class Payment(StrEnum):
    """Names the way of payment."""

    BANK = "Bank transfer (automatic)"
    CARD = "Credit card (automatic)"
    ELECTRONIC = "Electronic check"
    MAILED = "Mailed check"


@dataclass(frozen=True)
class Category:
    """Describes a column that holds one of a few texts."""

    name: str
    values: type[StrEnum]
    example: str

    @property
    def texts(self) -> list[str]:
        """Return the texts the column may hold."""
        return [member.value for member in self.values]


@dataclass(frozen=True)
class Number:
    """Describes a column that holds a number from low to high."""

    name: str
    kind: type[int] | type[float]
    low: float
    high: float
    example: float
    about: str


# The ranges are wider than the sample (tenure to 72, charges to 118.75 a month): they stop
# mistakes such as cents for dollars, not tomorrow's customers.
FEATURES: tuple[Category | Number, ...] = (
    Category("gender", Gender, "Female"),
    Number("seniorcitizen", int, 0, 1, 0, "1 from the age of 65"),
    Category("partner", YesNo, "Yes"),
    Category("dependents", YesNo, "No"),
    Number("tenure", int, 0, 120, 2, "Months as a customer"),
    Category("phoneservice", YesNo, "Yes"),
    Category("multiplelines", Lines, "No"),
    Category("internetservice", Internet, "Fiber optic"),
    Category("onlinesecurity", AddOn, "No"),
    Category("onlinebackup", AddOn, "No"),
    Category("deviceprotection", AddOn, "No"),
    Category("techsupport", AddOn, "No"),
    Category("streamingtv", AddOn, "Yes"),
    Category("streamingmovies", AddOn, "No"),
    Category("contract", Contract, "Month-to-month"),
    Category("paperlessbilling", YesNo, "Yes"),
    Category("paymentmethod", Payment, "Electronic check"),
    Number("monthlycharges", float, 0, 200, 80.5, "Dollars a month"),
    Number("totalcharges", float, 0, 24000, 161.0, "Dollars so far, 0 if nothing is billed yet"),
)
CATEGORIES = tuple(feature for feature in FEATURES if isinstance(feature, Category))
NUMBERS = tuple(feature for feature in FEATURES if isinstance(feature, Number))
COLUMNS = (ID, *(feature.name for feature in FEATURES), LABEL)

# Columns of these kinds hold this text exactly when the service they depend on is "No".
_SERVICES: dict[type[StrEnum], tuple[str, str]] = {
    Lines: ("phoneservice", Lines.NO_PHONE.value),
    AddOn: ("internetservice", AddOn.NO_INTERNET.value),
}
DEPENDENT: dict[str, tuple[str, str]] = {
    feature.name: _SERVICES[feature.values] for feature in CATEGORIES if feature.values in _SERVICES
}


def conflict(row: Mapping[str, object]) -> str | None:
    """Return what contradicts itself in a customer's row, or None."""
    for name, (service, absent) in DEPENDENT.items():
        if (row[name] == absent) != (row[service] == YesNo.NO):
            return f"{name} {row[name]!r} does not go with {service} {row[service]!r}"
    return None


def example() -> dict[str, str | float]:
    """Return a customer who satisfies the schema."""
    return {feature.name: feature.example for feature in FEATURES}


def signature() -> str:
    """Return the columns and categories a model depends on, as one comparable text."""
    texts = {feature.name: feature.texts for feature in CATEGORIES}
    return json.dumps([[feature.name, texts.get(feature.name)] for feature in FEATURES])
