"""Runs the fast suite under each CPython that the package names: `make matrix`.

Environments stay in .matrix/ and are made anew when the lock changes. A Python that this machine
lacks is named at the end; it is no failure, since no machine has to have them all.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
LOCK = ROOT / "requirements-lock.txt"


def main() -> None:
    """Run the suite once for each Python, then print one line for each."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines, failed = [], False
    for minor in re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text):
        interpreter = find(minor)
        if interpreter is None:
            lines.append(f"{minor}  MISSING: no python{minor} among pyenv's versions or on PATH")
            continue
        print(f"* {minor}, {interpreter}", flush=True)
        command = [environment(minor, interpreter), "-m", "pytest", "-q", "-n", "2"]
        command += ["-m", "not peers and not network and not slow"]
        done = subprocess.run(command, cwd=ROOT, check=False)
        lines.append(f"{minor}  {'FAILED' if done.returncode else 'passed'}  {interpreter}")
        failed |= bool(done.returncode)
    print("\n" + "\n".join(lines))
    sys.exit(int(failed))


def find(minor: str) -> Path | None:
    """Return this machine's interpreter of a minor version: this one, pyenv's newest, PATH's."""
    if sys.version_info[:2] == tuple(map(int, minor.split("."))):
        return Path(sys.executable)
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    folders = sorted(versions.glob(f"{minor}.*/bin"), key=lambda path: _numbers(path.parent.name))
    on_path = shutil.which(f"python{minor}")
    # A shim of pyenv is a program for versions that it may be set not to run.
    if on_path and "shims" not in on_path:
        folders.insert(0, Path(on_path).parent)
    interpreters = [folder / f"python{minor}" for folder in reversed(folders)]
    return next((path for path in interpreters if path.exists()), None)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def environment(minor: str, interpreter: Path) -> Path:
    """Make or keep the environment of an interpreter, and return its Python."""
    folder = ROOT / ".matrix" / minor
    python, ready = folder / "bin" / "python", folder / "ready"
    content = f"{interpreter.resolve()}\n{LOCK.read_text(encoding='utf-8')}"
    if ready.exists() and ready.read_text(encoding="utf-8") == content:
        return python
    install = [UV, "pip", "install", "--quiet", "--python", python, "--no-deps"]
    for words in (
        [UV, "venv", "--quiet", "--clear", "--python", interpreter, folder],
        [UV, "pip", "sync", "--quiet", "--python", python, "--require-hashes", LOCK],
        [*install, "--no-build-isolation", "--editable", ROOT],
    ):
        subprocess.run(words, cwd=ROOT, check=True)
    ready.write_text(content, encoding="utf-8")
    return python


if __name__ == "__main__":
    main()
