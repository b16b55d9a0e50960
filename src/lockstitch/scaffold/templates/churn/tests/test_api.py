"""The service answers, and refuses what the schema does not allow."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

import api
from churn import environment, predict, schema, server
from churn.limits import Limits
from churn.observe import JsonLines
from churn.request import BATCH


@pytest.fixture(scope="module")
def client(models: Path) -> TestClient:
    """Return a client of the service with the trained model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL_PATH", str(models / "model.onnx"))
        return TestClient(api.start(server.Readiness()))


def test_health(client: TestClient) -> None:
    """The health check is exact."""
    response = client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "healthy"})


def test_readiness(models: Path) -> None:
    """The service is ready between the model's first answer and the beginning of the end."""
    readiness = server.Readiness()
    client = TestClient(api.guard(predict.load(models / "model.onnx"), readiness))
    assert client.get("/ready").status_code == 503
    readiness.begin()
    assert client.get("/ready").json() == {"status": "ready"}
    readiness.stop()
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()) == (503, {"detail": "the service is stopping"})


def test_info(client: TestClient, models: Path) -> None:
    """The service says which model it serves, and in which environment."""
    facts = json.loads((models / "metrics.json").read_text())
    info = client.get("/info").json()
    assert {key: facts[key] for key in ("model_sha256", "metrics")}.items() <= info.items()
    assert f"numpy=={np.__version__}" in info["environment"]["packages"]
    assert info["environment"]["packages"] == sorted(info["environment"]["packages"])
    assert info["differences"] == {}


def test_other_packages_than_in_training_are_named() -> None:
    """Only what both have, in two versions, is a difference."""
    here = environment.fingerprint()
    run = {"packages": {"numpy": "1.0", "pandas-of-old": "2.0"}, "python": here["python"]}
    found = environment.differences(run)
    assert found == {"numpy": {"trained": "1.0", "served": np.__version__}}


def test_a_model_that_cannot_answer_is_not_served(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is one line."""
    monkeypatch.setenv("MODEL_PATH", str(models / "model.onnx"))
    monkeypatch.setattr(predict.Predictor, "probabilities", lambda *_: np.array([7.0]))
    with pytest.raises(SystemExit, match=r"^api\.py: the model answers its own example with 7\.0$"):
        api.start(server.Readiness())


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


def test_one_kind_of_number(client: TestClient) -> None:
    """A whole number may be written with a fraction of zero, as JSON Schema has it."""
    whole, point = ({"tenure": 2, "seniorcitizen": 1}, {"tenure": 2.0, "seniorcitizen": 1.0})
    answers = [client.post("/predict", json=schema.example() | part) for part in (whole, point)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert client.post("/predict", json=schema.example() | {"tenure": 2.5}).status_code == 422
    assert client.post("/predict", json=schema.example() | {"tenure": True}).status_code == 422


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


def test_slow_batch_is_given_up(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer does not wait for a thread that takes too long."""
    served = predict.load(models / "model.onnx")
    client = TestClient(api.guard(served, server.Readiness(), Limits(answer=0.05)))

    def dawdle(*_: object) -> None:
        time.sleep(2)

    monkeypatch.setattr(predict.Predictor, "probabilities", dawdle)
    started = time.perf_counter()
    response = client.post("/predict/batch", json={"customers": [schema.example()]})
    assert time.perf_counter() - started < 1.5
    assert response.status_code == 503
    assert response.json() == {"detail": "no answer within 0.05 seconds"}


def test_failure_quotes_nobody(
    models: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What goes wrong inside gives 500, and a line that says where but not with whose data."""
    served = predict.load(models / "model.onnx")
    client = TestClient(api.guard(served, server.Readiness()))
    quoted = "Zz pays 80.5"

    def fail(*_: object) -> None:
        raise ValueError(quoted)

    monkeypatch.setattr(predict.Predictor, "probabilities", fail)
    response = client.post("/predict", json=schema.example())
    assert response.status_code == 500
    assert "x-request-id" in response.headers
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    (failed,) = [line for line in lines if line["message"] == "failed"]
    assert failed["error"] == "ValueError"
    assert "in predict_one" in failed["stack"]
    assert "Zz" not in json.dumps(lines) + response.text


def test_openapi_carries_the_example(client: TestClient) -> None:
    """The documentation shows a request that works, and what else may be answered."""
    document = client.get("/openapi.json").json()
    assert document["components"]["schemas"]["Customer"]["examples"] == [schema.example()]
    for path in ("/predict", "/predict/batch"):
        answers = document["paths"][path]["post"]["responses"]
        assert set(answers) == {"200", "400", "408", "413", "422", "503"}


def test_openapi_tells_what_contradicts_itself(client: TestClient) -> None:
    """Each service that other columns depend on has one rule."""
    document = client.get("/openapi.json").json()
    rules = document["components"]["schemas"]["Customer"]["allOf"]
    services = {name for rule in rules for name in rule["anyOf"][0]["properties"]}
    assert services == {*schema.DEPENDENT, *(service for service, _ in schema.DEPENDENT.values())}
