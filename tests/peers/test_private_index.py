"""A private index whose password is in a real keyring: uv locks, lockstitch builds."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import projects
from support.programs import venv as make_venv
from support.world import World, running

pytestmark = [pytest.mark.peers, pytest.mark.network]

USER, PASSWORD = "bob", "k3yr1ng-pässword"
# Named, so that a guess of uv's own at an index of this machine cannot help.
INDEX = '\n[[tool.uv.index]]\nname = "priv"\nurl = "{}"\ndefault = true\n'


@dataclass(frozen=True)
class Ring:
    """keyring with a plain file, and the variables that make it so."""

    program: Path
    environment: dict[str, str]

    def set(self, service: str) -> None:
        words = [self.program, "set", service, USER]
        subprocess.run(words, input=PASSWORD, text=True, env=self.environment, check=True)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    venv = tmp_path_factory.mktemp("keyring") / "venv"
    return make_venv(venv, "keyring==25.7.0", "keyrings.alt==5.0.2").parent


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running(tmp_path / "world") as made:
        for folder in ("/simple/", "/files/"):
            made.server.protect(folder, USER, PASSWORD)
        yield made


@pytest.fixture
def ring(programs: Path, world: World, tmp_path: Path) -> Ring:
    home = tmp_path / "home"
    home.mkdir()
    prefixes = ("UV_", "PIP_", "XDG_", "LOCKSTITCH_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(prefixes)}
    environment = (
        kept
        | world.variables()
        | {
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "LOCKSTITCH_CACHE": str(tmp_path / "store"),
            "PATH": os.pathsep.join([str(world.programs), str(programs), os.environ["PATH"]]),
            "PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring",
            "UV_CACHE_DIR": str(tmp_path / "uv"),
            "UV_KEYRING_PROVIDER": "subprocess",
            "UV_PYTHON": sys.executable,
            "UV_PYTHON_DOWNLOADS": "never",
            "LC_ALL": "C.UTF-8",
        }
    )
    del environment["UV_DEFAULT_INDEX"]
    return Ring(programs / "keyring", environment)


def lockstitch(project: Path, ring: Ring, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lockstitch", *words]
    return subprocess.run(
        command, cwd=project, env=ring.environment, capture_output=True, text=True, check=False
    )


# `authenticate = "always"` asks keyring for the user too, which no backend of a plain file knows.
@pytest.mark.parametrize("way", ["user in the address", "user in a variable"])
def test_keyring_gives_the_password_to_uv_and_to_us(
    way: str, ring: Ring, world: World, tmp_path: Path
) -> None:
    url = world.index.url
    if way == "user in the address":
        url = url.replace("//", f"//{USER}@")
    else:
        ring.environment["UV_INDEX_PRIV_USERNAME"] = USER
    pyproject = projects.PYPROJECT + INDEX.format(url)
    project = projects.write(tmp_path / "tiny", pyproject=pyproject)
    refused = lockstitch(project, ring, "lock")
    assert refused.returncode == 1
    ring.set(world.server.address.removeprefix("http://"))
    done = [lockstitch(project, ring, "lock"), lockstitch(project, ring, "build")]
    assert [each.returncode for each in done] == [0, 0], done[-1].stderr + done[0].stderr
    ours = [asked for asked in world.server.asked if asked.path.startswith("/files/gamma")]
    assert ours[-1].authorization.startswith("Basic ")
    said = "".join(each.stdout + each.stderr for each in [refused, *done])
    _check_nothing_is_left(said, project, tmp_path / "store")


def _check_nothing_is_left(said: str, *folders: Path) -> None:
    wanted = [PASSWORD.encode(), base64.b64encode(f"{USER}:{PASSWORD}".encode())]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(paths) > 20
    for name, data in [("output", said.encode()), *((str(p), p.read_bytes()) for p in paths)]:
        assert not any(secret in data for secret in wanted), name
