"""The whole story: scaffold, lock, train, build, build elsewhere, compare, serve."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstitch import environ, files, process
from lockstitch.cli import serving, worlds
from lockstitch.cli.session import layout_folder
from lockstitch.cli.table import table
from lockstitch.errors import LockstitchError
from lockstitch.image.paths import LAYOUT
from lockstitch.lock import file as lock_file
from lockstitch.lock import make
from lockstitch.net.download import Fetcher
from lockstitch.progress import Reporter, say
from lockstitch.python.load import load
from lockstitch.python.model import Project
from lockstitch.scaffold import new
from lockstitch.store import Store

__all__ = ["Row", "run", "shown"]

_MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One image: its sizes, its times, and whether the other world gave the same digest."""

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
        """Whether both worlds gave the same digest."""
        return self.digest == self.elsewhere


def run(
    folder: Path, store: Store, fetcher: Fetcher, progress: Reporter, *, again: bool
) -> list[Row]:
    """Run the story in a folder and return a row for each image.

    A comparison that was made for the same digest by the same layout version is taken from
    `.lockstitch/demo.json`, unless `again` is set.
    """
    if not (folder / "pyproject.toml").exists():
        say(f"* new project in `{folder}`")
        new.create(folder, "churn")
    project = load(folder)
    _lock(project, store, fetcher, progress)
    _train(project, progress)
    rows = [_row(project, image.name, progress, again=again) for image in project.images]
    for image in project.images:
        if image.health:
            with serving.running(project, image, folder / ".lockstitch" / "serve.log") as address:
                say(f"* GET {image.health} → {serving.ask_health(address, image.health)}")
                say(f"* POST /predict → {serving.ask_prediction(address)}")
    return rows


def _lock(project: Project, store: Store, fetcher: Fetcher, progress: Reporter) -> None:
    try:
        fits = not make.stale(project, lock_file.read(project.root))
    except LockstitchError:
        fits = False
    if not fits:
        make.make(project, store, fetcher, progress)
    say("* locked: uv.lock, requirements-lock.txt, pylock.*.toml, lockstitch.lock")


def _train(project: Project, progress: Reporter) -> None:
    with progress.task("make the locked environment", 0):
        process.run(
            [process.find_uv(), "sync", "--locked", "--quiet"],
            cwd=project.root,
            env=environ.child(VIRTUAL_ENV=None),
        )
    if (project.root / "models" / "model.onnx").exists():
        say("* trained already: models/model.onnx")
        return
    python = project.root / ".venv" / "bin" / "python"
    with progress.task("train on the real data", 0):
        done = process.run([python, "src/train.py"], cwd=project.root)
    for line in done.stdout.splitlines():
        say(f"  {line}")


def _row(project: Project, image: str, progress: Reporter, *, again: bool) -> Row:
    with progress.task(f"build {image}", 0):
        built = worlds.here(project, image).document
    warm = worlds.here(project, image)
    known = None if again else _known(project, str(built["digest"]))
    if known is None:
        with progress.task(f"build {image} from an emptied store, in another world", 0):
            other = worlds.elsewhere(project, image)
        known = {"elsewhere": str(other.document["digest"]), "cold": other.seconds}
        if known["elsewhere"] == built["digest"]:
            _remember(project, str(built["digest"]), known)
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


def _proofs(project: Project) -> Path:
    return layout_folder(project).parent / "demo.json"


def _known(project: Project, digest: str) -> dict[str, Any] | None:
    try:
        found = json.loads(_proofs(project).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    known = found.get(f"{LAYOUT} {digest}")
    return known if isinstance(known, dict) else None


def _remember(project: Project, digest: str, proof: dict[str, Any]) -> None:
    try:
        found = json.loads(_proofs(project).read_bytes())
    except (FileNotFoundError, ValueError):
        found = {}
    found[f"{LAYOUT} {digest}"] = proof
    files.write_text(_proofs(project), json.dumps(found, indent=2, sort_keys=True) + "\n")


def shown(rows: list[Row]) -> str:
    """Return the table that the README shows."""
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
