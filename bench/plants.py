"""Plants two dozen causes of other results and counts how many are named: `python bench/plants.py`.

They are none of the fifteen of `bench/proof.py`. Each is an output of one training, and is named
rightly when the variation that is its cause changes it, and no other does.
"""

import sys
import tempfile
import time
from pathlib import Path

from measure import machine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import plants

from lockstitch.cli.main import main as lockstitch

PYPROJECT = """\
[project]
name = "planted"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = []

[tool.lockstitch.images.train]
include = ["plants.py", "data/*"]
outputs = ["models"]
command = ["python", "plants.py"]
"""


def main() -> None:
    """Print a line for each plant, and the score."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        root, home = folder / "planted", folder / "home"
        for each in (root, home):
            each.mkdir()
        (root / "pyproject.toml").write_text(PYPROJECT)
        plants.write(root, folder / "rates.json")
        lockstitch(["lock", "--quiet", "--project", str(root)])
        started = time.monotonic()
        scored = list(plants.score(root, home))
        seconds = time.monotonic() - started
    print(machine())
    for each in scored:
        state = "named" if each.is_right else "WRONG"
        named = ", ".join(sorted(each.named)) or "nothing"
        print(f"{state}  {each.plant.output:<18} {named}")
    right = sum(each.is_right for each in scored)
    print(f"{right} of {len(scored)} named rightly, in {seconds:.0f} s")


if __name__ == "__main__":
    main()
