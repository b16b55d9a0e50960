"""The commands that a repository itself names.

Those of Dockerfiles are what images start; those of compose files, Procfile, Makefile, dvc.yaml,
MLproject, the tasks of managers, READMEs and CI are hints.
"""

import configparser
import itertools
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from lockstitch import shell
from lockstitch.python.commands import entry_of
from lockstitch.python.tables import table
from lockstitch.repository.compose.services import compose_files
from lockstitch.repository.compose.values import Service
from lockstitch.repository.dockerfile.contexts import Use
from lockstitch.repository.dockerfile.entry import Started, of_scripts, serves
from lockstitch.repository.dockerfile.images import Built, ImageFile, image_files
from lockstitch.repository.dockerfile.stages import SHELLS, Step
from lockstitch.repository.files import Repository
from lockstitch.repository.shell.calls import Call, call
from lockstitch.resources import load_table
from lockstitch.values import field, frozen, replace

_PORT = re.compile(r"\$\{?(?:PORT|APP_PORT|SERVER_PORT|UVICORN_PORT)(?::?-(\d+))?\}?")
_DEFAULTED = re.compile(r"\$\{\w+:?-([^}]*)\}")
_VARIABLE = re.compile(r"\$[({](\w+)[)}]|\{\{\s*(\w+)\s*\}\}")  # of make, and of just
_GIVEN = re.compile(r"(?:export\s+)?(\w+)\s*(?:\?|::?)?=\s*(.*?)\s*(?:\s#.*)?")
_SETTINGS = re.compile(  # files that tell programs where their data is
    r"(?:.*/)?(?:(?:params|parameters|configs?|settings|conf|cfg)[\w.-]*"
    r"|(?:configs?|conf|cfg|settings|params|parameters)/[\w./-]+)\.(?:ya?ml|json|toml|ini|cfg)"
)
_LONGEST_SETTINGS = 50_000  # characters
_TASKS = (  # files of managers, and the tables of their tasks
    ("Pipfile", ("scripts",)),
    ("pixi.toml", ("tasks",)),
    *(
        ("pyproject.toml", ("tool", *path.split()))
        for path in ("pdm scripts", "pixi tasks", "poe tasks", "rye scripts", "taskipy tasks")
    ),
    ("pyproject.toml", ("tool", "hatch", "envs", "default", "scripts")),
)
_TEMPLATE = re.compile(r"\$\{([\w. -]+)\}")  # of DVC
_URL = re.compile(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::[\w${}:-]+)?(/[\w./-]*)")
_RUNNERS = {"uv", "poetry", "pdm", "pipenv", "conda", "micromamba", "opentelemetry-instrument"}
_WITH_VALUE = frozenset(  # options of runners
    {"-n", "--name", "-p", "--prefix", "--cwd", "--with", "--python", "--group", "--extra"}
    | {"--env-file", "--project", "--directory", "--package", "--only-group"}
)
_STARTERS = frozenset(load_table(__package__, "words.toml")["starters"])
_OURS = re.compile(  # variables of a Dockerfile that say nothing to a program
    r"(?:PIP|POETRY|UV|CONDA|PDM|DEBIAN|APT|BUILD)_.*|PATH|LANG|LC_ALL|TZ|HOME|PYTHONUNBUFFERED"
    r"|PYTHONDONTWRITEBYTECODE|PYTHONHASHSEED|PYTHONFAULTHANDLER|VIRTUAL_ENV|PORT|PYTHON_VERSION"
)
_SECRET = re.compile(r"(?i)key|secret|token|password|passwd|credential")
_COMPOSE = re.compile(r"(?:docker-)?compose\.ya?ml")  # what `docker compose up` reads
_LOGIN = re.compile(r"://[^/@]*@")
_UNWANTED = {"requirements", "pyproject", "poetry", "uv", "pipfile", "environment", "setup"}
_GENERIC = frozenset(load_table(__package__, "words.toml")["generic"])


@frozen
class NamedCommand:
    """One command, with paths from the repository's folder, and what else is said about it."""

    source: str  # file:line
    words: tuple[str, ...]  # none, and the command in `label`, where it is not understood
    folder: str = ""  # of the repository, in which it runs
    label: str = ""  # of the image, target, stage or service
    port: int = 0
    health: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)  # variables by its service
    include: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # what a stage of DVC reads and what it makes, as it is written
    makes: tuple[str, ...] = ()
    before: tuple[tuple[str, ...], ...] = ()  # what an image starts before its program
    serves: bool = False
    is_made: bool = False  # a step of a Dockerfile that makes what its image holds


# --- Dockerfiles


