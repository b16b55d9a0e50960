"""Reads a Dockerfile into stages and instructions, with what BuildKit would refuse.

What an instruction means is left to who asks: nothing is fetched, no ARG of `docker build` is
given (moby/buildkit, frontend/dockerfile; of flags and words: instructions/parse.go and
commands_run*.go). A file of any content gives a value: what BuildKit would refuse stands in
`problems`. A here-document below ONBUILD is read, as BuildKit does.
"""

from collections.abc import Mapping
from operator import attrgetter

from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.instruction import (
    EXPANDED,
    Comment,
    Directive,
    Flag,
    Instruction,
    Lines,
    opens_heredoc,
)
from lockstitch.repository.dockerfile.instruction import read as read_instruction
from lockstitch.repository.dockerfile.words import Expanded, Scope
from lockstitch.values import Problem, frozen, replace

_LARGEST = 1_000_000  # characters
_MOST_INSTRUCTIONS = 10_000
_MOST_VARIABLES = 1_000
_STAGE = regex(r"[a-z][a-z0-9_.-]*")
_NOTHING = "it says nothing"
_BARE, _ONE, _MANY = "true or false", "one value", "many values"
_FLAGS = {
    "ADD": {
        **dict.fromkeys(("link", "keep-git-dir", "unpack"), _BARE),
        **dict.fromkeys(("chown", "chmod", "checksum"), _ONE),
        "exclude": _MANY,
    },
    "COPY": {
        **dict.fromkeys(("link", "parents"), _BARE),
        **dict.fromkeys(("chown", "chmod", "from"), _ONE),
        "exclude": _MANY,
    },
    "FROM": {"platform": _ONE},
    "HEALTHCHECK": dict.fromkeys(
        ("interval", "timeout", "start-period", "start-interval", "retries"), _ONE
    ),
    "RUN": {"mount": _MANY, "device": _MANY, "network": _ONE, "security": _ONE},
}
_FLAG_VALUES = {"network": {"default", "none", "host"}, "security": {"insecure", "sandbox"}}
_MOUNT_TYPES = {"bind", "cache", "tmpfs", "secret", "ssh"}
_MOUNT_FLAGS = {"readonly", "ro", "readwrite", "rw", "required"}
_MOUNT_KEYS = _MOUNT_FLAGS | {
    *("type", "from", "source", "src", "target", "dst", "destination", "size", "id", "sharing"),
    *("mode", "uid", "gid", "env"),
}
_LEAST_WORDS = {
    **dict.fromkeys(("ADD", "COPY"), 2),
    **dict.fromkeys(("EXPOSE", "HEALTHCHECK", "SHELL", "VOLUME"), 1),
    **dict.fromkeys(("MAINTAINER", "STOPSIGNAL", "USER", "WORKDIR"), 1),
}
_NAMES = {*_LEAST_WORDS, "ARG", "CMD", "ENTRYPOINT", "ENV", "FROM", "LABEL", "ONBUILD", "RUN"}


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


@frozen
class Dockerfile:
    """The instructions of a Dockerfile; `problems` says where it cannot be built."""

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
        return next((stage for stage in reversed(self.stages) if name and stage.name == name), None)


def read(text: str) -> Dockerfile:
    """Return the instructions of a Dockerfile's text; it never raises."""
    reader = _Reader(text if len(text) <= _LARGEST else "")
    if len(text) > _LARGEST:
        message = f"the file has {len(text):,} characters, more than {_LARGEST:,} are not read"
        reader.lines.complain(0, message)
    else:
        reader.run()
    lines = reader.lines
    return Dockerfile(
        stages=tuple(reader.stages),
        args=tuple(reader.args),
        directives=tuple(lines.directives.values()),
        comments=tuple(lines.comments),
        problems=tuple(dict.fromkeys(sorted(lines.problems, key=attrgetter("line")))),
    )


