"""Run an image's command in exactly the locked environment.

The environment is kept in .lockstitch/envs/IMAGE and holds the image's packages and nothing
else; uv or Poetry makes or repairs it first. Words after `--` are added to the command. The
exit code is the command's. An image with `outputs` gets OUTPUT/IMAGE.run.json: the environment,
the packages that were imported, the commit, digests of what went in and came out, metrics.

examples:
  # train here, with the packages of the image `train`
  lockstitch run train -- --out models
  # serve, and start again whenever a file changes
  lockstitch run serve --watch
  # build the image and run that, with docker or podman
  lockstitch run serve --in-image
"""

import argparse

from lockstitch.cli.running import add_how, execute
from lockstitch.cli.session import add_common, open_session

__all__ = ["configure", "run"]

REST = "words to add to the command"  # what stands after `--`


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("image", metavar="IMAGE", help="whose command to run")
    add_how(parser)
    parser.add_argument(
        "--no-record",
        dest="record",
        action="store_false",
        help="write no record of the run beside its outputs",
    )
    add_common(parser, json_output=False)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    session = open_session(options)
    spec = session.project.image(options.image)
    return execute(session, spec, options.rest, options)
