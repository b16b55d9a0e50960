"""Runs a command as a job of a Ray cluster, by the Ray of the environment that starts this script.

Here it submits a folder, shows the job's log, ends with the program's exit code, and brings its
outputs back. In the job, with --inside, it starts the program there and afterwards packs its
outputs into Ray's folder of logs, whose files a cluster serves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from typing import Any, BinaryIO
from urllib.parse import urlencode

HERE = ".lockstitch"  # of the job's own files, in the folder that is submitted
REPORT = f"{HERE}/ranks.json"
POLL = 0.5  # seconds
INTERRUPTED = 130
DOWNLOAD = 600  # seconds until the outputs must be here


def main(words: list[str]) -> int:
    """Submit a command and wait for its end, or in the job run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="")
    parser.add_argument("--folder", default=".")
    parser.add_argument("--into", default=".")
    parser.add_argument("--workdir", default=".")
    parser.add_argument("--output", action="append", default=[])
    parser.add_argument("--allow", action="append", default=[])
    parser.add_argument("--cpus", type=float, default=0)
    parser.add_argument("--max-wait", type=float, default=0)
    parser.add_argument("--inside", action="store_true")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(words)
    if options.inside:
        return inside(options)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        return submit(options)
    except (ConnectionError, RuntimeError) as error:  # what Ray's client raises
        return refused(str(error))


def refused(message: str) -> int:
    """Print why nothing came of the job."""
    sys.stderr.write(f"error: {message.strip()}\n")
    return 1


# --- here


def submit(options: argparse.Namespace) -> int:
    """Submit the job, follow it, and return the program's exit code."""
    from ray.job_submission import JobSubmissionClient

    client = JobSubmissionClient(options.address)
    logging.getLogger("ray").setLevel(logging.WARNING)
    own = os.path.join(options.folder, HERE)
    with open(os.path.join(own, "driver.json"), "w") as file:
        json.dump(runpy.run_path(os.path.join(own, "ranks.py"))["facts"](), file)
    with open(os.path.join(own, "env.json")) as file:
        variables = json.load(file)
    entry = ["python", f"{HERE}/ray_job.py", "--inside", "--workdir", options.workdir]
    for name, values in (("--output", options.output), ("--allow", options.allow)):
        entry += [word for value in values for word in (name, value)]
    job = client.submit_job(
        entrypoint=shlex.join([*entry, "--", *options.command]),
        runtime_env={"working_dir": options.folder, "env_vars": variables},
        entrypoint_num_cpus=options.cpus or None,
    )
    sys.stderr.write(f"job {job}; ray job stop --address {options.address} {job} ends it\n")
    try:
        waited = wait(client, job, options.max_wait)
        if waited:
            client.stop_job(job)
            return refused(waited)
        asyncio.run(follow(client, job))
        info = ended(client, job)
    except KeyboardInterrupt:
        client.stop_job(job)
        ended(client, job)
        sys.stderr.write(f"job {job} is stopped\n")
        return INTERRUPTED
    if info.status != "SUCCEEDED":
        if info.driver_exit_code in (None, 0):
            sys.stderr.write(f"job {job}: {info.message}\n")
        code = info.driver_exit_code or 1
        return code if code > 0 else 128 - code
    whole = fetch(client, options, info)
    return 0 if whole else refused(f"the outputs of job {job} did not come whole")


def wait(client: Any, job: str, patience: float) -> str:
    """Wait until the job begins, and return why it does not within `patience` seconds."""
    began = time.monotonic()
    while (info := client.get_job_info(job)).status == "PENDING":
        if patience and time.monotonic() - began > patience:
            return f"job {job} was stopped: it waited {patience:g} s for: {info.message}"
        time.sleep(POLL)
    return ""


async def follow(client: Any, job: str) -> None:
    """Show the job's log until it ends."""
    async for text in client.tail_job_logs(job):
        sys.stdout.write(text)
        sys.stdout.flush()


def ended(client: Any, job: str) -> Any:
    """Return the cluster's facts of the job once it has ended."""
    while not (info := client.get_job_info(job)).status.is_terminal():
        time.sleep(POLL)
    return info


def fetch(client: Any, options: argparse.Namespace, info: Any) -> bool:
    """Bring the outputs of a job and its report; False when they did not come whole."""
    name = packed(info.submission_id)
    asked = {"node_id": info.driver_node_id, "filename": name, "lines": -1, "timeout": DOWNLOAD}
    # Ray's own door to its logs wants another address, and its client keeps answers in memory.
    headers = client._headers or {}  # noqa: SLF001 -- a login
    request = urllib.request.Request(  # noqa: S310 -- the target's own address
        f"{options.address.rstrip('/')}/api/v0/logs/file?{urlencode(asked)}", headers=headers
    )
    try:
        with urllib.request.urlopen(request) as answer, tempfile.TemporaryFile() as file:  # noqa: S310
            shutil.copyfileobj(answer, file)
            file.seek(0)
            return unpack(file, options)
    except OSError as error:
        refused(str(error))
        return False


def unpack(file: BinaryIO, options: argparse.Namespace) -> bool:
    """Write the outputs of an archive below `into`, and return whether its last member is there."""
    whole = False
    try:
        with tarfile.open(fileobj=file) as archive:
            for member in archive:
                name = os.path.normpath(member.name)
                whole = name == REPORT
                below = name.startswith(tuple(path.rstrip("/") + "/" for path in options.output))
                if not member.isfile() or not (below or whole):
                    continue
                path = os.path.join(options.folder if whole else options.into, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                data = archive.extractfile(member)
                if data is not None:
                    with open(path, "wb") as output:
                        shutil.copyfileobj(data, output)
    except tarfile.TarError:
        return False
    return whole


def packed(job: str) -> str:
    """Return the name of a job's outputs among the logs of its node."""
    return f"lockstitch-{job}.tar"


# --- in the job


def inside(options: argparse.Namespace) -> int:
    """Check the nodes, run the program, pack its outputs, and return its exit code."""
    for name in options.output:
        os.makedirs(name, exist_ok=True)
    own = os.path.abspath(HERE)
    with open(f"{own}/env.json") as file:  # the program's folder need not be the job's
        for name, value in json.load(file).items():
            parts = (os.path.abspath(p) if p.startswith("./") else p for p in value.split(":"))
            os.environ[name] = ":".join(parts)
    check = [sys.executable, f"{own}/ranks.py", "--ray", "--driver", f"{own}/driver.json"]
    check += ["--report", os.path.abspath(REPORT)]
    check += [word for name in options.allow for word in ("--allow", name)]
    code = subprocess.call([*check, "--", *options.command], cwd=options.workdir)  # noqa: S603
    if code == 0:
        log = os.readlink("/proc/self/fd/1")  # LOGS/job-driver-JOB.log
        job = os.path.basename(log)[len("job-driver-") : -len(".log")]
        with tarfile.open(os.path.join(os.path.dirname(log), packed(job)), "w") as archive:
            for name in options.output:
                archive.add(name)
            archive.add(REPORT)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
