"""A slice of the campaign of damage in `bench/faults.py`: nothing wrong ships."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_damage_is_healed_or_refused(seed: int) -> None:
    words = [sys.executable, ROOT / "bench" / "faults.py", "--seed", str(seed)]
    done = subprocess.run(
        [*words, "--cases", "60", "--seconds", "15"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["wrong"] == 0
