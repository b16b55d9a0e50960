"""Requirements files, setup.cfg and setup.py, read without running anything."""

import ast
import configparser
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lockstitch.python.locks.lists import EDITABLE, argument, without_login
from lockstitch.python.names import of_requirement
from lockstitch.scaffold.init.folder import Folder, parsed

__all__ = [
    "Requirements",
    "SetupMetadata",
    "constants_of",
    "is_version",
    "read_requirements",
    "read_setup",
    "requirement",
]

_COMMENT = re.compile(r"(^|\s+)#.*$")  # as pip reads it
_OPTIONS = re.compile(r"\s+--[a-z].*$")
_LOCAL = re.compile(r"\.{1,2}$|[./~]|file:|.*(?:\.whl|\.tar\.gz|\.zip)$|.*[/\\]")
_REFERRED = re.compile(r"-r\s|\.in\b|\.toml\b|setup\.(?:py|cfg)\b")  # a file, no package
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_SCRIPT = re.compile(r"([\w.-]+)\s*=\s*([\w.]+:[\w.]+)")
# What a backend of today does not do from pyproject.toml alone.
_COMPILED = frozenset(
    {"ext_modules", "cffi_modules", "cmdclass", "rust_extensions", "libraries", "distclass"}
)
_TEXTS = {"name": "name", "version": "version", "description": "description"}
# Where the files are: that is found by looking.
_PLACES = {"packages", "package_dir", "py_modules", "zip_safe", "include_package_data"}
_KEYS = {*_TEXTS, "python_requires", "install_requires", "extras_require", "entry_points"}


# --- requirements files


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The requirements of a file, and a note for each line that is left out."""

    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()


def requirement(text: str) -> str:
    """Return a requirement from an index in its usual spelling, or an empty text."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        found = Requirement(text)
    except (InvalidRequirement, ValueError, RecursionError):
        return ""
    return "" if found.url else str(found)


