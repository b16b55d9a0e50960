"""The process that keeps a stack running: `python -m lockstitch.stack.supervisor FOLDER`.

It ends when a signal asks it to, or when its folder is gone, and takes its services with it.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lockstitch import files
from lockstitch.stack.folder import Folder
from lockstitch.stack.keeper import Keeper, Patience
from lockstitch.stack.processes import identity
from lockstitch.stack.service import Service

__all__ = ["LOG_SIZE", "Supervisor", "main"]

LOG_SIZE = 5_000_000  # bytes after which a log is moved to NAME.log.1
_LOGS = 3  # older logs that are kept
_TICK = 0.2  # seconds between two looks at logs and signals


class Supervisor:
    """Keeps services until it is asked to stop, and says in `status.json` how they are."""

    def __init__(
        self,
        folder: Folder,
        services: Sequence[Service],
        patience: Patience,
        log_size: int = LOG_SIZE,
    ) -> None:
        """Keep these services; each comes after what it needs."""
        self._folder = folder
        self._log_size = log_size
        self._stop = threading.Event()
        self._dirty = threading.Event()
        self._keepers: dict[str, Keeper] = {}
        for service in services:
            self._keepers[service.name] = Keeper(
                service, folder.log(service.name), self._keepers, self._dirty.set, patience
            )

    def run(self) -> None:
        """Run until a SIGTERM or SIGINT, then stop each service before what it needs."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may go
        self._say()
        for keeper in self._keepers.values():
            keeper.start()
        while not self._stop.wait(_TICK) and self._folder.root.exists():
            self._tick()
        for keeper in reversed(self._keepers.values()):
            keeper.stop()
            keeper.join()
        self._folder.status.unlink(missing_ok=True)

    def _tick(self) -> None:
        # A full disk must not end what keeps the services; it is tried again at the next tick.
        try:
            for name in (*self._keepers, "supervisor"):
                rotate(self._folder.log(name), self._log_size)
            if self._dirty.is_set():
                self._dirty.clear()
                self._say()
        except OSError as error:
            self._dirty.set()
            with contextlib.suppress(OSError):
                sys.stderr.write(f"{error}\n")

    def _say(self) -> None:
        statuses = {name: asdict(keeper.status) for name, keeper in self._keepers.items()}
        said = {"pid": os.getpid(), "identity": identity(os.getpid()), "services": statuses}
        self._folder.write(self._folder.status, said)


def rotate(log: Path, size: int) -> None:
    """Move a long log's text to NAME.log.1 and so on; its writers append, and go on in it.

    What is written between the copy and the cut is lost: a few lines, of a log.
    """
    try:
        if log.stat().st_size < size:
            return
    except FileNotFoundError:
        return
    for number in range(_LOGS - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    with files.atomic(log.with_name(f"{log.name}.1"), mode=0o600) as temporary:
        temporary.write_bytes(log.read_bytes())
    os.truncate(log, 0)


def main(words: Sequence[str]) -> None:
    """Run the supervisor of the stack in a folder, as its plan says."""
    from lockstitch.stack.control import services

    folder = Folder(Path(words[0]))
    # Held until the process ends, however it ends: there is never a second one.
    with files.lock(folder.root / "supervisor.lock"):
        Supervisor(folder, services(folder), Patience()).run()


if __name__ == "__main__":
    main(sys.argv[1:])
