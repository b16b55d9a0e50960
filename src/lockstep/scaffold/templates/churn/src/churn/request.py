"""The service's request, made from the schema: same names, categories and ranges as in training."""

from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from churn import schema

BATCH = 1000  # customers a request may hold


class _Customer(BaseModel):
    """Describes a customer whose churn is asked for."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_enum_values=True,
        json_schema_extra={"examples": [dict(schema.example())]},
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse a customer whose fields contradict each other."""
        problem = schema.conflict(self.row())
        if problem:
            raise ValueError(problem)
        return self

    def row(self) -> dict[str, Any]:
        """Return the fields by name, as the predictor takes them."""
        return self.__dict__


def _field(feature: schema.Category | schema.Number) -> tuple[Any, Any]:
    """Return the type and the constraints of a request's field."""
    if isinstance(feature, schema.Category):
        return feature.values, Field(examples=[feature.example])
    limits = Field(
        strict=True,
        ge=feature.low,
        le=feature.high,
        description=feature.about,
        examples=[feature.example],
    )
    return feature.kind, limits


if TYPE_CHECKING:  # the fields exist from the first run on, out of a type checker's sight
    Customer = _Customer
else:
    Customer = create_model(
        "Customer",
        __base__=_Customer,
        __doc__=_Customer.__doc__,
        **{feature.name: _field(feature) for feature in schema.FEATURES},
    )


class Batch(BaseModel):
    """Describes several customers whose churn is asked for at once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    customers: list[Customer] = Field(min_length=1, max_length=BATCH)


class Prediction(BaseModel):
    """Answers for one customer."""

    churn_probability: float = Field(ge=0, le=1, examples=[0.73])
    churn: bool
