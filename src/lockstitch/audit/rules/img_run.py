"""IMG: what an image starts, as whom, and how anybody learns that it is well."""

import json
import posixpath
import re
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.audit.rules import stk_fixes
from lockstitch.patterns import regex
from lockstitch.repository.compose.services import command_text
from lockstitch.repository.dockerfile import bases, environments, recipes
from lockstitch.repository.dockerfile.entry import Started, package_of_server
from lockstitch.repository.dockerfile.images import Built, ImageFile, products
from lockstitch.repository.dockerfile.installs import Install, facts
from lockstitch.repository.dockerfile.instruction import Instruction
from lockstitch.repository.dockerfile.purpose import is_tool
from lockstitch.repository.dockerfile.stages import SHELLS, Step
from lockstitch.repository.files import Repository
from lockstitch.repository.shell.calls import Call
from lockstitch.repository.text import image_names, lines
from lockstitch.repository.text.lines import Edit

_CURL = regex(
    r"CMD[ \t]+curl(?P<options>(?:[ \t]+-[-a-zA-Z]+)*)"
    r"[ \t]+[\"']?(?P<url>http://(?:localhost|127\.0\.0\.1)[\w:/.-]*)[\"']?"
    r"(?:[ \t]*\|\|[ \t]*exit[ \t]+1)?[ \t]*(?=\r?\n|$)"
)
_ALMOST_JSON = regex(r"\[\s*'[^']*'(?:\s*,\s*'[^']*')*\s*\]")
_ON = {"1", "true", "yes", "on", "t", "y"}
_DROPPING = {"gosu", "su-exec", "setpriv", "runuser", "su"}
_KNOWN_BASES = frozenset(
    {"python", "debian", "ubuntu", "alpine", "cuda", "uv", "distroless", "conda", "pytorch"}
    | {"tensorflow", "mlflow", "enterprise", "amazon"}
)
_PLAIN_BASES = frozenset({"python", "debian", "ubuntu", "alpine", "uv"})
_VIA = ("# via", "pip-compile", "uv pip compile", "uv export", "--hash=")
_BIN_FOLDERS = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local"})


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
        for built in products(repo):
            told = set()
            for program in built.entry.started:
                call = program.call
                if (_path(built, program), call.program) in told:
                    continue
                if call.program == "uv" and (what := _installs(call, built)):
                    told.add((_path(built, program), call.program))
                    message = f"`uv run` installs at each start {what}"
                    hint = 'put .venv/bin on PATH and start the program: CMD ["uvicorn", …]'
                    yield self.finding(_path(built, program), program.line, message, hint=hint)
                elif call.program in {"poetry", "pipenv"} and call.begins("run"):
                    message = f"`{call.program} run` starts the container through"
                    message += " a package manager, which the image then has to hold"
                    hint = "put the environment's bin folder on PATH and start the program"
                    path = _path(built, program)
                    told.add((path, call.program))
                    severity = Severity.WARNING
                    yield self.finding(path, program.line, message, hint=hint, severity=severity)


def _path(built: Built, program: Started) -> str:
    return program.path or built.image.path


def _installs(call: Call, built: Built) -> str:
    """Return the packages that a `uv run` installs before it starts, empty for none."""
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
    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in products(repo):
            for step in built.steps:
                if _is_almost_json(step.instruction):
                    path, line = built.image.path, step.instruction.first
                    first = step.instruction.text.split()[0]
                    message = f"`{first:.40}` is no JSON: a shell is told to run that"
                    fix = _with_double_quotes(built.image, step.instruction)
                    hint = 'double quotes: ["python", "…"]'
                    yield self.finding(path, line, message, hint=hint, fix=fix)
            for program in built.entry.direct[:1]:
                lack = None if program.call.program.startswith("[") else _not_found(built, program)
                if lack:
                    message, hint = lack
                    yield self.finding(built.image.path, program.line, message, hint=hint)


def _is_almost_json(instruction: Instruction) -> bool:
    """Return whether words in single quotes stand in brackets where a list is meant."""
    starts = instruction.name in {"CMD", "ENTRYPOINT"} and not instruction.json
    return starts and _ALMOST_JSON.fullmatch(instruction.text.strip()) is not None


