"""Slurm on this machine: a controller and two nodes, with a munge of their own."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lockstitch.net.transport import free_port

__all__ = ["Slurm", "is_here", "running"]

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "ch-run")
_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
KillWait=2
SlurmdParameters=config_overrides
SlurmdTimeout=10
NodeName=node1 NodeAddr=127.0.0.1 NodeHostname={host} Port={first} CPUs=8 RealMemory=1000
NodeName=node2 NodeAddr=127.0.0.1 NodeHostname={host} Port={second} CPUs=8 RealMemory=1000
PartitionName=all Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
"""
_PATIENCE = 90.0


def is_here() -> bool:
    """Return whether Slurm and Charliecloud are installed and this user may start them."""
    return os.geteuid() == 0 and all(shutil.which(program) for program in _PROGRAMS)


@dataclass(slots=True)
class Slurm:
    """A running cluster of two nodes on one machine."""

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def variables(self) -> Mapping[str, str]:
        """Return what a program must have in its environment to use this cluster."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def ask(self, *words: str) -> str:
        """Return what a program of Slurm prints."""
        env = {**os.environ, **self.variables}
        return subprocess.run(words, env=env, check=True, capture_output=True, text=True).stdout

    def start(self, name: str, *words: str) -> None:
        """Start a daemon in the foreground of a process of its own."""
        env = {**os.environ, **self.variables}
        with (self.folder / f"{name}.out").open("wb") as log:
            self.daemons[name] = subprocess.Popen(words, env=env, stdout=log, stderr=log)

    def start_node(self, name: str) -> None:
        """Start a node, and wait until jobs may run on it."""
        self.start(name, "slurmd", "-D", "-N", name)
        until = time.monotonic() + _PATIENCE
        while "State=IDLE " not in (shown := self.ask("scontrol", "show", "node", name)):
            if time.monotonic() > until:
                raise TimeoutError(shown)
            time.sleep(0.2)

    def kill_node(self, name: str) -> None:
        """End a node as a power cut does: its daemon and all that runs on it."""
        daemon = self.daemons.pop(name)
        listing = subprocess.run(
            ["ps", "-eo", "pid,args"], check=True, capture_output=True, text=True
        ).stdout
        daemon.kill()
        daemon.wait()
        for line in listing.splitlines():
            pid, _, text = line.strip().partition(" ")
            if "slurmstepd" in text and pid.isdigit() and _is_of(int(pid), name):
                _end(int(pid))

    def stop(self) -> None:
        """End all daemons."""
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _is_of(pid: int, node: str) -> bool:
    try:
        text = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
        opened = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return node.encode() in text or any(f"{node}.log" in each for each in opened)


def _end(pid: int) -> None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return
    for child in children:
        _end(int(child))


@contextmanager
def running(folder: Path) -> Iterator[Slurm]:
    """Start munge, a controller and two nodes; end them all at the end of the block."""
    slurm = Slurm(folder)
    (folder / "state").mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    host, ports = socket.gethostname(), [free_port() for _ in range(3)]
    (folder / "slurm.conf").write_text(
        _CONFIGURATION.format(
            host=host, folder=folder, controller=ports[0], first=ports[1], second=ports[2]
        )
    )
    try:
        words = ["--foreground", "--force", "--key-file", key, "--socket", folder / "munge.socket"]
        for name in ("pid", "log", "seed"):
            words += [f"--{name}-file", folder / f"munged.{name}"]
        slurm.start("munged", "munged", *map(str, words))
        slurm.start("slurmctld", "slurmctld", "-D", "-c")
        until = time.monotonic() + _PATIENCE
        env = {**os.environ, **slurm.variables}
        while subprocess.run(["sinfo"], env=env, check=False, capture_output=True).returncode:
            if time.monotonic() > until:
                message = (folder / "slurmctld.out").read_text()
                raise TimeoutError(message)
            time.sleep(0.2)
        slurm.start_node("node1")
        slurm.start_node("node2")
        yield slurm
    finally:
        slurm.stop()
