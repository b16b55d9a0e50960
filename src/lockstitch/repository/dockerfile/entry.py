"""What starts in an image's containers: ENTRYPOINT and CMD together, and the script they name."""

from collections.abc import Callable, Sequence

from lockstitch.repository.dockerfile import programs
from lockstitch.repository.dockerfile.stages import Step
from lockstitch.repository.shell import reader
from lockstitch.repository.shell.calls import Call, call
from lockstitch.repository.shell.reader import Command, Word
from lockstitch.values import frozen

__all__ = ["Entry", "Started", "entry"]


@frozen
class Started:
    """One program that a container starts; `path` is a script's, empty for the Dockerfile."""

    call: Call
    path: str
    line: int


@frozen
class Entry:
    """What a container starts; `first` is its first program, unless a shell's text decides it."""

    started: tuple[Started, ...] = ()
    step: Step | None = None  # the ENTRYPOINT, or the CMD where there is none
    by_shell: bool = False  # in shell form: /bin/sh is started first
    script: bool = False  # the first program is a script

    @property
    def calls(self) -> tuple[Call, ...]:
        """Return all calls."""
        return tuple(each.call for each in self.started)

    @property
    def direct(self) -> tuple[Started, ...]:
        """Return what the Dockerfile itself starts, where no script stands before it."""
        return () if self.script else tuple(each for each in self.started if not each.path)


def entry(steps: Sequence[Step], script: Callable[[str], tuple[str, str] | None]) -> Entry:
    """Return what containers start; `script` gives the path and text of a script by its name."""
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
    found, is_script = [*started], False
    for each in started:
        opened = _script_of(each.call, script)
        if opened is not None:
            is_script = True
            path, text = opened
            found += _inside(path, text)
    direct = started[0].call.written if started else ""
    is_script = is_script or direct.endswith((".sh", ".bash"))
    is_script = is_script or (direct.startswith(("/", "./")) and "/bin/" not in direct)
    if entrypoint is not None and command is not None and is_script:
        found += _of(command)
    return Entry(started=tuple(found), step=first, by_shell=by_shell, script=is_script)


def _last(steps: Sequence[Step], name: str) -> Step | None:
    found = [each for each in steps if each.instruction.name == name]
    return found[-1] if found and found[-1].instruction.words else None


def _of(step: Step) -> list[Started]:
    return [Started(call=each, path="", line=each.line) for each in step.calls]


def _joined(entrypoint: Step, command: Step) -> list[Started]:
    """Return what an ENTRYPOINT in JSON starts with the words of a CMD behind its own."""
    inner = command.instruction
    more = inner.words if inner.json else ("/bin/sh", "-c", inner.text)
    words = (*entrypoint.instruction.words, *more)
    line = entrypoint.instruction.first
    alone = Command(
        words=tuple(Word(each, line, quoted=True) for each in words),
        assignments=(),
        redirections=(),
        before="",
        line=line,
        depth=0,
    )
    found = call(alone, {})
    started = [Started(call=found, path="", line=line)] if found else []
    if found is not None and found.program in programs.SHELLS:
        started += _of(entrypoint)[1:]
    return started


def _script_of(
    each: Call, script: Callable[[str], tuple[str, str] | None]
) -> tuple[str, str] | None:
    name = each.written
    if each.program in programs.SHELLS and each.words and not each.words[0].startswith("-"):
        name = each.words[0]
    elif "/" not in name and not name.endswith(".sh"):
        return None
    return None if "/bin/" in name and not name.endswith(".sh") else script(name)


def _inside(path: str, text: str) -> list[Started]:
    read = reader.read(text.replace("\r\n", "\n"), reader.line_starts(text, 1))
    found = []
    for command in read.commands:
        inner = call(command, {})
        if inner is not None:
            found.append(Started(call=inner, path=path, line=inner.line))
    return found
