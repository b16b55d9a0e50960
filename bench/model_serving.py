"""A model of MLflow as a service: `python bench/model_serving.py [sklearn|onnx]`, as root.

The same model by `lockstitch new --from-model`, started from its image without an engine, and by
`mlflow models serve` in an environment of what `mlflow models build-docker` installs into its
image, in turns. That image itself needs a base that an engine has to pull; its size is here that of
the environment alone. A first build has an empty store; its seconds of processors are told too.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import load
from measure import environment, machine, run

from lockstitch.cli.commands import try_
from lockstitch.cli.session import open_session
from lockstitch.trial import rootfs, start

PROGRAM = Path(sys.executable).with_name("lockstitch")
UV = Path(sys.executable).with_name("uv")
URL = "http://127.0.0.1:8000/invocations"
TURNS = 3
SECONDS = 5.0
LONGEST = 300.0  # seconds until a first answer
SERVE = ("-m", "mlflow", "models", "serve", "--env-manager", "local", "--port", "8000")
TRAIN = """\
import sys, warnings
warnings.filterwarnings("ignore")
import mlflow, numpy as np
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
X, y = load_iris(return_X_y=True, as_frame=True)
model = LogisticRegression(max_iter=500).fit(X, y)
if sys.argv[2] == "sklearn":
    signature = infer_signature(X, model.predict(X))
    mlflow.sklearn.save_model(model, sys.argv[1], signature=signature, input_example=X.head(1))
else:
    from skl2onnx import to_onnx
    rows = X.to_numpy(np.float32)
    net = to_onnx(model, rows[:1], options={"zipmap": False})
    mlflow.onnx.save_model(net, sys.argv[1], input_example=rows[:1])
"""
NEEDS = ("mlflow", "pandas", "scikit-learn", "skops", "onnx", "onnxruntime", "skl2onnx")


def size(folder: Path) -> float:
    """Return the MB of a folder's files, each once."""
    found = (each.lstat() for each in folder.rglob("*") if each.is_file() and not each.is_symlink())
    return sum({facts.st_ino: facts.st_size for facts in found}.values()) / 1e6


def image(project: Path, folder: Path) -> list[str | Path]:
    """Return the command that starts the image of a project, unpacked, as `lockstitch try` does."""
    options = argparse.Namespace(project=project, quiet=True, json=True)
    session = open_session(options)
    spec = session.project.image("serve")
    built = try_._built(session, spec)  # noqa: SLF001 -- what `try` starts, kept running
    root = rootfs.unpack(built, session.store, lambda _: None)
    trial = start.Trial(spec=spec, config=built.config, root=root)
    plan = folder / "plan.json"
    plan.write_text(json.dumps(start._plan(trial, folder, writable=False)))  # noqa: SLF001 -- same
    return [sys.executable, "-I", "-S", start._ENTER, plan]  # noqa: SLF001 -- same