def images(repo: Repository, own: AbstractSet[str] = frozenset()) -> Iterator[NamedCommand]:
    """Yield the command of each image of Python that a Dockerfile of the repository makes.

    Those for developing count where a service starts one and there is no other. `own` are programs
    that the project itself installs.
    """
    every = [(file, built) for file in image_files(repo) for built in file.products]
    every = [(file, built) for file, built in every if built.is_python]
    if not every:
        last = [(f, f.built(f.dockerfile.stages[-1])) for f in image_files(repo) if f.uses]
        every = [(file, built) for file, built in last if built.is_python]
    for file, built in every:
        for label, started, use in _starts(file, built):
            command = _named(file, built, started, label, use, own)
            if command is not None:
                yield command
            elif started:
                shown = shlex.join((started[-1].program, *started[-1].words))
                yield NamedCommand(source=f"{file.path}:{started[-1].line}", words=(), label=shown)


def _starts(file: ImageFile, built: Built) -> Iterator[tuple[str, list[Call], Use | None]]:
    """Yield the calls that a Dockerfile's image starts, and those of services with their own."""
    own = [program.call for program in built.entry.started]
    seen = set()
    # Files of other names are of other days, or for part of the services.
    uses = [use for use in built.uses if _COMPOSE.fullmatch(posixpath.basename(use.compose))]
    uses = uses or [*built.uses]
    for use in uses:
        calls = _service_calls(use.service)
        key = tuple((command.program, command.words) for command in calls)
        if calls and key not in seen:
            seen.add(key)
            for label, those in _apart(calls, of_scripts(calls, file.script)):
                yield label or use.service.name, those, use
    supervised = [*_supervised(file, built, own)] if not seen else []
    plain = [use for use in uses if not _service_calls(use.service)]
    first = next(iter(plain), None)
    yield from ((label, calls, first) for label, calls in supervised)
    if own and not supervised and (plain or not seen):
        label = (first.service.name if first else "") or _label(file.path)
        if label == _label(file.path) and built.stage.name and len(file.products) > 1:
            label = built.stage.name
        for name, calls in _apart([], built.entry.started):
            yield name or label, calls, first


def _apart(calls: list[Call], inside: Sequence[Started]) -> Iterator[tuple[str, list[Call]]]:
    """Yield calls with those of a script, and each program that it lets run beside by a name."""
    every = [*calls, *(program.call for program in inside)]
    beside = [program.call for program in inside if program.beside and _starter(program.call)]
    if beside and not any(_starter(c) for c in every if c not in beside):
        beside.remove(max(beside, key=lambda command: serves(command, exposes=True)))
    yield from ((_named_by(command), [command]) for command in beside)
    yield "", [command for command in every if command not in beside]


def _named_by(command: Call) -> str:
    """Return a name for the image of a program: `worker` of Celery, `streamlit`, a script's."""
    word = next((w for w in command.words if w in {"worker", "beat", "flower"}), "")
    script = next((w for w in command.words if w.endswith(".py")), "")
    of_python = posixpath.basename(script).removesuffix(".py") or command.program
    return word or (of_python if command.program == "python" else command.program)


def _supervised(file: ImageFile, built: Built, own: list[Call]) -> Iterator[tuple[str, list[Call]]]:
    """Yield the programs that supervisord starts, each by its name: an image for each."""
    where = _Places(file, built)
    for started in own:
        if started.program != "supervisord":
            continue
        named = where.repository(posixpath.join(built.state.workdir, *started.words[-1:]))
        texts = [file.repo.text(named)] if named else []
        texts += [file.repo.text(n) for n in file.repo.every_name if "supervisor" in n]
        for settings in texts:
            parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=(";",))
            try:
                parser.read_string(settings or "")
            except configparser.Error:
                continue
            for section in parser.sections():
                command = parser.get(section, "command", fallback="")
                if section.startswith("program:") and command:
                    folder = parser.get(section, "directory", fallback="") or "."
                    text = f"cd {shlex.quote(folder)} && {command}"
                    yield section.removeprefix("program:").lower(), _calls_of(text)
            if parser.sections():
                return


def _label(path: str) -> str:
    folder, _, name = path.rpartition("/")
    for part in (name, folder.rpartition("/")[2]):
        bare = re.sub(r"(?i)(?:^|[._-])(?:docker|container)file(?:$|[._-])", " ", part).strip(
            " .-_"
        )
        bare = re.sub(r"[^a-z0-9]+", "-", bare.lower()).strip("-")
        if bare not in _GENERIC:
            return bare
    return ""


def _service_calls(service: Service) -> list[Call]:
    """Return the calls that a service names itself: its entry point's where that starts one."""
    for commands in ((service.entrypoint, service.command), (service.command,)):
        named = [command for command in commands if command]
        if named and named[0].by_shell:
            calls = _calls_of(named[0].words[0].text if named[0].words else "")
        else:  # what nobody sets stays as it is written, for the reader to see
            words = [w for command in named for w in command.words]
            calls = _calls_of(
                " ".join(_quoted(w.text) if w.is_known else f"'{w.raw}'" for w in words)
            )
        if service.entrypoint is None or any(_starter(command) for command in calls):
            return calls
    return calls


def _quoted(word: str) -> str:
    return f"'{word}'" if re.search(r"[\s;&|<>()]", word) and "'" not in word else word


