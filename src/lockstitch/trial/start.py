"""Starts an unpacked image's command, watches it, and gives a verdict."""

import contextlib
import json
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from lockstitch import clock, environ, process
from lockstitch.errors import LockstitchError
from lockstitch.net.download import ask
from lockstitch.net.transport import free_port
from lockstitch.oci.model import Config
from lockstitch.python.model import BESIDE, ImageSpec
from lockstitch.repository.code.applications import code_of
from lockstitch.repository.code.opened import paths_of
from lockstitch.repository.code.variables import read_by
from lockstitch.trial import page
from lockstitch.trial.rootfs import Root
from lockstitch.trial.verdict import Lack, folders_written, gives_up, lacks
from lockstitch.values import field, frozen, replace

_ENTER = Path(__file__).parents[1] / "runtime" / "enter.py"
_REFUSED = 125  # the exit code of enter.py when it cannot enter
_DENIALS = ("Permission denied", "Read-only file system", "[Errno 13]", "[Errno 30]")
# SQLite's words for a folder that it cannot write; what uses it may try again for hours.
_NO_DATABASE = ("unable to open database file", "attempt to write a readonly database")
_LONGEST = 1 << 20  # bytes of output that are read
_PATIENCE = 10  # seconds for the first byte of an answer
_PROC = Path("/proc")
_FRAME = re.compile(r'File "/app/(?!\.venv/)([^"\n]+\.py)", line')
_TRIES = 10  # to see a port that is given back
_IN_USE = "address already in use"
_LISTEN = "0A"  # the state of a socket in /proc/net/tcp, see proc(5)


@frozen
class Trial:
    """A trial's input: an image's table, how its containers start, its files, and the limits."""

    spec: ImageSpec
    config: Config
    root: Root
    arguments: tuple[str, ...] = ()  # added to the command
    env: Mapping[str, str] = field(default_factory=dict)  # added to the image's own
    seconds: float = 60.0  # that a command may run, and a server may take to answer
    request: bytes | None = None  # what is sent to `request_path` of the image


@frozen
class Answered:
    """A server's answer to the request of its image."""

    status: int  # 0 where no answer came
    seconds: float
    body: str  # the beginning of it, or why there is none

    @property
    def is_good(self) -> bool:
        """Return whether the server took the request."""
        return self.status // 100 == 2


@frozen
class Verdict:
    """The end of a trial."""

    outcome: str  # "answers", "ended", "runs", "asks", "failed"
    seconds: float
    code: int | None = None  # of a program that ended
    output: str = ""
    lacks: tuple[Lack, ...] = ()
    writes: tuple[str, ...] = field(default=())  # folders that it wanted to write, below /app
    raised: bool = False  # it answers, and its page of Streamlit ends with an error
    answered: Answered | None = None  # what it said to the request of its image
    gave_up: str = (
        ""  # its last words, where it ended with 0 and they say that something is missing
    )
    port: int = 0  # on which it was started, as its own is taken on this machine

    @property
    def is_good(self) -> bool:
        """Return whether the image does what it is for, as far as a trial can tell."""
        return self.outcome != "failed"


