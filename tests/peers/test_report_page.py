"""The report in Debian's Chromium: nothing is wider than a phone, nothing is asked of a network."""

import subprocess
from pathlib import Path

import pytest

from .conftest import RealProject, program

pytestmark = pytest.mark.peers
_MEASURE = """<script>
const root = document.documentElement;
document.title = [root.scrollWidth <= innerWidth,
  performance.getEntriesByType('resource').length, root.querySelectorAll('svg rect').length > 20]
</script>"""
_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")


def chromium(tmp_path: Path, *words: str) -> str:
    done = subprocess.run(
        [program("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         *_QUIET, f"--user-data-dir={tmp_path / 'profile'}", *words],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("width", [500, 1280])  # Chromium's windows have 500 at least
def test_the_page(project: RealProject, tmp_path: Path, width: int) -> None:
    page = tmp_path / "report.html"
    project.lockstitch("report", "--output", str(page))
    page.write_text(page.read_text().replace("</body>", f"{_MEASURE}</body>"))
    dom = chromium(tmp_path, f"--window-size={width},900", "--dump-dom", page.as_uri())
    assert "<title>true,0,true</title>" in dom


def test_print(project: RealProject, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    project.lockstitch("report", "--output", str(page))
    chromium(tmp_path, f"--print-to-pdf={tmp_path / 'report.pdf'}", page.as_uri())
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
