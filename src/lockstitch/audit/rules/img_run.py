"""IMG: what an image starts, as whom, and how anybody learns that it is well."""

import posixpath
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.repository.dockerfile import available, environments, missing, serving
from lockstitch.repository.dockerfile.entry import Started
from lockstitch.repository.dockerfile.images import Built, ImageFile, image_files
from lockstitch.repository.files import Repository
from lockstitch.repository.shell.calls import Call

__all__ = ["RULES"]

_ON = {"1", "true", "yes", "on", "t", "y"}
_DROPPING = {"gosu", "su-exec", "setpriv", "runuser", "su"}
_KNOWN_BASES = frozenset(
    {"python", "debian", "ubuntu", "alpine", "cuda", "uv", "distroless", "conda", "pytorch"}
    | {"tensorflow", "mlflow", "enterprise", "amazon"}
)


class IMG006(Rule):
    """A container starts through `uv run` or `poetry run`.

    Why: `uv run` looks at the lock, installs what is missing (the development group too) and
    only then starts: a container that needs the network, time and a writable environment for
    each start, and is not what was tested. `poetry run` needs Poetry in the image.

    Bad:
        CMD ["uv", "run", "uvicorn", "api:app"]

    Good:
        ENV PATH="/app/.venv/bin:$PATH"
        CMD ["uvicorn", "api:app"]

    Fix: put the environment's bin folder on PATH and start the program itself; or
    `uv run --no-sync`.
    Source: uv documentation, "Using uv in Docker"; astral-sh/uv#17023.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each start through a manager, in the Dockerfile or the script that it starts."""
        for image in image_files(repo):
            for built in image.products:
                for each in built.entry.started:
                    call = each.call
                    if call.program == "uv" and (what := _installs(call, built)):
                        message = f"`uv run` installs at each start {what}"
                        hint = 'put .venv/bin on PATH and start the program: CMD ["uvicorn", …]'
                        yield self.finding(_path(image, each), each.line, message, hint=hint)
                    elif call.program in {"poetry", "pipenv"} and call.begins("run"):
                        message = f"`{call.program} run` starts the container through"
                        message += " a package manager, which the image then has to hold"
                        hint = "put the environment's bin folder on PATH and start the program"
                        path = _path(image, each)
                        severity = Severity.WARNING
                        yield self.finding(path, each.line, message, hint=hint, severity=severity)


def _path(image: ImageFile, each: Started) -> str:
    return each.path or image.path


def _installs(call: Call, built: Built) -> str:
    """Return what a `uv run` installs before it starts, empty for none."""
    words = call.words
    if "run" not in words[:4]:
        return ""
    at = words.index("run") + 1
    options = [*words[: at - 1]]
    for word in words[at:]:
        if not word.startswith("-"):
            break
        options.append(word.partition("=")[0])
    on = {
        name
        for name in ("UV_NO_SYNC", "UV_FROZEN", "UV_LOCKED", "UV_NO_DEV")
        if (call.assignments.get(name, "") or built.state.get(name)).lower() in _ON
    }
    if "--no-sync" in options or "UV_NO_SYNC" in on or "--no-project" in options:
        return ""
    fixed = {"--frozen", "--locked"} & {*options} or {"UV_FROZEN", "UV_LOCKED"} & on
    without = "--no-dev" in options or "UV_NO_DEV" in on or "--no-default-groups" in options
    if fixed and without:
        return ""
    lacks = "what the image lacks"
    return f"{lacks}, and may lock anew" if without else f"{lacks}, the development group included"


class IMG009(Rule):
    """The program that a container starts is not on PATH.

    Why: the container exits at once with "executable file not found", or starts the Python of the
    system, in which nothing is installed: the packages are in a virtual environment whose folder
    no PATH names.

    Bad:
        RUN uv sync --locked --no-dev
        CMD ["uvicorn", "api:app"]

    Good:
        RUN uv sync --locked --no-dev
        ENV PATH="/app/.venv/bin:$PATH"
        CMD ["uvicorn", "api:app"]

    Fix: name the environment's bin folder in ENV PATH, or start the program by its whole path.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each program of CMD or ENTRYPOINT that is surely not found."""
        for image in image_files(repo):
            for built in image.products:
                for each in built.entry.direct[:1]:
                    found = _not_found(built, each)
                    if found:
                        message, hint = found
                        yield self.finding(image.path, each.line, message, hint=hint)


