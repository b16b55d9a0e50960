"""What the commands do with a stack: start it, stop it, look at it, delete its data."""

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lockstep import clock, environ, files, process
from lockstep.errors import LockstepError, raise_all
from lockstep.project.model import Project, StackSpec
from lockstep.stack import ports, processes
from lockstep.stack.folder import Folder
from lockstep.stack.keeper import FAILED, NEEDS, READY
from lockstep.stack.service import Service
from lockstep.stack.services import common
from lockstep.stack.services.mlflow import Mlflow
from lockstep.stack.services.objects import PORTS, Objects, sweep
from lockstep.stack.services.postgres import Postgres
from lockstep.stack.tools import Tools

__all__ = [
    "NAMES",
    "addresses",
    "down",
    "folder_of",
    "reset",
    "services",
    "status",
    "up",
    "variables",
]

NAMES = ("postgres", "objects", "mlflow")
_PATIENCE = 180.0  # seconds until a stack that does not come up is given up
_OWN = "export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or correct tool.lockstep.stack"
_ROOM = 300_000_000  # bytes that a first start needs
_DATA = ("postgres", "postgres.new", "objects", "objects.tmp", "logs")
_STATE = ("keys.json", "objects.json", "plan.json", "status.json", "postgres.password")


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What `up` did: whether anything was started, and which ports are not the wanted ones."""

    new: bool
    moved: Mapping[str, tuple[int, int]]


def folder_of(project: Project) -> Folder:
    """Return the folder of a project's stack."""
    return Folder((project.root / project.stack.data).resolve())


def services(folder: Folder) -> list[Service]:
    """Return the services of the plan that `up` wrote, each after what it needs."""
    parts = _parts(folder)
    if parts.endpoint:
        return [Postgres(parts=parts), Mlflow(parts=parts, needs=("postgres",))]
    return [Postgres(parts=parts), Objects(parts=parts), Mlflow(parts=parts)]


def up(project: Project, tools: Tools, note: Callable[[str], None]) -> Started:
    """Start the stack unless it runs, and return when every service answers.

    Two at once: the second waits, and finds it running. Raises LockstepError with the end of the
    log of a service that does not start; nothing runs then, and no data is changed.
    """
    folder = folder_of(project)
    folder.make()
    with files.lock(folder.root / "up.lock"):
        if folder.supervisor():
            _wait(folder, folder.supervisor(), note)
            return Started(new=False, moved={})
        processes.end(processes.marked(folder.root), patience=10)
        _check_room(folder)
        moved = _write_plan(project.stack, folder, tools)
        try:
            _start(folder, note)
        except BaseException:
            _stop(folder)
            raise
        return Started(new=True, moved=moved)


def down(folder: Folder) -> bool:
    """Stop the stack and all that it started; return whether anything ran."""
    if not folder.root.exists():
        return False
    with files.lock(folder.root / "up.lock"):
        return _stop(folder)


def reset(folder: Folder) -> None:
    """Stop the stack and delete its data, keys and logs."""
    down(folder)
    for name in _DATA:
        if (folder.root / name).exists():
            shutil.rmtree(folder.root / name)
    for name in _STATE:
        (folder.root / name).unlink(missing_ok=True)


def status(folder: Folder) -> dict[str, Any]:
    """Return what the supervisor says: service by service, or nothing when none runs."""
    if not folder.supervisor():
        return {}
    found = folder.read(folder.status).get("services", {})
    return {name: found[name] for name in sorted(found)} if isinstance(found, dict) else {}


def addresses(folder: Folder) -> dict[str, str]:
    """Return where people find each service, and the store's own page."""
    parts = _parts(folder)
    at = {name: f"{common.HOST}:{port}" for name, port in parts.ports.items()}
    found = {
        "mlflow": f"http://{at['mlflow']}",
        "postgres": f"postgresql://{common.USER}@{at['postgres']}/{common.USER}",
    }
    if parts.endpoint:
        return {**found, "objects": parts.endpoint}
    return {**found, "objects": f"http://{at['objects']}", "objects page": f"http://{at['admin']}"}


def variables(folder: Folder) -> dict[str, str]:
    """Return the variables of a stack that runs, or nothing."""
    return common.variables(_parts(folder)) if folder.supervisor() else {}


