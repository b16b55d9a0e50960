"""Reads a requirements file of any quality: what pip would install from it, line by line."""

import functools
import re
from posixpath import basename

from lockstitch.patterns import regex
from lockstitch.values import frozen

__all__ = ["Listed", "Option", "Required", "is_name", "read"]

_NAME = regex(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*")
_PIN = regex(r"===?\s*(?P<version>[^\s,;*]+)\s*$")
_HASH = regex(r"--hash[= ](\S+)")
_COMMENT = regex(r"(?:^|\s)#.*$")
_EDITABLE = regex(r"(?:-e|--editable)[ =]*(?P<what>.*)")
_OPTION = regex(r"(?P<name>--?[A-Za-z][A-Za-z-]*)[ =]*(?P<value>.*)")
_VCS = regex(r"(?:git|hg|svn|bzr)\+")
_EGG = regex(r"[#&]egg=([A-Za-z0-9._-]+)")


@frozen
class Required:
    """One requirement; `local` is empty, or editable, path, git or url."""

    name: str  # normal; empty for a path whose name only a build can tell
    line: int
    text: str  # as it stands, continued lines joined, without hashes and comments
    specifier: str = ""
    version: str = ""  # of an exact pin
    hashes: tuple[str, ...] = ()
    marker: str = ""
    local: str = ""
    url: str = ""

    @property
    def pinned(self) -> bool:
        """Return whether it can only be one version."""
        return bool(self.version)


@frozen
class Option:
    """One line of options: `-r`, `-c`, `--index-url` and their kin."""

    name: str
    value: str
    line: int


@frozen
class Listed:
    """What a requirements file says."""

    entries: tuple[Required, ...]
    options: tuple[Option, ...]


def is_name(path: str) -> bool:
    """Return whether a file's name says that it is a list of requirements."""
    name = basename(path).lower()
    if not name.endswith((".txt", ".in")):
        return False
    return "requirements" in name or "constraints" in name or "/requirements/" in f"/{path.lower()}"


@functools.lru_cache(maxsize=64)
def read(text: str) -> Listed:
    """Return what a requirements file says; it never raises."""
    entries: list[Required] = []
    options: list[Option] = []
    for number, line in _joined(text.removeprefix("\ufeff")):
        hashes = tuple(_HASH.findall(line))
        bare = " ".join(_HASH.sub("", line).split())
        if not bare:
            continue
        editable = _EDITABLE.fullmatch(bare)
        if editable:
            entries.append(_place(editable["what"].strip(" \"'"), number, "editable", bare))
        elif bare.startswith("-"):
            match = _OPTION.fullmatch(bare)
            if match:
                options.append(Option(name=match["name"], value=match["value"], line=number))
        else:
            entries.append(_entry(bare, number, hashes))
    return Listed(entries=tuple(entries), options=tuple(options))


def _joined(text: str) -> list[tuple[int, str]]:
    """Return the logical lines with the number of their first one, comments taken off."""
    found: list[tuple[int, str]] = []
    open_line = ""
    first = 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if open_line else number
        if line.lstrip().startswith("#"):
            continue
        bare = (_COMMENT.sub("", line) if "#" in line else line).rstrip()
        if bare.endswith("\\"):
            open_line += bare[:-1] + " "
            continue
        found.append((first, open_line + bare))
        open_line = ""
    return [*found, (first, open_line)] if open_line else found


def _entry(text: str, line: int, hashes: tuple[str, ...]) -> Required:
    if _VCS.match(text) or "://" in text.split(" @ ", 1)[0] or text.startswith((".", "/", "~")):
        return _place(text, line, "", text)
    match = _NAME.match(text)
    if match is None or (match.end() == 0):
        return _place(text, line, "path", text)
    name, rest = _normal(match["name"]), text[match.end() :]
    if rest.startswith("@"):
        placed = _place(rest[1:].strip().split(" ;")[0], line, "", text)
        return Required(name=name, line=line, text=text, local=placed.local, url=placed.url)
    if "/" in rest.split(";")[0] or text.split(";", maxsplit=1)[0].strip().endswith(
        (".whl", ".tar.gz", ".zip")
    ):
        return _place(text, line, "path", text)
    specifier, _, marker = rest.partition(";")
    specifier = specifier.strip().strip("()").strip()
    pin = _PIN.match(specifier)
    return Required(
        name=name,
        line=line,
        text=text,
        specifier=specifier,
        version=pin["version"] if pin else "",
        hashes=hashes,
        marker=marker.strip(),
    )


def _place(what: str, line: int, kind: str, text: str) -> Required:
    """Return a requirement that is a place: a folder, a file, a repository or an address."""
    egg = _EGG.search(what)
    if not kind:
        kind = "git" if _VCS.match(what) else "url"
        kind = "path" if what.startswith(("file:", ".", "/", "~")) else kind
    name = _normal(egg[1]) if egg else ""
    return Required(name=name, line=line, text=text, local=kind, url=what)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
