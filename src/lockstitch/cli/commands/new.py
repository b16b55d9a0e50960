"""Create a project that locks, trains, serves and builds.

Writes into a new folder: pyproject.toml, sources, data, tests, and commit hooks. The project
works with uv or Poetry alone; it does not need lockstitch at run time.

examples:
  # the churn project in ./churn
  lockstitch new churn
  # then
  cd churn && lockstitch lock && uv run python src/train.py && lockstitch build
  # the ten-minute lab, with Poetry
  lockstitch new flowers --template iris --manager poetry
  # on another Python: one that Debian lacks comes from python-build-standalone
  lockstitch new churn --python 3.12
  # for a team on pre-commit: local hooks only, on the versions of the lock
  lockstitch new churn --hooks pre-commit
"""

import argparse
from pathlib import Path

from lockstitch import git
from lockstitch.cli.options import JSON, operand, option
from lockstitch.cli.session import print_json, would
from lockstitch.progress import say
from lockstitch.python import load
from lockstitch.scaffold import new

OPTIONS = (
    operand("folder", "NAME", "folder and name of the project", type=Path),
    option(
        "--template",
        "TEMPLATE",
        "; ".join(f"{name}: {what}" for name, what in new.TEMPLATES.items()) + " (default: churn)",
        default="churn",
    ),
    option(
        "--manager",
        "MANAGER",
        f"package manager: {' or '.join(new.MANAGERS)} (default: uv)",
        default="uv",
    ),
    option(
        "--hooks",
        "RUNNER",
        f"runner of the commit hooks: {' or '.join(new.HOOKS)} (default: prek)",
        default="prek",
    ),
    option(
        "--python",
        "VERSION",
        f"Python of the images: {', '.join(load.PYTHONS)} (default: 3.11)",
        default="3.11",
    ),
    JSON,
)
_MODEL = "# writes the model, which the image serve needs to be built"
_NEXT = {
    "uv": (
        "cd {folder} && lockstitch lock",
        f"uv run python src/train.py  {_MODEL}",
        "lockstitch build",
        "{git}uv run {hooks} install",
    ),
    "poetry": (
        "cd {folder}",
        "poetry install",
        f"poetry run python src/train.py  {_MODEL}",
        "lockstitch lock && lockstitch build",
        "{git}poetry run {hooks} install",
    ),
}


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    folder = options.project / options.folder
    written = new.create(
        folder,
        options.template,
        options.manager,
        options.hooks,
        options.python,
        is_dry=options.dry_run,
    )
    if options.dry_run:
        return would(options, *(f"write {folder / name}" for name in written))
    if options.json:
        print_json({"folder": str(folder), "files": written})
        return 0
    say(f"made `{folder}` with {len(written)} files")
    make = "" if git.is_in_repository(folder) else "git init && "
    for step in _NEXT[options.manager]:
        say(f"next: {step.format(folder=folder, hooks=options.hooks, git=make)}")
    return 0
