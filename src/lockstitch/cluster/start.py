"""Starts an image's command on a target: prepares its files, follows the job, keeps its record."""

import inspect
import json
import shlex
import shutil
import socket
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from lockstitch import clock, files, process
from lockstitch.cluster import kubectl, kubernetes, slurm
from lockstitch.cluster.job import REPORT, Job, helpers, write_helpers
from lockstitch.cluster.slurm import Places
from lockstitch.errors import LockstitchError
from lockstitch.fingerprint import live, model
from lockstitch.image import project_wheel
from lockstitch.lock import file
from lockstitch.oci.model import Image
from lockstitch.process import Command
from lockstitch.progress import Reporter, say
from lockstitch.python.names import normal
from lockstitch.run import programs, record
from lockstitch.runtime import ray_job
from lockstitch.store import Store, default_root
from lockstitch.trial import rootfs
from lockstitch.values import replace

_INTERRUPTED = 130


def slurm_files(job: Job, command: Command | None, progress: Reporter) -> str:
    """Return the script of a job, after writing what its ranks read into the job's folder.

    `command` is the program on this machine, for nodes that share an environment. With an image,
    its layers are unpacked once into the shared folder, each held against its diffID.
    Raises LockstitchError when the nodes have nothing that starts the image.
    """
    entry, variables = _entry(job, command, progress)
    write_helpers(job, variables)
    root = shlex.quote(str(job.project.root))
    return slurm.script(job, entry, Places(root, shlex.quote(str(job.folder)), str(job.folder)))


def exported(job: Job, progress: Reporter) -> dict[str, str]:
    """Return the files of a job for the repository: they name no folder outside of it.

    The script is submitted from the project's folder. Raises LockstitchError when the nodes have
    nothing that starts the image.
    """
    folder = f"targets/{job.target.name}/{job.spec.name}"
    entry, variables = _entry(job, None, progress)
    places = Places('"$SLURM_SUBMIT_DIR"', f'"$SLURM_SUBMIT_DIR"/{folder}', folder)
    name = f"{job.spec.name}.sbatch"
    return {name: slurm.script(job, entry, places), **helpers(variables)}


def _entry(
    job: Job, command: Command | None, progress: Reporter
) -> tuple[slurm.Entry, Mapping[str, str]]:
    """Return how nodes enter the image or the environment, and its variables."""
    if job.image is None:
        if command is None:
            message = f"`targets.{job.target.name}` shares an environment, a folder of this machine"
            hint = f"lockstitch run {job.spec.name} --on {job.target.name}"
            raise LockstitchError(message, hint=hint)
        venv = command.env["VIRTUAL_ENV"]
        programs = f"{venv}/bin:/usr/local/bin:/usr/bin:/bin"
        variables = {**job.spec.env, "PATH": programs, "VIRTUAL_ENV": venv}
        return slurm.Entry("venv", "", f"{venv}/bin/python"), variables
    runtime, config = slurm.runtime_of(job), job.image.config
    if runtime == "podman-hpc":
        return slurm.Entry(runtime, _reference(job), _python(job.image)), config.env
    root = _unpacked(job, job.image, progress)
    path = _squashed(root.path) if runtime == "pyxis" else root.path
    if not job.target.shared:
        inside = path.relative_to(job.project.root)
        place = f'"$PROJECT"/{shlex.quote(str(inside))}'
    else:
        place = shlex.quote(str(path))
    home = root.names_of(config.user)[2]
    return slurm.Entry(runtime, place, _python(job.image)), {"HOME": home, **config.env}


def _unpacked(job: Job, image: Image, progress: Reporter) -> rootfs.Root:
    shared = Path(job.target.shared) if job.target.shared else job.project.root / ".lockstitch"
    total = sum(layer.facts.size for layer in image.layers)
    with progress.task(f"unpack {job.spec.name}", total) as task:
        return rootfs.unpack(image, Store(shared / "cluster"), task.advance)


def _squashed(root: Path) -> Path:
    """Return the squashfs file of an unpacked image, which is made once."""
    path = root.with_suffix(".sqsh")
    if not path.is_file():
        program = process.find("mksquashfs", hint="apt install squashfs-tools")
        fresh = path.with_suffix(".new")
        process.run([program, root, fresh, "-noappend", "-quiet", "-no-progress", "-all-time", "0"])
        fresh.replace(path)
    return path


