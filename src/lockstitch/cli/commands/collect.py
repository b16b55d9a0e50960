"""Import into MLflow the runs of trainings without the stack.

Where no server is up, a training leaves its runs in a folder. This writes them to the stack's
MLflow with their parameters, metrics, times, artifacts and models. Runs that are there already
are skipped, and the folder stays as it is. Without FOLDER: `mlruns` of the project and of every
folder that an image may write to.

examples:
  # what was trained before the stack was up
  lockstitch up && lockstitch collect
  # the runs of another machine
  lockstitch collect ../theirs/models/mlruns
"""

import argparse
from pathlib import Path

from lockstitch.cli.session import add_common, open_session, print_json
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.progress import say

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("folder", nargs="?", metavar="FOLDER", type=Path, help="folder of runs")
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from lockstitch.cli import stacks
    from lockstitch.stack import control, imports, tools

    session = open_session(options)
    variables = stacks.variables(session)
    if not variables:
        message = "the stack of this project does not run"
        raise LockstitchError(message, hint="lockstitch up")
    chosen = [options.folder.absolute()] if options.folder else imports.folders(session.project)
    if options.folder and not options.folder.is_dir():
        message = f"`{options.folder}` is not a folder"
        raise LockstitchError(message, hint="name the folder `mlruns` that a training has left")
    found = [imports.read(each) for each in chosen]
    runs = [run for each in found for run in each.runs]
    installed = tools.install(session.store, session.progress)
    with session.progress.task(f"import runs, {len(runs)}", 0):
        done = imports.write(control.folder_of(session.project), installed, variables, runs)
    unfinished = sum(each.unfinished for each in found)
    if options.json:
        names = [str(each) for each in chosen]
        print_json({**done, "folders": names, "unfinished": unfinished})
    else:
        imported, skipped = len(done["imported"]), len(done["skipped"])
        said = f"runs imported: {imported}, there already: {skipped}"
        say(said + (f", not ended: {unfinished}" if unfinished else ""))
    raise_all([problem for each in found for problem in each.problems])
    return 0
