"""Every test has a home, a store and a network of its own: nothing here leaves loopback."""

import functools
import gc
import itertools
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from support import projects
from support.registry import Registry
from support.registry import run as run_registry
from support.world import World, running, seed

from lockstitch.cli.main import main
from lockstitch.oci import deflate

# Seeded and without a data base: a run shows the same on every machine. `make test` takes the quick
# profile; HYPOTHESIS_PROFILE=search looks at other examples each time.
settings.register_profile("quick", derandomize=True, deadline=None, database=None, max_examples=30)
settings.register_profile("ci", derandomize=True, deadline=None, database=None, max_examples=100)
settings.register_profile("search", deadline=None, database=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# What our encoder makes of the same bytes is the same: most tests build the same small images.
deflate.compress = functools.lru_cache(1024)(deflate.compress)

# What a developer's shell may hold and a test must not see.
_DROPPED = (
    *("SOURCE_DATE_EPOCH", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "CI", "VIRTUAL_ENV", "TZ"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
    *("NO_PROXY", "no_proxy"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"),
    *("DOCKER_CONFIG", "REGISTRY_AUTH_FILE"),
)
_PREFIXES = ("LOCKSTITCH_", "UV_", "GIT_", "PIP_", "PYTHON")


# A shell starts what runs beside it with SIGINT ignored, and our children would take that over.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Thousands of tests are collected, which each search for garbage would look at again and again.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden", action="store_true", help="rewrite what is expected: golden/, stories/, rules/"
    )


@pytest.fixture(scope="session")
def uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """uv's cache, shared by the whole run: what is in it is found by address or by hash."""
    return tmp_path_factory.mktemp("uv")


def set_variables(patch: pytest.MonkeyPatch, home: Path, uv_cache: Path) -> None:
    """Set every variable that could make one machine differ from another."""
    for name in [*os.environ]:
        if name in _DROPPED or name.startswith(_PREFIXES):
            patch.delenv(name)
    patch.setenv("HOME", str(home))
    patch.setenv("LOCKSTITCH_CACHE", str(home / "store"))
    patch.setenv("LOCKSTITCH_JOBS", "1")  # a worker costs 0.3 s, and most layers here 1 ms
    # Without a shim that pyenv puts before each Python: uv asks it again each time, for 0.2 s.
    places = os.environ["PATH"].split(os.pathsep)
    patch.setenv("PATH", os.pathsep.join(place for place in places if "shims" not in place))
    patch.setenv("LC_ALL", "C.UTF-8")
    patch.setenv("COLUMNS", "80")  # the width of help
    patch.setenv("UV_CACHE_DIR", str(uv_cache))
    patch.setenv("UV_PYTHON", sys.executable)
    patch.setenv("UV_PYTHON_DOWNLOADS", "never")
    for role in ("AUTHOR", "COMMITTER"):
        patch.setenv(f"GIT_{role}_NAME", "A. Tester")
        patch.setenv(f"GIT_{role}_EMAIL", "tester@example.test")
        patch.setenv(f"GIT_{role}_DATE", "2026-01-02T03:04:05Z")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make folders for tests, numbered by a count.

    pytest's own are numbered by the names of all that it made before, which takes milliseconds each
    after some thousand tests.
    """
    root, numbers = tmp_path_factory.mktemp("tests"), itertools.count()

    def make(name: str) -> Path:
        folder = root / f"{name}{next(numbers)}"
        folder.mkdir()
        return folder

    return make


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, folders: Callable[[str], Path]) -> Path:
    """Return a folder of the test's own, with its name."""
    return folders(re.sub(r"\W", "_", request.node.name)[:30])


@pytest.fixture
def isolated(
    folders: Callable[[str], Path], uv_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Give the test an environment of its own."""
    set_variables(monkeypatch, folders("home"), uv_cache)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no test cuts the power


@pytest.fixture(autouse=True)
def on_its_own(request: pytest.FixtureRequest) -> None:
    """Isolate every test but those that are about this very machine and its network."""
    if not any(request.node.get_closest_marker(name) for name in ("peers", "network")):
        request.getfixturevalue("isolated")
        request.getfixturevalue("only_loopback")


@pytest.fixture
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that connects to another machine."""

    def guard(name: str) -> None:
        connect = getattr(socket.socket, name)

        def guarded(self: socket.socket, address: object) -> object:
            host = address[0] if isinstance(address, tuple) else "localhost"  # a socket file
            if host not in {"127.0.0.1", "::1", "localhost"}:
                pytest.fail(f"connects to {address}; only tests marked `network` may")
            return connect(self, address)

        monkeypatch.setattr(socket.socket, name, guarded)

    guard("connect")
    guard("connect_ex")


@pytest.fixture(scope="session")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One index and one Debian archive for all tests that change neither."""
    with running(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def online(isolated: None, shared_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Point uv and lockstitch at the shared world."""
    return shared_world.enter(monkeypatch)


@pytest.fixture
def world(isolated: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Point uv and lockstitch at a world that the test may change."""
    with running(tmp_path / "world") as made:
        yield made.enter(monkeypatch)


@pytest.fixture
def registry() -> Iterator[Registry]:
    """Run a registry in this process, which misbehaves on order."""
    with run_registry() as made:
        yield made


@dataclass(frozen=True, slots=True)
class Once:
    """What is made once for a run: a locked project, and the store that built it."""

    project: Path
    store: Path


@pytest.fixture(scope="session")
def once(shared_world: World, uv_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Lock and build the tiny project once."""
    folder = tmp_path_factory.mktemp("once")
    made = Once(projects.write(folder / "tiny"), folder / "store")
    with pytest.MonkeyPatch.context() as patch:
        set_variables(patch, folder, uv_cache)
        shared_world.enter(patch)
        for words in (["lock"], ["build", "--layout", str(folder / "images")]):
            assert main([*words, "--quiet", "--project", str(made.project)]) == 0
    return made


@pytest.fixture
def locked(once: Once, online: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a locked project of the test's own, and go there.

    Its store has what the lock names and the backend's environment, which take 0.3 s to get,
    and nothing that lockstitch makes.
    """
    folder = tmp_path / "tiny"
    shutil.copytree(once.project, folder)
    seed(once.store, Path(os.environ["LOCKSTITCH_CACHE"]))
    monkeypatch.chdir(folder)
    return folder
