"""Services of the stack, and the keys, ports and variables that all of them share.

The services themselves are in `src/lockstitch/stack/services/`.
"""

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from lockstitch import environ, process
from lockstitch.errors import LockstitchError
from lockstitch.net.credentials import Login
from lockstitch.python.model import ServiceSpec
from lockstitch.stack.folder import Folder, Keys
from lockstitch.stack.machine import MARK
from lockstitch.stack.tools import Tools
from lockstitch.values import frozen

HOST = "127.0.0.1"
USER = "mlflow"  # of PostgreSQL, and MLflow's database there
APP = "app"  # the database of the project's own programs
ADMIN = "lockstitch"  # who logs in to the store's console, and to MLflow where it asks
RUNTIME = Path(__file__).parents[1] / "runtime" / "stack"  # scripts for the tools' own Python
_PLACE = re.compile(r"\{(?:host|port|data)\}")
_KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE")


@frozen
class Launch:
    """The start of a service's program, and its end."""

    words: Sequence[str | Path]
    cwd: Path
    env: Mapping[str, str]
    end: signal.Signals = signal.SIGTERM
    who: str = "same"  # as `guard.py` has it


class Service(Protocol):
    """One program that the supervisor keeps running."""

    @property
    def name(self) -> str:
        """Return the name that people use, also of its log."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the services that must be ready before this one starts."""

    @property
    def rests(self) -> bool:
        """Return whether it must not run on a full disk: what it keeps goes wrong there."""

    def launch(self) -> Launch:
        """Make what is missing on disk and say how to start; called before each start.

        Raises LockstitchError when no start can work, as on data of another version.
        """

    def ready(self) -> str:
        """Return "" once it answers a real request, else why not; takes a few seconds at most."""

    def well(self) -> str:
        """Return the answer of `ready` for a service that was ready: asked often, and so cheap."""


def guarded(launch: Launch) -> list[str | Path]:
    """Return the words that start it so that it ends when this process does."""
    guard = Path(__file__).with_name("guard.py")
    head: list[str | Path] = [
        sys.executable,
        "-I",
        "-S",
        guard,
        str(int(launch.end)),
        str(os.getpid()),
        launch.who,
    ]
    return [*head, *launch.words]


@frozen
class Own:
    """A service of the project's own, as the plan has it."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    variables: Mapping[str, str]
    tools: Path  # of its packages; of no use in containers


def filled(words: Sequence[str], host: str, port: int | str, data: str = "") -> list[str]:
    """Return words with the address and the folder of a service in their places."""
    places = {"{host}": host, "{port}": str(port), "{data}": data}
    return [_PLACE.sub(lambda match: places[match[0]], word) for word in words]


@frozen
class Parts:
    """The shared inputs of every service."""

    folder: Folder
    tools: Tools
    keys: Keys
    ports: Mapping[str, int]
    endpoint: str = ""  # of an object store of one's own
    bucket: str = "mlflow"
    region: str = "us-east-1"
    login: bool = False  # whether MLflow asks for one
    services: tuple[Own, ...] = ()

    def clean(self, **more: str) -> dict[str, str]:
        """Return the variables of a program: few of this shell's, none of its secrets."""
        shell = environ.child()
        kept = {name: shell[name] for name in _KEPT if name in shell}
        return {**kept, "LC_ALL": "C.UTF-8", MARK: str(self.folder.root), **more}


def variables(parts: Parts, places: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that a program of the project needs to use the stack, sorted by name.

    `places` has host and port of each service; without it they are those of this machine.
    """
    at = places or {name: f"{HOST}:{port}" for name, port in parts.ports.items()}
    endpoint = parts.endpoint or f"http://{at['objects']}"
    host, port = at["postgres"].split(":")
    names = {
        "AWS_ACCESS_KEY_ID": parts.keys.access_key,
        "AWS_DEFAULT_REGION": parts.region,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_SECRET_ACCESS_KEY": parts.keys.secret_key,
        "DATABASE_URL": f"postgresql://{USER}:{parts.keys.password}@{at['postgres']}/{APP}",
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
        "MLFLOW_TRACKING_URI": f"http://{at['mlflow']}",
        "PGDATABASE": USER,
        "PGHOST": host,
        "PGPASSWORD": parts.keys.password,
        "PGPORT": port,
        "PGUSER": USER,
    }
    if parts.login:
        names |= {"MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": parts.keys.mlflow}
    for own in parts.services:
        host, port = at[own.name].split(":")
        names |= {key: filled([text], host, port)[0] for key, text in own.variables.items()}
    return dict(sorted(names.items()))


def login_of(parts: Parts) -> Login | None:
    """Return the login of MLflow's server, None where it asks for none."""
    if not parts.login:
        return None
    return Login(user=ADMIN, password=parts.keys.mlflow, source="the stack's keys")


def probe(parts: Parts, seconds: float) -> str:
    """Return "" when the store answers in time, else why not; makes the bucket."""
    env = parts.clean(**variables(parts), LOCKSTITCH_BUCKET=parts.bucket)
    # No proxy and no settings of the user's own stand between us and the store.
    env |= {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    words: list[str | Path] = [parts.tools.python, "-I", RUNTIME / "probe.py", str(seconds)]
    done = process.run(words, env=env, cwd=parts.folder.root, check=False)
    return "" if done.code == 0 else (done.stderr.strip().splitlines() or ["no answer"])[-1]


def sql(parts: Parts, query: str) -> process.Finished:
    """Tell psql something over TCP, with the password, and return what it said.

    It gives up after 3 seconds without an answer to the login, and never asks for a password.
    """
    env = parts.clean(**variables(parts), PGCONNECT_TIMEOUT="3")
    words: list[str | Path] = [parts.tools.postgres / "psql", "-XAtqw", "-v", "ON_ERROR_STOP=1"]
    return process.run(words, env=env, cwd=parts.folder.root, stdin=query, check=False)


def _own(table: Mapping[str, Any]) -> Own:
    return Own(
        name=table["name"],
        command=tuple(table["command"]),
        env=dict(table["env"]),
        variables=dict(table["variables"]),
        tools=Path(table["tools"]),
    )


def planned(services: Sequence[ServiceSpec], tools: Mapping[str, Path]) -> list[dict[str, object]]:
    """Return the plan's entries for the project's own services."""
    return [
        {
            "name": service.name,
            "command": service.command,
            "env": dict(service.env),
            "variables": dict(service.variables),
            "tools": str(tools.get(service.name, "")),
        }
        for service in services
    ]


def parts_of(folder: Folder) -> Parts:
    """Return the parts of the plan that `up` wrote; raises LockstitchError when it is damaged."""
    plan = folder.read(folder.plan)
    try:
        return Parts(
            folder=folder,
            tools=Tools(folder=Path(plan["tools"])),
            keys=folder.keys(),
            ports={str(name): int(port) for name, port in plan["ports"].items()},
            endpoint=str(plan["endpoint"]),
            bucket=str(plan["bucket"]),
            region=str(plan["region"]),
            login=bool(plan.get("login")),
            services=tuple(_own(service) for service in plan.get("services", [])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"`{folder.plan}` cannot be read"
        raise LockstitchError(
            message, hint="lockstitch stack down && lockstitch stack up"
        ) from error
