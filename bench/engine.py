"""A Docker engine that a bench starts for itself."""

import subprocess
import sys
import time
from pathlib import Path

from measure import run


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
        subprocess.run(["umount", namespace], capture_output=True, check=False)  # noqa: S607
