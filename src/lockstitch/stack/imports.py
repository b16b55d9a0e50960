"""Reads the runs in a folder of MLflow's file store, and imports them into MLflow's server.

A training without a server leaves such a folder. It may come from anywhere. Nothing in it is
followed: no link, no address, no path that a file states. What is read is text of a limited size;
artifacts are only listed.
"""

import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lockstitch import environ, files, process
from lockstitch.errors import LockstitchError, collected
from lockstitch.net.credentials import Login
from lockstitch.net.download import ask
from lockstitch.python.model import Project
from lockstitch.stack.folder import Folder
from lockstitch.stack.service import RUNTIME
from lockstitch.stack.tools import Tools
from lockstitch.values import frozen, replace

TAG = "lockstitch.imported_from"  # of an imported run and of its models: the id that it had
_FOLDER = "mlruns"
_KEPT = ("PATH", "HOME", "TMPDIR")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_NOT_RUNS = {"datasets", "models", "tags", "traces"}  # of an experiment's folder
_TEXT = 100_000  # bytes of a parameter, a tag, a meta.yaml; MLflow allows 8,000 characters
_FILES = 100_000  # of a run's artifacts, and names in any other folder
_NESTED = 500
_STATUS = {3: "FINISHED", 4: "FAILED", 5: "KILLED"}  # 1 and 2 have not ended
_MODEL_STATUS = {2: "READY", 3: "FAILED"}

Point = tuple[str, float, int, int]  # name, value, timestamp in ms, step


@frozen
class Model:
    """A model that a run logged."""

    id: str
    name: str
    type: str
    status: str
    step: int
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: tuple[Point, ...]
    artifacts: str  # their folder, in which all is files and folders


@frozen
class Run:
    """A run that has ended; times are milliseconds since 1970, artifacts (path in it, file)."""

    id: str
    experiment: str
    name: str
    status: str
    start: int
    end: int
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: tuple[Point, ...]
    artifacts: tuple[tuple[str, str], ...]
    models: tuple[Model, ...]


@dataclass(slots=True, kw_only=True)
class RunFolder:
    """The runs of a folder by their start, how many never ended, and what cannot be read."""

    runs: list[Run] = field(default_factory=list)
    unfinished: int = 0
    problems: list[LockstitchError] = field(default_factory=list)


def folders(project: Project) -> list[Path]:
    """Return where trainings leave runs: `mlruns` of the project and of its images' outputs."""
    places = {project.root / _FOLDER}
    places |= {project.root / name / _FOLDER for image in project.images for name in image.outputs}
    return sorted(place for place in places if place.is_dir() and not place.is_symlink())


def waiting(project: Project, server: str, login: Login | None = None) -> int:
    """Return how many runs of this project MLflow's server does not have yet; 0 if it is silent."""
    ids = {run.id for folder in folders(project) for run in read(folder).runs}
    if not ids:
        return 0
    try:
        return len(ids - _imported(server, login))
    except (LockstitchError, ValueError, TypeError, AttributeError, KeyError):
        return 0


def _imported(server: str, login: Login | None) -> set[str]:
    body: dict[str, Any] = {"view_type": "ALL"}
    ids = [experiment["experiment_id"] for experiment in _pages(server, login, "experiments", body)]
    body = {"experiment_ids": ids, "filter": f"tags.`{TAG}` != ''", "run_view_type": "ALL"}
    runs = _pages(server, login, "runs", body) if ids else ()
    tags = [run["data"].get("tags", []) for run in runs]
    return {tag["value"] for listed in tags for tag in listed if tag["key"] == TAG}


def _pages(server: str, login: Login | None, kind: str, body: Mapping[str, Any]) -> Iterator[Any]:
    token = ""
    while True:
        words = {"max_results": 1000, **body, "page_token": token}
        address = f"{server}/api/2.0/mlflow/{kind}/search"
        answer = json.loads(ask(address, json.dumps(words).encode(), login)[1])
        yield from answer.get(kind, [])
        token = answer.get("next_page_token", "")
        if not token:
            return


