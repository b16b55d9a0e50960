"""Builds the documentation site: `make docs`. It is read without a network, from files too.

Zensical checks links and anchors (`--strict`). Its search on `file:` addresses wants a script of a
content network, in whose place `offline.js` beside this file is put.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SITE = ROOT / "build" / "site"
SHIM = "https://unpkg.com/iframe-worker/shim"
TOOLS = ("*.py", "requirements.*", "offline.js")  # of docs/, and no part of the site
# What a browser fetches by itself, from another place than the site.
FETCHED = re.compile(
    r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?(https?:[^\" >]+)"
    r"|<link[^>]*rel=\"?(?:stylesheet|icon|preload)[^>]*href=\"?(https?:[^\" >]+)"
    r"|url\([\"']?(https?:[^)\"']+)|@import [\"'](https?:[^\"']+)"
)


def build() -> None:
    """Build the site into `build/site`; raises CalledProcessError for a broken link."""
    words = [Path(sys.executable).with_name("zensical"), "build", "--clean", "--strict"]
    subprocess.run(words, cwd=ROOT, check=True)
    for pattern in TOOLS:
        for path in SITE.glob(pattern):
            path.unlink()
    shutil.copy(ROOT / "docs" / "offline.js", SITE / "assets" / "offline.js")
    for page in SITE.rglob("*.html"):
        up = "../" * (len(page.relative_to(SITE).parts) - 1) or "./"
        text = page.read_text("utf-8").replace(SHIM, f"{up}assets/offline.js")
        page.write_text(text, encoding="utf-8")


def outside() -> list[str]:
    """Return the addresses outside of the site that its pages would fetch."""
    found = []
    for path in [*SITE.rglob("*.html"), *SITE.rglob("*.css")]:
        for match in FETCHED.finditer(path.read_text("utf-8")):
            address = next(each for each in match.groups() if each)
            found.append(f"{path.relative_to(SITE)}: {address}")
    return found


if __name__ == "__main__":
    build()
    if fetched := outside():
        sys.exit("\n".join(["the site is not whole without a network:", *fetched]))
