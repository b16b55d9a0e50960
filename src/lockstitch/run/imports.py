"""Lists the packages that a program imports: a script in front of it looks when it ends."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lockstitch import runtime
from lockstitch.process import Command
from lockstitch.runtime import fingerprint as script
from lockstitch.values import replace

_WRAPPER = Path(runtime.__file__).with_name("imported.py")
_NOTED = Path(runtime.__file__).with_name("noted")  # its sitecustomize notes what is imported
_VARIABLE = "LOCKSTITCH_IMPORTED"
_PYTHON = re.compile(r"python[\d.]*t?(?:\.exe)?")
_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")
_SHEBANG = re.compile(rb"#!.*python|#!/bin/sh\n'''exec' .*python")
_LARGEST = 64 << 20


def traced(command: Command, folder: Path, target: Path) -> Command | None:
    """Return a command that also writes its imports to `target`.

    `folder` is the environment. None when the program is not Python, or is started in a way
    that cannot be followed.
    """
    program, *arguments = command.words
    if _PYTHON.fullmatch(Path(program).name):
        words = _of_interpreter(program, arguments, target)
    elif _is_script(Path(program)):
        python = Path(program).with_name("python")
        words = [str(python), str(_WRAPPER), str(target), "script", program, *arguments]
        words = words if python.exists() and folder in python.parents else None
    else:
        words = None
    return replace(command, words=tuple(words)) if words else None


def _is_script(program: Path) -> bool:
    try:
        with program.open("rb") as handle:
            return bool(_SHEBANG.match(handle.read(512)))
    except OSError:
        return False


def _of_interpreter(program: str, arguments: Sequence[str], target: Path) -> list[str] | None:
    """Put the wrapper between the interpreter's own options and what it runs."""
    at = 0
    while at < len(arguments):
        word = arguments[at]
        options = [program, *arguments[:at], str(_WRAPPER), str(target)]
        if not word.startswith("-"):
            return [*options, "script", word, *arguments[at + 1 :]]
        if word in {"-m", "-c"} and at + 1 < len(arguments):
            kind = "module" if word == "-m" else "code"
            return [*options, kind, arguments[at + 1], *arguments[at + 2 :]]
        if not re.fullmatch(r"-[bBdEiIOPqRsSuvx]+|-[WX]\S*|--check-hash-based-pycs", word):
            return None
        at += 2 if word in _WITH_VALUE else 1
    return None


def with_children(command: Command, target: Path) -> Command:
    """Return a command whose Python processes note their imports in `target`.

    At whatever depth: torchrun, accelerate, joblib's workers, a shell script that starts Python.
    """
    target.touch()
    paths = [str(_NOTED), *filter(None, [command.env.get("PYTHONPATH", "")])]
    env = {**command.env, _VARIABLE: str(target), "PYTHONPATH": os.pathsep.join(paths)}
    return replace(command, env=env)


def noted(target: Path, site: Path) -> frozenset[str]:
    """Return the names of the packages whose modules, data or libraries any process has noted."""
    owners = dict(_owners(site))
    read = [name.rpartition("/site-packages/")[2] for name in _lines(target, "d")]
    seen = [*_lines(target, "m"), *(path for path in read if path in owners)]
    owners |= {_module(path): name for path, name in owners.items()}
    return frozenset(owners[name] for name in seen if name in owners)


def files_read(target: Path) -> list[Path]:
    """Return the files that any process opened to read them; code by its source."""
    return sorted({_source(Path(name)) for name in _lines(target, "f")})


def variables_read(target: Path) -> list[str]:
    """Return the variables that the program's own code read by their names."""
    return sorted({*_lines(target, "v")})


def _lines(target: Path, kind: str) -> Iterator[str]:
    for line in target.read_text("utf-8", errors="replace").splitlines():
        what, _, name = line.partition(" ")
        if what == kind:
            yield name


def _source(path: Path) -> Path:
    """Return the source of bytecode, and any other file unchanged."""
    if path.suffix == ".pyc" and path.parent.name == "__pycache__":
        return path.parent.parent / f"{path.name.partition('.')[0]}.py"
    return path


def _module(path: str) -> str:
    """Return the module that a file is, "" for one that is none."""
    name, _, kind = path.rpartition("/")[2].partition(".")
    if not kind.endswith(("py", "so", "pyd")):
        return ""
    folder = path.rpartition("/")[0]
    return "/".join(filter(None, (folder, "" if name == "__init__" else name))).replace("/", ".")


def packages(target: Path, site: Path) -> tuple[str, ...] | None:
    """Return the names of the packages that were imported, or None when `target` is missing.

    `site` is the folder of packages; a file belongs to the package whose RECORD lists it.
    """
    try:
        text = target.read_text("utf-8")
        document = json.loads(text) if len(text) < _LARGEST else None
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict):
        return None
    owners = _owners(site)
    paths = {Path(path) for path in document.values() if isinstance(path, str)}
    inside = (path.relative_to(site).as_posix() for path in paths if path.is_relative_to(site))
    return tuple(sorted({owners[path] for path in inside if path in owners}))


def _owners(site: Path) -> Mapping[str, str]:
    owners = {}
    for record in sorted(site.glob("*.dist-info/RECORD")):
        text = (record.with_name("METADATA")).read_text("utf-8", errors="replace")
        name = script.header(text)[0]
        for path, _ in script.rows(record.read_text("utf-8", errors="replace")):
            owners[path] = name
    return owners
