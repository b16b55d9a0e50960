"""The service answers, and refuses what the schema does not allow."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from churn import schema
from churn.request import BATCH


@pytest.fixture(scope="module")
def client(models: Path) -> TestClient:
    """Return a client of the service with the trained model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL_PATH", str(models / "model.onnx"))
        return TestClient(importlib.import_module("api").app)


def test_health(client: TestClient) -> None:
    """The health check is exact."""
    response = client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "healthy"})


def test_info(client: TestClient, models: Path) -> None:
    """The service says which model it serves."""
    facts = json.loads((models / "metrics.json").read_text())
    expected = {key: facts[key] for key in ("model_sha256", "metrics")}
    assert client.get("/info").json() == expected


def test_predict(client: TestClient) -> None:
    """A new customer without a contract is likelier to leave than the same one bound for years."""
    loose = client.post("/predict", json=schema.example()).json()
    bound = client.post("/predict", json=schema.example() | {"contract": "Two year"}).json()
    assert 0 <= bound["churn_probability"] < loose["churn_probability"] <= 1
    assert loose["churn"] is (loose["churn_probability"] >= schema.THRESHOLD)
    assert set(loose) == {"churn_probability", "churn"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"contract": "Ten years"}, "contract"),
        ({"tenure": -1}, "tenure"),
        ({"tenure": "9"}, "tenure"),
        ({"monthlycharges": 6560}, "monthlycharges"),
        ({"customerid": "0002-ORFBO"}, "customerid"),
    ],
)
def test_bad_field_is_named(client: TestClient, change: dict[str, Any], field: str) -> None:
    """A bad or unknown field gives 422, its name, and not the value sent."""
    response = client.post("/predict", json=schema.example() | change)
    assert response.status_code == 422
    (detail,) = response.json()["detail"]
    assert detail["loc"] == ["body", field]
    assert "input" not in detail


def test_not_a_number_is_refused(client: TestClient) -> None:
    """NaN, which Python's reader of JSON lets through, gives 422 as well."""
    body = json.dumps(schema.example() | {"totalcharges": float("nan")})
    json_body = {"content-type": "application/json"}
    response = client.post("/predict", content=body, headers=json_body)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "totalcharges"]


def test_contradiction_is_refused(client: TestClient) -> None:
    """A service that needs another one, which the customer has not, gives 422."""
    response = client.post("/predict", json=schema.example() | {"internetservice": "No"})
    assert response.status_code == 422
    assert "internetservice 'No'" in response.json()["detail"][0]["msg"]


def test_batch(client: TestClient) -> None:
    """A batch gives what its customers give one by one, up to its limit."""
    one = client.post("/predict", json=schema.example()).json()
    full = client.post("/predict/batch", json={"customers": [schema.example()] * BATCH}).json()
    assert {answer["churn"] for answer in full} == {one["churn"]}
    expected = pytest.approx([one["churn_probability"]] * BATCH, abs=1e-6)
    assert [answer["churn_probability"] for answer in full] == expected
    over = client.post("/predict/batch", json={"customers": [schema.example()] * (BATCH + 1)})
    assert over.status_code == 422
    assert over.json()["detail"][0]["loc"] == ["body", "customers"]


def test_openapi_carries_the_example(client: TestClient) -> None:
    """The documentation shows a request that works."""
    customer = client.get("/openapi.json").json()["components"]["schemas"]["Customer"]
    assert customer["examples"] == [schema.example()]
