"""What the commands about drift share: options, the project, summaries."""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lockstitch import files
from lockstitch.cli.session import Session
from lockstitch.drift import serving
from lockstitch.drift.source import Context
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.fingerprint.model import Fingerprint
from lockstitch.image.paths import DRIFT
from lockstitch.lock.file import Lock
from lockstitch.progress import say
from lockstitch.python.load import find_root, load
from lockstitch.python.model import ImageSpec

__all__ = ["LABEL", "add_target", "context", "served", "summary"]

LABEL = DRIFT
_PLATFORMS = ("linux/amd64", "linux/arm64")


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which part of a lock is meant, and for which machine."""
    group = parser.add_argument_group("how a lock is read")
    group.add_argument(
        "--image", metavar="NAME", help="groups and extras of this image (default: all)"
    )
    group.add_argument(
        "--platform",
        choices=_PLATFORMS,
        default="",
        help="choose wheels of this platform (default: the project's first, else this machine's)",
    )
    group.add_argument(
        "--python",
        metavar="X.Y.Z",
        default="",
        help="choose wheels of this Python (default: the base's, else the one that runs this)",
    )


def context(options: argparse.Namespace) -> Context:
    """Return where sources are looked for; a folder need not be a project's."""
    if options.python and not re.fullmatch(r"3\.\d{1,2}(\.\d{1,3})?", options.python):
        message = f"--python is `{options.python}`, which is no version of Python 3"
        raise UsageError(message, hint="--python 3.11.2")
    project = load(options.project) if options.image or _in_project(options.project) else None
    return Context(
        folder=options.project,
        project=project,
        image=project.image(options.image) if project and options.image else None,
        platform=options.platform,
        python=options.python,
    )


def _in_project(folder: Path) -> bool:
    try:
        text = files.read_text(find_root(folder) / "pyproject.toml")
    except LockstitchError:
        return False
    # Settings of `lockstitch check` alone make no project of images.
    return re.search(r"^\[tool\.lockstitch(?!\.check)", text, re.MULTILINE) is not None


def summary(found: Fingerprint) -> list[str]:
    """Return a fingerprint as lines for people."""
    rows = [(f"{found.kind}", str(found.digest)), *_facts(found)]
    width = max(len(name) for name, _ in rows) + 2
    return [f"{name:<{width}}{value}".rstrip() for name, value in rows]


def _facts(found: Fingerprint) -> Iterator[tuple[str, str]]:
    yield from _machine(found)
    for blas in found.blas or ():
        kernels = f": {blas.kernels}, {blas.threads} threads" if blas.kernels else ""
        yield "blas", f"{blas.name} {blas.version or blas.file} of {blas.owner}{kernels}"
    for name, value in sorted((found.variables or {}).items()):
        yield "variable", f"{name}={value}"
    yield "packages", str(len(found.packages))
    for package in found.packages:
        for change in package.edited:
            yield "edited", f"{package.name} {package.version}: {change}"
    if found.system is not None:
        yield "system", f"{len(found.system)} packages"
    if found.imported is not None:
        yield "imported", f"{len(found.imported)} packages"


def _machine(found: Fingerprint) -> Iterator[tuple[str, str]]:
    python, system, cpu, gpu = found.python, found.platform, found.cpu, found.gpu
    if python:
        built = f" ({python.implementation}, {python.compiler})" if python.compiler else ""
        yield "python", f"{python.version}{built}{', free-threaded' * python.free_threaded}"
    if system:
        parts = (f"{system.system} {system.machine}", system.libc, system.release)
        yield "platform", ", ".join(part for part in parts if part)
    if cpu:
        cores = f"{cpu.cores} core{'s' if cpu.cores != 1 else ''}"
        yield "cpu", f"{cpu.model or 'unknown'}, {cores}: {' '.join(cpu.features)}"
    if gpu:
        known = [("driver", gpu.driver), ("CUDA", gpu.cuda), ("cuDNN", gpu.cudnn)]
        words = [f"{name} {value}" for name, value in known if value]
        yield "gpu", ", ".join([*(gpu.devices or ["no device"]), *words])


def served(
    session: Session, lock: Lock, specs: Sequence[ImageSpec], allowed: Sequence[str]
) -> list[ImageSpec]:
    """Return the images, those with an allowed drift labelled with it.

    Raises LockstitchError for each difference between the run that made a model and the image that
    holds it, unless its name is allowed.
    """
    found, made = [], []
    for spec in specs:
        drifts, notes = _drifts(session, lock, spec)
        for note in (*notes, *(str(each) for each in serving.check(drifts, allowed))):
            say(f"warning: {note}")
        found += drifts
        known = sorted({str(each) for each in drifts if each.refused})
        labels = {LABEL: "; ".join(known)} if known else {}
        made.append(replace(spec, labels={**spec.labels, **labels}))
    for name in sorted({*allowed} - {each.name for each in found}):
        say(f"note: `{name}` did not drift: --allow-drift {name} is not needed")
    return made


def _drifts(session: Session, lock: Lock, spec: ImageSpec) -> tuple[list[serving.Drift], list[str]]:
    """Return what differs on any platform, once each."""
    drifts: dict[str, serving.Drift] = {}
    notes: list[str] = []
    for platform in session.project.platforms:
        found, said = serving.found(session.project, lock, spec, platform, session.store)
        drifts |= {str(each): each for each in found}
        notes += said
    return list(drifts.values()), sorted(set(notes))
