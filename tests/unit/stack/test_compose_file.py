"""docker-compose.yml, and the programs that start services in their images."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.images import check_golden
from support.programs import stand_in

from lockstitch import services
from lockstitch.cli import stacks
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.lock import file
from lockstitch.python.load import load
from lockstitch.python.model import StackSpec
from lockstitch.runtime.stack import sh
from lockstitch.stack import compose, control
from lockstitch.stack.compose import Compose
from lockstitch.stack.services import objects

IMAGES = {name: of_bytes(name.encode()) for name in services.NAMES}


def test_the_file(pytestconfig: pytest.Config) -> None:
    check_golden(pytestconfig, "docker-compose.yml", compose.render(StackSpec(), IMAGES))


def test_a_store_of_ones_own_is_not_started() -> None:
    stack = StackSpec(endpoint="https://minio.example.test:9000", bucket="team", region="eu-1")
    found = yaml.safe_load(compose.render(stack, IMAGES))
    assert sorted(found["services"]) == ["mlflow", "postgres"]
    assert sorted(found["volumes"]) == ["postgres"]
    mlflow = found["services"]["mlflow"]
    assert mlflow["environment"]["MLFLOW_S3_ENDPOINT_URL"] == stack.endpoint
    assert "s3://team/artifacts" in mlflow["command"]
    assert sorted(mlflow["depends_on"]) == ["postgres"]


def test_several_platforms_leave_the_choice_to_a_variable() -> None:
    found = yaml.safe_load(compose.render(StackSpec(), IMAGES, several=True))
    image = found["services"]["mlflow"]["image"]
    assert image == f"${{LOCKSTITCH_MLFLOW_IMAGE:-{compose.tag('mlflow', IMAGES['mlflow'])}}}"


def test_a_dollar_is_no_variable_of_compose() -> None:
    text = compose.render(StackSpec(region="$HOME"), IMAGES)  # pyproject.toml would be refused
    assert '"$$HOME"' in text


def test_two_folders_of_one_name_have_stacks_of_their_own(locked: Path, tmp_path: Path) -> None:
    here = load(locked)
    there = dataclasses.replace(here, root=tmp_path / "other" / locked.name)
    names = [Compose(project=p, docker=Path("docker"), words=()).name for p in (here, there)]
    assert names[0] != names[1]
    assert all(name.startswith("tiny-") for name in names)


def test_the_plan_of_a_stack_without_containers_is_no_obstacle(
    locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    words = (str(stand_in(tmp_path / "compose", f"env > {said}")),)
    project = load(locked)
    there = control.folder_of(project)
    there.make()
    there.write(there.plan, {"ports": objects.PORTS | {"postgres": 7, "objects": 8, "mlflow": 9}})
    Compose(project=project, docker=Path("docker"), words=words)._call("down")
    told = dict(line.partition("=")[::2] for line in said.read_text().splitlines())
    assert told["LOCKSTITCH_MLFLOW_PORT"] == "9"
    assert told["LOCKSTITCH_ADMIN_PORT"] == "23646"


def test_a_store_on_loopback_is_refused(locked: Path) -> None:
    stack = StackSpec(declared=True, runner="compose", endpoint="http://127.0.0.1:9000")
    project = dataclasses.replace(load(locked), stack=stack)
    with pytest.raises(LockstitchError, match="an address of the container itself"):
        Compose(project=project, docker=Path("docker"), words=()).up(lambda _: None)
    assert not (locked / ".lockstitch" / "stack").exists()


def test_without_images_in_the_lock_there_is_no_file(locked: Path) -> None:
    project = dataclasses.replace(load(locked), stack=StackSpec(declared=True, runner="compose"))
    lock = dataclasses.replace(
        file.read(locked),
        services=(
            file.LockedService(name="mlflow", version="1", requirements=IMAGES["mlflow"]),
        ),
    )  # fmt: skip
    with pytest.raises(LockstitchError, match="names no images of the services yet"):
        stacks.rendered(project, lock)


def test_the_lists_name_their_package() -> None:
    for name in services.NAMES:
        assert services.version(name)[0].isdigit()
        assert "--hash=sha256:" in services.requirements(name)
        assert "@" not in services.requirements(name)


@pytest.mark.parametrize(
    ("text", "words", "opened"),
    [
        ('"/a b/postgres" -V', ["/a b/postgres", "-V"], {}),
        (
            '"/x/postgres" --check -c a=1 < "/dev/null" > "/dev/null" 2>&1',
            ["/x/postgres", "--check", "-c", "a=1"],
            {0: "/dev/null", 1: "/dev/null", 2: 1},
        ),
        ("p --single template1 >/dev/null", ["p", "--single", "template1"], {1: "/dev/null"}),
    ],
)
def test_what_initdb_asks_a_shell_for(
    text: str, words: list[str], opened: dict[int, str | int]
) -> None:
    assert sh.parse(text) == (words, opened)


@pytest.mark.parametrize("text", ["a; b", "a | b", "a && b", "a $HOME", "a `b`", "a > f >> g", ""])
def test_what_only_a_shell_can_do_is_refused(text: str) -> None:
    with pytest.raises(SystemExit, match=r"^sh: "):
        sh.parse(text)


def test_the_shell_runs_a_command(tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = tmp_path / "script.py"
    script.write_text("import sys; print([sys.stdin.read()], flush=True); sys.exit('bad')")
    text = f'"{sys.executable}" "{script}" < "/dev/null" > "{said}" 2>&1'
    done = subprocess.run([sys.executable, sh.__file__, "-c", text], check=False)
    assert done.returncode == 1
    assert said.read_text() == "['']\nbad\n"
    refused = subprocess.run([sys.executable, sh.__file__, "x"], capture_output=True, check=False)
    assert refused.returncode == 1


def test_secrets_reach_a_service_and_its_config_is_its_own(tmp_path: Path) -> None:
    """The store's program is stood in for: it prints what it was started with."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "objects").write_text("AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b=c\n")
    show = "import os,sys; print(os.environ['AWS_SECRET_ACCESS_KEY'], sys.argv[1:])"
    stand_in(tmp_path / "weed", f"#!{sys.executable}\n{show}\n")
    program = (
        "import sys; from pathlib import Path; from lockstitch.runtime.stack import container as c;"
        f"c.SECRETS = Path({str(secrets)!r}); c.CONFIG = Path({str(tmp_path / 'c.json')!r});"
        f"sys.executable = {str(tmp_path / 'python')!r}; c.main('objects', ['-x'])"
    )
    out = subprocess.check_output([sys.executable, "-c", program], text=True, env=os.environ)
    assert out == f"b=c ['-x', '-s3.config={tmp_path / 'c.json'}']\n"
    config = tmp_path / "c.json"
    assert config.stat().st_mode & 0o777 == 0o600
    (identity,) = json.loads(config.read_text())["identities"]
    assert identity["credentials"] == [{"accessKey": "a", "secretKey": "b=c"}]
