"""Runs the stack in containers, with Docker Compose v2 or v1."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lockstitch import clock, environ, files, process
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.python.model import Project, StackSpec
from lockstitch.stack import control, ports
from lockstitch.stack.compose import document
from lockstitch.stack.folder import Folder
from lockstitch.stack.keeper import FAILED, READY, STARTING
from lockstitch.stack.services import common
from lockstitch.stack.services.objects import SIGNING

__all__ = ["Compose", "find"]

_PATIENCE = 180.0  # seconds until a stack that does not come up is given up
_LOOK = 0.3
_STATE = ("plan.json", "keys.json")
_LOST = "the volumes were made with other keys: lockstitch reset deletes both"
_FORMAT = (
    '{"id": {{json .Id}}, "labels": {{json .Config.Labels}}, "state": {{json .State}}, '
    '"restarts": {{json .RestartCount}}}'
)


def find(docker: Path) -> tuple[str, ...]:
    """Return the words that Compose is called with: Docker's plugin, or a program of its own."""
    if process.run([docker, "compose", "version"], check=False).code == 0:
        return (str(docker), "compose")
    hint = "install Docker's Compose plugin, or docker-compose"
    return (str(process.find("docker-compose", hint=hint)),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compose:
    """The stack of one project in containers."""

    project: Project
    docker: Path
    words: tuple[str, ...]  # that Compose is called with
    images: Mapping[str, Digest] = field(default_factory=dict)  # of the engine's platform

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
            states = {name: each["state"] for name, each in self.status().items()}
            if states and all(state == READY for state in states.values()):
                return control.Started(new=False, moved={})
            if folder.supervisor():
                message = "the stack of this project runs without containers"
                raise LockstitchError(message, hint="lockstitch down")
            self._call("down")
            moved = _write_plan(self.project.stack, folder, self.name)
            _write_secrets(self.project.stack, folder)
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
        """Remove containers, volumes, keys and secrets."""
        self._call("down", "--volumes")
        folder = self.folder.root
        if (folder / document.SECRETS).exists():
            shutil.rmtree(folder / document.SECRETS)
        for name in _STATE:
            (folder / name).unlink(missing_ok=True)

    def status(self) -> dict[str, Any]:
        """Return how each service is, or nothing when there is no container."""
        found = {}
        for each in self._containers():
            state = each["state"]
            health = state.get("Health", {})
            last = (health.get("Log") or [{}])[-1]
            ready = state["Running"] and health.get("Status") == "healthy"
            failed = health.get("Status") == "unhealthy" or state["Status"] in {"exited", "dead"}
            said = str(last.get("Output", "") if last.get("ExitCode") else "").strip().splitlines()
            name = each["labels"]["com.docker.compose.service"]
            found[name] = {
                "name": name,
                "state": READY if ready else FAILED if failed else STARTING,
                "pid": state["Pid"],
                "restarts": each["restarts"],
                "problem": "" if ready else state["Error"] or (said[-1] if said else ""),
            }
        return {name: found[name] for name in sorted(found)}

    def log(self, service: str, lines: int) -> list[str]:
        """Return the last lines of a service's log."""
        for each in self._containers():
            if each["labels"]["com.docker.compose.service"] == service:
                asked = [self.docker, "logs", "--tail", str(lines), each["id"]]
                done = process.run(asked, check=False)
                return (done.stdout + done.stderr).splitlines()[-lines:]
        return []

    def following(self, service: str | None, lines: int) -> Sequence[str]:
        """Return the command that prints logs as they come."""
        words = [*self._head(), "logs", "--follow", "--tail", str(lines)]
        return [*words, *([service] if service else [])]

    def _wait(self, note: Callable[[str], None]) -> None:
        until = clock.monotonic() + _PATIENCE
        wanted = 2 if self.project.stack.endpoint else 3
        while True:
            found = self.status()
            waits = [name for name, each in found.items() if each["state"] != READY]
            note(", ".join(waits))
            if len(found) == wanted and not waits:
                return
            failed = [n for n in waits if found[n]["state"] == FAILED or found[n]["restarts"] > 2]  # noqa: PLR2004 -- restarts of a start that cannot work
            if failed or clock.monotonic() > until or len(found) < wanted:
                raise self._failure(found, failed or waits)
            clock.sleep(_LOOK)

    def _failure(self, found: Mapping[str, Any], names: Sequence[str]) -> LockstitchError:
        if not names:
            done = self._call("up", "--detach", check=False)
            message = f"Compose did not start the services\n{done.stderr.strip()[-2000:]}"
            return LockstitchError(message, hint=" ".join([*self._head(), "config"]))
        parts = []
        for name in names:
            said = "\n".join(self.log(name, 8))
            why = found[name]["problem"] or found[name]["state"]
            parts.append(f"`{name}` does not get healthy: {why}" + (f"\n{said}" if said else ""))
        return LockstitchError("\n".join(parts), hint=_LOST)

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
        place = str(self.project.root / document.NAME)
        return [*self.words, "--project-name", self.name, "--file", place]

    def _call(self, *words: str, check: bool = True, hint: str = "") -> process.Finished:
        chosen = self.folder.read(self.folder.plan).get("ports", {})
        own = {document.VARIABLES[name]: str(chosen[name]) for name in chosen}
        own |= {document.IMAGES[n]: document.tag(n, image) for n, image in self.images.items()}
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


def _write_plan(stack: StackSpec, folder: Folder, name: str) -> Mapping[str, tuple[int, int]]:
    wanted = {
        "postgres": stack.postgres_port,
        "objects": stack.objects_port,
        "mlflow": stack.mlflow_port,
        "admin": document.ADMIN,
    }
    chosen = ports.choose(wanted)
    plan = {
        "tools": "",
        "ports": chosen,
        "endpoint": stack.endpoint,
        "bucket": stack.bucket,
        "region": stack.region,
        "compose": name,
    }
    if stack.endpoint:
        control.take_keys(folder)
    folder.write(folder.plan, plan)
    used = [n for n in control.NAMES if n != "objects" or not stack.endpoint]
    return {n: (wanted[n], chosen[n]) for n in used if wanted[n] != chosen[n]}


def _write_secrets(stack: StackSpec, folder: Folder) -> None:
    """Write a file for each service, which its container sees in /run/secrets.

    Anybody may read the files, as a container's user is another one; nobody but the owner
    may enter the folder.
    """
    keys = folder.keys()
    store = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}
    login = f"{common.USER}:{keys.password}@postgres:{document.PORT['postgres']}"
    backend = f"postgresql+psycopg2://{login}/{common.USER}"
    secrets = {
        "postgres": {"PGPASSWORD": keys.password},
        "mlflow": store | {"MLFLOW_BACKEND_STORE_URI": backend},
    }
    if not stack.endpoint:
        signing = dict(zip(SIGNING, keys.signing, strict=True))
        page = {"WEED_ADMIN_USER": "lockstitch", "WEED_ADMIN_PASSWORD": keys.admin}
        secrets["objects"] = store | signing | page
    there = folder.root / document.SECRETS
    there.mkdir(mode=0o700, exist_ok=True)
    there.chmod(0o700)
    for name, values in secrets.items():
        text = "".join(f"{key}={value}\n" for key, value in sorted(values.items()))
        files.write_bytes(there / name, text.encode(), mode=0o444)
