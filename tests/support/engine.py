"""A program that answers as a container engine does, for tests of what is asked of it."""

import sys
from pathlib import Path

from support.programs import stand_in

__all__ = ["install"]

_PROGRAM = """\
#!{python} -IS
import json, pathlib, sys, tarfile
state = pathlib.Path(__file__).with_name("{name}.json")
told = json.loads(state.read_text())
name, words = "{name}", sys.argv[1:]
told["asked"].append(words)
code = 0
if words[0] == "info":
    arch = told["architecture"]
    found = {{"Architecture": arch}} if name == "docker" else {{"host": {{"arch": arch}}}}
    print(json.dumps(found))
elif "inspect" in words:
    found = told["images"].get(words[-1])
    print(found or "no such image", file=sys.stdout if found else sys.stderr)
    code = 0 if found else 1
elif words[0] in ("load", "pull"):
    with tarfile.open(words[-1].removeprefix("docker-archive:")) as archive:
        found = json.load(archive.extractfile("manifest.json"))[0]
    told["images"][found["RepoTags"][0]] = told["wrong"] or found["Config"].removesuffix(".json")
elif words[0] == "build":
    print("step one\\n\\nstep two", flush=True)
    print("of stderr", file=sys.stderr)
    told["images"][words[words.index("--tag") + 1]] = "b" * 64
    code = told["code"]
state.write_text(json.dumps(told))
sys.exit(code)
"""
_STATE = '{"asked": [], "images": {}, "architecture": "amd64", "wrong": "", "code": 0}'


def install(folder: Path, name: str) -> Path:
    """Write the program and return the file of what it knows and was asked."""
    stand_in(folder / name, _PROGRAM.format(python=sys.executable, name=name))
    state = folder / f"{name}.json"
    state.write_text(_STATE)
    return state
