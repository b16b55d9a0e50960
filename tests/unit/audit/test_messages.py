"""What a finding says has both values in it, as far as the file tells them."""

from pathlib import Path

import pytest
from support import cases

from lockstitch.audit import rules

IMG006 = rules.by_code("IMG006")
INSTALLS = "`uv run` installs at each start what the image lacks"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('CMD ["uv", "run", "serve"]', f"{INSTALLS}, the development group included"),
        ('CMD ["uv", "run", "--frozen", "serve"]', f"{INSTALLS}, the development group included"),
        ('ENV UV_NO_DEV=1\nCMD ["uv", "run", "serve"]', f"{INSTALLS}, and may lock anew"),
    ],
)
def test_what_uv_run_installs(lines: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM python:3.11-slim\n{lines}\n")
    assert [each.message for each in cases.check(tmp_path, IMG006)] == [said]
