"""Pushes to a registry on this machine, against `docker push` of the same project.

lockstitch  `lockstitch build serve`, then `lockstitch image push`, each the whole process
docker    `docker build` with BuildKit of the Dockerfile that `lockstitch export dockerfile` writes
          (several stages, dependencies before code, caches outside the image), then `docker push`

The bytes are those that the registry's storage grew by; the seconds of `push` hold what Docker
compresses for it. Both images stand on the same base. Needs Debian's docker-registry, and an engine
(DOCKER_HOST or the default socket) or `dockerd`.
Run `python bench/push.py [--json FILE]`.
"""

import argparse
import json
import re
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine import answering, client
from images import LOCKSTITCH, UV, Native
from measure import environment, machine, run

IMAGE = "serve"
CONFIG = """\
version: 0.1
log: {{level: info}}
storage:
  filesystem: {{rootdirectory: {folder}/data}}
http:
  addr: 127.0.0.1:0
"""


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Run a registry, and yield its host and port."""
    folder.mkdir()
    (folder / "config.yml").write_text(CONFIG.format(folder=folder))
    with (folder / "log").open("wb") as log:
        words = ["docker-registry", "serve", folder / "config.yml"]
        running = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        for _ in range(200):
            found = re.search(r"listening on (127\.0\.0\.1:\d+)", (folder / "log").read_text())
            if found:
                break
            time.sleep(0.05)
        else:
            sys.exit(f"docker-registry does not start\n{(folder / 'log').read_text()}")
        yield found[1]
    finally:
        running.terminate()
        running.wait(10)


def stored(folder: Path) -> int:
    """Return the bytes of all blobs that the registry has."""
    blobs = folder / "data" / "docker" / "registry" / "v2" / "blobs"
    return sum(path.stat().st_size for path in blobs.rglob("data"))


class Rendered:
    """`docker build` of the Dockerfile that `lockstitch export dockerfile` writes."""

    tag = "lockstitch-bench-push"

    def __init__(self, folder: Path, native: Native) -> None:
        """Load what it starts from: our own base, and uv from this machine."""
        self._native = native
        archive = folder / "base.tar"
        self._lockstitch("build", "--base-only", "--output", str(archive))
        run([client(), "load", "--input", archive])
        archive.unlink()
        program = folder / "uv.tar"
        run(["tar", "--create", "--file", program, "-C", UV.parent, "uv"])
        run([client(), "import", program, "uv:local"])

    def _lockstitch(self, *words: str) -> None:
        run([*LOCKSTITCH, *words], cwd=self._native.root, env=self._native.env)

    def build(self) -> float:
        """Build the image and return the seconds."""
        self._lockstitch("export", "dockerfile")
        words = ["--network", "host", "--build-arg", "UV_IMAGE=uv:local", "--quiet"]
        authorities = ssl.get_default_verify_paths().cafile
        words += ["--secret", f"id=ca,src={authorities}"] if authorities else []
        words += ["--file", f"Dockerfile.{IMAGE}", "--tag", self.tag, "."]
        env = environment(DOCKER_BUILDKIT="1")
        return run([client(), "build", *words], cwd=self._native.root, env=env)


class Route:
    """One way from the project to the registry."""

    def __init__(self, folder: Path, build: Callable[[], float], push: Callable[[], float]) -> None:
        """Keep the two steps and the registry's folder."""
        self._folder = folder
        self._build = build
        self._push = push

    def go(self) -> list[float]:
        """Build and push; return the megabytes that were new, and the seconds of each step."""
        before = stored(self._folder)
        built = self._build()
        pushed = self._push()
        return [(stored(self._folder) - before) / 1e6, built, pushed]


def cases(folder: Path) -> list[list[object]]:
    """Return a row for each case: its name, then three numbers of each route."""
    native = Native(folder)
    docker = Rendered(folder, native)
    with registry(folder / "one") as ours, registry(folder / "two") as theirs:
        target = f"{theirs}/churn"

        def push() -> float:
            words = [*LOCKSTITCH, "image", "push", f"{ours}/churn", "--image", IMAGE]
            return run(words, cwd=native.root, env=native.env)

        def docker_push() -> float:
            run([client(), "tag", docker.tag, target])
            return run([client(), "push", "--quiet", target])

        routes = [
            Route(folder / "one", lambda: native.build(IMAGE), push),
            Route(folder / "two", docker.build, docker_push),
        ]

        def row(name: str) -> list[object]:
            return [name, *(number for route in routes for number in route.go())]

        rows = [row("first push"), row("nothing changed")]
        native.edit(IMAGE, 1)
        rows.append(row("one line of app code"))
        native.bump(IMAGE)
        rows.append(row("one dependency bumped"))
        run([client(), "rmi", "--force", target, docker.tag])
    return rows


def show(rows: list[list[object]]) -> None:
    """Print the rows: what travelled, and how long the two steps took."""
    head = f"{'MB':>10}{'build':>9}{'push':>9}"
    print(f"\n{'':<24}{'lockstitch':>28}{'docker':>28}\n{IMAGE:<24}{head}{head}")
    for name, *numbers in rows:
        line = f"{name:<24}"
        for at in (0, 3):
            megabytes, build, push = (float(str(each)) for each in numbers[at : at + 3])
            line += f"{megabytes:>10.3f}{build:>8.2f}s{push:>8.2f}s"
        print(line)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    print(machine())
    with answering() as answers, tempfile.TemporaryDirectory(prefix="lockstitch-bench-") as name:
        if not answers:
            sys.exit("no engine answers, and it is what this is measured against")
        rows = cases(Path(name))
    show(rows)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(str(error))
