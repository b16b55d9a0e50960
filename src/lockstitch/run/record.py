"""The run record: what went in, what came out, and the environment of a training.

Its JSON is in docs/reference/run-record.md.
"""

import hashlib
import json
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lockstitch import clock, files, git
from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.files import FoundFile
from lockstitch.fingerprint import live, model
from lockstitch.fingerprint.model import Fingerprint
from lockstitch.lock import manager
from lockstitch.process import Command
from lockstitch.progress import Reporter, say
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.tables import Table
from lockstitch.run import imports, mlflow, programs
from lockstitch.secrets import text as secret_text
from lockstitch.values import field, frozen, replace

_SCHEMA = 1
_HINT = "lockstitch run IMAGE writes it anew"
_METRICS = "metrics.json"
_LARGEST = 4 << 20  # bytes of a metrics.json
_STORE = "mlruns"  # MLflow's own folder, whose names are new each time
_SECRET = re.compile(r"(?i)--?[\w-]*(?:password|passwd|secret|token|api-?key)")

# Variables that are not recorded: what may be a secret, and where the machine has things.
_PRIVATE = re.compile(
    r"(?i)pass|secret|token|key|credential|auth|^(?:HOME|USER|LOGNAME|PATH|PWD|OLDPWD|SHELL|TMPDIR"
    r"|HOSTNAME|VIRTUAL_ENV|PYTHON\w*|LOCKSTITCH_\w*|MLFLOW_\w*|AWS_\w*)$"
)
_KEYS = (".pem", ".key", ".p12", ".pfx")

Run = Callable[[Command], int]
State = Mapping[str, tuple[int, int]]


@frozen
class RunRecord:
    """One run of an image's command."""

    task: str  # the image
    command: tuple[str, ...]  # with its arguments
    fingerprint: Fingerprint  # with the packages that were imported
    commit: str = ""  # "" outside of a repository
    dirty: tuple[str, ...] = ()  # files that differ from the commit or are new
    inputs: Mapping[str, Digest] = field(default_factory=dict)  # by path from the project
    outputs: Mapping[str, Digest] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)  # variables that its code read
    seconds: float = 0.0  # not part of the digest, as is the next
    runs: tuple[str, ...] = ()  # ids of MLflow
    # Of a run on several nodes: `rank`, `node` and the facts in which ranks differ. Not hashed.
    ranks: tuple[Mapping[str, Any], ...] = ()

    def _hashed(self) -> dict[str, Any]:
        return {
            "schema": _SCHEMA,
            "kind": "run",
            "task": self.task,
            "command": list(self.command),
            "fingerprint": self.fingerprint.document(),
            "git": {"commit": self.commit, "dirty": sorted(self.dirty)},
            "inputs": dict(sorted(self.inputs.items())),
            "outputs": dict(sorted(self.outputs.items())),
            "metrics": self.metrics,
            **({"settings": dict(sorted(self.settings.items()))} if self.settings else {}),
        }

    def environment(self) -> Fingerprint:
        """Return the fingerprint, with the files that the run read and what it gave."""
        inputs = {path: str(digest) for path, digest in self.inputs.items()}
        results = {f"metric {name}": json.dumps(value) for name, value in flat(self.metrics)}
        results |= {f"output {path}": str(digest) for path, digest in self.outputs.items()}
        return replace(
            self.fingerprint,
            inputs=inputs,
            results=results,
            settings=self.settings,
            commit=self.commit,
        )

    @property
    def digest(self) -> Digest:
        """The digest of all that a repeated run has in common."""
        text = json.dumps(self._hashed(), sort_keys=True, separators=(",", ":"))
        return Digest.of_hex(hashlib.sha256(text.encode()).hexdigest())

    def document(self) -> dict[str, Any]:
        """Return the run record as JSON."""
        later = {"digest": self.digest, "seconds": round(self.seconds, 3)}
        ranks = {"ranks": list(self.ranks)} if self.ranks else {}
        return self._hashed() | later | ranks | {"mlflow_runs": sorted(self.runs)}


def flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield the plain values of JSON by their paths, without lists."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flat(item, f"{path}.{key}" if path else str(key))
    elif not isinstance(value, list):
        yield path, value


def write(record: RunRecord, path: Path) -> None:
    """Write a run record whole or not at all."""
    files.write_text(path, json.dumps(record.document(), indent=2, sort_keys=True) + "\n")