def _calls_of(text: str) -> list[Call]:
    script = shell.read(text, shell.line_starts(text, 1))
    started = [c for command in script.commands if (c := call(command, {}))]
    return [
        inner
        for c in started
        for inner in (
            _calls_of(c.words[1])  # of `sh -c 'one && two'`
            if c.program in SHELLS and re.fullmatch(r"-\w*c", "".join(c.words[:1])) and c.words[1:]
            else [c]
        )
    ]


def _named(
    file: ImageFile,
    built: Built,
    calls: list[Call],
    label: str,
    use: Use | None,
    own: AbstractSet[str],
) -> NamedCommand | None:
    folder = built.state.workdir
    chosen = None
    earlier: list[Call] = []
    for command in calls:
        if command.program == "cd" and command.words:
            folder = posixpath.normpath(posixpath.join(folder, command.words[0]))
        elif _starter(command) or command.program in own:
            earlier += [chosen] if chosen else []
            chosen = command
    if chosen is None:
        return _of_lambda(file, built, label)
    where = _Places(file, built, use)
    line = (
        chosen.line if not label or built.entry.step is None else built.entry.step.instruction.first
    )
    exposed = _exposed(built)
    words = _words(chosen, exposed, built.state.env)
    exported = (word for command in calls if command.program == "export" for word in command.words)
    given = {name: value for word in exported for name, _, value in [word.partition("=")] if value}
    env = _env(where, {**built.state.env, **given})
    here = where.home(folder)
    if (root := where.root_of(words, env, folder)) and "PYTHONPATH" not in env:
        env["PYTHONPATH"] = f"/app/{root}"
    outputs = [
        posixpath.join(here, posixpath.relpath(path, folder))
        for step in built.steps
        for command in (step.calls if step.instruction.name == "RUN" else ())
        for word in (command.words if command.program == "mkdir" else ())
        if (path := posixpath.join(step.state.workdir, word)).startswith(f"{folder.rstrip('/')}/")
        and not word.startswith("-")
    ]
    return NamedCommand(
        source=f"{file.path}:{line}",
        words=where.translated(words, folder),
        folder=here,
        label=label,
        port=_number_after(words, {"--port", "-p", "--server.port"}) or exposed,
        health=_health(built),
        env=env,
        given={n: where.replaced(text) for n, text in _given(use).items()} if use else {},
        include=where.named(),
        outputs=tuple(outputs),
        before=tuple(
            where.translated(_words(command, exposed, built.state.env), folder)
            for command in earlier
        ),
        # What a service or supervisord starts in place of the image's own is a server by itself.
        serves=(built.serves and calls[-1] in built.entry.calls)
        or any(serves(command, exposes=bool(exposed)) for command in calls),
    )


