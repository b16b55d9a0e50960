"""Makes README's pictures: a terminal recording as SVG, and a screenshot of the report page.

    python docs/record.py [FOLDER]

Runs the commands of `SCENE` for real, in an empty folder with an empty HOME, and plays them back
with every pause cut to `LONGEST` seconds. The screenshot needs a Chromium.
"""

import html
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SCENE = (
    "lockstitch new lab --template iris",
    "cd lab",
    "lockstitch lock",
    "lockstitch run train",
    "lockstitch build",
    "lockstitch build  # nothing changed",
)
PICTURES = Path(__file__).parent / "pictures"
PROGRAMS = Path(sys.executable).parent
LONGEST = 1.2  # seconds of a pause
TYPING = 0.025  # seconds of a typed character
COLUMNS = 96
LINE = 19  # pixels
CHARACTER = 8.43  # pixels of 14 px monospace
STYLE = """
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: #d7dae0; white-space: pre }
.l { opacity: 0; animation: show 1ms linear forwards }
.p { fill: #7ec699 } .c { fill: #ffffff; font-weight: 600 } .t { fill: #8b93a5 }
.w { fill: #e5c07b } .e { fill: #e06c75 }
@keyframes show { to { opacity: 1 } }
@media (prefers-reduced-motion: reduce) { .l { animation: none; opacity: 1 } }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the terminal, and the second at which it shows."""

    at: float
    text: str
    is_command: bool = False


def play(folder: Path) -> list[Line]:
    """Return the lines of the scene, played in a folder."""
    home = folder / "home"
    home.mkdir()
    environment = {
        **os.environ,  # where packages come from is each machine's own
        "HOME": str(home),
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }
    lines, at, here = [], 0.6, folder
    for command in SCENE:
        lines.append(Line(at=at, text=command, is_command=True))
        at += len(command) * TYPING + 0.5
        words = command.partition("  #")[0].split()
        if words[0] == "cd":
            here = here / words[1]
            continue
        running = subprocess.Popen(
            words,
            cwd=here,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert running.stdout is not None
        before = time.monotonic()
        for text in running.stdout:
            now = time.monotonic()
            at += min(now - before, LONGEST)
            before = now
            lines += [
                Line(at=at, text=text.rstrip("\n")[start : start + COLUMNS])
                for start in range(0, max(len(text) - 1, 1), COLUMNS)
            ]
        if running.wait() != 0:
            sys.exit(f"{command}: exit {running.returncode}")
        at += 0.8
    return lines


def drawn(lines: list[Line]) -> str:
    """Return the recording as an SVG that needs no script and no font of anybody's."""
    width, height = round(COLUMNS * CHARACTER + 40), len(lines) * LINE + 62
    rows = []
    for row, line in enumerate(lines):
        y = 56 + row * LINE
        delay = f'class="l" style="animation-delay:{line.at:.2f}s"'
        if line.is_command:
            typed = "".join(
                f'<tspan {delay[:-1].rsplit(":", 1)[0]}:{line.at + n * TYPING:.2f}s">'
                f"{html.escape(character)}</tspan>"
                for n, character in enumerate(line.text)
            )
            rows.append(
                f'<text x="20" y="{y}"><tspan {delay}><tspan class="p">$ </tspan></tspan>'
                f'<tspan class="c">{typed}</tspan></text>'
            )
        else:
            kind = {"* ": "t", "wa": "w", "er": "e", "ne": "t"}.get(line.text[:2], "")
            text = html.escape(line.text)
            rows.append(f'<g {delay}><text x="20" y="{y}" class="{kind}">{text}</text></g>')
    dots = "".join(
        f'<circle cx="{24 + n * 20}" cy="20" r="6" fill="{colour}"/>'
        for n, colour in enumerate(("#e06c75", "#e5c07b", "#7ec699"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" '
        'aria-label="lockstitch new, lock, run and build in a terminal">'
        f"<style>{STYLE}</style>"
        f'<rect width="100%" height="100%" rx="10" fill="#21252b"/>{dots}'
        + "\n".join(rows)
        + "</svg>\n"
    )


def photograph(page: Path, target: Path) -> None:
    """Write a screenshot of a page, or say that there is no Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        sys.stderr.write("no chromium here: the screenshot stays as it is\n")
        return
    with tempfile.TemporaryDirectory() as profile:
        words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        words += ["--no-first-run", "--disable-background-networking", "--disable-sync"]
        words += ["--disable-component-update", "--disable-quic", f"--user-data-dir={profile}"]
        words += ["--window-size=1100,900", f"--screenshot={target}", page.as_uri()]
        subprocess.run(words, check=True, capture_output=True)


def main(kept: str = "") -> None:
    """Write both pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(kept or temporary)
        lines = play(folder)
        (PICTURES / "terminal.svg").write_text(drawn(lines), encoding="utf-8")
        lab = folder / "lab"
        subprocess.run([PROGRAMS / "lockstitch", "report", "--quiet"], cwd=lab, check=True)
        photograph(lab / "report.html", PICTURES / "report.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
