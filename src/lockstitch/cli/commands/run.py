"""Run an image's command in exactly the locked environment.

The environment is kept in .lockstitch/envs/IMAGE and holds the image's packages and nothing
else; uv or Poetry makes or repairs it first. Words after the image's name are added to the
command, from the first one that is neither under "how to run it" nor under "common options", or
from `--` on; --json, --dry-run and -v stand before the name. The exit code is the command's.

An image with `outputs` gets OUTPUT/IMAGE.run.json: the environment, the packages that were
imported, the commit, digests of what went in and came out, metrics.

examples:
  # train here, with the packages of the image `train`
  lockstitch run train --out models
  # serve, and start again whenever a file changes
  lockstitch run serve --watch
  # build the image and run that, with docker or podman
  lockstitch run serve --in-image
  # the same, with this machine's NVIDIA GPUs
  lockstitch run train --in-image --gpus
  # on a cluster: a table [tool.lockstitch.targets.cluster] with engine = "slurm"
  lockstitch run train --on cluster
"""

import argparse
import shlex
import sys

from lockstitch.cli import stacks
from lockstitch.cli.options import COMMON_QUIET, exclusive, flag, group, operand, option
from lockstitch.cli.session import Session, layout_folder, open_session, print_json, would
from lockstitch.dockerfile import engines, local
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.image import imports
from lockstitch.lock import file, make
from lockstitch.oci.layout import Layout
from lockstitch.process import Command
from lockstitch.progress import say
from lockstitch.python.model import ImageSpec
from lockstitch.run import programs

REST = "after the name"  # words of the program, from the first that is no option of ours

HOW = group(
    "how to run it",
    exclusive(
        flag("--watch", "restart when a file changes"),
        flag("--in-image", "run the built image with docker or podman"),
    ),
    flag("--gpus", "with --in-image: give it NVIDIA's GPUs, all or those of CUDA_VISIBLE_DEVICES"),
)
OPTIONS = (
    operand("image", "IMAGE", "whose command to run"),
    HOW,
    group(
        "on a cluster",
        option("--on TARGET", "run on this target of [tool.lockstitch.targets]", default=""),
        flag("--dry-run", "print what would start, and of a cluster the files of the job"),
        option(
            "--max-wait SECONDS",
            "cancel a job that waits longer for nodes (default: waits)",
            type=float,
            default=0.0,
        ),
    ),
    flag("--no-record", "write no run record beside the outputs"),
    COMMON_QUIET,  # what else every command has stands before the name, or is the program's
)


def run(options: argparse.Namespace) -> int:
    session = open_session(options)
    spec = session.project.image(options.image)
    if options.on:
        return _on(session, spec, options)
    return execute(session, spec, options.rest, options)


def execute(
    session: Session, spec: ImageSpec, arguments: tuple[str, ...], options: argparse.Namespace
) -> int:
    """Run an image's command; return its exit code. Raises LockstitchError for a stale lock."""
    if options.gpus and not options.in_image:
        message = "--gpus is for --in-image: without it the program has this machine's GPUs"
        raise UsageError(message, hint=f"lockstitch run {spec.name} --in-image --gpus")
    make.current(session.project)
    if options.dry_run:
        words = " ".join([*spec.command, *arguments])
        return would(options, f"start `{words}` in the environment of {spec.name}")
    code = _execute(session, spec, arguments, options)
    if options.json:
        print_json({"image": spec.name, "code": code})
    return code


def _execute(
    session: Session, spec: ImageSpec, arguments: tuple[str, ...], options: argparse.Namespace
) -> int:
    if options.in_image:
        return programs.once(_in_image(session, spec, arguments, gpus=options.gpus))
    own = stacks.variables(session)
    if own:
        say("the stack is up: its variables are set")
    with session.progress.task(f"environment of {spec.name}", 0):
        command = programs.command(session.project, spec, arguments, own)
    programs.make_outputs(session.project.root, spec)
    if options.watch:
        return programs.watched(command, session.project, spec)
    if getattr(options, "no_record", True):
        return programs.once(command)
    from lockstitch.run import record

    return record.run(session.project, spec, command, programs.once, session.progress)


def _on(session: Session, spec: ImageSpec, options: argparse.Namespace) -> int:
    """Run the image's command on a cluster."""
    from lockstitch.cli import targets
    from lockstitch.cluster import start

    target = session.project.target(options.on)
    if target.engine == "kubernetes" and spec.port:
        message = f"`{spec.name}` is a server, whose manifests are written, and applied by kubectl"
        hint = f"lockstitch export target {target.name} --image {spec.name}"
        raise LockstitchError(message, hint=hint)
    job, command = targets.job_of(session, target, spec, options.rest)
    if target.engine == "kubernetes":
        if options.dry_run:
            sys.stdout.write("---\n".join(start.kubernetes_files(job).values()))
            return 0
        return start.on_kubernetes(job, print, options.max_wait)
    if command is not None and target.engine == "ray":
        if options.dry_run:
            text = f"RAY_ADDRESS={target.address} {shlex.join(command.words)}"
            if job.is_submitted:
                text = f"ray job submit --address {target.address} --working-dir . -- "
                text += shlex.join(job.command)
            sys.stdout.write(f"{text}\n")
            return 0
        return start.on_ray(job, command, programs.once, session.progress, options.max_wait)
    text = start.slurm_files(job, command, session.progress)
    if options.dry_run:
        sys.stdout.write(start.show_files(job, text))
        return 0
    return start.on_slurm(job, text, print, options.max_wait)


def _in_image(
    session: Session, spec: ImageSpec, arguments: tuple[str, ...], *, gpus: bool
) -> Command:
    project = session.project
    imports.check_commands([spec])
    engine = engines.find()
    local.check_platform(engine, project, "runs")
    lock = file.read(project.root)
    built = session.builder(lock).build([spec], Layout(layout_folder(project), own=True))
    image = next(image.image for image in built if str(image.image.platform) == engine.platform)
    tag = engines.tag(project, spec)
    local.load(engine, image, tag, session.progress)
    if spec.port:
        say(f"{tag} on http://127.0.0.1:{spec.port}, read-only, with {engine.name}")
    network = stacks.network(session, spec)
    return engines.command(engine, project, spec, tag, arguments, gpus=gpus, network=network)
