"""Trains in varied environments and compares metrics and outputs, by bytes and by meaning."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstitch import clock, environ, files, process
from lockstitch.errors import LockstitchError
from lockstitch.process import Command
from lockstitch.progress import Reporter
from lockstitch.prove import variations
from lockstitch.prove.variations import Variation
from lockstitch.python.model import ImageSpec, Project
from lockstitch.run import programs, record
from lockstitch.table import first_of
from lockstitch.values import field, frozen, replace

_MEANING = Path(__file__).parents[1] / "runtime" / "meaning.py"
_SITE = _MEANING.parent / "site"  # its sitecustomize applies a variation
_LARGEST = 2 << 30  # bytes of all outputs
_MOST = 8  # parts of one output that are named
_REPEAT = "repeat"  # the variation that varies nothing
_TOGETHER = "several at once"  # the one that varies all joint ones
_AGAIN, _REPEATS = 4, 6  # runs more of what changed something, and of the repeat then
_FAILURE = "\0failure"  # no output and no metric has this name
KEPT = "kept in the project"
_EPOCH = 1_600_000_000  # when the files of a copy were changed last: in 2020, and after it
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Folders of the system and of this program: what is read there is no data.
_SYSTEM = (
    *("/bin/", "/dev/", "/etc/", "/lib/", "/lib64/", "/nix/", "/proc/", "/run/", "/sbin/"),
    *("/sys/", "/usr/", "/var/lib/", f"{Path(__file__).parents[1]}{os.sep}"),
)


@frozen
class Output:
    """One file that training wrote: two digests, and the parts that its meaning has."""

    bytes: str
    how: str
    parts: Mapping[str, tuple[str, float | None]]
    problem: str = ""  # why only its bytes are compared


@frozen
class Run:
    """One training: its outputs by name, its metrics by name, and how long it took."""

    outputs: Mapping[str, Output]
    metrics: Mapping[str, float]
    seconds: float


@frozen
class OutputChange:
    """One output that a variation changed; without `parts` it means the same."""

    output: str
    what: str  # bytes, meaning, missing, new
    parts: tuple[str, ...] = ()
    largest: float | None = None  # relative change of the sum of absolute values


@frozen
class Trained:
    """The changes of one variation."""

    variation: str
    changes: tuple[OutputChange, ...] = ()
    # those that differ
    metrics: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    seconds: float = 0.0
    hardware: bool = False
    problem: str = ""  # why the training did not end well
    note: str = ""  # what was varied, where the name does not say it

    @property
    def means_the_same(self) -> bool:
        """Whether all outputs mean the same, if not byte for byte."""
        return not self.problem and all(change.what == "bytes" for change in self.changes)

    def holds(self, tolerance: float) -> bool:
        """Whether metrics agree within a relative tolerance, and the meaning too.

        Another CPU may compute other last digits, so there metrics alone count.
        """
        close = all(_close(one, other, tolerance) for one, other in self.metrics.values())
        return not self.problem and close and (self.hardware or self.means_the_same)


def prove(project: Project, spec: ImageSpec, progress: Reporter) -> tuple[Run, list[Trained]]:
    """Train once as things are here, then once for each variation, all in copies of the project.

    Joint variations are varied at once, and alone where that changes something. What the project
    keeps of its outputs is compared first. A variation that changes something runs again, as does
    the training as it is here: what comes and goes is a change of `repeat`.
    Raises LockstitchError when the first training fails or writes nothing that is declared.
    """
    with tempfile.TemporaryDirectory(prefix="lockstitch-verify-") as name:
        trainer = _Trainer(project=project, spec=spec, scratch=Path(name).resolve())
        with progress.task(f"train {spec.name}", 0):
            first = trainer.first()

        def train(variation: Variation) -> Run:
            with progress.task(f"train {spec.name}: {variation.name}", 0):
                return trainer.train(variation)

        changed, elsewhere = varied(first, [*variations.of_training(), *trainer.own()], train)
    kept = _kept(project, spec, [first, *elsewhere], changed[_REPEAT])
    return first, [*([kept] if kept else []), *changed.values()]


def varied(
    first: Run, listed: Iterable[Variation], train: Callable[[Variation], Run]
) -> tuple[dict[str, Trained], list[Run]]:
    """Return each variation's changes to the first run, and the runs as other CPUs do them.

    `train` trains in a variation; a LockstitchError that it raises is a result too.
    """
    elsewhere: list[Run] = []

    def trained(variation: Variation) -> Trained:
        result = Trained(variation=variation.name, hardware=variation.hardware, note=variation.note)
        try:
            other = train(variation)
        except LockstitchError as error:
            return replace(result, problem=error.message)
        elsewhere.extend([other] if variation.hardware else [])
        return _compared(result, first, other)

    known = {variation.name: variation for variation in listed}
    results = {name: trained(variation) for name, variation in known.items() if not variation.joint}
    joint = [variation for variation in known.values() if variation.joint]
    results |= _apart(joint, results, trained)
    known |= {name: _at_once(known.values()) for name in results.keys() - known.keys()}
    results = repeated(results, known, trained)
    if both := results.pop(_TOGETHER, None):
        rest = _touched(both).difference(*map(_touched, results.values()))
        results |= {_TOGETHER: _part(both, rest)} if rest else {}
    return results, elsewhere


def _at_once(joint: Iterable[Variation]) -> Variation:
    return variations.together([variation for variation in joint if variation.joint], _TOGETHER)


def _apart(
    joint: Sequence[Variation], others: Mapping[str, Trained], train: Callable[[Variation], Trained]
) -> dict[str, Trained]:
    """Return the results of joint variations, each alone where all at once change something.

    Beside them all at once, where that changes what none of them does alone, nor any of the others.
    """
    both = train(_at_once(joint))
    if not _touched(both) - _touched(others[_REPEAT]):
        return {variation.name: replace(both, variation=variation.name) for variation in joint}
    alone = {variation.name: train(variation) for variation in joint}
    rest = _touched(both).difference(*map(_touched, [*others.values(), *alone.values()]))
    return alone | ({_TOGETHER: both} if rest else {})


def repeated(
    results: Mapping[str, Trained],
    known: Mapping[str, Variation],
    train: Callable[[Variation], Trained],
) -> dict[str, Trained]:
    """Return the results of variations after those that changed something have run again.

    A variation changes what each of its runs changed. What comes and goes is chance: a change of
    `repeat`, and of nothing else. So many runs are sorted so by a flip of any probability once in
    4,000 times at most.
    """
    results = dict(results)
    chance = results.pop(_REPEAT)
    suspects = [name for name, result in results.items() if _changes(result) - _changes(chance)]
    for _ in range(_REPEATS if suspects else 0):
        chance = _joined(chance, train(known[_REPEAT]))
    for name in suspects:
        for _ in range(_AGAIN):
            if not _changes(results[name]) - _changes(chance):
                break
            again = train(known[name])
            # With its metrics, another CPU's outputs are chance too.
            hard = _touched if results[name].hardware else _changes
            passing = hard(results[name]) ^ hard(again)
            chance = _joined(chance, _part(results[name], passing), _part(again, passing))
            results[name] = results[name] if again.problem else replace(results[name], problem="")
    steady = {name: _without(result, _changes(chance)) for name, result in results.items()}
    return {_REPEAT: chance, **steady}


def _touched(trained: Trained) -> set[str]:
    """Return the changes of a run, other bytes of one meaning and last digits included."""
    return _changes(trained) | {change.output for change in trained.changes}


def _changes(trained: Trained) -> set[str]:
    """Return the changes of a run, by the names of outputs and metrics.

    Other bytes of one meaning are no change, nor are other last digits of another CPU.
    """
    names = {*trained.metrics, *([_FAILURE] if trained.problem else [])}
    if not trained.hardware:
        names |= {change.output for change in trained.changes if change.what != "bytes"}
    return names


def _part(trained: Trained, names: set[str]) -> Trained:
    return replace(
        trained,
        changes=tuple(change for change in trained.changes if change.output in names),
        metrics={name: pair for name, pair in trained.metrics.items() if name in names},
        problem=trained.problem if _FAILURE in names else "",
    )


def _without(trained: Trained, names: set[str]) -> Trained:
    kept = [c for c in trained.changes if c.what == "bytes" or c.output not in names]
    metrics = {name: pair for name, pair in trained.metrics.items() if name not in names}
    return replace(trained, changes=tuple(kept), metrics=metrics)


def _joined(*runs: Trained) -> Trained:
    """Return the changes of several runs as those of the first; a change of meaning counts more."""
    changes: dict[str, OutputChange] = {}
    for change in [change for run in runs for change in run.changes]:
        if changes.setdefault(change.output, change).what == "bytes":
            changes[change.output] = change
    metrics = {name: pair for run in reversed(runs) for name, pair in run.metrics.items()}
    problem = next((run.problem for run in runs if run.problem), "")
    ordered = tuple(changes[name] for name in sorted(changes))
    return replace(runs[0], changes=ordered, metrics=metrics, problem=problem)


def _kept(
    project: Project, spec: ImageSpec, runs: Sequence[Run], chance: Trained
) -> Trained | None:
    """Return how the outputs that the project keeps differ from those of a training.

    None when it keeps none. What differs from run to run anyway is left out. It may have been
    trained on another CPU: the nearest of `runs` counts.
    """
    first = runs[0]
    names = [name for name in first.outputs if (project.root / name).is_file()]
    if not names:
        return None
    started = clock.monotonic()
    same = {
        name: first.outputs[name]
        for name in names
        if record.digest_of(project.root / name).hex == first.outputs[name].bytes
    }
    others = [name for name in names if name not in same]
    env = {**environ.child(), "PYTHONDONTWRITEBYTECODE": "1"}
    meant = _meaning(project, spec, project.root, env, others) if others else {}
    kept = Run(
        outputs=same | meant,
        metrics=dict(sorted(_metrics(project.root, names))),
        seconds=clock.monotonic() - started,
    )
    diffs = []
    for run in runs:
        trained = replace(
            run,
            outputs={name: output for name, output in run.outputs.items() if name in names},
            metrics={name: metric for name, metric in run.metrics.items() if name in kept.metrics},
        )
        diffs.append(_without(_compared(Trained(variation=KEPT), trained, kept), _changes(chance)))
    return min(diffs, key=lambda trained: len(_changes(trained)))


@dataclass(slots=True, kw_only=True)
class _Trainer:
    """Trains in one place, one after the other: only `folder` is elsewhere."""

    project: Project
    spec: ImageSpec
    scratch: Path
    outside: tuple[str, ...] = ()  # files that the first training read outside of the project
    old: tuple[str, ...] = ()  # outputs of the first training that the project keeps
    made: Command | None = None  # the environment is made once

    def first(self) -> Run:
        """Train as things are here; its outputs are kept, and what it reads elsewhere is noted."""
        noted = self.scratch / "opened"
        settings = {"opened": str(noted), "inside": [f"{self.scratch}{os.sep}", *_SYSTEM]}
        run = self.train(Variation(name="here", process=settings))
        for name in run.outputs:
            target = self.scratch / "outputs" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.scratch / "project" / "project" / name, target)
        read = noted.read_bytes().decode(errors="surrogateescape") if noted.exists() else ""
        self.outside = tuple(line for line in sorted({*read.splitlines()}) if Path(line).is_file())
        self.old = tuple(name for name in run.outputs if (self.project.root / name).is_file())
        return run

    def own(self) -> Iterator[Variation]:
        """Yield the variations that only what the first training did allows."""
        if self.outside:
            note = f"unreadable: {first_of(self.outside, 3)}"
            hidden = {"hidden": self.outside}
            yield Variation(name="files outside the project", process=hidden, note=note)
        if self.old:
            yield Variation(name="no outputs yet", cold=True)

    def train(self, variation: Variation) -> Run:
        """Train in a copy of the project, and read what is new below its declared outputs."""
        project, spec, scratch = self.project, self.spec, self.scratch / "project"
        shutil.rmtree(scratch, ignore_errors=True)
        depth = "a/deeper folder/other-name" if variation.folder else "project"
        root = files.copied(project.root, scratch / depth)
        programs.make_outputs(root, spec)
        for name in self.old if variation.cold else ():
            (root / name).unlink()
        _date(root, backwards=variation.times)
        before = _stamps(root, spec)
        if variation.warm:
            shutil.copytree(self.scratch / "outputs", root, dirs_exist_ok=True)
        words, env = self._command(variation, root)
        started = clock.monotonic()
        process.run(words, cwd=root, env=env)
        seconds = clock.monotonic() - started
        names = sorted(n for n, stamp in _stamps(root, spec).items() if before.get(n) != stamp)
        if not names:
            message = f"`{spec.name}` wrote nothing below its outputs ({', '.join(spec.outputs)})"
            hint = f'outputs = ["models"] in [tool.lockstitch.images.{spec.name}]'
            raise LockstitchError(message, hint=hint)
        outputs = _meaning(project, spec, root, env, names)
        return Run(outputs=outputs, metrics=dict(sorted(_metrics(root, names))), seconds=seconds)

    def _command(self, variation: Variation, root: Path) -> tuple[Sequence[str], dict[str, str]]:
        """Return the words and the variables of a training in a copy of the project."""
        command = self.made = self.made or programs.command(self.project, self.spec, (), {})
        told = command.env
        if variation.clean:
            told = variations.needed(told, self.spec.env)
        # A seed that is not set is another one each time: then no variation could be told from it.
        env = {"PYTHONHASHSEED": "0", **told, **variation.env}
        if variation.home:
            home = self.scratch / "home"
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            env = {n: text for n, text in env.items() if not n.startswith("XDG_")}
            env["HOME"] = str(home)
        if variation.locale:
            env |= variations.locale(variation.env["LC_ALL"], self.scratch)
        if "cpus" in variation.process and hasattr(os, "sched_getaffinity"):
            # Kernels take as many threads as there are processors: that is another variation.
            env = dict.fromkeys(_THREADS, str(len(os.sched_getaffinity(0)))) | env
        env = {name: value for name, value in env.items() if name not in variation.unset}
        env |= {"PYTHONDONTWRITEBYTECODE": "1", **self._tracking()}
        # The environment has the project as an editable: the copy's own sources come first.
        env["PYTHONPATH"] = os.pathsep.join([str(_SITE), str(root / "src")])
        settings, clocked = variations.clock_of(variation.process)
        env |= clocked
        env[variations.VARIABLE] = json.dumps(settings, sort_keys=True)
        return command.words, env

    def _tracking(self) -> dict[str, str]:
        """Return the variables that send MLflow's runs elsewhere than to the user's server.

        MLflow 3.17 takes a folder only where it is asked to, and a data base only with SQLAlchemy,
        which `mlflow-skinny` does not bring.
        """
        place = self.scratch / "project" / "runs"
        environment = programs.folder(self.project, self.spec)
        if any(environment.glob("[Ll]ib/**/site-packages/sqlalchemy")):
            return {"MLFLOW_TRACKING_URI": f"sqlite:///{place}.db"}
        return {"MLFLOW_TRACKING_URI": place.as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}


def _date(root: Path, *, backwards: bool) -> None:
    """Give the files of a copy times in the order of their names, or in the reverse order."""
    names = sorted(file.name for file in files.walk(root))
    for number, name in enumerate(reversed(names) if backwards else names):
        os.utime(root / name, (_EPOCH + number, _EPOCH + number))


def _meaning(
    project: Project, spec: ImageSpec, root: Path, env: Mapping[str, str], names: Sequence[str]
) -> dict[str, Output]:
    """Return the meaning of files, as the environment of the image reads them."""
    program = str(programs.python(project, spec))
    done = process.run([program, "-B", _MEANING], cwd=root, env=env, stdin=json.dumps(names))
    return {name: _output(output) for name, output in sorted(json.loads(done.stdout).items())}


def _stamps(root: Path, spec: ImageSpec) -> dict[str, tuple[int, int]]:
    stamps = {}
    for file in files.walk(root):
        if any(file.name.startswith(f"{output.rstrip('/')}/") for output in spec.outputs):
            stamps[file.name] = (file.mtime_ns, file.size)
    if sum(size for _, size in stamps.values()) > _LARGEST:
        message = f"the outputs of `{spec.name}` are larger than {_LARGEST >> 30} GiB"
        raise LockstitchError(message, hint="declare the folder of the model alone as its output")
    return stamps


def _output(answer: Mapping[str, Any]) -> Output:
    parts = {name: (digest, size) for name, (digest, size) in answer["parts"].items()}
    return Output(bytes=answer["bytes"], how=answer["how"], parts=parts, problem=answer["problem"])


def _metrics(root: Path, names: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Yield the numbers of each metrics.json, by their path in it."""
    for name in names:
        if name.rpartition("/")[2] == "metrics.json":
            try:
                for path, value in record.flat(json.loads(files.read_text(root / name))):
                    if isinstance(value, int | float) and not isinstance(value, bool):
                        yield path, float(value)
            except (ValueError, RecursionError):
                continue


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
