"""Import local training runs into the stack's MLflow.

Where no server is up, a training leaves its runs in a folder. This command writes them to the
stack's MLflow with their parameters, metrics, times, artifacts and models. It skips runs that
MLflow already has, and leaves the folder as it is. Without FOLDER: `mlruns` of the project and of
every folder that an image may write to.

examples:
  # what was trained before the stack was up
  lockstitch stack up && lockstitch stack import
  # the runs of another machine
  lockstitch stack import ../theirs/models/mlruns
"""

import argparse
from pathlib import Path

from lockstitch.cli.options import COMMON, operand
from lockstitch.cli.session import open_session, print_json, would
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.progress import say

OPTIONS = (operand("folder", "FOLDER", "folder of runs", nargs="?", type=Path), COMMON)


def run(options: argparse.Namespace) -> int:
    from lockstitch.cli import stacks
    from lockstitch.stack import control, imports, tools

    session = open_session(options)
    variables = stacks.running(session)
    chosen = [options.folder.absolute()] if options.folder else imports.folders(session.project)
    if options.folder and not options.folder.is_dir():
        message = f"`{options.folder}` is not a folder"
        raise LockstitchError(message, hint="name the folder `mlruns` that a training has left")
    folders = [imports.read(folder) for folder in chosen]
    runs = [run for folder in folders for run in folder.runs]
    if options.dry_run:
        return would(
            options,
            *(f"import {len(f.runs)} runs of {p}" for p, f in zip(chosen, folders, strict=True)),
        )
    installed = tools.install(session.store, session.progress)
    with session.progress.task(f"import runs, {len(runs)}", 0):
        done = imports.write(control.folder_of(session.project), installed, variables, runs)
    unfinished = sum(folder.unfinished for folder in folders)
    if options.json:
        names = [str(folder) for folder in chosen]
        print_json({**done, "folders": names, "unfinished": unfinished})
    else:
        message = f"runs imported: {len(done['imported'])}, there already: {len(done['skipped'])}"
        say(message + (f", not ended: {unfinished}" if unfinished else ""))
    raise_all([problem for folder in folders for problem in folder.problems])
    return 0
