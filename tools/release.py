"""Builds and tries a release: `make release`. It publishes nothing.

The sdist and the wheel are built from the last commit, then again from the sdist, without git and
in a new git repository, and must be the same bytes. twine checks both. Each is then installed as a
user does it, by pip into an empty environment under an empty HOME, where it locks and builds an
image of a new project. Both must give the same digest.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lockstitch import __version__

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
SDIST = f"lockstitch-{__version__}.tar.gz"
WHEEL = f"lockstitch-{__version__}-py3-none-any.whl"
UV = Path(sys.executable).with_name("uv")
# What a shell may hold that decides what a program of Python does.
_DROPPED = ("SOURCE_DATE_EPOCH", "VIRTUAL_ENV", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
_PREFIXES = ("LOCKSTITCH_", "PYTHON", "GIT_")


def main() -> None:
    """Build, compare, check, install and try; leave both files in dist/."""
    with tempfile.TemporaryDirectory(prefix="lockstitch-release-") as name:
        folder = Path(name)
        changelog()
        build_three_ways(folder)
        check(folder / "twine")
        digests = {file: attempt(DIST / file, folder / file) for file in (WHEEL, SDIST)}
    if len(set(digests.values())) > 1:
        fail(f"the installed releases build different images: {digests}")
    print(f"\n{SDIST} and {WHEEL} are in {DIST}; both build {digests[WHEEL]}")


def fail(message: str) -> None:
    """Exit with a message."""
    sys.exit(f"error: {message}")


def say(step: str) -> None:
    """Print a step."""
    print(f"* {step}", flush=True)


def run(words: Sequence[str | Path], folder: Path, env: Mapping[str, str] = os.environ) -> str:
    """Run a program and return what it printed; its failure ends the release."""
    print(f"> {' '.join(map(str, words))}", flush=True)
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        fail(f"`{Path(words[0]).name}` exits {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def changelog() -> None:
    """Fail when the changelog does not name the version."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## .*\b{re.escape(__version__)}\b", text, re.MULTILINE):
        fail(f"CHANGELOG.md has no section for {__version__}")


def build_three_ways(folder: Path) -> None:
    """Build both files from a clone and twice from the sdist, and keep those of the clone."""
    say("build from the last commit")
    if run(["git", "status", "--porcelain"], ROOT):
        fail("files are not committed; a release is built from a commit\nhint: git status")
    run(["git", "clone", "--quiet", ROOT, folder / "clone"], folder)
    first = build(folder / "clone", folder / "first")
    say("build from the sdist, without git")
    with tarfile.open(folder / "first" / SDIST) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    source = folder / "unpacked" / SDIST.removesuffix(".tar.gz")
    same(first, build(source, folder / "second"), "built from the sdist")
    say("build from the sdist, in a new git repository")
    for words in (["init", "--quiet"], ["add", "--all"]):
        run(["git", *words], source)
    same(first, build(source, folder / "third"), "built from the sdist in a git repository")
    shutil.rmtree(DIST, ignore_errors=True)
    shutil.copytree(folder / "first", DIST)


def build(source: Path, target: Path) -> dict[str, str]:
    """Build both files by the locked build backend, and return their digests by name."""
    words = ["build", "--quiet", "--sdist", "--wheel", "--no-create-gitignore", "--out-dir", target]
    locked = ["--build-constraints", source / "requirements-lock.txt", "--require-hashes"]
    run([UV, *words, *locked, source], source)
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in target.iterdir()}
    if set(files) != {SDIST, WHEEL}:
        fail(f"built {sorted(files)}, want {[WHEEL, SDIST]}")
    return files


def same(first: dict[str, str], other: dict[str, str], how: str) -> None:
    """Fail when another build gave other bytes."""
    for name, digest in first.items():
        if other[name] != digest:
            fail(f"`{name}` {how} has sha256 {other[name]}, want {digest}")


def check(folder: Path) -> None:
    """Check the metadata of both files by the twine of twine.txt."""
    say("twine check")
    run([UV, "venv", "--quiet", "--python", sys.executable, folder], ROOT)
    python = folder / "bin" / "python"
    locked = Path(__file__).with_name("twine.txt")
    run([UV, "pip", "sync", "--quiet", "--require-hashes", "--python", python, locked], ROOT)
    run([python, "-m", "twine", "check", "--strict", DIST / SDIST, DIST / WHEEL], ROOT)


def attempt(file: Path, folder: Path) -> str:
    """Install a file as a user does, and return the digest of an image that it builds."""
    say(f"install and try {file.name}")
    home = folder / "home"
    home.mkdir(parents=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and not name.startswith(_PREFIXES)
    }
    env = kept | {"HOME": str(home), "PATH": f"{folder}/venv/bin{os.pathsep}{kept['PATH']}"}
    run([sys.executable, "-m", "venv", folder / "venv"], folder, env)
    program = folder / "venv" / "bin" / "lockstitch"
    run([program.with_name("python"), "-m", "pip", "install", "--quiet", file], folder, env)
    version = run([program, "--version"], folder, env)
    if version != f"lockstitch {__version__}\n":
        fail(f"`lockstitch --version` prints {version!r}, want {__version__}")
    run([program, "new", "--template", "iris", "flowers"], folder, env)
    project = folder / "flowers"
    (project / "models").mkdir()
    (project / "models" / "model.onnx").write_bytes(b"in place of one that took a training")
    run([program, "lock", "--quiet"], project, env)
    return run([program, "build", "serve", "--quiet"], project, env).split()[1]


if __name__ == "__main__":
    main()
