"""One lock, several images: each with the packages of its accelerator."""

import json
import random
from pathlib import Path

import pytest
from support import projects, wheels
from support.engine import install
from support.programs import stand_in
from support.wheels import Index
from support.world import World

from lockstitch.cli.main import main
from lockstitch.digest import Digest
from lockstitch.oci.layout import Layout
from lockstitch.python.size import shown

LINUX = "cp311-cp311-manylinux_2_28_x86_64"
PYPROJECT = """\
[project]
name = "tiny"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["alpha>=1"]

[project.optional-dependencies]
cpu = ["torch>=2"]
cu12 = ["torch>=2"]
cu130 = ["torch>=2"]

[tool.uv]
package = false
conflicts = [[{{ extra = "cpu" }}, {{ extra = "cu12" }}, {{ extra = "cu130" }}]]

[tool.uv.sources]
torch = [
    {{ index = "pytorch-cpu", extra = "cpu" }},
    {{ index = "pytorch-cu128", extra = "cu12" }},
    {{ index = "pytorch-cu130", extra = "cu130" }},
]

[[tool.uv.index]]
name = "pytorch-cpu"
url = "{address}/whl/cpu"
explicit = true

[[tool.uv.index]]
name = "pytorch-cu128"
url = "{address}/whl/cu128"
explicit = true

[[tool.uv.index]]
name = "pytorch-cu130"
url = "{address}/whl/cu130"
explicit = true

[tool.lockstitch]
python = "3.11"

[tool.lockstitch.images.serve]
groups = ["cpu"]
include = ["main.py"]
command = ["python", "main.py"]

[tool.lockstitch.images.train]
groups = ["cu12"]
include = ["main.py"]
command = ["python", "main.py"]

[tool.lockstitch.images.tune]
groups = ["cu130"]
include = ["main.py"]
command = ["python", "main.py"]
"""


