"""Export the lock for pip, uv and scanners.

requirements  pins with hashes, for pip and uv: the whole lock, or one image's
pylock        the PEP 751 lock of an image, for pip and uv
sbom          the SBOM of an image (CycloneDX 1.6 JSON): Python and Debian packages
wheels        wheels that were built for lack of one, into `wheels/` or with --push a registry
dockerfile    Dockerfiles of all images; `lockstitch export dockerfile` has more options

Reads only the locks and uses no network, but for --push. A stale lock is an error. The same lock
gives the same bytes on every machine.

examples:
  # the packages of the serving image, for pip install --require-hashes -r FILE
  lockstitch export requirements --image serve --platform linux/amd64 -o requirements-serve.txt
  # an SBOM, for a scanner
  lockstitch export sbom --image serve > serve.cdx.json
  # carry built wheels beside the lock, so that no other machine has to build them
  lockstitch export wheels
  # in CI: exit with 1 when the file in git is not what the lock gives
  lockstitch export requirements --image serve -o requirements-serve.txt --check
"""

import argparse
import re
import sys
from pathlib import Path

from lockstitch import files
from lockstitch.cli.options import COMMON, INSECURE, flag, group, operand, option
from lockstitch.cli.session import answer_stale, print_json, would
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.lock import carried, export, file, make
from lockstitch.lock.file import Lock
from lockstitch.oci.registry.client import Client
from lockstitch.progress import say
from lockstitch.python.load import load
from lockstitch.python.model import ImageSpec, Project
from lockstitch.store import Store, default_root
from lockstitch.table import counted

_FORMS = ("requirements", "pylock", "sbom", "wheels")
OPTIONS = (
    operand("form", "FORM", f"one of {', '.join(_FORMS)}", choices=_FORMS),
    group(
        "what to export",
        option("--image NAME", "image (default: the only one; requirements: the whole lock)"),
        option(
            "--platform P",
            "choose the wheels of this platform (sbom: default: the project's first)",
        ),
    ),
    group(
        "where to",
        option("--output FILE", "file to write (default: stdout)", short="-o", type=Path),
        flag("--check", "write nothing; exit with 1 when FILE has other content"),
        flag("--push", "wheels: to the registry that `wheels` in [tool.lockstitch] names"),
        INSECURE,
    ),
    COMMON,
)
_PYLOCK = re.compile(r"pylock\.(?:[^.]+\.)?toml")  # the only names that PEP 751 allows


def run(options: argparse.Namespace) -> int:
    if options.check and not options.output:
        message = "--check compares a file, and none is named"
        raise UsageError(message, hint=f"lockstitch export {options.form} --output FILE --check")
    project = load(options.project)
    lock = make.current(project)
    if options.form == "wheels":
        return _wheels(project, lock, options)
    if options.push:
        message = f"--push is for wheels, and this is {options.form}"
        raise UsageError(message, hint="lockstitch export wheels --push")
    image = _image(project, options)
    platform = _platform(project, options)
    text, notes = _text(project, lock, options.form, image, platform)
    if options.output:
        _refuse(options.output, options.form, project, lock)
        if options.check:
            return _check(text, options)
        if options.dry_run:
            return would(options, f"write {options.output}")
        files.write_text(options.output, text)
    if options.json:
        document = {"form": options.form, "image": image.name if image else None, "notes": notes}
        document["platform"] = platform or None
        document |= {"file": str(options.output)} if options.output else {"text": text}
        print_json(document)
        return 0
    for note in notes:
        say(f"note: {note}")
    if options.output:
        say(f"wrote `{options.output}`")
    else:
        sys.stdout.write(text)
    return 0


def _wheels(project: Project, lock: Lock, options: argparse.Namespace) -> int:
    """Write the wheels that were built for lack of one, to a folder or a registry."""
    store, folder = Store(default_root()), options.output or project.root / "wheels"
    where = project.wheels if options.push else str(folder)
    if not where:
        message = "--push needs a registry, and `wheels` in [tool.lockstitch] names none"
        raise UsageError(message, hint='wheels = "registry.example.com/team/wheels"')
    if options.dry_run:
        return would(options, f"write {counted(len(lock.built), 'wheel')} to {where}")
    if options.push:
        client = Client(insecure=options.insecure_registry)
        written = carried.push(lock.built, store, client, where)
    else:
        written = carried.write(lock.built, store, folder)
    if options.json:
        print_json({"form": "wheels", "place": where, "written": written})
    else:
        say(f"wrote {counted(len(written), 'wheel')} of {len(lock.built)} to `{where}`")
    return 0


def _image(project: Project, options: argparse.Namespace) -> ImageSpec | None:
    if options.image:
        return project.image(options.image)
    if options.form == "requirements":
        if options.platform:
            message = "--platform chooses the wheels of an image, and none is named"
            hint = f"lockstitch export requirements --image {project.images[0].name}"
            raise UsageError(message, hint=hint)
        return None
    if len(project.images) > 1:
        names = ", ".join(image.name for image in project.images)
        hint = f"lockstitch export {options.form} --image {project.images[0].name}"
        raise UsageError(f"this project has more than one image: {names}", hint=hint)
    return project.images[0]


def _platform(project: Project, options: argparse.Namespace) -> str:
    if options.platform and options.platform not in project.platforms:
        has = ", ".join(project.platforms)
        message = f"`{options.platform}` is not a platform of this project (it has: {has})"
        raise UsageError(message, hint="add it to `platforms` in [tool.lockstitch]")
    if options.form == "sbom" and not options.platform:
        return project.platforms[0]
    return str(options.platform or "")


def _text(
    project: Project, lock: Lock, form: str, image: ImageSpec | None, platform: str
) -> tuple[str, list[str]]:
    if image is None:
        return export.requirements_of_all(project, lock), []
    if form == "requirements":
        return export.requirements_of(project, lock, image, platform)
    if form == "pylock":
        return export.pylock_of(project, lock, image, platform), []
    return export.bill(project, lock, image, platform), []


def _refuse(output: Path, form: str, project: Project, lock: Lock) -> None:
    """Refuse to write over what the export is made from, and names that no tool would read."""
    sources = {locked.path for locked in lock.files} | {"pyproject.toml", file.NAME}
    if output.resolve() in {(project.root / name).resolve() for name in sources}:
        message = f"`{output}` is what the locks are made of"
        raise LockstitchError(message, hint="give the export another name")
    if form == "pylock" and not _PYLOCK.fullmatch(output.name):
        message = f"`{output.name}` is no name of a PEP 751 lock"
        raise LockstitchError(message, hint="call it pylock.toml, or pylock.NAME.toml")


def _check(text: str, options: argparse.Namespace) -> int:
    output = options.output
    there = files.read_text(output) if output.exists() else None
    chosen = "".join(
        f" {option} {value}"
        for option, value in (("--image", options.image), ("--platform", options.platform))
        if value
    )
    hint = f"lockstitch export {options.form}{chosen} --output {output}"
    problems = []
    if there != text:
        stale = "is missing" if there is None else "is stale: it is not what the lock gives"
        problems.append(LockstitchError(f"`{output}` {stale}", hint=hint))
    return answer_stale(problems, f"`{output}` fits", as_json=options.json)
