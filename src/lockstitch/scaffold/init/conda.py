"""conda's environment.yml: its packages by the names and versions that the index has."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lockstitch.python.names import normal
from lockstitch.repository.text import yaml
from lockstitch.resources import load_table
from lockstitch.scaffold.init.conda_names import distribution, kind_of
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.init.requirements import is_known, requirement, usable
from lockstitch.table import first_of

_SELECTOR = re.compile(r"#\s*\[([^\]]*)\]\s*$")
_ENTRY = re.compile(
    r"(?:[\w./-]+::)?(?P<name>[A-Za-z0-9_][\w.-]*)(?P<extras>\[[^\]]*\])?\s*(?P<versions>.*)"
)
_FATES: dict[str, str] = load_table(__package__, "words.toml")["fates"]


@dataclass(slots=True, kw_only=True)
class Environment:
    """The dependencies of an environment.yml."""

    dependencies: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)  # of an export: what others need
    pip: list[str] = field(default_factory=list)  # its lines: those of the `pip:` part, else ""
    python: str = ""  # as it is written: `3.8`, `>=3.9`
    notes: list[str] = field(default_factory=list)


def environment(folder: Folder, name: str) -> Environment | None:
    """Return the requirements of a conda environment, or None without such a file."""
    text = folder.text(name, any_encoding=True)
    if text is None:
        return None
    conda = Environment()
    document = yaml.read(text, name)
    root = document.root
    entry = yaml.entries(root).get("dependencies") if isinstance(root, yaml.Mapping) else None
    if entry is None or not isinstance(entry.value, yaml.Sequence):
        why = document.problems[0].message if document.problems else "it lists no dependencies"
        conda.notes.append(f"`{name}`: {why}")
        return conda
    lines = text.splitlines()
    others: dict[str, list[str]] = {}
    for item in entry.value.items:
        if isinstance(item, yaml.Mapping):
            for line, text in _pip(item):
                conda.pip += [*[""] * (line - 1 - len(conda.pip)), text]
        elif isinstance(item, yaml.Scalar) and not _elsewhere(lines, item.line):
            _take(conda, item.text.strip(), f"`{name}:{item.line}`", others)
    for kind, names in others.items():
        shown = first_of([f"`{name}`" for name in sorted(names)], 8)
        conda.notes.append(f"`{name}`: {shown}: {_FATES[kind]}")
    conda.dependencies = list(dict.fromkeys(conda.dependencies))
    return conda


def _pip(item: yaml.Mapping) -> Iterator[tuple[int, str]]:
    entry = yaml.entries(item).get("pip")
    if entry is not None and isinstance(entry.value, yaml.Sequence):
        yield from ((i.line, i.text) for i in entry.value.items if isinstance(i, yaml.Scalar))


def _elsewhere(lines: list[str], line: int) -> bool:
    """Return whether a selector in a comment (`# [win]`) says that Linux does not get a line."""
    match = _SELECTOR.search(lines[line - 1]) if 0 < line <= len(lines) else None
    words = set(re.findall(r"\w+", match[1])) if match else set()
    if not words & {"win", "osx", "linux", "unix", "win64", "win32", "arm64"} or match is None:
        return False
    linux = bool(words & {"linux", "unix"})
    return linux if "not" in words else not linux


def _take(conda: Environment, text: str, where: str, others: dict[str, list[str]]) -> None:
    match = _ENTRY.fullmatch(text)
    if match is None:
        conda.notes.append(f"{where}: `{text:.60}` is no package: left out")
        return
    name, versions = match["name"], match["versions"].strip()
    pinned, _, build = versions.lstrip("=").partition("=")
    exported = versions.startswith("=") and bool(build) and "," not in versions
    versions = f"=={pinned}" if exported else versions
    if name.lower() == "python":
        conda.python = _versions(versions)
        return
    known = distribution(name)
    kind = kind_of(name, build if exported else "")
    if kind:
        others.setdefault(kind, []).append(name)
        return
    line = f"{known}{match['extras'] or ''}{_versions(versions)}"
    before = len(conda.notes)
    line = usable(line, where, conda.notes)
    if line and exported and not is_known(known):
        conda.constraints.append(line)
    elif line:
        conda.dependencies.append(line)
    elif len(conda.notes) == before:
        conda.notes.append(f"{where}: `{text:.60}` is no requirement: left out")


def _versions(text: str) -> str:
    """Return versions as PEP 440 has them: `=1.2` is `==1.2.*`, a build string is left out."""
    text = text.strip().split(" ")[0] if re.match(r"=[^=]", text.strip()) else text.strip()
    if not text:
        return ""
    fuzzy = re.fullmatch(r"=?\s*([0-9][\w.]*?)(?:\.?\*)?", text)
    if fuzzy:
        version = fuzzy[1]
        exact = version.count(".") > 1 and not text.endswith("*")
        text = f"=={version}" if exact else f"=={version}.*"
    elif text.startswith("==") and text.count("=") > 2:  # `==1.2=build`
        text = f"=={text.lstrip('=').partition('=')[0]}"
    elif "|" in text:
        return ""
    else:
        text = re.sub(r"(?<![=<>!~])=(?!=)", "==", text.replace(" ", ""))
    return text if requirement(f"{normal('a')} {text}") else ""
