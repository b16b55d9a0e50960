"""The folder `.lockstitch/stack/`: keys, plan, status and logs of a stack."""

import contextlib
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lockstitch import clock, files
from lockstitch.errors import LockstitchError
from lockstitch.stack.machine import identity
from lockstitch.values import frozen

LOW = 64_000_000  # bytes free below which nothing is promised: PostgreSQL's log grows by 16 MB
_LATER = ("mlflow", "session")  # keys that a folder of an older lockstitch lacks
_MOST = 1 << 20  # bytes of a log's end that are read for its last lines


@frozen
class Keys:
    """Passwords and keys of the services; random, made at the first start."""

    password: str  # of PostgreSQL's user
    access_key: str
    secret_key: str
    admin: str  # password of the store's console
    mlflow: str  # password of MLflow's user, where it asks for one
    session: str  # with which MLflow signs its forms
    signing: tuple[str, ...]  # keys between the parts of the store

    def __repr__(self) -> str:
        """Say nothing of it, wherever it is shown."""
        return "Keys(…)"


class Folder:
    """Names the files of a stack and reads the small ones."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def plan(self) -> Path:
        """Return the path of the plan that `up` writes for the supervisor."""
        return self.root / "plan.json"

    @property
    def status(self) -> Path:
        """Return the path of the supervisor's state."""
        return self.root / "status.json"

    @property
    def backups(self) -> Path:
        """Return the folder of the backups before an upgrade."""
        return self.root / "backups"

    @property
    def keys_file(self) -> Path:
        """Return the file with all secrets."""
        return self.root / "keys.json"

    def log(self, name: str) -> Path:
        """Return the log of a service, or of the `supervisor`."""
        return self.root / "logs" / f"{name}.log"

    def make(self) -> None:
        """Make the folder, which git ignores and only its owner may enter."""
        (self.root / "logs").mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        if not (self.root / ".gitignore").exists():
            files.write_text(self.root / ".gitignore", "*\n")

    def keys(self) -> Keys:
        """Return the secrets, made when missing; raises LockstitchError for a damaged file."""
        fresh = {
            "password": secrets.token_urlsafe(24),
            "access_key": secrets.token_hex(10).upper(),
            "secret_key": secrets.token_hex(20),
            "admin": secrets.token_urlsafe(24),
            "signing": [secrets.token_urlsafe(32) for _ in range(4)],
        }
        later = {name: secrets.token_urlsafe(24) for name in _LATER}
        kept = self.read(self.keys_file) if self.keys_file.exists() else fresh
        if kept.keys() >= fresh.keys() and not kept.keys() >= later.keys():
            kept = later | kept
            self.write(self.keys_file, kept, mode=0o600)
        try:
            return Keys(**{**kept, "signing": tuple(kept["signing"])})
        except (KeyError, TypeError) as error:
            message = f"`{self.keys_file}` does not hold the stack's keys"
            raise LockstitchError(
                message, hint="put it back, or: lockstitch stack reset"
            ) from error

    def read(self, path: Path) -> dict[str, Any]:
        """Return a JSON object of this folder, empty when there is none that can be read."""
        with contextlib.suppress(OSError, ValueError):
            value = json.loads(path.read_bytes())
            if isinstance(value, dict):
                return value
        return {}

    def write(self, path: Path, value: Mapping[str, object], *, mode: int = 0o644) -> None:
        """Write a JSON object, whole or not at all; no user reads it before it has its mode."""
        with files.atomic(path, mode=mode) as temporary:
            temporary.touch(mode=mode)
            temporary.write_text(json.dumps(value, indent=1, sort_keys=True), encoding="utf-8")

    def supervisor(self) -> int:
        """Return the pid of the supervisor that runs now, or 0; a pid used again is not one."""
        known = self.read(self.status)
        pid, who = known.get("pid"), known.get("identity")
        return pid if isinstance(pid, int) and pid > 0 and identity(pid) == who != "" else 0


def full(folder: Path, wanted: int = LOW) -> str:
    """Return "" when the disk of a folder has `wanted` bytes free, else what it has."""
    free = shutil.disk_usage(folder).free
    if free >= wanted:
        return ""
    return f"`{folder}` has {free // 1_000_000} MB free, a stack needs {wanted // 1_000_000} MB"


# --- logs, which may be moved away while they are read


def last_lines(log: Path, count: int) -> list[str]:
    """Return the last lines of a log, none when there is no log."""
    return _last(log, count)[0]


def log_lines(logs: Mapping[str, Path], count: int, *, follow: bool) -> Iterator[tuple[str, str]]:
    """Yield name and line: the last of each log, then, to `follow`, what comes."""
    places = {}
    for name, log in logs.items():
        last, places[name] = _last(log, count)
        yield from ((name, line) for line in last)
    rest = dict.fromkeys(logs, b"")
    while follow:
        for name, log in logs.items():
            data, places[name] = _new(log, places[name])
            *whole, rest[name] = (rest[name] + data).split(b"\n")
            yield from ((name, line.decode(errors="replace")) for line in whole)
        clock.sleep(0.2)  # seconds between two looks at a log


def _last(log: Path, count: int) -> tuple[list[str], int]:
    try:
        size = log.stat().st_size
        with log.open("rb") as handle:
            handle.seek(max(0, size - _MOST))
            data = handle.read(_MOST)
    except FileNotFoundError:
        return [], 0
    whole = data[: data.rfind(b"\n") + 1]
    lines = whole.decode(errors="replace").splitlines()
    return lines[-count:] if count > 0 else [], max(0, size - _MOST) + len(whole)


def _new(log: Path, place: int) -> tuple[bytes, int]:
    try:
        with log.open("rb") as handle:
            if log.stat().st_size < place:  # it was moved, and begins again
                place = 0
            handle.seek(place)
            data = handle.read()
    except FileNotFoundError:
        return b"", 0
    return data, place + len(data)
