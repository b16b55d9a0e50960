"""The documentation site in Chromium, read from files: search works, nothing is fetched."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support import programs

from .conftest import program

pytestmark = [pytest.mark.peers, pytest.mark.network]

ROOT = Path(__file__).parents[2]
SEARCH = """<script>
addEventListener("load", () => setTimeout(() => {
  const script = document.createElement("script");
  script.src = "search.js";
  script.onload = () => {
    const worker = new Worker(document.querySelector("#__config").textContent
      .match(/"search":"([^"]+)"/)[1]);
    worker.onmessage = ({ data }) => {
      if (data.type === 1) worker.postMessage({ type: 2, data: { input: "budget", filter: {
        input: { type: "operator", data: { operator: "and", operands: [] } },
        aggregation: { input: [{ type: "term", data: { field: "tags" } }] } } } });
      if (data.type === 3) document.title = "found " + data.data.items.length + " "
        + performance.getEntriesByType("resource").filter(e => e.name.startsWith("http")).length;
    };
    worker.postMessage({ type: 0, data: __index });
  };
  document.body.append(script);
}, 200));
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(ROOT / "zensical.toml", folder)
    python = folder / "venv" / "bin" / "python"
    programs.run(programs.UV, "venv", "--quiet", folder / "venv", cwd=folder)
    words = ("--quiet", "--python", python, "--require-hashes", "docs/requirements.txt")
    programs.run(programs.UV, "pip", "sync", *words, cwd=folder)
    programs.run(python, "docs/site.py", cwd=folder)
    return folder / "build" / "site"


def dom(page: Path, profile: Path, width: int) -> str:
    done = subprocess.run(
        [program("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={profile}", f"--window-size={width},900",
         "--virtual-time-budget=10000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return done.stdout


def test_search_works_on_files_and_fetches_nothing(site: Path, tmp_path: Path) -> None:
    page = site / "probe.html"
    text = (site / "index.html").read_text("utf-8")
    page.write_text(text.replace("</body>", f"{SEARCH}</body>"), encoding="utf-8")
    title = re.search(r"<title>(.*?)</title>", dom(page, tmp_path / "profile", 1280))
    assert title
    found, fetched = title[1].removeprefix("found ").split()
    assert int(found) >= 3
    assert fetched == "0"


def test_no_page_is_wider_than_a_phone(site: Path, tmp_path: Path) -> None:
    measure = "<script>document.title = document.documentElement.scrollWidth <= innerWidth</script>"
    for name in ("index", "guides/troubleshooting", "reference/configuration", "guides/ci"):
        page = site / f"{name}-probe.html"
        text = (site / f"{name}.html").read_text("utf-8")
        page.write_text(text.replace("</body>", f"{measure}</body>"), encoding="utf-8")
        assert "<title>true</title>" in dom(page, tmp_path / "profile", 500), name
