"""Starts a stack without containers, stops it, shows its state and deletes its data."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lockstitch import clock, environ, files, process
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.python.model import Project, StackSpec
from lockstitch.stack import machine, service
from lockstitch.stack.folder import LOW, Folder, full, last_lines
from lockstitch.stack.service import ADMIN, HOST, USER, parts_of
from lockstitch.stack.services.objects import PORTS, sweep
from lockstitch.stack.supervisor import FAILED, FULL, NEEDS, READY
from lockstitch.stack.tools import Tools
from lockstitch.values import frozen, replace

NAMES = ("postgres", "objects", "mlflow")
_PATIENCE = 180.0  # seconds until a stack that does not come up is given up
_OWN = "export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or correct tool.lockstitch.stack"
_ROOM = 300_000_000  # bytes that a first start needs
_DATA = ("postgres", "postgres.new", "objects", "objects.tmp", "services", "logs", "backups")
_STATE = (
    *("keys.json", "objects.json", "mlflow.ini"),
    *("plan.json", "status.json", "postgres.password"),
)


@frozen
class Started:
    """The result of `up`: whether it started anything, ports that differ, and its backups."""

    new: bool
    moved: Mapping[str, tuple[int, int]]
    backups: tuple[Path, ...] = ()  # made before MLflow's tables were upgraded


def folder_of(project: Project) -> Folder:
    """Return the folder of a project's stack."""
    return Folder((project.root / project.stack.data).resolve())


@frozen
class Native:
    """The stack of one project without containers."""

    folder: Folder
    spec: StackSpec
    install: Callable[[], Tools]
    own: Callable[[], Mapping[str, Path]] = dict  # installs what its own services need

    def up(self, note: Callable[[str], None]) -> Started:
        """Start the stack unless it runs, and return when every service answers.

        Two at once: the second waits, and finds it running. Raises LockstitchError with the end of
        the log of a service that does not start; nothing runs then, and no data is changed.
        """
        tools, folder = self.install(), self.folder
        folder.make()
        with files.lock(folder.root / "up.lock"):
            _check_room(folder)
            had = _backups(folder)
            if folder.supervisor():
                _wait(folder, folder.supervisor(), note)
                return Started(new=False, moved={})
            machine.end(machine.marked(folder.root), patience=10)
            with _alone(tools):
                plan = {"services": service.planned(self.spec.services, self.own())}
                moved = _begin(self.spec, folder, tools, plan, note)
            return Started(new=True, moved=moved, backups=tuple(sorted(_backups(folder) - had)))

    def down(self) -> bool:
        """Stop the stack and all that it started; return whether anything ran."""
        if not self.folder.root.exists():
            return False
        with files.lock(self.folder.root / "up.lock"):
            return _stop(self.folder)

    def reset(self) -> None:
        """Stop the stack and delete its data, keys and logs."""
        self.down()
        for name in _DATA:
            if (self.folder.root / name).exists():
                shutil.rmtree(self.folder.root / name)
        for name in _STATE:
            (self.folder.root / name).unlink(missing_ok=True)

    def status(self) -> dict[str, Any]:
        """Return the state of each service, or nothing when none runs."""
        return status(self.folder)

    def log(self, service: str, lines: int) -> list[str]:
        """Return the last lines of a service's log."""
        return last_lines(self.folder.log(service), lines)


def status(folder: Folder) -> dict[str, Any]:
    """Return the state of each service as the supervisor wrote it, or nothing when none runs.

    On a full disk the supervisor cannot write it any more: the disk is checked here too.
    """
    if not folder.supervisor():
        return {}
    known = folder.read(folder.status).get("services", {})
    services = {name: known[name] for name in sorted(known)} if isinstance(known, dict) else {}
    problem = full(folder.root) if services else ""
    for name in set(services) & {"postgres", "objects"} if problem else ():
        services[name] = {**services[name], "state": FULL, "problem": problem}
    return services


def addresses(folder: Folder) -> dict[str, str]:
    """Return the address of each service, and of the store's console."""
    parts = parts_of(folder)
    at = {name: f"{HOST}:{port}" for name, port in parts.ports.items()}
    places = {
        "mlflow": f"http://{at['mlflow']}",
        "postgres": f"postgresql://{USER}@{at['postgres']}/{USER}",
    }
    places |= {own.name: at[own.name] for own in parts.services}
    if parts.endpoint:
        return {**places, "objects": parts.endpoint}
    return {**places, "objects": f"http://{at['objects']}", "console": f"http://{at['admin']}"}


def logins(folder: Folder) -> dict[str, dict[str, str]]:
    """Return how people log in to services with pages: the user, and where the password is."""
    parts = parts_of(folder)
    keys = {} if parts.endpoint else {"console": "admin"}
    keys |= {"mlflow": "mlflow"} if parts.login else {}
    file = str(folder.keys_file)
    return {
        name: {"user": ADMIN, "password": key, "file": file} for name, key in sorted(keys.items())
    }


def variables(folder: Folder) -> dict[str, str]:
    """Return the variables of a stack that runs, or nothing."""
    return service.variables(parts_of(folder)) if folder.supervisor() else {}