def start(trial: Trial) -> Verdict:
    """Return how an image's command goes: it answers, ends, or fails and for want of what.

    The root is read-only and `outputs` are empty folders that go away with the trial. Where the
    program was refused a write, it is started once more with a root that takes writes, to name
    all the folders at once. Where its port is taken, it is started on another one.
    Raises LockstitchError where this machine cannot enter an image, or its port is taken and it
    takes no other one.
    """
    if trial.spec.port and _listens(trial.spec.port):
        other = _elsewhere(trial, free_port())
        verdict = start(other)
        named = (other.config.command, other.arguments) != (trial.config.command, trial.arguments)
        if not verdict.is_good and not named:
            raise _taken(trial.spec.port)
        return replace(verdict, port=other.spec.port)
    verdict, _ = _run(trial, writable=False)
    in_use = trial.spec.port and (_stays(trial.spec.port) or _IN_USE in verdict.output.lower())
    if verdict.outcome == "failed" and in_use:
        raise _taken(trial.spec.port)  # by a program that came between
    waits = verdict.outcome == "runs" and any(text in verdict.output for text in _NO_DATABASE)
    denied = any(text in verdict.output for text in (*_DENIALS, *_NO_DATABASE))
    if (verdict.is_good and not waits) or not denied:
        return verdict
    again, written = _run(trial, writable=True)
    refused = any(lack.kind == "folder" for lack in verdict.lacks)
    if not (again.is_good or refused) and _last_line(again.output) == _last_line(verdict.output):
        return verdict  # it ends so whatever it may write
    writes = folders_written(written, lambda path: (trial.root.path / path.lstrip("/")).is_dir())
    if not writes:
        return verdict
    lacked = () if again.is_good else verdict.lacks
    told = tuple(lack for lack in lacked if lack.kind != "folder")
    return replace(verdict, outcome="failed", lacks=told, writes=tuple(writes))