def _not_found(built: Built, each: Started) -> tuple[str, str] | None:
    call = each.call
    if built.entry.by_shell and available.has(built, "sh") is False:
        return "the image has no shell to start this with", 'CMD ["PROGRAM", "ARGUMENT"]'
    written = "python" if call.module else call.written
    if "/" in call.written or call.wrappers or "=" in call.written:
        return None
    entries = environments.path_entries(built)
    if entries is None:
        return None
    found = environments.environments(built)
    is_python = call.module or call.program == "python"
    if is_python or call.program in serving.PACKAGES or call.program in {"celery", "jupyter"}:
        venvs = [env for env in found if env.is_venv]
        hidden = [env for env in found if env.prefix == "hidden"]
        others = [env for env in found if env not in venvs and env not in hidden]
        on_path = any(f"{env.prefix}/bin" in entries for env in venvs)
        activated = is_python and built.state.get("PYTHONPATH")
        if venvs and not others and not hidden and not on_path and not activated:
            prefix = venvs[-1].prefix
            message = f"`{written}` is not the one of `{prefix}`, which no ENV PATH names"
            return message, f'ENV PATH="{prefix}/bin:$PATH"'
        if hidden and not others and not venvs:
            tool = hidden[-1].tool
            message = f"`{written}` does not see what {tool} installed: it is in a virtual"
            message += " environment that no PATH names"
            return message, _hidden_hint(tool)
    lacking = missing.missing(built, call) if not is_python else ""
    if lacking:
        return f"`{written}` is not in the image: {lacking}", f"install {written}, and lock it"
    if call.module or call.program == "python" or call.program in {"bash", "sh", "uv", "poetry"}:
        program = call.written
        on_path = any(env.prefix == "?" or f"{env.prefix}/bin" in entries for env in found)
        if available.has(built, program) is False and not (is_python and (on_path or entries)):
            text = built.reference.text if built.reference else "the base"
            message = f"`{program}` is not in the image: `{text}` has none and nothing installs it"
            return message, _missing_hint(built, program)
    return None


def _hidden_hint(tool: str) -> str:
    if tool == "poetry":
        return "ENV POETRY_VIRTUALENVS_CREATE=false before the install"
    return "pipenv install --system --deploy"


def _missing_hint(built: Built, program: str) -> str:
    if program == "python" and available.has(built, "python3") is not False:
        return 'CMD ["python3", …], or install python-is-python3'
    if program == "bash":
        return "start `sh`, or install bash"
    return f"install {program}, or start another program"


class IMG010(Rule):
    """A health check calls a program that the image has not.

    Why: the check fails each time, so the container is unhealthy for ever: Compose and Swarm
    wait for it or restart it though the service works. Slim images have neither curl nor wget.

    Bad:
        FROM python:3.11-slim
        HEALTHCHECK CMD curl --fail http://localhost:8000/health

    Good:
        FROM python:3.11-slim
        HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://localhost:8000/health')"]

    Fix: ask with Python, which is there, or install the program.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each check by a program that is surely not there, of compose files too."""
        for image in image_files(repo):
            for built in image.products:
                step = built.health
                if step is not None and step.instruction.words[:1] != ("NONE",):
                    for call in step.calls:
                        message = _no_program(built, call.program)
                        if message:
                            hint = _health_hint(built)
                            line = step.instruction.first
                            yield self.finding(image.path, line, message, hint=hint)
                for use in built.uses:
                    check = use.service.healthcheck
                    if check is None or check.test is None or check.disabled:
                        continue
                    words = [str(word) for word in check.test.words]
                    first = (words[0].split() or [""])[0] if check.test.by_shell else words[0]
                    message = _no_program(built, posixpath.basename(first))
                    if message:
                        hint, path = _health_hint(built), check.path
                        yield self.finding(path, check.test.line, message, hint=hint)