def write(
    stack: Folder, tools: Tools, variables: Mapping[str, str], runs: Sequence[Run]
) -> dict[str, list[str]]:
    """Import runs into MLflow's server and return the ids that were `imported` and `skipped`.

    Two at once: the second waits. Raises LockstitchError when the server refuses or goes away; what
    was imported is kept, and the same again goes on after it.
    """
    if not runs:
        return {"imported": [], "skipped": []}
    request = json.dumps({"tag": TAG, "runs": [asdict(run) for run in runs]})
    shell = environ.child()  # of which no proxy may stand between us and the server
    env = {name: shell[name] for name in _KEPT if name in shell}
    env |= {**variables, "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore"}
    with files.lock(stack.root / "import.lock"):
        done = process.run(
            [tools.python, "-P", RUNTIME / "import_runs.py"], env=env, stdin=request, check=False
        )
    try:
        result = json.loads(done.stdout.splitlines()[-1])
        problem = result.pop("problem")
    except (ValueError, IndexError, KeyError):
        result, problem = {"imported": []}, "\n".join(done.stderr.strip().splitlines()[-8:])
    if problem or done.code:
        message = f"imported {len(result['imported'])} of {len(runs)} runs, then: {problem}"
        raise LockstitchError(message, hint="the same again goes on: lockstitch stack import")
    return {name: list(ids) for name, ids in result.items()}


def read(folder: Path) -> RunFolder:
    """Return the runs of one folder; a damaged one does not hide the others."""
    contents = RunFolder()
    for experiment in _folders(folder, contents):
        if experiment.name.startswith(".") or not (experiment / "meta.yaml").exists():
            continue  # the trash; what is no experiment
        with collected(contents.problems):
            name = _required(_meta(experiment), "name", experiment)
            models = _models(experiment, contents)
            for run in _folders(experiment, contents):
                if run.name not in _NOT_RUNS:
                    with collected(contents.problems):
                        _add(contents, run, name, models)
    contents.runs.sort(key=lambda run: (run.start, run.id))
    return contents


def _add(
    contents: RunFolder, folder: Path, experiment: str, models: Mapping[str, list[Model]]
) -> None:
    meta = _meta(folder) if (folder / "meta.yaml").exists() else {}
    status = _STATUS.get(meta.get("status", 0))
    if status is None:
        contents.unfinished += 1
        return
    if meta.get("lifecycle_stage") == "deleted":
        return
    name = _id(folder, meta.get("run_id"))
    steps = {path.name: _step(path) for path in _folders(folder / "outputs", contents)}
    run = Run(
        id=name,
        experiment=experiment,
        name=str(meta.get("run_name") or ""),
        status=status,
        start=_time(meta, "start_time", folder),
        end=_time(meta, "end_time", folder),
        params=dict(_texts(folder / "params")),
        tags=dict(_texts(folder / "tags")),
        metrics=_points(folder / "metrics"),
        artifacts=tuple((name, str(path)) for name, path in _files(folder / "artifacts")),
        models=tuple(replace(m, step=steps.get(m.id, 0)) for m in models.get(name, [])),
    )
    contents.runs.append(run)


def _models(experiment: Path, contents: RunFolder) -> dict[str, list[Model]]:
    """Return an experiment's models by the run that logged them."""
    models: dict[str, list[Model]] = {}
    for folder in _folders(experiment / "models", contents):
        with collected(contents.problems):
            meta = _meta(folder)
            model = Model(
                id=_id(folder, meta.get("model_id")),
                name=_required(meta, "name", folder),
                type=str(meta.get("model_type") or ""),
                status=_MODEL_STATUS.get(meta.get("status", 0), "FAILED"),
                step=0,
                params=dict(_texts(folder / "params")),
                tags=dict(_texts(folder / "tags")),
                metrics=_points(folder / "metrics"),
                artifacts=str(folder / "artifacts") if _files(folder / "artifacts") else "",
            )
            models.setdefault(str(meta.get("source_run_id")), []).append(model)
    return models


def _step(folder: Path) -> int:
    step = _meta(folder).get("step", 0)
    return step if isinstance(step, int) else 0


def _wrong(path: Path, why: str) -> LockstitchError:
    message = f"`{path}` {why}"
    return LockstitchError(message, hint="remove that run's folder, or put it back as it was")


