"""Reads a Dockerfile into stages of instructions, each with the lines that it stands on.

The facts are of BuildKit, which reads what `docker build` is given (moby/buildkit,
frontend/dockerfile). A file of any content gives a value: what BuildKit would refuse stands in
`problems`. A here-document below ONBUILD is read, as BuildKit does.
"""

from collections.abc import Mapping
from dataclasses import replace

from lockstitch.repository.dockerfile.grammar import complaints
from lockstitch.repository.dockerfile.instruction import Heredoc, Instruction, Pair
from lockstitch.repository.dockerfile.instruction import read as read_instruction
from lockstitch.repository.dockerfile.lines import Comment, Directive, Lines
from lockstitch.repository.dockerfile.scope import AUTOMATIC, Scope
from lockstitch.repository.dockerfile.words import Expanded
from lockstitch.repository.text.problem import Problem
from lockstitch.values import frozen

__all__ = [
    "AUTOMATIC",
    "Comment",
    "Directive",
    "Dockerfile",
    "Expanded",
    "Heredoc",
    "Instruction",
    "Pair",
    "Problem",
    "Scope",
    "Stage",
    "read",
]

_LARGEST = 1_000_000  # characters
_MOST_INSTRUCTIONS = 10_000
_MOST_VARIABLES = 1_000


@frozen
class Stage:
    """One FROM and what follows it; `index` counts from 0."""

    index: int
    name: str  # in small letters; empty when it has none
    base: Expanded  # its `unknown` names what only a build can tell
    base_text: str  # as it stands
    base_stage: int | None  # the earlier stage that `base` names
    platform: Expanded | None
    line: int
    instructions: tuple[Instruction, ...]  # without the FROM

    def of(self, *names: str) -> tuple[Instruction, ...]:
        """Return the instructions with one of these names, in order."""
        return tuple(each for each in self.instructions if each.name in names)


@frozen
class Dockerfile:
    """What a Dockerfile says; `problems` says where it cannot be built."""

    stages: tuple[Stage, ...]
    args: tuple[Instruction, ...]  # the ARGs before the first FROM
    directives: tuple[Directive, ...]
    comments: tuple[Comment, ...]
    problems: tuple[Problem, ...]  # by line

    def stage(self, reference: str, *, numbers: bool = True) -> Stage | None:
        """Return the stage that `COPY --from` or a mount's `from` means, None for an image.

        A mount knows no numbers. Of two stages with one name, the later counts.
        """
        if numbers and reference.isdecimal():
            index = int(reference[:9])
            return self.stages[index] if index < len(self.stages) else None
        name = reference.lower()
        return next((each for each in reversed(self.stages) if name and each.name == name), None)


def read(text: str) -> Dockerfile:
    """Return what the text of a Dockerfile says; it never raises."""
    if len(text) > _LARGEST:
        message = f"the file has {len(text):,} characters, more than {_LARGEST:,} are not read"
        return _Reader(Lines("")).result([Problem(line=0, message=message)])
    reader = _Reader(Lines(text))
    reader.run()
    return reader.result([])


class _Reader:
    """Follows a file's instructions and what they change."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._args: list[Instruction] = []
        self._globals: Mapping[str, str] = {}
        self._scope = Scope(values={})
        self._stages: list[Stage] = []
        self._open: list[Instruction] = []
        self._ends: list[Scope] = []  # of each stage but the last
        self._names: dict[str, int] = {}

    def run(self) -> None:
        """Read all instructions."""
        count = 0
        while joined := self._lines.instruction():
            count += 1
            if count > _MOST_INSTRUCTIONS:
                self._complain(joined.first, f"more than {_MOST_INSTRUCTIONS:,} instructions")
                break
            if count == 1:
                self._scope = replace(self._scope, escape=self._lines.escape)
            scope = self._global() if _is_from(joined.text) else self._scope
            instruction = read_instruction(joined, self._lines, scope)
            for message in complaints(instruction):
                self._complain(instruction.first, message)
            if instruction.name == "FROM":
                self._from(instruction)
            elif self._stages:
                self._open.append(instruction)
                self._scope = self._after(instruction)
            elif instruction.name == "ARG":
                self._args.append(instruction)
                self._scope = self._after(instruction)
                self._globals = self._scope.values
            else:
                self._complain(instruction.first, f"{instruction.name:.20} stands before any FROM")
        if not count:
            self._complain(0, "the file has no instructions")
        self._close()
        self._check_sources()

    def result(self, more: list[Problem]) -> Dockerfile:
        """Return all that was found."""
        problems = sorted([*self._lines.problems, *more], key=lambda each: each.line)
        return Dockerfile(
            stages=tuple(self._stages),
            args=tuple(self._args),
            directives=tuple(self._lines.directives.values()),
            comments=tuple(self._lines.comments),
            problems=tuple(dict.fromkeys(problems)),
        )

    def _complain(self, line: int, message: str) -> None:
        self._lines.problems.append(Problem(line=line, message=message))

    def _global(self) -> Scope:
        return Scope(values=self._globals, escape=self._lines.escape)

    def _close(self) -> None:
        if self._stages:
            self._stages[-1] = replace(self._stages[-1], instructions=tuple(self._open))
            self._ends.append(self._scope)
            self._open = []

    def _from(self, instruction: Instruction) -> None:
        self._close()
        words = instruction.words or ("",)
        base = instruction.scope.expand(words[0])
        if base.wrong or not (base.text or base.unknown):
            why = base.wrong or "it names no image"
            self._complain(instruction.first, f"FROM: {why}")
        parent = None if base.unknown else self._names.get(base.text.lower())
        platform = instruction.flag("platform")
        name = words[2].lower() if [word.lower() for word in words[1:-1]] == ["as"] else ""
        index = len(self._stages)
        self._stages.append(
            Stage(
                index=index,
                name=name,
                base=base,
                base_text=words[0],
                base_stage=parent,
                platform=None if platform is None else instruction.scope.expand(platform),
                line=instruction.first,
                instructions=(),
            )
        )
        # What a stage is made from gives it its variables, ARGs included, and its shell.
        fresh = Scope(values={}, escape=self._lines.escape)
        self._scope = fresh if parent is None else self._ends[parent]
        if name:
            self._names[name] = index

    def _after(self, instruction: Instruction) -> Scope:
        """Return what the next instruction sees."""
        scope = self._scope
        if instruction.name == "SHELL" and instruction.json and instruction.words:
            return scope.with_shell(instruction.words)
        if instruction.name not in {"ENV", "ARG"} or not instruction.pairs:
            return scope
        # BuildKit keeps ARG and ENV in one place: the last one said counts.
        values = {p.name: p.value for p in instruction.pairs if p.value is not None}
        names: frozenset[str] = frozenset()
        if instruction.name == "ARG":
            names = frozenset(pair.name for pair in instruction.pairs)
            bare = [pair.name for pair in instruction.pairs if pair.value is None]
            values.update((n, self._globals[n]) for n in bare if n in self._globals)
        if len(scope.values) + len(scope.arguments) + len(names) + len(values) > _MOST_VARIABLES:
            self._complain(instruction.first, f"more than {_MOST_VARIABLES:,} variables")
            return scope
        return scope.with_values(values, names)

    def _check_sources(self) -> None:
        for stage in self._stages:
            for copy in stage.of("COPY"):
                source = copy.flag("from") or ""
                if source.isdecimal() and int(source[:9]) >= len(self._stages):
                    self._complain(copy.first, f"COPY: there is no stage `{source:.9}`")


def _is_from(text: str) -> bool:
    return text[:5].rstrip().upper() == "FROM"
