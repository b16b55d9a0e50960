"""Turns shell commands into calls: the program behind its wrappers, its words and options."""

from collections.abc import Mapping

from lockstitch.patterns import regex
from lockstitch.shell import Command, Word
from lockstitch.values import field, frozen

_WRAPPERS = frozenset(
    {"sudo", "exec", "command", "time", "nohup", "env", "tini", "dumb-init", "catatonit"}
    | {"gosu", "su-exec", "setpriv", "nice", "ionice", "chroot", "then"}
)
_TAKES = {"gosu": 1, "su-exec": 1}  # words that stand before the program that they start
_WITH_VALUE = {
    "env": {"-u", "--unset", "-C", "--chdir"},
    "sudo": {"-u", "-g", "--user", "--group"},
    "nice": {"-n"},
    "ionice": {"-c", "-n"},
    "setpriv": {"--reuid", "--regid"},
}
_ASSIGNMENT = regex(r"[A-Za-z_]\w*=")
_VERSIONED = regex(r"(python|pip)\d(?:\.\d+)?")
_NAME = regex(r"[A-Za-z_]\w*")


@frozen
class Call:
    """One program that is started; what only a run can tell is kept as written."""

    program: str  # without its folder; `python -m pip` is pip, pip3.11 is pip
    written: str  # the program's word itself
    words: tuple[str, ...]  # after the program
    known: bool  # whether all words are certain
    line: int
    assignments: Mapping[str, str] = field(default_factory=dict)
    wrappers: tuple[str, ...] = ()
    module: bool = False  # started by `python -m`

    @property
    def folder(self) -> str:
        """Return the folder that the program is named with, empty for one of PATH."""
        return self.written.rpartition("/")[0]

    def begins(self, *words: str) -> bool:
        """Return whether the words after the program begin with these."""
        return self.words[: len(words)] == words

    def options(self, valued: frozenset[str], *, skip: int = 0) -> "Options":
        """Return the words behind the first ones as options and names."""
        return _options(self.words[skip:], valued)


@frozen
class Options:
    """Options with their values (an empty text for those without one), and the other words."""

    options: Mapping[str, tuple[str, ...]]
    names: tuple[str, ...]

    def has(self, *names: str) -> bool:
        """Return whether the call has one of these options."""
        return any(name in self.options for name in names)

    def values(self, *names: str) -> tuple[str, ...]:
        """Return all values of these options."""
        return tuple(value for name in names for value in self.options.get(name, ()))


def call(command: Command, values: Mapping[str, str]) -> Call | None:
    """Return the program that a command starts, its variables filled in; None for nothing."""
    words = [_resolved(word, values) for word in command.words]
    assigned = {name: _resolved(word, values)[0] for name, word in command.assignments}
    at, wrappers = 0, []
    while at < len(words):
        name = words[at][0].rpartition("/")[2]
        if name not in _WRAPPERS:
            break
        wrappers.append(name)
        at = _after(name, words, at + 1, assigned)
    if at >= len(words) or not words[at][1]:
        return None
    written = words[at][0]
    program = written.rpartition("/")[2].removesuffix(".exe")
    versioned = _VERSIONED.fullmatch(program)
    program = versioned[1] if versioned else program
    rest, module = words[at + 1 :], False
    if program == "python":
        program, rest, module = _module(program, rest)
    return Call(
        program=program,
        written=written,
        words=tuple(text for text, _ in rest),
        known=all(known for _, known in rest),
        line=command.line,
        assignments=assigned,
        wrappers=tuple(wrappers),
        module=module,
    )


def _after(name: str, words: list[tuple[str, bool]], at: int, assigned: dict[str, str]) -> int:
    """Return where the program begins that a wrapper starts."""
    valued = _WITH_VALUE.get(name, set())
    while at < len(words):
        text = words[at][0]
        if text == "--":
            return at + 1
        if text.startswith("-"):
            at += 2 if text in valued else 1
        elif name in {"env", "sudo"} and _ASSIGNMENT.match(text):
            key, _, value = text.partition("=")
            assigned[key] = value
            at += 1
        else:
            break
    return at + _TAKES.get(name, 0)


def _module(program: str, rest: list[tuple[str, bool]]) -> tuple[str, list[tuple[str, bool]], bool]:
    """Return the module that `python -m` runs as the program, else the script's call unchanged."""
    for number, (text, _) in enumerate(rest):
        if text == "-m" and number + 1 < len(rest):
            return rest[number + 1][0], rest[number + 2 :], True
        if text.startswith("-m") and len(text) > len("-m"):
            return text[2:], rest[number + 1 :], True
        if not text.startswith("-") or text == "-c":
            break
    return program, rest, False


def _resolved(word: Word, values: Mapping[str, str]) -> tuple[str, bool]:
    """Return a word's text with the variables that are known, and whether it is certain."""
    if word.known:
        return word.text, True
    texts, known = [], True
    for part in word.parts:
        if part.kind == "text":
            texts.append(part.text)
        elif part.kind == "variable" and _NAME.fullmatch(part.text) and part.text in values:
            texts.append(values[part.text])
        else:
            return word.text, False
    return "".join(texts), known


def _options(words: tuple[str, ...], valued: frozenset[str]) -> Options:
    options: dict[str, list[str]] = {}
    names: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            names += words[at:]
            break
        if not word.startswith("-") or word == "-":
            names.append(word)
            continue
        name, equals, value = word.partition("=")
        if (
            not equals
            and not word.startswith("--")
            and word[:2] in valued
            and len(word) > len("-r")
        ):
            name, value = word[:2], word[2:]  # -rrequirements.txt
        elif not equals and name in valued and at < len(words):
            value = words[at]
            at += 1
        options.setdefault(name, []).append(value)
    return Options(options={key: (*v,) for key, v in options.items()}, names=tuple(names))
