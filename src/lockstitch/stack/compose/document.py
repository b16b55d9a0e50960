"""docker-compose.yml, from the same description as the stack without containers.

It holds for Compose v1 (1.27 and later) and v2, and no secret, no path of a machine is in it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from lockstitch.digest import Digest
from lockstitch.python.model import StackSpec
from lockstitch.stack import description
from lockstitch.stack.services.objects import PORTS

__all__ = [
    "ADMIN",
    "IMAGES",
    "MARK",
    "NAME",
    "PORT",
    "SECRETS",
    "VARIABLES",
    "render",
    "tag",
]

NAME = "docker-compose.yml"
SECRETS = "secrets"  # folder below the stack's own
MARK = "# Written by `lockstitch render` from pyproject.toml and lockstitch.lock"
PORT = {"postgres": 5432, "objects": 9000, "mlflow": 5000}  # in the containers
ADMIN = 23646  # of the store's own page
VARIABLES = {name: f"LOCKSTITCH_{name.upper()}_PORT" for name in (*PORT, "admin")}
IMAGES = {name: f"LOCKSTITCH_{name.upper()}_IMAGE" for name in PORT}
_PATIENCE = {"mlflow": 60}  # seconds until a check that fails counts; it makes its tables first
_DATA = PurePosixPath("/app/data")
_ALL = "0.0.0.0"  # noqa: S104 -- of the containers' own network; published on 127.0.0.1 alone


def tag(service: str, image: Digest) -> str:
    """Return the name of a service's image in an engine: its digest, which cannot move.

    `sha256:…` alone is a name in one of Docker's two image stores only.
    """
    return f"lockstitch-{service}:sha256-{image.hex}"


def render(stack: StackSpec, images: Mapping[str, Digest], *, several: bool = False) -> str:
    """Return the compose file; `images` are the config digests of the services' images.

    Where there are images for several platforms, a variable can name another platform's.
    """
    names = {name: tag(name, digest) for name, digest in images.items()}
    if several:
        names = {name: f"${{{IMAGES[name]}:-{found}}}" for name, found in names.items()}
    own = not stack.endpoint
    needs = ["postgres", "objects"] if own else ["postgres"]
    parts = [_postgres(stack, names["postgres"])]
    parts += [_objects(stack, names["objects"])] if own else []
    parts += [_mlflow(stack, names["mlflow"], needs)]
    lines = [f"{MARK}; do not edit.", "services:", *(line for part in parts for line in part)]
    lines += ["secrets:"]
    for name in [*needs, "mlflow"]:
        lines += [f"  {name}:", f"    file: ./{stack.data}/{SECRETS}/{name}"]
    lines += ["volumes:", *(f"  {name}: {{}}" for name in needs), "networks:", "  stack: {}"]
    return "\n".join(lines) + "\n"


def _postgres(stack: StackSpec, image: str) -> list[str]:
    words = description.postgres(_DATA / "postgres", "*", PORT["postgres"])
    variables = {"PGDATABASE": "mlflow", "PGHOST": "127.0.0.1", "PGUSER": "mlflow"}
    ports = [_port("postgres", PORT["postgres"], stack.postgres_port)]
    more = ["stop_signal: SIGINT", "volumes:", "  - postgres:/app/data"]
    return _service("postgres", image, words, variables, ports, more)


def _objects(stack: StackSpec, image: str) -> list[str]:
    inside = {**PORTS, "objects": PORT["objects"], "admin": ADMIN}
    words = description.objects(_DATA, _ALL, stack.bucket, inside)
    variables = {"AWS_DEFAULT_REGION": stack.region, "LOCKSTITCH_BUCKET": stack.bucket}
    ports = [_port("objects", PORT["objects"], stack.objects_port), _port("admin", ADMIN, ADMIN)]
    return _service(
        "objects", image, words, variables, ports, ["volumes:", "  - objects:/app/data"]
    )


def _mlflow(stack: StackSpec, image: str, needs: Sequence[str]) -> list[str]:
    words = description.mlflow(_ALL, PORT["mlflow"], stack.bucket)
    words += ["--allowed-hosts", "localhost:*,127.0.0.1:*,mlflow:*"]
    store = stack.endpoint or f"http://objects:{PORT['objects']}"
    variables = description.MLFLOW | {
        "AWS_DEFAULT_REGION": stack.region,
        "MLFLOW_S3_ENDPOINT_URL": store,
        **({"LOCKSTITCH_BUCKET": stack.bucket} if stack.endpoint else {}),
    }
    more = ["depends_on:"]
    for name in needs:
        more += [f"  {name}:", "    condition: service_healthy"]
    ports = [_port("mlflow", PORT["mlflow"], stack.mlflow_port)]
    return _service("mlflow", image, words, variables, ports, more)


def _port(name: str, inside: int, wanted: int) -> str:
    return f"127.0.0.1:${{{VARIABLES[name]}:-{wanted}}}:{inside}"


def _service(
    name: str,
    image: str,
    words: Sequence[str],
    variables: Mapping[str, str],
    ports: Sequence[str],
    more: Sequence[str],
) -> list[str]:
    command = ["python", "container.py", name, *words]
    lines = [
        f"image: {image}",
        "command:",
        *(f"  - {_text(word)}" for word in command),
        "environment:",
        *(f"  {key}: {_text(value)}" for key, value in sorted(variables.items())),
        "secrets:",
        f"  - {name}",
        "ports:",
        *(f'  - "{port}"' for port in ports),
        *more,
        "networks:",
        "  - stack",
        "healthcheck:",
        f'  test: ["CMD", "python", "container.py", "check", "{name}"]',
        "  interval: 3s",
        "  timeout: 10s",
        "  retries: 5",
        f"  start_period: {_PATIENCE.get(name, 20)}s",
        "restart: unless-stopped",
        "read_only: true",
        "tmpfs:",
        "  - /tmp",
        "cap_drop:",
        "  - ALL",
        "security_opt:",
        '  - "no-new-privileges:true"',
    ]
    return [f"  {name}:", *(f"    {line}" for line in lines)]


def _text(value: str) -> str:
    """Return a YAML text in quotes, with nothing that Compose would replace."""
    return json.dumps(value.replace("$", "$$"))
