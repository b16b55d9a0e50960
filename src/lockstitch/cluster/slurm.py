"""Slurm: writes the script of a job, submits it, follows it and cancels it."""

import re
import shlex
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstitch import clock, environ, files, process
from lockstitch.cluster.job import REPORT, Job
from lockstitch.errors import LockstitchError
from lockstitch.progress import say
from lockstitch.python import size
from lockstitch.values import frozen, positional
from lockstitch.webpage import plain

_HINT = "run it where Slurm's programs are: on a login node"
_POLL = 1.0  # seconds between two looks at a job
_WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"}
_GOING = {*_WAITING, "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT"}
_SIGNALLED = 128
_FAILED = re.compile(r"srun: error: \S+: tasks? [\d,-]+: (?:Exited with exit code (\d+)|(.+))$")
# How srun names the signal that ended a rank; SIGTERM is what ends the others.
_SIGNALS = {signal.strsignal(n): n for n in signal.valid_signals() if n != signal.SIGTERM}
_JOB = "/mnt"  # where the job's folder is in a container


def runtime_of(job: Job) -> str:
    """Return the target's runtime, or the first here; raises LockstitchError without one."""
    if job.target.runtime != "auto":
        return job.target.runtime
    for program, name in (
        ("ch-run", "charliecloud"),
        ("apptainer", "apptainer"),
        ("podman-hpc", "podman-hpc"),
    ):
        if process.is_there(program):
            return name
    if process.is_there("srun"):
        done = process.run(["srun", "--help"], check=False)
        if "--container-image" in done.stdout + done.stderr:
            return "pyxis"
    message = "no program that starts images on nodes: ch-run, apptainer, pyxis, podman-hpc"
    hint = f'name one, or share an environment: runtime = "venv" in targets.{job.target.name}'
    raise LockstitchError(message, hint=hint)


# --- the script


@positional
class Entry:
    """The way of a node into an image: what starts it, where it is, and its interpreter.

    `image` is words of a shell, or "" for an environment that the nodes share.
    """

    runtime: str
    image: str
    python: str


@positional
class Places:
    """The project's and the job's folder as words of a shell, and the job's for sbatch."""

    project: str
    folder: str
    log: str


def script(job: Job, entry: Entry, places: Places) -> str:
    """Return the text of a job's script for sbatch."""
    here = '"$JOB"' if entry.runtime == "venv" else _JOB
    outputs = [name.rstrip("/") for name in job.spec.outputs]
    binds = [f'"$PROJECT"/{shlex.quote(n)}:{shlex.quote(f"/app/{n}")}' for n in outputs]
    check = f"{shlex.quote(entry.python)} {here}/ranks.py --env {here}/env.json"
    check += f" --report {here}/{REPORT}"
    for name in job.target.allow:
        check += f" --allow {shlex.quote(name)}"
    memory = size.parse(job.target.memory) if job.target.memory else 0
    return plain(
        "cluster/slurm.sh.j2",
        job=job,
        target=job.target,
        name=f"{job.spec.name}.sbatch",
        memory=(memory or 0) // 1_000_000,
        places=places,
        log=f"{places.log}/{'job-%A-%a' if job.target.array else 'job-%j'}.log",
        entry=entry,
        outputs=outputs,
        binds=[f'"$JOB":{_JOB}', *binds],
        folder=f"/app/{job.spec.workdir}".rstrip("/"),
        check=check,
        command=shlex.join(job.command),
    )


# --- a job


@dataclass(slots=True)
class _Task:
    """One job of Slurm, or one of an array."""

    name: str
    state: str = "PENDING"
    reason: str = ""
    code: int = 0
    number: int = 0  # of the signal that ended it
    limit: str = ""
    log: str = ""
    nodes: str = ""
    read: int = 0  # bytes of its log that were shown
    first: int = 0  # the exit code of the rank that failed first, which ended the others


@frozen
class Ended:
    """The end of a job."""

    code: int
    reasons: tuple[str, ...] = ()  # a line for each task that did not end well


def submit(job: Job, text: str) -> str:
    """Submit a job's script; return its ID. Raises LockstitchError with the words of sbatch."""
    sbatch = process.find("sbatch", hint=_HINT)
    path = job.folder / f"{job.spec.name}.sbatch"
    files.write_text(path, text)
    done = process.run([sbatch, "--parsable", path], cwd=job.project.root, check=False)
    number = done.stdout.strip().partition(";")[0]
    if done.code != 0 or not number.isdigit():
        reason = (done.stderr or done.stdout).strip().removeprefix("sbatch: error: ")
        message = f"sbatch refused the job: {' '.join(reason.split())}"
        raise LockstitchError(message, hint=f"correct targets.{job.target.name}; sinfo shows nodes")
    return number


