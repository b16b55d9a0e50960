"""Finds the environments of a stage's Python packages: the system's, or virtual ones by folder."""

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.installs import Install
from lockstitch.repository.dockerfile.stages import Step
from lockstitch.repository.shell.calls import Call
from lockstitch.values import frozen, replace

if TYPE_CHECKING:
    from lockstitch.repository.dockerfile.images import Built

_OFF = {"false", "0", "no", "off"}
_PREFIX = regex(r"(/.+)/(?:bin|Scripts)(?:/[^/]+)?")


@frozen
class Environment:
    """One environment: its `prefix` is empty for the system's, `?` where it is not known."""

    prefix: str
    line: int
    tool: str

    @property
    def is_venv(self) -> bool:
        """Return whether it is a folder of its own that is known."""
        return self.prefix.startswith("/")


def path_entries(built: "Built") -> tuple[str, ...] | None:
    """Return the folders of a stage's PATH that its file adds; None when only a build can tell."""
    state = built.state
    if "PATH" in state.unknown:
        return None
    return tuple(folder for folder in state.get("PATH").split(":") if folder)


def environments(built: "Built") -> tuple[Environment, ...]:
    """Return the environments of a stage, those copied from other stages included."""
    return tuple(_found(built, depth=0))


def _found(built: "Built", depth: int) -> Iterator[Environment]:
    poetry: dict[str, str] = {}
    active = ""  # by `python -m venv` or `uv venv` with a PATH that names it
    for step in built.steps:
        copied = step.copied
        if copied is not None and copied.origin and depth < len(built.image.stages):
            yield from _taken(built, step, depth)
        activated = ""
        for call in step.calls:
            activated = _activated(call) or activated
            if call.program == "poetry" and call.begins("config") and len(call.words) > 2:
                poetry[call.words[-2]] = call.words[-1].lower()
        active = next((e for e in step.state.get("PATH").split(":") if e.endswith("/bin")), "")
        active = active.removesuffix("/bin") if _is_venv_folder(built, active) else ""
        for install in step.installs:
            if install.is_python and not install.is_tools:
                prefix = _prefix(install, step, activated or active, poetry)
                yield Environment(prefix=prefix, line=install.line, tool=install.tool)


def _taken(built: "Built", step: Step, depth: int) -> Iterator[Environment]:
    copied = step.copied
    assert copied is not None  # noqa: S101 -- asked by the caller
    stage = built.image.dockerfile.stage(copied.origin)
    if stage is None or stage.index >= built.stage.index:
        return
    line = step.instruction.first
    for source in copied.sources:
        path = "/" + source.strip("/")
        if not copied.known:
            yield Environment(prefix="?", line=line, tool="COPY")
            continue
        if path in {"/", "/usr", "/usr/local"} or "site-packages" in path or path == "/opt/conda":
            yield Environment(prefix="", line=line, tool="COPY")
            continue
        for environment in _found(built.image.built(stage), depth + 1):
            if environment.prefix == path or environment.prefix.startswith(f"{path}/"):
                target = posixpath.normpath(copied.target + environment.prefix[len(path) :])
                target = "" if target in {"/usr", "/usr/local"} else target
                yield replace(environment, prefix=target, line=line)
            elif (
                environment.prefix and path.startswith(f"{environment.prefix}/") and "/lib" in path
            ):
                yield Environment(prefix="?", line=line, tool="COPY")


def _activated(call: Call) -> str:
    if call.program in {".", "source", "activate"} and call.words:
        match = _PREFIX.fullmatch(call.words[0])
        return match[1] if match else "?"
    return ""


def _is_venv_folder(built: "Built", entry: str) -> bool:
    """Return whether a folder of PATH is of an environment and not of the system."""
    prefix = entry.removesuffix("/bin")
    if not entry or prefix in {"", "/usr", "/usr/local", "/root/.local", "/opt/conda"}:
        return False
    return not prefix.endswith("/.local") and any(
        call.program in {"venv", "virtualenv"}
        or (call.program == "uv" and call.words[:1] in {("venv",), ("sync",)})
        for step in built.steps
        for call in step.calls
    )


def _get(step: Step, install: Install, name: str) -> str:
    """Return a variable as the command sees it: its own assignments before ENV."""
    return install.call.assignments.get(name, "") or step.state.get(name)


def _prefix(install: Install, step: Step, active: str, poetry: dict[str, str]) -> str:
    if install.tool == "conda" or "conda" in install.call.wrappers or install.tool == "pdm":
        return "?"
    if install.tool == "uv sync":
        return _of_sync(install, step)
    if install.tool == "poetry":
        return active or _of_poetry(install, step, poetry)
    if install.tool == "pipenv":
        inside = step.state.get("PIPENV_VENV_IN_PROJECT")
        system = "" if install.options.has("--system") else "hidden"
        return active or (step.state.path(".venv") if inside and system else system)
    if install.options.has("--target", "-t", "--root", "--user"):
        return "?"
    named = next(iter(install.options.values("--prefix")), "") or _python(install, step)
    if named:
        return _unless_system(step.state.path(named))
    return _of_uv_pip(install, step, active) if install.tool == "uv pip" else active


def _python(install: Install, step: Step) -> str:
    """Return the folder of the environment whose Python or pip is named."""
    python = next(iter(install.options.values("--python", "-p")), "")
    for path in (python, (install.call.written if install.call.folder else "")):
        if "/" in path:
            match = _PREFIX.fullmatch(step.state.path(path))
            return match[1] if match else path
    return ""


def _of_sync(install: Install, step: Step) -> str:
    folder = next(iter(install.options.values("--directory", "--project")), ".")
    named = _get(step, install, "UV_PROJECT_ENVIRONMENT")
    if install.options.has("--active") or "UV_PROJECT_ENVIRONMENT" in step.state.unknown:
        return "?"
    prefix = posixpath.join(step.state.workdir, folder, named or ".venv")
    return _unless_system(posixpath.normpath(prefix))


def _of_uv_pip(install: Install, step: Step, active: str) -> str:
    if install.options.has("--system") or _get(step, install, "UV_SYSTEM_PYTHON"):
        return ""
    if active:
        return active
    other = install.options.has("--python", "-p") or _get(step, install, "UV_PYTHON")
    return _get(step, install, "VIRTUAL_ENV") or ("?" if other else step.state.path(".venv"))


def _of_poetry(install: Install, step: Step, settings: dict[str, str]) -> str:
    create = _get(step, install, "POETRY_VIRTUALENVS_CREATE")
    inside = _get(step, install, "POETRY_VIRTUALENVS_IN_PROJECT")
    virtual = _get(step, install, "VIRTUAL_ENV")
    if (create or settings.get("virtualenvs.create", "")).lower() in _OFF:
        return virtual
    if (inside or settings.get("virtualenvs.in-project", "")).lower() not in {"", *_OFF}:
        return step.state.path(".venv")
    return virtual or ("?" if _get(step, install, "POETRY_VIRTUALENVS_PATH") else "hidden")


def _unless_system(prefix: str) -> str:
    return "" if prefix in {"/usr", "/usr/local"} else prefix
