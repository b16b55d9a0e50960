"""Start of a job on Slurm: `python bench/clusters.py`, as root, with slurm-wlm and charliecloud.

Two nodes on this machine. The bare job starts the same image with Charliecloud by hand, without
the check of the ranks, and is waited for by sbatch.
"""

import os
import sys
import tempfile
from pathlib import Path

from measure import environment, machine, median, run

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import slurm

RUNS = 5
PROGRAM = Path(sys.executable).with_name("lockstitch")
PYPROJECT = """\
[project]
name = "empty"
version = "0.1"
requires-python = ">=3.11,<3.12"
dependencies = ["numpy"]

[tool.lockstitch.images.train]
command = ["python", "-c", "import numpy"]
outputs = ["models"]

[tool.lockstitch.targets.cluster]
engine = "slurm"
nodes = 2
"""
BARE = """\
#!/bin/bash
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --output=/dev/null
export USER=root
exec srun ch-run {image} -- /app/.venv/bin/python -c "import numpy"
"""


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "project")
        root.mkdir()
        (root / "pyproject.toml").write_text(PYPROJECT)
        with slurm.running(Path(folder, "cluster")) as cluster:
            env = environment(**cluster.variables)
            where = {"cwd": root, "env": env}
            run([PROGRAM, "lock"], **where)
            run([PROGRAM, "run", "--dry-run", "train", "--on", "cluster"], **where)
            image = next((root / ".lockstitch" / "cluster").glob("trial/images/*/root"))
            script = root / "bare.sbatch"
            script.write_text(BARE.format(image=image))
            commands = {
                "sbatch --wait, by hand": ["sbatch", "--wait", script],
                "lockstitch run --on": [PROGRAM, "run", "train", "--on", "cluster"],
            }
            times = {
                name: median(RUNS, lambda words=words: run(words, **where))
                for name, words in commands.items()
            }
    print(machine())
    bare = times["sbatch --wait, by hand"]
    for name, seconds in times.items():
        print(f"{name:<24} {seconds:5.2f} s  {seconds / bare:4.2f} x")


if __name__ == "__main__":
    if os.geteuid() != 0 or not slurm.is_here():
        sys.exit("needs root, slurm-wlm and charliecloud")
    main()
