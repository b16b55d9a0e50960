"""Starts a serving image's command from the locked environment and asks it something."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstitch import clock, environ, process
from lockstitch.errors import LockstitchError
from lockstitch.net.download import ask
from lockstitch.net.transport import free_port
from lockstitch.python.model import ImageSpec, Project
from lockstitch.run.programs import here

_PATIENCE = 30.0  # seconds until a server that does not answer is given up


@contextlib.contextmanager
def running(project: Project, image: ImageSpec, log: Path) -> Iterator[str]:
    """Yield the address of the image's command, run from the project's environment."""
    port = free_port()
    words = [str(port) if word == str(image.port) else word for word in image.command]
    programs = project.root / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    path = process.find(str(programs / words[0]), hint="uv sync --locked")
    log.parent.mkdir(parents=True, exist_ok=True)
    server = process.start(
        [path, *words[1:]],
        cwd=project.root,
        env=environ.child(**here(str(project.root), image), VIRTUAL_ENV=str(programs.parent)),
        log=log,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(server, address + image.health, log)
        yield address
    finally:
        process.stop(server, patience=10)


def _wait(server: process.Running, address: str, log: Path) -> None:
    until = clock.monotonic() + _PATIENCE
    while clock.monotonic() < until and server.poll() is None:
        with contextlib.suppress(LockstitchError):
            if ask(address)[0] == 200:
                return
        clock.sleep(0.05)
    ended = (
        f"ended with exit code {server.returncode}" if server.poll() is not None else "is silent"
    )
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise LockstitchError(f"the serving program {ended}\n{tail}", hint=f"read {log}")


def ask_health(address: str, path: str) -> str:
    """Return the answer of the health path, as compact JSON."""
    return _compact(ask(address + path)[1])


def ask_prediction(address: str) -> str:
    """Return the answer to the example that the program's own OpenAPI document gives."""
    document = json.loads(ask(f"{address}/openapi.json")[1])
    status, answer = ask(f"{address}/predict", json.dumps(_example(document)).encode())
    if status != 200:
        message = f"POST /predict answered HTTP {status}: {answer[:200].decode(errors='replace')}"
        raise LockstitchError(message)
    return _compact(answer)


def _example(document: dict[str, Any]) -> object:
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    if "examples" in body:
        return next(iter(body["examples"].values()))["value"]
    name = body["schema"]["$ref"].rpartition("/")[2]
    return document["components"]["schemas"][name]["examples"][0]


def _compact(data: bytes) -> str:
    return json.dumps(json.loads(data))
