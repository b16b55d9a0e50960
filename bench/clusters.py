"""Start of a job on a cluster over the bare engine: `python bench/clusters.py [slurm|ray]`.

Two nodes on this machine. Each bare command starts the same program without a check of the ranks:
sbatch with Charliecloud (as root, with slurm-wlm and charliecloud), `ray job submit`, and a driver
of Ray here. All take turns, and the shortest of each counts.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from measure import environment, machine, run

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import ray, slurm

RUNS = 3
PROGRAM = Path(sys.executable).with_name("lockstitch")
PYPROJECT = """\
[project]
name = "empty"
version = "0.1"
requires-python = ">=3.11,<3.12"
dependencies = ["numpy"{more}]

[tool.uv]
package = false

[tool.lockstitch.images.train]
command = ["python", "train.py"]
include = ["train.py"]
outputs = ["models"]
"""
SLURM = """
[tool.lockstitch.targets.cluster]
engine = "slurm"
nodes = 2
"""
RAY = """
[tool.lockstitch.targets.driver]
engine = "ray"
address = "127.0.0.1:{port}"

[tool.lockstitch.targets.jobs]
engine = "ray"
address = "http://127.0.0.1:{dashboard}"
"""
BARE = """\
#!/bin/bash
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --output=/dev/null
export USER=root
exec srun ch-run {image} -- /app/.venv/bin/python -c "import numpy"
"""
Commands = dict[str, tuple[Sequence[str | Path], Mapping[str, str]]]


@contextlib.contextmanager
def on_slurm(root: Path) -> Iterator[list[Commands]]:
    """Run Slurm, and yield the commands to compare."""
    (root / "pyproject.toml").write_text(PYPROJECT.format(more="") + SLURM)
    (root / "train.py").write_text("import numpy\n")
    with slurm.running(root.parent / "cluster") as cluster:
        env = environment(**cluster.variables)
        run([PROGRAM, "lock"], cwd=root, env=env)
        run([PROGRAM, "run", "--dry-run", "train", "--on", "cluster"], cwd=root, env=env)
        image = next((root / ".lockstitch" / "cluster").glob("trial/images/*/root"))
        script = root / "bare.sbatch"
        script.write_text(BARE.format(image=image))
        yield [
            {
                "sbatch --wait, by hand": (["sbatch", "--wait", script], env),
                "lockstitch run --on": ([PROGRAM, "run", "train", "--on", "cluster"], env),
            }
        ]


@contextlib.contextmanager
def on_ray(root: Path) -> Iterator[list[Commands]]:
    """Run Ray, and yield the commands to compare: of a driver here, and of a job."""
    port, dashboard = ray.free_port(), ray.free_port()
    text = PYPROJECT.format(more=', "ray[default]"')
    (root / "pyproject.toml").write_text(text + RAY.format(port=port, dashboard=dashboard))
    (root / "train.py").write_text("import numpy, ray\nray.init()\n")
    env = environment()
    run([PROGRAM, "lock"], cwd=root, env=env)
    run([PROGRAM, "run", "--no-record", "train"], cwd=root, env=env)
    venv = root / ".lockstitch" / "envs" / "train"
    with ray.running(venv, port, dashboard) as cluster:
        path = f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}"
        env = environment(**cluster.variables, PATH=path, RAY_ADDRESS=f"127.0.0.1:{port}")
        files = root / "files"
        files.mkdir()
        (files / "train.py").write_text((root / "train.py").read_text())
        submit = [venv / "bin" / "ray", "job", "submit", "--working-dir", files]
        submit += ["--address", f"http://127.0.0.1:{dashboard}", "--", "python", "train.py"]
        driver = [venv / "bin" / "python", "train.py"]
        yield [
            {
                "driver, by hand": (driver, env),
                "lockstitch run --on driver": ([PROGRAM, "run", "train", "--on", "driver"], env),
            },
            {
                "ray job submit, by hand": (submit, env),
                "lockstitch run --on jobs": ([PROGRAM, "run", "train", "--on", "jobs"], env),
            },
        ]


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", nargs="?", default="slurm", choices=("slurm", "ray"))
    engine = parser.parse_args().engine
    if engine == "slurm" and not slurm.is_here():
        sys.exit("needs root, slurm-wlm and charliecloud")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "project")
        root.mkdir()
        with (on_slurm if engine == "slurm" else on_ray)(root) as groups:
            times: dict[str, list[float]] = {}
            for _ in range(RUNS):
                for name, (words, env) in ((n, w) for group in groups for n, w in group.items()):
                    times.setdefault(name, []).append(run(words, cwd=root, env=env))
    print(machine())
    for group in groups:
        bare = min(times[next(iter(group))])
        for name in group:
            seconds = min(times[name])
            print(f"{name:<27} {seconds:5.2f} s  {seconds / bare:4.2f} x")


if __name__ == "__main__":
    main()