def _with_double_quotes(image: ImageFile, instruction: Instruction) -> Edit | None:
    """Return the edit that makes a list of one line JSON, none where a quote is part of a word."""
    old = instruction.text.strip()
    if '"' in old or "\\" in old or instruction.first != instruction.last:
        return None
    new = old.replace("'", '"')
    return lines.replace_on_line(image.path, image.text, instruction.first, old, new)


def _not_found(built: Built, started: Started) -> tuple[str, str] | None:
    call = started.call
    if built.entry.by_shell and has_program(built, "sh") is False:
        return "the image has no shell to start this with", 'CMD ["PROGRAM", "ARGUMENT"]'
    written = "python" if call.module else call.written
    if "/" in call.written or call.wrappers or "=" in call.written:
        return None
    entries = environments.path_entries(built)
    if entries is None:
        return None
    places = environments.environments(built)
    is_python = call.module or call.program == "python"
    if is_python or package_of_server(call.program) or call.program in {"celery", "jupyter"}:
        venvs = [env for env in places if env.is_venv]
        hidden = [env for env in places if env.prefix == "hidden"]
        others = [env for env in places if env not in venvs and env not in hidden]
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
            hint = "ENV POETRY_VIRTUALENVS_CREATE=false before the install"
            return message, hint if tool == "poetry" else "pipenv install --system --deploy"
    lacking = _lacking(built, call) if not is_python else ""
    if lacking:
        return f"`{written}` is not in the image: {lacking}", f"install {written}, and lock it"
    if call.module or call.program == "python" or call.program in {"bash", "sh", "uv", "poetry"}:
        program = call.written
        on_path = any(env.prefix == "?" or f"{env.prefix}/bin" in entries for env in places)
        if has_program(built, program) is False and not (is_python and (on_path or entries)):
            text = built.reference.text if built.reference else "the base"
            message = f"`{program}` is not in the image: `{text}` has none and nothing installs it"
            return message, _missing_hint(built, program)
    return None


def _missing_hint(built: Built, program: str) -> str:
    if program == "python" and has_program(built, "python3") is not False:
        return 'CMD ["python3", …], or install python-is-python3'
    if program == "bash":
        return "start `sh`, or install bash"
    return f"install {program}, or start another program"


def _lacking(built: Built, call: Call) -> str:
    """Return why a server's program is surely not there, in words; empty when it may be."""
    package = package_of_server(call.program)
    if package is None or built.base is None or built.base.kind not in _PLAIN_BASES:
        return ""
    own = [install for _, install in built.installs if install.is_python and not install.is_tools]
    copied = [step.copied for step in built.steps if step.copied and step.copied.origin]
    if not own and copied:
        paths = [source.rstrip("/") for step in copied for source in step.sources]
        alone = all(path.endswith(("/site-packages", "/dist-packages")) for path in paths)
        return "only site-packages is copied, without the programs in its bin folder" * alone
    whole = [*own, *(one for b in built.sources for _, one in b.installs if one.is_python)]
    if not whole or any(step.instruction.name == "ADD" for step in built.steps):
        return ""
    names: set[str] = set()
    for install in whole:
        installed = set[str]() if install.is_tools else _names(built, install)
        if installed is None:
            return ""
        names |= installed
    listed = recipes.project(built.image.repo, built.image)
    asked = listed is not None and package in (built.image.repo.text(listed[0]) or "")
    if package in names or asked:  # where it is asked for, the lock is stale and nothing else
        return ""
    return f"nothing that is installed brings `{package}`"


def _names(built: Built, install: Install) -> set[str] | None:
    """Return all packages that a command installs, None when that cannot be told."""
    repo, image = built.image.repo, built.image
    if install.tool in {"uv sync", "poetry"}:
        name = "uv.lock" if install.tool == "uv sync" else "poetry.lock"
        lock = recipes.lock_in(repo, image, name)
        return {package.name for package in lock.packages} if lock else None
    if not install.is_pip or install.required or not install.files:
        return None
    names: set[str] = set()
    for file in install.files:
        lock = recipes.lock_in(repo, image, file)
        packages = {package.name for package in lock.packages} if lock else None
        text = repo.text(lock.path) if lock else None
        if packages is None or text is None:
            return None
        if not all(map(is_tool, packages)) and not any(mark in text for mark in _VIA):
            return None
        names |= packages
    return names


