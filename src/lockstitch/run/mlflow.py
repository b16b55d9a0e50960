"""The MLflow runs of a training: tagged as they are created, given the lock when it is over.

MLflow adds the tags in `MLFLOW_RUN_CONTEXT` to each run that it creates (its
`SystemEnvironmentContext`); nothing of the program changes.
"""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstitch import process
from lockstitch.errors import LockstitchError
from lockstitch.values import frozen

_CONTEXT, _SERVER = "MLFLOW_RUN_CONTEXT", "MLFLOW_TRACKING_URI"
_TAG = "lockstitch.run"
_SCRIPT = Path(__file__).parents[1] / "runtime" / "mlflow_files.py"
_SETTINGS = {
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}


@frozen
class Tracked:
    """The runs that a program created, and the metrics of the only one."""

    runs: tuple[str, ...] = ()
    metrics: Mapping[str, Any] | None = None
    problem: str = ""


def is_tracked(env: Mapping[str, str]) -> bool:
    """Return whether a program with these variables logs to a server."""
    return bool(env.get(_SERVER))


def before(env: Mapping[str, str], tags: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return variables that tag each MLflow run, and the value by which these runs are found."""
    token = secrets.token_hex(8)
    try:
        given = json.loads(env.get(_CONTEXT) or "{}")
    except ValueError:
        given = {}
    context = {**(given if isinstance(given, dict) else {}), **tags, _TAG: token}
    return {**env, _CONTEXT: json.dumps(context, sort_keys=True)}, token


def after(python: Path, env: Mapping[str, str], token: str, files: Sequence[Path]) -> Tracked:
    """Add files to the runs that a program created, and return them."""
    job = {"tag": _TAG, "value": token, "files": [str(path) for path in files]}
    variables = {**_SETTINGS, **env}
    variables.pop(_CONTEXT, None)
    try:
        done = process.run([python, _SCRIPT], env=variables, stdin=json.dumps(job))
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (LockstitchError, ValueError, IndexError) as error:
        return Tracked(problem=_plain(str(error)))
    runs = answer.get("runs") or []
    return Tracked(
        runs=tuple(str(run["id"]) for run in runs),
        metrics=runs[0]["metrics"] if len(runs) == 1 else None,
        problem=_plain(answer.get("problem", "")),
    )


def _plain(text: str) -> str:
    """Return the first line of a text without the logins of its addresses."""
    return re.sub(r"//[^/@\s]*@", "//", (text.splitlines() or [""])[0])[:300]
