"""Image builds against the classic route, on the same lock, in one run on one machine.

native   `lockstitch build IMAGE`, the whole process: digest, diffIDs, a layout on disk
folder   `uv pip install` of the same lock into a folder, app files beside it, tar | gzip -6
docker   `docker build` of a Dockerfile with the dependencies before the code, BuildKit,
         where an engine answers (DOCKER_HOST or the default socket) or `dockerd` is there

The native image holds its base, which is made from Debian packages: the first two rows
include that, once a machine. The other routes have no base (folder) or find it in the engine
(docker). Docker's time ends with an image in the engine: no compressed layer, no digest that
a registry would know.
Run `python bench/images.py [train] [serve] [sources] [--docs] [--json FILE]`; with `--docs` the
tables are written into docs/benchmarks.md.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from classic import Docker, Folder
from engine import answering
from measure import environment, machine, median, run

PAGE = Path(__file__).parents[1] / "docs/benchmarks.md"
UV = Path(sys.executable).with_name("uv")
LOCKSTITCH = [sys.executable, "-m", "lockstitch"]
# A dependency of each image, an older version of it: nothing else moves.
BUMPED = {"train": "joblib==1.5.2", "serve": "click==8.3.0"}


class Native:
    """The churn project built by lockstitch, with a store of its own."""

    def __init__(self, folder: Path) -> None:
        """Make, lock and train the project, and build it once."""
        self.root = folder / "churn"
        self.store = folder / "store"
        self.env = environment(LOCKSTITCH_CACHE=str(self.store))
        run([*LOCKSTITCH, "new", self.root], env=self.env)
        self._lockstitch("lock")
        run([UV, "sync", "--locked", "--quiet"], cwd=self.root, env=environment())
        run([self.root / ".venv/bin/python", "src/train.py"], cwd=self.root)
        self._lockstitch("build")

    def _lockstitch(self, *words: str) -> float:
        return run([*LOCKSTITCH, *words], cwd=self.root, env=self.env)

    def build(self, image: str) -> float:
        """Build an image."""
        return self._lockstitch("build", image)

    def bump(self, image: str) -> None:
        """Move one dependency, as a developer does."""
        words = [UV, "lock", "--upgrade-package", BUMPED[image], "--quiet"]
        run(words, cwd=self.root, env=environment())
        self._lockstitch("lock")

    def edit(self, image: str, number: int) -> None:
        """Change one line of app code."""
        path = self.root / "src" / ("train.py" if image == "train" else "api.py")
        path.write_text(path.read_text() + f"# change {number}\n")

    def forget_images(self, image: str, *, base: bool) -> None:
        """Forget what was built; with `base`, the base's layers too, but never a download."""
        index = json.loads((self.root / ".lockstitch/images/index.json").read_bytes())
        kept = set() if base else self._base_layers(index, image)
        shutil.rmtree(self.root / ".lockstitch/images")
        for kind in ("own", "bytecode"):
            shutil.rmtree(self.store / "records" / kind, ignore_errors=True)
        for record in (self.store / "records" / "layers").rglob("*.json"):
            _, _, document = record.read_bytes().partition(b"\n")  # after a sum of itself
            digest = json.loads(document)["digest"]
            if digest not in kept:
                record.unlink()
                (self.store / "blobs" / digest[7:9] / digest[7:]).unlink(missing_ok=True)

    def _base_layers(self, index: dict[str, list[dict[str, str]]], image: str) -> set[str]:
        blobs = self.root / ".lockstitch/images/blobs/sha256"
        digest = next(
            each["digest"]
            for each in index["manifests"]
            if each["annotations"]["org.opencontainers.image.ref.name"] == image
        )
        manifest = json.loads((blobs / digest[7:]).read_bytes())
        config = json.loads((blobs / manifest["config"]["digest"][7:]).read_bytes())
        return {
            layer["digest"]
            for layer, history in zip(manifest["layers"], config["history"], strict=True)
            if history["created_by"].startswith(("debian ", "bytecode of python"))
        }


def cases(native: Native, image: str, folder: Folder, docker: Docker | None) -> list[list[object]]:
    """Return a row for each case: name, seconds native, folder, docker or None."""
    changes = iter(range(1000))

    def edited(build: Callable[[], float]) -> Callable[[], float]:
        def measured() -> float:
            native.edit(image, next(changes))
            return build()

        return measured

    def forgotten(*, base: bool) -> Callable[[], float]:
        def measured() -> float:
            native.forget_images(image, base=base)
            return native.build(image)

        return measured

    def ours() -> float:
        return native.build(image)

    rows: list[list[object]] = []
    shutil.rmtree(native.store)
    shutil.rmtree(native.root / ".lockstitch")
    everything = ours()
    cold = folder.build(cold=True)
    whole = median(2, folder.build)
    first = docker.build(cold=True) if docker else None
    rows.append(["cold, an empty machine", everything, cold, None])
    rows.append(["cold, wheels here", median(2, forgotten(base=True)), whole, None])
    rows.append(["cold, wheels and base here", median(3, forgotten(base=False)), whole, first])
    same = median(5, docker.build) if docker else None
    rows.append(["nothing changed", median(7, ours), whole, same])
    line = median(5, edited(docker.build)) if docker else None
    rows.append(["one line of app code", median(5, edited(ours)), median(2, folder.build), line])
    native.bump(image)
    run([UV, "sync", "--locked", "--quiet"], cwd=native.root, env=environment())  # uv has it now
    bumped = docker.build() if docker else None
    rows.append(["one dependency bumped", ours(), median(2, folder.build), bumped])
    return rows


