"""setup.cfg and setup.py, read without running anything."""

import configparser
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lockstitch.errors import LockstitchError
from lockstitch.python.syntax import tree_of
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.init.requirements import is_specifier, requirement, usable
from lockstitch.scaffold.init.worked_out import UNKNOWN, Code

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_SCRIPT = re.compile(r"([\w.-]+)\s*=\s*([\w.]+:[\w.]+)")
# What a backend of today does not do from pyproject.toml alone.
_COMPILED = frozenset(
    {"ext_modules", "cffi_modules", "cmdclass", "rust_extensions", "libraries", "distclass"}
)
_TEXTS = {"name": "name", "version": "version", "description": "description"}
# Where the files are: that is found by looking.
_PLACES = {"packages", "package_dir", "py_modules", "zip_safe"}
_PLACES |= {"package_data", "include_package_data"}
_KEYS = {*_TEXTS, "python_requires", "install_requires", "extras_require", "entry_points"}


# --- setup.cfg and setup.py


@dataclass(slots=True, kw_only=True)
class SetupMetadata:
    """The metadata that could be read without running anything, and a note for the rest."""

    texts: dict[str, str] = field(default_factory=dict)  # by its name in [project]
    dependencies: list[str] | None = None
    extras: dict[str, list[str]] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)
    compiled: bool = False  # it needs setuptools to be built
    has_readme: bool = False
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
        for key, value in values(folder, text, name, metadata).items():
            _take(metadata, name, key, value)
    return metadata


# --- values of either file


def _take(metadata: SetupMetadata, source: str, key: str, value: object) -> None:
    taken = False
    if key in _TEXTS and isinstance(value, str):
        taken = _text(metadata, key, " ".join(value.split()))
    elif key == "python_requires" and isinstance(value, str):
        taken = is_specifier(value)
        metadata.texts |= {"requires-python": value} if taken else {}
    elif key == "install_requires":
        lines = _texts(value)
        taken = lines is not None
        metadata.dependencies = _usable(metadata, source, lines) if lines is not None else None
    elif key == "extras_require" and isinstance(value, Mapping):
        taken = all(_extra(metadata, source, name, lines) for name, lines in value.items())
    elif key == "entry_points" and isinstance(value, Mapping):
        usable = _texts(value.get("console_scripts", []))
        matches = [_SCRIPT.match(line) for line in usable or ()]
        metadata.scripts |= {match[1]: match[2] for match in matches if match}
        taken = usable is not None and all(matches)
    if not taken and key == "install_requires":
        metadata.notes.append(
            f"`{source}`: `{key}` cannot be read without running it: "
            "what lists of requirements and imports say is used"
        )
    elif not taken:
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


def _texts(value: object) -> list[str] | None:
    if isinstance(value, str):
        value = value.splitlines()
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        return None
    texts = [text.strip() for text in value]
    return [text for text in texts if text and not text.startswith("#")]


def _usable(metadata: SetupMetadata, source: str, lines: list[str]) -> list[str]:
    kept = []
    for line in lines:
        text = usable(line, f"`{source}`", metadata.notes)
        if text:
            kept.append(text)
        elif not requirement(line):
            what = line.partition("@")[0].strip()[:40]
            metadata.notes.append(f"`{source}`: `{what}` is no requirement from an index: left out")
    return kept


def _others(metadata: SetupMetadata, source: str, keys: set[str]) -> None:
    metadata.has_readme |= "long_description" in keys
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


# --- setup.cfg


def _cfg(folder: Folder, text: str, source: str, metadata: SetupMetadata) -> dict[str, object]:
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
            values[key] = _directed(folder, value)
    _others(metadata, source, others)
    return values


def _directed(folder: Folder, text: str) -> object:
    """Return what `file: NAME` or `attr: module.name` of setup.cfg means, None where not known."""
    kind, _, rest = text.strip().partition(":")
    read = reader_of(folder)
    if kind == "file":
        return "\n".join(read(name.strip()) or "" for name in rest.split(",")).strip() or None
    module, _, name = rest.strip().rpartition(".")
    base = module.replace(".", "/")
    for path in (f"{root}{base}{end}" for root in ("", "src/") for end in ("/__init__.py", ".py")):
        tree = folder.module(path)
        if tree and name in (names := Code(tree, read).names):
            meant: object = names[name]
            return meant
    return None


# --- setup.py


def _py(folder: Folder, text: str, source: str, metadata: SetupMetadata) -> dict[str, object]:
    tree = tree_of(text)
    calls = Code(tree, reader_of(folder)).calls if tree else []
    if len(calls) != 1:
        metadata.notes.append(f"`{source}` has no call of setup() that can be read: left out")
        return {}
    values: dict[str, object] = {}
    for key, value in calls[0].items():
        if key == "**":
            metadata.notes.append(f"`{source}`: `**` cannot be read without running it: left out")
        elif key in _COMPILED:
            metadata.compiled = True
        elif key in _KEYS:
            values[key] = None if value is UNKNOWN else value
    _others(metadata, source, calls[0].keys() - {"**"})
    return values


def reader_of(folder: Folder) -> Callable[[str], str | None]:
    """Return the reader of a folder's files, None where they cannot be read."""

    def read(name: str) -> str | None:
        try:
            return folder.text(name, any_encoding=True)
        except LockstitchError:
            return None

    return read