def is_record(document: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is a run record."""
    return document.get("kind") == "run"


def read(path: Path) -> RunRecord:
    """Return the run record in a file; raises LockstitchError with every problem."""
    name = path.name
    return of_document(model.parsed(files.read_text(path), name), name)


def of_document(document: dict[str, Any], source: str) -> RunRecord:
    """Return the run record of a JSON object; raises LockstitchError with every problem."""
    problems: list[LockstitchError] = []
    top = Table(document, "", problems)
    if top.number("schema", least=1, most=10**6) != _SCHEMA or not is_record(document):
        raise LockstitchError(f"`{source}` is no run record with schema {_SCHEMA}", hint=_HINT)
    git = top.table("git")
    metrics = document.get("metrics")
    inner = document.get("fingerprint")
    record = RunRecord(
        task=top.text("task"),
        command=tuple(word for word in document.get("command", ()) if isinstance(word, str)),
        fingerprint=model.of_document(inner if isinstance(inner, dict) else {}, source),
        commit=git.text("commit") if git.raw("commit") else "",
        dirty=git.texts("dirty"),
        inputs=_digests(top.table("inputs")),
        outputs=_digests(top.table("outputs")),
        metrics=metrics if isinstance(metrics, dict) else {},
        settings=_settings(top.table("settings")) if top.has("settings") else {},
        seconds=_seconds(document.get("seconds")),
        runs=top.texts("mlflow_runs"),
        ranks=tuple(_rank(table) for table in top.each("ranks")) if top.has("ranks") else (),
    )
    if problems:
        raise_all([LockstitchError(f"`{source}`: {e.message}", hint=_HINT) for e in problems])
    return record


def _digests(table: Table) -> dict[str, Digest]:
    digests = {}
    for name in table:
        try:
            digests[name] = Digest.parse(table.text(name))
        except LockstitchError as error:
            table.complain(name, f"is wrong: {error.message}")
    return digests


def _settings(table: Table) -> dict[str, str]:
    return {name: table.text(name) if table.raw(name) != "" else "" for name in table}


def _rank(table: Table) -> dict[str, Any]:
    facts = table.table("facts")
    return {
        "rank": table.number("rank", least=0, most=10**7),
        "node": table.text("node"),
        "facts": {name: facts.text(name) for name in facts},
    }


def _seconds(value: object) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good and isinstance(value, int | float) else 0.0


# --- a run that leaves its record


@frozen
class _Before:
    """The facts before the program starts."""

    record: RunRecord
    outputs: State
    command: Command
    token: str


def run(
    project: Project,
    spec: ImageSpec,
    command: Command,
    start: Run,
    progress: Reporter,
    fingerprint: Fingerprint | None = None,
) -> int:
    """Run a command, write its run record when it ended well, and return its exit code.

    `start` runs it to its end. The environment, where `fingerprint` is not it, and the inputs are
    read before it starts.
    """
    if not spec.record:
        return start(command)
    path = project.root / spec.record
    folder = programs.folder(project, spec)
    with progress.task(f"fingerprint of {spec.name}", 0):
        fingerprint = fingerprint or live.interpreter(folder, command.env)
        before = _before(project, spec, command, fingerprint)
    with tempfile.TemporaryDirectory(prefix="lockstitch-run-") as scratch:
        target = Path(scratch) / "imported.json"
        followed = imports.traced(before.command, folder, target)
        children = Path(scratch) / "noted.txt"
        started, begun = clock.monotonic(), clock.now()
        code = start(imports.with_children(followed or before.command, children))
        seconds = clock.monotonic() - started
        if code != 0:
            say(f"`{spec.name}` ended with exit code {code}: no run record is written")
            return code
        used = imports.packages(target, live.site_of(folder)) if followed else None
        # None of all packages: what trained was not seen, which is not that it needed none.
        used = (
            tuple(sorted({*(used or ()), *imports.noted(children, live.site_of(folder))})) or None
        )
        read = _read(project, spec, imports.files_read(children), begun)
        settings = _asked(imports.variables_read(children), command.env)
    if used is None:
        say("what was imported is not recorded: the program is no Python, or ended abruptly")
    before = replace(
        before,
        record=replace(before.record, inputs={**read, **before.record.inputs}, settings=settings),
    )
    _finish(project, spec, before, path, used, seconds)
    return 0


def _read(
    project: Project, spec: ImageSpec, opened: Sequence[Path], begun: float
) -> dict[str, Digest]:
    """Return the digests of files that the run read and did not write, wherever they lie."""
    root, home = project.root, Path.home()
    digests = {}
    for path in opened:
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        own = path.is_relative_to(home) and not path.is_relative_to(root)
        hidden = own and path.relative_to(home).parts[0].startswith(".")
        if hidden and path.relative_to(home).parts[0] != ".cache":
            continue  # settings and logins, as in ~/.netrc
        apart = _is_below(name, (*spec.outputs, ".lockstitch", ".venv", ".git"))
        if apart or path.suffix in _KEYS or files.is_left_out(path.name):
            continue
        try:
            facts = path.stat()
            if path.is_file() and facts.st_mtime < begun:
                digests[name] = digest_of(path)
        except OSError:
            continue  # it is gone, or may not be read any more
    return digests


def _asked(names: Sequence[str], env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a program's own code read: no secret, and none of this machine."""
    return {
        name: env[name]
        for name in names
        if name in env
        and not _PRIVATE.search(name)
        and len(env[name]) <= 200  # characters of a variable that is recorded
        and env[name].isprintable()
        and not secret_text.find(env[name], "variable")
    }


def _before(
    project: Project, spec: ImageSpec, command: Command, fingerprint: Fingerprint
) -> _Before:
    commit = git.commit(project.root).digest
    words = (*spec.started[:1], *command.words[1:])
    record = RunRecord(
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
        **({"lockstitch.commit": commit + ("+" if record.dirty else "")} if commit else {}),
    }
    env, token = mlflow.before(command.env, tags)
    outputs = _state(project, spec)
    return _Before(record=record, outputs=outputs, command=replace(command, env=env), token=token)


def _finish(
    project: Project,
    spec: ImageSpec,
    before: _Before,
    path: Path,
    imported: tuple[str, ...] | None,
    seconds: float,
) -> None:
    """Complete the run record, write it, and add it to the MLflow runs of the program."""
    outputs = _changed(project, spec, before.outputs)
    record = replace(
        before.record,
        fingerprint=replace(before.record.fingerprint, imported=imported),
        outputs=_hashed(outputs),
        metrics=_metrics(outputs),
        seconds=seconds,
    )
    write(record, path)  # before the server is asked: it may be slow
    say(f"{path.relative_to(project.root)}: {record.digest}")
    env = before.command.env
    if not mlflow.is_tracked(env):
        return
    locks = [project.root / name for name in manager.of(project).locks(project)]
    locks += [project.root / f"pylock.{spec.name}.toml", project.root / "lockstitch.lock"]
    python = live.python_of(programs.folder(project, spec))
    artifacts = [output for output in (*locks, path) if output.is_file()]
    tracked = mlflow.after(python, env, before.token, artifacts)
    if tracked.problem or not tracked.runs:
        reason = tracked.problem or "it created none"
        say(f"no MLflow run got the lock: {reason}")
        return
    write(replace(record, metrics=record.metrics or tracked.metrics or {}, runs=tracked.runs), path)


@frozen
class Remote:
    """The facts of a run before it starts on another machine."""

    record: RunRecord
    outputs: State

    @classmethod
    def of(cls, project: Project, spec: ImageSpec, command: Sequence[str]) -> "Remote":
        """Read commit, inputs and the state of the outputs, before the run."""
        commit = git.commit(project.root).digest
        record = RunRecord(
            task=spec.name,
            command=tuple(_without_secrets(command)),
            fingerprint=Fingerprint(kind="environment"),
            commit=commit,
            dirty=git.dirty(project.root) if commit else (),
            inputs=_hashed(_inputs(project, spec)),
        )
        return cls(record=record, outputs=_state(project, spec))

    def finish(
        self,
        project: Project,
        spec: ImageSpec,
        fingerprint: Fingerprint,
        ranks: Sequence[Mapping[str, Any]],
        seconds: float,
    ) -> None:
        """Write the run record, with the environment of rank 0 and what differs between ranks."""
        outputs = _changed(project, spec, self.outputs)
        record = replace(
            self.record,
            fingerprint=fingerprint,
            outputs=_hashed(outputs),
            metrics=_metrics(outputs),
            seconds=seconds,
            ranks=tuple(ranks),
        )
        path = project.root / spec.record
        write(record, path)
        say(f"{path.relative_to(project.root)}: {record.digest}")


def _state(project: Project, spec: ImageSpec) -> State:
    return {file.name: (file.mtime_ns, file.size) for file in _outputs(project, spec)}


def _changed(project: Project, spec: ImageSpec, before: State) -> list[FoundFile]:
    return [
        file
        for file in _outputs(project, spec)
        if before.get(file.name) != (file.mtime_ns, file.size)
    ]


def _inputs(project: Project, spec: ImageSpec) -> list[FoundFile]:
    included = files.find_files(project.root, spec.include)
    return [file for file in included if not _is_below(file.name, spec.outputs)]


def _outputs(project: Project, spec: ImageSpec) -> list[FoundFile]:
    def enters(folder: str) -> bool:
        above = any(output.startswith(f"{folder}/") for output in spec.outputs)
        inside = above or _is_below(f"{folder}/", spec.outputs)
        return inside and folder.rpartition("/")[2] != _STORE

    return [
        file
        for file in files.walk(project.root, enters=enters)
        if _is_below(file.name, spec.outputs) and not file.name.endswith(".run.json")
    ]


def _is_below(name: str, folders: Sequence[str]) -> bool:
    return any(name.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def _hashed(inputs: Sequence[FoundFile]) -> dict[str, Digest]:
    return {file.name: digest_of(file.path) for file in inputs}


def digest_of(path: Path) -> Digest:
    """Return the digest of a file's content."""
    with path.open("rb") as handle:
        return of_bytes(iter(lambda: handle.read(1 << 20), b""))


def _metrics(outputs: Sequence[FoundFile]) -> dict[str, Any]:
    """Return the first metrics.json that the run wrote, when it holds a JSON object."""
    for output in outputs:
        if PurePosixPath(output.name).name == _METRICS and output.size <= _LARGEST:
            try:
                metrics = json.loads(output.path.read_bytes())
            except (ValueError, RecursionError):
                continue
            if isinstance(metrics, dict):
                return metrics
    return {}


def _without_secrets(words: Sequence[str]) -> Iterator[str]:
    """Yield the words of a command, with possible passwords as ***."""
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
