"""What an instruction of a Dockerfile may hold: its flags, and how many words.

The facts are of moby/buildkit, frontend/dockerfile/instructions (parse.go, commands_run*.go).
"""

from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.arguments import Flag, opening
from lockstitch.repository.dockerfile.instruction import Instruction
from lockstitch.repository.dockerfile.words import WordError

__all__ = ["NAMES", "complaints"]

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
_FLAG_VALUES = {
    "network": {"default", "none", "host"},
    "security": {"insecure", "sandbox"},
}
_FREE = {"ARG", "STOPSIGNAL"}  # whose flags BuildKit never looks at
_MOUNTS = {"bind", "cache", "tmpfs", "secret", "ssh"}
_MOUNT_KEYS = frozenset(
    [
        "type",
        "from",
        "source",
        "src",
        "target",
        "dst",
        "destination",
        "readonly",
        "ro",
        "readwrite",
        "rw",
        "required",
        "size",
        "id",
        "sharing",
        "mode",
        "uid",
        "gid",
        "env",
    ]
)
_MOUNT_FLAGS = {"readonly", "ro", "readwrite", "rw", "required"}
_STAGE = regex(r"[a-z][a-z0-9_.-]*")
_PAIRS = {"ARG", "ENV", "LABEL"}
_ONE_WORD = ("MAINTAINER", "STOPSIGNAL", "USER", "WORKDIR")
_EXPANDED = {"ADD", "COPY", "EXPOSE", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
_LEAST = {
    "ADD": 2,
    "COPY": 2,
    "EXPOSE": 1,
    "HEALTHCHECK": 1,
    "SHELL": 1,
    "VOLUME": 1,
    **dict.fromkeys(_ONE_WORD, 1),
}
_NOTHING = "it says nothing"
NAMES = frozenset(
    [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ]
)


def complaints(instruction: Instruction) -> list[str]:
    """Return why BuildKit refuses an instruction that could be read, one text for each reason."""
    name = instruction.name
    if name not in NAMES:
        return [f"`{name:.20}` is no instruction"]
    found = [] if name in _FREE else _wrong_flags(instruction)
    found += _wrong_words(instruction)
    if name == "ONBUILD" and (trigger := instruction.trigger) is not None:
        if trigger.name in {"ONBUILD", "MAINTAINER", "FROM"}:
            found.append(f"{trigger.name} may not be a trigger of ONBUILD")
        else:
            found += complaints(trigger)
    return [f"{name}: {message}" for message in found]


def _wrong_flags(instruction: Instruction) -> list[str]:
    if not instruction.flags or (instruction.name == "HEALTHCHECK" and _is_none(instruction)):
        return []
    known = _FLAGS.get(instruction.name, {})
    found, seen = [], set()
    for flag in instruction.flags:
        kind = known.get(flag.name)
        if kind is None:
            found.append(f"`--{flag.name:.40}` is not one of its flags")
        elif flag.name in seen and kind != _MANY:
            found.append(f"`--{flag.name}` stands there twice")
        elif kind == _BARE and (flag.value or "true").lower() not in {"true", "false"}:
            found.append(f"`--{flag.name}` must be true or false, found `{flag.value:.40}`")
        elif (flag.value == "") if kind == _BARE else (flag.value is None):
            found.append(f"`--{flag.name}` has no value")
        elif flag.name in _FLAG_VALUES and flag.value not in _FLAG_VALUES[flag.name]:
            found.append(f"`--{flag.name}` may not be `{flag.value:.40}`")
        elif flag.name == "mount":
            found += _wrong_mount(flag)
        seen.add(flag.name)
    if instruction.name == "COPY" and "$" in (instruction.flag("from") or ""):
        found.append("`--from` takes no variables: name a stage with FROM and use its name")
    return found


def _wrong_mount(flag: Flag) -> list[str]:
    found = []
    for key, value in flag.parts:
        if key not in _MOUNT_KEYS:
            found.append(f"`{key:.40}` is not a part of a mount")
        elif value is None and key not in _MOUNT_FLAGS:
            found.append(f"`{key}` of a mount has no value")
        elif key == "from" and "$" in (value or "")[:-1]:
            found.append("`from` of a mount takes no variables: name a stage with FROM")
        elif key == "type" and value and "$" not in value and value.lower() not in _MOUNTS:
            found.append(f"`{value:.40}` is no type of mount")
    return found


def _wrong_words(instruction: Instruction) -> list[str]:
    name, words = instruction.name, instruction.words
    if name in _PAIRS:
        return _wrong_pairs(instruction)
    if name == "FROM":
        return _wrong_from(words)
    if name == "ONBUILD":
        return [] if instruction.text else [_NOTHING]
    if len(words) < _LEAST.get(name, 0):
        many = _LEAST[name]
        return [f"it needs {many} words, found {len(words)}" if many > 1 else _NOTHING]
    found = []
    if name in _EXPANDED:
        found = [wrong for word in words if (wrong := _unexpandable(instruction, word))]
    if name == "HEALTHCHECK":
        found += _wrong_health(instruction)
    elif name == "SHELL" and not instruction.json:
        found.append("it must be a JSON list")
    elif name in {"ADD", "COPY"} and _is_heredoc(words[-1]):
        found.append("a here-document cannot be where it copies to")
    elif name == "VOLUME" and not all(word.strip() for word in words):
        found.append("a path is empty")
    return found


def _wrong_pairs(instruction: Instruction) -> list[str]:
    if not instruction.text:
        return [_NOTHING]
    return ["a name is empty"] if any(not pair.name for pair in instruction.pairs) else []


def _unexpandable(instruction: Instruction, word: str) -> str:
    if _is_heredoc(word):
        return ""
    expanded = instruction.scope.expand(word)
    return "" if expanded.unknown else expanded.wrong


def _wrong_from(words: tuple[str, ...]) -> list[str]:
    base, *rest = words or ("",)
    if base and len(rest) == 2 and rest[0].lower() == "as":  # noqa: PLR2004 -- AS NAME
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


def _is_heredoc(word: str) -> bool:
    try:
        return "<<" in word and opening(word) is not None
    except WordError:
        return False
