"""Serves the model over HTTP."""

import os
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from churn import predict
from churn.request import Batch, Customer, Prediction
from churn.schema import THRESHOLD

MODEL = Path(__file__).resolve().parent.parent / "models" / "model.onnx"


def create(served: predict.Served) -> FastAPI:
    """Return the application around a loaded model."""
    app = FastAPI(title="Customer churn", version=served.sha256[:12])

    def answer(customers: list[Customer]) -> list[Prediction]:
        probabilities = served.predictor.probabilities([customer.row() for customer in customers])
        return [
            Prediction(churn_probability=p, churn=p >= THRESHOLD) for p in probabilities.tolist()
        ]

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Tell that the model is loaded and the service answers."""
        return {"status": "healthy"}

    @app.get("/info")
    async def info() -> dict[str, Any]:
        """Tell which model is served and how good it is."""
        return {"model_sha256": served.sha256, "metrics": served.metrics}

    @app.post("/predict")
    async def predict_one(customer: Customer) -> Prediction:
        """Predict one customer's churn, on the event loop: it takes less time than a hand-over."""
        return answer([customer])[0]

    @app.post("/predict/batch")
    def predict_batch(batch: Batch) -> list[Prediction]:
        """Predict the churn of several customers, in a thread beside the event loop."""
        return answer(batch.customers)

    @app.exception_handler(RequestValidationError)
    async def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        """Name the wrong fields without sending the customer's data back."""
        detail = [{key: part[key] for key in ("loc", "msg", "type")} for part in error.errors()]
        return JSONResponse({"detail": detail}, status_code=422)

    return app


def start() -> FastAPI:
    """Return the application, or leave with one line that says why the model is not served."""
    try:
        return create(predict.load(Path(os.environ.get("MODEL_PATH") or MODEL)))
    except predict.ModelError as error:
        sys.exit(f"api.py: {error}")


app = start()
