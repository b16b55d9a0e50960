"""Becomes `mlflow server`, in one process; runs on the tools' own Python.

`mlflow server` makes its tables, then starts uvicorn as a child and waits. Killed, it would
leave that child on the port. Here it turns into uvicorn instead.
"""

import os
import sys
from collections.abc import Mapping, Sequence

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Run `mlflow server` with these words."""
    from mlflow import server  # type: ignore[import-not-found,unused-ignore]
    from mlflow.cli import cli  # type: ignore[import-not-found,unused-ignore]

    server._exec_cmd = _become  # noqa: SLF001 -- the version is locked
    cli(["server", *words])


def _become(command: Sequence[str], *, extra_env: Mapping[str, str], **_: object) -> None:
    env = {**os.environ, **extra_env}  # noqa: TID251 -- a program of its own
    os.execve(command[0], list(command), env)  # noqa: S606 -- an argument list, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
