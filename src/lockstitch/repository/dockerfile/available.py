"""Which programs an image has, as far as its file says so."""

import posixpath
import re
from typing import TYPE_CHECKING

from lockstitch.repository.dockerfile import bases
from lockstitch.repository.dockerfile.installs import Install
from lockstitch.repository.dockerfile.programs import SHELLS
from lockstitch.repository.dockerfile.stages import Step
from lockstitch.repository.shell.calls import Call
from lockstitch.repository.text import image_names

if TYPE_CHECKING:
    from lockstitch.repository.dockerfile.images import Built

__all__ = ["has"]

# Programs that put none of those that are asked for where a shell finds them.
_HARMLESS = frozenset(
    {"[", "addgroup", "adduser", "apk", "apt", "apt-get", "apt-key", "awk", "basename", "cat"}
    | {"cd", "chgrp", "chmod", "chown", "conda", "curl", "cut", "date", "dirname", "dnf", "echo"}
    | {"exit", "export", "false", "find", "gpg", "grep", "groupadd", "gunzip", "head", "hash"}
    | {"id", "install", "ldconfig", "locale-gen", "ls", "mamba", "microdnf", "micromamba"}
    | {"mkdir", "mlflow", "pip", "pip-compile", "poetry", "printf", "pwd", "pytest", "python"}
    | {"readlink", "rm", "rmdir", "sed", "set", "sha256sum", "sleep", "sort", "stat", "tail"}
    | {"tee", "test", "touch", "tr", "true", "uname", "useradd", "usermod", "uv", "venv", "wc"}
    | {"wget", "which", "whoami", "yum", "source", ".", "virtualenv", "ruff", "mypy", ":"}
)
_OF_PACKAGES = {
    "python3-minimal": ("python3",),
    "python3-pip": ("python3",),
    "python3-venv": ("python3",),
    "python3-dev": ("python3", "gcc"),
    "python-is-python3": ("python", "python3"),
    "build-essential": ("gcc", "make"),
    "build-base": ("gcc", "make"),
    "py3-pip": ("python3", "python"),
}
_FOLDERS = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local"})


def has(built: "Built", program: str) -> bool | None:
    """Return whether a program is on an image's PATH, None when nobody can tell.

    For programs that base images are known to have or not: shells, Python, curl, wget, uv, Poetry.
    """
    base = built.base
    known = base.has.get(program) if base is not None else None
    if known:
        return True
    uncertain = known is None
    for step in built.steps:
        answer = _brought(built, step, program)
        if answer:
            return True
        uncertain = uncertain or answer is None
    return None if uncertain else False


def _brought(built: "Built", step: Step, program: str) -> bool | None:
    """Return whether a step brings a program; None when that cannot be told."""
    if step.instruction.name in {"COPY", "ADD"}:
        return _copied(built, step, program)
    if step.instruction.name != "RUN":
        return False
    answers = [_installed(each, program) for each in step.installs]
    answers += [_called(each, program) for each in step.calls]
    if any(answers):
        return True
    read = step.is_read and len(step.calls) == sum(bool(each.words) for each in step.commands)
    return None if None in answers or not read else False


def _installed(each: Install, program: str) -> bool | None:
    names = {re.split(r"[\[=~<>@]", name)[0].lower() for name in each.names}
    if each.removes:
        return None if program in names else False
    of_system = not each.is_python and any(program in _OF_PACKAGES.get(n, ()) for n in names)
    if program in names or of_system:
        return True
    return False if each.call.known or each.is_python else None


def _called(each: Call, program: str) -> bool | None:
    """Return whether what a command starts puts a program on PATH, or shows that it is there."""
    if each.program == program and program in {"curl", "wget"}:
        return True
    if each.program in {"ln", "cp", "mv", "install", "update-alternatives"}:
        if any(posixpath.basename(word) == program for word in each.words):
            return True
        places = {posixpath.normpath(word) for word in each.words}
        return None if places & _FOLDERS or not each.known else False
    if each.program in SHELLS:
        return False if "-c" in each.words else None
    if each.program == "uv" and each.begins("tool", "install"):
        return program in each.words
    if each.program == "uv" and each.begins("python", "install"):
        return None if program.startswith("python") else False
    return False if each.program in _HARMLESS else None


def _copied(built: "Built", step: Step, program: str) -> bool | None:
    copied = step.copied
    if copied is None:
        return False
    if not copied.known:
        return None
    for source in copied.sources:
        lands = copied.target
        if posixpath.basename(lands) == program or posixpath.basename(source) == program:
            return True
    if copied.target == "/" or copied.target in _FOLDERS:
        stage = built.image.dockerfile.stage(copied.origin) if copied.origin else None
        if stage is None and copied.origin:
            reference = image_names.reference(copied.origin)
            base = bases.known(reference) if reference else None
            if base is not None and base.has.get(program) is False:
                return False
        names = {posixpath.basename(source.rstrip("/")) for source in copied.sources}
        if names <= {"uv", "uvx"}:
            return program in names
        if not copied.origin and step.instruction.name == "COPY":
            # Of the repository itself: no file of that name, no program.
            there = (posixpath.basename(name) == program for name in built.image.repo.every_name)
            return None if any(there) else False
        return None
    return False
