"""A Docker engine that a bench starts for itself, and the client that builds with it."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import run

_BUILDS = 23  # the version since which a client needs the plugin `buildx` for BuildKit


@functools.cache
def client() -> str:
    """Return the first `docker` on PATH that builds with BuildKit, or "docker"."""
    for folder in os.get_exec_path():
        found = shutil.which("docker", path=folder)
        if found:
            words = [found, "--version"]  # Docker version 20.10.24, build …
            version = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            buildx = subprocess.run([found, "buildx", "version"], capture_output=True, check=False)
            if int(version.split()[2].split(".")[0]) < _BUILDS or buildx.returncode == 0:
                return found
    return "docker"


@contextmanager
def answering() -> Iterator[bool]:
    """Yield whether an engine answers: that of DOCKER_HOST or the default, else one of our own."""
    if _answers() or not shutil.which("dockerd"):
        yield _answers()
        return
    with tempfile.TemporaryDirectory(prefix="lockstitch-engine-") as name:
        engine = Engine(Path(name))
        os.environ["DOCKER_HOST"] = engine.host
        try:
            yield _answers()
        finally:
            del os.environ["DOCKER_HOST"]
            engine.close()


def _answers() -> bool:
    try:
        words = [client(), "version"]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class Engine:
    """A Docker engine of the bench's own."""

    def __init__(self, folder: Path, *, network: bool = False) -> None:
        """Start it, on request with a network of its own; `close` stops it."""
        self.host = f"unix://{folder}/docker.sock"
        words = ["dockerd", "--host", self.host, "--data-root", str(folder / "data")]
        words += ["--exec-root", str(folder / "x"), "--pidfile", str(folder / "pid")]
        words += [] if network else ["--bridge=none", "--iptables=false"]
        self._process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(300):
            if subprocess.run(self.words("version"), capture_output=True, check=False).returncode:
                time.sleep(0.1)

    def words(self, *words: str) -> list[str]:
        """Return a command of the client."""
        return ["docker", "--host", self.host, *words]

    def run(self, *words: str) -> str:
        """Run a command of the client and return what it printed."""
        done = subprocess.run(self.words(*words), capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"docker {' '.join(words)}\n{done.stderr}")
        return done.stdout.strip()

    def import_folder(self, folder: Path, tag: str) -> None:
        """Make an image of one layer from a folder."""
        pack = 'tar -C "$1" -c . | docker --host "$2" import --change "WORKDIR /app" - "$3"'
        run(["sh", "-c", pack, "sh", folder, self.host, tag])

    def close(self) -> None:
        """Stop the engine."""
        self._process.terminate()
        self._process.wait(30)
        namespace = Path(self.host.removeprefix("unix://")).parent / "x/netns/default"
        subprocess.run(["umount", namespace], capture_output=True, check=False)  # noqa: S607 -- on PATH
