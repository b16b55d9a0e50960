"""The stack in containers: docker-compose.yml, and Docker Compose v2 or v1 that runs it.

The file is made from the same description as the stack without containers, and holds for Compose
v1 (1.27 and later) and v2. No secret and no path of a machine is in it.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from lockstitch import clock, environ, files, process
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.python.model import Project, ServiceSpec, StackSpec
from lockstitch.stack import control, machine
from lockstitch.stack.folder import Folder
from lockstitch.stack.service import ADMIN, USER, filled, planned
from lockstitch.stack.services import mlflow, objects, postgres
from lockstitch.stack.supervisor import FAILED, READY, STARTING
from lockstitch.values import field, frozen

NAME = "docker-compose.yml"
SECRETS = "secrets"  # folder below the stack's own
MARK = "# Written by `lockstitch export dockerfile` from pyproject.toml and lockstitch.lock"
PORT = {"postgres": 5432, "objects": 9000, "mlflow": 5000}  # in the containers
CONSOLE = 23646  # port of the store's own page
IMAGES = {name: f"LOCKSTITCH_{name.upper()}_IMAGE" for name in PORT}
_PATIENCE = {"mlflow": 150}  # seconds until a check that fails counts; it makes its tables first
_DATA = PurePosixPath("/app/data")
_ALL = "0.0.0.0"  # noqa: S104 -- of the containers' own network; published on 127.0.0.1 alone
_RESTARTS = 2  # after which a start cannot work
_STATE = ("plan.json", "keys.json")
_LOST = "the volumes were made with other keys: lockstitch stack reset deletes both"
_FORMAT = (
    '{"id": {{json .Id}}, "labels": {{json .Config.Labels}}, "state": {{json .State}}, '
    '"restarts": {{json .RestartCount}}}'
)


def port_of(service: str) -> str:
    """Return the variable that has the port of a service on this machine."""
    return f"LOCKSTITCH_{service.upper().replace('-', '_')}_PORT"


def tag(service: str, image: Digest) -> str:
    """Return a service's image by a name with its digest, as both of Docker's stores know it."""
    return f"lockstitch-{service}:sha256-{image.hex}"


def render(stack: StackSpec, images: Mapping[str, Digest], *, several: bool = False) -> str:
    """Return the compose file; `images` are the config digests of the services' images.

    Where there are images for several platforms, a variable can name another platform's.
    """
    names = {name: tag(name, digest) for name, digest in images.items()}
    if several:
        names = {name: f"${{{IMAGES[name]}:-{image}}}" for name, image in names.items()}
    own = not stack.endpoint
    needs = ["postgres", "objects"] if own else ["postgres"]
    parts = [_postgres(stack, names["postgres"])]
    parts += [_objects(stack, names["objects"])] if own else []
    parts += [_mlflow(stack, names["mlflow"], needs)]
    parts += [_own(service) for service in stack.services]
    lines = [f"{MARK}; do not edit.", "services:", *(line for part in parts for line in part)]
    lines += ["secrets:"]
    for name in [*needs, "mlflow"]:
        lines += [f"  {name}:", f"    file: ./{stack.data}/{SECRETS}/{name}"]
    volumes = [*needs, *(service.name for service in stack.services)]
    lines += ["volumes:", *(f"  {name}: {{}}" for name in volumes), "networks:", "  stack: {}"]
    return "\n".join(lines) + "\n"


def _postgres(stack: StackSpec, image: str) -> list[str]:
    words = postgres.arguments(_DATA / "postgres", "*", PORT["postgres"])
    variables = {"PGDATABASE": USER, "PGHOST": "127.0.0.1", "PGUSER": USER}
    variables["LOCKSTITCH_DATABASE"] = postgres.DATABASE
    ports = [_port("postgres", PORT["postgres"], stack.postgres_port)]
    more = ["stop_signal: SIGINT", "volumes:", "  - postgres:/app/data"]
    return _service("postgres", image, words, variables, ports, more)


def _objects(stack: StackSpec, image: str) -> list[str]:
    inside = {**objects.PORTS, "objects": PORT["objects"], "admin": CONSOLE}
    words = objects.arguments(_DATA, _ALL, stack.bucket, inside)
    variables = {"AWS_DEFAULT_REGION": stack.region, "LOCKSTITCH_BUCKET": stack.bucket}
    variables |= objects.MEMORY
    ports = [
        _port("objects", PORT["objects"], stack.objects_port),
        _port("admin", CONSOLE, CONSOLE),
    ]
    return _service(
        "objects", image, words, variables, ports, ["volumes:", "  - objects:/app/data"]
    )


def _mlflow(stack: StackSpec, image: str, needs: Sequence[str]) -> list[str]:
    words = mlflow.arguments(_ALL, PORT["mlflow"], stack.bucket)
    store = stack.endpoint or f"http://objects:{PORT['objects']}"
    variables = mlflow.VARIABLES | {
        # Not in words: a part of MLflow reads it as soon as it is imported.
        "MLFLOW_SERVER_ALLOWED_HOSTS": "localhost:*,127.0.0.1:*,mlflow:*",
        "MLFLOW_AUTH_CONFIG_PATH": "/tmp/mlflow.ini",  # noqa: S108 -- the container's own
        "AWS_DEFAULT_REGION": stack.region,
        "MLFLOW_S3_ENDPOINT_URL": store,
        **({"LOCKSTITCH_BUCKET": stack.bucket} if stack.endpoint else {}),
    }
    more = ["depends_on:"]
    for name in needs:
        more += [f"  {name}:", "    condition: service_healthy"]
    ports = [_port("mlflow", PORT["mlflow"], stack.mlflow_port)]
    return _service("mlflow", image, words, variables, ports, more)


def _own(own: ServiceSpec) -> list[str]:
    """Return a service of the project's own: of its image we know no program that checks it."""
    words = filled(own.command, _ALL, own.port, "/data")
    lines = [f"image: {own.image}"]
    lines += ["command:", *(f"  - {_text(word)}" for word in words)] if words else []
    if own.env:
        lines += ["environment:"]
        lines += [f"  {key}: {_text(value)}" for key, value in sorted(own.env.items())]
    lines += ["ports:", f'  - "{_port(own.name, own.port, own.port)}"']
    lines += ["volumes:", f"  - {own.name}:/data", "networks:", "  - stack"]
    lines += ["restart: unless-stopped", "security_opt:", '  - "no-new-privileges:true"']
    return [f"  {own.name}:", *(f"    {line}" for line in lines)]


