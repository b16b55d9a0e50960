"""Answers as MLflow's scoring server does, with ONNX Runtime alone: `uvicorn serve:app`.

POST /invocations takes `inputs`, `instances`, `dataframe_split` and `dataframe_records` in JSON;
GET /ping and GET /health answer once the model is loaded.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

MODEL = Path(__file__).resolve().parent / os.environ.get("MODEL_PATH", "model/model.onnx")
COLUMNS: list[str] = []  # of the signature, in its order
LARGEST = 16 << 20  # bytes of a request
TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
    **{f"tensor({name})": np.dtype(name).type for name in ("int8", "int16", "int32", "int64")},
    **{f"tensor({name})": np.dtype(name).type for name in ("uint8", "uint16", "uint32", "uint64")},
}


class RequestError(Exception):
    """Says what is wrong with a request."""


class Predictor:
    """A model of ONNX that is asked with the JSON that MLflow takes."""

    def __init__(self, path: Path) -> None:
        """Load a model."""
        self._session = onnxruntime.InferenceSession(
            str(path), providers=onnxruntime.get_available_providers()
        )
        self._inputs = {each.name: TYPES[each.type] for each in self._session.get_inputs()}
        self._outputs = [each.name for each in self._session.get_outputs()]

    def answer(self, body: Any) -> Any:
        """Return the predictions for a request; raises RequestError for one that is none."""
        keys = ("dataframe_split", "dataframe_records", "inputs", "instances")
        given = [key for key in keys if key in body] if isinstance(body, dict) else []
        if len(given) != 1:
            raise RequestError(f"the body must have one of {', '.join(keys)}")
        key, value = given[0], body[given[0]]
        if key.startswith("dataframe"):
            return self._rows(*(_split(value) if key == "dataframe_split" else _records(value)))
        if key == "instances" and isinstance(value, list) and value and isinstance(value[0], dict):
            value = {name: [row.get(name) for row in value] for name in value[0]}
        found = self._run(value if isinstance(value, dict) else {next(iter(self._inputs)): value})
        return {name: _plain(array) for name, array in found.items()}

    def _rows(self, columns: list[str], rows: list[list[Any]]) -> list[dict[str, Any]]:
        if columns and COLUMNS:
            missing = [name for name in COLUMNS if name not in columns]
            if missing:
                raise RequestError(f"columns are missing: {', '.join(missing)}")
            order = [columns.index(name) for name in COLUMNS]
            rows = [[row[at] for at in order] for row in rows]
            columns = COLUMNS
        if len(self._inputs) == 1:
            found = self._run({next(iter(self._inputs)): rows})
        else:
            by_name = {name: [[row[at]] for row in rows] for at, name in enumerate(columns)}
            found = self._run({name: by_name.get(name) for name in self._inputs})
        lists = {name: _plain(array) for name, array in found.items()}
        return [{name: values[n] for name, values in lists.items()} for n in range(len(rows))]

    def _run(self, values: dict[str, Any]) -> dict[str, Any]:
        wrong = {*values} ^ {*self._inputs}
        if wrong or any(value is None for value in values.values()):
            raise RequestError(f"the model's inputs are {', '.join(self._inputs)}")
        try:
            feed = {
                name: np.asarray(value, dtype=self._inputs[name]) for name, value in values.items()
            }
            return dict(zip(self._outputs, self._session.run(None, feed), strict=True))
        except Exception as error:  # of numpy, or one of ONNX Runtime's own kinds
            raise RequestError(str(error)[:500]) from error


def _split(value: Any) -> tuple[list[str], list[list[Any]]]:
    try:
        return list(value.get("columns") or []), [list(row) for row in value["data"]]
    except (AttributeError, KeyError, TypeError) as error:
        raise RequestError("dataframe_split must have columns and data") from error


def _records(value: Any) -> tuple[list[str], list[list[Any]]]:
    try:
        columns = list(value[0])
        return columns, [[row[name] for name in columns] for row in value]
    except (IndexError, KeyError, TypeError) as error:
        raise RequestError("dataframe_records must be a list of records") from error


def _plain(output: Any) -> Any:
    return output.tolist() if isinstance(output, np.ndarray) else output


Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
predictor = Predictor(MODEL)


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request, as ASGI has it."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    route = scope["method"], scope["path"]
    if route in {("GET", "/ping"), ("GET", "/health")}:
        await _send(send, 200, b"\n")
    elif route == ("POST", "/invocations"):
        await _send(send, *await _predict(receive))
    else:
        await _send(send, 404, _error("there is POST /invocations and GET /health"))


async def _predict(receive: Receive) -> tuple[int, bytes]:
    data = bytearray()
    more = True
    while more:
        message = await receive()
        data += message.get("body", b"")
        more = message.get("more_body", False)
        if len(data) > LARGEST:
            return 413, _error(f"a request has at most {LARGEST} bytes")
    try:
        # In a thread: a model that computes would keep the health check waiting.
        found = await asyncio.to_thread(predictor.answer, json.loads(data))
    except (RequestError, ValueError, RecursionError) as error:
        return 400, _error(str(error))
    return 200, json.dumps({"predictions": found}).encode()


def _error(reason: str) -> bytes:
    return json.dumps({"error_code": "BAD_REQUEST", "message": reason}).encode()


async def _send(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
