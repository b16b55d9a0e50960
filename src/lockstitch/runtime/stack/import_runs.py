"""Writes runs to MLflow's server; runs on the tools' own Python.

Run as a script, with what `src/lockstitch/stack/imports.py` read as JSON on its input. A run is
created with the id that it had in a tag, and gets its end last: one without an end was interrupted,
and is written again into the same place. Prints what it did as JSON; a reason on its error output.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

__all__ = ["main"]

_SETTINGS = {
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}
_ENTITIES = 100  # parameters or tags that MLflow takes in one request
_POINTS = 1000
_ALL = 3  # active and deleted
_PAGE = 1000


def main(wanted: dict[str, Any]) -> int:
    """Import the runs that are not there yet, and print how it went."""
    os.environ.update(_SETTINGS)
    from mlflow import MlflowClient  # type: ignore[import-not-found,unused-ignore]

    done: dict[str, list[str]] = {"imported": [], "skipped": []}
    problem = ""
    try:
        _import(MlflowClient(), wanted["tag"], wanted["runs"], done)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it ends here
        problem = " ".join(str(error).split())[:500] or type(error).__name__
    sys.stdout.write(json.dumps({**done, "problem": problem}) + "\n")
    return 1 if problem else 0


def _import(client: Any, tag: str, runs: list[dict[str, Any]], done: dict[str, list[str]]) -> None:
    there = _there(client, tag)
    for run in runs:
        new, status = there.get(run["id"], ("", "RUNNING"))
        if status != "RUNNING":
            done["skipped"].append(run["id"])
            continue
        experiment = _experiment(client, run["experiment"])
        if not new:
            tags = {**_first(run["tags"]), tag: run["id"]}
            made = client.create_run(experiment, run["start"], tags, run["name"] or None)
            new = made.info.run_id
        _fill(client, new, experiment, run, tag)
        client.set_terminated(new, run["status"], run["end"])
        done["imported"].append(run["id"])


def _there(client: Any, tag: str) -> dict[str, tuple[str, str]]:
    """Return id and status of each run that came from here, by the id that it had."""
    experiments = list(
        _pages(lambda token: client.search_experiments(_ALL, _PAGE, page_token=token))
    )
    ids = [experiment.experiment_id for experiment in experiments]
    query = f"tags.`{tag}` != ''"
    runs = _pages(lambda token: client.search_runs(ids, query, _ALL, _PAGE, page_token=token))
    return {run.data.tags[tag]: (run.info.run_id, run.info.status) for run in runs}


def _pages(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    token = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return


def _experiment(client: Any, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return str(client.create_experiment(name))
    if experiment.lifecycle_stage != "active":
        raise RuntimeError(f"MLflow's experiment `{name}` is deleted: restore it or rename it")
    return str(experiment.experiment_id)


def _first(tags: dict[str, str]) -> dict[str, str]:
    return {name: tags[name] for name in sorted(tags)[: _ENTITIES - 2]}


def _fill(client: Any, new: str, experiment: str, run: dict[str, Any], tag: str) -> None:
    """Write all of a run but its end; what is there already stays."""
    from mlflow.entities import Param, RunTag  # type: ignore[import-not-found,unused-ignore]

    for sequence in _cut(sorted(run["tags"].items()), _ENTITIES):
        client.log_batch(new, tags=[RunTag(*pair) for pair in sequence])
    for sequence in _cut(sorted(run["params"].items()), _ENTITIES):
        client.log_batch(new, params=[Param(*pair) for pair in sequence])
    _log_points(client, new, run["metrics"])
    for name, path in run["artifacts"]:
        parent = str(PurePosixPath(name).parent)
        client.log_artifact(new, path, None if parent == "." else parent)
    for model in run["models"]:
        _log_model(client, new, experiment, model, tag)


def _log_points(client: Any, run: str, points: list[Any], **more: str) -> None:
    from mlflow.entities import Metric  # type: ignore[import-not-found,unused-ignore]

    for sequence in _cut(points, _POINTS):
        client.log_batch(run, metrics=[Metric(*point, **more) for point in sequence])


def _log_model(client: Any, run: str, experiment: str, model: dict[str, Any], tag: str) -> None:
    from mlflow.entities import LoggedModelOutput  # type: ignore[import-not-found,unused-ignore]

    query = f"tags.`{tag}` = '{model['id']}' AND source_run_id = '{run}'"
    there = list(client.search_logged_models([experiment], query))
    new = there[0] if there else _create(client, run, experiment, model, tag)
    if model["artifacts"]:
        client.log_model_artifacts(new.model_id, model["artifacts"])
    # Those of a model must not be written twice, which those of a run may.
    had = {(metric.key, metric.timestamp, metric.step) for metric in new.metrics or []}
    points = [metric for metric in model["metrics"] if (metric[0], metric[2], metric[3]) not in had]
    _log_points(client, run, points, model_id=new.model_id)
    if str(new.status) == "PENDING":
        client.finalize_logged_model(new.model_id, model["status"])
    outputs = client.get_run(run).outputs
    if new.model_id not in [
        output.model_id for output in (outputs.model_outputs if outputs else [])
    ]:
        client.log_outputs(run, [LoggedModelOutput(new.model_id, model["step"])])


def _create(client: Any, run: str, experiment: str, model: dict[str, Any], tag: str) -> Any:
    tags = {**model["tags"], tag: model["id"]}
    kind = model["type"] or None
    return client.create_logged_model(experiment, model["name"], run, tags, model["params"], kind)


def _cut(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin)))
