"""Requirements files of any origin and encoding, read into requirements that uv can lock."""

import functools
import posixpath
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from lockstitch.python.imports import standard_library
from lockstitch.python.locks.lists import EDITABLE, argument, without_login
from lockstitch.python.names import known_distributions, normal, of_requirement
from lockstitch.resources import load_table
from lockstitch.scaffold.init.conda_names import distribution, kind_of
from lockstitch.scaffold.init.folder import Folder
from lockstitch.values import frozen

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_COMMENT = re.compile(r"(^|\s+)#.*$")  # as pip reads it
_OPTIONS = re.compile(r"\s+(?:--[a-z]|-[fi]\s).*$")
_SECRET = re.compile(r"//[^/\s]*@")
_LOCAL = re.compile(r"\.{1,2}$|[./~]|file:|.*(?:\.whl|\.tar\.gz|\.zip)$|.*[/\\]")
_REFERRED = re.compile(r"-r\s|\.in\b|\.toml\b|setup\.(?:py|cfg)\b")  # a file, no package
_SELF = re.compile(r"[\"']?\.?/?\.?/?(?:\[[^\]]*\])?[\"']?")  # `.`, `./`, `.[extra]`
# `name=1.2` and `name=1.2=build`: how conda writes it, also into requirements.txt.
_CONDA = re.compile(r"([A-Za-z0-9_][\w.-]*)\s*=\s*([0-9][\w.!+*]*)(?:=([\w.]*))?")
# `name  1.2`, of `pip list`, and `name  1.2  build  channel`, of `conda list`.
_TABULAR = re.compile(r"([A-Za-z0-9_][\w.-]*)\s+([0-9][\w.!+]*)(?:\s+([\w.]+))?(?:\s+\S+)?")
_HEADER = re.compile(r"--+[\s-]*|Package\s+Version.*")
_COMMAND = re.compile(r"[!%$]?\s*(?:python3? -m )?pip3? install\s+(.+)")
_CONDA_NOTE = re.compile(r".*`([^`]+)` is a file of conda's: any version of the index")
_APART = 3  # notes of one kind that are told one by one
# Where conda builds packages: what is left of its folders in the list of pip in its environments.
_CONDA_BUILD = re.compile(
    r"/(?:croot|feedstock_root|conda-bld|build_artifacts|bld|abs_\w+|ci_\w+)/|/tmp/build/"
    r"|ktietz|/(?:mini|ana)conda|_\d{10,}/|/recipe-"
)
_HARMLESS = frozenset(load_table(__package__, "words.toml")["harmless"])
# Of modules that every Python of today has, and which no Python of today builds.
_BACKPORTS = frozenset({"enum34", "functools32", "futures", "pickle5", "subprocess32", "trollius"})
_OLDER, _NEWEST = 8, 14  # minor versions whose standard libraries count


# Where one package comes from, as [tool.uv.sources] has it: git, url, path, or an `index` by its
# address.
Source = Mapping[str, str]


@frozen
class Requirements:
    """The requirements of a file, and a note for each line that is left out or changed."""

    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()  # of `-c`
    sources: Mapping[str, Source] = field(default_factory=dict)
    files: tuple[str, ...] = ()  # it and those that it names
    python: str = ""  # a line `python==3.8`


def names_table(name: str) -> dict[str, Any]:
    """Return a table of names.toml."""
    table: dict[str, Any] = load_table(__package__, "names.toml")[name]
    return table


@functools.cache
def _standard() -> frozenset[str]:
    """Return the normal names of the standard library's modules, of any Python in use."""
    known = sys.stdlib_module_names
    return frozenset(
        normal(module)
        for minor in range(_OLDER, _NEWEST)
        for module in standard_library(minor, known)
    )


def is_known(name: str) -> bool:
    """Return whether a distribution is one that the tables of the most used know."""
    return normal(name) in _known()


@functools.cache
def _known() -> frozenset[str]:
    return frozenset(normal(name) for name in known_distributions())


def _parse(text: str) -> "Requirement | None":
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except (InvalidRequirement, ValueError, RecursionError):
        return None


def requirement(text: str) -> str:
    """Return a requirement from an index in its usual spelling, or an empty text."""
    parsed = _parse(text)
    return "" if parsed is None or parsed.url else str(parsed)


