"""Is `mlflow server`, in one process; runs on the tools' own Python.

`mlflow server` makes its tables, then starts uvicorn as a child and waits. Killed, it would
leave that child on the port. Here it goes on as uvicorn instead, which also imports MLflow once
and not twice.

With MLFLOW_AUTH_ADMIN_PASSWORD it asks for a login; users are in the data base of the runs, and
MLFLOW_AUTH_CONFIG_PATH names the file that says so, which is written here.

Run as a script: mlflow_server.py WORD ... | --upgrade. The second moves the tables to this MLflow.
"""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["main"]

_LOOK = "?lockstitch"  # ends the address that the supervisor asks every few seconds


def main(words: Sequence[str]) -> None:
    """Run `mlflow server` with these words, or `mlflow db upgrade`."""
    # First: MLflow guards against foreign host names only where it finds a server's module.
    import uvicorn  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    from mlflow import server  # type: ignore[import-not-found,unused-ignore]
    from mlflow.cli import cli  # type: ignore[import-not-found,unused-ignore]

    if list(words) == ["--upgrade"]:
        cli(["db", "upgrade", os.environ["MLFLOW_BACKEND_STORE_URI"]])
    if "MLFLOW_AUTH_ADMIN_PASSWORD" in os.environ:
        _configure(Path(os.environ["MLFLOW_AUTH_CONFIG_PATH"]))
        words = [*words, "--app-name", "basic-auth"]
    server._exec_cmd = _become  # noqa: SLF001 -- the version is locked
    cli(["server", *words])


def _configure(path: Path) -> None:
    """Write the settings that only MLflow's file can have; nobody else may read it."""
    place = os.environ["MLFLOW_BACKEND_STORE_URI"].replace("%", "%%")
    lines = ["[mlflow]", "default_permission = NO_PERMISSIONS", f"database_uri = {place}"]
    # A password is compared by a slow hash: once a minute, not at each request.
    lines += ["auth_cache_ttl_seconds = 60"]
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _become(command: Sequence[str], *, extra_env: Mapping[str, str], **_: object) -> None:
    from uvicorn.main import main as serve  # type: ignore[import-not-found,unused-ignore]

    os.environ.update(extra_env)
    logging.getLogger("uvicorn.access").addFilter(_is_no_look)
    serve(list(command[3:]))  # after python -m uvicorn


def _is_no_look(record: logging.LogRecord) -> bool:
    return not any(str(arg).endswith(_LOOK) for arg in record.args or ())


if __name__ == "__main__":
    main(sys.argv[1:])