class _Reader:
    """Follows a file's instructions and what they change."""

    def __init__(self, text: str) -> None:
        self.lines = Lines(text)
        self.args: list[Instruction] = []
        self.stages: list[Stage] = []
        self._globals: Mapping[str, str] = {}
        self._scope = Scope(values={})
        self._open: list[Instruction] = []  # of the last stage
        self._ends: list[Scope] = []  # of each stage but the last
        self._names: dict[str, int] = {}

    def run(self) -> None:
        """Read all instructions."""
        count = 0
        complain = self.lines.complain
        while joined := self.lines.instruction():
            count += 1
            if count > _MOST_INSTRUCTIONS:
                complain(joined.first, f"more than {_MOST_INSTRUCTIONS:,} instructions")
                break
            if count == 1:
                self._scope = replace(self._scope, escape=self.lines.escape)
            is_from = joined.text[:5].rstrip().upper() == "FROM"
            scope = self._fresh(self._globals) if is_from else self._scope
            instruction = read_instruction(joined, self.lines, scope)
            for message in _complaints(instruction):
                complain(instruction.first, message)
            if instruction.name == "FROM":
                self._from(instruction)
            elif self.stages:
                self._open.append(instruction)
                self._scope = self._after(instruction)
            elif instruction.name == "ARG":
                self.args.append(instruction)
                self._scope = self._after(instruction)
                self._globals = self._scope.values
            else:
                complain(instruction.first, f"{instruction.name:.20} stands before any FROM")
        if not count:
            complain(0, "the file has no instructions")
        self._close()
        for copy in (instruction for stage in self.stages for instruction in stage.instructions):
            source = (copy.flag("from") or "") if copy.name == "COPY" else ""
            if source.isdecimal() and int(source[:9]) >= len(self.stages):
                self.lines.complain(copy.first, f"COPY: there is no stage `{source:.9}`")

    def _fresh(self, values: Mapping[str, str]) -> Scope:
        return Scope(values=values, escape=self.lines.escape)

    def _close(self) -> None:
        if self.stages:
            self.stages[-1] = replace(self.stages[-1], instructions=tuple(self._open))
            self._ends.append(self._scope)
            self._open = []

    def _from(self, instruction: Instruction) -> None:
        self._close()
        words = instruction.words or ("",)
        base = instruction.scope.expand(words[0])
        if base.wrong or not (base.text or base.unknown):
            why = base.wrong or "it names no image"
            self.lines.complain(instruction.first, f"FROM: {why}")
        parent = None if base.unknown else self._names.get(base.text.lower())
        platform = instruction.flag("platform")
        name = words[2].lower() if [word.lower() for word in words[1:-1]] == ["as"] else ""
        index = len(self.stages)
        self.stages.append(
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
        self._scope = self._fresh({}) if parent is None else self._ends[parent]
        if name:
            self._names[name] = index

    def _after(self, instruction: Instruction) -> Scope:
        """Return the scope of the next instruction."""
        scope = self._scope
        if instruction.name == "SHELL" and instruction.json and instruction.words:
            return replace(scope, shell=instruction.words)
        if instruction.name not in {"ENV", "ARG"} or not instruction.pairs:
            return scope
        # BuildKit keeps ARG and ENV in one place: the last one counts.
        values = {p.name: p.value for p in instruction.pairs if p.value is not None}
        names: frozenset[str] = frozenset()
        if instruction.name == "ARG":
            names = frozenset(pair.name for pair in instruction.pairs)
            bare = [pair.name for pair in instruction.pairs if pair.value is None]
            values.update((n, self._globals[n]) for n in bare if n in self._globals)
        if len(scope.values) + len(scope.arguments) + len(names) + len(values) > _MOST_VARIABLES:
            self.lines.complain(instruction.first, f"more than {_MOST_VARIABLES:,} variables")
            return scope
        return scope.with_values(values, names)


def _complaints(instruction: Instruction) -> list[str]:
    """Return why BuildKit refuses an instruction that could be read, one text for each reason."""
    name = instruction.name
    if name not in _NAMES:
        return [f"`{name:.20}` is no instruction"]
    messages = [*_wrong_flags(instruction), *_wrong_words(instruction)]
    if name == "ONBUILD" and (trigger := instruction.trigger) is not None:
        if trigger.name in {"ONBUILD", "MAINTAINER", "FROM"}:
            messages.append(f"{trigger.name} may not be a trigger of ONBUILD")
        else:
            messages += _complaints(trigger)
    return [f"{name}: {message}" for message in messages]


def _wrong_flags(instruction: Instruction) -> list[str]:
    name = instruction.name
    if name in {"ARG", "STOPSIGNAL"} or (name == "HEALTHCHECK" and _is_none(instruction)):
        return []  # BuildKit never looks at their flags
    known = _FLAGS.get(name, {})
    messages, seen = [], set()
    for flag in instruction.flags:
        kind = known.get(flag.name)
        if kind is None:
            messages.append(f"`--{flag.name:.40}` is not one of its flags")
        elif flag.name in seen and kind != _MANY:
            messages.append(f"`--{flag.name}` stands there twice")
        elif kind == _BARE and (flag.value or "true").lower() not in {"true", "false"}:
            messages.append(f"`--{flag.name}` must be true or false, found `{flag.value:.40}`")
        elif (flag.value == "") if kind == _BARE else (flag.value is None):
            messages.append(f"`--{flag.name}` has no value")
        elif flag.name in _FLAG_VALUES and flag.value not in _FLAG_VALUES[flag.name]:
            messages.append(f"`--{flag.name}` may not be `{flag.value:.40}`")
        elif flag.name == "mount":
            messages += _wrong_mount(flag)
        seen.add(flag.name)
    if name == "COPY" and "$" in (instruction.flag("from") or ""):
        messages.append("`--from` takes no variables: name a stage with FROM and use its name")
    return messages


def _wrong_mount(flag: Flag) -> list[str]:
    messages = []
    for key, value in flag.parts:
        if key not in _MOUNT_KEYS:
            messages.append(f"`{key:.40}` is not a part of a mount")
        elif value is None and key not in _MOUNT_FLAGS:
            messages.append(f"`{key}` of a mount has no value")
        elif key == "from" and "$" in (value or "")[:-1]:
            messages.append("`from` of a mount takes no variables: name a stage with FROM")
        elif key == "type" and value and "$" not in value and value.lower() not in _MOUNT_TYPES:
            messages.append(f"`{value:.40}` is no type of mount")
    return messages


def _wrong_words(instruction: Instruction) -> list[str]:
    name, words = instruction.name, instruction.words
    if name in {"ARG", "ENV", "LABEL", "ONBUILD"}:
        nameless = any(not pair.name for pair in instruction.pairs)
        return ["a name is empty"] * nameless if instruction.text else [_NOTHING]
    if name == "FROM":
        return _wrong_from(words)
    if len(words) < _LEAST_WORDS.get(name, 0):
        many = _LEAST_WORDS[name]
        return [f"it needs {many} words, found {len(words)}" if many > 1 else _NOTHING]
    messages = []
    for word in words if name in EXPANDED else ():
        expanded = None if opens_heredoc(word) else instruction.scope.expand(word)
        if expanded and expanded.wrong and not expanded.unknown:
            messages.append(expanded.wrong)
    if name == "HEALTHCHECK":
        messages += _wrong_health(instruction)
    elif name == "SHELL" and not instruction.json:
        messages.append("it must be a JSON list")
    elif name in {"ADD", "COPY"} and opens_heredoc(words[-1]):
        messages.append("a here-document cannot be where it copies to")
    elif name == "VOLUME" and not all(word.strip() for word in words):
        messages.append("a path is empty")
    return messages


def _wrong_from(words: tuple[str, ...]) -> list[str]:
    base, *rest = words or ("",)
    if base and len(rest) == 2 and rest[0].lower() == "as":  # AS NAME
        good = _STAGE.fullmatch(rest[1].lower())
        return [] if good else [f"`{rest[1]:.40}` cannot be the name of a stage"]
    if base and not rest:
        return []
    return [f"it takes one word, or `BASE AS NAME`, found {len(words)} words"]


def _is_none(instruction: Instruction) -> bool:
    return instruction.words[:1] != () and instruction.words[0].upper() == "NONE"


def _wrong_health(instruction: Instruction) -> list[str]:
    kind, *rest = instruction.words
    if _is_none(instruction):
        return ["NONE takes no words"] if rest else []
    if kind.upper() != "CMD":
        return [f"it knows CMD and NONE, found `{kind:.20}`"]
    return [] if rest else ["CMD has no command"]
