"""One model served six ways, in one run on one machine, each in a container of one engine.

lockstitch  the churn project's serving image, as `lockstitch build` makes it
taught    the same app in the single-stage image that courses teach: everything is installed
mlflow    `mlflow models serve` with the scikit-learn pipeline
litserve  LitServe around the same ONNX model and the same code that reads it
bentoml   `bentoml serve` of a service around the same
ray       Ray Serve with a deployment around the same, and Ray on this machine

`start` is from `docker run` to the first healthy answer. The others stand on a Debian with a
shell and Python (debootstrap's minbase, python3), ours on its own base. Load comes from wrk, on
the same machine, over the host's network. Needs root, docker.io, debootstrap and wrk.
Run `python bench/serve.py [--json FILE]`.
"""

import argparse
import contextlib
import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from engine import Engine
from measure import environment, machine, run

UV = Path(sys.executable).with_name("uv")
LOCKSTITCH = [sys.executable, "-m", "lockstitch"]
STARTS, SECONDS, WAIT = 5, 8, 900
TAUGHT = ("mlflow", "scikit-learn", "pandas", "skl2onnx", "onnxruntime", "fastapi", "uvicorn")
LITSERVE = '''\
"""LitServe around the project's predictor."""

from pathlib import Path

import litserve
from churn import predict


class Churn(litserve.LitAPI):
    def setup(self, device):
        self.served = predict.load(Path("models/model.onnx"))

    def decode_request(self, request):
        return request

    def predict(self, row):
        return self.served.predictor.probabilities([row])[0]

    def encode_response(self, probability):
        return {"churn_probability": float(probability)}


if __name__ == "__main__":
    import sys

    server = litserve.LitServer(Churn(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
'''
BENTOML = '''\
"""A service of BentoML around the project's predictor."""

from pathlib import Path

import bentoml
from churn import predict


@bentoml.service(workers=1)
class Churn:
    def __init__(self) -> None:
        self.served = predict.load(Path("/app/models/model.onnx"))

    @bentoml.api
    def predict(self, row: dict) -> dict:
        return {"churn_probability": float(self.served.predictor.probabilities([row])[0])}
'''
RAY = '''\
"""A deployment of Ray Serve around the project's predictor."""

import sys
from pathlib import Path

from churn import predict
from ray import serve


@serve.deployment
class Churn:
    def __init__(self):
        self.served = predict.load(Path("/app/models/model.onnx"))

    async def __call__(self, request):
        if request.method == "GET":
            return "ok"
        row = await request.json()
        return {"churn_probability": float(self.served.predictor.probabilities([row])[0])}


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Churn.bind(), blocking=True)
'''
SAVE = """\
import sys

import mlflow.sklearn

sys.path.insert(0, "src")
from pathlib import Path

from churn import data, model

rows = data.load(Path("data/telco_churn.csv.gz"))
pipeline = model.build().fit(rows.features, rows.churned)
mlflow.sklearn.save_model(
    pipeline, sys.argv[1], serialization_format="cloudpickle", input_example=rows.features.head(2)
)
"""
EXAMPLE = "import sys, json; sys.path.insert(0, 'src'); from churn import schema; "
EXAMPLE += "print(json.dumps(schema.example()))"


@dataclass
class Row:
    """What was measured of one way to serve."""

    route: str
    unpacked_mb: float
    start_ms: float
    memory_mb: float
    p50_1_ms: float
    p99_1_ms: float
    per_second_1: float
    p50_32_ms: float
    p99_32_ms: float
    per_second_32: float


@dataclass
class Route:
    """An image in the engine, and how it is started and asked."""

    name: str
    tag: str
    command: Sequence[str]  # PORT stands for the port
    health: str
    path: str
    body: bytes


# --- the ways to serve


def ours(engine: Engine, folder: Path, body: bytes) -> Route:
    """Build the project's image and load it."""
    root = folder / "churn"
    env = environment(LOCKSTITCH_CACHE=str(folder / "store"))
    run([*LOCKSTITCH, "build", "serve", "--output", folder / "serve.tar"], cwd=root, env=env)
    engine.run("load", "--input", str(folder / "serve.tar"))
    text = (root / "pyproject.toml").read_text()
    table = text.partition("[tool.lockstitch.images.serve]")[2]
    command = json.loads(re.search(r"command = (\[.*?\])", table, re.DOTALL)[1])
    command = ["127.0.0.1" if word == "0.0.0.0" else word for word in command]  # noqa: S104 -- replaced
    command = ["PORT" if word == "8000" else word for word in command]
    return Route("lockstitch", "churn-serve:latest", command, "/health", "/predict", body)


