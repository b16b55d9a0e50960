"""Runs an image's command and writes the record of the run beside its outputs."""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from lockstitch import clock, files, git
from lockstitch.digest import Digest, of_bytes
from lockstitch.files import FoundFile
from lockstitch.fingerprint import live
from lockstitch.lock import manager
from lockstitch.process import Command
from lockstitch.progress import Reporter, say
from lockstitch.python.model import ImageSpec, Project
from lockstitch.run import environment, imports, record, tracking
from lockstitch.run.record import RunRecord
from lockstitch.secrets import text as secret_text

__all__ = ["run"]

_METRICS = "metrics.json"
_LARGEST = 4 << 20  # bytes of a metrics.json
_STORE = "mlruns"  # MLflow's own folder, whose names are new each time
_SECRET = re.compile(r"(?i)--?[\w-]*(?:password|passwd|secret|token|api-?key)")

Run = Callable[[Command], int]
State = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """What is known before the program starts."""

    record: RunRecord
    outputs: State
    command: Command
    token: str


def run(project: Project, spec: ImageSpec, command: Command, start: Run, progress: Reporter) -> int:
    """Run a command, write its record when it ended well, and return its exit code.

    `start` runs it to its end. Everything that the record says of before is looked at before.
    """
    if not spec.record:
        return start(command)
    path = project.root / spec.record
    folder = environment.folder(project, spec)
    with progress.task(f"fingerprint of {spec.name}", 0):
        before = _before(project, spec, command)
    with tempfile.TemporaryDirectory(prefix="lockstitch-run-") as scratch:
        target = Path(scratch) / "imported.json"
        followed = imports.traced(before.command, folder, target)
        started = clock.monotonic()
        code = start(followed or before.command)
        seconds = clock.monotonic() - started
        if code != 0:
            say(f"`{spec.name}` ended with exit code {code}: no record is written")
            return code
        found = imports.packages(target, _site(folder)) if followed else None
    if found is None:
        say("what was imported is not recorded: the program is no Python, or ended abruptly")
    _finish(project, spec, before, path, found, seconds)
    return 0


def _before(project: Project, spec: ImageSpec, command: Command) -> _Before:
    fingerprint = live.interpreter(environment.folder(project, spec), command.env)
    commit = git.commit(project.root).digest
    words = (*spec.command[:1], *command.words[1:])
    made = RunRecord(
        task=spec.name,
        command=tuple(_without_secrets(words)),
        fingerprint=fingerprint,
        commit=commit,
        dirty=git.dirty(project.root) if commit else (),
        inputs=_hashed(_inputs(project, spec)),
    )
    tags = {
        "lockstitch.fingerprint": str(fingerprint.digest),
        "lockstitch.task": spec.name,
        **({"lockstitch.commit": commit + ("+" if made.dirty else "")} if commit else {}),
    }
    env, token = tracking.before(command.env, tags)
    outputs = {each.name: (each.mtime_ns, each.size) for each in _outputs(project, spec)}
    return _Before(record=made, outputs=outputs, command=replace(command, env=env), token=token)


def _finish(
    project: Project,
    spec: ImageSpec,
    before: _Before,
    path: Path,
    imported: tuple[str, ...] | None,
    seconds: float,
) -> None:
    """Complete the record, write it, and give it to MLflow where the run was tracked."""
    there = [
        each
        for each in _outputs(project, spec)
        if before.outputs.get(each.name) != (each.mtime_ns, each.size)
    ]
    made = replace(
        before.record,
        fingerprint=replace(before.record.fingerprint, imported=imported),
        outputs=_hashed(there),
        metrics=_metrics(there),
        seconds=seconds,
    )
    record.write(made, path)  # before the server is asked: it may be slow
    say(f"{path.relative_to(project.root)}: {made.digest}")
    env = before.command.env
    if not tracking.is_tracked(env):
        return
    locks = [project.root / name for name in manager.of(project).locks(project)]
    locks += [project.root / f"pylock.{spec.name}.toml", project.root / "lockstitch.lock"]
    python = live.python_of(environment.folder(project, spec))
    there_are = [each for each in (*locks, path) if each.is_file()]
    tracked = tracking.after(python, env, before.token, there_are)
    if tracked.problem or not tracked.runs:
        reason = tracked.problem or "it created none"
        say(f"no MLflow run got the lock: {reason}")
        return
    record.write(
        replace(made, metrics=made.metrics or tracked.metrics or {}, runs=tracked.runs), path
    )


def _inputs(project: Project, spec: ImageSpec) -> list[FoundFile]:
    found = files.find_files(project.root, spec.include)
    return [each for each in found if not _is_below(each.name, spec.outputs)]


def _outputs(project: Project, spec: ImageSpec) -> list[FoundFile]:
    return [
        each
        for each in files.walk(project.root)
        if _is_below(each.name, spec.outputs)
        and not each.name.endswith(".run.json")
        and _STORE not in PurePosixPath(each.name).parts
    ]


def _is_below(name: str, folders: Sequence[str]) -> bool:
    return any(name.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def _hashed(found: Sequence[FoundFile]) -> dict[str, Digest]:
    return {each.name: of_bytes(_chunks(each.path)) for each in found}


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            yield chunk


def _metrics(outputs: Sequence[FoundFile]) -> dict[str, Any]:
    """Return the first metrics.json that the run wrote, when it holds a JSON object."""
    for each in outputs:
        if PurePosixPath(each.name).name == _METRICS and each.size <= _LARGEST:
            try:
                found = json.loads(each.path.read_bytes())
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                return found
    return {}


def _without_secrets(words: Sequence[str]) -> Iterator[str]:
    """Yield the words of a command; what may be a password stands as ***."""
    hidden = False
    for word in words:
        name, equals, _ = word.partition("=")
        if hidden or secret_text.find(word, "arguments"):
            yield "***"
        elif equals and _SECRET.fullmatch(name):
            yield f"{name}=***"
        else:
            yield word
        hidden = not equals and bool(_SECRET.fullmatch(word))


def _site(folder: Path) -> Path:
    found = sorted(folder.glob("lib/python3*/site-packages")) or [folder / "Lib" / "site-packages"]
    return found[0]