def has_program(built: Built, program: str) -> bool | None:
    """Return whether a program is on an image's PATH, None when it is not known.

    For programs that base images are known to have or not: shells, Python, curl, wget, uv, Poetry.
    """
    in_base = built.base.has.get(program) if built.base else None
    if in_base:
        return True
    uncertain = in_base is None
    for step in built.steps:
        answer = _brought(built, step, program)
        if answer:
            return True
        uncertain = uncertain or answer is None
    return None if uncertain else False


def _brought(built: Built, step: Step, program: str) -> bool | None:
    """Return whether a step brings a program; None when that cannot be told."""
    if step.instruction.name in {"COPY", "ADD"}:
        return _copied(built, step, program)
    if step.instruction.name != "RUN":
        return False
    answers = [_installed(install, program) for install in step.installs]
    answers += [_called(call, program) for call in step.calls]
    if any(answers):
        return True
    read = not step.script.problems and len(step.calls) == sum(
        bool(command.words) for command in step.script.commands
    )
    return None if None in answers or not read else False


def _installed(install: Install, program: str) -> bool | None:
    by_package = facts("programs_of_packages")
    names = {re.split(r"[\[=~<>@]", name)[0].lower() for name in install.names}
    if install.removes:
        return None if program in names else False
    of_system = not install.is_python and any(program in by_package.get(n, ()) for n in names)
    if program in names or of_system:
        return True
    return False if install.call.known or install.is_python else None


def _called(call: Call, program: str) -> bool | None:
    """Return whether what a command starts puts a program on PATH, or shows that it is there."""
    if call.program == program and program in {"curl", "wget"}:
        return True
    if call.program in {"ln", "cp", "mv", "install", "update-alternatives"}:
        if any(posixpath.basename(word) == program for word in call.words):
            return True
        places = {posixpath.normpath(word) for word in call.words}
        return None if places & _BIN_FOLDERS or not call.known else False
    if call.program in SHELLS:
        return False if "-c" in call.words else None
    if call.program == "uv" and call.begins("tool", "install"):
        return program in call.words
    if call.program == "uv" and call.begins("python", "install"):
        return None if program.startswith("python") else False
    return False if call.program in facts("harmless")["programs"] else None


def _copied(built: Built, step: Step, program: str) -> bool | None:
    copied = step.copied
    if copied is None:
        return False
    if not copied.known:
        return None
    if program in {posixpath.basename(path) for path in (copied.target, *copied.sources)}:
        return True
    if copied.target == "/" or copied.target in _BIN_FOLDERS:
        stage = built.image.dockerfile.stage(copied.origin) if copied.origin else None
        if stage is None and copied.origin:
            reference = image_names.reference(copied.origin)
            base = bases.known_base(reference) if reference else None
            if base is not None and base.has.get(program) is False:
                return False
        names = {posixpath.basename(source.rstrip("/")) for source in copied.sources}
        if names <= {"uv", "uvx"}:
            return program in names
        if not copied.origin and step.instruction.name == "COPY":
            # Of the repository itself: no file of that name, no program.
            there = (posixpath.basename(name) == program for name in built.image.repo.every_name)
            return None if any(there) else False
        return None
    return False


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

    Fix: ask with Python, which is there, or install the program. `lockstitch check --fix` writes
    the Python of a plain `curl -f URL`.
    """

    severity = Severity.ERROR
    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in products(repo):
            step = built.health
            if step is not None and step.instruction.words[:1] != ("NONE",):
                for call in step.calls:
                    message = _no_program(built, call.program)
                    if message:
                        hint = _health_hint(built)
                        line = step.instruction.first
                        fix = tuple(_by_python(built, step))
                        yield self.finding(built.image.path, line, message, hint=hint, fix=fix)
            for use in built.uses:
                check = use.service.healthcheck
                if check is None or check.test is None or check.disabled:
                    continue
                words = [str(word) for word in check.test.words]
                first = (words[0].split() or [""])[0] if check.test.by_shell else words[0]
                message = _no_program(built, posixpath.basename(first))
                if message:
                    asked = _asked(built, _CURL.match(f"CMD {' '.join(words)}"))
                    fix = stk_fixes.other_test(repo, use.service, ["CMD", *asked]) if asked else ()
                    hint, path = _health_hint(built), check.path
                    yield self.finding(path, check.test.line, message, hint=hint, fix=fix)


def _by_python(built: Built, step: Step) -> list[Edit]:
    """Return the edit that asks the same address with the image's Python, where curl would fail."""
    text, first = built.image.text, step.instruction.first
    start, end = (lines.line_start(text, number) for number in (first, step.instruction.last + 1))
    match = _CURL.search(text, start, end)
    words = _asked(built, match)
    if not match or not words:
        return []
    new = f"CMD {json.dumps(words)}"
    return [Edit(path=built.image.path, start=match.start(), end=match.end(), text=new)]


