"""The project that serves a model of MLflow: its dependencies, its image and an example request."""

import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from lockstitch.errors import LockstitchError, UsageError, printable
from lockstitch.python import load
from lockstitch.python.names import of_requirement
from lockstitch.scaffold.init import tables
from lockstitch.scaffold.init.edit import Table, edit
from lockstitch.scaffold.model.mlmodel import Model, pin
from lockstitch.values import frozen

FOLDER = "model"  # of the project, in which the model is
REQUEST = "request.json"
SERVERS = ("mlflow", "onnx")
_PORT = 8000
_INVOCATIONS = "/invocations"
# Since this version the scoring server is an application of FastAPI, which the small distribution
# of MLflow has with it; the large one adds what a tracking server needs.
_SMALL = "2.21"
_PANDAS_3 = "3.16"  # the first that works with it
_SETTINGS = {
    "__pyfunc_model_path__": FOLDER,
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_LISTEN = ("--host", "0.0.0.0", "--port", str(_PORT))  # noqa: S104 -- in a container
_GUNICORN = (
    *("gunicorn", "--bind", f"0.0.0.0:{_PORT}", "--timeout", "60"),
    # Its heart beats in a file, and the image's root is read-only.
    *("--worker-tmp-dir", "/dev/shm", "mlflow.pyfunc.scoring_server.wsgi:app"),  # noqa: S108 -- memory
)


# Packages whose wheels need libraries that no base has, with the Debian packages of these; of all
# others `lockstitch build` says it.
_LIBRARIES = {"lightgbm": ("libgomp1",), "opencv-python": ("libgl1", "libglib2.0-0")}


@frozen
class Service:
    """The service of a model."""

    server: str  # of `SERVERS`
    dependencies: tuple[str, ...]
    command: tuple[str, ...]
    env: Mapping[str, str]


def python_of(model: Model, wanted: str) -> str:
    """Return the minor version of the images; raises LockstitchError where no base has it."""
    minor = wanted or ".".join(model.python.split(".")[:2]) or "3.11"
    if minor in load.PYTHONS:
        return minor
    have = ", ".join(load.PYTHONS)
    nearest = load.nearest_python(minor)
    if wanted:
        message = f"`{wanted}` is not a Python of a base (they have {have})"
        raise UsageError(message, hint=f"the same command with --python {nearest}")
    message = f"the model was trained with Python {model.python} (`{model.python_source}`), and "
    message += f"bases have {have}"
    raise LockstitchError(message, hint=f"try it on another one: add --python {nearest}")


def service(model: Model, wanted: str) -> Service:
    """Return a model's server, ONNX Runtime by default; raises UsageError for a misfit."""
    if wanted and wanted not in SERVERS:
        message = f"`{wanted}` is not a server"
        raise UsageError(message, hint=f"there is: {', '.join(SERVERS)}")
    if wanted == "onnx" and not model.onnx:
        message = f"the model has no flavor `onnx` (it has: {', '.join(model.flavors)})"
        raise UsageError(message, hint="--server mlflow")
    return _onnx(model) if model.onnx and wanted != "mlflow" else _mlflow(model)


def _onnx(model: Model) -> Service:
    lines = [*model.requirements.lines]
    runtime = [line for line in lines if of_requirement(line).startswith("onnxruntime")]
    numpy = [line for line in lines if of_requirement(line) == "numpy"]
    return Service(
        server="onnx",
        dependencies=(*(numpy or ["numpy"]), *(runtime or ["onnxruntime"]), "uvicorn>=0.30"),
        command=("uvicorn", "serve:app", *_LISTEN),
        env={},
    )


def _mlflow(model: Model) -> Service:
    from packaging.version import InvalidVersion, Version

    lines = [*model.requirements.lines]
    named = pin(lines, "mlflow") or pin(lines, "mlflow-skinny") or model.mlflow
    try:
        version = Version(named)
    except InvalidVersion:
        version = Version("9999")  # the newest
    names = {of_requirement(line) for line in lines}
    exact = f"=={named}" if named else ""
    if version < Version(_SMALL):
        lines += [] if "mlflow" in names else [f"mlflow{exact}"]
        # Which it imports, and which newer versions of setuptools no longer have: pkg_resources.
        lines += [] if "setuptools" in names else ["setuptools<81"]
        return Service(server="mlflow", dependencies=tuple(lines), command=_GUNICORN, env=_SETTINGS)
    plain = rf"mlflow(?:\s*==\s*{re.escape(named)})?" if named else "mlflow"
    lines = [f"mlflow-skinny{exact}" if re.fullmatch(plain, line) else line for line in lines]
    if not names & {"mlflow", "mlflow-skinny"}:
        lines.insert(0, f"mlflow-skinny{exact}")
    pandas = "pandas<3" if version < Version(_PANDAS_3) else "pandas"
    lines += [line for line in ("numpy", pandas) if of_requirement(line) not in names]
    command = ("uvicorn", "mlflow.pyfunc.scoring_server.app:app", *_LISTEN)
    return Service(server="mlflow", dependencies=tuple(lines), command=command, env=_SETTINGS)


def texts(model: Model, server: Service, uri: str, name: str, python: str) -> dict[str, str]:
    """Return the files of the project beside the model, by path."""
    result = {
        ".gitattributes": "* text=auto eol=lf\nmodel/** -text\n",
        ".gitignore": ".venv/\n.lockstitch/\n__pycache__/\n",
        ".python-version": f"{python}\n",
        "README.md": _readme(model, server, uri, name),
        "pyproject.toml": _pyproject(model, server, uri, name, python),
    }
    if model.example is not None:
        result[REQUEST] = json.dumps(model.example, indent=2) + "\n"
    if server.server == "onnx":
        columns = [column.get("name") for column in model.inputs if column.get("type") != "tensor"]
        named = [name for name in columns if isinstance(name, str)]
        template = resources.files("lockstitch.scaffold") / "templates" / "onnx" / "serve.py"
        text = template.read_text(encoding="utf-8")
        text = text.replace('"model/model.onnx"', json.dumps(f"{FOLDER}/{model.onnx}"))
        columns_line = f"COLUMNS: list[str] = {json.dumps(named)}"
        result["serve.py"] = text.replace("COLUMNS: list[str] = []", columns_line)
    return result


def _pyproject(model: Model, server: Service, uri: str, name: str, python: str) -> str:
    image: dict[str, Any] = {
        "include": [f"{FOLDER}/**", *(["serve.py"] if server.server == "onnx" else [])],
        "command": [*server.command],
        "port": _PORT,
        "health": "/ping",
    }
    image |= {"env": dict(server.env)} if server.env else {}
    if model.example is not None:
        image |= {"request": REQUEST, "request-path": _INVOCATIONS}
    image |= {"bytecode": True, "trim": True}  # starts in a fifth of the time, a fifth smaller
    after = f"3.{int(python.partition('.')[2] or 0) + 1}"
    project = {
        "name": name,
        "version": "0.1.0",
        "description": f"Serves the model {printable(uri, 200)}",
        "requires-python": f">={python},<{after}",
        "dependencies": [*server.dependencies],
    }
    wanted = {of_requirement(line) for line in server.dependencies}
    sources = {
        key: {**source, "path": f"{FOLDER}/{source['path']}"} if "path" in source else source
        for key, source in model.requirements.sources.items()
        if key in wanted
    }
    base = load.default_base(python)
    libraries = sorted({other for name in wanted for other in _LIBRARIES.get(name, ())})
    own = {
        "python": python,
        "base": {"name": base, "packages": libraries} if libraries else base,
        "platforms": ["linux/amd64"],
    }
    settings = [
        Table(path=("project",), values=project),
        *tables.uv_tables({"package": False}, sources),
        Table(path=("tool", "lockstitch"), values=own),
        Table(path=("tool", "lockstitch", "images", "serve"), values=image),
    ]
    return edit("", settings, "pyproject.toml").text


def _readme(model: Model, server: Service, uri: str, name: str) -> str:
    trained = f", trained with Python {model.python}" if model.python else ""
    by = {
        "mlflow": "MLflow's own scoring server",
        "onnx": "ONNX Runtime alone (`serve.py`), with the requests of MLflow's scoring server",
    }[server.server]
    lines = [
        f"# {name}",
        "",
        f"Serves the model `{printable(uri, 200)}` (flavors {', '.join(model.flavors)}{trained})",
        f"by {by}.",
        f"`{FOLDER}/` is the model as it was saved; `pyproject.toml` asks for the packages that it",
        "names, and the locks pin all that they need.",
        "",
        "```sh",
        "lockstitch lock                            # after a change of pyproject.toml",
        "lockstitch build                           # the image, without Docker",
        "lockstitch try                             # starts it" + _asked(model),
        "```",
    ]
    if model.example is not None:
        lines += [
            "",
            f"`{REQUEST}` is a request, of {model.example_source}:",
            "",
            "```sh",
            f"curl -s localhost:{_PORT}{_INVOCATIONS} -H 'content-type: application/json' \\",
            f"    -d @{REQUEST}",
            "```",
        ]
    if model.example_source == "the signature":
        lines += ["", "Its values are made up from the types: write real ones."]
    if server.server == "mlflow" and any("mlflow-skinny" in line for line in server.dependencies):
        lines += [
            "",
            "`mlflow-skinny` is MLflow without its tracking server. A model whose code needs that",
            "too wants `mlflow` with the same version in its place.",
        ]
    return "\n".join(lines) + "\n"


def _asked(model: Model) -> str:
    return f", and sends {REQUEST}" if model.example is not None else ""