def read_requirements(folder: Folder, name: str) -> Requirements | None:
    """Return the requirements of a file and those that it names with `-r`, or None without a file.

    Of a file that a resolver annotated with `# via`, only direct requirements are taken. Raises
    LockstitchError for a file that is not text, too large, or outside of the folder.
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
    return Requirements(lines=tuple(lines), notes=tuple(notes))


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
    option, value = argument(text)
    if option in EDITABLE:
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
    shown = without_login(text)[:60]
    if "://" in text or "git+" in text or " @ " in text:
        name = of_requirement(text) if "@" in text.partition("://")[0] else ""
        what = f"`{name}`" if name else "it"
        return f"{what} comes from an address or a folder, not from an index"
    if _LOCAL.match(text):
        return f"`{shown}` is a path of one machine"
    return f"`{shown}` is no requirement"


# --- setup.cfg and setup.py


@dataclass(slots=True, kw_only=True)
class SetupMetadata:
    """The metadata that could be read without running anything, and a note for the rest."""

    texts: dict[str, str] = field(default_factory=dict)  # by its name in [project]
    dependencies: list[str] | None = None
    extras: dict[str, list[str]] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)
    compiled: bool = False  # it needs setuptools to be built
    sources: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_setup(folder: Folder) -> SetupMetadata:
    """Return the metadata of setup.py, and below it that of setup.cfg, as setuptools ranks them.

    Raises LockstitchError for a file that is not text, too large, or outside of the folder.
    """
    metadata = SetupMetadata()
    for name, values in (("setup.cfg", _cfg), ("setup.py", _py)):
        text = folder.text(name)
        if text is None:
            continue
        metadata.sources.append(name)
        for key, value in values(text, name, metadata).items():
            _take(metadata, name, key, value)
    return metadata


# --- values of either file


def _take(metadata: SetupMetadata, source: str, key: str, value: object) -> None:
    taken = False
    if key in _TEXTS and isinstance(value, str):
        taken = _text(metadata, key, " ".join(value.split()))
    elif key == "python_requires" and isinstance(value, str):
        taken = _is_specifier(value)
        metadata.texts |= {"requires-python": value} if taken else {}
    elif key == "install_requires":
        lines = _texts(value)
        taken = lines is not None
        metadata.dependencies = _usable(metadata, source, lines) if lines is not None else None
    elif key == "extras_require" and isinstance(value, Mapping):
        taken = all(_extra(metadata, source, name, lines) for name, lines in value.items())
    elif key == "entry_points" and isinstance(value, Mapping):
        taken = _scripts(metadata, value.get("console_scripts", []))
    if not taken:
        metadata.notes.append(f"`{source}`: `{key}` cannot be read without running it: left out")


def _text(metadata: SetupMetadata, key: str, value: str) -> bool:
    if key == "name":
        good = _NAME.fullmatch(value) is not None
    else:
        good = is_version(value) if key == "version" else bool(value)
    metadata.texts |= {key: value} if good else {}
    return good


def _extra(metadata: SetupMetadata, source: str, name: object, lines: object) -> bool:
    usable = _texts(lines)
    if usable is None or not isinstance(name, str) or not _NAME.fullmatch(name):
        return False
    metadata.extras[name] = _usable(metadata, source, usable)
    return True


def _scripts(metadata: SetupMetadata, lines: object) -> bool:
    usable = _texts(lines)
    matches = [_SCRIPT.match(line) for line in usable or ()]
    metadata.scripts |= {match[1]: match[2] for match in matches if match}
    return usable is not None and all(matches)


def _texts(value: object) -> list[str] | None:
    if isinstance(value, str):
        value = value.splitlines()
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        return None
    texts = [each.strip() for each in value]
    return [text for text in texts if text and not text.startswith("#")]


def _usable(metadata: SetupMetadata, source: str, lines: list[str]) -> list[str]:
    kept = []
    for line in lines:
        text = requirement(line)
        if text:
            kept.append(text)
        else:
            what = line.partition("@")[0].strip()[:40]
            metadata.notes.append(f"`{source}`: `{what}` is no requirement from an index: left out")
    return kept


def _others(metadata: SetupMetadata, source: str, keys: set[str]) -> None:
    names = sorted(keys - _KEYS - _PLACES - _COMPILED)
    if names:
        shown = ", ".join(f"`{name:.40}`" for name in names)
        metadata.notes.append(f"`{source}`: {shown}: left out, add to [project] what is missed")


def is_version(text: str) -> bool:
    """Return whether a text is a version (PEP 440)."""
    from packaging.version import InvalidVersion, Version

    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _is_specifier(text: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return bool(SpecifierSet(text))
    except InvalidSpecifier:
        return False


# --- setup.cfg


def _cfg(text: str, source: str, metadata: SetupMetadata) -> dict[str, object]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        metadata.notes.append(f"`{source}` cannot be read: left out")
        return {}
    values: dict[str, object] = {}
    others: set[str] = set()
    for section in ("metadata", "options"):
        if parser.has_section(section):
            pairs = {key.replace("-", "_"): value for key, value in parser.items(section)}
            values |= {key: value for key, value in pairs.items() if key in _KEYS}
            others |= pairs.keys()
    for section in ("extras_require", "entry_points"):
        if parser.has_section(f"options.{section}"):
            values[section] = dict(parser.items(f"options.{section}"))
    for key, value in values.items():
        if isinstance(value, str) and value.strip().startswith(("attr:", "file:")):
            values[key] = None
    _others(metadata, source, others)
    return values


# --- setup.py


def _py(text: str, source: str, metadata: SetupMetadata) -> dict[str, object]:
    tree = parsed(text)
    calls = [
        node
        for node in ast.walk(tree or ast.Module([], []))
        if isinstance(node, ast.Call) and _is_setup(node.func)
    ]
    if len(calls) != 1:
        metadata.notes.append(f"`{source}` has no call of setup() that can be read: left out")
        return {}
    constants = constants_of(tree) if tree else {}
    values: dict[str, object] = {}
    for keyword in calls[0].keywords:
        if keyword.arg is None:
            metadata.notes.append(f"`{source}`: `**` cannot be read without running it: left out")
        elif keyword.arg in _COMPILED:
            metadata.compiled = True
        elif keyword.arg in _KEYS:
            values[keyword.arg] = _value(keyword.value, constants)
    _others(metadata, source, {keyword.arg for keyword in calls[0].keywords if keyword.arg})
    return values


def _is_setup(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr == "setup" and isinstance(function.value, ast.Name)
    return isinstance(function, ast.Name) and function.id == "setup"


def constants_of(tree: ast.Module) -> dict[str, object]:
    """Return the names that a module assigns literals to, or names of literals."""
    constants: dict[str, object] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    constants[target.id] = _value(node.value, constants)
    return constants


def _value(node: ast.expr, constants: Mapping[str, object]) -> object:
    """Return what an expression of literals and names of literals is, or None."""
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    try:
        found: object = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return found