def _no_program(built: Built, program: str) -> str:
    if program not in {"curl", "wget"} or available.has(built, program) is not False:
        return ""
    text = built.reference.text if built.reference else "the base"
    return f"the health check calls `{program}`: `{text}` has none and nothing installs it"


def _health_hint(built: Built) -> str:
    if available.has(built, "python") or built.is_python:
        python = "python3" if available.has(built, "python") is False else "python"
        return f'["{python}", "-c", "import urllib.request as u; u.urlopen(\'http://…\')"]'
    return "install it, or ask with a program that the image has"


class IMG011(Rule):
    """A serving image has no HEALTHCHECK.

    Why: a process that runs and answers nothing (a model that did not load, a dead worker) looks
    fine to Docker and Compose; what depends on it starts too early.

    Bad:
        EXPOSE 8000
        CMD ["uvicorn", "api:app"]

    Good:
        EXPOSE 8000
        HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://localhost:8000/health')"]
        CMD ["uvicorn", "api:app"]

    Fix: ask the service's health address in a HEALTHCHECK, or in each compose service.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each serving image that neither it nor what runs it asks for its health."""
        for image in image_files(repo):
            for built in image.products:
                if built.base is None or built.base.kind not in _KNOWN_BASES:
                    continue
                if not (built.is_python and built.serves) or built.health is not None:
                    continue
                checks = [use.service.healthcheck for use in built.uses]
                asked = any(each is not None for each in checks)  # the others are one-time jobs
                if not asked and not _probed(repo):
                    line = _entry_line(built)
                    message = "a serving image without HEALTHCHECK: a hung server looks fine"
                    yield self.finding(image.path, line, message, hint=_check_hint(built))


def _entry_line(built: Built) -> int:
    step = built.entry.step
    return step.instruction.first if step is not None else built.stage.line


def _check_hint(built: Built) -> str:
    return f"HEALTHCHECK CMD {_health_hint(built)}"


def _probed(repo: Repository) -> bool:
    """Return whether manifests of Kubernetes ask for the health of what runs."""
    names = [each for each in repo.names if each.endswith((".yaml", ".yml"))][:200]
    texts = (repo.text(each) or "" for each in names)
    return any("livenessProbe" in text or "readinessProbe" in text for text in texts)


class IMG012(Rule):
    """A container runs as root.

    Why: whoever breaks into the service is root in the container, and one kernel defect or one
    mounted socket away from being it on the machine; files in mounted folders belong to root.

    Bad:
        FROM python:3.11-slim
        CMD ["python", "serve.py"]

    Good:
        FROM python:3.11-slim
        RUN useradd --create-home app
        USER app
        CMD ["python", "serve.py"]

    Fix: make a user and name it in USER after what needs root.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each image whose user is surely root, and that is not told another one."""
        for image in image_files(repo):
            for built in image.products:
                if built.user != "root" or not built.is_python or built.entry.step is None:
                    continue
                users = ["user" in use.service.keys for use in built.uses]
                if (users and all(users)) or _drops(built):
                    continue
                said = [s for s in built.steps if s.instruction.name == "USER"]
                line = said[-1].instruction.first if said else _entry_line(built)
                what = "`USER root` is the last one" if said else "no USER is named"
                message = f"{what}: the container runs as root"
                hint = "RUN useradd --create-home app, then USER app before CMD"
                yield self.finding(image.path, line, message, hint=hint)


def _drops(built: Built) -> bool:
    """Return whether a program that takes another user is started, or a script nobody can read."""
    for each in built.entry.calls:
        if each.program in _DROPPING or _DROPPING & {*each.wrappers, *each.words}:
            return True
    first = built.entry.started[:1]
    read = any(each.path for each in built.entry.started)
    return built.entry.script and not read and bool(first)


RULES: tuple[type[Rule], ...] = (IMG006, IMG009, IMG010, IMG011, IMG012)