def _run(trial: Trial, *, writable: bool) -> tuple[Verdict, list[str]]:
    """Run the command once; return how it went and, with `writable`, the paths that it wrote."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)  # the image's user must reach its outputs
        plan = folder / "plan.json"
        plan.write_text(json.dumps(_plan(trial, folder, writable=writable)))
        log = folder / "log"
        began = clock.monotonic()
        words: list[str | Path] = [sys.executable, "-I", "-S", _ENTER, plan]
        running = process.start(words, cwd=folder, env=environ.child(), log=log)
        answered = None
        try:
            outcome = _watched(trial, running, began)
            waited = clock.monotonic() - began
            if outcome == "answers" and page.is_page(trial.config.command):
                page.visit(trial.spec.port, trial.seconds - (clock.monotonic() - began))
            if outcome == "answers" and trial.request is not None:
                answered = _asked(trial, trial.request)
            elif outcome == "answers" and not trial.spec.health:
                first = _asked(trial, None)
                answered = first if first.status == 500 else None
            code = running.poll()  # None for one that is stopped here
            # What a page says when it is stopped in its middle is no fault of it.
            raised = outcome == "answers" and page.raised(_tail(log))
        finally:
            process.stop(running, patience=10)
        output = _tail(log)
        asks = _last_line(output).startswith("EOFError: EOF when reading a line")
        outcome = "asks" if code and not trial.spec.port and asks else outcome
        outcome = "failed" if raised or (answered and not answered.is_good) else outcome
        gave_up = gives_up(output) if outcome == "ended" else ""
        # The last that it said is that a service does not answer.
        told = lacks("\n".join(output.rstrip().splitlines()[-3:]))
        in_vain = any(lack.kind in {"service", "host"} for lack in told)
        waits = outcome in {"runs", "ended"} and in_vain
        outcome = "failed" if gave_up or waits else outcome
        ran = raised or answered is not None  # until it was stopped here
        code = code if outcome in {"ended", "failed"} and not ran else None
        if code == _REFUSED and output.startswith("enter: "):
            reason = output.removeprefix("enter: ").strip().splitlines()[0]
            message = f"this machine cannot enter an image without an engine: {reason}"
            hint = "run it with an engine: lockstitch run IMAGE --in-image"
            raise LockstitchError(message, hint=hint)
        verdict = Verdict(
            outcome=outcome,
            seconds=waited,
            code=code,
            output=output,
            lacks=_lacks(trial, outcome, output),
            raised=raised,
            answered=answered,
            gave_up=gave_up,
        )
        return verdict, sorted(_written(folder / "upper" / "files")) if writable else []


def _last_line(output: str) -> str:
    return output.rstrip().rpartition("\n")[2]


def _lacks(trial: Trial, outcome: str, output: str) -> tuple[Lack, ...]:
    """Return the things that a program lacked: a script may have said so and gone on."""
    if outcome == "failed":
        named = lacks(output, [*_read(trial, output)])
        named = [_interpreter(trial.root, lack) for lack in named]
        return tuple(dict.fromkeys(named or (_absent(trial) if gives_up(output) else ())))
    return tuple(lack for lack in lacks(output) if lack.kind == "file" and outcome == "ended")


def _absent(trial: Trial) -> Iterator[Lack]:
    """Yield the files that the code of a program reads and that its image does not have."""
    folder = trial.root.path / (trial.config.workdir or "/").lstrip("/")
    for word in trial.config.command:
        path = folder / word
        code = code_of(word, path.read_text()) if word.endswith(".py") and path.is_file() else None
        for use in paths_of(code) if code else ():
            if use.kind == "reads" and "*" not in use.text and not (folder / use.text).exists():
                yield Lack(kind="file", name=use.text)


def _interpreter(root: Root, lack: Lack) -> Lack:
    """Return what a program that is there lacks to be started: the program of its first line."""
    if lack.kind == "program" and lack.name.startswith("/"):
        with (
            contextlib.suppress(OSError, IndexError),
            (root.path / lack.name[1:]).open("rb") as file,
        ):
            words = file.readline().removeprefix(b"#!").decode("ascii", "replace").split()
            return Lack(kind="program", name=words[words[0].endswith("/env")])
    return lack


def _read(trial: Trial, output: str) -> Iterator[list[str]]:
    """Yield the variables that files of its last traceback read and nobody sets, the last first."""
    traced = output.rpartition("Traceback (most recent call last)")[2]
    there = {*trial.config.env, *trial.env}
    for name in dict.fromkeys(reversed(_FRAME.findall(traced))):
        with contextlib.suppress(OSError, ValueError):
            code = code_of(name, (trial.root.path / "app" / name).read_text())
            yield [file for file in read_by(code) if file not in there] if code else []


def _plan(trial: Trial, folder: Path, *, writable: bool) -> dict[str, object]:
    """Return the settings for enter.py."""
    config, root = trial.config, trial.root
    uid, gid, home = root.names_of(config.user)
    binds = {}
    # What is written beside the code goes to a layer of its own, by the image's user.
    beside = BESIDE in trial.spec.outputs
    for name in () if writable else (output for output in trial.spec.outputs if output != BESIDE):
        source = folder / "outputs" / name
        target = root.path / "app" / name
        source.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            shutil.copytree(target, source, symlinks=True)
            binds[f"/app/{name.rstrip('/')}"] = str(source)
    for path, _, names in os.walk(folder / "outputs"):
        _give(Path(path), uid, gid)
        for inner in names:
            _give(Path(path, inner), uid, gid)
    upper = folder / "upper"
    if writable or beside:
        upper.mkdir(mode=0o755)
    if writable:
        uid, gid = 0, 0
    return {
        "root": str(root.path),
        "upper": str(upper) if writable or beside else "",
        "binds": binds,
        "uid": uid,
        "gid": gid,
        "cwd": config.workdir or "/",
        "env": _variables({**config.env, **trial.env}, home),
        "argv": [*config.command, *trial.arguments],
    }


def _give(path: Path, uid: int, gid: int) -> None:
    if os.geteuid() == 0 and not path.is_symlink():
        os.chown(path, uid, gid)


def _variables(own: Mapping[str, str], home: str) -> dict[str, str]:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "HOME": home, "HOSTNAME": "trial", "PYTHONUNBUFFERED": "1", **own}


def _watched(trial: Trial, running: process.Running, began: float) -> str:
    """Return the outcome of a program: waits until it answers, ends, or its time is over."""
    while (left := trial.seconds - (clock.monotonic() - began)) > 0:
        if running.poll() is not None:
            # A server that ends is no server, whatever its exit code.
            return "ended" if running.returncode == 0 and not trial.spec.port else "failed"
        if trial.spec.port and _answers(trial.spec, left) and _is_own(running.pid, trial.spec.port):
            return "answers"
        clock.sleep(0.05)
    return "failed" if trial.spec.port else "runs"


def _answers(spec: ImageSpec, left: float) -> bool:
    """Return whether a server is well by its health route, or says anything where it has none.

    Gunicorn listens before its workers have loaded the program, and for those that never will.
    """
    if not spec.health:
        return _speaks(spec.port, min(left, _PATIENCE))
    with contextlib.suppress(LockstitchError):
        return ask(f"http://127.0.0.1:{spec.port}{spec.health}")[0] == 200
    return False


def _asked(trial: Trial, request: bytes | None) -> Answered:
    """Send a server the request of its image once, or ask for its first page."""
    path = "/" if request is None else trial.spec.request_path
    url = f"http://127.0.0.1:{trial.spec.port}{path}"
    began = clock.monotonic()
    try:
        status, body = ask(url, request, patience=trial.seconds)
        text = body[:2_000].decode("utf-8", "replace")  # bytes of an answer
    except LockstitchError as error:
        status, text = 0, error.message
    return Answered(status=status, seconds=clock.monotonic() - began, body=text)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _stays(port: int) -> bool:
    """Return whether something listens that is no rest of a program that was stopped just now."""
    for _ in range(_TRIES):
        if not _listens(port):
            return False
        clock.sleep(0.3)
    return True


def _speaks(port: int, seconds: float) -> bool:
    """Return whether a server says anything, in whatever protocol, to a request of HTTP."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as opened:
        opened.settimeout(seconds)
        opened.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return opened.recv(1) != b""
    return False


