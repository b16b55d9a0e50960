"""The environment of one image on this machine: exactly its packages, and the project itself."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from lockstitch import environ
from lockstitch.errors import LockstitchError
from lockstitch.lock import manager
from lockstitch.process import Command
from lockstitch.python.model import ImageSpec, Project

__all__ = ["command", "folder", "python"]


def folder(project: Project, image: ImageSpec) -> Path:
    """Return where the environment of an image is kept: not `.venv`, which has dev tools too."""
    return project.root / ".lockstitch" / "envs" / image.name


def python(project: Project, image: ImageSpec) -> Path:
    """Return the interpreter of an image's environment, which `command` has made."""
    windows = os.name == "nt"
    return folder(project, image) / ("Scripts/python.exe" if windows else "bin/python")


def command(
    project: Project,
    image: ImageSpec,
    arguments: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
) -> Command:
    """Return an image's command in its environment, which is made or repaired first.

    What the image's `env` says goes first, then `variables`, then this shell; the environment's
    programs come before the `PATH` of any of them.
    Raises LockstitchError when the image has no command, or its program is not in the environment.
    """
    if not image.command:
        message = f"`tool.lockstitch.images.{image.name}` has no command"
        raise LockstitchError(message, hint='add command = ["python", "src/train.py"]')
    venv = folder(project, image)
    manager.of(project).sync(project, image, venv)
    programs = venv / ("Scripts" if os.name == "nt" else "bin")
    told = {**environ.child(), **(variables or {}), **image.env}
    path = f"{programs}{os.pathsep}{told.get('PATH', '')}"
    program = shutil.which(image.command[0], path=path)
    if program is None:
        message = f"`{image.command[0]}`, the command of `{image.name}`, is in no locked package"
        hint = f"add what brings it to a group of tool.lockstitch.images.{image.name}"
        raise LockstitchError(message, hint=hint)
    told.pop("PYTHONHOME", None)
    env = told | {"PATH": path, "VIRTUAL_ENV": str(venv)}
    return Command(words=(program, *image.command[1:], *arguments), cwd=project.root, env=env)
