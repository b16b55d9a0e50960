"""Serve the model here, and start again when a file changes.

The same as `lockstitch run IMAGE --watch` for the one image that has a port.

examples:
  # the environment of the serving image, this folder's files
  lockstitch serve
  # the image itself, with docker or podman
  lockstitch serve --in-image
"""

import argparse

from lockstitch.cli.running import add_how, execute, serving
from lockstitch.cli.session import add_common, open_session

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("image", metavar="IMAGE", nargs="?", help="default: the one with a port")
    add_how(parser)
    add_common(parser, json_output=False)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    session = open_session(options)
    options.watch = not options.in_image
    return execute(session, serving(session, options.image), (), options)