def other(folder: Path, name: str, packages: Sequence[str]) -> Path:
    """Return a root folder: Debian with Python, an environment, and the project in /app."""
    base, root = folder / "debian", folder / name
    if not base.exists():
        words = ["debootstrap", "--variant=minbase", "--include=python3,ca-certificates"]
        run([*words, "bookworm", base, mirror()])
        shutil.rmtree(base / "var/cache/apt")
        shutil.rmtree(base / "var/lib/apt/lists")
    run(["cp", "-a", base, root])
    run([UV, "venv", "--relocatable", "--python", "/usr/bin/python3.11", root / "app/venv"])
    python = root / "app/venv/bin/python"
    run([UV, "pip", "install", "--link-mode", "copy", "--python", python, *packages])
    for part in ("src", "models"):
        shutil.copytree(folder / "churn" / part, root / "app" / part)
    return root


def mirror() -> str:
    """Return the Debian archive that this machine's apt is set up with."""
    printed = subprocess.check_output(["apt-get", "indextargets"], text=True)  # noqa: S607 -- on PATH
    found = re.search(r"^Base-URI: (\S+?/debian/)", printed, re.MULTILINE)
    return found[1] if found else sys.exit("apt names no Debian archive")


def taught(engine: Engine, folder: Path, body: bytes) -> Route:
    """Install everything into one image."""
    packages = [*TAUGHT, *client_of(folder)]
    engine.import_folder(other(folder, "taught", packages), "taught")
    command = ["/app/venv/bin/python", "src/api.py", "--port", "PORT"]
    return Route("taught", "taught", command, "/health", "/predict", body)


def client_of(folder: Path) -> list[str]:
    """Return what the project's serving group asks for beside the taught packages."""
    import tomllib

    document = tomllib.loads((folder / "churn" / "pyproject.toml").read_text())
    return list(document["dependency-groups"]["serve"])


def mlflow(engine: Engine, folder: Path, body: bytes) -> Route:
    """Save the pipeline in mlflow's own format and serve that."""
    root = other(folder, "mlflow", ["mlflow", "scikit-learn", "pandas"])
    shutil.copytree(folder / "churn" / "data", root / "app/data")
    words = ["with", "mlflow", "--with", "skl2onnx", "--group", "train"]
    run(
        [UV, "run", "--quiet", f"--{words[0]}", *words[1:], "python", "-c", SAVE, root / "app/m"],
        cwd=folder / "churn",
        env=environment(),
    )
    engine.import_folder(root, "mlflow")
    program = ["/app/venv/bin/python", "-m", "mlflow", "models", "serve", "--model-uri", "/app/m"]
    command = [*program, "--env-manager", "local", "--host", "127.0.0.1", "--port", "PORT"]
    records = json.dumps({"dataframe_records": [json.loads(body)]}).encode()
    return Route("mlflow", "mlflow", command, "/ping", "/invocations", records)


def around(engine: Engine, folder: Path, name: str, package: str, code: str) -> None:
    """Put another server around the same ONNX model, and the project's code that reads it."""
    root = other(folder, name, [package, "onnxruntime", "numpy"])
    (root / f"app/src/{name}_app.py").write_text(code)
    engine.import_folder(root, name)


def litserve(engine: Engine, folder: Path, body: bytes) -> Route:
    """Serve the same model with LitServe."""
    around(engine, folder, "litserve", "litserve", LITSERVE)
    command = ["/app/venv/bin/python", "src/litserve_app.py", "PORT"]
    return Route("litserve", "litserve", command, "/health", "/predict", body)


def bentoml(engine: Engine, folder: Path, body: bytes) -> Route:
    """Serve the same model with BentoML."""
    around(engine, folder, "bentoml", "bentoml", BENTOML)
    program = ["/app/venv/bin/python", "-m", "bentoml", "serve", "bentoml_app:Churn"]
    command = [*program, "--working-dir", "src", "--host", "127.0.0.1", "--port", "PORT"]
    row = json.dumps({"row": json.loads(body)}).encode()
    return Route("bentoml", "bentoml", command, "/readyz", "/predict", row)


def ray(engine: Engine, folder: Path, body: bytes) -> Route:
    """Serve the same model with Ray Serve."""
    around(engine, folder, "ray", "ray[serve]", RAY)
    command = ["/app/venv/bin/python", "src/ray_app.py", "PORT"]
    return Route("ray", "ray", command, "/health", "/predict", body)


# --- what is measured


