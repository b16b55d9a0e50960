"""A model saved by MLflow: its flavors, Python, packages and an example.

Text files are read and nothing of the model is loaded: a pickle runs what its writer likes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lockstitch.errors import LockstitchError
from lockstitch.python.names import of_requirement
from lockstitch.repository.text import yaml
from lockstitch.scaffold.init import conda
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.init.requirements import Requirements, read_lines, read_requirements
from lockstitch.values import frozen

FILE = "MLmodel"
# What is read of a model before it is brought; each is small, and a text.
READ = (
    *(FILE, "requirements.txt", "conda.yaml", "conda.yml", "python_env.yaml"),
    *("serving_input_example.json", "input_example.json"),
)
LARGEST = 1 << 20  # bytes of each
_DEEPEST = 12  # types in each other
_VERSION = re.compile(r"\d+(?:\.\d+)*(?:[a-z.]+\d+)?")
_EXAMPLES: Mapping[str, Any] = {
    **dict.fromkeys(("double", "float"), 1.0),
    **dict.fromkeys(("integer", "long"), 1),
    "boolean": True,
    "string": "a",
    "any": "a",
    "binary": "AA==",
    "datetime": "2026-01-01T00:00:00",
}
_KINDS = {"i": 1, "u": 1, "f": 1.0, "b": True}  # of numpy's types, by the first letter


@frozen
class Model:
    """A model by the files beside it."""

    flavors: tuple[str, ...]
    mlflow: str  # the version that saved it, "" where nothing says it
    python: str  # that it was trained with, as in `3.11.7`
    python_source: str
    requirements: Requirements
    onnx: str = ""  # the file of its flavor `onnx`
    inputs: tuple[Mapping[str, Any], ...] = ()  # of its signature, as MLflow writes them
    example: Any = None  # a body for /invocations, None where nothing gives one
    example_source: str = ""
    notes: tuple[str, ...] = ()


def read(folder: Folder) -> Model:
    """Return a model folder's facts from its small texts; raises LockstitchError for none."""
    text = folder.text(FILE)
    if text is None:
        message = f"`{folder.root}` has no file {FILE}, as each model of MLflow has"
        raise LockstitchError(message, hint="name the folder with MLmodel in it")
    document = yaml.read(text, FILE)
    problems = [problem.message for problem in document.problems if problem.fatal]
    flavors = _at(document.root, "flavors")
    if problems or not isinstance(flavors, yaml.Mapping):
        message = f"`{FILE}` cannot be read: {problems[0] if problems else 'it names no flavor'}"
        raise LockstitchError(message, hint="log the model again, and name that version")
    names = tuple(sorted(yaml.entries(flavors)))
    if not {"python_function", "onnx"} & {*names}:
        message = f"a model of {' and '.join(names)} alone is none that Python can serve"
        raise LockstitchError(message, hint="save it with the flavor python_function")
    requirements, conda_python = _requirements(folder, document.root)
    pythons = (
        (_environment(folder, "python"), "python_env.yaml"),
        (_text(document.root, "flavors", "python_function", "python_version"), FILE),
        (conda_python.lstrip("=").removesuffix(".*"), "conda.yaml"),
    )
    python, source = next(
        ((text, where) for text, where in pythons if re.fullmatch(r"3(?:\.\d+){1,2}", text)),
        ("", ""),
    )
    version = _text(document.root, "mlflow_version")
    value = _json(_text(document.root, "signature", "inputs"))
    items = value if isinstance(value, list) else []
    inputs = tuple(item for item in items if isinstance(item, Mapping))
    example, where = _example(folder, document.root, inputs)
    return Model(
        flavors=names,
        mlflow=version if _VERSION.fullmatch(version) else "",
        python=python,
        python_source=source,
        requirements=requirements,
        onnx=_text(document.root, "flavors", "onnx", "data"),
        inputs=inputs,
        example=example,
        example_source=where,
        notes=requirements.notes,
    )


# --- packages


def _requirements(folder: Folder, root: yaml.Node | None) -> tuple[Requirements, str]:
    """Return the packages, of the first file that has them, and the Python of conda's."""
    named = _text(root, "flavors", "python_function", "env") or _text(
        root, "flavors", "python_function", "env", "conda"
    )
    name = named if re.fullmatch(r"[\w.-]+\.ya?ml", named) else "conda.yaml"
    environment = conda.environment(folder, name)
    python = environment.python if environment else ""
    listed = read_requirements(folder, "requirements.txt")
    if listed is not None:
        return listed, python
    lines = [
        line
        for line in _texts(_node(folder, "python_env.yaml"), "dependencies")
        if not line.startswith("-r")
    ]
    if not lines and environment:
        pip = read_lines(folder, name, environment.pip)
        lines = [*environment.dependencies, *pip.lines]
        notes = (*environment.notes, *pip.notes)
        return Requirements(lines=tuple(lines), notes=notes, sources=pip.sources), python
    return read_lines(folder, "python_env.yaml", lines), python