def write_plan(
    stack: StackSpec, folder: Folder, ports: Mapping[str, int], more: Mapping[str, object]
) -> Mapping[str, tuple[int, int]]:
    """Choose ports, take the keys of a store of one's own, and write what to start.

    `ports` are further ones, and `more` is what only one kind of stack has in its plan. Returns the
    ports that are not those that pyproject.toml names.
    """
    wanted = {name: getattr(stack, f"{name}_port") for name in NAMES}
    wanted |= {one.name: one.port for one in stack.services}
    chosen = machine.choose_ports({**wanted, **ports})
    if stack.endpoint:
        take_keys(folder)
    plan = {
        **more,
        "ports": chosen,
        "endpoint": stack.endpoint,
        "bucket": stack.bucket,
        "region": stack.region,
        "login": machine.asks(stack.login),
    }
    folder.write(folder.plan, plan)
    used = [name for name in wanted if name != "objects" or not stack.endpoint]
    return {n: (wanted[n], chosen[n]) for n in used if wanted[n] != chosen[n]}


def _check_store(endpoint: str, folder: Folder) -> None:
    """Raise LockstitchError when an object store of one's own refuses."""
    why = service.probe(parts_of(folder), 1) if endpoint else ""
    if why:
        raise LockstitchError(f"the object store `{endpoint}` refuses: {why}", hint=_OWN)


def take_keys(folder: Folder) -> None:
    """Keep the given keys of an own object store; raises LockstitchError when one is missing."""
    keys = folder.keys()
    access, secret = (environ.get(n) for n in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    if bool(access) != bool(secret):
        message = "one of `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` is not set"
        raise LockstitchError(message, hint="export both, the keys of your object store")
    if access:
        changed = replace(keys, access_key=access, secret_key=secret)
        folder.write(folder.keys_file, asdict(changed), mode=0o600)


def _alone(tools: Tools) -> AbstractContextManager[None]:
    """Keep another project from choosing our ports before our services listen there."""
    if not os.access(tools.folder, os.W_OK):  # another user's
        return nullcontext()
    return files.lock(tools.folder / "up.lock")


def _begin(
    stack: StackSpec,
    folder: Folder,
    tools: Tools,
    more: Mapping[str, object],
    note: Callable[[str], None],
    tries: int = 3,
) -> Mapping[str, tuple[int, int]]:
    """Choose ports and start; again when somebody else took one of them meanwhile."""
    moved = write_plan(stack, folder, PORTS, {**more, "tools": str(tools.folder)})
    _check_store(stack.endpoint, folder)
    try:
        _start(folder, note)
    except BaseException as error:
        _stop(folder)
        lost = any(not machine.is_free(port) for port in parts_of(folder).ports.values())
        if tries > 1 and lost and isinstance(error, LockstitchError):
            return _begin(stack, folder, tools, more, note, tries - 1)
        raise
    return moved


def _backups(folder: Folder) -> set[Path]:
    return set(folder.backups.glob("*.dump"))


def _check_room(folder: Folder) -> None:
    message = full(folder.root, LOW if (folder.root / "postgres").exists() else _ROOM)
    if message:
        raise LockstitchError(message, hint="free some space, or link the folder to a larger disk")


def _start(folder: Folder, note: Callable[[str], None]) -> None:
    folder.status.unlink(missing_ok=True)
    running = process.start(
        [sys.executable, "-m", "lockstitch.stack.supervisor", folder.root],
        cwd=folder.root,
        env=environ.child(**{machine.MARK: str(folder.root)}),
        log=folder.log("supervisor"),
        append=True,
    )
    _wait(folder, running.pid, note, running)


def _wait(
    folder: Folder, pid: int, note: Callable[[str], None], running: process.Running | None = None
) -> None:
    """Wait until all services are ready; raise LockstitchError with what keeps one from it."""
    until = clock.monotonic() + _PATIENCE
    while clock.monotonic() < until:
        services = status(folder)
        states = {name: service["state"] for name, service in services.items()}
        note(", ".join(name for name, state in states.items() if state != READY) or "")
        if states and all(state == READY for state in states.values()):
            return
        if FAILED in states.values():
            failed = [state for state in services.values() if state["state"] == FAILED]
            raise_all([_failure(folder, state) for state in failed if state["problem"] != NEEDS])
        if running.poll() is not None if running else not machine.identity(pid):
            end = "\n".join(last_lines(folder.log("supervisor"), 8))
            message = f"the supervisor has ended\n{end}"
            raise LockstitchError(message, hint="lockstitch stack logs supervisor")
        clock.sleep(0.05)
    why = [
        f"`{facts['name']}`: {facts['problem'] or facts['state']}" for facts in services.values()
    ]
    message = f"not ready after {_PATIENCE:.0f} s\n" + ("\n".join(why) or "no supervisor")
    raise LockstitchError(message, hint="lockstitch stack logs")


def _failure(folder: Folder, service: Mapping[str, str]) -> LockstitchError:
    name = service["name"]
    problem, _, hint = service["problem"].partition("\nhint: ")
    if hint:  # its own words say it all
        return LockstitchError(f"`{name}` does not start: {problem}", hint=hint)
    log = "\n".join(last_lines(folder.log(name), 8))
    message = f"`{name}` does not start: {problem}" + (f"\n{log}" if log else "")
    return LockstitchError(message, hint=f"lockstitch stack logs {name}")


def _stop(folder: Folder) -> bool:
    pid = folder.supervisor()
    if pid:
        machine.end([pid], patience=60)
    left = machine.marked(folder.root)  # of a supervisor that was killed
    machine.end(left, patience=10)
    folder.status.unlink(missing_ok=True)
    if pid or left:
        sweep(parts_of(folder).ports)
    return bool(pid or left)