def is_specifier(text: str) -> bool:
    """Return whether a text names versions (PEP 440)."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return bool(SpecifierSet(text))
    except InvalidSpecifier:
        return False


def usable(text: str, where: str, notes: list[str]) -> str:
    """Return a requirement as an index for Linux can meet it, or "", with a note on the change.

    `sklearn` is scikit-learn, what is part of Python needs no package, and what exists for
    Windows or macOS alone gets that marker.
    """
    parsed = _parse(text)
    if parsed is None or parsed.url:
        return ""
    name = normal(parsed.name)
    renamed = names_table("renamed").get(name)
    if renamed:
        notes.append(f"{where}: `{parsed.name}` is `{renamed}` on the index: written so")
        parsed.name = renamed
        if name != "sklearn" or "0.0" in str(parsed.specifier):  # versions of something else
            from packaging.specifiers import SpecifierSet

            parsed.specifier = SpecifierSet()
    elif name in {*_BACKPORTS, "pkg-resources"} or (name in _standard() and name != "setuptools"):
        notes.append(f"{where}: `{parsed.name}` is part of Python: left out")
        return ""
    elif whose := names_table("of_conda").get(name):
        notes.append(f"{where}: `{parsed.name}` is of {whose}: left out")
        return ""
    system = names_table("systems").get(name)
    if system and parsed.marker is None:
        return f'{parsed}; sys_platform == "{system}"'
    return str(parsed)


# --- one file and those that it names


@dataclass(slots=True)
class _Reading:
    """A file, and those that it names, while they are read."""

    folder: Folder
    lines: dict[str, None] = field(default_factory=dict)
    constraints: dict[str, None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    python: str = ""
    seen: list[str] = field(default_factory=list)
    waiting: list[tuple[str, bool]] = field(default_factory=list)  # with whether it constrains


def read_requirements(folder: Folder, name: str) -> Requirements | None:
    """Return the requirements of a file and those that it names with `-r`, or None without a file.

    Of a file that a resolver annotated with `# via`, only direct requirements are taken. Raises
    LockstitchError for a file that is too large or outside of the folder.
    """
    if folder.text(name, any_encoding=True) is None:
        return None
    return _whole(_Reading(folder, seen=[name], waiting=[(name, False)]))


def read_lines(folder: Folder, name: str, lines: Iterable[str]) -> Requirements:
    """Return the requirements of lines that stand in another kind of file, as pip reads them."""
    reading = _Reading(folder, seen=[name])
    _read_text(reading, name, "\n".join(lines), constrains=False)
    return _whole(reading)


def _whole(reading: _Reading) -> Requirements:
    while reading.waiting:
        source, constrains = reading.waiting.pop(0)
        content = reading.folder.text(source, any_encoding=True) or ""
        _read_text(reading, source, content, constrains=constrains)
    lines = _local_versions(reading)
    return Requirements(
        lines=tuple(dict.fromkeys(lines)),
        notes=tuple(dict.fromkeys(_gathered(reading.notes))),
        constraints=tuple(reading.constraints),
        sources=reading.sources,
        files=tuple(reading.seen),
        python=reading.python,
    )


def _gathered(notes: Sequence[str]) -> list[str]:
    """Return notes with one about all the files of conda's whose version is not known."""
    conda = {note: match[1] for note in notes if (match := _CONDA_NOTE.fullmatch(note))}
    if len(conda) <= _APART:
        return [*notes]
    names = ", ".join(f"`{name}`" for name in [*conda.values()][:_APART])
    more = f"{names} and {len(conda) - _APART} more are files of conda's: any version of the index"
    return [*(note for note in notes if note not in conda), more]


def _read_text(reading: _Reading, source: str, content: str, *, constrains: bool) -> None:
    indirect = []
    direct = reading.constraints if constrains else reading.lines
    for number, text, comment in _logical(content):
        where = f"`{source}:{number}`"
        command = _COMMAND.fullmatch(text)
        if command:  # a command in a list
            words = [word for word in command[1].split() if not word.startswith("-")]
            direct |= {line: None for word in words if (line := _line(reading, where, word))}
            continue
        if _HEADER.fullmatch(text):
            continue
        if text.startswith("-"):
            _option(reading, source, where, text)
            continue
        line = _line(reading, where, text)
        if line and "via" in comment.split() and not _REFERRED.search(comment):
            indirect.append(line)
        elif line:
            direct[line] = None
    if indirect:
        # A full lock: what others need stays at the version that it has.
        reading.constraints |= dict.fromkeys(line for line in indirect if "==" in line)
        count = len(indirect)
        reading.notes.append(f"`{source}`: {count} packages that others need: left to the lock")