PACKAGES = ("docopt", "wget")  # on the index as source only
PYPROJECT = """\
[project]
name = "sources"
version = "0.1"
requires-python = ">=3.11"
dependencies = ["docopt", "wget"]

[tool.uv]
package = false

[tool.lockstitch.images.job]
include = ["main.py"]
command = ["python", "main.py"]
"""


class Sources(Native):
    """A project with two packages that exist only as source."""

    def __init__(self, folder: Path) -> None:
        """Make and lock the project, and build it once."""
        self.root = folder / "sources"
        self.store = folder / "store"
        self.env = environment(LOCKSTITCH_CACHE=str(self.store))
        self.root.mkdir()
        (self.root / "pyproject.toml").write_text(PYPROJECT)
        (self.root / "main.py").write_text("import docopt, wget\n")
        self._lockstitch("lock")
        self._lockstitch("build")

    def again(self) -> float:
        """Build the image and both wheels, with the base and the archives at hand."""
        self.forget_images("job", base=False)
        for wheel in tomllib.loads((self.root / "lockstitch.lock").read_text())["built"]:
            digest = wheel["sha256"]
            (self.store / "blobs" / digest[:2] / digest).unlink()
        return self.build("job")

    def classic(self) -> float:
        """Let uv build both into a folder, and pack it."""
        target, layer = self.root / "classic", self.root / "classic.tar.gz"
        shutil.rmtree(target, ignore_errors=True)
        words = [UV, "pip", "install", "--quiet", "--target", target, "--python", "3.11"]
        seconds = run([*words, "--no-cache", *PACKAGES], env=environment())
        pack = 'tar -C "$1" -cf - . | gzip -6 > "$2" && sha256sum "$2"'
        return seconds + run(["sh", "-c", pack, "sh", target, layer])


def shown(image: str, rows: list[list[object]], load: float) -> str:
    """Return the rows with their ratios, below the day and the load that they were measured at."""
    title = f"{image}, {datetime.now(UTC):%Y-%m-%d}, load {load:.0f}"
    lines = [f"{title:<30}{'native':>9}{'folder':>9}{'ratio':>8}{'docker':>9}{'ratio':>8}"]
    for name, *seconds in rows:
        native, folder, docker = (float(s) if s is not None else None for s in seconds)
        line = f"{name:<30}{native:>8.2f}s"
        for other in (folder, docker):
            line += f"{other:>8.2f}s{other / native:>7.1f}x" if other else f"{'-':>9}{'-':>8}"
        lines.append(line)
    return "\n".join(lines)


def write(image: str, table: str) -> None:
    """Replace a table of the page."""
    found = re.compile(rf"^{image}\b[^\n]* native .*?(?=\n\n|\n```)", re.MULTILINE | re.DOTALL)
    text, count = found.subn(table, PAGE.read_text())
    if count != 1:
        sys.exit(f"{PAGE} has {count} tables of {image}")
    PAGE.write_text(text)


def measured(image: str, folder: Path, *, engine: bool) -> list[list[object]]:
    """Return the rows of an image, measured in an empty folder."""
    if image == "sources":
        own = Sources(folder)
        return [["two sdists, built again", median(3, own.again), median(3, own.classic), None]]
    native = Native(folder)
    docker = Docker(folder, native.root, image, UV) if engine else None
    return cases(native, image, Folder(folder, native.root, image, UV), docker)


def main() -> None:
    """Measure the images and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = [*BUMPED, "sources"]
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"of {', '.join(known)}")
    parser.add_argument("--docs", action="store_true", help="also write the tables into the page")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    print(machine())
    results = {}
    with answering() as answers:
        if not answers:
            print("docker: no engine answers, its columns stay empty")
        for image in options.images or known:
            load = os.getloadavg()[0]
            with tempfile.TemporaryDirectory(prefix="lockstitch-bench-") as name:
                results[image] = measured(image, Path(name), engine=answers)
            table = shown(image, results[image], load)
            print(f"\n{table}", flush=True)
            if options.docs:
                write(image, table)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "rows": results}, indent=2))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(str(error))
