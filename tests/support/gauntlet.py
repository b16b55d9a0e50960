"""Small projects of one shape each, from `tests/gauntlet/`, taken from `init` to a started image.

A `.shape` file begins with a line that says its kinds and what it is, then `key: value` lines of
what must come of it: `image`, `command` (its first words), `port`, `outcome` of `lockstitch try`,
`prints` (a text of its output), `also` (another image that is there), `manager`. `-- path --`
starts a file.
"""

import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support import projects

__all__ = ["SHAPES", "Result", "Shape", "decided", "play", "read"]

SHAPES = Path(__file__).parents[1] / "gauntlet"
_FILE = re.compile(r"-- (\S.*?) --")
_LONGEST = 900  # seconds of one command


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One small project, and what must come of it."""

    name: str
    title: str
    wanted: Mapping[str, str]
    files: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class Result:
    """How a shape went: the step that failed, or none."""

    name: str
    seconds: float = 0.0
    size: int = 0  # bytes of the image, compressed
    command: str = ""
    guessed: bool = False
    starts: bool = False
    problem: str = ""
    steps: dict[str, float] = field(default_factory=dict)


def read(path: Path) -> Shape:
    """Return the shape that a file describes."""
    first, *lines = path.read_text("utf-8").splitlines()
    wanted: dict[str, str] = {}
    files: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in lines:
        if match := _FILE.fullmatch(line):
            current = files.setdefault(match[1], [])
        elif current is not None:
            current.append(line)
        else:
            key, _, value = line.partition(": ")
            wanted[key] = value
    texts = {name: "".join(f"{line}\n" for line in body) for name, body in files.items()}
    return Shape(name=path.stem, title=first, wanted=wanted, files=texts)


def play(shape: Shape, folder: Path) -> Result:
    """Take a shape through init, lock, build and try, in an empty folder; nothing is edited."""
    result = Result(name=shape.name)
    began = time.monotonic()
    projects.write_files(folder, dict(shape.files))
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    image = shape.wanted["image"]
    init = ["init", *(["--manager", m] if (m := shape.wanted.get("manager")) else [])]
    for words in (init, ["lock", "--quiet"], ["build", "--quiet", image], ["try", image, "--json"]):
        if words[0] == "try":
            words += ["--seconds", "20" if shape.wanted["outcome"] == "runs" else "60"]
        at = time.monotonic()
        code, out, err = _lockstitch(words, folder)
        result.steps[words[0]] = time.monotonic() - at
        if words[0] == "init" and code == 0:
            problem = decided(shape, folder, result)
            result.problem = problem
            if problem and "no image" in problem:
                break
        if words[0] == "try":
            result.starts = _started(shape, out, result)
            if not result.starts:
                result.problem = result.problem or f"try: {_last(out, err)}"
        elif code != 0:
            result.problem = f"{words[0]}: {_last(out, err)}"
            break
    result.size = sum(
        f.stat().st_size for f in (folder / ".lockstitch").rglob("blobs/**/*") if f.is_file()
    )
    result.seconds = time.monotonic() - began
    return result


def _lockstitch(words: list[str], folder: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "lockstitch", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST,
    )
    return done.returncode, done.stdout, done.stderr


def decided(shape: Shape, folder: Path, result: Result) -> str:
    """Return what `init` should have decided and did not."""
    document = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    images = document["tool"]["lockstitch"]["images"]
    wanted = shape.wanted
    missing = [n for n in (wanted["image"], wanted.get("also")) if n and n not in images]
    if missing:
        return f"no image `{missing[0]}`: {', '.join(images)}"
    table = images[wanted["image"]]
    result.command = " ".join(table.get("command", []))
    words = wanted.get("command", "").split()
    at = 0
    for word in result.command.split():
        at += at < len(words) and word == words[at]
    result.guessed = at == len(words)
    if not result.guessed:
        return f"command `{result.command}`, not `{wanted['command']}`"
    port = int(wanted.get("port", 0))
    return f"port {table.get('port')}, not {port}" if port and table.get("port") != port else ""


def _started(shape: Shape, out: str, result: Result) -> bool:
    try:
        document = json.loads(out)
    except ValueError:
        return False
    good = document["outcome"] == shape.wanted["outcome"]
    if good and shape.wanted.get("prints", "") not in document["output"]:
        result.problem = f"printed {document['output'][-200:]!r}"
        return False
    if not good:
        lines = document["output"].strip().splitlines()
        result.problem = f"{document['outcome']}: {lines[-1] if lines else ''}"
    return good


def _last(out: str, err: str) -> str:
    lines = [line for line in (err or out).strip().splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or [""])[0][:300]
