"""Writes a new project from a template that ships with lockstitch."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from lockstitch import files
from lockstitch.errors import LockstitchError, UsageError, raise_all
from lockstitch.listing import SKIPPED_FOLDERS
from lockstitch.python import load

TEMPLATES = {
    "churn": "customer churn: training with scikit-learn, serving with FastAPI and ONNX",
    "iris": "iris species: the same on 150 flowers, read in five minutes",
}
MANAGERS = ("uv", "poetry")
# Who runs the checks of a commit, and the file that says which.
HOOKS = {"prek": "prek.toml", "pre-commit": ".pre-commit-config.yaml"}
_PYTHON = "3.11"  # of the templates as they are
PYTHONS = load.PYTHONS[load.PYTHONS.index(_PYTHON) :]  # which have the packages of the templates
_OF_MYPY = r"(\.pyi?|^pyproject\.toml|^(uv|poetry)\.lock)$"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_.][A-Za-z0-9]+)*")
# In these only, `{{...}}` stands for a text, and a line `#: WHO` says for which manager, or for
# which runner of hooks, the lines below it are. Those that a project does not have unless it asks
# are commented out, so that the template is valid as it is.
_RENDERED = {"pyproject.toml", "README.md", *HOOKS.values()}
_MARK, _COMMENT, _ASKED_FOR = "#: ", "# ", {"poetry", "pre-commit"}
_OWNERS = {"poetry.toml": "poetry"} | {path: name for name, path in HOOKS.items()}
# Not under the names that prek and pre-commit look for, which would run them here.
_SHARED = {
    "for-prek.toml": "prek.toml",
    "for-pre-commit.yaml": ".pre-commit-config.yaml",
    "kingfisher-rules.yaml": ".kingfisher-rules.yaml",
}


def create(
    folder: Path,
    template: str,
    manager: str = "uv",
    hooks: str = "prek",
    python: str = "3.11",
    *,
    is_dry: bool = False,
) -> list[str]:
    """Write a template's files into a new or empty folder, and return their names, sorted.

    The project is named like the folder; nothing is written where `is_dry`. Raises LockstitchError
    when the folder has files.
    """
    name = folder.absolute().name
    _check(folder, template, manager, hooks, python)
    texts = {"name": name, "run": f"{manager} run", "hooks": hooks, "config": HOOKS[hooks]}
    written = []
    for path, source in sorted(_sources(template), key=lambda pair: pair[0]):
        if _OWNERS.get(path) not in {None, manager, hooks}:
            continue
        data = source.read_bytes()
        if path in _RENDERED:
            data = _render(data.decode(), {manager, hooks}, texts).encode()
        if python != _PYTHON and path in {"pyproject.toml", ".python-version"}:
            data = _on_python(data.decode(), python).encode()
        if not is_dry:
            files.write_bytes(folder / path, data)
        written.append(path)
    return written


def hook_files(manager: str, *, in_project: bool = True, has_code: bool = True) -> dict[str, str]:
    """Return the files that let prek check a commit, by name, for a project of any template.

    Without `in_project` Poetry is asked where the environment is. Without code, mypy runs when
    the first is committed.
    """
    root = resources.files("lockstitch.scaffold").joinpath("templates", "hooks")
    texts = {}
    for source, path in _SHARED.items():
        if _OWNERS.get(path) in {None, "prek"}:
            text = root.joinpath(source).read_text(encoding="utf-8")
            chosen = {manager, "prek"}
            is_rendered = path in _RENDERED
            texts[path] = _render(text, chosen, {"run": f"{manager} run"}) if is_rendered else text
    if not in_project:
        texts["prek.toml"] = texts["prek.toml"].replace(".venv/bin/", f"{manager} run -- ")
    if not has_code:
        texts["prek.toml"] = texts["prek.toml"].replace(_OF_MYPY, r"\.pyi?$")
    return texts


def _sources(template: str) -> Iterator[tuple[str, Traversable]]:
    root = resources.files("lockstitch.scaffold").joinpath("templates")
    yield from _walk(root.joinpath(template), "")
    for name, path in _SHARED.items():
        yield path, root.joinpath("hooks", name)


def _render(text: str, chosen: set[str], texts: Mapping[str, str]) -> str:
    kept, owner = [], "all"
    for line in text.splitlines(keepends=True):
        if line.startswith(_MARK):
            owner = line.removeprefix(_MARK).strip()
        elif owner in chosen & _ASKED_FOR:
            kept.append(line.removeprefix(_COMMENT))
        elif owner in {"all", *chosen}:
            kept.append(line)
    rendered = "".join(kept)
    for token, meant in texts.items():
        rendered = rendered.replace("{{" + token + "}}", meant)
    return rendered


def _on_python(text: str, python: str) -> str:
    """Return a template's file for another minor version of Python, on the base of that version."""
    after = f"3.{int(python.partition('.')[2]) + 1}"
    for old, new in (
        ('requires-python = ">=3.11,<3.13"', f'requires-python = ">={python},<{after}"'),
        ('base = "debian:bookworm"', f'base = "{load.default_base(python)}"'),
        (f'python = "{_PYTHON}"', f'python = "{python}"'),
        (f"{_PYTHON}\n", f"{python}\n"),
    ):
        text = text.replace(old, new)
    return text


def _near(word: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, names, n=1)
    return f"did you mean `{near[0]}`?" if near else f"there is: {', '.join(sorted(names))}"


def _check(folder: Path, template: str, manager: str, hooks: str, python: str) -> None:
    problems: list[LockstitchError] = []
    if python not in PYTHONS:
        message = f"the templates run on Python {', '.join(PYTHONS)}, not on `{python}`"
        hint = f"lockstitch new {folder.name} --python {load.nearest_python(python, PYTHONS)}"
        problems.append(UsageError(message, hint=hint))
    if template not in TEMPLATES:
        hint = _near(template, TEMPLATES)
        problems.append(UsageError(f"`{template}` is not a template", hint=hint))
    if manager not in MANAGERS:
        hint = _near(manager, MANAGERS)
        problems.append(UsageError(f"`{manager}` is not a manager", hint=hint))
    if hooks not in HOOKS:
        hint = _near(hooks, HOOKS)
        problems.append(UsageError(f"`{hooks}` runs no hooks", hint=hint))
    raise_all([*problems, *place_problems(folder)])


def place_problems(folder: Path) -> Iterator[LockstitchError]:
    """Yield the problems of a folder for a new project: its name, or that it has files."""
    name = folder.absolute().name
    if not _NAME.fullmatch(name):
        message = f"`{name}` cannot name a project"
        hint = "start with a letter; letters, digits, and single - _ . between"
        yield LockstitchError(message, hint=hint)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        message = f"`{folder}` is there already and not empty"
        yield LockstitchError(message, hint="choose another name, or remove it")


def _walk(root: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for inner in root.iterdir():
        if inner.is_dir():
            if inner.name not in SKIPPED_FOLDERS:
                yield from _walk(inner, f"{prefix}{inner.name}/")
        elif not inner.name.endswith(".pyc"):
            yield prefix + inner.name, inner
