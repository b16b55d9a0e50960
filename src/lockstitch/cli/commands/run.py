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

from lockstitch.cli.options import COMMON_QUIET, flag, operand
from lockstitch.cli.running import HOW, execute
from lockstitch.cli.session import open_session

__all__ = ["OPTIONS", "run"]

REST = "words to add to the command"  # after `--`

OPTIONS = (
    operand("image", "IMAGE", "whose command to run"),
    HOW,
    flag("--no-record", "write no run record beside the outputs"),
    COMMON_QUIET,
)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    session = open_session(options)
    spec = session.project.image(options.image)
    return execute(session, spec, options.rest, options)
