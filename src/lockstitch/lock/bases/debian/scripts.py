"""Maintainer scripts of the packages that a project adds; none of them is run.

Each is read as a shell would on a fresh install: `preinst install`, then `postinst configure`.
What it then calls is either harmless by scripts.toml, which has the reason, or a symlink of
update-alternatives, which the image gets; or it is something that an image would lack.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Final

from lockstitch import shell
from lockstitch.errors import LockstitchError
from lockstitch.resources import load_table
from lockstitch.values import frozen, ordered

_RUN: Final = ("preinst", "postinst")  # on a fresh install
_SECTION: Final = re.compile(
    r"^# Automatically added by (?P<tool>[\w-]+)[^\n]*\n.*?^# End automatically added section$\n?",
    re.MULTILINE | re.DOTALL,
)
# Conditions that no fresh install meets: there is no version before, and nothing goes away.
_NEVER: Final = re.compile(
    r"""-n\s+"?\$\{?2\}?"?(?!\S)
    | "?x?\$\{?2\}?"?\s*!=\s*("x?"|'x?'|x(?!\S))
    | "?\$\{?(1|action)\}?"?\s+==?\s+["']?(upgrade|abort-[\w-]+|remove|purge|deconfigure)\b
    | dpkg\s+--compare-versions\s+"?\$\{?2\}?"?\s+["']?(lt-nl|le-nl|gt|ge|eq)\b
    """,
    re.VERBOSE,
)
_LOOP: Final = re.compile(
    r"^[ \t]*for (?P<name>\w+) in (?P<words>[\w.+ -]+)(?:;|\n)\s*do\b(?P<body>.*?)\n[ \t]*done\b",
    re.MULTILINE | re.DOTALL,
)
_OR: Final = re.compile(r"\|\||\s-o\s")
_ARM: Final = re.compile(r"^[ \t]*\(?(?P<words>[\w|\- \t]+)\)(?P<rest>.*)$")
_GONE: Final = frozenset({"upgrade", "remove", "purge", "deconfigure", "failed-upgrade"})
_IF, _FI = re.compile(r"(?:^|[;&|({]|\bthen\b|\belse\b)\s*if\s"), re.compile(r"(?:^|[;\s])fi\b")
_OUTSIDE: Final = re.compile(r"/dev/\S+|/var/log/\S+|[012-]|&[12-]")
_SHELL: Final = re.compile(rb"#!\s*/\S*\b(?:ba|da)?sh\b")
_WRITES: Final = frozenset({">", ">>", ">|", "&>", "&>>", "<>"})
_LARGEST: Final = 200_000
_SHOWN: Final = 90


@ordered
class Alternative:
    """A symlink of update-alternatives: paths from the root, and which of several wins."""

    link: str
    target: str
    priority: int


@frozen
class _Rules:
    sections: Mapping[str, str]  # a tool of debhelper -> why what it adds leaves nothing
    commands: tuple[re.Pattern[str], ...]
    packages: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]  # names, and commands of theirs
    advice: tuple[tuple[re.Pattern[str], str], ...]  # what a command would do, in words


@cache
def _rules() -> _Rules:
    tables = load_table(__package__, "scripts.toml")
    harmless = [(row, pattern) for row in tables["harmless"] for pattern in row["commands"]]
    return _Rules(
        sections={tool: row["reason"] for row in tables["section"] for tool in row["tools"]},
        commands=tuple(re.compile(p) for row, p in harmless if "packages" not in row),
        packages=tuple(
            (re.compile(row["packages"]), re.compile(p)) for row, p in harmless if "packages" in row
        ),
        advice=tuple((re.compile(row["command"]), row["does"]) for row in tables["effect"]),
    )


def check(name: str, version: str, controls: Mapping[str, bytes]) -> LockstitchError | None:
    """Return an error for a package that would not work without its maintainer scripts."""
    for script in _RUN:
        needed = [
            (command, next((text for form, text in _rules().advice if form.match(command)), ""))
            for command in _needed(name, controls.get(script, b""))
        ]
        if needed:
            command, does = next((pair for pair in needed if pair[1]), needed[0])
            shown = command if len(command) <= _SHOWN else f"{command[:_SHOWN]}…"
            message = f"`{name} {version}` needs its {script}, and no script of a package is run: "
            message += f"`{shown}`" + (f" {does}" if does else "")
            hint = f"leave out of `packages` what needs {name}, or use a base of a registry"
            return LockstitchError(message, hint=hint)
    return None


def alternatives(controls: Mapping[str, bytes]) -> list[Alternative]:
    """Return the symlinks that a package's postinst would make with update-alternatives."""
    script = _read(controls.get("postinst", b""))
    return [alternative for command in script.commands for alternative in _alternatives(command)]


def _needed(package: str, data: bytes) -> Iterator[str]:
    """Yield the commands of a script whose effect an image would lack."""
    if not data:
        return
    if not _SHELL.match(data) or len(data) > _LARGEST:
        yield data.partition(b"\n")[0].decode("utf-8", "replace")
        return
    script = _read(data)
    yield from (problem.message for problem in script.problems)
    yield from _effects(package, script, script.functions)


def _effects(package: str, script: shell.Script, known: frozenset[str]) -> Iterator[str]:
    for command in script.commands:
        program = command.words[0].text if command.words else ""
        texts = [
            f"> {redirection.target.text}"
            for redirection in command.redirections
            if redirection.operator in _WRITES and not _OUTSIDE.fullmatch(redirection.target.text)
        ]
        if program and program not in known and not _alternatives(command):
            texts.append(" ".join(word.text for word in command.words))
        yield from (text for text in texts if not _is_harmless(package, text))
        for word in (*command.words, *(value for _, value in command.assignments)):
            for part in word.parts:
                if part.kind in {"command", "process"}:
                    yield from _effects(package, shell.read(part.text), known)


def _is_harmless(package: str, text: str) -> bool:
    rules = _rules()
    return any(form.match(text) for form in rules.commands) or any(
        names.fullmatch(package) and form.match(text) for names, form in rules.packages
    )


def _alternatives(command: shell.Command) -> list[Alternative]:
    """Return the links of `update-alternatives --install`, where the script's text tells them."""
    words = [word.text for word in command.words if word.text not in {"--quiet", "--force"}]
    if words[:2] != ["update-alternatives", "--install"] or not all(
        word.known for word in command.words
    ):
        return []
    try:
        link, _, target, priority, *rest = words[2:]
        number = int(priority)
    except ValueError:
        return []
    links = [(link, target)]
    while len(rest) > 3 and rest[0] == "--slave":  # link, name, path
        links.append((rest[1], rest[3]))
        rest = rest[4:]
    return [
        Alternative(link=one.lstrip("/"), target=other.lstrip("/"), priority=number)
        for one, other in links
    ]


# --- what a fresh install reaches


def _read(data: bytes) -> shell.Script:
    return shell.read(_reached(data.decode("utf-8", "replace")))


def _reached(text: str) -> str:
    """Return a script without what debhelper added, and without branches never taken."""
    text = _SECTION.sub(lambda m: "" if m["tool"] in _rules().sections else m[0], text)
    text = re.sub(r"\\\n", " ", text)
    text = _LOOP.sub(_unrolled, text)
    lines = [line for line in text.split("\n") if not line.lstrip().startswith("#")]
    return "\n".join(_without_arms(_without_branches(lines)))


def _unrolled(loop: re.Match[str]) -> str:
    """Return the body of a loop over plain words once for each."""
    variable = re.compile(rf"\$\{{?{loop['name']}\b\}}?")
    return "".join(variable.sub(word, loop["body"]) for word in loop["words"].split())


def _without_branches(lines: list[str]) -> list[str]:
    """Return lines without the `if`s whose condition no fresh install meets."""
    kept: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        head = line.lstrip()
        condition, last = _condition(lines, at) if head.startswith("if ") else ("", at)
        if not condition or _OR.search(condition) or not _NEVER.search(condition):
            kept.append(line if not _is_never(head) else "")
            at += 1
            continue
        end, other = _end_of(lines, at)
        if other:  # `else`: what it does is done always
            kept += _without_branches(lines[other + 1 : end])
        elif end == last == at:
            pass  # all of it on one line
        at = end + 1
    return kept


def _is_never(line: str) -> bool:
    """Return whether a line is `[ … ] && …` with a condition that no fresh install meets."""
    first, both, _ = line.partition("&&")
    return bool(both) and first.startswith(("[", "test ")) and bool(_NEVER.search(first))


def _condition(lines: list[str], at: int) -> tuple[str, int]:
    """Return the text between `if` and `then`, and the line of the latter."""
    text = ""
    for number in range(at, min(at + 12, len(lines))):
        before, then, _ = re.sub(r"\s+", " ", lines[number]).partition("then")
        text += f" {before}"
        if then:
            return text, number
    return "", at


def _end_of(lines: list[str], at: int) -> tuple[int, int]:
    """Return the line of the `fi` of an `if`, and that of its `else` or 0."""
    depth, other = 0, 0
    for number in range(at, len(lines)):
        depth += len(_IF.findall(lines[number])) - len(_FI.findall(lines[number]))
        if depth <= 0:
            return number, other
        if depth == 1 and lines[number].strip() == "else":
            other = number
        if depth == 1 and number > at and lines[number].lstrip().startswith("elif "):
            lines[number] = lines[number].replace("elif ", "if ", 1)
            return number - 1, 0
    return len(lines) - 1, 0


def _without_arms(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines without the arms of `case` for what is no fresh install."""
    skipped = False
    for line in lines:
        match = None if skipped else _ARM.match(line)
        words = re.findall(r"[\w-]+", match["words"]) if match else []
        if words and all(word in _GONE or word.startswith("abort-") for word in words):
            yield f"{line[: line.index(')') + 1]} {';;' if ';;' in line else ':'}"
            skipped = ";;" not in line
        elif skipped:
            skipped = ";;" not in line and line.strip() != "esac"
            yield ";;" if ";;" in line else "esac" if line.strip() == "esac" else ""
        else:
            yield line