def _asked(built: Built, match: re.Match[str] | None) -> list[str]:
    """Return the words that ask the address of a curl that would fail, with the image's Python."""
    options = " ".join(match["options"].split()) if match else ""
    fails = re.search(r"(?:^| )(?:--fail|-[a-zA-Z]*f)", options)
    if not match or not fails or not (has_program(built, "python") or built.is_python):
        return []
    python = "python3" if has_program(built, "python") is False else "python"
    return [python, "-c", f"import urllib.request as u; u.urlopen('{match['url']}')"]


def _no_program(built: Built, program: str) -> str:
    if program not in {"curl", "wget"} or has_program(built, program) is not False:
        return ""
    text = built.reference.text if built.reference else "the base"
    return f"the health check calls `{program}`: `{text}` has none and nothing installs it"


def _health_hint(built: Built) -> str:
    if has_program(built, "python") or built.is_python:
        python = "python3" if has_program(built, "python") is False else "python"
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
        for built in products(repo):
            if built.base is None or built.base.kind not in _KNOWN_BASES:
                continue
            if not (built.is_python and built.serves) or built.health is not None:
                continue
            checks = [use.service.healthcheck for use in built.uses]
            asked = any(check is not None for check in checks)  # the others are one-time jobs
            if not asked and not _probed(repo):
                line = _entry_line(built)
                message = "a serving image without HEALTHCHECK: a hung server looks fine"
                hint = f"HEALTHCHECK CMD {_health_hint(built)}"
                if len({command_text(use.service.command) for use in built.uses}) > 1:
                    hint = "`healthcheck:` in the compose file, of the service that serves"
                yield self.finding(built.image.path, line, message, hint=hint)


def _entry_line(built: Built) -> int:
    step = built.entry.step
    return step.instruction.first if step is not None else built.stage.line


def _probed(repo: Repository) -> bool:
    """Return whether manifests of Kubernetes ask for the health of what runs."""
    names = [name for name in repo.names if name.endswith((".yaml", ".yml"))][:200]
    texts = (repo.text(name) or "" for name in names)
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

    Fix: make a user and name it in USER after what needs root. Of an image that serves nothing, it
    is a hint.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in products(repo):
            if built.user != "root" or not built.is_python or built.entry.step is None:
                continue
            users = ["user" in use.service.keys for use in built.uses]
            if (users and all(users)) or _drops(built):
                continue
            steps = [s for s in built.steps if s.instruction.name == "USER"]
            line = steps[-1].instruction.first if steps else _entry_line(built)
            what = "`USER root` is the last one" if steps else "no USER is named"
            message = f"{what}: the container runs as root"
            hint = "RUN useradd --create-home app, then USER app before CMD"
            level = Severity.WARNING if built.serves else Severity.HINT  # nobody reaches a job
            yield self.finding(built.image.path, line, message, hint=hint, severity=level)


def _drops(built: Built) -> bool:
    """Return whether a program that takes another user starts, or a script that cannot be read."""
    for call in built.entry.calls:
        if call.program in _DROPPING or _DROPPING & {*call.wrappers, *call.words}:
            return True
    first = built.entry.started[:1]
    read = any(program.path for program in built.entry.started)
    return built.entry.script and not read and bool(first)
