"""Lists of requirements of any quality: what each line says, as pip reads it; nothing raises."""

import functools
import posixpath
import re
from collections.abc import Iterator

from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.python.names import normal
from lockstitch.values import frozen, replace

_COMMENT = regex(r"(^|\s+)#.*$")  # as pip reads it
_NAME = regex(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*")
_PIN = regex(r"===?\s*(?P<version>[^\s,;*]+)\s*$")
_EGG = regex(r"[#&]egg=([A-Za-z0-9._-]+)")
EDITABLE = frozenset({"-e", "--editable"})
_ARGUMENT = regex(r"(--?[A-Za-z-]+?)(?:=|\s+|(?<=^-[a-zA-Z])|$)(.*)")
HASH = regex(r"\s*--hash(?:=|\s+)(\S+)")
VCS = regex(r"(?:git|hg|svn|bzr)(?:\+|://)")


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
        """Whether it can only be one version."""
        return bool(self.version)


@frozen
class Option:
    """One line of options: `-r`, `-c`, `--index-url` and their kin."""

    name: str
    value: str
    line: int


@frozen
class Listed:
    """The lines of a requirements file."""

    entries: tuple[Required, ...]
    options: tuple[Option, ...]

    @property
    def is_lock(self) -> bool:
        """Whether it pins all that it names, and names something."""
        return bool(self.entries) and all(entry.pinned or entry.local for entry in self.entries)


def is_name(path: str) -> bool:
    """Return whether a file's name says that it is a list of requirements."""
    name = posixpath.basename(path).lower()
    if not name.endswith((".txt", ".in")):
        return False
    return "requirements" in name or "constraints" in name or "/requirements/" in f"/{path.lower()}"


@functools.lru_cache(maxsize=64)
def read(text: str) -> Listed:
    """Return the requirements in a file of any quality; it never raises."""
    entries: list[Required] = []
    options: list[Option] = []
    for line in lines(text, ""):
        hashes = tuple(HASH.findall(line.text))
        bare = " ".join(HASH.sub("", line.text).rstrip("\\").split())
        option, value = argument(bare)
        if not bare and hashes and entries:  # after a comment between continued lines
            last = entries[-1]
            entries[-1] = replace(last, hashes=(*last.hashes, *hashes))
        elif option in EDITABLE:
            entries.append(_place(value.strip(" \"'"), line.number, "editable", bare))
        elif option:
            options.append(Option(name=option, value=value, line=line.number))
        elif bare:
            entries.append(_entry(bare, line.number, hashes))
    return Listed(entries=tuple(entries), options=tuple(o for o in options if o.name != "-"))


def _entry(text: str, line: int, hashes: tuple[str, ...]) -> Required:
    if VCS.match(text) or "://" in text.split(" @ ", 1)[0] or text.startswith((".", "/", "~")):
        return _place(text, line, "", text)
    match = _NAME.match(text)
    if match is None:
        return _place(text, line, "path", text)
    name, rest = normal(match["name"]), text[match.end() :]
    if rest.startswith("@"):
        placed = _place(rest[1:].strip().split(" ;")[0], line, "", text)
        return replace(placed, name=name)
    required, _, marker = rest.partition(";")
    whole = text.partition(";")[0].strip()
    if "/" in required or whole.endswith((".whl", ".tar.gz", ".zip")):
        return _place(text, line, "path", text)
    specifier = required.strip().strip("()").strip()
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
        kind = "git" if VCS.match(what) else "url"
        kind = "path" if what.startswith(("file:", ".", "/", "~")) else kind
    return Required(name=normal(egg[1]) if egg else "", line=line, text=text, local=kind, url=what)


# --- lines


@frozen
class Line:
    """A logical line: its text, and the file and the number of its first line."""

    source: str
    number: int
    text: str

    def error(self, message: str, hint: str) -> LockstitchError:
        """Return an error that names the line."""
        return LockstitchError(f"`{self.source}:{self.number}`: {message}", hint=hint)

    @property
    def compile(self) -> str:
        """The command that pins and hashes what the file lists."""
        stem = self.source.removesuffix(".txt").removesuffix(".in")
        words = "uv pip compile --universal --generate-hashes"
        return f"{words} {self.source} -o {stem}-lock.txt"

    @property
    def export(self) -> str:
        """The command that writes the file from the project's lock."""
        return f"uv export --no-emit-local --format requirements.txt -o {self.source}"


def lines(text: str, source: str) -> Iterator[Line]:
    """Yield a file's logical lines, joined and without comments, as pip reads them."""
    pending, start = "", 0
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        comment = _COMMENT.match(raw) is not None
        start = start if pending else number
        if raw.endswith("\\") and not comment:
            pending += raw[:-1] + " "
            continue
        line, pending = pending + (f" {raw}" if comment else raw), ""
        stripped = _COMMENT.sub("", line).strip()
        if stripped:
            yield Line(source=source, number=start, text=stripped)
    stripped = _COMMENT.sub("", pending).strip()
    if stripped:
        yield Line(source=source, number=start, text=stripped)


def argument(text: str) -> tuple[str, str]:
    """Return the option that a line begins with, "" without one, and its value."""
    match = _ARGUMENT.fullmatch(text) if text.startswith("-") else None
    if match is None:
        return ("-", "") if text.startswith("-") else ("", text)
    return match[1], match[2].strip()


def without_login(text: str) -> str:
    """Return a text without the user and password of an address in it."""
    return re.sub(r"//[^/\s]*@", "//", text)
