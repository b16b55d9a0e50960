"""Serves the model over HTTP."""

import os
import sys
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from iris.predict import SPECIES, Predictor

MODEL = Path(__file__).resolve().parent.parent / "models" / "model.onnx"

Centimetres = Annotated[float, Field(gt=0, le=30)]


class Flower(BaseModel):
    """Describes a flower whose species is asked for."""

    model_config = ConfigDict(extra="forbid")

    sepal_length: Annotated[Centimetres, Field(examples=[5.1])]
    sepal_width: Annotated[Centimetres, Field(examples=[3.5])]
    petal_length: Annotated[Centimetres, Field(examples=[1.4])]
    petal_width: Annotated[Centimetres, Field(examples=[0.2])]


class Prediction(BaseModel):
    """Answers for one flower."""

    species: str
    probabilities: dict[str, float]


def create(predictor: Predictor) -> FastAPI:
    """Return the application around a loaded model."""
    app = FastAPI(title="Iris")

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Tell that the model is loaded and the service answers."""
        return {"status": "healthy"}

    @app.post("/predict")
    async def predict(flower: Flower) -> Prediction:
        """Predict the species of one flower."""
        row = [
            flower.sepal_length,
            flower.sepal_width,
            flower.petal_length,
            flower.petal_width,
        ]
        found = predictor.probabilities([row])[0].tolist()
        probabilities = dict(zip(SPECIES, found, strict=True))
        return Prediction(species=SPECIES[found.index(max(found))], probabilities=probabilities)

    @app.exception_handler(RequestValidationError)
    async def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        """Name the wrong fields without their values: NaN could not be sent back in JSON."""
        detail = [{key: part[key] for key in ("loc", "msg", "type")} for part in error.errors()]
        return JSONResponse({"detail": detail}, status_code=422)

    return app


def start() -> FastAPI:
    """Return the application, or leave with one line that says why there is no model."""
    path = Path(os.environ.get("MODEL_PATH") or MODEL)
    try:
        return create(Predictor(path.read_bytes()))
    except OSError as error:
        sys.exit(f"api.py: cannot read {path}: {error.strerror}; run src/train.py first")


app = start()
