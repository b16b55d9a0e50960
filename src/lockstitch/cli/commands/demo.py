"""Run the whole workflow on a real project and measure it.

Creates the churn project, locks it, trains it on the real data, builds its images, rebuilds them
from an empty store under another umask, time zone, locale and folder, compares the digests,
starts the serving program and sends it requests. Ends with a table; exits with 1 if a digest
differs.

examples:
  # in ./demo; the second time is quick
  lockstitch self demo
  # rebuild also what was compared before
  lockstitch self demo --again
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from lockstitch import environ, files, process, progress
from lockstitch.cli.options import JSON, QUIET, flag, operand
from lockstitch.cli.session import layout_folder, print_json, would
from lockstitch.errors import LockstitchError
from lockstitch.image.paths import LAYOUT
from lockstitch.lock import file as lock_file
from lockstitch.lock import make
from lockstitch.net.credentials import Credentials
from lockstitch.net.download import Fetcher
from lockstitch.progress import Reporter, say
from lockstitch.prove import variations
from lockstitch.python.load import load
from lockstitch.python.model import Project
from lockstitch.run import serving
from lockstitch.scaffold import new
from lockstitch.store import Store, default_root
from lockstitch.table import table
from lockstitch.values import frozen

OPTIONS = (
    operand(
        "folder",
        "FOLDER",
        "where the project is or will be (default: demo)",
        nargs="?",
        type=Path,
        default=Path("demo"),
    ),
    flag("--again", "repeat builds compared before"),
    QUIET,
    JSON,
)
_MB = 1e6


@frozen
class Row:
    """One image: its sizes, its times, and whether the varied build gave the same digest."""

    image: str
    unpacked: int
    compressed: int
    layers: int
    cold: float  # seconds of the whole process, from an emptied store
    warm: float  # seconds of the whole process, with everything there
    digest: str
    elsewhere: str

    @property
    def equal(self) -> bool:
        """Whether both builds gave the same digest."""
        return self.digest == self.elsewhere


def run(options: argparse.Namespace) -> int:
    folder = options.project / options.folder
    if options.dry_run:
        return would(
            options, f"make a project in {folder}, lock, train, build, serve and rebuild it"
        )
    store = Store(default_root())
    rows = measure(
        folder,
        store,
        Fetcher(store, credentials=Credentials()),
        progress.reporter(quiet=options.quiet or options.json),
        again=options.again,
    )
    if options.json:
        print_json([{**dataclasses.asdict(row), "equal": row.equal} for row in rows])
    else:
        sys.stdout.write("\n" + shown(rows) + "\n")
    for row in rows:
        if not row.equal:
            message = f"`{row.image}` is {row.digest} here and {row.elsewhere} elsewhere"
            raise LockstitchError(message, hint="this is a bug of lockstitch: please report it")
    return 0


def measure(
    folder: Path, store: Store, fetcher: Fetcher, reporter: Reporter, *, again: bool
) -> list[Row]:
    """Run the workflow in a folder and return a row for each image.

    A comparison of the same digest by the same layout version is taken from
    `.lockstitch/demo.json`, unless `again` is set. Raises LockstitchError when a step fails.
    """
    if not (folder / "pyproject.toml").exists():
        say(f"* new project in `{folder}`")
        new.create(folder, "churn")
    project = load(folder)
    _lock(project, store, fetcher, reporter)
    _train(project, reporter)
    rows = [_row(project, image.name, reporter, again=again) for image in project.images]
    for image in project.images:
        if image.health:
            with serving.running(project, image, folder / ".lockstitch" / "serve.log") as address:
                say(f"* GET {image.health} → {serving.ask_health(address, image.health)}")
                say(f"* POST /predict → {serving.ask_prediction(address)}")
    return rows


def _lock(project: Project, store: Store, fetcher: Fetcher, reporter: Reporter) -> None:
    try:
        fits = not make.stale(project, lock_file.read(project.root))
    except LockstitchError:
        fits = False
    if not fits:
        make.make(project, store, fetcher, reporter)
    say("* locked: uv.lock, requirements-lock.txt, pylock.*.toml, lockstitch.lock")


def _train(project: Project, reporter: Reporter) -> None:
    with reporter.task("make the locked environment", 0):
        process.run(
            [process.find_uv(), "sync", "--locked", "--quiet"],
            cwd=project.root,
            env=environ.child(VIRTUAL_ENV=None),
        )
    if (project.root / "models" / "model.onnx").exists():
        say("* trained already: models/model.onnx")
        return
    python = project.root / ".venv" / "bin" / "python"
    with reporter.task("train on the real data", 0):
        done = process.run([python, "src/train.py"], cwd=project.root)
    for line in done.stdout.splitlines():
        say(f"  {line}")


def _row(project: Project, image: str, reporter: Reporter, *, again: bool) -> Row:
    with reporter.task(f"build {image}", 0):
        built = variations.timed_here(project, image).document
    warm = variations.timed_here(project, image)
    comparisons, key = _comparisons(project), f"{LAYOUT} {built['digest']}"
    known = None if again else comparisons.get(key)
    if not isinstance(known, dict):
        with reporter.task(f"build {image} from an empty store, varied", 0):
            other = variations.timed_elsewhere(project, image)
        known = {"elsewhere": str(other.document["digest"]), "cold": other.seconds}
        if known["elsewhere"] == built["digest"]:
            text = json.dumps(comparisons | {key: known}, indent=2, sort_keys=True)
            files.write_text(_comparisons_file(project), f"{text}\n")
    else:
        say(f"* {image}: this digest was compared before (--again repeats it)")
    return Row(
        image=image,
        unpacked=_number(built["unpacked"]),
        compressed=_number(built["compressed"]),
        layers=_number(built["layers"]),
        cold=float(known["cold"]),
        warm=warm.seconds,
        digest=str(built["digest"]),
        elsewhere=str(known["elsewhere"]),
    )


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(value)
    return value


def _comparisons(project: Project) -> dict[str, Any]:
    try:
        known = json.loads(_comparisons_file(project).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _comparisons_file(project: Project) -> Path:
    return layout_folder(project).parent / "demo.json"


def shown(rows: list[Row]) -> str:
    """Return the rows as the table that the README shows."""
    head = ["image", "unpacked MB", "compressed MB", "layers", "cold s", "warm s"]
    body = [
        [
            row.image,
            f"{row.unpacked / _MB:.1f}",
            f"{row.compressed / _MB:.1f}",
            str(row.layers),
            f"{row.cold:.1f}",
            f"{row.warm:.2f}",
            f"sha256:{row.digest[7:19]}…",
            "yes" if row.equal else "no",
        ]
        for row in rows
    ]
    return table([*head, "digest", "equal"], body)
