"""What a stage of a Dockerfile comes to: what it is made from, and what its steps leave in it."""

import functools
import posixpath
from collections.abc import Mapping

from lockstitch.repository.dockerfile import bases, programs
from lockstitch.repository.dockerfile.bases import Base
from lockstitch.repository.dockerfile.installs import Install, install
from lockstitch.repository.dockerfile.reader import Dockerfile, Instruction, Stage
from lockstitch.repository.shell.calls import Call, call
from lockstitch.repository.shell.reader import Command
from lockstitch.repository.text.image_names import Reference, reference
from lockstitch.values import frozen

__all__ = ["Copied", "State", "Step", "base_of", "line_of", "steps"]


@frozen
class State:
    """What holds before an instruction; `unknown` names variables that only a build can tell."""

    workdir: str = "/"
    user: str | None = None  # None: the base image's
    env: Mapping[str, str] | None = None
    unknown: frozenset[str] = frozenset()

    def get(self, name: str) -> str:
        """Return a variable of ENV, an empty text when it is not set."""
        return (self.env or {}).get(name, "")

    def path(self, text: str) -> str:
        """Return a path of the image as an absolute one."""
        return posixpath.normpath(posixpath.join(self.workdir, text))


@frozen
class Copied:
    """What one COPY or ADD brings; `origin` is empty for the context."""

    sources: tuple[str, ...]
    target: str  # absolute, without a slash at its end
    into: bool  # the target is a folder that the sources go into
    origin: str  # a stage's name or number, or an image
    known: bool  # no variable that only a build can tell

    def lands(self, source: str) -> str:
        """Return where a source goes; of a folder, its contents go there."""
        if self.into and not source.endswith("/") and "." in posixpath.basename(source):
            return posixpath.join(self.target, posixpath.basename(source))
        return self.target


class Step:
    """One instruction with the state before it."""

    def __init__(self, instruction: Instruction, stage: int, state: State) -> None:
        """Keep what is given."""
        self.instruction = instruction
        self.stage = stage
        self.state = state

    @functools.cached_property
    def commands(self) -> tuple[Command, ...]:
        """The simple commands that it runs."""
        return programs.script(self.instruction).commands

    @functools.cached_property
    def calls(self) -> tuple[Call, ...]:
        """What it starts."""
        values = self.instruction.scope.values
        found = (call(each, values) for each in self.commands)
        return tuple(each for each in found if each is not None)

    @functools.cached_property
    def installs(self) -> tuple[Install, ...]:
        """What it installs, or takes away."""
        if self.instruction.name != "RUN":
            return ()
        found = (install(each) for each in self.calls)
        return tuple(each for each in found if each is not None)

    @functools.cached_property
    def is_read(self) -> bool:
        """Whether all of its shell's text could be read."""
        return not programs.script(self.instruction).problems

    @functools.cached_property
    def copied(self) -> Copied | None:
        """What it copies, None for another instruction or a here-document."""
        instruction = self.instruction
        if instruction.name not in {"COPY", "ADD"} or len(instruction.words) < 2:  # noqa: PLR2004
            return None
        *raw, last = instruction.words
        expanded = [instruction.scope.expand(word) for word in (*raw, last)]
        sources = tuple(each.text for each in expanded[:-1] if not each.text.startswith("<<"))
        target = expanded[-1].text
        if not sources or not target:
            return None
        return Copied(
            sources=sources,
            target=self.state.path(target),
            into=target.endswith(("/", "/.")) or target == "." or len(sources) > 1,
            origin=instruction.flag("from") or "",
            known=not any(each.unknown or each.wrong for each in expanded),
        )

    def mounts(self, kind: str) -> tuple[Mapping[str, str], ...]:
        """Return the mounts of a type, each with its parts."""
        found = []
        for flag in self.instruction.flags:
            if flag.name == "mount":
                parts = {key: value or "" for key, value in flag.parts}
                if parts.get("type", "bind").lower() == kind:
                    found.append(parts)
        return tuple(found)

    def cached(self, *parts: str) -> bool:
        """Return whether a cache mount covers a path that has one of these parts."""
        for mount in self.mounts("cache"):
            target = next((mount[k] for k in ("target", "dst", "destination") if k in mount), "")
            if any(part in target for part in parts) or "$" in target:
                return True
        return False


def steps(stage: Stage, before: State) -> tuple[tuple[Step, ...], State]:
    """Return a stage's steps, and the state after them."""
    found, state = [], before
    for each in stage.instructions:
        found.append(Step(each, stage.index, state))
        state = _after(each, state)
    return tuple(found), state


def _after(instruction: Instruction, state: State) -> State:
    name = instruction.name
    if name == "WORKDIR" and instruction.words:
        workdir = state.path(instruction.scope.expand(instruction.words[0]).text or ".")
        return State(workdir=workdir, user=state.user, env=state.env, unknown=state.unknown)
    if name == "USER" and instruction.words:
        expanded = instruction.scope.expand(instruction.words[0])
        user = "?" if expanded.unknown else expanded.text.partition(":")[0].strip()
        return State(workdir=state.workdir, user=user, env=state.env, unknown=state.unknown)
    if name == "ENV":
        env, unknown = dict(state.env or {}), set(state.unknown)
        for pair in instruction.pairs:
            missing = set(pair.unknown) - {"PATH"} if pair.name == "PATH" else set(pair.unknown)
            unknown = unknown | {pair.name} if missing else unknown - {pair.name}
            env[pair.name] = pair.value or ""
        return State(workdir=state.workdir, user=state.user, env=env, unknown=frozenset(unknown))
    return state


def base_of(dockerfile: Dockerfile, stage: Stage) -> tuple[Reference | None, Base | None]:
    """Return the image that a stage's chain begins with, and what is known of it."""
    while stage.base_stage is not None:
        stage = dockerfile.stages[stage.base_stage]
    if stage.base.unknown or stage.base.wrong or not stage.base.text:
        return None, None
    found = reference(stage.base.text)
    return found, bases.known(found) if found else None


def line_of(instruction: Instruction, text: str) -> int:
    """Return the line of an instruction on which a text stands first, else its first line."""
    at = instruction.text.find(text)
    lines = [line for offset, line in instruction.starts if offset <= at]
    return lines[-1] if lines else instruction.first
