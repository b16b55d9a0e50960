"""ONNX Runtime against skops with scikit-learn, serving churn: `python bench/model_format.py`.

Needs a package index. Both serve the pipeline of the template, fitted on the same customers; the
one for skops takes columns by their position, so that its environment needs no pandas. pickle is
there for what its file may do.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import environment, machine, median, run

RUNS = 9
UV = Path(sys.executable).with_name("uv")
LOCKSTITCH = [sys.executable, "-m", "lockstitch"]
PACKAGES = {"onnx": ["numpy", "onnxruntime"], "skops": ["numpy", "scikit-learn", "skops"]}
TRAIN = ["numpy", "onnxruntime", "pandas", "scikit-learn", "skl2onnx", "skops"]

# Runs beside scikit-learn: writes the model in each format, hostile ones, and 100 customers.
MAKE = """
import functools, json, pathlib, pickle, sys
import onnx, skops.io
from onnx import helper, TensorProto
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from churn import data, model, schema

root, out = map(pathlib.Path, sys.argv[1:])
dataset = data.load(root / "data" / "telco_churn.csv.gz")
churned = dataset.churned.to_numpy()
exported = model.export(model.build().fit(dataset.features, churned))
(out / "model.onnx").write_bytes(exported)
names = [feature.name for feature in schema.FEATURES]
def at(features):
    return [names.index(feature.name) for feature in features]
texts = [feature.texts for feature in schema.CATEGORIES]
columns = [
    ("category", OneHotEncoder(categories=texts), at(schema.CATEGORIES)),
    ("number", StandardScaler(), at(schema.NUMBERS)),
]
classifier = model.build().named_steps["classifier"]
pipeline = Pipeline([("columns", ColumnTransformer(columns)), ("classifier", classifier)])
pipeline.fit(dataset.features.to_numpy(dtype=object), churned)
skops.io.dump(pipeline, out / "model.skops")
(out / "model.pickle").write_bytes(pickle.dumps(pipeline))
rows = dataset.features.head(100).to_dict("records")
(out / "rows.json").write_text(json.dumps(rows))

# Names are looked up where an array cannot be asked for them: inside of the comprehension.
code = "[__import__('pathlib').Path('ran').touch() for _ in '1']"
class Hostile:
    def __reduce__(self):
        return exec, (code,)
(out / "hostile.pickle").write_bytes(pickle.dumps(Hostile()))
step = FunctionTransformer(functools.partial(exec, code, {}))
skops.io.dump(Pipeline([("step", step), ("model", pipeline)]), out / "hostile.skops")
for kind in ("elsewhere", "operator"):
    hostile = onnx.load_model_from_string(exported)
    if kind == "elsewhere":
        tensor = hostile.graph.initializer.add(name="x", data_type=TensorProto.UINT8, dims=[1])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")
        hostile.graph.node.append(helper.make_node("Identity", ["x"], ["y"]))
        hostile.graph.output.append(helper.make_tensor_value_info("y", TensorProto.UINT8, [1]))
    else:
        hostile.graph.node[0].domain = "attacker"
        hostile.opset_import.add(domain="attacker", version=1)
    (out / f"{kind}.onnx").write_bytes(hostile.SerializeToString())
"""

# Run beside one of them only, in the folder of the files; the first lines say what it serves with.
LOAD = {
    "onnx": """
import pathlib
from churn.predict import Predictor
predict = Predictor(pathlib.Path("model.onnx").read_bytes()).probabilities
""",
    "skops": """
import numpy as np
import skops.io
pipeline = skops.io.load("model.skops", trusted=[])
def predict(rows):
    table = np.array([list(row.values()) for row in rows], dtype=object)
    return pipeline.predict_proba(table)[:, 1]
