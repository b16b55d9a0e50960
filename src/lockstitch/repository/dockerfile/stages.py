"""Turns a stage into steps: the state before each, the programs it runs, what it copies."""

import functools
import posixpath
from collections.abc import Mapping

from lockstitch import shell as shell_text
from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.installs import Install, install
from lockstitch.repository.dockerfile.instruction import (
    Heredoc,
    Instruction,
    Starts,
    opens_heredoc,
    shifted,
)
from lockstitch.repository.dockerfile.reader import Stage
from lockstitch.repository.shell.calls import Call, call
from lockstitch.shell import Command, Script, Word
from lockstitch.values import Problem, field, frozen, replace

SHELLS = frozenset({"ash", "bash", "dash", "ksh", "sh", "zsh"})
_RUNS = {"RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"}
_SHEBANG = regex(r"#!\s*(\S+)(?:[ \t]+([^\n]*))?")


@frozen
class State:
    """Working folder, user and variables at a point; only a build can tell those of `unknown`."""

    workdir: str = "/"
    user: str | None = None  # None: the base image's
    env: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()

    def get(self, name: str) -> str:
        """Return a variable of ENV, an empty text when it is not set."""
        return self.env.get(name, "")

    def path(self, text: str) -> str:
        """Return a path of the image as an absolute one."""
        return posixpath.normpath(posixpath.join(self.workdir, text))


@frozen
class Copied:
    """The copies of one COPY or ADD; `origin` is empty for the context."""

    sources: tuple[str, ...]
    target: str  # absolute, without a slash at its end
    origin: str  # a stage's name or number, or an image
    known: bool  # no variable that only a build can tell


class Step:
    """One instruction with the state before it."""

    def __init__(self, instruction: Instruction, stage: int, state: State) -> None:
        self.instruction = instruction
        self.stage = stage
        self.state = state

    @functools.cached_property
    def script(self) -> Script:
        """The commands that it runs."""
        return script(self.instruction)

    @functools.cached_property
    def calls(self) -> tuple[Call, ...]:
        """The programs that it starts."""
        values = self.instruction.scope.values
        return tuple(filter(None, (call(command, values) for command in self.script.commands)))

    @functools.cached_property
    def installs(self) -> tuple[Install, ...]:
        """The installs and removals."""
        return tuple(
            filter(None, map(install, self.calls if self.instruction.name == "RUN" else ()))
        )

    @functools.cached_property
    def copied(self) -> Copied | None:
        """The copies, None for another instruction or a here-document."""
        instruction = self.instruction
        if instruction.name not in {"COPY", "ADD"} or len(instruction.words) < 2:
            return None
        expanded = [instruction.scope.expand(word) for word in instruction.words]
        sources = tuple(word.text for word in expanded[:-1] if not word.text.startswith("<<"))
        if not sources or not expanded[-1].text:
            return None
        return Copied(
            sources=sources,
            target=self.state.path(expanded[-1].text),
            origin=instruction.flag("from") or "",
            known=not any(word.unknown or word.wrong for word in expanded),
        )

    def mounts(self, kind: str) -> tuple[Mapping[str, str], ...]:
        """Return the mounts of a type, each with its parts."""
        flags = [flag for flag in self.instruction.flags if flag.name == "mount"]
        mounts = [{key: value or "" for key, value in flag.parts} for flag in flags]
        return tuple(mount for mount in mounts if mount.get("type", "bind").lower() == kind)

    def has_cache_mount(self, *parts: str) -> bool:
        """Return whether a cache mount covers a path that has one of these parts."""
        for mount in self.mounts("cache"):
            target = next((mount[k] for k in ("target", "dst", "destination") if k in mount), "")
            if any(part in target for part in parts) or "$" in target:
                return True
        return False


def steps(stage: Stage, before: State) -> tuple[tuple[Step, ...], State]:
    """Return a stage's steps, and the state after them."""
    built, state = [], before
    for instruction in stage.instructions:
        built.append(Step(instruction, stage.index, state))
        state = _after(instruction, state)
    return tuple(built), state


def _after(instruction: Instruction, state: State) -> State:
    name = instruction.name
    if name == "WORKDIR" and instruction.words:
        folder = instruction.scope.expand(instruction.words[0]).text
        return replace(state, workdir=state.path(folder or "."))
    if name == "USER" and instruction.words:
        expanded = instruction.scope.expand(instruction.words[0])
        user = "?" if expanded.unknown else expanded.text.partition(":")[0].strip()
        return replace(state, user=user)
    if name == "ENV":
        env, unknown = dict(state.env), set(state.unknown)
        for pair in instruction.pairs:
            missing = set(pair.unknown) - {"PATH"} if pair.name == "PATH" else set(pair.unknown)
            unknown = unknown | {pair.name} if missing else unknown - {pair.name}
            env[pair.name] = pair.value or ""
        return replace(state, env=env, unknown=frozenset(unknown))
    return state


