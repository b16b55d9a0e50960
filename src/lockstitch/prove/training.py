"""Trains in other worlds and compares what comes out: metrics, bytes, and meaning."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstitch import clock, files, process
from lockstitch.errors import LockstitchError
from lockstitch.progress import Reporter
from lockstitch.prove import environments
from lockstitch.prove.variation import TRAINING, Variation
from lockstitch.python.model import ImageSpec, Project
from lockstitch.run import environment

__all__ = ["Moved", "Output", "Run", "Trained", "prove"]

_MEANING = Path(__file__).parents[1] / "runtime" / "meaning.py"
_SITE = _MEANING.parent / "site"  # its sitecustomize sets up the world of a variation
_LARGEST = 2 << 30  # bytes of all outputs
_MOST = 8  # parts of one output that are named


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One file that training wrote: two digests, and the parts that its meaning has."""

    bytes: str
    how: str
    parts: Mapping[str, tuple[str, float | None]]
    problem: str = ""  # why only its bytes are compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training: its outputs by name, its metrics by name, and how long it took."""

    outputs: Mapping[str, Output]
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One output that a variation moved; without `parts` it means the same."""

    output: str
    what: str  # bytes, meaning, missing, new
    parts: tuple[str, ...] = ()
    largest: float | None = None  # relative change of the sum of absolute values


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What one variation moved."""

    variation: str
    moved: tuple[Moved, ...]
    metrics: Mapping[str, tuple[float | None, float | None]]  # those that differ
    seconds: float
    hardware: bool = False
    problem: str = ""  # why the training did not end well

    @property
    def means_the_same(self) -> bool:
        """Whether all outputs mean the same, if not byte for byte."""
        return not self.problem and all(each.what == "bytes" for each in self.moved)

    def holds(self, tolerance: float) -> bool:
        """Whether metrics agree within a relative tolerance, and the meaning too.

        Another CPU may compute other last digits, so there metrics alone count.
        """
        close = all(_close(one, other, tolerance) for one, other in self.metrics.values())
        return not self.problem and close and (self.hardware or self.means_the_same)


def prove(
    project: Project,
    spec: ImageSpec,
    progress: Reporter,
    variations: Sequence[Variation] = TRAINING,
) -> tuple[Run, list[Trained]]:
    """Train once as things are here, then once for each variation; nothing of the project changes.

    Raises LockstitchError when the first training fails or writes nothing that is declared.
    """
    with tempfile.TemporaryDirectory(prefix="lockstitch-verify-") as name:
        scratch = Path(name)
        with progress.task(f"train {spec.name}", 0):
            first = _train(project, spec, Variation(name="here"), scratch / "world")
        found = []
        for each in variations:
            # In one place, one after the other: only `folder` is elsewhere.
            shutil.rmtree(scratch / "world")
            with progress.task(f"train {spec.name}: {each.name}", 0):
                try:
                    other = _train(project, spec, each, scratch / "world")
                except LockstitchError as error:
                    found.append(_failed(each, error))
                else:
                    found.append(_compared(each, first, other))
        return first, found


def _failed(variation: Variation, error: LockstitchError) -> Trained:
    return Trained(
        variation=variation.name,
        moved=(),
        metrics={},
        seconds=0.0,
        hardware=variation.hardware,
        problem=error.message,
    )


