"""The image of a project: its config, whole, and what each setting changes."""

import dataclasses
import hashlib
import json

import pytest
from support import values
from support.images import check_golden, layer

from lockstitch.digest import of_bytes
from lockstitch.image import assemble
from lockstitch.image.plan import Prepared
from lockstitch.lock.bases.debian import DebianBase
from lockstitch.oci.entry import file
from lockstitch.oci.model import Image, Platform
from lockstitch.oci.validate import problems
from lockstitch.python.model import ImageSpec

SERVE = ImageSpec(
    name="serve",
    command=("uvicorn", "api:app", "--port", "8000"),
    env={"MODEL": "models/model.onnx", "LANG": "de_DE.UTF-8"},
    labels={"team": "churn", "dev.lockstitch.python": "mine"},
    port=8000,
    health="/health",
)
PROJECT = values.project(images=(SERVE,), is_package=True)
BASE = values.debian_base()
LAYERS = [
    layer([file("a", b"base")], "debian bookworm: system"),
    layer([file("b", b"app")], "app files"),
]


def prepared(spec: ImageSpec = SERVE, base: DebianBase = BASE) -> Prepared:
    return Prepared(
        spec=spec,
        base=base,
        wheels=(),
        files=(),
        project_wheel=None,
        layers=(),
        created=1_700_000_000,
        lock=of_bytes(b"pylock"),
    )


def config(made: Image) -> dict[str, object]:
    found: dict[str, object] = json.loads(made.config_bytes())["config"]
    return found


def test_config_golden(pytestconfig: pytest.Config) -> None:
    made = assemble.image(prepared(), PROJECT, LAYERS)
    data = made.config_bytes()
    text = json.dumps(json.loads(data), indent=2)
    digest = hashlib.sha256(data).hexdigest()
    check_golden(pytestconfig, "assemble/config.json.txt", f"{text}\n\nsha256:{digest}\n")
    assert problems(made) == []


def test_a_bare_image_golden(pytestconfig: pytest.Config) -> None:
    bare = ImageSpec(name="train")
    project = dataclasses.replace(PROJECT, version="")
    data = assemble.image(prepared(bare), project, LAYERS).config_bytes()
    text = json.dumps(json.loads(data), indent=2)
    digest = hashlib.sha256(data).hexdigest()
    check_golden(pytestconfig, "assemble/bare.json.txt", f"{text}\n\nsha256:{digest}\n")


def test_no_image_runs_as_root() -> None:
    found = config(assemble.image(prepared(), PROJECT, LAYERS))
    assert found["User"] == "65532:65532"
    assert found["WorkingDir"] == "/app"


def test_the_environment_s_programs_come_first() -> None:
    found = config(assemble.image(prepared(ImageSpec(name="train")), PROJECT, LAYERS))
    env = dict(item.split("=", 1) for item in found["Env"])
    assert env["PATH"].split(":")[0] == "/app/.venv/bin"
    assert env["PYTHONDONTWRITEBYTECODE"] == "1"


def test_what_the_table_says_wins_over_ours() -> None:
    found = config(assemble.image(prepared(), PROJECT, LAYERS))
    assert "LANG=de_DE.UTF-8" in found["Env"]
    assert found["Labels"]["dev.lockstitch.python"] == "mine"


def test_the_health_check_asks_the_port_with_the_image_s_python() -> None:
    found = config(assemble.image(prepared(), PROJECT, LAYERS))
    assert found["ExposedPorts"] == {"8000/tcp": {}}
    assert found["Healthcheck"]["Test"] == [
        *("CMD", "/app/.venv/bin/python", "-I"),
        *("/app/.lockstitch/health.py", "8000", "/health"),
    ]


def test_without_port_and_health_there_is_neither() -> None:
    found = config(assemble.image(prepared(ImageSpec(name="train")), PROJECT, LAYERS))
    assert not {"ExposedPorts", "Healthcheck", "Cmd"} & found.keys()


def test_the_platform_is_the_base_s() -> None:
    arm = dataclasses.replace(BASE, platform="linux/arm64")
    made = assemble.image(prepared(base=arm), PROJECT, LAYERS)
    assert made.platform == Platform(os="linux", architecture="arm64")
    assert json.loads(made.config_bytes())["architecture"] == "arm64"
    assert made.created == 1_700_000_000
    assert made.layers == tuple(LAYERS)


def test_names_carry_the_platform_only_where_there_are_several() -> None:
    amd, arm = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
    two = dataclasses.replace(PROJECT, platforms=("linux/amd64", "linux/arm64"))
    assert assemble.reference(SERVE, amd, PROJECT) == "serve"
    assert assemble.reference(SERVE, amd, two) == "serve-amd64"
    assert assemble.reference(SERVE, arm, two) == "serve-arm64"
