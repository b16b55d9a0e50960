"""Serves the model over HTTP."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp

from churn import environment, predict, server
from churn.limits import Limited, Limits
from churn.observe import Metrics, Observed
from churn.request import REFUSALS, Batch, Customer, Prediction, Problem
from churn.schema import THRESHOLD

MODEL = Path(__file__).resolve().parent.parent / "models" / "model.onnx"


def create(served: predict.Served, readiness: server.Readiness, metrics: Metrics) -> FastAPI:
    """Return the routes around a loaded model."""
    app = FastAPI(title="Customer churn", version=served.sha256[:12])
    threads = CapacityLimiter(predict.threads())

    def answer(customers: list[Customer]) -> list[Prediction]:
        probabilities = served.predictor.probabilities([customer.row() for customer in customers])
        answers = [
            Prediction(churn_probability=p, churn=p >= THRESHOLD) for p in probabilities.tolist()
        ]
        metrics.predictions(answer.churn for answer in answers)
        return answers

    @app.post("/predict", responses=REFUSALS)
    async def predict_one(customer: Customer) -> Prediction:
        """Predict one customer's churn, on the event loop: it takes less time than a hand-over."""
        return answer([customer])[0]

    @app.post("/predict/batch", responses=REFUSALS)
    async def predict_batch(batch: Batch) -> list[Prediction]:
        """Predict the churn of several customers, in a thread beside the event loop."""
        return await to_thread.run_sync(
            answer, batch.customers, limiter=threads, abandon_on_cancel=True
        )

    _tell(app, served, readiness, metrics)

    @app.exception_handler(RequestValidationError)
    async def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        """Name the wrong fields without sending the customer's data back."""
        detail = [{key: part[key] for key in ("loc", "msg", "type")} for part in error.errors()]
        return JSONResponse({"detail": detail}, status_code=422)

    return app


def _tell(
    app: FastAPI, served: predict.Served, readiness: server.Readiness, metrics: Metrics
) -> None:
    """Add the routes that tell how the service is."""

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Tell that the process answers: if it does not, start it again."""
        return {"status": "healthy"}

    @app.get("/ready", responses={503: {"model": Problem, "description": "Not now"}})
    async def ready() -> JSONResponse:
        """Tell whether to send requests here: the model has answered, and no end has begun."""
        if readiness.reason:
            return JSONResponse({"detail": readiness.reason}, status_code=503)
        return JSONResponse({"status": "ready"})

    @app.get("/info")
    def info() -> dict[str, Any]:
        """Tell which model is served, how good it is, where it was trained, and what serves it."""
        return {
            "model_sha256": served.sha256,
            "metrics": served.metrics,
            "environment": environment.fingerprint(),
            "run": served.run,
            "differences": environment.differences(served.run or {}),
        }

    @app.get("/metrics", response_class=PlainTextResponse)
    async def numbers() -> Response:
        """Count requests and predictions, for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=1.0.0; charset=utf-8")


def guard(
    served: predict.Served, readiness: server.Readiness, limits: Limits | None = None
) -> ASGIApp:
    """Return the routes behind their limits, logged and counted."""
    metrics = Metrics(served.sha256)
    app = create(served, readiness, metrics)
    paths = {str(getattr(route, "path", "")) for route in app.routes}
    limited = Limited(app, limits or Limits())
    return Observed(limited, metrics, paths, lambda: readiness.closing)


def start(readiness: server.Readiness) -> ASGIApp:
    """Return the application, or leave with one line that says why the model is not served."""
    try:
        served = predict.load(Path(os.environ.get("MODEL_PATH") or MODEL))
        served.prove()
    except predict.ModelError as error:
        sys.exit(f"api.py: {error}")
    readiness.begin()
    return guard(served, readiness)


def main() -> None:
    """Run the service from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--drain",
        type=float,
        default=os.environ.get("DRAIN_SECONDS") or 0,
        help="seconds to go on after SIGTERM, for load balancers to notice (DRAIN_SECONDS, or 0)",
    )
    options = parser.parse_args()
    readiness = server.Readiness()
    server.run(start(readiness), readiness, options.host, options.port, options.drain)


if __name__ == "__main__":
    main()