def follow(job: Job, number: str, show: Callable[[str], object], patience: float) -> Ended:
    """Show a job's log until it has ended; return its exit code and why it failed.

    `patience` is the seconds that it may wait for nodes, 0 for as long as it takes.
    Raises LockstitchError when it waited longer, after cancelling it.
    """
    tasks: dict[str, _Task] = {}
    began = told = clock.monotonic()
    while True:
        _look(number, tasks)
        for task in tasks.values():
            _show(task, show, several=bool(job.target.array))
        if tasks and not any(task.state in _GOING for task in tasks.values()):
            break
        now = clock.monotonic()
        waiting = [task for task in tasks.values() if task.state in _WAITING]
        if waiting and len(waiting) == len(tasks):
            reason = waiting[0].reason or "no reason yet"
            if patience and now - began > patience:
                cancel(number)
                message = f"job {number} was cancelled: it waited {patience:g} s for: {reason}"
                hint = f"sinfo shows what is free; or ask for less in targets.{job.target.name}"
                raise LockstitchError(message, hint=hint)
            if now - told >= 10.0:  # seconds between two lines about a job that waits
                say(f"job {number} waits ({reason}), {now - began:.0f} s")
                told = now
        clock.sleep(_POLL)
    clock.sleep(_POLL / 2)  # for a shared folder to show the last lines
    for task in tasks.values():
        _show(task, show, several=bool(job.target.array))
    return _ended(list(tasks.values()))


def _look(number: str, tasks: dict[str, _Task]) -> None:
    """Read the state of a job's tasks; raises LockstitchError when Slurm knows no such job."""
    done = process.run(["scontrol", "show", "job", "-o", number], check=False)
    if done.code != 0 and "Invalid job id" in done.stderr and not _from_accounts(number, tasks):
        message = f"Slurm no longer knows job {number}, and its end was not seen"
        raise LockstitchError(message, hint=f"sacct -j {number}")
    for line in done.stdout.splitlines():
        values = dict(re.findall(r"(\w+)=(\S*)", line))
        if not values.get("JobId"):
            continue
        name = values.get("ArrayTaskId", "")
        if name and not name.isdigit():
            continue  # the tasks of an array that wait, as one job
        task = tasks.setdefault(name, _Task(name))
        code, _, ended_by = values.get("ExitCode", "0:0").partition(":")
        task.state, task.reason = values.get("JobState", ""), values.get("Reason", "")
        task.code, task.number = int(code), int(ended_by or 0)
        task.limit, task.log = values.get("TimeLimit", ""), values.get("StdOut", "")
        task.nodes = values.get("NodeList", "")
    waits = re.search(r"ArrayTaskId=\d*[-,%\[]\S* .*JobState=PENDING Reason=(\S*)", done.stdout)
    if waits:
        tasks["waiting"] = _Task("waiting", reason=waits[1])
    else:
        tasks.pop("waiting", None)


def _from_accounts(number: str, tasks: dict[str, _Task]) -> bool:
    """Read the end of a job that the controller has forgotten from the accounts, where kept."""
    if not process.is_there("sacct"):
        return False
    words = ["sacct", "-j", number, "-X", "-P", "-n", "-o", "JobID,State,ExitCode"]
    lines = process.run(words, check=False).stdout.splitlines()
    for line in lines:
        name, state, ends = line.split("|")
        code, _, ended_by = ends.partition(":")
        task = tasks.setdefault(name.partition("_")[2], _Task(name.partition("_")[2]))
        task.state, task.code, task.number = state.split()[0], int(code), int(ended_by)
    return bool(lines)


def _show(task: _Task, show: Callable[[str], object], *, several: bool) -> None:
    """Show the new lines of a task's log."""
    path = Path(task.log)
    if not task.log or not path.is_file():
        return
    with path.open("rb") as handle:
        handle.seek(task.read)
        data = handle.read()
    if task.state in _GOING:
        data = data[: data.rfind(b"\n") + 1]  # whole lines while it runs
    task.read += len(data)
    for line in data.decode("utf-8", "replace").splitlines():
        rank = _FAILED.match(line)
        if rank and not task.first:
            number = _SIGNALS.get(rank[2].partition(" (")[0]) if rank[2] else None
            task.first = int(rank[1] or (_SIGNALLED + number if number else 0))
        show(f"[{task.name}] {line}" if several else line)


def _ended(tasks: Sequence[_Task]) -> Ended:
    reasons, codes = [], []
    for task in sorted(tasks, key=lambda task: int(task.name or 0)):
        code = _SIGNALLED + task.number if task.number and not task.code else task.code
        code = task.first or code
        if task.state == "COMPLETED" and code == 0:
            continue
        codes.append(code or 1)
        who = f"task {task.name}" if task.name else "the job"
        why = {
            "TIMEOUT": f"reached its time limit ({task.limit})",
            "NODE_FAIL": f"lost a node ({task.nodes})",
            "OUT_OF_MEMORY": "ran out of memory",
            "CANCELLED": "was cancelled",
            "PREEMPTED": "was preempted",
        }.get(task.state, f"ended with exit code {code}")
        reasons.append(f"{who} {why}")
    return Ended(code=codes[0] if codes else 0, reasons=tuple(reasons))


def cancel(number: str) -> None:
    """Cancel a job and wait until its ranks have ended."""
    process.run(["scancel", number], env=environ.child(), check=False)
    until = clock.monotonic() + 60
    while clock.monotonic() < until:
        tasks: dict[str, _Task] = {}
        _look(number, tasks)
        if not any(task.state in _GOING for task in tasks.values()):
            return
        clock.sleep(_POLL / 4)
