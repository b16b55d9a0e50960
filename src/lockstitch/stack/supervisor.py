"""The process that keeps a stack running: `python -m lockstitch.stack.supervisor FOLDER`.

It starts each service, waits until it answers, and starts it again when it dies or answers no
more. It ends when a signal asks it to, or when its folder is gone, and ends its services.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from lockstitch import clock, files, process
from lockstitch.errors import LockstitchError
from lockstitch.stack.folder import LOW, Folder, full
from lockstitch.stack.machine import end_group, identity
from lockstitch.stack.service import Launch, Service, guarded, parts_of
from lockstitch.values import frozen, replace

_LOGS = 3  # older logs that are kept
_TICK = 0.2  # seconds between two looks at logs and signals

WAITING, STARTING, READY, SILENT, RESTARTING, FAILED, STOPPED = (
    *("waiting", "starting", "ready", "not answering"),
    *("restarting", "failed", "stopped"),
)
FULL = "disk full"
NEEDS = "what it needs did not start"


@frozen
class Patience:
    """The seconds that the keeper waits; tests wait less."""

    start: float = 120.0  # until a service that does not answer is killed
    end: float = 20.0  # until one that was asked to end is killed
    again: float = 0.2  # before the first new start; doubled each time
    most: float = 10.0  # before any new start
    stable: float = 10.0  # of being ready, after which the next new start is the first again
    look: float = 0.1  # between two looks at whether it has ended, and until it is ready
    tries: int = 3  # of a service that has never answered
    watch: float = 5.0  # between two questions to a service that is ready
    misses: int = 3  # questions in a row without an answer until it is killed
    hung: float = 2.0  # until one that answers no more, or has no room, is killed


@frozen
class Status:
    """The state of a service now."""

    name: str
    state: str = WAITING
    pid: int = 0
    restarts: int = 0
    problem: str = ""


class Keeper(threading.Thread):
    """One service and its program; the thread lives as long as that should run.

    The thread that starts a program must not end before it: the kernel's parent-death signal
    follows the thread.
    """

    def __init__(
        self,
        service: Service,
        log: Path,
        states: Mapping[str, "Keeper"],
        changed: Callable[[], None],
        patience: Patience,
    ) -> None:
        """Keep the service; `states` has the keepers of what it needs."""
        super().__init__(name=service.name, daemon=True)
        self.service = service
        self.status = Status(name=service.name)
        self._log = log
        self._states = states
        self._changed = changed
        self._patience = patience
        self._stopping = threading.Event()
        self._was_ready = False
        self._ready_since = 0.0

    def stop(self) -> None:
        """Ask the service to end; `join` waits for that."""
        self._stopping.set()

    def run(self) -> None:
        """Keep the service running until `stop`, or until it cannot be started."""
        tries, wait = 0, self._patience.again
        while self._needs_are_ready() and not self._stopping.is_set():
            self._ready_since = clock.monotonic()  # unless it will be ready later
            problem = self._once()
            if self._stopping.is_set() or self.status.state == FAILED:
                break
            if self._is_full():
                self._rest()
                continue
            tries += 1
            if not self._was_ready and tries >= self._patience.tries:
                self._set(state=FAILED, pid=0, problem=problem)
                return
            if clock.monotonic() - self._ready_since > self._patience.stable:
                wait = self._patience.again
            restarts = self.status.restarts + 1
            self._set(state=RESTARTING, pid=0, restarts=restarts, problem=problem)
            self._stopping.wait(wait)
            wait = min(wait * 2, self._patience.most)
        if self.status.state != FAILED:
            self._set(state=STOPPED, pid=0)

    def _is_full(self) -> bool:
        """Return whether it must not run now, for want of room."""
        return self.service.rests and bool(self._lacks(LOW))

    def _lacks(self, wanted: int) -> str:
        try:
            return full(self._log.parent, wanted)
        except FileNotFoundError:  # somebody takes the stack's folder away: all will end
            return ""

    def _rest(self) -> None:
        """Wait until there is room, and some more, so that it does not end again at once."""
        while (problem := self._lacks(2 * LOW)) and not self._stopping.is_set():
            if (FULL, problem) != (self.status.state, self.status.problem):
                self._set(state=FULL, pid=0, problem=problem)
            self._stopping.wait(self._patience.look)

    def _needs_are_ready(self) -> bool:
        while not self._stopping.is_set():
            states = {name: self._states[name].status.state for name in self.service.needs}
            if FAILED in states.values():
                self._set(state=FAILED, problem=NEEDS)
                return False
            if all(state == READY for state in states.values()):
                return True
            self._stopping.wait(self._patience.look)
        return False

    def _once(self) -> str:
        """Start the program, and return why it ended."""
        try:
            launch = self.service.launch()
            running = process.start(
                guarded(launch), cwd=launch.cwd, env=launch.env, log=self._log, append=True
            )
        except (LockstitchError, OSError) as error:
            hint = getattr(error, "hint", "")
            problem = f"{error}\nhint: {hint}" if hint else str(error)
            self._set(state=FAILED, pid=0, problem=problem)
            return problem
        state = STARTING if not self._was_ready else RESTARTING
        self._set(state=state, pid=running.pid, problem="")
        slow = hung = ""
        try:
            slow = self._until_ready(running)
            hung = slow or self._until_silent(running)
        finally:
            at_once = (bool(hung) and not slow) or self._is_full()
            code = self._end(running, launch, at_once=at_once)
        ended = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        return hung or f"ended with {ended}"

    def _until_ready(self, running: process.Running) -> str:
        until = clock.monotonic() + self._patience.start
        while running.poll() is None and not self._stopping.is_set() and not self._is_full():
            why = self.service.ready()
            if not why and running.poll() is None:
                self._was_ready = True
                self._ready_since = clock.monotonic()
                self._set(state=READY, problem="")
                return ""
            if why != self.status.problem:
                self._set(problem=why)
            if clock.monotonic() > until:
                return f"did not answer in {self._patience.start:.0f} s: {why}"
            self._stopping.wait(self._patience.look)
        return ""

    def _until_silent(self, running: process.Running) -> str:
        """Return why it must be killed, or "" when it has ended or is asked to."""
        misses, due = 0, clock.monotonic() + self._patience.watch
        while running.poll() is None and not self._stopping.is_set() and not self._is_full():
            self._stopping.wait(self._patience.look)
            if clock.monotonic() < due or running.poll() is not None:
                continue
            why = self.service.well()
            misses = misses + 1 if why and self._is_its_own_fault() else 0
            if misses >= self._patience.misses:
                return f"did not answer {misses} times: {why}"
            state = SILENT if why else READY
            if (state, why) != (self.status.state, self.status.problem):
                self._set(state=state, problem=why)
            due = clock.monotonic() + self._patience.watch
        return ""

    def _is_its_own_fault(self) -> bool:
        # A new start makes no room on the disk, and does not help what it needs.
        needs = (self._states[name].status.state for name in self.service.needs)
        return not self._lacks(LOW) and all(state == READY for state in needs)

    def _end(self, running: process.Running, launch: Launch, *, at_once: bool) -> int:
        if running.poll() is None:
            running.send_signal(launch.end)
            with contextlib.suppress(process.Expired):
                running.wait(self._patience.hung if at_once else self._patience.end)
        end_group(running.pid)  # the rest of its group, and itself if it does not listen
        return running.wait()

    def _set(self, **changes: object) -> None:
        self.status = replace(self.status, **changes)  # type: ignore[arg-type]  # fields by name
        self._changed()


class Supervisor:
    """Keeps services until it is asked to stop, and says in `status.json` how they are."""

    def __init__(
        self,
        folder: Folder,
        services: Sequence[Service],
        patience: Patience,
        log_size: int = 5_000_000,  # bytes after which a log is moved to NAME.log.1
    ) -> None:
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
        document = {"pid": os.getpid(), "identity": identity(os.getpid()), "services": statuses}
        self._folder.write(self._folder.status, document)


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
    from lockstitch.stack.services import planned

    folder = Folder(Path(words[0]))
    tools = parts_of(folder).tools.folder
    with contextlib.suppress(OSError):
        in_use = files.UseLock(tools / files.USE_LOCK)
        in_use.share()  # so that `lockstitch cache prune` leaves the programs alone
    # Held until the process ends, however it ends: there is never a second one.
    with files.lock(folder.root / "supervisor.lock"):
        Supervisor(folder, planned(folder), Patience()).run()


if __name__ == "__main__":
    main(sys.argv[1:])
