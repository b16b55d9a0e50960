"""Reads what containers start, by ENTRYPOINT, CMD and scripts, and whether it is a server."""

import posixpath
from collections.abc import Callable, Sequence

from lockstitch import shell
from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.installs import facts
from lockstitch.repository.dockerfile.stages import SHELLS, Step, exec_form
from lockstitch.repository.shell.calls import Call, call
from lockstitch.values import frozen

_APPLICATION = regex(r"(?:.*/)?(?:app|server|serve|serving|main|api|wsgi|asgi|web|run)\.py")
_VALUED = {"-n", "--name", "-p", "--prefix", "--group", "--extra", "--with", "--python"}


@frozen
class Started:
    """One program that a container starts; `path` is a script's, empty for the Dockerfile."""

    call: Call
    path: str
    line: int
    beside: bool = False  # `… &`: the others start while it runs


@frozen
class Entry:
    """The programs that a container starts, in order."""

    started: tuple[Started, ...] = ()
    step: Step | None = None  # the ENTRYPOINT, or the CMD where there is none
    by_shell: bool = False  # in shell form: /bin/sh is started first
    script: bool = False  # the first program is a script

    @property
    def calls(self) -> tuple[Call, ...]:
        """Return the calls of all programs."""
        return tuple(started.call for started in self.started)

    @property
    def direct(self) -> tuple[Started, ...]:
        """Return the Dockerfile's own program, where no script stands before it."""
        return () if self.script else tuple(started for started in self.started if not started.path)


def entry(steps: Sequence[Step], script: Callable[[str], tuple[str, str] | None]) -> Entry:
    """Return the program of containers; `script` gives a script's path and text by its name."""
    entrypoint = _last(steps, "ENTRYPOINT")
    command = _last(steps, "CMD")
    if entrypoint is not None and command is not None:
        before = steps.index(command) < steps.index(entrypoint)
        if before and command.stage != entrypoint.stage:
            command = None  # an ENTRYPOINT drops the CMD of what its stage is made from
    first = entrypoint or command
    if first is None:
        return Entry()
    if entrypoint is not None and command is not None and entrypoint.instruction.json:
        started = _joined(entrypoint, command)
    else:
        started = _of(first)
    by_shell = not first.instruction.json
    inside = of_scripts([program.call for program in started], script)
    programs, is_script = [*started, *inside], bool(inside)
    direct = started[0].call.written if started else ""
    is_script = is_script or direct.endswith((".sh", ".bash"))
    is_script = is_script or (direct.startswith(("/", "./")) and "/bin/" not in direct)
    if entrypoint is not None and command is not None and is_script:
        programs += _of(command)
    return Entry(started=tuple(programs), step=first, by_shell=by_shell, script=is_script)


def of_scripts(
    calls: Sequence[Call], script: Callable[[str], tuple[str, str] | None]
) -> list[Started]:
    """Return the programs of the scripts that calls start; `script` gives one's path and text."""
    opened = [_script_of(command, script) for command in calls]
    return [program for pair in opened if pair for program in _inside(*pair)]


def _last(steps: Sequence[Step], name: str) -> Step | None:
    named = [step for step in steps if step.instruction.name == name]
    return named[-1] if named and named[-1].instruction.words else None


def _of(step: Step) -> list[Started]:
    return [Started(call=command, path="", line=command.line) for command in step.calls]


def _joined(entrypoint: Step, command: Step) -> list[Started]:
    """Return the program of an ENTRYPOINT in JSON, the words of CMD being its last arguments."""
    inner = command.instruction
    more = inner.words if inner.json else ("/bin/sh", "-c", inner.text)
    line = entrypoint.instruction.first
    first = call(exec_form((*entrypoint.instruction.words, *more), line), {})
    if first is None:
        return []
    of_shell = _of(entrypoint)[1:] if first.program in SHELLS else []
    return [Started(call=first, path="", line=line), *of_shell]


def _script_of(
    command: Call, script: Callable[[str], tuple[str, str] | None]
) -> tuple[str, str] | None:
    name = command.written
    if command.program in SHELLS and command.words and not command.words[0].startswith("-"):
        name = command.words[0]
    elif "/" not in name and not name.endswith(".sh"):
        return None
    return None if "/bin/" in name and not name.endswith(".sh") else script(name)


def _inside(path: str, text: str) -> list[Started]:
    script = shell.read(text.replace("\r\n", "\n"), shell.line_starts(text, 1))
    ends = [*(command.before for command in script.commands[1:]), ""]
    calls = [(call(command, {}), end) for command, end in zip(script.commands, ends, strict=True)]
    return [Started(call=c, path=path, line=c.line, beside=end == "&") for c, end in calls if c]


def serves(command: Call, *, exposes: bool) -> bool:
    """Return whether a call starts a server, or an application's script in an image with a port."""
    servers, program, words = facts("servers"), command.program, command.words
    if program in servers["runners"]:
        inner = _inner(command)
        return inner is not None and serves(inner, exposes=exposes)
    if program in servers["programs"]:
        return "--version" not in words and "--help" not in words
    name = next((word for word in words if not word.startswith("-")), "")
    verbs = servers["verbs"].get(program)
    if verbs is not None:
        return verbs == [""] or name in verbs
    if command.module and exposes and f"{program.rpartition('.')[2]}.py" in servers["modules"]:
        return True
    if program == "python" and exposes:
        return _APPLICATION.fullmatch(name) is not None
    return program == "python" and posixpath.basename(name) in servers["scripts"]


def package_of_server(program: str) -> str | None:
    """Return the Python package that brings a server's program, None when it is none."""
    package: str | None = facts("servers")["packages"].get(program)
    return package


def _inner(command: Call) -> Call | None:
    """Return the call that a runner such as `uv run` starts."""
    words = list(command.words)
    if command.program != "opentelemetry-instrument":
        if "run" not in words[:4]:
            return None
        words = words[words.index("run") + 1 :]
    while words and words[0].startswith("-"):
        words = words[1:] if words.pop(0) in _VALUED else words
    if words and words[0].endswith(".py"):
        words = ["python", *words]
    return call(exec_form(tuple(words), command.line), {})
