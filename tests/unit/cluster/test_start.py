"""What a target of Ray needs before anything of it starts."""

import socket
import venv
from pathlib import Path

import pytest

from lockstitch.cluster import start
from lockstitch.cluster.job import Job
from lockstitch.errors import LockstitchError
from lockstitch.process import Command
from lockstitch.progress import Quiet
from lockstitch.python.load import read


def on_ray(root: Path, address: str, *packages: str) -> None:
    venv.create(root / "env", symlinks=True)
    (site,) = root.glob("env/lib/python3*/site-packages")
    for name in packages:
        (site / name).mkdir()
    own = {
        "images": {"train": {"command": ["python", "train.py"]}},
        "targets": {"rays": {"engine": "ray", "address": address}},
    }
    project = read({"project": {"name": "demo"}, "tool": {"lockstitch": own}}, root)
    job = Job(
        project=project,
        target=project.targets[0],
        spec=project.images[0],
        arguments=(),
        image=None,
        folder=root / "job",
    )
    command = Command(words=("true",), cwd=root, env={"VIRTUAL_ENV": str(root / "env")})
    start.on_ray(job, command, lambda _: 0, Quiet(), 0)


@pytest.mark.parametrize(
    ("address", "packages", "missing"),
    [
        ("head:6379", (), "ray"),
        ("ray://head:10001", (), "ray"),
        ("http://head:8265", ("ray",), "ray[default]"),
    ],
)
def test_an_image_without_ray_is_refused(
    address: str, packages: tuple[str, ...], missing: str, tmp_path: Path
) -> None:
    with pytest.raises(LockstitchError) as caught:
        on_ray(tmp_path, address, *packages)
    assert f"the image `train` has no {missing}, which" in caught.value.message
    assert f"uv add '{missing}'" in str(caught.value.hint)


@pytest.mark.parametrize("scheme", ["", "ray://", "http://"])
def test_an_address_that_nobody_listens_at_is_refused(scheme: str, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(LockstitchError, match="nothing listens at") as caught:
            on_ray(tmp_path, address, "ray", "aiohttp")
    assert address in caught.value.message
