"""MLflow's server: runs in PostgreSQL, artifacts in the object store, passwords in variables only.

Its tables are upgraded after a backup, and refused when a newer MLflow made them. MLflow itself
upgrades old tables without a backup when one of its new tables is missing, and refuses them
otherwise; of newer tables it says that they are out of date.
"""

import json
import re
from pathlib import Path

from lockstitch import files, process
from lockstitch.errors import LockstitchError
from lockstitch.net.download import ask
from lockstitch.stack.folder import Keys
from lockstitch.stack.service import (
    ADMIN,
    HOST,
    RUNTIME,
    USER,
    Launch,
    Parts,
    login_of,
    sql,
    variables,
)
from lockstitch.values import frozen

# MLflow's variables, beside those with addresses and keys.
VARIABLES = {
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONUNBUFFERED": "1",
    "PYTHONWARNINGS": "ignore",
}
_SERVER = RUNTIME / "mlflow_server.py"
_UPGRADE = "--upgrade"  # makes runtime/mlflow_server.py upgrade the tables and not serve
_HINT = "use the lockstitch that made them, move the folder away, or: lockstitch stack reset"
_FIELD = re.compile(r"""^(down_revision|revision)\s*(?::[^=]*)?=\s*["'](\w+)["']""", re.MULTILINE)


def arguments(address: str, port: int, bucket: str) -> list[str]:
    """Return the words of `mlflow server`, which answers to the names of this machine only."""
    words = ["--host", address, "--port", str(port), "--workers", "1", "--serve-artifacts"]
    return [*words, "--artifacts-destination", f"s3://{bucket}/artifacts"]


def secrets(keys: Keys, *, login: bool) -> dict[str, str]:
    """Return the variables of the server that asks for a login, or nothing."""
    if not login:
        return {}
    return {
        "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
        "MLFLOW_AUTH_ADMIN_PASSWORD": keys.mlflow,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": keys.session,
    }


@frozen
class Mlflow:
    """Tracks runs and shows them."""

    parts: Parts
    name: str = "mlflow"
    needs: tuple[str, ...] = ("postgres",)  # the store only for an artifact, later
    rests: bool = False

    def launch(self) -> Launch:
        """Move old tables after a backup, and say how to start; the server makes new ones."""
        parts = self.parts
        login = f"{USER}:{parts.keys.password}@{HOST}:{parts.ports['postgres']}"
        own = variables(parts)
        for name in [name for name in own if name.startswith("MLFLOW_TRACKING_")]:
            del own[name]  # it is that
        env = parts.clean(
            **own,
            **VARIABLES,
            **secrets(parts.keys, login=parts.login),
            MLFLOW_AUTH_CONFIG_PATH=str(parts.folder.root / "mlflow.ini"),
            MLFLOW_BACKEND_STORE_URI=f"postgresql+psycopg2://{login}/{USER}",
            AWS_CONFIG_FILE="/dev/null",
            AWS_SHARED_CREDENTIALS_FILE="/dev/null",
        )
        prepare(parts, env)
        words = arguments(HOST, parts.ports["mlflow"], parts.bucket)
        words = [str(parts.tools.python), "-P", str(_SERVER), *words]
        return Launch(words=words, cwd=parts.folder.root, env=env)

    def ready(self) -> str:
        """Return "" once a search of experiments, which goes to PostgreSQL, is answered."""
        address = f"http://{HOST}:{self.parts.ports['mlflow']}"
        body = json.dumps({"max_results": 1}).encode()
        try:
            place = f"{address}/api/2.0/mlflow/experiments/search?lockstitch"
            status, answer = ask(place, body, login_of(self.parts))
        except LockstitchError as error:
            return error.message
        return "" if status == 200 else f"HTTP {status}: {answer[:200].decode(errors='replace')}"

    def well(self) -> str:
        """Return the answer of `ready`: it takes 20 ms."""
        return self.ready()


def prepare(parts: Parts, env: dict[str, str]) -> None:
    """Upgrade tables of an older MLflow, after a backup; do nothing when there are none yet.

    `env` are the variables of MLflow's server. Raises LockstitchError, with nothing changed, on
    tables of a newer MLflow, and when the backup or the upgrade fails.
    """
    done = sql(parts, "SELECT version_num FROM alembic_version")
    schema = done.stdout.strip()
    if done.code != 0 or not schema:  # no tables; or no answer, which MLflow will find too
        return
    known, newest = revisions(parts.tools.folder)
    if schema == newest:
        return
    if schema not in known:
        message = (
            f"MLflow's tables are of schema `{schema}`, which this lockstitch's MLflow does not "
        )
        message += f"know: a newer one made them (it knows up to `{newest}`)"
        raise LockstitchError(message, hint=_HINT)
    backup = _back_up(parts, f"mlflow-schema-{schema}")
    _note(parts, f"tables of schema `{schema}` are kept in {backup}, and move to `{newest}`")
    words: list[str | Path] = [parts.tools.python, "-P", _SERVER, _UPGRADE]
    upgraded = process.run(words, cwd=parts.folder.root, env=env, check=False)
    if upgraded.code != 0:
        output = "\n".join(upgraded.stderr.strip().splitlines()[-8:])
        output = output.replace(parts.keys.password, "…")
        message = (
            f"MLflow's tables of schema `{schema}` could not be moved to `{newest}`; a backup "
        )
        message += f"is in `{backup}`\n{output}"
        raise LockstitchError(message, hint=_HINT)
    _note(parts, f"tables are of schema `{newest}` now")


def revisions(tools: Path) -> tuple[frozenset[str], str]:
    """Return the schemas that the installed MLflow can upgrade from, and its own.

    Raises LockstitchError when its migrations do not end in one.
    """
    own, before = set(), set()
    place = "lib/python3*/site-packages/mlflow/store/db_migrations/versions/*.py"
    for path in sorted(tools.glob(place)):
        fields = dict(_FIELD.findall(path.read_text(encoding="utf-8")))
        own.add(fields.get("revision", ""))
        before.add(fields.get("down_revision", ""))
    ends = sorted(own - before - {""})
    if len(ends) != 1:
        message = f"the MLflow in `{tools}` has {len(ends)} newest schemas, not 1"
        raise LockstitchError(message, hint=f"rm -r {tools}")
    return frozenset(own - {""}), ends[0]


def _back_up(parts: Parts, name: str) -> Path:
    """Write all of MLflow's tables to a file that pg_restore reads, and return it."""
    folder = parts.folder.backups
    folder.mkdir(mode=0o700, exist_ok=True)
    number = len(list(folder.glob(f"{name}.*dump"))) + 1  # that of an upgrade that failed is kept
    backup = folder / (f"{name}.dump" if number == 1 else f"{name}.{number}.dump")
    with files.atomic(backup, mode=0o600) as temporary:
        temporary.touch(mode=0o600)
        words: list[str | Path] = [parts.tools.postgres / "pg_dump", "-w", "-Fc", "-f", temporary]
        env = parts.clean(**variables(parts))
        process.run([*words, USER], cwd=parts.folder.root, env=env, hint="free some space")
    return backup


def _note(parts: Parts, text: str) -> None:
    with parts.folder.log("mlflow").open("a", encoding="utf-8") as log:
        log.write(f"lockstitch: {text}\n")
