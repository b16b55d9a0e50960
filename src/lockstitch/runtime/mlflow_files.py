"""Adds files to the MLflow runs of a training, with the MLflow of its own environment.

stdin: a JSON object {"tag": …, "value": …, "files": [path, …]}: the runs are those with the
tag. stdout: a JSON object {"runs": [{"id": …, "metrics": {…}}]}, or {"problem": …}.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def main() -> dict[str, Any]:
    """Add the files and return the runs."""
    job = json.load(sys.stdin)
    try:
        mlflow = importlib.import_module("mlflow")
    except ImportError:
        return {"problem": "the environment has no mlflow"}
    client = mlflow.MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    wanted = "tags.`{}` = '{}'".format(job["tag"], job["value"])
    runs = client.search_runs(experiments, filter_string=wanted) if experiments else []
    for run in runs:
        for path in job["files"]:
            client.log_artifact(run.info.run_id, path, "lockstitch")
    return {"runs": [{"id": run.info.run_id, "metrics": dict(run.data.metrics)} for run in runs]}


if __name__ == "__main__":
    try:
        answer = main()
    except Exception as error:  # noqa: BLE001 -- MLflow's, and those of all that it calls
        answer = {"problem": (str(error).splitlines() or [type(error).__name__])[0][:300]}
    json.dump(answer, sys.stdout)
