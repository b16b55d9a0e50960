"""Reads requirements files that people keep, as far as a pyproject.toml can say the same."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lockstitch.scaffold.init.folder import Folder

__all__ = ["Asked", "name_of", "read", "requirement"]

_COMMENT = re.compile(r"(^|\s+)#.*$")  # as pip reads it
_OPTIONS = re.compile(r"\s+--[a-z].*$")
_SECRET = re.compile(r"//[^/\s]*@")
_LOCAL = re.compile(r"\.{1,2}$|[./~]|file:|.*(?:\.whl|\.tar\.gz|\.zip)$|.*[/\\]")
_REFERRED = re.compile(r"-r\s|\.in\b|\.toml\b|setup\.(?:py|cfg)\b")  # a file, no package


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a requirements file asks for, and a note for each line that is left out."""

    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()


def name_of(line: str) -> str:
    """Return the normalised name (PEP 503) that a requirement starts with, or an empty text."""
    match = re.match(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)", line)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""


def requirement(text: str) -> str:
    """Return a requirement from an index in its usual spelling, or an empty text."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        found = Requirement(text)
    except (InvalidRequirement, ValueError, RecursionError):
        return ""
    return "" if found.url else str(found)


def read(folder: Folder, name: str) -> Asked | None:
    """Return what a file and those that it names with `-r` ask for, or None without a file.

    Of a file that a resolver annotated with `# via`, only what people asked for is taken.
    """
    if folder.text(name) is None:
        return None
    lines: dict[str, None] = {}
    notes: list[str] = []
    seen, waiting = {name}, [name]
    while waiting:
        source = waiting.pop(0)
        indirect = 0
        for number, text, comment in _logical(folder.text(source) or ""):
            where = f"`{source}:{number}`"
            if text.startswith("-"):
                notes += _option(folder, source, where, text, seen, waiting)
            elif "via" in comment.split() and not _REFERRED.search(comment):
                indirect += 1
            elif found := requirement(_OPTIONS.sub("", text)):
                lines[found] = None
            else:
                notes.append(f"{where}: {_why(text)}: left out")
        if indirect:
            notes.append(f"`{source}`: {indirect} packages that others need: left to the lock")
    return Asked(lines=tuple(lines), notes=tuple(notes))


def _logical(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the number, the text and the comment of each requirement, lines joined as pip does."""
    start, pending, comment = 0, "", ""
    joined = False
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = raw if joined else _COMMENT.sub("", raw)
        said = "" if joined else raw[len(line) :]
        if not joined and not line.strip():
            # An indented comment below a requirement is about it.
            comment += f" {said.strip().lstrip('#')}" if said[:1].isspace() else ""
            continue
        if not joined:
            if pending.strip():
                yield start, _COMMENT.sub("", pending).strip(), comment
            start, pending, comment = number, "", ""
        joined = line.endswith("\\")
        pending += line.removesuffix("\\") + " "
        comment += said.strip().lstrip("#")
    if pending.strip():
        yield start, _COMMENT.sub("", pending).strip(), comment


def _option(
    folder: Folder, source: str, where: str, text: str, seen: set[str], waiting: list[str]
) -> list[str]:
    """Follow `-r` inside the folder, and return a note for anything else; values are not shown."""
    match = re.fullmatch(r"(-[A-Za-z]|--[a-z-]+)(?:\s*=\s*|\s+|(?<=^-[A-Za-z]))?(.*)", text)
    option, value = (match[1], match[2].strip()) if match else (text[:20], "")
    if option in {"-e", "--editable"}:
        return [f"{where}: `{option}` is a folder of one machine: left out"]
    if option not in {"-r", "--requirement"}:
        return [f"{where}: `{option}` is no requirement: left out"]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), value))
    known = not path.startswith(("..", "/")) and "\0" not in path and folder.has(path)
    if not (known and folder.inside(folder.root / path)):
        return [f"{where}: `-r` names no file of this folder: left out"]
    if path not in seen:
        seen.add(path)
        waiting.append(path)
    return []


def _why(text: str) -> str:
    shown = _SECRET.sub("//", text)[:60]
    if "://" in text or "git+" in text or " @ " in text:
        name = name_of(text) if "@" in text.partition("://")[0] else ""
        what = f"`{name}`" if name else "it"
        return f"{what} comes from an address or a folder, not from an index"
    if _LOCAL.match(text):
        return f"`{shown}` is a path of one machine"
    return f"`{shown}` is no requirement"
