"""Peers: real programs of other people, on a project built for real."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.programs import UV, lockstitch

from lockstitch import files
from lockstitch.oci.layout import Layout

# What takes longest comes first, so that no worker is left alone with it at the end.
LONGEST = ("test_compose", "test_hooks", "test_stack", "test_templates", "test_dockerfile")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.peers)
    items.sort(key=lambda item: (*LONGEST, item.path.stem).index(item.path.stem))


@dataclass(frozen=True)
class RealProject:
    """The churn project, locked, trained and built."""

    root: Path
    environment: dict[str, str]

    @property
    def layout(self) -> Layout:
        return Layout(self.root / ".lockstitch" / "images")

    def lockstitch(self, *words: str, env: dict[str, str] | None = None) -> str:
        return lockstitch(*words, cwd=self.root, env=self.environment | (env or {}))

    def digest(self, image: str) -> str:
        return str(self.layout.manifest_digest(image))


def program(name: str) -> str:
    """Return a peer's path; a missing peer is a failure, never a skip."""
    found = shutil.which(name)
    assert found, f"{name} is not installed: .ci/run says which package has it"
    return found


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of all files and workers of this run: Debian is downloaded once."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "store"


@pytest.fixture(scope="module")
def in_store(store: Path) -> Iterator[None]:
    """Point lockstitch at that store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCKSTITCH_CACHE", str(store))
        yield


@pytest.fixture(scope="session")
def poetry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real Poetry's programs, as its lock beside this file has it."""
    venv = tmp_path_factory.mktemp("poetry") / "venv"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    words = [UV, "pip", "sync", "--quiet", "--python", venv / "bin" / "python", "--require-hashes"]
    subprocess.run([*words, Path(__file__).with_name("poetry.txt")], check=True)
    return venv / "bin"


@pytest.fixture(scope="session")
def environment(store: Path) -> dict[str, str]:
    """The variables of a lockstitch that works in that store."""
    dropped = {"SOURCE_DATE_EPOCH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"}
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return kept | {"LOCKSTITCH_CACHE": str(store)}


@pytest.fixture(scope="session")
def project(
    store: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> RealProject:
    folder = tmp_path_factory.mktemp("real")
    root = folder / "churn"
    real = RealProject(root=root, environment=environment)
    subprocess.run(
        [sys.executable, "-m", "lockstitch", "new", str(root)], env=environment, check=True
    )
    real.lockstitch("lock")
    subprocess.run([UV, "sync", "--locked", "--quiet"], cwd=root, env=environment, check=True)
    subprocess.run([root / ".venv" / "bin" / "python", "src/train.py"], cwd=root, check=True)
    # One worker after the other: the second finds the layers in the store.
    with files.lock(store.with_suffix(".lock")):
        real.lockstitch("build")
    return real


@dataclass(frozen=True)
class Docker:
    """A Docker engine of our own, on a socket of its own."""

    host: str

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [program("docker"), "--host", self.host, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    @contextmanager
    def container(self, *words: str) -> Iterator[str]:
        """Run a container in the background, and remove it at the end."""
        name = self.run("run", "--detach", *words).stdout.strip()
        try:
            yield name
        finally:
            self.run("rm", "--force", name)

    def json(self, *words: str) -> object:
        return json.loads(self.run(*words).stdout)


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """An engine with no network of its own."""
    log = tmp_path_factory.mktemp("dockerd") / "log"
    with engine(log, "--bridge=none", "--iptables=false") as found:
        yield found


@contextmanager
def engine(log: Path, *words: str) -> Iterator[Docker]:
    """Start a Docker engine, and stop it and remove all of it at the end.

    Those with a network share the kernel's bridge and tables: one at a time.
    """
    with ExitStack() as stack:
        if "--bridge=none" not in words:
            stack.enter_context(files.lock(Path("/tmp/lockstitch-tests-network.lock")))
        yield from _engine(log, *words)


def _engine(log: Path, *words: str) -> Iterator[Docker]:
    # A short path: a socket's name has at most 107 bytes.
    folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/dk.XXXXXX"], text=True).strip())
    host = f"unix://{folder}/docker.sock"
    places = ["--host", host, "--data-root", str(folder / "data")]
    places += ["--exec-root", str(folder / "x"), "--pidfile", str(folder / "pid")]
    with log.open("wb") as output:
        command = [program("dockerd"), *places, *words]
        running = subprocess.Popen(command, stdout=output, stderr=output)
    found = Docker(host)
    try:
        for _ in range(300):
            if found.run("version", check=False).returncode == 0:
                break
            assert running.poll() is None, log.read_text()[-3000:]
            time.sleep(0.1)
        else:
            pytest.fail(f"dockerd does not answer: {log.read_text()[-3000:]}")
        yield found
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(30)
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder of an engine, which leaves its network's name space mounted there."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in sorted(mounts, reverse=True):  # what is mounted in another first
        if folder in Path(place).parents:
            subprocess.run(["umount", place], check=True)
    shutil.rmtree(folder)