def _env(where: "_Places", given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an image that say something to its programs, its paths as ours."""
    env = {name: where.replaced(value) for name, value in _plain(given).items()}
    if "PYTHONPATH" in env:
        paths = [where.repository(folder) for folder in given["PYTHONPATH"].split(":") if folder]
        env["PYTHONPATH"] = ":".join(
            posixpath.normpath(f"/app/{path}") for path in dict.fromkeys(paths) if path is not None
        )
    return {name: value for name, value in env.items() if value}


def _plain(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that say something to a program, and are no secrets."""
    kept = {n: value for n, value in given.items() if not _OURS.fullmatch(n) and "$" not in value}
    return {n: value for n, value in kept.items() if value and not _SECRET.search(n)}


def _of_lambda(file: ImageFile, built: Built, label: str) -> NamedCommand | None:
    """Return how a function that AWS Lambda calls is started on another base: by AWS's client."""
    started = next(iter(built.entry.direct), None)
    module, dot, _ = started.call.program.rpartition(".") if started else ("", "", "")
    if built.base is None or built.base.kind != "lambda" or started is None or not dot:
        return None
    path = f"{module.replace('.', '/')}.py"
    paths = [n for n in file.repo.every_name if n == path or n.endswith(f"/{path}")]
    if not paths:
        return None
    folder = min(paths, key=lambda name: (name.count("/"), name)).removesuffix(path).rstrip("/")
    return NamedCommand(
        source=f"{file.path}:{started.line}",
        words=("python", "-m", "awslambdaric", started.call.program),
        label=label or "function",
        env={"PYTHONPATH": f"/app/{folder}"} if folder else {},
    )


def _given(use: Use) -> dict[str, str]:
    """Return the variables of a service that anybody may know."""
    given = use.service.environment.items()
    return public({n: v.text for n, v in given if v.value and v.value.is_known})


def public(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are no secrets, by their names and values."""
    every = variables.items()
    return {n: text for n, text in every if not (_SECRET.search(n) or _LOGIN.search(text))}


def _starter(command: Call) -> bool:
    if command.module:
        return True
    if command.program in _RUNNERS:
        return "run" in command.words
    if command.program == "python" and not command.words:
        return False  # `command -v python` asks whether it is there
    if command.program == "mlflow":
        return command.words[:1] in (("server",), ("ui",))
    is_text = command.program == "python" and command.words[:1] in {
        ("-c",),
        ("--version",),
        ("-V",),
    }
    return command.program in _STARTERS and not is_text


def _words(command: Call, port: int, env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words of a call with its variables filled in as far as they are known."""
    words = (
        ["python", "-m", command.program, *command.words]
        if command.module
        else [command.program, *command.words]
    )
    if command.program in _RUNNERS and "run" in words:
        words = words[words.index("run") + 1 :]
        while words and words[0].startswith("-"):
            words = words[2 if words[0] in _WITH_VALUE else 1 :]
        if words and words[0].endswith(".py"):
            words = ["python", *words]
        if words and re.fullmatch(r"python3?(?:\.\d+)?", words[0]):
            words[0] = "python"
    filled = []
    for word in words:
        text = _PORT.sub(lambda match: match[1] or env.get("PORT", "") or str(port or 8000), word)
        text = re.sub(r"\$\{?(\w+)\}?", lambda match: env.get(match[1], match[0]), text)
        filled.append(_DEFAULTED.sub(r"\1", text))
    return tuple(filled)


def _exposed(built: Built) -> int:
    for step in built.steps:
        if step.instruction.name == "EXPOSE":
            for word in step.instruction.words:
                text = step.instruction.scope.expand(word).text.partition("/")[0]
                if text.isdecimal():
                    return int(text)
    return 0


def _number_after(words: tuple[str, ...], options: set[str]) -> int:
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        text = value if equals else (words[at + 1] if at + 1 < len(words) else "")
        if name in options and text.isdecimal():
            return int(text)
        if word.startswith(("0.0.0.0:", ":")) and word.rpartition(":")[2].isdecimal():
            return int(word.rpartition(":")[2])
    return 0


def _health(built: Built) -> str:
    if built.health is None:
        return ""
    match = _URL.search(built.health.instruction.text)
    return match[1] if match else ""


class _Places:
    """The places of a repository's files in an image, by what it copies."""

    def __init__(self, file: ImageFile, built: Built, use: Use | None = None) -> None:
        self._repo = file.repo
        context = next(iter(file.contexts), None)
        self._copied: list[tuple[str, str]] = []  # path of the repository, path in the image
        for step in (*built.steps, *(s for b in built.sources for s in b.steps)):
            self._copied += self._pairs(step, context.folder if context else "")
        self._mounted = [*self._mounts(use)] if use else []

    def _mounts(self, use: Use) -> Iterator[tuple[str, str]]:
        """Yield the folders that a service mounts in place of what its image has."""
        for mount in use.service.volumes:
            source = posixpath.normpath(
                posixpath.join(posixpath.dirname(use.compose), mount.source)
            )
            source = "" if source == "." else source
            is_here = mount.source.startswith(".") and mount.value.is_known
            is_file = source and not self._repo.is_folder(source) and self._repo.exists(source)
            if is_here and not is_file:
                yield source, posixpath.normpath(mount.target)

    def _pairs(self, step: Step, context: str) -> Iterator[tuple[str, str]]:
        copied = step.copied
        if copied is None or copied.origin:
            return
        for source in copied.sources:
            path = posixpath.normpath(posixpath.join(context, source.lstrip("/")))
            path = "" if path == "." else path
            names = [path]
            if "*" in path:
                glob = re.escape(path).replace(r"\*", "[^/]*")
                names = [n for n in self._repo.every_name if re.fullmatch(glob, n)]
            for name in names:
                if name == "" or self._repo.is_folder(name):
                    yield name, copied.target
                elif self._repo.exists(name):
                    several = len(copied.sources) > 1 or len(names) > 1
                    into = several or step.instruction.words[-1].endswith(("/", "."))
                    base = posixpath.basename(name)
                    into = into or (
                        posixpath.basename(copied.target) != base
                        and copied.target == step.state.workdir
                    )
                    yield name, posixpath.join(copied.target, base) if into else copied.target

    def repository(self, path: str) -> str | None:
        """Return the path in the repository of one in the image, or None."""
        path = posixpath.normpath(path)
        for source, target in reversed([*self._copied, *self._mounted]):
            if path == target:
                return source
            inside = path.removeprefix(target.rstrip("/") + "/")
            if inside != path:
                place = posixpath.join(source, inside)
                if self._repo.exists(place):
                    return place
        # The folder itself may be made of several that are copied into it, each by its name.
        inner = path.rstrip("/") + "/"
        pairs = [(s, t.removeprefix(inner)) for s, t in self._copied if t.startswith(inner)]
        # A list of requirements may be from anywhere: the code says more.
        pairs.sort(key=lambda pair: _is_unwanted(pair[0]))
        roots = ((source, f"/{source}".removesuffix(f"/{rest}")) for source, rest in pairs)
        return next((root.strip("/") for source, root in roots if root != f"/{source}"), None)

    def home(self, folder: str) -> str:
        """Return what stands for a working folder: what has its data, where its code is below."""
        here, inner = self.repository(folder) or "", f"{folder.rstrip('/')}/"
        for source, target in (*self._copied, *self._mounted):
            rest = target.removeprefix(inner)
            root = f"/{source}".removesuffix(f"/{rest}")
            is_data = self._repo.is_folder(source) and not any(
                name.startswith(f"{source}/") and name.endswith(".py")
                for name in self._repo.every_name
            )
            beside = rest != target and root != f"/{source}" and f"/{here}/".startswith(f"{root}/")
            if is_data and beside and not self._repo.is_folder(posixpath.join(here, rest)):
                here = root.strip("/")
        return here

    def translated(self, words: tuple[str, ...], folder: str) -> tuple[str, ...]:
        """Return words with the paths of the image as those of the repository."""
        translated = []
        for word in words:
            path = self.repository(posixpath.join(folder, word)) if _is_path(word) else None
            translated.append(path if path and self._repo.exists(path) else self.replaced(word))
        return tuple(translated)

    def root_of(self, words: tuple[str, ...], env: Mapping[str, str], folder: str) -> str:
        """Return the folder of the repository whose module is copied to where it is started."""
        entry = entry_of(words, env)
        module = entry.module.replace(".", "/") if entry else ""
        for name in (f"{module}.py", f"{module}/__init__.py") if module else ():
            place = self.repository(posixpath.join(folder, name)) or ""
            if place.endswith(f"/{name}") and not self._repo.exists(name):
                return place.removesuffix(f"/{name}")
        return ""

    def replaced(self, text: str) -> str:
        """Return a text with the absolute paths of the image as those of ours.

        What is not there yet is in the folder that it will be in.
        """
        at = text if text.startswith("/") else "/"
        while at != "/":
            path = self.repository(at)
            if path is not None:
                return posixpath.normpath(posixpath.join("/app", path, posixpath.relpath(text, at)))
            at = posixpath.dirname(at)
        return text

    def named(self) -> tuple[str, ...]:
        """Return the globs of the files and folders that are copied one by one."""
        globs = []
        for source, _ in self._copied:
            if source and not _is_unwanted(source):
                globs.append(f"{source}/**" if self._repo.is_folder(source) else source)
        return tuple(dict.fromkeys(globs))


def _is_unwanted(path: str) -> bool:
    base = posixpath.basename(path).lower()
    return base.partition(".")[0].partition("-")[0] in _UNWANTED


def _is_path(word: str) -> bool:
    return not word.startswith("-") and ("/" in word or "." in word) and ":" not in word


# --- other files


def hints(repo: Repository, own: AbstractSet[str] = frozenset()) -> Iterator[NamedCommand]:
    """Yield the commands that other files than Dockerfiles name, the surest first.

    `own` are programs that the project itself installs.
    """
    yield from _procfile(repo)
    yield from _compose(repo)
    yield from _dvc(repo)
    yield from _made_by_images(repo)
    yield from _mlproject(repo)
    yield from _makefiles(repo, own)
    yield from _tasks(repo, own)
    yield from _shell_scripts(repo, own)
    yield from _prose(repo, own)


def _of_text(
    source: str, line: int, text: str, label: str = "", own: AbstractSet[str] = frozenset()
) -> Iterator[NamedCommand]:
    folder = ""
    given: dict[str, str] = {}
    try:
        calls = _calls_of(text)
    except (ValueError, RecursionError):
        return
    for command in calls:
        if command.program == "cd" and command.words:
            folder = posixpath.normpath(posixpath.join(folder, command.words[0]))
        elif command.program == "export":
            given |= {n: value for word in command.words for n, _, value in [word.partition("=")]}
        elif _starter(command) or command.program in own:
            words = _words(command, 0, {})
            if words:
                yield NamedCommand(
                    source=f"{source}:{line}",
                    words=words,
                    folder="" if folder.startswith((".", "/")) else folder,
                    label=label,
                    port=_number_after(words, {"--port", "-p", "--server.port"}),
                    env=_plain(given | {**command.assignments}),
                    serves=serves(command, exposes=False),
                )


def processes(repo: Repository) -> Iterator[NamedCommand]:
    """Yield the processes of a Procfile as images: `web` serves, after what `release` makes.

    Without one, those that the settings of a host start. Migrations are of a database elsewhere.
    """
    every = [*_procfile(repo)] or [*_hosts(repo)]
    made = [c for c in every if c.label == "release" and not {"migrate", "upgrade"} & {*c.words}]
    for (_, label), several in itertools.groupby(every, lambda c: (c.source, c.label)):
        *earlier, last = several
        first = [c for c in made if label == "web" and c.folder == last.folder]
        before = tuple(c.words for c in [*first, *earlier] if not c.serves)
        for command in [*(c for c in earlier if c.serves), last] if label != "release" else ():
            named = "serve" if label == "web" else label
            serves_web = command.serves or label == "web"
            yield replace(command, label=named, serves=serves_web, before=before)


def _hosts(repo: Repository) -> Iterator[NamedCommand]:
    """Yield the starts of hosts: Render, Railway, Nixpacks, Fly and App Engine, by settings."""
    started: list[tuple[str, str, object]] = []
    render = plain_yaml(repo.text("render.yaml") or "")
    services = render.get("services") if isinstance(render, dict) else None
    for service in services if isinstance(services, list) else ():
        if isinstance(service, dict):
            is_web = str(service.get("type")) in {"web", "pserv"}
            kind = "web" if is_web else str(service.get("name"))
            folder = service.get("rootDir")
            command = service.get("startCommand")
            inside = (
                f"cd {shlex.quote(folder)} && {command}" if isinstance(folder, str) else command
            )
            started.append(("render.yaml", kind, command and inside))
    railway = repo.toml("railway.toml") or plain_yaml(repo.text("railway.json") or "")
    deploy = railway.get("deploy") if isinstance(railway, dict) else None
    if isinstance(deploy, dict):
        name = "railway.toml" if repo.exists("railway.toml") else "railway.json"
        started.append((name, "web", deploy.get("startCommand")))
    started.append(
        ("nixpacks.toml", "web", table(repo.toml("nixpacks.toml") or {}, "start").get("cmd"))
    )
    fly = table(repo.toml("fly.toml") or {}, "processes")
    started += [("fly.toml", "web" if name == "app" else name, fly[name]) for name in fly]
    engine = plain_yaml(repo.text("app.yaml") or "")
    if isinstance(engine, dict) and "runtime" in engine:
        started.append(("app.yaml", "web", engine.get("entrypoint")))
    for name, label, text in started:
        if isinstance(text, str):
            at = (repo.text(name) or "").partition(text.split(" && ")[-1].split()[0])[0]
            yield from _of_text(name, 1 + at.count("\n"), text, label)


def _procfile(repo: Repository) -> Iterator[NamedCommand]:
    for number, line in enumerate(repo.lines("Procfile"), 1):
        label, colon, text = line.partition(":")
        if colon:
            yield from _of_text("Procfile", number, text, label.strip())


def _compose(repo: Repository) -> Iterator[NamedCommand]:
    for file in compose_files(repo):
        for service in file.value.services.values():
            if service.command is not None:
                text = " ".join(_quoted(word.text) for word in service.command.words)
                yield from _of_text(file.path, service.command.line, text, service.name)


def _made_by_images(repo: Repository) -> Iterator[NamedCommand]:
    """Yield the scripts that Dockerfiles run to make what their images hold."""
    for file in image_files(repo):
        for built in file.products if any(product.is_python for product in file.products) else ():
            where = _Places(file, built)
            for step in (*(s for b in built.sources for s in b.steps), *built.steps):
                for command in step.calls if step.instruction.name == "RUN" else ():
                    first = "".join(command.words[:1])
                    if command.program == "python" and first.endswith(".py"):
                        folder = step.state.workdir
                        words = where.translated(_words(command, 0, step.state.env), folder)
                        source = f"{file.path}:{command.line}"
                        env = _env(where, step.state.env)
                        yield NamedCommand(source=source, words=words, is_made=True, env=env)


def _dvc(repo: Repository) -> Iterator[NamedCommand]:
    """Yield the commands of DVC's stages, which start in the folder of their dvc.yaml."""
    paths = [name for name in repo.every_name if posixpath.basename(name) == "dvc.yaml"]
    for path in sorted(paths, key=lambda name: name.count("/")):
        text, home = repo.text(path) or "", posixpath.dirname(path)
        for name, stage, values in _stages(repo, home, plain_yaml(text)):
            folder = posixpath.normpath(posixpath.join(home, str(stage.get("wdir") or ".")))
            makes = tuple(_listed(folder, stage, values, "outs", "metrics", "plots"))
            outs = tuple(posixpath.dirname(n) if posixpath.splitext(n)[1] else n for n in makes)
            needs = tuple(_listed(folder, stage, values, "deps"))
            listed = stage.get("cmd")
            for item in listed if isinstance(listed, list) else [listed]:
                if not isinstance(item, str) or not item:
                    continue
                line = 1 + text[: max(0, text.find(item.splitlines()[0]))].count("\n")
                for command in _of_text(path, line, _filled(item, values), str(name)):
                    inside = posixpath.normpath(posixpath.join(folder, command.folder))
                    yield replace(
                        command,
                        folder="" if inside.startswith(".") else inside,
                        outputs=outs,
                        needs=needs,
                        makes=makes,
                    )


def _stages(
    repo: Repository, home: str, content: object
) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """Yield the stages of dvc.yaml with their values: of what is done for each item, the first."""
    document = content if isinstance(content, dict) else {}
    values: dict[str, Any] = {}
    listed = document.get("vars")
    for part in ("params.yaml", *(listed if isinstance(listed, list) else ())):
        params = (
            plain_yaml(repo.text(posixpath.join(home, part)) or "")
            if isinstance(part, str)
            else part
        )
        values |= params if isinstance(params, dict) else {}
    for name, stage in table(document, "stages").items():
        if not isinstance(stage, dict):
            continue
        items = stage.get("foreach")
        if isinstance(items, str):
            items = _value(items.strip("${} "), values)
        if "matrix" in stage:
            matrix = table(stage, "matrix").items()
            items = [{key: of[0] for key, of in matrix if isinstance(of, list) and of}]
        if items:
            key, item = next(iter(items.items() if isinstance(items, dict) else enumerate(items)))
            yield str(name), table(stage, "do") or stage, values | {"item": item, "key": key}
        else:
            yield str(name), stage, values


def _value(name: str, values: Any) -> Any:
    for part in name.strip().split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _filled(text: str, values: object) -> str:
    """Return a text of dvc.yaml with values in place of `${a.b}`."""

    def value(match: re.Match[str]) -> str:
        inner = _value(match[1], values)
        return match[0] if inner is None or isinstance(inner, dict | list) else str(inner)

    return _TEMPLATE.sub(value, text)


def _listed(folder: str, stage: Mapping[str, object], values: object, *keys: str) -> Iterator[str]:
    """Yield the files and folders that a stage of DVC lists under some keys."""
    for key in keys:
        listed = stage.get(key)
        for item in listed if isinstance(listed, list) else ():
            name = next(iter(item), "") if isinstance(item, dict) else item
            name = _filled(name, values) if isinstance(name, str) else ""
            if name and "$" not in name:
                yield posixpath.normpath(posixpath.join(folder, name))


def plain_yaml(text: str) -> object:
    """Return the values of a YAML text, None where it is none."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _ini(text: str) -> object:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    return {name: dict(parser.items(name)) for name in parser.sections()}


def settings_of(repo: Repository) -> Iterator[tuple[str, str]]:
    """Yield the texts of a repository's files of settings, each with its keys: `data.path`."""
    for name in repo.every_name:
        if _SETTINGS.fullmatch(name) and len(text := repo.text(name) or "") < _LONGEST_SETTINGS:
            is_ini = name.endswith((".ini", ".cfg"))
            read = _ini if is_ini else plain_yaml
            yield from _leaves(repo.toml(name) if name.endswith(".toml") else read(text))


def _leaves(content: object, above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items() if isinstance(content, dict) else ():
        inside = f"{above}.{key}" if above else str(key)
        if isinstance(value, str | int) and not re.search(r"[\s${}]|^$", str(value)):
            yield inside, str(value)
        else:
            yield from _leaves(value, inside)


def _mlproject(repo: Repository) -> Iterator[NamedCommand]:
    """Yield the commands of MLproject, `main` first, with the defaults of their parameters."""
    files = [n for n in repo.every_name if posixpath.basename(n).lower() == "mlproject"]
    for path in files:
        yield from _entry_points(path, repo.text(path) or "")


def _entry_points(path: str, text: str) -> Iterator[NamedCommand]:
    content = plain_yaml(text) if text else None
    points = content.get("entry_points") if isinstance(content, dict) else None
    named = points.items() if isinstance(points, dict) else ()
    commands: list[NamedCommand] = []
    for name, point in sorted(named, key=lambda item: item[0] != "main"):
        command = point.get("command") if isinstance(point, dict) else None
        if not isinstance(command, str):
            continue
        given = point.get("parameters")
        for key, value in given.items() if isinstance(given, dict) else ():
            if isinstance(value, dict) and "default" in value:
                command = command.replace(f"{{{key}}}", shlex.quote(str(value["default"])))
        if "{" not in command:
            line = 1 + text[: max(0, text.find(str(point["command"])[:20]))].count("\n")
            started = _of_text(path, line, command, str(name))
            commands += (replace(c, folder=posixpath.dirname(path)) for c in started)
    for at, begun in enumerate(commands):
        yield _between(begun, commands[:at], commands[at + 1 :])


def _makefiles(repo: Repository, own: AbstractSet[str]) -> Iterator[NamedCommand]:
    for name in ("Makefile", "makefile", "GNUmakefile", "justfile", "Justfile"):
        values, target = {"PYTHON": "python"}, ""
        first: dict[str, list[str]] = {}  # what each target needs to be made before
        commands: list[NamedCommand] = []

        def known(match: re.Match[str], values: Mapping[str, str] = values) -> str:
            return values.get(match[1] or match[2], match[0])

        for number, line in _whole(repo.lines(name)):
            text = _VARIABLE.sub(known, line.strip().lstrip("@-"))
            given = _GIVEN.fullmatch(text.replace(":=", "=", 1))
            match = re.match(r"([\w./-]+)[^:=]*:(?!=)([^#]*)", line)
            if line[:1].isspace():
                commands += _of_text(name, number, text, target, own) if text else ()
            elif given:
                values[given[1]] = given[2].strip("\"'")
            elif match:
                target = match[1]
                first.setdefault(target, []).extend(match[2].split())
        for command in commands:
            before = [o for o in commands if o.label in first.get(command.label, ())]
            after = [o for o in commands if command.label in first.get(o.label, ())]
            yield _between(command, before, after)


def _between(
    command: NamedCommand, before: Sequence[NamedCommand], after: Sequence[NamedCommand]
) -> NamedCommand:
    """Return a command with the files that those before it name too, which are made there."""
    paths = {word for word in command.words if _is_path(word) and not word.endswith(".py")}
    needs = sorted(paths.intersection(word for o in before for word in o.words))
    makes = sorted(paths.intersection(word for o in after for word in o.words) - {*needs})
    named = [tuple(map(posixpath.normpath, words)) for words in (needs, makes)]
    outputs = tuple(posixpath.dirname(n) if posixpath.splitext(n)[1] else n for n in named[1])
    return replace(command, needs=named[0], makes=named[1], outputs=outputs)


def _shell_scripts(repo: Repository, own: AbstractSet[str]) -> Iterator[NamedCommand]:
    """Yield the commands of the scripts of a shell that a person starts, in their turn."""
    for name in sorted(repo.every_name, key=lambda name: (name.count("/"), name)):
        if not re.fullmatch(r"(?:(?:scripts?|bin)/)?[\w.-]+\.(?:sh|bash)", name):
            continue
        values: dict[str, str] = {}
        commands: list[NamedCommand] = []
        for number, line in _whole(repo.lines(name)):
            text = line.strip()
            for key, value in values.items():
                text = re.sub(rf"\$(?:{key}\b|\{{{key}\}})", value.replace("\\", r"\\"), text)
            given = _GIVEN.fullmatch(text)
            if given and " " not in given[2].strip("\"'"):
                values[given[1]] = given[2].strip("\"'")
            elif text and not text.startswith("#"):
                commands += _of_text(name, number, text, posixpath.basename(name), own)
        for at, command in reversed([*enumerate(commands)]):  # the last is what it is for
            yield _between(command, commands[:at], commands[at + 1 :])


def _tasks(repo: Repository, own: AbstractSet[str]) -> Iterator[NamedCommand]:
    """Yield the tasks that a pyproject.toml, a Pipfile or a pixi.toml names."""
    names = sorted(repo.every_name, key=lambda name: name.count("/"))
    for name, path in (
        (n, p) for base, p in _TASKS for n in names if posixpath.basename(n) == base
    ):
        for label, task in table(repo.toml(name) or {}, *path).items():
            given = task if isinstance(task, dict) else {"cmd": task}
            text = given.get("cmd") or given.get("shell") or ""
            text = shlex.join(map(str, text)) if isinstance(text, list) else text
            lines = repo.lines(name)
            line = next((n for n, line in enumerate(lines, 1) if line.startswith(label)), 1)
            inner = str(given.get("cwd") or given.get("working_dir") or "")
            folder = posixpath.join(posixpath.dirname(name), inner)
            for command in _of_text(name, line, text, label, own) if isinstance(text, str) else ():
                inside = posixpath.normpath(posixpath.join(folder, command.folder))
                yield replace(command, folder=inside)


def _entered(repo: Repository, folder: str, name: str) -> str:
    """Return the folder of the repository that one is in after `cd`, which may name its clone."""
    paths = [posixpath.normpath(posixpath.join(start, name)) for start in (folder, "")]
    paths = ["" if path == "." else path for path in paths]
    return next((path for path in paths if not path or repo.is_folder(path)), folder)


def _whole(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    r"""Yield lines with their numbers, those that end in `\` with what follows."""
    first, held = 0, ""
    for number, line in enumerate(lines, 1):
        first, held = (first, f"{held} {line.strip()}") if held else (number, line)
        if held.rstrip().endswith("\\"):
            held = held.rstrip()[:-1]
        else:
            yield first, held
            held = ""
    if held:
        yield first, held


def _prose(repo: Repository, own: AbstractSet[str]) -> Iterator[NamedCommand]:
    """Yield the commands of fenced blocks of the README, and of `run:` in CI."""
    for name in ("README.md", "readme.md", "Readme.md", "README.rst", "docs/README.md"):
        fenced, folder, inline = False, "", []
        for number, line in _whole(repo.lines(name)):
            text = line.strip().lstrip("$>").strip()
            if line.strip().startswith(("```", "~~~")):
                fenced = not fenced
            elif line.startswith("#") and not fenced:
                folder = ""
            elif not (fenced or line.startswith("    ")):
                inline += [(number, code) for code in re.findall(r"`([^`]+)`", line)]
            elif match := re.fullmatch(r"cd\s+([\w./-]+)", text):
                folder = _entered(repo, folder, match[1])
            else:
                inside = f"cd {folder} && {text}" if folder else text
                yield from _of_text(name, number, inside, "", own)
        for number, code in inline:
            yield from _of_text(name, number, code, "", own)
    for name in repo.every_name:
        if re.fullmatch(r"\.github/workflows/[^/]+\.ya?ml|\.gitlab-ci\.yml", name):
            for number, line in _whole(repo.lines(name)):
                match = re.match(
                    r"\s*(?:-\s*)?(?:run:\s*)?((?:python3?|uvicorn|streamlit|flask)\s.*)", line
                )
                if match:
                    yield from _of_text(name, number, match[1])
