"""The service's request, made from the schema: same names, categories and ranges as in training."""

from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator

from churn import schema

BATCH = 1000  # customers a request may hold


def _agreements() -> list[Any]:
    """Return what `schema.conflict` refuses as JSON Schema, for the OpenAPI document."""
    found: list[Any] = []
    for service, absent in dict.fromkeys(schema.DEPENDENT.values()):
        names = [name for name, on in schema.DEPENDENT.items() if on == (service, absent)]
        without = {service: {"const": "No"}} | {name: {"const": absent} for name in names}
        having = {name: {"not": {"const": absent}} for name in [service, *names]}
        having[service] = {"not": {"const": "No"}}
        found.append({"anyOf": [{"properties": without}, {"properties": having}]})
    return found


class _Customer(BaseModel):
    """Describes a customer whose churn is asked for."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_enum_values=True,
        json_schema_extra={"examples": [dict(schema.example())], "allOf": _agreements()},
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
    kind = Annotated[int, BeforeValidator(_whole)] if feature.kind is int else float
    limits = Field(
        strict=True,
        ge=feature.low,
        le=feature.high,
        description=feature.about,
        examples=[feature.example],
    )
    return kind, limits


def _whole(value: object) -> object:
    """Return 2 for 2.0: JSON has one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


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

    customers: list[Customer] = Field(
        min_length=1, max_length=BATCH, examples=[[dict(schema.example())]]
    )


class Prediction(BaseModel):
    """Answers for one customer."""

    churn_probability: float = Field(ge=0, le=1, examples=[0.73])
    churn: bool = Field(examples=[True])


class Problem(BaseModel):
    """Says why a request was not answered."""

    detail: str = Field(examples=["busy with 100 requests: ask again"])


# What the routes that predict answer besides a prediction and 422.
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is no text"},
    408: {"model": Problem, "description": "The body came too slowly"},
    413: {"model": Problem, "description": "The body is too large"},
    503: {"model": Problem, "description": "Too much to do; ask again"},
}