@pytest.fixture
def indexes(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Serve torch as PyTorch's indexes do: HTML, local versions, and no sizes."""
    for channel, requires in (
        ("cpu", []),
        ("cu128", ["nvidia-cuda-runtime-cu12==12.8.90", "nvidia-nccl-cu12==2.27.3"]),
        ("cu130", ["nvidia-cuda-runtime==13.0.48", "nvidia-nccl-cu13==2.27.7"]),
    ):
        index = Index(world.server, channel=channel)
        index.publish(wheels.wheel("torch", f"2.9.0+{channel}", requires=requires, tag=LINUX))
    for name, version in (
        ("nvidia-cuda-runtime-cu12", "12.8.90"),
        ("nvidia-nccl-cu12", "2.27.3"),
        ("nvidia-cuda-runtime", "13.0.48"),
        ("nvidia-nccl-cu13", "2.27.7"),
    ):
        files = {f"nvidia/{name}/lib.so": b"\0" * 600_000}
        tag = "py3-none-manylinux_2_18_x86_64"
        world.index.publish(wheels.wheel(name, version, files, tag=tag))
    world.index.publish(wheels.wheel("xgboost", "3.0", requires=["nvidia-nccl-cu12"]))
    world.index.publish(wheels.wheel("torch", "2.9.0", tag=LINUX))
    stand_in(tmp_path / "bin" / "nvidia-smi", "exit 9")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{world.variables()['PATH']}")
    return world


def project(folder: Path, world: World, *changes: tuple[str, str]) -> Path:
    text = PYPROJECT.format(address=world.server.address)
    root = projects.write_files(
        folder / "tiny", {"pyproject.toml": text, "main.py": "import torch\n"}
    )
    for old, new in changes:
        projects.replace(root, old, new)
    assert main(["lock", "--quiet", "--project", str(root)]) == 0
    return root


def config(root: Path, image: str) -> dict[str, dict[str, object]]:
    layout = Layout(root / ".lockstitch" / "images")
    manifest = layout.document(layout.manifest_digest(image))
    found: dict[str, dict[str, object]] = layout.document(
        Digest.parse(manifest["config"]["digest"])
    )["config"]
    return found


@pytest.mark.slow
def test_one_lock_for_three_images(
    indexes: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project(tmp_path, indexes)
    assert main(["build", "--project", str(root)]) == 0
    error = capsys.readouterr().err
    assert "note: train has CUDA 12.8: 3 packages, " in error
    assert "needs NVIDIA's driver 525 or newer, not compared: this machine has none" in error
    assert "note: tune has CUDA 13.0: 3 packages, " in error
    assert "serve has" not in error
    assert "unknown size" not in error
    assert error.index("note: train") < error.index("* fetch")
    train, serve = config(root, "train"), config(root, "serve")
    assert "NVIDIA_VISIBLE_DEVICES=all" in train["Env"]
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in train["Env"]
    assert train["Labels"]["dev.lockstitch.cuda"] == "12.8"
    assert train["Labels"]["dev.lockstitch.cuda.driver"] == ">=525"
    assert config(root, "tune")["Labels"]["dev.lockstitch.cuda.driver"] == ">=580"
    assert not [each for each in serve["Env"] if str(each).startswith("NVIDIA")]
    assert not [each for each in serve["Labels"] if "cuda" in each]
    torch = indexes.server.address + "/whl/cu128/torch-2.9.0%2Bcu128-" + LINUX + ".whl"
    assert f'url = "{torch}", size = ' in (root / "pylock.train.toml").read_text()
    wanted = {"serve": "2.9.0+cpu", "train": "2.9.0+cu128", "tune": "2.9.0+cu130"}
    for image, version in wanted.items():
        text = (root / f"pylock.{image}.toml").read_text()
        assert f'version = "{version}"' in text
        assert version.replace("+", "%2B") in text


@pytest.mark.slow
def test_a_dockerfile_has_the_same_variables(indexes: World, tmp_path: Path) -> None:
    root = project(tmp_path, indexes)
    assert main(["export", "dockerfile", "--project", str(root)]) == 0
    text = (root / "Dockerfile.train").read_text()
    assert 'NVIDIA_VISIBLE_DEVICES="all"' in text
    assert 'dev.lockstitch.cuda="12.8"' in text
    assert "NVIDIA" not in (root / "Dockerfile.serve").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # The ordinary index has no CUDA build: what a marker or a fallback comes to.
        (
            '    { index = "pytorch-cu128", extra = "cu12" },\n',
            "",
            "`torch 2.9.0` is for the CPU, and image `train` asks for CUDA 12 (its extra `cu12`)",
        ),
        (
            'index = "pytorch-cu128", extra = "cu12"',
            'index = "pytorch-cu130", extra = "cu12"',
            "`torch 2.9.0+cu130` is for CUDA 13.0, and image `train` asks for CUDA 12 (its extra",
        ),
        (
            'groups = ["cpu"]',
            'groups = ["cpu"]\naccelerator = "cuda"',
            "`torch 2.9.0+cpu` is for the CPU, and image `serve` asks for CUDA (`accelerator`)",
        ),
        (
            'groups = ["cu12"]',
            'accelerator = "rocm"\nallow-missing = ["torch"]',
            "no package of image `train` is for ROCm, which it asks for (`accelerator`)",
        ),
    ],
    ids=["cpu-for-cuda", "other-cuda", "setting", "nothing"],
)
def test_another_accelerator_than_the_image_asks_for(
    old: str,
    new: str,
    said: str,
    indexes: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = project(tmp_path, indexes, (old, new))
    capsys.readouterr()
    assert main(["build", "--project", str(root)]) == 1
    error = capsys.readouterr().err
    assert f"error: {said}" in error
    assert ", on linux/amd64\n" in error
    assert "fetch" not in error
    assert not (root / ".lockstitch" / "images").exists()


@pytest.mark.slow
def test_two_stacks_and_cuda_for_a_cpu(
    indexes: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project(tmp_path, indexes, ('"alpha>=1"', '"alpha>=1", "xgboost"'))
    weight = shown(
        len(indexes.index.files["nvidia_nccl_cu12-2.27.3-py3-none-manylinux_2_18_x86_64.whl"].data)
    )
    assert main(["build", "--project", str(root)]) == 0
    error = capsys.readouterr().err
    assert (
        f"warning: tune has CUDA 12 beside CUDA 13.0, {weight} that nothing of CUDA 13.0 loads: "
        "nvidia-nccl-cu12 2.27.3, for xgboost\n"
    ) in error
    assert (
        f"warning: serve is for the CPU (its extra `cpu`), and {weight} of its packages are for "
        "CUDA 12: nvidia-nccl-cu12 2.27.3, for xgboost\n"
    ) in error
    assert "train has CUDA 12 beside" not in error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("driver", "said"),
    [
        ("470.82.01", "needs NVIDIA's driver 525 or newer, this machine has 470.82.01: too old"),
        ("550.54.14", "this machine has 550.54.14; what is compiled while it runs needs 570"),
        ("580.65.06", "needs NVIDIA's driver 525 or newer, this machine has 580.65.06\n"),
    ],
)
def test_the_driver_of_this_machine(
    driver: str, said: str, indexes: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(tmp_path / "bin" / "nvidia-smi", f"echo {driver}")
    root = project(tmp_path, indexes)
    assert main(["build", "train", "--project", str(root)]) == 0
    assert said in capsys.readouterr().err
    assert main(["build", "train", "--json", "--project", str(root)]) == 0
    output = capsys.readouterr()
    assert "note:" not in output.err
    assert json.loads(output.out)[0]["accelerator"] == {
        "cuda": "12.8",
        "driver": "525",
        "driver_here": driver,
        "packages": [
            "nvidia-cuda-runtime-cu12 12.8.90",
            "nvidia-nccl-cu12 2.27.3",
            "torch 2.9.0+cu128",
        ],
        "other_cuda": [],
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("docker", ["--gpus", "all", "--env", "CUDA_VISIBLE_DEVICES=1"]),
        ("podman", ["--device", "nvidia.com/gpu=all", "--env", "CUDA_VISIBLE_DEVICES=1"]),
    ],
)
def test_gpus_of_a_container(
    name: str, words: list[str], indexes: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path, indexes)
    state = install(tmp_path / "bin", name)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{indexes.programs}:/usr/bin:/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert main(["run", "train", "--in-image", "--gpus", "--project", str(root)]) == 0
    asked = next(each for each in json.loads(state.read_text())["asked"] if each[0] == "run")
    assert " ".join(words) in " ".join(asked)
    assert main(["run", "train", "--in-image", "--project", str(root)]) == 0
    asked = [each for each in json.loads(state.read_text())["asked"] if each[0] == "run"][-1]
    assert "--gpus" not in asked
    assert "--device" not in asked


def test_gpus_without_a_container(
    indexes: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project(tmp_path, indexes)
    assert main(["run", "train", "--gpus", "--project", str(root)]) == 2
    assert "hint: lockstitch run train --in-image --gpus" in capsys.readouterr().err


@pytest.mark.slow
def test_a_large_wheel_of_an_index_without_sizes_has_a_layer_of_its_own(
    indexes: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = Index(indexes.server, channel="cpu")
    large = random.Random(1).randbytes(9 << 20)
    index.publish(
        wheels.wheel("torch", "2.9.0+cpu", {"torch/__init__.py": b"", "l": large}, tag=LINUX)
    )
    root = project(tmp_path, indexes)
    before = (root / "pylock.serve.toml").read_bytes()
    indexes.server.asked.clear()
    assert main(["lock", "--quiet", "--project", str(root)]) == 0
    assert (root / "pylock.serve.toml").read_bytes() == before
    assert not [each for each in indexes.server.asked if each.range == "bytes=0-0"]
    capsys.readouterr()
    assert main(["build", "serve", "--json", "--project", str(root)]) == 0
    plan = json.loads(capsys.readouterr().out)[0]["plan"]
    assert "torch 2.9.0+cpu" in [each["title"] for each in plan]


@pytest.mark.slow
def test_a_package_that_an_override_leaves_out(
    indexes: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    override = "override-dependencies = [\"nvidia-nccl-cu12; sys_platform == 'never'\"]"
    root = project(
        tmp_path,
        indexes,
        ('"alpha>=1"', '"alpha>=1", "xgboost"'),
        ("package = false", f"package = false\n{override}"),
    )
    capsys.readouterr()
    assert main(["build", "serve", "tune", "--project", str(root)]) == 0
    error = capsys.readouterr().err
    assert "warning" not in error
    assert "nvidia-nccl-cu12" not in (root / "pylock.serve.toml").read_text()


@pytest.mark.slow
def test_what_xgboost_runs_without_is_told(
    indexes: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project(
        tmp_path,
        indexes,
        ('"alpha>=1"', '"alpha>=1", "xgboost"'),
        ('groups = ["cpu"]', 'allow-missing = ["torch"]'),
    )
    assert main(["build", "serve", "--project", str(root)]) == 0
    line = "override-dependencies = [\"nvidia-nccl-cu12; sys_platform == 'never'\"]"
    error = capsys.readouterr().err
    assert "note: serve has CUDA 12: 1 package, " in error
    assert f"; xgboost runs without: {line} in [tool.uv]\n" in error
    projects.replace(root, "package = false", f"package = false\n{line}")
    assert main(["lock", "--project", str(root)]) == 0
    capsys.readouterr()
    assert main(["build", "serve", "--project", str(root)]) == 0
    assert "CUDA" not in capsys.readouterr().err
