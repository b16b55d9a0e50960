"""Hooks whose program is a Python package: what their own repositories say of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Known", "known"]

_PYTHON = {"types": ["python"]}
_TEXT = {"types": ["text"]}
_PYI = {"types_or": ["python", "pyi"], "require_serial": True}
_NOTEBOOKS = {"types_or": ["python", "pyi", "jupyter"], "require_serial": True}
_ALONE = {"pass_filenames": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A hook's package, its program with arguments, and what else a local hook has to say.

    `manager` is set instead of `package` for programs that lock the project themselves.
    """

    entry: str
    package: str = ""
    manager: str = ""
    name: str = ""
    keys: Mapping[str, Any] = field(default_factory=dict)


def known(url: str, hook: str) -> Known | None:
    """Return what is known of a hook of a repository, by the repository's last name."""
    repository = url.rstrip("/").removesuffix(".git").rpartition("/")[2].rpartition(":")[2].lower()
    return _KNOWN.get(repository, {}).get(hook)


def _checks() -> dict[str, Known]:
    """Return the hooks of pre-commit-hooks; most are called like their program."""
    python = "check-ast check-builtin-literals check-docstring-first double-quote-string-fixer"
    text = (
        "check-merge-conflict check-vcs-permalinks detect-aws-credentials detect-private-key "
        "end-of-file-fixer fix-byte-order-marker mixed-line-ending"
    )
    found: dict[str, Mapping[str, Any]] = {
        "check-added-large-files": {},
        "check-case-conflict": {},
        "check-executables-have-shebangs": {"types": ["text", "executable"]},
        "check-json": {"types": ["json"]},
        "check-shebang-scripts-are-executable": _TEXT,
        "check-symlinks": {"types": ["symlink"]},
        "check-toml": {"types": ["toml"]},
        "check-xml": {"types": ["xml"]},
        "check-yaml": {"types": ["yaml"]},
        "debug-statements": _PYTHON,
        "destroyed-symlinks": {"types": ["file"]},
        "file-contents-sorter": {"files": "^$"},
        "forbid-new-submodules": {"types": ["directory"]},
        "name-tests-test": {"files": r"(^|/)tests/.+\.py$"},
        "no-commit-to-branch": {"pass_filenames": False, "always_run": True},
        "pretty-format-json": {"types": ["json"]},
        "requirements-txt-fixer": {"files": r"(requirements|constraints).*\.txt$"},
        "sort-simple-yaml": {"files": "^$"},
        "trailing-whitespace": _TEXT,
    }
    found |= dict.fromkeys(python.split(), _PYTHON) | dict.fromkeys(text.split(), _TEXT)
    programs = {
        "debug-statements": "debug-statement-hook",
        "trailing-whitespace": "trailing-whitespace-fixer",
    }
    return {
        hook: Known(package="pre-commit-hooks", entry=programs.get(hook, hook), keys=keys)
        for hook, keys in found.items()
    }


def _one(program: str, keys: Mapping[str, Any], *, package: str = "") -> dict[str, Known]:
    return {program: Known(package=package or program, entry=program, keys=keys)}


_BLACK = {
    "black": Known(package="black", entry="black", keys=_PYI),
    "black-jupyter": Known(package="black", entry="black", keys=_NOTEBOOKS),
}
_RUFF = {
    "ruff": Known(package="ruff", entry="ruff check --force-exclude", keys=_NOTEBOOKS),
    "ruff-check": Known(package="ruff", entry="ruff check --force-exclude", keys=_NOTEBOOKS),
    "ruff-format": Known(package="ruff", entry="ruff format --force-exclude", keys=_NOTEBOOKS),
}
_MYPY_ARGUMENTS = {"args": ["--ignore-missing-imports", "--scripts-are-modules"]}
_ISORT = {"types_or": ["cython", "pyi", "python"], "args": ["--filter-files"]}
_UV_FILES = {"files": r"^(uv\.lock|pyproject\.toml|uv\.toml)$"}
_POETRY_FILES = {"files": r"^(.*/)?(poetry\.lock|pyproject\.toml)$"}
_EXPORT = {"files": r"^uv\.lock$", "args": ["--frozen", "--output-file=requirements.txt"]}
_WORKFLOWS = r"^\.github/workflows/[^/]+\.ya?ml$"

# By the last name of the repository, then by the hook.
_KNOWN: Mapping[str, Mapping[str, Known]] = {
    "autoflake": _one("autoflake", _PYTHON),
    "bandit": _one("bandit", _PYTHON),
    "black": _BLACK,
    "black-pre-commit-mirror": _BLACK,
    "check-jsonschema": {
        "check-jsonschema": Known(
            package="check-jsonschema",
            entry="check-jsonschema",
            keys={"types_or": ["json", "yaml", "toml"]},
        ),
        "check-github-workflows": Known(
            package="check-jsonschema",
            entry="check-jsonschema --builtin-schema vendor.github-workflows",
            keys={"files": _WORKFLOWS, "types": ["yaml"]},
        ),
    },
    "codespell": _one("codespell", _TEXT),
    "detect-secrets": {
        "detect-secrets": Known(package="detect-secrets", entry="detect-secrets-hook"),
    },
    "flake8": _one("flake8", {**_PYTHON, "require_serial": True}),
    "interrogate": _one("interrogate", {**_PYTHON, "require_serial": True}),
    "isort": _one("isort", {**_ISORT, "require_serial": True}),
    "mdformat": _one("mdformat", {"types": ["markdown"]}),
    "mirrors-isort": _one("isort", {**_ISORT, "require_serial": True}),
    "mirrors-mypy": _one("mypy", {**_PYI, **_MYPY_ARGUMENTS}),
    "nbstripout": _one("nbstripout", {"types": ["jupyter"]}),
    "poetry": {
        "poetry-check": Known(manager="poetry", entry="poetry check", keys=_POETRY_FILES | _ALONE),
        "poetry-lock": Known(manager="poetry", entry="poetry lock", keys=_POETRY_FILES | _ALONE),
    },
    "pre-commit-hooks": _checks(),
    "pydocstyle": _one("pydocstyle", _PYTHON),
    "pyupgrade": _one("pyupgrade", {"types_or": ["python", "pyi"]}),
    "ruff-pre-commit": _RUFF,
    "sqlfluff": {
        "sqlfluff-fix": Known(
            package="sqlfluff",
            entry="sqlfluff fix --show-lint-violations --processes 0",
            keys={"types": ["sql"], "require_serial": True},
        ),
        "sqlfluff-lint": Known(
            package="sqlfluff",
            entry="sqlfluff lint --processes 0",
            keys={"types": ["sql"], "require_serial": True},
        ),
    },
    "uv-pre-commit": {
        "uv-export": Known(manager="uv", entry="uv export", keys=_EXPORT | _ALONE),
        "uv-lock": Known(manager="uv", entry="uv lock", keys=_UV_FILES | _ALONE),
    },
    "vulture": _one("vulture", {**_PYTHON, "pass_filenames": False}),
    "yamllint": _one("yamllint", {"types": ["file", "yaml"]}),
}
