"""Builds and tries a release: `make release`. It publishes nothing.

The sdist, the pure wheel and the one with the compiled twin of the encoder are built from the last
commit, then again from the sdist, without git and in a new git repository, and must be the same
bytes. twine checks all. Each is then installed as a user does it, by pip into an empty environment
under an empty HOME, the sdist with a compiler and without, and each locks and builds an image of a
new project. All must give the same digest.
"""

import hashlib
import json
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
PURE = f"lockstitch-{__version__}-py3-none-any.whl"
_MACHINE = os.uname().machine
_TAGS = f"manylinux_2_17_{_MACHINE}.musllinux_1_1_{_MACHINE}"
COMPILED = f"lockstitch-{__version__}-py3-none-{_TAGS}.whl"
FILES = (SDIST, PURE, COMPILED)
# How each is installed and tried: the file, the C compiler, and which encoder then works.
TRIALS = (
    (PURE, "none", "python"),
    (COMPILED, "none", "compiled"),
    (SDIST, "cc", "compiled"),
    (SDIST, "none", "python"),
)
UV = Path(sys.executable).with_name("uv")
# What a shell may hold that decides what a program of Python does.
_DROPPED = ("SOURCE_DATE_EPOCH", "VIRTUAL_ENV", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
_PREFIXES = ("LOCKSTITCH_", "PYTHON", "GIT_")


def main() -> None:
    """Build, compare, check, install and try; leave all files in dist/."""
    with tempfile.TemporaryDirectory(prefix="lockstitch-release-") as name:
        folder = Path(name)
        changelog()
        build_three_ways(folder)
        check(folder / "twine")
        digests = {
            f"{file} with CC={compiler}": attempt(DIST / file, folder / str(number), compiler, kind)
            for number, (file, compiler, kind) in enumerate(TRIALS)
        }
    if len(set(digests.values())) > 1:
        fail(f"the installed releases build different images: {digests}")
    print(f"\n{', '.join(FILES)} are in {DIST}; all build {digests.popitem()[1]}")


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
    """Build all files from a clone and twice from the sdist, and keep those of the clone."""
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
    """Build all files by the locked build backend, and return their digests by name."""
    words = ["build", "--quiet", "--no-create-gitignore", "--out-dir", target]
    locked = ["--build-constraints", source / "requirements-lock.txt", "--require-hashes"]
    run([UV, *words, "--sdist", "--wheel", *locked, source], source)
    pure = {**os.environ, "HATCH_BUILD_NO_HOOKS": "true"}
    run([UV, *words, "--wheel", *locked, source], source, pure)
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in target.iterdir()}
    if set(files) != set(FILES):
        fail(f"built {sorted(files)}, want {sorted(FILES)}\nhint: apt-get install gcc")
    return files


def same(first: dict[str, str], other: dict[str, str], how: str) -> None:
    """Fail when another build gave other bytes."""
    for name, digest in first.items():
        if other[name] != digest:
            fail(f"`{name}` {how} has sha256 {other[name]}, want {digest}")


def check(folder: Path) -> None:
    """Check the metadata of all files by the twine of twine.txt."""
    say("twine check")
    run([UV, "venv", "--quiet", "--python", sys.executable, folder], ROOT)
    python = folder / "bin" / "python"
    locked = Path(__file__).with_name("twine.txt")
    run([UV, "pip", "sync", "--quiet", "--require-hashes", "--python", python, locked], ROOT)
    run([python, "-m", "twine", "check", "--strict", *(DIST / file for file in FILES)], ROOT)


def attempt(file: Path, folder: Path, compiler: str, encoder: str) -> str:
    """Install a file as a user does, and return the digest of an image that it builds."""
    say(f"install and try {file.name} with CC={compiler}")
    home = folder / "home"
    home.mkdir(parents=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and not name.startswith(_PREFIXES)
    }
    env = kept | {"HOME": str(home), "PATH": f"{folder}/venv/bin{os.pathsep}{kept['PATH']}"}
    env["CC"] = compiler
    run([sys.executable, "-m", "venv", folder / "venv"], folder, env)
    program = folder / "venv" / "bin" / "lockstitch"
    run([program.with_name("python"), "-m", "pip", "install", "--quiet", file], folder, env)
    version = run([program, "--version"], folder, env)
    if version != f"lockstitch {__version__}\n":
        fail(f"`lockstitch --version` prints {version!r}, want {__version__}")
    about = json.loads(run([program, "self", "version", "--json"], folder, env))
    if about["encoder"] != encoder:
        fail(f"the encoder of {file.name} with CC={compiler} is {about['encoder']}, want {encoder}")
    run([program, "new", "--template", "iris", "flowers"], folder, env)
    project = folder / "flowers"
    (project / "models").mkdir()
    (project / "models" / "model.onnx").write_bytes(b"in place of one that took a training")
    run([program, "lock", "--quiet"], project, env)
    return run([program, "build", "serve", "--quiet"], project, env).split()[1]


if __name__ == "__main__":
    main()
