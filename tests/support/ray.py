"""Ray on this machine: a head with a dashboard, and nodes that can be killed."""

import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Ray", "free_port", "running"]

_PATIENCE = 180.0


def free_port() -> int:
    """Return a port that nobody listens at, and that no connection of others is given."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            number = random.randrange(20000, 32000)
            probe.bind(("0.0.0.0", number))  # noqa: S104 -- where Ray listens
            return number


@dataclass(slots=True)
class Ray:
    """A running cluster; each node has one CPU."""

    folder: Path  # with a short path: of the nodes' sockets
    port: int
    dashboard: int
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    nodes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        """What a client needs beside an address."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def ask(self, path: str) -> Any:
        """Return what the dashboard answers, as JSON."""
        address = f"http://127.0.0.1:{self.dashboard}{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(address, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def start(self, environment: Path, name: str, *words: str) -> None:
        """Start a node and wait until the cluster knows it."""
        program = environment / "bin" / "ray"
        known = len(self.nodes)
        more = ["--num-cpus", "1", "--disable-usage-stats", "--dashboard-agent-listen-port", "0"]
        own = ["start", "--block", "--temp-dir", self.folder / name]
        path = f"{program.parent}:{os.environ['PATH']}"
        log = self.folder / f"{name}.log"
        until = time.monotonic() + _PATIENCE
        while known and self.alive() > known:  # a node that was killed is not missed at once
            time.sleep(0.3)
        while self.alive() <= known:
            if name not in self.nodes or self.nodes[name].poll() is not None:
                # On a busy machine Ray itself gives up after 30 seconds.
                with log.open("wb") as output:
                    self.nodes[name] = subprocess.Popen(
                        [program, *own, *words, *more],
                        env={**os.environ, **self.variables, "PATH": path},
                        stdout=output,
                        stderr=output,
                        start_new_session=True,
                    )
            assert time.monotonic() < until, log.read_text()[-3000:]
            time.sleep(0.3)

    def join(self, environment: Path, name: str) -> None:
        """Start another node."""
        self.start(environment, name, "--address", f"127.0.0.1:{self.port}")

    def alive(self) -> int:
        """Return how many nodes the dashboard knows to be alive."""
        query = "filter_keys=state&filter_predicates=%3D&filter_values=ALIVE"
        try:
            nodes = self.ask(f"/api/v0/nodes?{query}")["data"]["result"]["result"]
        except urllib.error.HTTPError as error:
            if error.code == 401:
                raise
            return 0
        except OSError:
            return 0
        return len(nodes)

    def kill(self, name: str) -> None:
        """Kill a node as a machine that loses its power."""
        node = self.nodes.pop(name)
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()


@contextlib.contextmanager
def running(environment: Path, port: int, dashboard: int, client: int = 0) -> Iterator[Ray]:
    """Run a head and a second node of an environment, and end whatever was started."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    ray = Ray(folder, port, dashboard)
    try:
        head = ["--head", "--port", str(port), "--dashboard-port", str(dashboard)]
        head += ["--ray-client-server-port", str(client or free_port())]
        ray.start(environment, "head", *head)
        ray.join(environment, "second")
        yield ray
    finally:
        for name in list(ray.nodes):
            ray.kill(name)
        shutil.rmtree(folder, ignore_errors=True)
