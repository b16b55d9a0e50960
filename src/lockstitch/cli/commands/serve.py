"""Serve the model locally, and restart when a file changes.

The same as `lockstitch run IMAGE --watch` for the one image that has a port.

examples:
  # the environment of the serving image, this folder's files
  lockstitch serve
  # the image itself, with docker or podman
  lockstitch serve --in-image
"""

import argparse

from lockstitch.cli.commands.run import HOW, execute
from lockstitch.cli.options import COMMON_QUIET, operand
from lockstitch.cli.session import open_session
from lockstitch.errors import UsageError

OPTIONS = (
    operand("image", "IMAGE", "image to serve (default: the one with a port)", nargs="?"),
    HOW,
    COMMON_QUIET,
)


def run(options: argparse.Namespace) -> int:
    session = open_session(options)
    project = session.project
    if options.image is None:
        serving = [image for image in project.images if image.port]
        if len(serving) != 1:
            names = ", ".join(image.name for image in serving) or "none"
            message = "one image must have a `port` to be served without a name; "
            message += f"there is: {names}"
            raise UsageError(message, hint="lockstitch run IMAGE --watch")
        spec = serving[0]
    else:
        spec = project.image(options.image)
    options.watch = not options.in_image
    return execute(session, spec, (), options)