def _line(reading: _Reading, where: str, text: str) -> str:
    """Return the requirement of a line, or "" with a note that says why there is none."""
    bare = _OPTIONS.sub("", text).strip().rstrip(",")
    bare = bare[1:-1] if bare[:1] in {'"', "'"} and bare[-1:] == bare[:1] else bare
    conda = _CONDA.fullmatch(bare) or _TABULAR.fullmatch(bare)
    if conda:
        if conda[3] and kind_of(conda[1], conda[3]):
            return ""
        name = distribution(conda[1]) if conda[3] else conda[1]
        bare = f"{name}=={conda[2]}"
        if conda[3] and of_requirement(name) != "python" and not is_known(name):
            # An export names all that others need; what is not on the index has to do no harm.
            reading.constraints |= {line: None for line in [requirement(bare)] if line}
            return ""
    if of_requirement(bare) == "python" and re.fullmatch(r"python\s*[=<>~!\d.,\s*]*", bare):
        reading.python = reading.python or bare.removeprefix("python").strip()
        return ""
    if _SELF.fullmatch(bare):
        reading.notes.append(f"{where}: `{bare:.40}` is this project: left out")
        return ""
    before = len(reading.notes)
    line = usable(bare, where, reading.notes)
    if line or len(reading.notes) > before:
        return line
    placed = _placed(bare, where, reading.notes) or _sourced(reading, where, bare)
    if not placed and len(reading.notes) == before:
        reading.notes.append(f"{where}: {_why(bare)}: left out")
    return placed


def _placed(text: str, where: str, notes: list[str]) -> str:
    """Return the requirement that conda's pip wrote as a folder of its builds, or ""."""
    name, at, url = text.partition("@")
    parsed = _parse(name.strip())
    if not at or parsed is None or not url.strip().startswith("file:"):
        return ""
    path = unquote(url.partition(";")[0].strip())
    if not _CONDA_BUILD.search(path.replace("\\", "/")):
        return ""
    version = _wheel_version(path)
    line = usable(f"{name.strip()}=={version}" if version else name.strip(), where, notes)
    if line:
        kept = f"version {version} of its file" if version else "any version"
        notes.append(f"{where}: `{parsed.name}` is a file of conda's: {kept} of the index")
    return line


def _sourced(reading: _Reading, where: str, text: str) -> str:
    """Return the name of a requirement that is a repository, a file or a folder, and keep where.

    An address with a login is refused, and a folder outside of the project.
    """
    bare, _, marker = text.partition(" ;")
    name, at, place = bare.partition(" @ ") if " @ " in bare else ("", "", bare)
    place, parsed = place.strip(), _parse(name.strip()) if at else None
    if "://" in place and without_login(place) != place and "//git@" not in place:
        return ""
    source = vcs_source(place) or _folder_source(reading.folder, place)
    if not source and re.match(r"https?://", place):
        source = {"url": place.partition("#")[0]}
    if not source:
        return ""
    egg = re.search(r"[#&]egg=([A-Za-z0-9._-]+)", place)
    filename = posixpath.basename(urlsplit(source.get("url", "")).path)
    guessed = egg[1] if egg else filename.split("-")[0] if filename.endswith(".whl") else ""
    if not guessed and "git" in source:
        guessed = posixpath.basename(source["git"]).removesuffix(".git")
    guessed = guessed or source.get("name", "")
    wanted = parsed.name if parsed else guessed
    if not of_requirement(wanted):
        return ""
    if not parsed and not egg and not source.get("name"):
        reading.notes.append(f"{where}: the name `{of_requirement(wanted)}` is a guess")
    extras = f"[{','.join(sorted(parsed.extras))}]" if parsed and parsed.extras else ""
    reading.sources[of_requirement(wanted)] = {k: v for k, v in source.items() if k != "name"}
    line = f"{wanted}{extras}" + (f"; {marker.strip()}" if marker.strip() else "")
    return requirement(line)


def vcs_source(text: str) -> dict[str, str]:
    """Return the source that `git+https://host/repository@tag#subdirectory=x` means, or {}."""
    match = re.match(r"git\+((?:https?|ssh)://[^#]+?)(?:@([^@/#]+))?(?:#(.*))?$", text.strip())
    if match is None:
        return {}
    source = {"git": match[1]}
    source |= {"rev": match[2]} if match[2] else {}
    below = re.search(r"(?:^|&)subdirectory=([^&]+)", match[3] or "")
    return source | ({"subdirectory": below[1]} if below else {})


def _folder_source(folder: Folder, text: str) -> dict[str, str]:
    """Return the source of a folder of this project that is a package itself, or {}."""
    path = posixpath.normpath(text.removeprefix("file:").partition("[")[0])
    if path.startswith(("..", "/")) or path == "." or "\0" in path or "://" in path:
        return {}
    has = [name for name in ("pyproject.toml", "setup.py") if folder.has(f"{path}/{name}")]
    if not has or not folder.inside(folder.root / path):
        return {}
    content = folder.text(f"{path}/{has[0]}", any_encoding=True) or ""
    name = re.search(r"""\bname\s*=\s*["']([A-Za-z0-9._-]+)["']""", content)
    return {"path": path, "name": name[1] if name else ""}


