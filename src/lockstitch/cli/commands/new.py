"""Create a project that locks, trains, serves and builds.

Writes into a new folder: pyproject.toml, sources, data, tests, and commit hooks. The project
works with uv or Poetry alone; it does not need lockstitch at run time.

With --from-model, the project serves a model that MLflow saved: the model's files, the packages
and the Python that it names, locked, one image, and a request that `lockstitch try` sends. The
model is a folder, or one of the tracking server that MLFLOW_TRACKING_URI names, else of the local
stack. Nothing of it is loaded.

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
  # a service of a registered model, locked; then its image, started and asked
  lockstitch new churn-service --from-model models:/churn/3
  cd churn-service && lockstitch build && lockstitch try
"""

import argparse
from pathlib import Path

from lockstitch import environ, git, progress
from lockstitch.cli.options import JSON, exclusive, operand, option
from lockstitch.cli.session import open_session, print_json, would
from lockstitch.errors import LockstitchError, UsageError, raise_all
from lockstitch.net.credentials import Login
from lockstitch.progress import say
from lockstitch.python import size
from lockstitch.scaffold import new

OPTIONS = (
    operand("folder", "NAME", "folder and name of the project", type=Path),
    exclusive(
        option(
            "--template TEMPLATE",
            "; ".join(f"{name}: {what}" for name, what in new.TEMPLATES.items())
            + " (default: churn)",
            default="churn",
        ),
        option(
            "--from-model URI",
            "model of MLflow to serve: a folder, models:/NAME/VERSION, models:/NAME@ALIAS, "
            "runs:/RUN/PATH or mlflow-artifacts:/PATH",
            default="",
        ),
    ),
    option(
        "--server SERVER",
        "with --from-model: mlflow, its own scoring server; onnx, ONNX Runtime alone "
        "(default: onnx for models of that flavor)",
        default="",
    ),
    option(
        "--manager MANAGER",
        f"package manager: {' or '.join(new.MANAGERS)} (default: uv)",
        default="uv",
    ),
    option(
        "--hooks RUNNER",
        f"runner of the commit hooks: {' or '.join(new.HOOKS)} (default: prek)",
        default="prek",
    ),
    option(
        "--python VERSION",
        f"Python of the images: {', '.join(new.PYTHONS)}, of a model an older one too "
        "(default: 3.11, or the model's)",
        default="",
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
    folder = options.project / options.folder
    if options.from_model:
        return _of_model(options, folder)
    if options.server:
        message = "--server is for a model, and none is named"
        raise UsageError(message, hint="lockstitch new NAME --from-model URI --server onnx")
    written = new.create(
        folder,
        options.template,
        options.manager,
        options.hooks,
        options.python or "3.11",
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


def _of_model(options: argparse.Namespace, folder: Path) -> int:
    """Make, and lock, the project that serves a model."""
    from lockstitch.scaffold.model import bring

    raise_all([*new.place_problems(folder)])
    source = bring.source(options.from_model, *_tracking_server(options))
    project = bring.make(
        folder,
        source,
        progress.reporter(quiet=bool(options.quiet or options.json)),
        server=options.server,
        python=options.python,
        is_dry=options.dry_run,
    )
    if options.dry_run:
        return would(options, *(f"write {folder / name}" for name in project.files))
    from lockstitch.lock import make
    from lockstitch.oci.registry.client import Client

    session = open_session(argparse.Namespace(**{**vars(options), "project": folder}))
    locked = make.make(
        session.project, session.store, session.fetcher, session.progress, client=Client()
    )
    if options.json:
        print_json(
            {
                "folder": str(folder),
                "files": list(project.files),
                "locked": locked,
                "model": project.uri,
                "flavors": list(project.model.flavors),
                "python": project.python,
                "server": project.service.server,
                "dependencies": list(project.service.dependencies),
                "request": project.model.example_source,
                "notes": list(project.model.notes),
            }
        )
        return 0
    for note in project.model.notes:
        say(f"note: {note}")
    trained = f"trained with Python {project.model.python}, " if project.model.python else ""
    say(
        f"made `{folder}` of {project.uri}: {size.shown(project.bytes)}, {trained}served by "
        f"{project.service.server} on Python {project.python}"
    )
    say(f"locked: {', '.join(locked)}")
    if project.model.example_source == "the signature":
        say("note: the values of request.json are made up from the signature: write real ones")
    say(f"next: cd {folder} && lockstitch build && lockstitch try")
    return 0


def _tracking_server(options: argparse.Namespace) -> tuple[str, Login | None]:
    """Return the tracking server of the variable, else of the stack that runs, and its login."""
    given = environ.get("MLFLOW_TRACKING_URI")
    if given or ":" not in options.from_model:
        return given, None
    from lockstitch.cli import stacks

    try:
        names = stacks.variables(open_session(options))
    except LockstitchError:  # no project here
        return "", None
    user, password = (names.get(f"MLFLOW_TRACKING_{part}", "") for part in ("USERNAME", "PASSWORD"))
    login = Login(user=user, password=password, source="the local stack") if user else None
    return names.get("MLFLOW_TRACKING_URI", ""), login