def _parts(folder: Folder) -> common.Parts:
    plan = folder.read(folder.plan)
    try:
        return common.Parts(
            folder=folder,
            tools=Tools(folder=Path(plan["tools"])),
            keys=folder.keys(),
            ports={str(name): int(port) for name, port in plan["ports"].items()},
            endpoint=str(plan["endpoint"]),
            bucket=str(plan["bucket"]),
            region=str(plan["region"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"`{folder.plan}` cannot be read"
        raise LockstepError(message, hint="lockstep down && lockstep up") from error


def _write_plan(stack: StackSpec, folder: Folder, tools: Tools) -> Mapping[str, tuple[int, int]]:
    """Choose ports, take the keys of a store of one's own, and write what to start."""
    wanted = {name: getattr(stack, f"{name}_port") for name in NAMES}
    chosen = ports.choose({**wanted, **PORTS})
    if stack.endpoint:
        _take_keys(folder)
    plan = {
        "tools": str(tools.folder),
        "ports": chosen,
        "endpoint": stack.endpoint,
        "bucket": stack.bucket,
        "region": stack.region,
    }
    folder.write(folder.plan, plan)
    if stack.endpoint:
        why = common.probe(_parts(folder), "s3", 1)
        if why:
            message = f"the object store `{stack.endpoint}` refuses: {why}"
            raise LockstepError(message, hint=_OWN)
    used = NAMES if not stack.endpoint else ("postgres", "mlflow")
    return {n: (wanted[n], chosen[n]) for n in used if wanted[n] != chosen[n]}


def _take_keys(folder: Folder) -> None:
    """Keep the keys of a store of one's own, which come in variables."""
    keys = folder.keys()
    access, secret = (environ.get(n) for n in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    if bool(access) != bool(secret):
        message = "one of `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` is not set"
        raise LockstepError(message, hint="export both, the keys of your object store")
    if access:
        changed = replace(keys, access_key=access, secret_key=secret)
        folder.write(folder.keys_file, asdict(changed), mode=0o600)


def _check_room(folder: Folder) -> None:
    free = shutil.disk_usage(folder.root).free
    if free < _ROOM and not (folder.root / "postgres").exists():
        message = f"`{folder.root}` has {free // 1_000_000} MB free, a stack needs 300 MB"
        raise LockstepError(message, hint="free some space, or link the folder to a larger disk")


def _start(folder: Folder, note: Callable[[str], None]) -> None:
    folder.status.unlink(missing_ok=True)
    running = process.start(
        [sys.executable, "-m", "lockstep.stack.supervisor", folder.root],
        cwd=folder.root,
        env=environ.child(**{processes.MARK: str(folder.root)}),
        log=folder.log("supervisor"),
        append=True,
    )
    _wait(folder, running.pid, note, running)


def _wait(
    folder: Folder, pid: int, note: Callable[[str], None], running: process.Running | None = None
) -> None:
    """Wait until all services are ready; raise LockstepError with what keeps one from it."""
    until = clock.monotonic() + _PATIENCE
    while clock.monotonic() < until:
        found = status(folder)
        states = {name: each["state"] for name, each in found.items()}
        note(", ".join(name for name, state in states.items() if state != READY) or "")
        if states and all(state == READY for state in states.values()):
            return
        if FAILED in states.values():
            causes = [each for each in found.values() if each["state"] == FAILED]
            raise_all([_failure(folder, each) for each in causes if each["problem"] != NEEDS])
        ended = running.poll() is not None if running else not processes.identity(pid)
        if ended:
            message = f"the supervisor has ended\n{tail(folder.log('supervisor'))}"
            raise LockstepError(message, hint="lockstep logs supervisor")
        clock.sleep(0.05)
    why = [f"`{each['name']}`: {each['problem'] or each['state']}" for each in found.values()]
    message = f"not ready after {_PATIENCE:.0f} s\n" + ("\n".join(why) or "no supervisor")
    raise LockstepError(message, hint="lockstep logs")


def _failure(folder: Folder, each: Mapping[str, str]) -> LockstepError:
    name = each["name"]
    problem, _, hint = each["problem"].partition("\nhint: ")
    if hint:  # its own words say it all
        return LockstepError(f"`{name}` does not start: {problem}", hint=hint)
    said = tail(folder.log(name))
    message = f"`{name}` does not start: {problem}" + (f"\n{said}" if said else "")
    return LockstepError(message, hint=f"lockstep logs {name}")


def tail(log: Path, lines: int = 8) -> str:
    """Return the last lines of a log."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _stop(folder: Folder) -> bool:
    pid = folder.supervisor()
    if pid:
        processes.end([pid], patience=60)
    left = processes.marked(folder.root)  # of a supervisor that was killed
    processes.end(left, patience=10)
    folder.status.unlink(missing_ok=True)
    if pid or left:
        sweep(_parts(folder).ports)
    return bool(pid or left)