def is_listening() -> bool:
    """Return whether something listens at the port of the servers."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", 8000)) == 0


def first_build(project: Path, store: Path) -> str:
    """Return the seconds of a build in a store that has nothing, by the clock and of processors."""
    before = os.times()
    seconds = run([PROGRAM, "build"], cwd=project, env=environment(LOCKSTITCH_CACHE=str(store)))
    after = os.times()
    shutil.rmtree(store)
    shutil.rmtree(project / ".lockstitch")
    used = sum(after[2:4]) - sum(before[2:4])
    return f"{seconds:.1f} s, {used:.1f} s of processors"


@contextlib.contextmanager
def server(words: Sequence[str | Path], folder: Path, body: bytes) -> Iterator[float]:
    """Start a server, and yield the seconds until its first answer to the request."""
    while is_listening():  # the workers of the one before
        time.sleep(0.1)
    began = time.monotonic()
    with (folder / "log").open("wb") as log:
        started = subprocess.Popen(
            [*map(str, words)],
            cwd=folder,
            env=environment(PATH=f"{Path(words[0]).parent}:{os.environ['PATH']}"),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(URL, body, headers=headers)
    try:
        while True:
            if started.poll() is not None or time.monotonic() - began > LONGEST:
                sys.exit((folder / "log").read_text()[-3000:])
            with contextlib.suppress(OSError), urllib.request.urlopen(asked, timeout=60):  # noqa: S310 -- loopback
                break
            time.sleep(0.02)
        yield time.monotonic() - began
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        started.wait(60)


def turn(words: Sequence[str | Path], folder: Path, body: bytes) -> tuple[float, float, float]:
    """Return the seconds until the first answer, requests a second, and the median in ms."""
    with server(words, folder, body) as first:
        report = load.load(URL, body, connections=4, seconds=SECONDS)
    if set(report.statuses) != {200}:
        sys.exit(f"answers: {dict(report.statuses)}")
    latencies = sorted(report.latencies)
    return first, len(latencies) / report.seconds, 1000 * latencies[len(latencies) // 2]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", nargs="?", default="sklearn", choices=("sklearn", "onnx"))
    kind = parser.parse_args().kind
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)
        trainer, model = folder / "trainer" / "bin" / "python", folder / "model"
        run([UV, "venv", "--quiet", "--python", sys.executable, folder / "trainer"])
        run([UV, "pip", "install", "--quiet", "--python", trainer, *NEEDS])
        run([trainer, "-c", TRAIN, model, kind], cwd=folder)
        rival = folder / "rival" / "bin" / "python"
        run([UV, "venv", "--quiet", "--python", sys.executable, folder / "rival"])
        wanted = ["--requirements", model / "requirements.txt", "gunicorn[gevent]"]
        install = run([UV, "pip", "install", "--quiet", "--python", rival, *wanted])
        run([rival, "-m", "compileall", "-q", folder / "rival" / "lib"])
        lines = [f"mlflow's environment: {install:.1f} s, {size(folder / 'rival'):.0f} MB"]
        commands: dict[str, list[str | Path]] = {
            "mlflow models serve": [rival, *SERVE, "--model-uri", model]
        }
        for name in ("mlflow", "onnx") if kind == "onnx" else ("mlflow",):
            project = folder / f"by-{name}"
            words = [PROGRAM, "new", project.name, "--from-model", model, "--server", name]
            made = run(words, cwd=folder)
            first = first_build(project, folder / "store")
            text = (project / "pyproject.toml").read_text()
            plain = text.replace("bytecode = true", "bytecode = false")
            (project / "pyproject.toml").write_text(plain)
            plain = first_build(project, folder / "store")
            (project / "pyproject.toml").write_text(text)
            build, again = (run([PROGRAM, "build"], cwd=project) for _ in range(2))
            place = folder / f"run-{name}"
            place.mkdir(mode=0o755)
            commands[f"image, {name}"] = image(project, place)
            words = [PROGRAM, "build"]
            told = subprocess.run(words, cwd=project, text=True, capture_output=True, check=True)
            facts = next(line for line in told.stderr.splitlines() if line.startswith("serve: "))
            seconds = f"new and lock {made:.1f} s, build {build:.1f} s, again {again:.1f} s"
            lines.append(f"{name}: {seconds}; {facts}")
            lines.append(f"  in an empty store {first}; without bytecode {plain}")
        body = (folder / "by-mlflow" / "request.json").read_bytes()
        turns = [
            {name: turn(words, folder, body) for name, words in commands.items()}
            for _ in range(TURNS)
        ]
    print(machine())
    print(*lines, sep="\n")
    print("| served by | first answer, s | requests a second | median, ms |\n|---|---|---|---|")
    for name in commands:
        first, rate, middle = ([each[name][n] for each in turns] for n in range(3))
        print(f"| {name} | {min(first):.1f} | {max(rate):.0f} | {min(middle):.1f} |")


if __name__ == "__main__":
    main()