def _port(name: str, inside: int, wanted: int) -> str:
    return f"127.0.0.1:${{{port_of(name)}:-{wanted}}}:{inside}"


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


def find(docker: Path) -> tuple[str, ...]:
    """Return the command that runs Compose, plugin or program; raises LockstitchError."""
    if process.run([docker, "compose", "version"], check=False).code == 0:
        return (str(docker), "compose")
    hint = "install Docker's Compose plugin, or docker-compose"
    return (str(process.find("docker-compose", hint=hint)),)


@frozen
class Compose:
    """The stack of one project in containers."""

    project: Project
    docker: Path
    words: tuple[str, ...]  # that Compose is called with
    images: Mapping[str, Digest] = field(default_factory=dict)  # of the engine's platform

    @property
    def network(self) -> str:
        """Return the name that the engine has for the network of the services."""
        return f"{self.name}_stack"

    @property
    def folder(self) -> Folder:
        """Return where keys and secrets are; the data is in volumes."""
        return control.folder_of(self.project)

    @property
    def name(self) -> str:
        """Return Compose's name for this project: another folder of that name has another."""
        where = hashlib.sha256(str(self.project.root.resolve()).encode()).hexdigest()[:8]
        name = re.sub(r"[^a-z0-9]+", "-", self.project.name.lower()).strip("-")
        return f"{name or 'project'}-{where}"

    def up(self, note: Callable[[str], None]) -> control.Started:
        """Start the stack unless it runs, and return when every service is healthy.

        Raises LockstitchError with the end of the log of a service that is not; nothing runs then.
        """
        folder = self.folder
        _refuse_loopback(self.project.stack.endpoint)
        folder.make()
        with files.lock(folder.root / "up.lock"):
            states = {name: service["state"] for name, service in self.status().items()}
            if states and all(state == READY for state in states.values()):
                return control.Started(new=False, moved={})
            if folder.supervisor():
                message = "the stack of this project runs without containers"
                raise LockstitchError(message, hint="lockstitch stack down")
            self._call("down")
            stack = self.project.stack
            more = {"tools": "", "compose": self.name, "services": planned(stack.services, {})}
            moved = control.write_plan(stack, folder, {"admin": CONSOLE}, more)
            _write_secrets(stack, folder)
            try:
                self._call("up", "--detach", hint=_LOST, check=False)
                self._wait(note)
            except BaseException:
                self._call("down", check=False)
                raise
            return control.Started(new=True, moved=moved)

    def down(self) -> bool:
        """Remove the containers, whose data is in volumes; return whether there were any."""
        if not self._containers():
            return False
        with files.lock(self.folder.root / "up.lock"):
            self._call("down")
        return True

    def reset(self) -> None:
        """Remove containers, volumes, keys and secrets, or raise what Compose says."""
        self._call("down", "--volumes")
        folder = self.folder.root
        if (folder / SECRETS).exists():
            shutil.rmtree(folder / SECRETS)
        for name in _STATE:
            (folder / name).unlink(missing_ok=True)

    def status(self) -> dict[str, Any]:
        """Return the state of each service, or nothing when there is no container."""
        services = {}
        for container in self._containers():
            state = container["state"]
            health = state.get("Health", {})
            last = (health.get("Log") or [{}])[-1]
            # Of the project's own nothing more is known than that it runs.
            ready = state["Running"] and health.get("Status", "healthy") == "healthy"
            failed = health.get("Status") == "unhealthy" or state["Status"] in {"exited", "dead"}
            output = (
                str(last.get("Output", "") if last.get("ExitCode") else "").strip().splitlines()
            )
            name = container["labels"]["com.docker.compose.service"]
            services[name] = {
                "name": name,
                "state": READY if ready else FAILED if failed else STARTING,
                "pid": state["Pid"],
                "restarts": container["restarts"],
                "problem": "" if ready else state["Error"] or (output[-1] if output else ""),
            }
        return {name: services[name] for name in sorted(services)}

    def log(self, service: str, lines: int) -> list[str]:
        """Return the last lines of a service's log."""
        for container in self._containers():
            if container["labels"]["com.docker.compose.service"] == service:
                words = [self.docker, "logs", "--tail", str(lines), container["id"]]
                done = process.run(words, check=False)
                return (done.stdout + done.stderr).splitlines()[-lines:]
        return []

    def following(self, service: str | None, lines: int) -> Sequence[str]:
        """Return the command that prints logs as they come."""
        words = [*self._head(), "logs", "--follow", "--tail", str(lines)]
        return [*words, *([service] if service else [])]

    def _wait(self, note: Callable[[str], None]) -> None:
        until = clock.monotonic() + 180.0  # seconds until a stack that does not come up is given up
        wanted = (2 if self.project.stack.endpoint else 3) + len(self.project.stack.services)
        while True:
            services = self.status()
            waits = [name for name, service in services.items() if service["state"] != READY]
            note(", ".join(waits))
            if len(services) == wanted and not waits:
                return
            failed = [
                name
                for name in waits
                if services[name]["state"] == FAILED or services[name]["restarts"] > _RESTARTS
            ]
            if failed or clock.monotonic() > until or len(services) < wanted:
                raise self._failure(services, failed or waits)
            clock.sleep(0.3)

    def _failure(self, services: Mapping[str, Any], names: Sequence[str]) -> LockstitchError:
        if not names:
            done = self._call("up", "--detach", check=False)
            message = f"Compose did not start the services\n{done.stderr.strip()[-2000:]}"
            return LockstitchError(message, hint=" ".join([*self._head(), "config"]))
        parts = []
        for name in names:
            log = "\n".join(self.log(name, 8))
            why = services[name]["problem"] or services[name]["state"]
            parts.append(f"`{name}` does not get healthy: {why}" + (f"\n{log}" if log else ""))
        message = "\n".join(parts)
        keys = re.search(r"password authentication|AccessKey|SignatureDoesNotMatch|40[13]", message)
        hint = _LOST if keys else "lockstitch stack up tries again; the data is kept"
        return LockstitchError(message, hint=hint)

    def _containers(self) -> list[dict[str, Any]]:
        label = f"label=com.docker.compose.project={self.name}"
        listed = process.run([self.docker, "ps", "--all", "--quiet", "--filter", label])
        ids = listed.stdout.split()
        if not ids:
            return []
        # One may have gone since; what is left is told all the same.
        done = process.run([self.docker, "inspect", "--format", _FORMAT, *ids], check=False)
        return [json.loads(line) for line in done.stdout.splitlines() if line]

    def _head(self) -> list[str]:
        place = str(self.project.root / NAME)
        return [*self.words, "--project-name", self.name, "--file", place]

    def _call(self, *words: str, check: bool = True, hint: str = "") -> process.Finished:
        # The plan may be of a stack without containers, which has more ports.
        chosen = self.folder.read(self.folder.plan).get("ports", {})
        names = (*PORT, "admin", *(service.name for service in self.project.stack.services))
        own = {port_of(name): str(chosen[name]) for name in names if name in chosen}
        own |= {IMAGES[n]: tag(n, image) for n, image in self.images.items()}
        own |= {"COMPOSE_IGNORE_ORPHANS": "true"}
        env = environ.child(**own)
        return process.run([*self._head(), *words], env=env, check=check, hint=hint)