@contextlib.contextmanager
def started(engine: Engine, route: Route) -> Iterator[tuple[str, int, float]]:
    """Yield a container, its port, and the seconds until it was healthy."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [str(port) if word == "PORT" else word for word in route.command]
    path = "PATH=/app/venv/bin:/app/.venv/bin:/usr/local/bin:/usr/bin:/bin"
    begun = time.perf_counter()
    name = engine.run("run", "--detach", "--network", "host", "--env", path, route.tag, *command)
    try:
        wait(engine, name, f"http://127.0.0.1:{port}{route.health}")
        yield name, port, time.perf_counter() - begun
    finally:
        engine.run("rm", "--force", name)


def wait(engine: Engine, name: str, address: str) -> None:
    """Wait until a container answers, or end with what it said."""
    until = time.perf_counter() + WAIT
    while time.perf_counter() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=1) as answer:  # noqa: S310 -- loopback
            if answer.status == 200:
                return
        time.sleep(0.005)
    subprocess.run(engine.words("logs", name), check=False)
    sys.exit(f"{address} does not answer")


def memory(engine: Engine, name: str) -> float:
    """Return the proportional memory of all processes of a container, in MB."""
    total = 0
    for pid in engine.run("top", name, "-o", "pid").splitlines()[1:]:
        rollup = Path(f"/proc/{pid.strip()}/smaps_rollup").read_text()
        found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        total += int(found[1]) if found else 0
    return total / 1000


def load(folder: Path, route: Route, port: int, connections: int) -> tuple[float, float, float]:
    """Return p50 and p99 in milliseconds, and requests per second."""
    script = folder / "post.lua"
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f"wrk.body = {json.dumps(route.body.decode())}\n"
    )
    threads = min(2, connections)
    words = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{SECONDS}s", "--timeout", "60s"]
    words += ["--latency", "--script", str(script), f"http://127.0.0.1:{port}{route.path}"]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in printed or "Socket errors" in printed:
        sys.exit(f"{route.name}: {printed}")
    # wrk fills units of one letter, such as `s`, with a space.
    times = dict(re.findall(r"^\s+(50|99)%\s+(\S+) *$", printed, re.MULTILINE))
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    return milliseconds(times["50"]), milliseconds(times["99"]), float(rate[1] if rate else 0)


def milliseconds(text: str) -> float:
    """Return a time of wrk's in milliseconds."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[unit]


def measured(engine: Engine, folder: Path, route: Route) -> Row:
    """Start a route some times, load it, and return its numbers."""
    starts = []
    for _ in range(STARTS):
        with started(engine, route) as (_, _, seconds):
            starts.append(seconds)
    with started(engine, route) as (name, port, _):
        load(folder, route, port, 1)  # warm
        one, many = load(folder, route, port, 1), load(folder, route, port, 32)
        used = memory(engine, name)
    size = int(engine.run("image", "inspect", "--format", "{{.Size}}", route.tag))
    start = statistics.median(starts) * 1000
    row = Row(route.name, size / 1e6, start, used, *one, *many)
    print(f"{route.name}: measured", file=sys.stderr)
    return row


def shown(rows: Sequence[Row]) -> str:
    """Return the numbers as a table, and below each its ratio to ours."""
    names = list(asdict(rows[0]))
    lines = ["  ".join([f"{names[0]:10}", *(f"{name:>13}" for name in names[1:])])]
    for row in rows:
        values = list(asdict(row).values())[1:]
        lines.append("  ".join([f"{row.route:10}", *(f"{value:13.1f}" for value in values)]))
        if row is not rows[0]:
            ratios = [
                v / o for v, o in zip(values, list(asdict(rows[0]).values())[1:], strict=True)
            ]
            lines.append("  ".join([" " * 10, *(f"{ratio:12.2f}x" for ratio in ratios)]))
    return "\n".join(lines)


def main() -> None:
    """Measure all routes and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        env = environment(LOCKSTITCH_CACHE=str(folder / "store"))
        run([*LOCKSTITCH, "new", folder / "churn"], env=env)
        run([*LOCKSTITCH, "lock"], cwd=folder / "churn", env=env)
        run([*LOCKSTITCH, "run", "train"], cwd=folder / "churn", env=env)
        body = subprocess.check_output(
            [sys.executable, "-c", EXAMPLE], cwd=folder / "churn", text=True
        ).encode()
        engine = Engine(folder)
        try:
            rows = [
                measured(engine, folder, route(engine, folder, body))
                for route in (ours, taught, mlflow, litserve, bentoml, ray)
            ]
        finally:
            engine.close()
    print(machine(), "", shown(rows), sep="\n")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
