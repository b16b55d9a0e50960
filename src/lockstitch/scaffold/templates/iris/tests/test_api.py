"""The service answers, and refuses what is no flower."""

import importlib
import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

SETOSA = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
VIRGINICA = {"sepal_length": 6.3, "sepal_width": 3.3, "petal_length": 6.0, "petal_width": 2.5}


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


@pytest.mark.parametrize(("flower", "species"), [(SETOSA, "setosa"), (VIRGINICA, "virginica")])
def test_predict(client: TestClient, flower: dict[str, float], species: str) -> None:
    """A typical flower is told with confidence, and the probabilities add up."""
    answer = client.post("/predict", json=flower).json()
    assert answer["species"] == species
    assert answer["probabilities"][species] > 0.9
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [{"petal_width": -1}, {"petal_width": "wide"}, {"petal_width": float("nan")}, {"colour": 1}],
)
def test_no_flower_is_refused(client: TestClient, change: dict[str, object]) -> None:
    """A bad or unknown field gives 422 and its name."""
    body = json.dumps(SETOSA | change)  # which writes NaN, as Python's reader of JSON accepts it
    response = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert [each["loc"] for each in response.json()["detail"]] == [["body", *change]]
