"""The local stack from nothing to healthy, natively and in containers: `python bench/stack.py`.

Both ways in one run, of the same locked lists. `first` has an empty store: programs and wheels are
fetched, and for containers images are built and loaded. `new` is another project's first start,
with a warm store. `again` is a start on data that is there. Memory is the proportional share
(PSS) of all processes of the services after one logged run, with what supervises them.

`python bench/stack.py --use 8` measures the stack without containers in use instead: each round
logs 20 runs from four threads, uploads 200 MB and reads them again; memory of each service after.

Needs a package index, a Debian mirror and, for containers, `dockerd` and Compose.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from engine import Engine
from measure import environment, machine, run

PROJECT = """\
[project]
name = "tiny"
version = "1"
requires-python = ">=3.11"
dependencies = []

[tool.lockstitch.images.train]
command = ["python"]

[tool.lockstitch.stack]
runner = "{runner}"
"""
# One round: runs with parameters, a metric of 50 points and an artifact of 1 MB; one large object.
USE = """\
import io, os, sys, tempfile, threading, time
from pathlib import Path
import boto3
from mlflow import MlflowClient
client, s3, number = MlflowClient(), boto3.client("s3"), sys.argv[1]
made = client.get_experiment_by_name("use")
made = made.experiment_id if made else client.create_experiment("use")
def once():
    run = client.create_run(made).info.run_id
    client.log_param(run, "rate", 0.1)
    for step in range(50):
        client.log_metric(run, "loss", 1 / (step + 1), step=step)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.bin")
        path.write_bytes(os.urandom(1 << 20))
        client.log_artifact(run, str(path))
    client.set_terminated(run)
started = time.monotonic()
threads = [threading.Thread(target=lambda: [once() for _ in range(5)]) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
logged = time.monotonic() - started
data = os.urandom(200 << 20)
s3.upload_fileobj(io.BytesIO(data), "mlflow", f"use/{number}")
back = io.BytesIO()
s3.download_fileobj("mlflow", f"use/{number}", back)
assert back.getvalue() == data
print(len(client.search_runs([made], max_results=50000)), logged)
"""
LOCKSTITCH = [sys.executable, "-m", "lockstitch"]
NATIVE, COMPOSE = "native", "compose"


@dataclass(frozen=True)
class Row:
    """What was measured of one way, in seconds and bytes."""

    first: float
    new: float
    again: float
    down: float
    memory: int


def project(root: Path, runner: str, env: dict[str, str]) -> Path:
    """Write and lock a project; containers need a lock, for their base."""
    root.mkdir(parents=True)
    (root / "pyproject.toml").write_text(PROJECT.format(runner=runner))
    run([*LOCKSTITCH, "lock", "--quiet"], cwd=root, env=env)
    return root


def seconds(root: Path, env: dict[str, str], *words: str) -> float:
    """Return how long a lockstitch command takes."""
    return run([*LOCKSTITCH, *words, "--quiet"], cwd=root, env=env)


def pss(pids: set[int]) -> int:
    """Return the proportional share of memory of processes, in bytes."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += next(int(x.split()[1]) for x in text.splitlines() if x.startswith("Pss:"))
    return total * 1024


def family(roots: set[int]) -> set[int]:
    """Return processes with all their children."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (place / "stat").read_text().rpartition(")")[2].split()
            parents[int(place.name)] = int(stat[1])
    found = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def measured(folder: Path, runner: str, env: dict[str, str], starts: int) -> Row:
    """Measure one way, and leave nothing running."""
    env = env | {"LOCKSTITCH_CACHE": str(folder / "store")}
    one, two = (project(folder / name, runner, env) for name in ("one", "two"))
    shutil.rmtree(folder / "store")  # of locking, too
    first = seconds(one, env, "stack", "up")
    seconds(one, env, "stack", "down")
    new = seconds(two, env, "stack", "up")
    found = json.loads(
        subprocess.check_output([*LOCKSTITCH, "stack", "status", "--json"], cwd=two, env=env)
    )["services"]
    # Natively, all are children of one supervisor; what starts containers is the engine's.
    memory = pss(family({each["pid"] for each in found.values()}))
    downs, agains = [seconds(two, env, "stack", "down")], []
    for _ in range(starts):
        agains.append(seconds(two, env, "stack", "up"))
        downs.append(seconds(two, env, "stack", "down"))
    for root in (one, two):
        seconds(root, env, "stack", "reset", "--yes")
    return Row(first, new, statistics.median(agains), statistics.median(downs), memory)


def used(folder: Path, env: dict[str, str], rounds: int) -> None:
    """Use a stack without containers, and print each service's memory after each round."""
    root = project(folder / "used", NATIVE, env)
    seconds(root, env, "stack", "up")
    try:
        words = [*LOCKSTITCH, "stack", "status", "--json"]
        found = json.loads(subprocess.check_output(words, cwd=root, env=env))["services"]
        own = json.loads(
            subprocess.check_output([*LOCKSTITCH, "stack", "env", "--json"], cwd=root, env=env)
        )
        python = json.loads((root / ".lockstitch/stack/plan.json").read_text())["tools"]

        def say(label: str, runs: str, logged: str) -> None:
            sizes = [pss(family({found[name]["pid"]})) / 1e6 for name in sorted(found)]
            cells = " | ".join(f"{size:.0f} MB" for size in (*sizes, sum(sizes)))
            print(f"| {label} | {runs} | {logged} | {cells} |", flush=True)

        print(f"{machine()}\n")
        print(f"| round | runs | 20 runs | {' | '.join(sorted(found))} | together |")
        print("|---|---:|---:|---:|---:|---:|---:|")
        say("idle", "0", "")
        for number in range(1, rounds + 1):
            words = [f"{python}/bin/python", "-W", "ignore", "-c", USE, str(number)]
            out = subprocess.check_output(words, env=env | own, text=True).split()
            say(str(number), out[-2], f"{float(out[-1]):.1f} s")
        time.sleep(60)
        say("a minute later", out[-2], "")
    finally:
        seconds(root, env, "stack", "reset", "--yes")


def main() -> None:
    """Measure both ways and print them as a table, with ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5, help="starts on data that is there")
    parser.add_argument("--use", type=int, default=0, help="rounds of use instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lb.", dir="/tmp") as name:
        folder = Path(name)
        dropped = ("AWS_", "PG", "MLFLOW_", "DOCKER_")
        env = {k: v for k, v in environment().items() if not k.startswith(dropped)}
        if options.use:
            used(folder, env, options.use)
            return
        engine = Engine(folder, network=True)
        try:
            docker = env | {"DOCKER_HOST": engine.host}
            rows = {
                NATIVE: measured(folder / NATIVE, NATIVE, env, options.starts),
                COMPOSE: measured(folder / COMPOSE, COMPOSE, docker, options.starts),
            }
        finally:
            engine.close()
    print(f"{machine()}; median of {options.starts} for `again` and `down`\n")
    print("| | first | new | again | down | memory |")
    print("|---|---:|---:|---:|---:|---:|")
    for way, row in rows.items():
        times = " | ".join(f"{each:.1f} s" for each in (row.first, row.new, row.again, row.down))
        print(f"| {way} | {times} | {row.memory / 1e6:.0f} MB |")
    one, two = rows[NATIVE], rows[COMPOSE]
    ratios = [two.first / one.first, two.new / one.new, two.again / one.again]
    ratios += [two.down / one.down, two.memory / one.memory]
    print(f"| ratio | {' | '.join(f'{each:.1f}x' for each in ratios)} |")


if __name__ == "__main__":
    os.umask(0o022)
    main()
