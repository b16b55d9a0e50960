"""Which programs an instruction of a Dockerfile runs, with which words, on which lines."""

from dataclasses import replace

from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.arguments import opening
from lockstitch.repository.dockerfile.reader import Heredoc, Instruction, Problem
from lockstitch.repository.dockerfile.words import WordError
from lockstitch.repository.shell import reader
from lockstitch.repository.shell.reader import Command, Script, Word

__all__ = ["SHELLS", "script"]

SHELLS = frozenset({"ash", "bash", "dash", "ksh", "sh", "zsh"})
_RUNS = {"RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"}
_SHEBANG = regex(r"#!\s*(\S+)(?:[ \t]+([^\n]*))?")
_DEEPEST = 3  # a shell in a shell in a shell


def script(instruction: Instruction) -> Script:
    """Return the commands of RUN, CMD, ENTRYPOINT, HEALTHCHECK CMD, or ONBUILD with one of them.

    A shell that is given its text, by `-c` or a here-document, is followed by that text's
    commands. What another shell than POSIX's would read is a problem and no command.
    """
    if instruction.trigger is not None:
        return script(instruction.trigger)
    words, text, starts = instruction.words, instruction.text, instruction.starts
    if instruction.name not in _RUNS or not words:
        return _nothing()
    if instruction.name == "HEALTHCHECK":
        words = words[1:]
        offset = len(text) - len(words[0]) if words and not instruction.json else 0
        text, starts = text[offset:], _from(starts, offset)
        if not words:
            return _nothing()
    if instruction.json:
        return _followed(_alone(words, instruction.first), 0)
    if instruction.heredocs:
        return _with_heredocs(instruction)
    return _shell_form(instruction, text, starts)


def _shell_form(instruction: Instruction, text: str, starts: tuple[tuple[int, int], ...]) -> Script:
    if not _is_shell(instruction.scope.shell[0]):
        message = f"the shell `{instruction.scope.shell[0]:.40}` is not one that is read here"
        return _nothing(Problem(line=instruction.first, message=message, fatal=False))
    return _followed(reader.read(text, starts), 0)


def _with_heredocs(instruction: Instruction) -> Script:
    text, heredocs = instruction.text, instruction.heredocs
    if _only_opening(text):
        return _document(instruction, heredocs[0])
    # BuildKit gives the shell the line and the documents as they were written.
    starts = list(instruction.starts)
    for heredoc in heredocs:
        text += "\n"
        starts += [(len(text) + offset, line) for offset, line in _lines(heredoc)]
        text += heredoc.text + heredoc.name
    return _shell_form(instruction, text, tuple(starts))


def _only_opening(text: str) -> bool:
    try:
        return opening(text) is not None
    except WordError:
        return False


def _document(instruction: Instruction, heredoc: Heredoc) -> Script:
    """Read a document that is the whole RUN: a script of the shell, or of its `#!` line."""
    match = _SHEBANG.match(heredoc.text)
    if match is None:
        return _shell_form(instruction, heredoc.text, _lines(heredoc))
    words = (match[1], *(match[2] or "").split())
    if words[0].endswith("/env"):
        words = tuple(word for word in words[1:] if word != "-S") or words
    alone = _alone(words, heredoc.line)
    if not _is_shell(words[0]):
        return alone
    inner = reader.read(heredoc.text, _lines(heredoc))
    return _joined(alone, inner)


def _lines(heredoc: Heredoc) -> tuple[tuple[int, int], ...]:
    return reader.line_starts(heredoc.text, heredoc.line)


def _followed(found: Script, depth: int) -> Script:
    """Return a script with the commands of each text that it gives to a shell."""
    commands: list[Command] = []
    problems, functions = [*found.problems], found.functions
    for command in found.commands:
        commands.append(command)
        inner = _given(command) if depth < _DEEPEST else None
        if inner is not None:
            inner = _followed(inner, depth + 1)
            deeper = command.depth + 1
            commands += [replace(each, depth=each.depth + deeper) for each in inner.commands]
            problems += inner.problems
            functions |= inner.functions
    return Script(commands=tuple(commands), functions=functions, problems=tuple(problems))


def _given(command: Command) -> Script | None:
    """Return the script that a command hands to a shell, or None."""
    if not _is_shell(command.program):
        return None
    rest, asks = _after_options(command.words)
    if asks:
        return reader.read(rest[0].text, ((0, rest[0].line),)) if rest and rest[0].known else None
    documents = [each for each in command.redirections if each.operator in {"<<", "<<-"}]
    if documents and not rest:
        last = documents[-1]
        return reader.read(last.body, reader.line_starts(last.body, last.body_line))
    return None


def _after_options(words: tuple[Word, ...]) -> tuple[tuple[Word, ...], bool]:
    """Return a shell's words after its options, and whether `-c` is one of them."""
    at, asks = 1, False
    while at < len(words) and words[at].text[:1] in {"-", "+"}:
        flag = words[at].text
        asks = asks or (flag[1:2] != "-" and "c" in flag)
        at += 2 if flag[1:2] != "-" and flag.endswith(("o", "O")) else 1  # -o NAME
    return words[at:], asks


def _from(starts: tuple[tuple[int, int], ...], offset: int) -> tuple[tuple[int, int], ...]:
    shifted = [(max(0, at - offset), line) for at, line in starts]
    first = max(number for number, (at, _) in enumerate(shifted) if not at)
    return tuple(shifted[first:])


def _is_shell(program: str) -> bool:
    return program.rpartition("/")[2] in SHELLS


def _alone(words: tuple[str, ...], line: int) -> Script:
    command = Command(
        words=tuple(Word(word, line, quoted=True) for word in words),
        assignments=(),
        redirections=(),
        before="",
        line=line,
        depth=0,
    )
    return Script(commands=(command,), functions=frozenset(), problems=())


def _joined(first: Script, second: Script) -> Script:
    return Script(
        commands=(*first.commands, *second.commands),
        functions=first.functions | second.functions,
        problems=(*first.problems, *second.problems),
    )


def _nothing(*problems: Problem) -> Script:
    return Script(commands=(), functions=frozenset(), problems=problems)
