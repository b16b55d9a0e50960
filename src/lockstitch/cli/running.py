"""What `lockstitch run` and `lockstitch serve` share: how an image's command is run."""

import argparse

from lockstitch.cli import stacks
from lockstitch.cli.session import Session, layout_folder
from lockstitch.dockerfile import engines
from lockstitch.errors import LockstitchError, UsageError, raise_all
from lockstitch.image.build import Builder
from lockstitch.lock import file, make
from lockstitch.oci.layout import Layout
from lockstitch.process import Command
from lockstitch.progress import say
from lockstitch.python.model import ImageSpec
from lockstitch.run import environment, foreground

__all__ = ["add_how", "execute", "serving"]


def add_how(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that runs an image's command."""
    group = parser.add_argument_group("how to run it").add_mutually_exclusive_group()
    group.add_argument("--watch", action="store_true", help="start again when a file changes")
    group.add_argument(
        "--in-image", action="store_true", help="run the built image with docker or podman"
    )


def execute(
    session: Session, spec: ImageSpec, arguments: tuple[str, ...], options: argparse.Namespace
) -> int:
    """Run an image's command as the options say, and return its exit code."""
    raise_all(make.stale(session.project, file.read(session.project.root)))
    if options.in_image:
        return foreground.once(_in_image(session, spec, arguments))
    own = stacks.variables(session)
    if own:
        say("the stack is up: its variables are set")
    with session.progress.task(f"environment of {spec.name}", 0):
        command = environment.command(session.project, spec, arguments, own)
    if options.watch:
        return foreground.watched(command, session.project, spec)
    if not getattr(options, "record", False):
        return foreground.once(command)
    from lockstitch.run import recording

    return recording.run(session.project, spec, command, foreground.once, session.progress)


def _in_image(session: Session, spec: ImageSpec, arguments: tuple[str, ...]) -> Command:
    project = session.project
    found = engines.find()
    if found.platform not in project.platforms:
        message = f"`{found.name}` here runs {found.platform}, "
        message += f"the project has {', '.join(project.platforms)}"
        raise LockstitchError(
            message, hint=f'platforms = ["{found.platform}"] in [tool.lockstitch]'
        )
    lock = file.read(project.root)
    builder = Builder(project, lock, session.store, session.fetcher, session.progress)
    built = builder.build([spec], Layout(layout_folder(project)))
    image = next(each.image for each in built if str(each.image.platform) == found.platform)
    tag = engines.tag(project, spec)
    with session.progress.task(f"load into {found.name}", 0):
        engines.load(found, image, tag)
    if spec.port:
        say(f"{tag} on http://127.0.0.1:{spec.port}, read-only, with {found.name}")
    return engines.command(found, project, spec, tag, arguments)


def serving(session: Session, name: str | None) -> ImageSpec:
    """Return the image that serves: the one of this name, or the only one that has a port."""
    if name is not None:
        return session.project.image(name)
    found = [image for image in session.project.images if image.port]
    if len(found) != 1:
        names = ", ".join(image.name for image in found) or "none"
        message = f"one image must have a `port` to be served without a name; there is: {names}"
        raise UsageError(message, hint="lockstitch run IMAGE --watch")
    return found[0]