""",
}
FIRST = """
import json, pathlib
rows = json.loads(pathlib.Path("rows.json").read_text())
predict(rows[:1])
"""
LATENCY = """
import json, resource, time
answers = {"probabilities": predict(rows).tolist()}
for count, times in ((1, 3000), (100, 1000)):
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        predict(rows[:count])
        taken.append(time.perf_counter() - started)
    taken.sort()
    answers[str(count)] = [taken[times // 2] * 1000, taken[times * 99 // 100] * 1000]
answers["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(answers))
"""
# Each is run in an empty folder: what a hostile file does shows in there.
HOSTILE = {
    "pickle, loaded": ("skops", "import pickle; pickle.loads(open('F.pickle', 'rb').read())"),
    "skops, trusting nothing more": ("skops", "import skops.io; skops.io.load('F.skops')"),
    "skops, trusting what the file asks for": (
        "skops",
        "import skops.io as s; types = s.get_untrusted_types(file='F.skops');\n"  # noqa: ISC004 -- one script
        "s.load('F.skops', trusted=types).predict_proba([['']])",
    ),
    "ONNX, unknown operator": (
        "onnx",
        "import onnxruntime; onnxruntime.InferenceSession(open('operator.onnx', 'rb').read())",
    ),
    "ONNX, data in /etc/passwd, bare runtime": (
        "onnx",
        "import onnxruntime; onnxruntime.InferenceSession(open('elsewhere.onnx', 'rb').read())",
    ),
    "ONNX, data in /etc/passwd, the template": (
        "onnx",
        "from churn.predict import Predictor; Predictor(open('elsewhere.onnx', 'rb').read())",
    ),
}


def main() -> None:
    """Print what was measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files, root = folder / "files", folder / "churn"
        files.mkdir()
        env = environment(PYTHONPATH=str(root / "src"), ORT_DISABLE_TELEMETRY="1")
        run([*LOCKSTITCH, "new", root], env=env)
        train = install(folder / "train", TRAIN)
        run([train, "-c", MAKE, root, files], env=env)
        pythons = {kind: install(folder / kind, words) for kind, words in PACKAGES.items()}
        print(machine())
        speed(pythons, files, env)
        for title, (kind, code) in HOSTILE.items():
            print(f"{title:<42}{outcome(pythons[kind], code, files, env)}")


def install(folder: Path, packages: list[str]) -> Path:
    """Make an environment with some packages and return its Python."""
    run([UV, "venv", "--quiet", "--python", sys.executable, folder])
    python = folder / "bin" / "python"
    command: list[str | Path] = [
        UV,
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        python,
    ]
    run([*command, *packages])
    return python


def speed(pythons: dict[str, Path], files: Path, env: dict[str, str]) -> None:
    """Print sizes, start and latencies of both."""
    rows: dict[str, list[str]] = {}
    base: list[float] = []
    for kind, python in pythons.items():
        started = start(python, LOAD[kind] + FIRST, files, env) - start(python, "", files, env)
        told = read([python, "-c", LOAD[kind] + FIRST + LATENCY], files, env)
        size = sum(
            path.stat().st_size
            for path in python.parents[1].rglob("*")
            if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts
        )
        model = (files / f"model.{kind}").stat().st_size
        rows[kind] = [
            f"{started * 1000:.0f} ms",
            *(f"{told[count][0]:.2f} ms, {told[count][1]:.2f} ms" for count in ("1", "100")),
            f"{told['memory']:.0f} MB",
            f"{size / 1e6:.0f} MB",
            f"{model / 1000:.1f} kB",
        ]
        base = base or told["probabilities"]
        apart = max(abs(a - b) for a, b in zip(base, told["probabilities"], strict=True))
        versions(python, PACKAGES[kind])
    titles = ["import, load, first answer", "1 customer: p50, p99", "100 customers: p50, p99"]
    titles += ["most memory", "environment, installed", "model file"]
    print(f"{'':<30}" + "".join(f"{kind:<20}" for kind in rows))
    for title, *values in zip(titles, *rows.values(), strict=True):
        print(f"{title:<30}" + "".join(f"{value:<20}" for value in values))
    print(f"largest difference of a probability: {apart:.1e}")


def start(python: Path, code: str, files: Path, env: dict[str, str]) -> float:
    """Return the median of the seconds that a new process takes for some code."""
    words: list[str | Path] = [python, "-c", code]
    run(words, cwd=files, env=env)  # reads everything into memory
    return median(RUNS, lambda: run(words, cwd=files, env=env))


def versions(python: Path, packages: list[str]) -> None:
    """Print which versions were measured."""
    code = "import sys, importlib.metadata as m; [print(p, m.version(p)) for p in sys.argv[1:]]"
    print(*subprocess.check_output([python, "-c", code, *packages], text=True).split())


def read(words: Sequence[str | Path], folder: Path, env: dict[str, str]) -> dict[str, Any]:
    """Run a program and return the JSON that it prints."""
    found: dict[str, Any] = json.loads(subprocess.check_output(words, cwd=folder, env=env))
    return found


def outcome(python: Path, code: str, files: Path, env: dict[str, str]) -> str:
    """Return what a hostile file achieves."""
    ran = files / "ran"
    ran.unlink(missing_ok=True)
    words: list[str | Path] = [python, "-c", code.replace("F.", "hostile.")]
    done = subprocess.run(words, cwd=files, env=env, capture_output=True, text=True, check=False)
    if ran.exists():
        return "its code ran"
    if done.returncode == 0:
        return "loaded, no code ran"
    reason = done.stderr.strip().splitlines()[-1].partition(": ")[2]  # after the error's class
    return f"refused: {reason[:100]}"


if __name__ == "__main__":
    main()