def _meta(folder: Path) -> dict[str, Any]:
    import yaml

    path = folder / "meta.yaml"
    text = _text(path)
    if sum(map(text.count, "[{")) > _NESTED:  # each costs the more, the more there are
        raise _wrong(path, "nests what MLflow writes flat")
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent):
                raise _wrong(path, "repeats parts of itself, which MLflow never writes")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _NESTED:
                raise _wrong(path, "nests what MLflow writes flat")
        meta = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _wrong(path, "is not YAML") from error
    if not isinstance(meta, dict):
        raise _wrong(path, "does not hold what MLflow writes")
    return meta


def _required(meta: Mapping[str, Any], key: str, folder: Path) -> str:
    value = meta.get(key)
    if not isinstance(value, str) or not value:
        raise _wrong(folder / "meta.yaml", f"has no `{key}`")
    return value


def _id(folder: Path, stated: object) -> str:
    if stated != folder.name or not _ID.fullmatch(folder.name):
        raise _wrong(folder / "meta.yaml", f"is of `{stated}`, in the folder of `{folder.name}`")
    return folder.name


def _time(meta: Mapping[str, Any], key: str, folder: Path) -> int:
    value = meta.get(key)
    if not isinstance(value, int) or not 0 <= value < 10**15:
        raise _wrong(folder / "meta.yaml", f"has `{value}` as `{key}`")
    return value


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    for name, path in _files(folder):
        yield name, _text(path)


def _points(folder: Path) -> tuple[Point, ...]:
    """Return the points of all metrics as they were logged, each once."""
    points: dict[Point, None] = {}
    for name, path in _files(folder):
        for line in _text(path, 50_000_000).splitlines():  # bytes of the points of one metric
            words = [*line.split(" "), "0"]
            try:
                value = float(words[1])
            except (IndexError, ValueError) as error:
                raise _wrong(path, f"has the line `{line[:80]}`") from error
            step = words[2]
            if not _NUMBER.fullmatch(words[0]) or not _NUMBER.fullmatch(step):
                raise _wrong(path, f"has the line `{line[:80]}`")
            points[name, value, int(words[0]), int(step)] = None
    return tuple(point for point in points if not math.isnan(point[1])) + _nans(points)


def _nans(points: Mapping[Point, None]) -> tuple[Point, ...]:
    # One that is not a number equals no other, itself included: told apart by the rest.
    nans = {(name, time, step) for name, value, time, step in points if math.isnan(value)}
    return tuple((name, math.nan, time, step) for name, time, step in sorted(nans))


def _folders(folder: Path, contents: RunFolder) -> list[Path]:
    """Return the folders in a folder, sorted; a link there is a problem."""
    paths = []
    with collected(contents.problems):
        for path, mode in _entries(folder):
            if stat.S_ISLNK(mode):
                contents.problems.append(_wrong(path, "is a link"))
            elif stat.S_ISDIR(mode):
                paths.append(path)
    return paths


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Return the files below a folder by their path in it, sorted."""
    todo, listed = [("", folder)], []
    while todo:
        prefix, here = todo.pop()
        for path, mode in _entries(here):
            name = prefix + path.name
            if stat.S_ISDIR(mode):
                todo.append((f"{name}/", path))
            elif stat.S_ISREG(mode):
                listed.append((name, path))
            else:
                raise _wrong(path, "is a link, or no file")
            if len(listed) + len(todo) > _FILES:
                raise _wrong(folder, f"has more than {_FILES} files")
    return sorted(listed)


def _entries(folder: Path) -> list[tuple[Path, int]]:
    """Return a folder's files with their modes, sorted; none when there is no such folder."""
    try:
        if folder.is_symlink():
            raise _wrong(folder, "is a link")
        names = sorted(path.name for path in folder.iterdir())
        if len(names) > _FILES:
            raise _wrong(folder, f"has more than {_FILES} files")
        for name in names:
            if _CONTROL.search(name) or not name.isprintable():
                raise _wrong(folder, f"has a file named {name!r}")
        return [(folder / name, (folder / name).lstat().st_mode) for name in names]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _wrong(folder, f"cannot be read: {error.strerror}") from error


def _text(path: Path, limit: int = _TEXT) -> str:
    """Return a small file of UTF-8; a link is not followed, and no device is waited for."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)

    try:
        with open(path, "rb", opener=opener) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise _wrong(path, f"has more than {limit} bytes")
        return data.decode()
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _wrong(path, f"is not UTF-8: byte {error.start}") from error