def line_of(instruction: Instruction, text: str) -> int:
    """Return the line of an instruction on which a text stands first, else its first line."""
    at = instruction.text.find(text)
    lines = [line for offset, line in instruction.starts if offset <= at]
    return lines[-1] if lines else instruction.first


def script(instruction: Instruction) -> Script:
    """Return the commands of RUN, CMD, ENTRYPOINT, HEALTHCHECK CMD, or ONBUILD with one of them.

    A shell that is given its text, by `-c` or a here-document, is followed by that text's
    commands. What another shell than POSIX's would read is a problem and no command.
    """
    if instruction.trigger is not None:
        return script(instruction.trigger)
    words, text, starts = instruction.words, instruction.text, instruction.starts
    if instruction.name == "HEALTHCHECK" and words:
        words = words[1:]
        offset = len(text) - len(words[0]) if words and not instruction.json else 0
        text, starts = text[offset:], shifted(starts, offset)
    if instruction.name not in _RUNS or not words:
        return _script()
    if instruction.json:
        return _followed(_script(exec_form(words, instruction.first)), 0)
    if instruction.heredocs:
        return _with_heredocs(instruction)
    return _shell_form(instruction, text, starts)


def exec_form(words: tuple[str, ...], line: int) -> Command:
    """Return the command of a JSON list."""
    return Command(
        words=tuple(Word(word, line, quoted=True) for word in words),
        assignments=(),
        redirections=(),
        before="",
        line=line,
        depth=0,
    )


def _script(*commands: Command, problems: tuple[Problem, ...] = ()) -> Script:
    return Script(commands=commands, functions=frozenset(), problems=problems)


def _shell_form(instruction: Instruction, text: str, starts: Starts) -> Script:
    shell = instruction.scope.shell[0]
    if not _is_shell(shell):
        message = f"the shell `{shell:.40}` is not one that is read here"
        return _script(problems=(Problem(line=instruction.first, message=message, fatal=False),))
    return _followed(shell_text.read(text, starts), 0)


def _with_heredocs(instruction: Instruction) -> Script:
    text, heredocs = instruction.text, instruction.heredocs
    if opens_heredoc(text):
        return _document(instruction, heredocs[0])
    # BuildKit gives the shell the line and the documents as they were written.
    starts = list(instruction.starts)
    for heredoc in heredocs:
        text += "\n"
        lines = shell_text.line_starts(heredoc.text, heredoc.line)
        starts += [(len(text) + offset, line) for offset, line in lines]
        text += heredoc.text + heredoc.name
    return _shell_form(instruction, text, tuple(starts))


def _document(instruction: Instruction, heredoc: Heredoc) -> Script:
    """Read a document that is the whole RUN: a script of the shell, or of its `#!` line."""
    match = _SHEBANG.match(heredoc.text)
    starts = shell_text.line_starts(heredoc.text, heredoc.line)
    if match is None:
        return _shell_form(instruction, heredoc.text, starts)
    words = (match[1], *(match[2] or "").split())
    if words[0].endswith("/env"):
        words = tuple(word for word in words[1:] if word != "-S") or words
    program = exec_form(words, heredoc.line)
    if not _is_shell(words[0]):
        return _script(program)
    inner = shell_text.read(heredoc.text, starts)
    return replace(inner, commands=(program, *inner.commands))


def _followed(outer: Script, depth: int) -> Script:
    """Return a script with the commands of each text that it gives to a shell."""
    commands: list[Command] = []
    problems, functions = [*outer.problems], outer.functions
    for command in outer.commands:
        commands.append(command)
        inner = _given(command) if depth < 3 else None  # a shell in a shell in a shell
        if inner is not None:
            inner = _followed(inner, depth + 1)
            deeper = command.depth + 1
            commands += [
                replace(command, depth=command.depth + deeper) for command in inner.commands
            ]
            problems += inner.problems
            functions |= inner.functions
    return Script(commands=tuple(commands), functions=functions, problems=tuple(problems))


def _given(command: Command) -> Script | None:
    """Return the script that a command hands to a shell, or None."""
    if not _is_shell(command.program):
        return None
    words, at, asks = command.words, 1, False
    while at < len(words) and words[at].text[:1] in {"-", "+"}:
        flag = words[at].text
        asks = asks or (flag[1:2] != "-" and "c" in flag)
        at += 2 if flag[1:2] != "-" and flag.endswith(("o", "O")) else 1  # -o NAME
    rest = words[at:]
    if asks:
        return (
            shell_text.read(rest[0].text, ((0, rest[0].line),)) if rest and rest[0].known else None
        )
    documents = [
        redirection for redirection in command.redirections if redirection.operator in {"<<", "<<-"}
    ]
    if documents and not rest:
        last = documents[-1]
        return shell_text.read(last.body, shell_text.line_starts(last.body, last.body_line))
    return None


def _is_shell(program: str) -> bool:
    return program.rpartition("/")[2] in SHELLS
