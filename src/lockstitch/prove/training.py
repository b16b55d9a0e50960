"""Trains in varied environments and compares metrics and outputs, by bytes and by meaning."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lockstitch import clock, files, process
from lockstitch.errors import LockstitchError
from lockstitch.progress import Reporter
from lockstitch.prove import variations
from lockstitch.prove.variations import Variation
from lockstitch.python.model import ImageSpec, Project
from lockstitch.run import programs

__all__ = ["Output", "OutputChange", "Run", "Trained", "prove"]

_MEANING = Path(__file__).parents[1] / "runtime" / "meaning.py"
_SITE = _MEANING.parent / "site"  # its sitecustomize applies a variation
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
class OutputChange:
    """One output that a variation changed; without `parts` it means the same."""

    output: str
    what: str  # bytes, meaning, missing, new
    parts: tuple[str, ...] = ()
    largest: float | None = None  # relative change of the sum of absolute values


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The changes of one variation."""

    variation: str
    changes: tuple[OutputChange, ...] = ()
    # those that differ
    metrics: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    seconds: float = 0.0
    hardware: bool = False
    problem: str = ""  # why the training did not end well

    @property
    def means_the_same(self) -> bool:
        """Whether all outputs mean the same, if not byte for byte."""
        return not self.problem and all(each.what == "bytes" for each in self.changes)

    def holds(self, tolerance: float) -> bool:
        """Whether metrics agree within a relative tolerance, and the meaning too.

        Another CPU may compute other last digits, so there metrics alone count.
        """
        close = all(_close(one, other, tolerance) for one, other in self.metrics.values())
        return not self.problem and close and (self.hardware or self.means_the_same)


def prove(project: Project, spec: ImageSpec, progress: Reporter) -> tuple[Run, list[Trained]]:
    """Train once as things are here, then once for each variation, all in copies of the project.

    Raises LockstitchError when the first training fails or writes nothing that is declared.
    """
    with tempfile.TemporaryDirectory(prefix="lockstitch-verify-") as name:
        scratch = Path(name)
        with progress.task(f"train {spec.name}", 0):
            first = _train(project, spec, Variation(name="here"), scratch / "project")
        repeats = []
        for each in variations.of_training():
            # In one place, one after the other: only `folder` is elsewhere.
            shutil.rmtree(scratch / "project")
            with progress.task(f"train {spec.name}: {each.name}", 0):
                trained = Trained(variation=each.name, hardware=each.hardware)
                try:
                    other = _train(project, spec, each, scratch / "project")
                except LockstitchError as error:
                    repeats.append(replace(trained, problem=error.message))
                else:
                    repeats.append(_compared(trained, first, other))
        return first, repeats


def _train(project: Project, spec: ImageSpec, variation: Variation, scratch: Path) -> Run:
    """Train in a copy of the project, and read what is new below its declared outputs."""
    depth = "a/deeper folder/other-name" if variation.folder else "project"
    root = files.copied(project.root, scratch / depth)
    before = _stamps(root, spec)
    command = programs.command(project, spec, (), {})
    # A seed that is not set is another one each time: then no variation could be told from it.
    env = {"PYTHONHASHSEED": "0", **command.env, **variation.env}
    env = {name: value for name, value in env.items() if name not in variation.unset}
    env |= {"PYTHONDONTWRITEBYTECODE": "1", "MLFLOW_TRACKING_URI": (scratch / "runs").as_uri()}
    # The environment has the project as an editable: the copy's own sources come first.
    env["PYTHONPATH"] = os.pathsep.join([str(_SITE), str(root / "src")])
    env[variations.VARIABLE] = json.dumps(dict(variation.process), sort_keys=True)
    started = clock.monotonic()
    process.run(command.words, cwd=root, env=env)
    seconds = clock.monotonic() - started
    names = sorted(n for n, stamp in _stamps(root, spec).items() if before.get(n) != stamp)
    if not names:
        message = f"`{spec.name}` wrote nothing below its outputs ({', '.join(spec.outputs)})"
        hint = f'outputs = ["models"] in [tool.lockstitch.images.{spec.name}]'
        raise LockstitchError(message, hint=hint)
    meaning = process.run(
        [programs.python(project, spec), "-B", _MEANING],
        cwd=root,
        env=env,
        stdin=json.dumps(names),
    )
    outputs = {name: _output(each) for name, each in sorted(json.loads(meaning.stdout).items())}
    return Run(outputs=outputs, metrics=dict(sorted(_metrics(root, names))), seconds=seconds)


def _stamps(root: Path, spec: ImageSpec) -> dict[str, tuple[int, int]]:
    found = {}
    for each in files.walk(root):
        if any(each.name.startswith(f"{output.rstrip('/')}/") for output in spec.outputs):
            found[each.name] = (each.mtime_ns, each.size)
    if sum(size for _, size in found.values()) > _LARGEST:
        message = f"the outputs of `{spec.name}` are larger than {_LARGEST >> 30} GiB"
        raise LockstitchError(message, hint="declare the folder of the model alone as its output")
    return found


def _output(answer: Mapping[str, Any]) -> Output:
    parts = {name: (digest, size) for name, (digest, size) in answer["parts"].items()}
    return Output(bytes=answer["bytes"], how=answer["how"], parts=parts, problem=answer["problem"])


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


def _compared(trained: Trained, first: Run, other: Run) -> Trained:
    """Return a variation's result with the outputs and metrics of its run that differ."""
    changes = [
        _changed(name, first.outputs.get(name), other.outputs.get(name))
        for name in sorted({*first.outputs, *other.outputs})
    ]
    metrics = {
        name: (first.metrics.get(name), other.metrics.get(name))
        for name in sorted({*first.metrics, *other.metrics})
    }
    return replace(
        trained,
        changes=tuple(change for change in changes if change),
        metrics={name: pair for name, pair in metrics.items() if not _same(*pair)},
        seconds=other.seconds,
    )


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == other or (math.isnan(one) and math.isnan(other))


def _close(one: float | None, other: float | None, tolerance: float) -> bool:
    if one is None or other is None:
        return False
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)


def _changed(name: str, one: Output | None, other: Output | None) -> OutputChange | None:
    if one is None or other is None:
        return OutputChange(output=name, what="new" if one is None else "missing")
    if one.bytes == other.bytes:
        return None
    parts = [
        part
        for part in sorted({*one.parts, *other.parts})
        if one.parts.get(part, ("", None))[0] != other.parts.get(part, ("", None))[0]
    ]
    if not parts:
        return OutputChange(output=name, what="bytes")
    sizes = [
        abs(b - a) / max(abs(a), abs(b), 1e-300)
        for part in parts
        if (a := one.parts.get(part, ("", None))[1]) is not None
        and (b := other.parts.get(part, ("", None))[1]) is not None
    ]
    named = tuple(parts[:_MOST])
    return OutputChange(output=name, what="meaning", parts=named, largest=max(sizes, default=None))
