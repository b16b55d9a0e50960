"""Targets of a project, as commands that run on them or write their files need them."""

from lockstitch.cli.session import Session, layout_folder
from lockstitch.cluster import job as jobs
from lockstitch.cluster.job import Job
from lockstitch.lock import make
from lockstitch.oci.layout import Layout
from lockstitch.process import Command
from lockstitch.python.model import ImageSpec, TargetSpec
from lockstitch.run import programs


def job_of(
    session: Session, target: TargetSpec, spec: ImageSpec, arguments: tuple[str, ...]
) -> tuple[Job, Command | None]:
    """Return a job with its image, or with the command of an environment that nodes share.

    The image is built where it is not up to date.
    Raises LockstitchError when the lock is stale, or the image or the environment cannot be made.
    """
    project = session.project
    lock = make.current(project)
    image, command = None, None
    if target.runtime == "venv" or target.engine == "ray":
        own = {"RAY_ADDRESS": target.address} if target.engine == "ray" else {}
        with session.progress.task(f"environment of {spec.name}", 0):
            command = programs.command(project, spec, arguments, own)
        programs.make_outputs(project.root, spec)
    else:
        built = session.builder(lock).build([spec], Layout(layout_folder(project)))
        image = built[0].image
    job = Job(
        project=project,
        target=target,
        spec=spec,
        arguments=arguments,
        image=image,
        folder=jobs.folder(project, target, spec),
    )
    return job, command