def _is_own(leader: int, port: int) -> bool:
    """Return whether a program, or one that it started, is what listens on a port.

    Where this machine does not tell who listens, whatever answers is taken to be the program.
    """
    fields = [line.split() for name in ("tcp", "tcp6") for line in _lines(_PROC / "net" / name)]
    sockets = {
        f"socket:[{f[9]}]" for f in fields if f[3] == _LISTEN and f[1].endswith(f":{port:04X}")
    }
    parents: dict[int, int] = {}
    for place in _PROC.glob("[0-9]*"):
        for line in _lines(place / "stat")[:1]:
            parents[int(place.name)] = int(line.rpartition(")")[2].split()[1])
    family = {leader}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    held: set[str] = set()
    for pid in family:
        try:
            held |= {str(path.readlink()) for path in (_PROC / str(pid) / "fd").iterdir()}
        except FileNotFoundError:
            continue  # it has ended
        except PermissionError:
            return True
    return not sockets or bool(sockets & held)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _elsewhere(trial: Trial, port: int) -> Trial:
    """Return a trial on another port: its words and variables name that, and so does PORT."""
    own = trial.spec.port

    def moved(word: str) -> str:
        pattern = rf"\b{own}\b" if " " in word else rf"(?:(?<=[:=])|^){own}$"
        return re.sub(pattern, str(port), word)

    env = {name: moved(value) for name, value in {**trial.config.env, **trial.env}.items()}
    command = tuple(map(moved, trial.config.command))
    return replace(
        trial,
        spec=replace(trial.spec, port=port),
        config=replace(trial.config, command=command),
        arguments=tuple(map(moved, trial.arguments)),
        env={**env, "PORT": str(port)},
    )


def _taken(port: int) -> LockstitchError:
    message = f"port {port} is taken on this machine"
    return LockstitchError(
        message, hint="stop what listens there, or change `port` and what the program listens on"
    )


def _tail(log: Path) -> str:
    with log.open("rb") as handle:
        handle.seek(max(0, log.stat().st_size - _LONGEST))
        return handle.read().decode("utf-8", "replace")


def _written(upper: Path) -> Iterator[str]:
    """Yield the paths in an image of the files that a trial wrote or folders that it made."""
    for path, folders, names in os.walk(upper):
        inside = "/" + Path(path).relative_to(upper).as_posix().removeprefix(".")
        for name in names:
            yield f"{inside.rstrip('/')}/{name}"
        if not names and not folders and path != str(upper):
            yield f"{inside.rstrip('/')}/"