def _train(project: Project, spec: ImageSpec, variation: Variation, scratch: Path) -> Run:
    """Train in a copy of the project, and read what is new below its declared outputs."""
    depth = "a/deeper folder/other-name" if variation.folder else "project"
    root = environments.copied(project.root, scratch / depth)
    before = _stamps(root, spec)
    command = environment.command(project, spec, (), {})
    changed = {**command.env, **{k: v for k, v in variation.env.items() if v is not None}}
    env = {k: v for k, v in changed.items() if k not in _dropped(variation)}
    # A seed that nobody sets is another one each time: then no variation could be told from it.
    env = {"PYTHONHASHSEED": "0"} | env
    env |= {"PYTHONDONTWRITEBYTECODE": "1", "MLFLOW_TRACKING_URI": (scratch / "runs").as_uri()}
    # The environment has the project as an editable: the copy's own sources come first.
    env["PYTHONPATH"] = os.pathsep.join([str(_SITE), str(root / "src")])
    env[environments.VARIABLE] = json.dumps(dict(variation.world), sort_keys=True)
    started = clock.monotonic()
    process.run(command.words, cwd=root, env=env)
    seconds = clock.monotonic() - started
    names = sorted(n for n, stamp in _stamps(root, spec).items() if before.get(n) != stamp)
    if not names:
        message = f"`{spec.name}` wrote nothing below its outputs ({', '.join(spec.outputs)})"
        hint = f'outputs = ["models"] in [tool.lockstitch.images.{spec.name}]'
        raise LockstitchError(message, hint=hint)
    said = process.run(
        [environment.python(project, spec), "-B", _MEANING],
        cwd=root,
        env=env,
        stdin=json.dumps(names),
    )
    outputs = {name: _output(each) for name, each in sorted(json.loads(said.stdout).items())}
    return Run(outputs=outputs, metrics=dict(sorted(_metrics(root, names))), seconds=seconds)


def _dropped(variation: Variation) -> set[str]:
    return {name for name, value in variation.env.items() if value is None}


def _stamps(root: Path, spec: ImageSpec) -> dict[str, tuple[int, int]]:
    found = {}
    for each in files.walk(root):
        if any(each.name.startswith(f"{output.rstrip('/')}/") for output in spec.outputs):
            found[each.name] = (each.mtime_ns, each.size)
    if sum(size for _, size in found.values()) > _LARGEST:
        message = f"the outputs of `{spec.name}` are larger than {_LARGEST >> 30} GiB"
        raise LockstitchError(message, hint="declare the folder of the model alone as its output")
    return found


def _output(said: Mapping[str, Any]) -> Output:
    parts = {name: (digest, size) for name, (digest, size) in said["parts"].items()}
    return Output(bytes=said["bytes"], how=said["how"], parts=parts, problem=said["problem"])


def _metrics(root: Path, names: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Yield the numbers of each metrics.json, by their path in it."""
    for name in names:
        if name.rpartition("/")[2] == "metrics.json":
            try:
                yield from _numbers(json.loads(files.read_text(root / name)), "")
            except (ValueError, RecursionError):
                continue


def _numbers(value: object, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _numbers(each, f"{path}.{key}" if path else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, float(value)


def _compared(variation: Variation, first: Run, other: Run) -> Trained:
    moved = [
        _moved(name, first.outputs.get(name), other.outputs.get(name))
        for name in sorted({*first.outputs, *other.outputs})
    ]
    metrics = {
        name: (first.metrics.get(name), other.metrics.get(name))
        for name in sorted({*first.metrics, *other.metrics})
        if not _same(first.metrics.get(name), other.metrics.get(name))
    }
    return Trained(
        variation=variation.name,
        moved=tuple(each for each in moved if each),
        metrics=metrics,
        seconds=other.seconds,
        hardware=variation.hardware,
    )


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == other or (math.isnan(one) and math.isnan(other))


def _close(one: float | None, other: float | None, tolerance: float) -> bool:
    if one is None or other is None:
        return False
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)


def _moved(name: str, one: Output | None, other: Output | None) -> Moved | None:
    if one is None or other is None:
        return Moved(output=name, what="new" if one is None else "missing")
    if one.bytes == other.bytes:
        return None
    parts = [
        part
        for part in sorted({*one.parts, *other.parts})
        if one.parts.get(part, ("", None))[0] != other.parts.get(part, ("", None))[0]
    ]
    if not parts:
        return Moved(output=name, what="bytes")
    changes = [
        abs(b - a) / max(abs(a), abs(b), 1e-300)
        for part in parts
        if (a := one.parts.get(part, ("", None))[1]) is not None
        and (b := other.parts.get(part, ("", None))[1]) is not None
    ]
    named = tuple(parts[:_MOST])
    return Moved(output=name, what="meaning", parts=named, largest=max(changes, default=None))
