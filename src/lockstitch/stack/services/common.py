"""What the services share: ports, keys, places, and the variables that programs get."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lockstitch import environ, process
from lockstitch.stack.folder import Folder, Keys
from lockstitch.stack.processes import MARK
from lockstitch.stack.tools import Tools

__all__ = ["BUCKET", "HOST", "REGION", "USER", "Parts", "probe", "sql", "variables"]

HOST = "127.0.0.1"
USER = "mlflow"  # of PostgreSQL, and its database
BUCKET = "mlflow"
REGION = "us-east-1"
_KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What every service is made from."""

    folder: Folder
    tools: Tools
    keys: Keys
    ports: Mapping[str, int]
    endpoint: str = ""  # of an object store of one's own
    bucket: str = BUCKET
    region: str = REGION

    def clean(self, **more: str) -> dict[str, str]:
        """Return the variables of a program: few of this shell's, none of its secrets."""
        shell = environ.child()
        kept = {name: shell[name] for name in _KEPT if name in shell}
        return {**kept, "LC_ALL": "C.UTF-8", MARK: str(self.folder.root), **more}


def variables(parts: Parts) -> dict[str, str]:
    """Return what a program of the project needs to use the stack, sorted by name."""
    endpoint = parts.endpoint or f"http://{HOST}:{parts.ports['objects']}"
    found = {
        "AWS_ACCESS_KEY_ID": parts.keys.access_key,
        "AWS_DEFAULT_REGION": parts.region,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_SECRET_ACCESS_KEY": parts.keys.secret_key,
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
        "MLFLOW_TRACKING_URI": f"http://{HOST}:{parts.ports['mlflow']}",
        "PGDATABASE": USER,
        "PGHOST": HOST,
        "PGPASSWORD": parts.keys.password,
        "PGPORT": str(parts.ports["postgres"]),
        "PGUSER": USER,
    }
    return dict(sorted(found.items()))


def probe(parts: Parts, seconds: float) -> str:
    """Return "" when the store answers in time, else why not; makes the bucket."""
    program = Path(__file__).parents[2] / "runtime" / "stack" / "probe.py"
    env = parts.clean(**variables(parts), LOCKSTITCH_BUCKET=parts.bucket)
    # No proxy and no settings of the user's own stand between us and the store.
    env |= {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    words: list[str | Path] = [parts.tools.python, "-I", program, str(seconds)]
    done = process.run(words, env=env, cwd=parts.folder.root, check=False)
    return "" if done.code == 0 else (done.stderr.strip().splitlines() or ["no answer"])[-1]


def sql(parts: Parts, query: str) -> process.Finished:
    """Ask PostgreSQL over TCP, with the password, and return what psql said.

    It gives up after 3 seconds without an answer to the login, and never asks for a password.
    """
    env = parts.clean(**variables(parts), PGCONNECT_TIMEOUT="3")
    words: list[str | Path] = [parts.tools.postgres / "psql", "-XAtqw", "-c", query]
    return process.run(words, env=env, cwd=parts.folder.root, check=False)