def _reference(job: Job) -> str:
    if not job.target.registry:
        message = f"`targets.{job.target.name}` names no registry that its nodes pull from"
        raise LockstitchError(message, hint='registry = "registry.example.com/team/churn"')
    return f"{job.target.registry}@{job.digest}"


def _python(image: Image) -> str:
    """Return the interpreter of an image: the one of its environment, else the first on PATH."""
    path = image.config.env.get("PATH", "")
    return "/app/.venv/bin/python" if "/app/.venv/bin" in path.split(":") else "python3"


def on_slurm(job: Job, text: str, show: Callable[[str], object], patience: float) -> int:
    """Submit a job, show its log, keep its run record, and return its exit code.

    Ctrl-C cancels the job. Raises LockstitchError when Slurm refuses it, or when it waits longer
    than `patience` seconds.
    """
    before = record.Remote.of(job.project, job.spec, job.command)
    report = job.folder / REPORT
    report.unlink(missing_ok=True)
    number = slurm.submit(job, text)
    say(f"job {number} of `{job.name}` on {job.target.name}; scancel {number} ends it")
    started = clock.monotonic()
    try:
        ended = slurm.follow(job, number, show, patience)
    except KeyboardInterrupt:
        slurm.cancel(number)
        say(f"job {number} is cancelled")
        return _INTERRUPTED
    for reason in ended.reasons:
        say(f"job {number}: {reason}")
    return _ended(job, before, ended.code, report, started)


def on_ray(
    job: Job, command: Command, start: Callable[[Command], int], progress: Reporter, patience: float
) -> int:
    """Compare the cluster's nodes with this environment, then run the command on Ray.

    The command is the driver: here, or as a job of the cluster where the target's address is that
    of its dashboard. `start` runs a command to its end, `patience` is how long a job may wait.
    Returns the exit code of the check, or of the program. Raises LockstitchError when the image
    has no Ray.
    """
    venv = Path(command.env["VIRTUAL_ENV"])
    python = live.python_of(venv)
    needs, add = ("aiohttp", "ray[default]") if job.is_submitted else ("ray", "ray")
    if not (live.site_of(venv) / needs).is_dir():  # to import Ray takes a second
        message = f"the image `{job.spec.name}` has no {add}, which its driver and nodes must share"
        raise LockstitchError(message, hint=f"uv add '{add}', then lockstitch lock")
    _refuse_unreachable(job)
    if job.is_submitted:
        return _on_ray_jobs(job, command, start, python, patience)
    write_helpers(job, {})
    report = job.folder / REPORT
    words = [str(python), str(job.folder / "ranks.py"), "--ray", "--report", str(report)]
    words += _allowed(job)
    report.unlink(missing_ok=True)
    code = start(Command(words=(*words, "--"), cwd=job.folder, env=command.env))
    if code != 0:
        return code
    known = _report(report)
    own, ranks = known.get("fingerprint"), known.get("ranks")
    read = model.of_document(own, REPORT) if isinstance(own, dict) else None
    code = record.run(job.project, job.spec, command, start, progress, read)
    path = job.project.root / job.spec.record
    if code == 0 and job.spec.record and path.is_file() and isinstance(ranks, list):
        record.write(replace(record.read(path), ranks=tuple(ranks)), path)
    return code