def _node(folder: Folder, name: str) -> yaml.Node | None:
    text = folder.text(name, any_encoding=True)
    return None if text is None else yaml.read(text, name).root


def _environment(folder: Folder, key: str) -> str:
    return _text(_node(folder, "python_env.yaml"), key)


def _at(node: yaml.Node | None, *keys: str) -> yaml.Node | None:
    for key in keys:
        entry = yaml.entries(node).get(key) if isinstance(node, yaml.Mapping) else None
        if entry is None:
            return None
        node = entry.value
    return node


def _text(node: yaml.Node | None, *keys: str) -> str:
    text = _at(node, *keys)
    return text.text if isinstance(text, yaml.Scalar) and not text.is_null else ""


def _texts(node: yaml.Node | None, key: str) -> list[str]:
    values = _at(node, key)
    items = values.items if isinstance(values, yaml.Sequence) else ()
    return [item.text for item in items if isinstance(item, yaml.Scalar)]


def pin(requirements: Sequence[str], name: str) -> str:
    """Return the version that a list pins a package to, or ""."""
    for line in requirements:
        match = re.fullmatch(r"[A-Za-z0-9._-]+\s*={2,3}\s*([\w.!+]+)", line)
        if match and of_requirement(line) == name:
            return match[1]
    return ""


# --- an example


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def _example(
    folder: Folder, root: yaml.Node | None, inputs: Sequence[Mapping[str, Any]]
) -> tuple[Any, str]:
    """Return a body for /invocations: the example that was logged, or one of the signature."""
    body = _json(folder.text("serving_input_example.json") or "")
    if isinstance(body, dict) and body:
        return body, "serving_input_example.json"
    logged = _json(folder.text("input_example.json") or "")  # of MLflow before 2.15
    kind = _text(root, "saved_input_example_info", "type")
    if kind == "dataframe" and isinstance(logged, dict) and "data" in logged:
        return {"dataframe_split": logged}, "input_example.json"
    if kind == "ndarray" and isinstance(logged, dict) and "inputs" in logged:
        return logged, "input_example.json"
    if kind == "ndarray" and isinstance(logged, list):
        return {"inputs": logged}, "input_example.json"
    try:
        body = _made_up(inputs)
    except LockstitchError:
        body = None
    return (body, "the signature") if body else (None, "")


def _made_up(inputs: Sequence[Mapping[str, Any]]) -> Any:
    if not inputs:
        return None
    tensors = [mapping.get("tensor-spec") for mapping in inputs if mapping.get("type") == "tensor"]
    if tensors:
        values = [_tensor(tensor) for tensor in tensors if isinstance(tensor, Mapping)]
        names = [mapping.get("name") for mapping in inputs]
        named = all(isinstance(name, str) for name in names)
        return {"inputs": dict(zip(names, values, strict=False)) if named else values[0]}
    row = [_value(mapping, 0) for mapping in inputs]
    columns = [mapping.get("name") for mapping in inputs]
    if not all(isinstance(name, str) for name in columns):
        return {"dataframe_split": {"data": [row]}}
    return {"dataframe_split": {"columns": columns, "data": [row]}}


def _tensor(spec: Mapping[str, Any]) -> Any:
    shape, kind = spec.get("shape"), str(spec.get("dtype", ""))
    sizes = [size if isinstance(size, int) and size > 0 else 1 for size in shape or [1]]
    count = 1
    for size in sizes:
        count *= size
        if count > 10_000:  # of an example that is made up
            raise LockstitchError("the tensor of its signature is too large for an example")
    value: Any = _KINDS.get(kind[:1], "a")
    for size in reversed(sizes):
        value = [value] * size
    return value


def _value(spec: Mapping[str, Any], depth: int) -> Any:
    kind = str(spec.get("type", ""))
    if depth > _DEEPEST:
        raise LockstitchError(f"the signature nests deeper than {_DEEPEST}")
    if kind == "array":
        items = spec.get("items")
        return [_value(items, depth + 1)] if isinstance(items, Mapping) else []
    if kind == "object":
        properties = spec.get("properties")
        known = properties if isinstance(properties, Mapping) else {}
        return {
            str(name): _value(item, depth + 1)
            for name, item in known.items()
            if isinstance(item, Mapping)
        }
    if kind == "map":
        values = spec.get("values")
        return {"key": _value(values, depth + 1)} if isinstance(values, Mapping) else {}
    return _EXAMPLES.get(kind, "a")