def _refuse_loopback(endpoint: str) -> None:
    """Raise LockstitchError for a store on loopback, which containers cannot reach."""
    host = urlsplit(endpoint).hostname or ""
    if host == "localhost" or host.startswith("127."):
        message = f"`{endpoint}` is, in a container, an address of the container itself"
        hint = 'name the store by an address of its network, or runner = "native"'
        raise LockstitchError(message, hint=hint)


def _write_secrets(stack: StackSpec, folder: Folder) -> None:
    """Write a file for each service, which its container sees in /run/secrets.

    Anybody may read the files, as a container's user is another one; only the owner
    may enter the folder.
    """
    keys = folder.keys()
    store = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}
    login = f"{USER}:{keys.password}@postgres:{PORT['postgres']}"
    backend = f"postgresql+psycopg2://{login}/{USER}"
    secrets = {
        "postgres": {"PGPASSWORD": keys.password},
        "mlflow": store
        | mlflow.secrets(keys, login=machine.asks(stack.login))
        | {"MLFLOW_BACKEND_STORE_URI": backend},
    }
    if not stack.endpoint:
        signing = dict(zip(objects.SIGNING, keys.signing, strict=True))
        page = {"WEED_ADMIN_USER": ADMIN, "WEED_ADMIN_PASSWORD": keys.admin}
        secrets["objects"] = store | signing | page
    there = folder.root / SECRETS
    there.mkdir(mode=0o700, exist_ok=True)
    there.chmod(0o700)
    for name, values in secrets.items():
        text = "".join(f"{key}={value}\n" for key, value in sorted(values.items()))
        files.write_bytes(there / name, text.encode(), mode=0o444)
