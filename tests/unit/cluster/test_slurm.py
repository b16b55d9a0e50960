"""Scripts of Slurm, and targets of pyproject.toml, without a cluster."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lockstitch.cluster import slurm
from lockstitch.cluster.job import Job, folder
from lockstitch.cluster.slurm import Entry, Places
from lockstitch.errors import LockstitchError
from lockstitch.python.load import read
from lockstitch.python.model import Project, TargetSpec

IMAGE = {"command": ["python", "train.py"], "outputs": ["models", "my logs"]}


def project(root: Path, **targets: object) -> Project:
    own = {"images": {"train": IMAGE}, "targets": targets}
    return read({"project": {"name": "de mo;"}, "tool": {"lockstitch": own}}, root)


def job(root: Path, **target: object) -> Job:
    loaded = project(root, c={"engine": "slurm", **target})
    spec, where = loaded.images[0], loaded.targets[0]
    return Job(
        project=loaded,
        target=where,
        spec=spec,
        arguments=("--lr", "0.1; rm x"),
        image=None,
        folder=folder(loaded, where, spec),
    )


def script(job: Job, runtime: str) -> str:
    places = Places("/p", '"/j b"', "/j")
    return slurm.script(job, Entry(runtime, "/image", "/app/.venv/bin/python"), places)


@pytest.mark.parametrize("runtime", ["charliecloud", "apptainer", "pyxis", "podman-hpc", "venv"])
def test_each_script_is_bash_and_quotes_what_it_was_given(tmp_path: Path, runtime: str) -> None:
    text = script(job(tmp_path, nodes=4, allow=["cpu"]), runtime)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    assert text.endswith("-- python train.py --lr '0.1; rm x'\n")
    assert "#SBATCH --nodes=4\n#SBATCH --ntasks-per-node=1\n" in text
    assert "#SBATCH --job-name=de-mo-train\n" in text
    assert "'my logs'" in text
    assert "--allow cpu" in text


def test_a_script_says_what_the_target_says(tmp_path: Path) -> None:
    wanted = {
        "cpus-per-task": 4,
        "gpus-per-node": 2,
        "memory": "16GB",
        "time": "1-02:00:00",
        "partition": "gpu",
        "array": "0-7%2",
        "requeue": True,
        "options": ["--account=team"],
    }
    text = script(job(tmp_path, **wanted), "apptainer")
    head = [line.removeprefix("#SBATCH ") for line in text.splitlines() if "#SBATCH" in line]
    assert head == [
        "--job-name=de-mo-train",
        "--nodes=1",
        "--ntasks-per-node=1",
        "--cpus-per-task=4",
        "--gpus-per-node=2",
        "--mem=16000M",
        "--time=1-02:00:00",
        "--partition=gpu",
        "--array=0-7%2",
        "--requeue",
        "--open-mode=append",
        "--output=/j/job-%A-%a.log",
        "--account=team",
    ]
    assert "apptainer exec --no-home --nv" in text


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({}, "engine` is missing"),
        ({"engine": "pbs"}, "engine` is `pbs`"),
        ({"engine": "ray"}, "address` is missing"),
        ({"engine": "slurm", "time": "two hours"}, "time` is `two hours`, not a time"),
        ({"engine": "slurm", "options": ["--a\n#SBATCH"]}, "which is no option of sbatch"),
        ({"engine": "slurm", "node": 2}, "node` is not a setting"),
    ],
)
def test_a_target_that_does_not_fit_is_named(
    tmp_path: Path, target: dict[str, object], message: str
) -> None:
    with pytest.raises(LockstitchError, match=message):
        project(tmp_path, c=target)


def test_a_target_that_is_none_has_its_near_miss(tmp_path: Path) -> None:
    loaded = project(tmp_path, cluster={"engine": "slurm"})
    with pytest.raises(LockstitchError, match="`clutser` is not a target") as caught:
        loaded.target("clutser")
    assert caught.value.hint == "did you mean `cluster`?"


def test_a_shared_folder_holds_jobs_and_images(tmp_path: Path) -> None:
    loaded = project(tmp_path)
    target = TargetSpec(name="c", engine="slurm")
    spec = loaded.images[0]
    assert folder(loaded, target, spec) == tmp_path / ".lockstitch" / "jobs" / "c" / "train"
    shared = folder(loaded, replace(target, shared="/scratch"), spec)
    assert shared == Path("/scratch/de mo;/jobs/c/train")