def _wheel_version(url: str) -> str:
    from packaging.utils import (
        InvalidSdistFilename,
        InvalidWheelFilename,
        parse_sdist_filename,
        parse_wheel_filename,
    )

    filename = posixpath.basename(urlsplit(url).path)
    try:
        return str(parse_wheel_filename(filename)[1])
    except (InvalidWheelFilename, ValueError):
        pass
    try:
        return str(parse_sdist_filename(filename)[1])
    except (InvalidSdistFilename, ValueError):
        return ""


def _logical(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the number, the text and the comment of each requirement, lines joined as pip does."""
    start, pending, comment = 0, "", ""
    joined = False
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = raw if joined else _COMMENT.sub("", raw)
        rest = "" if joined else raw[len(line) :]
        if not joined and not line.strip():
            # An indented comment below a requirement is about it.
            comment += f" {rest.strip().lstrip('#')}" if rest[:1].isspace() else ""
            continue
        if not joined:
            if pending.strip():
                yield start, _COMMENT.sub("", pending).strip(), comment
            start, pending, comment = number, "", ""
        joined = line.endswith("\\")
        pending += line.removesuffix("\\") + " "
        comment += rest.strip().lstrip("#")
    if pending.strip():
        yield start, _COMMENT.sub("", pending).strip(), comment


def _option(reading: _Reading, source: str, where: str, text: str) -> None:
    """Follow `-r` and `-c` inside the folder, keep an index, and note anything else."""
    option, value = argument(text)
    value = value.strip("\"'")
    if option in EDITABLE:
        note = _editable(reading.folder, where, option, value)
        line = _sourced(reading, where, value) if "this project" not in note else ""
        if line:
            reading.lines[line] = None
        else:
            reading.notes.append(note)
    elif option in {"-r", "--requirement", "-c", "--constraint"}:
        _follow(reading, source, where, option, value)
    elif option in {"-i", "--index-url", "--extra-index-url", "-f", "--find-links"} and (
        re.match(r"https?://", value) and not _SECRET.search(value)
    ):
        flat = option in {"-f", "--find-links"}
        reading.indexes.append(f"flat {value}" if flat else value)
        where = f"{where}: `{option}`"
        reading.notes.append(f"{where}: only for versions that no other index has (`+cpu`)")
    elif option not in _HARMLESS:
        reading.notes.append(f"{where}: `{option}` is no requirement: left out")


def _editable(folder: Folder, where: str, option: str, value: str) -> str:
    if _SELF.fullmatch(value):
        return f"{where}: `{option} .` is this project: left out"
    egg = re.search(r"[#&]egg=([A-Za-z0-9._-]+)", value)
    own = egg[1].replace("-", "_").lower() if egg else ""
    names = {name.lower() for name in (*folder.folders(), *folder.folders("src"))}
    if own and own in names:
        return f"{where}: `{option}` of `{own}` is this project: left out"
    return f"{where}: `{option}` is a folder of one machine: left out"


def _follow(reading: _Reading, source: str, where: str, option: str, value: str) -> None:
    folder = reading.folder
    # pip looks beside the file; people also write it as it is seen from the root.
    for base in (posixpath.dirname(source), ""):
        path = posixpath.normpath(posixpath.join(base, value))
        known = not path.startswith(("..", "/")) and "\0" not in path and folder.has(path)
        if known and folder.inside(folder.root / path):
            if path not in reading.seen:
                reading.seen.append(path)
                reading.waiting.append((path, option in {"-c", "--constraint"}))
            return
    reading.notes.append(f"{where}: `{option}` names no file of this folder: left out")


def _local_versions(reading: _Reading) -> list[str]:
    """Return the lines; those whose version (`+cpu`) only another index has get it as a source."""
    lines = []
    for line in reading.lines:
        parsed = _parse(line)
        if parsed is None or "+" not in str(parsed.specifier):
            lines.append(line)
        elif reading.indexes:
            lines.append(line)
            reading.sources[normal(parsed.name)] = {"index": _index_for(line, reading.indexes)}
        else:
            without = re.sub(r"\+[A-Za-z0-9.]+", "", line)
            lines.append(without)
            reading.notes.append(f"`{line}`: no index is named that has it: `{without}` is used")
    return lines


def _index_for(line: str, indexes: Iterable[str]) -> str:
    """Return the index whose address has the local version, else the last that is named."""
    match = re.search(r"\+([A-Za-z]+[0-9]*)", line)
    word = match[1] if match else ""
    named = [*indexes]
    return next((index for index in named if word and word in index), named[-1])


def _why(text: str) -> str:
    shown = without_login(text)[:60]
    if "://" in text or "git+" in text or " @ " in text:
        name = of_requirement(text) if "@" in text.partition("://")[0] else ""
        what = f"`{name}`" if name else "it"
        return f"{what} comes from an address or a folder, not from an index"
    if _LOCAL.match(text):
        return f"`{shown}` is a path of one machine"
    return f"`{shown}` is no requirement"