def _on_ray_jobs(
    job: Job, command: Command, start: Callable[[Command], int], python: Path, patience: float
) -> int:
    """Submit the image's files and command, follow the job, bring its outputs and its record."""
    folder = job.folder / "files"
    shutil.rmtree(folder, ignore_errors=True)
    for copied in files.find_files(job.project.root, job.spec.include):
        (folder / copied.name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(copied.path, folder / copied.name)
    store = Store(default_root())
    if job.project.is_package and (
        wheel := project_wheel.build(job.project, file.read(job.project.root).build, store)
    ):
        with zipfile.ZipFile(store.path(wheel.digest)) as archive:
            archive.extractall(folder)
    # Each worker starts in its copy of the folder.
    write_helpers(replace(job, folder=folder / ".lockstitch"), programs.here(".", job.spec))
    script = folder / ".lockstitch" / "ray_job.py"
    files.write_text(script, inspect.getsource(ray_job))
    words = [str(python), str(script), "--address", job.target.address, "--folder", str(folder)]
    words += ["--into", str(job.project.root), "--max-wait", str(patience), *_allowed(job)]
    words += ["--cpus", str(job.target.cpus_per_task), "--workdir", job.spec.workdir or "."]
    words += [word for name in job.spec.outputs for word in ("--output", name)]
    before, started = record.Remote.of(job.project, job.spec, job.command), clock.monotonic()
    code = start(Command(words=(*words, "--", *job.command), cwd=folder, env=command.env))
    return _ended(job, before, code, folder / ".lockstitch" / REPORT, started)


def _allowed(job: Job) -> list[str]:
    # Nodes have the locked packages; the project's own comes with the job.
    own = [f"package.{normal(job.project.name)}"] if job.project.is_package else []
    return [word for name in (*job.target.allow, *own) for word in ("--allow", name)]


def _refuse_unreachable(job: Job) -> None:
    """Raise LockstitchError when nothing listens at a Ray address: Ray itself waits for minutes."""
    address = job.target.address
    place = urlsplit(address if "://" in address else f"ray://{address}")
    port = place.port or {"http": 80, "https": 443}.get(place.scheme)
    if place.hostname and port and not _is_listening(place.hostname, port):
        message = f"nothing listens at `{address}`, the address of {job.target.name}"
        raise LockstitchError(message, hint="ray start --head --port 6379, or correct `address`")


def _is_listening(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=5):
            return True
    except OSError:
        return False


def kubernetes_files(job: Job) -> dict[str, str]:
    """Return an image's manifests by file; raises LockstitchError for root, or no registry."""
    return kubernetes.manifests(job, _reference(job))


def on_kubernetes(job: Job, show: Callable[[str], object], patience: float) -> int:
    """Run an image's command as a Job, bring its outputs and its record, return its exit code.

    Ctrl-C deletes the Job. Raises LockstitchError as `kubectl.run` and `kubectl.fetch` do.
    """
    if job.target.operator == "kuberay":
        message = f"`{job.target.name}` is for KubeRay, which runs a RayJob that kubectl applies"
        raise LockstitchError(message, hint=f"lockstitch export target {job.target.name}")
    before, started = record.Remote.of(job.project, job.spec, job.command), clock.monotonic()
    name, reference, report = kubernetes.name_of(job), _reference(job), job.folder / ray_job.REPORT
    report.unlink(missing_ok=True)
    code = kubectl.run(job, name, kubernetes.manifests(job, reference), show, patience)
    if code == 0 and job.spec.outputs:
        manifest = kubernetes.reader(job, reference)
        kubectl.fetch(job, name, manifest, kubernetes.PYTHON, kubernetes.report_of(job))
    return _ended(job, before, code, report, started)


def _report(path: Path) -> Mapping[str, object]:
    if not path.is_file():
        return {}
    return model.parsed(path.read_text("utf-8"), path.name)


def _ended(job: Job, before: record.Remote, code: int, report: Path, started: float) -> int:
    """Write the run record of a job that ended well, and return its exit code."""
    known = _report(report)
    inner, ranks = known.get("fingerprint"), known.get("ranks")
    if code == 0 and job.spec.record and isinstance(inner, dict):
        before.finish(
            job.project,
            job.spec,
            model.of_document(inner, REPORT),
            [rank for rank in ranks if isinstance(rank, dict)] if isinstance(ranks, list) else [],
            clock.monotonic() - started,
        )
    elif code != 0 and job.spec.record:
        say(f"`{job.spec.name}` ended with exit code {code}: no run record is written")
    return code


def show_files(job: Job, text: str) -> str:
    """Return the text of a dry run: the script, and the files beside it."""
    names = json.dumps(sorted(path.name for path in job.folder.iterdir()))
    return f"{text}\n# beside it in {job.folder}: {names}\n"
