"""Fingerprints of interpreters: on this machine, in a container, or on another host.

One script of the standard library is given to the interpreter on its input, so that nothing is
installed and nothing written there (`src/lockstitch/runtime/fingerprint.py`).
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lockstitch import environ, process
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.fingerprint import model
from lockstitch.fingerprint.model import Fingerprint
from lockstitch.resources import load_script
from lockstitch.store import Store, default_root

_KIND = "seen-files-2"  # of store records: of which files an environment was hashed
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # of containers
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:%\[\]-]*")  # a word that ssh takes for no option
_ENGINES = ("docker", "podman")


def script() -> str:
    """Return the text of the script, for `kubectl exec -i POD -- python -` and the like."""
    return load_script("fingerprint.py").decode()


def is_environment(path: Path) -> bool:
    """Return whether a folder is a virtual environment."""
    return path.is_dir() and ((path / "pyvenv.cfg").is_file() or python_of(path).exists())


def python_of(folder: Path) -> Path:
    """Return where the interpreter of an environment is or would be."""
    inside = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return folder.joinpath(*inside)


def site_of(folder: Path) -> Path:
    """Return where the packages of an environment are or would be."""
    there = sorted(folder.glob("lib/python3*/site-packages"))
    return there[0] if there else folder / "Lib" / "site-packages"


def interpreter(path: Path, env: Mapping[str, str] | None = None) -> Fingerprint:
    """Return the fingerprint of an interpreter of this machine, or of an environment's folder.

    `env` is the variables of a program on it; None means this process's. Raises LockstitchError
    when there is no interpreter or it prints no fingerprint.
    """
    program = python_of(path) if path.is_dir() else path
    if not program.exists():
        message = f"`{path}` has no interpreter: there is no `{program}`"
        raise LockstitchError(message, hint="lockstitch fingerprint .venv")
    known_by = of_bytes(os.fsencode(program.absolute())).hex
    return _run([program.absolute()], str(path), env, known_by)


def container(name: str, python: str = "python") -> Fingerprint:
    """Return the fingerprint of a running container, by its name or ID, in Docker or Podman.

    `python` is the interpreter inside. Raises LockstitchError with the message of each engine.
    """
    if not _NAME.fullmatch(name):
        message = f"`{name:.80}` is no name of a container"
        raise LockstitchError(message, hint="docker ps")
    messages = []
    for engine in _ENGINES:
        words = [engine, "container", "inspect", "--format", "{{.State.Running}}", name]
        try:
            done = process.run(words, check=False)
        except LockstitchError as error:
            messages.append(error.message)
            continue
        if done.code == 0 and done.stdout.strip() == "true":
            return _run([engine, "exec", "--interactive", name, python], name)
        reason = (done.stderr or done.stdout).strip().splitlines()
        messages.append(
            f"`{engine}`: {'it is stopped' if done.code == 0 else (reason or [''])[-1]}"
        )
    message = f"no container `{name}` runs here: {'; '.join(messages)}"
    raise LockstitchError(message, hint="docker ps --all")


def host(name: str, python: str = "python3") -> Fingerprint:
    """Return the fingerprint of an interpreter of another host, which `ssh NAME` reaches.

    Raises LockstitchError when a name has another form, ssh fails or prints no fingerprint.
    """
    if not _HOST.fullmatch(name):
        message = f"`{name:.80}` is no name of a host"
        raise LockstitchError(message, hint="ssh HOST true")
    # The words after the host are a shell's there: only a path may stand among them.
    if not re.fullmatch(r"[\w@%+=:,./~-]+", python):
        message = f"`{python:.80}` is no path of an interpreter that ssh can pass on"
        raise LockstitchError(message, hint="name it without spaces and quotes")
    ssh = process.find("ssh", hint="install an OpenSSH client")
    return _run([ssh, "-o", "BatchMode=yes", name, python], name)


def _run(
    words: Sequence[str | Path],
    source: str,
    env: Mapping[str, str] | None = None,
    known_by: str = "",
) -> Fingerprint:
    """Return the fingerprint that the script prints; with a key, its hashes are kept by stat."""
    # An activated environment must not leak into another interpreter.
    env = env or environ.child(PYTHONHOME=None, __PYVENV_LAUNCHER__=None)
    hint = "it needs CPython 3.8 or later: name its path"
    store = Store(default_root())
    known = store.record(_KIND, known_by) if known_by else None
    seen = [store.record_path(_KIND, known_by) if known else ""] if known_by else []
    done = process.run([*words, "-", *seen], stdin=script(), env=env, hint=hint)
    try:
        document = model.parsed(done.stdout, source)
        now = document.pop("seen", None)
        fingerprint = model.of_document(document, source)
    except LockstitchError as error:
        message = f"`{source}` printed no fingerprint: {error.message}"
        raise LockstitchError(message, hint=hint) from error
    if known_by and now != known:
        store.remember(_KIND, known_by, now)
    return fingerprint
