"""Reads requirements files with hashes and says what they pin for a target."""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lockstitch import files
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.python.locks.poetry import Pinned, best_wheel, holds
from lockstitch.python.target import Target

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = ["ignored", "read", "select", "sources"]

_COMMENT = re.compile(r"(^|\s+)#.*$")  # as pip reads it
_OPTION = re.compile(r"(?:^|\s)-{1,2}[A-Za-z]")
_HASH = re.compile(r"\s*--hash(?:=|\s+)(\S+)")
_ARGUMENT = re.compile(r"(--?[A-Za-z-]+?)(?:=|\s+|(?<=^-[a-zA-Z])|$)(.*)")
_VCS = re.compile(r"(?:git|hg|svn|bzr)(?:\+|://)")
_LOCAL = re.compile(r"(?:\.{1,2}$|[./~]|file:|[A-Za-z]:\\)|.*(?:\.whl|\.tar\.gz|\.zip|[/\\].*)$")
# What is about how a file is found or built; uv is set up for that, and only wheels are used.
_IGNORED = frozenset(
    {"-i", "--index-url", "--extra-index-url", "--no-index", "-f", "--find-links"}
    | {"--trusted-host", "--pre", "--prefer-binary", "--only-binary", "--no-binary"}
    | {"--require-hashes", "--use-feature"}
)
_BUILD_OPTIONS = re.compile(r"\s*--(?:global-option|config-settings?|build-option)(?:=|\s+)\S+")
_BUILD = "publish its wheel in an index and pin that version: uv build --wheel"

Follow = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A logical line: its text, and the file and the number of its first line."""

    source: str
    number: int
    text: str

    def error(self, message: str, hint: str) -> LockstitchError:
        return LockstitchError(f"`{self.source}:{self.number}`: {message}", hint=hint)

    @property
    def compile(self) -> str:
        """The command that pins and hashes what the file asks for."""
        stem = self.source.removesuffix(".txt").removesuffix(".in")
        words = "uv pip compile --universal --generate-hashes"
        return f"{words} {self.source} -o {stem}-lock.txt"

    @property
    def export(self) -> str:
        """The command that writes the file from the project's lock."""
        return f"uv export --no-emit-local --format requirements.txt -o {self.source}"


def read(root: Path, name: str, target: Target) -> list[Pinned]:
    """Return what a file of a project pins for a target; `-r` is followed inside the project."""
    follow = _inside(root)
    return select(follow(name), target, name, follow)


def sources(root: Path, name: str) -> list[str]:
    """Return the names of a file and of all that it names with `-r`, sorted.

    What cannot be read is left out; `read` says what is wrong with it.
    """
    found = [name]
    inside = _inside(root)

    def follow(path: str) -> str:
        text = inside(path)
        found.append(path)
        return text

    for _ in _followed(inside(name), name, follow, []):
        pass
    return sorted(found)


def _inside(root: Path) -> Follow:
    def follow(path: str) -> str:
        if not (root / path).resolve().is_relative_to(root.resolve()):
            message = f"`{path}` leads out of the project"
            raise LockstitchError(message, hint="keep a copy of it in the project")
        return files.read_text(root / path)

    return follow


def select(
    text: str, target: Target, source: str = "requirements.txt", follow: Follow | None = None
) -> list[Pinned]:
    """Return what a requirements file pins for a target, by name.

    `follow` returns the text of a file that `-r` names, by its POSIX path from the project's
    folder; without it, `-r` is an error. Raises one LockstitchError that lists every line that
    pins nothing: no `==`, no sha256, a path, a repository, an editable install.
    """
    problems: list[LockstitchError] = []
    environment = target.markers()
    pins: dict[str, tuple[_Line, Pinned]] = {}
    for line in _followed(text, source, follow, problems):
        try:
            pin = _pin(line, environment)
        except LockstitchError as error:
            problems.append(error)
            continue
        if pin is None:
            continue
        first, known = pins.setdefault(pin.name, (line, pin))
        if known != pin:
            message = f"`{pin.name}` is pinned twice for {target.platform}: {known.version} at "
            message += f"`{first.source}:{first.number}`, {pin.version} here"
            problems.append(line.error(message, "keep one of the two lines"))
    for line, pin in pins.values():
        problems += _addressed(line, pin, target)
    raise_all(problems)
    return sorted((pin for _, pin in pins.values()), key=lambda pin: pin.name)


def ignored(text: str, source: str = "requirements.txt") -> list[str]:
    """Return a note for each option that changes nothing here; its value is not shown."""
    found = []
    for line in _lines(text, source):
        option = _argument(line.text)[0]
        if option in _IGNORED:
            found.append(f"`{source}:{line.number}`: `{option}` is ignored: uv's settings count")
    return found


# --- lines


def _lines(text: str, source: str) -> Iterator[_Line]:
    """Yield what is left of a file when lines are joined and comments are gone, as pip does."""
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
            yield _Line(source=source, number=start, text=stripped)
    stripped = _COMMENT.sub("", pending).strip()
    if stripped:
        yield _Line(source=source, number=start, text=stripped)


def _followed(
    text: str, source: str, follow: Follow | None, problems: list[LockstitchError]
) -> Iterator[_Line]:
    """Yield the requirements of a file and of those it names, each file once."""
    seen, waiting = {source}, [(source, text)]
    while waiting:
        name, content = waiting.pop()
        for line in _lines(content, name):
            option, value = _argument(line.text)
            if not option:
                yield line
            elif option in {"-r", "--requirement"} and follow is not None:
                path = value  # an address is refused as it stands
                if "://" not in value:
                    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), value))
                if path in seen:
                    continue
                seen.add(path)
                try:
                    waiting.append((path, _fetched(line, path, follow)))
                except LockstitchError as error:
                    problems.append(error)
            elif option not in _IGNORED:
                problems.append(_refused(line, option, value))


def _fetched(line: _Line, path: str, follow: Follow) -> str:
    if path == "." or path.startswith(("..", "/")) or "://" in path or "\0" in path:
        message = f"`-r {_bare(path)!r:.80}` leads out of the project"
        raise line.error(message, "put its requirements into this file")
    try:
        return follow(path)
    except LockstitchError as error:
        raise line.error(error.message, error.hint or "name a file that is there") from error


def _argument(text: str) -> tuple[str, str]:
    found = _ARGUMENT.fullmatch(text) if text.startswith("-") else None
    if found is None:
        return ("-", "") if text.startswith("-") else ("", text)
    return found[1], found[2].strip()


def _refused(line: _Line, option: str, value: str) -> LockstitchError:
    if option in {"-e", "--editable"}:
        message = f"`{option} {_bare(value):.80}` is editable: a folder of one machine"
        return line.error(message, line.export)
    if option in {"-c", "--constraint", "-r", "--requirement"}:
        message = (
            f"`{option} {_bare(value):.80}` names another file, whose pins are not locked here"
        )
        return line.error(message, line.compile)
    return line.error(f"`{option}` is no option that lockstitch knows", line.compile)


def _bare(text: str) -> str:
    """Return a text without the user and password of an address in it."""
    return re.sub(r"//[^/\s]*@", "//", text)


# --- requirements


def _pin(line: _Line, environment: Mapping[str, str]) -> Pinned | None:
    """Return what a line pins, or None when its marker is false."""
    cut = _OPTION.search(line.text)
    head, options = (line.text[: cut.start()], line.text[cut.start() :]) if cut else (line.text, "")
    requirement = _requirement(line, head)
    marker = str(requirement.marker or "")
    try:
        if not holds(marker, environment):
            return None
    except LockstitchError as error:
        raise line.error(error.message, line.compile) from error
    name = str(_canonical(requirement.name))
    rest = _BUILD_OPTIONS.sub("", _HASH.sub("", options)).strip()
    if rest:
        message = f"`{name}` has an option `{rest:.80}`"
        raise line.error(message, line.compile)
    given = [*_HASH.findall(options), *_fragment(requirement.url or "")]
    version, filename = _version(line, requirement)
    return Pinned(
        name=name,
        version=version,
        hashes=_hashes(line, name, given),
        filename=filename,
        url=_bare(requirement.url or "").partition("#")[0],
    )


def _requirement(line: _Line, head: str) -> "Requirement":
    from packaging.requirements import InvalidRequirement, Requirement

    shown = _bare(head.strip())
    if _VCS.match(head):
        message = f"`{shown:.80}` is a repository"
        raise line.error(message, _BUILD)
    try:
        found = Requirement(head)
    except (InvalidRequirement, ValueError, RecursionError) as error:
        if "://" in head and not head.startswith("file:"):
            message = f"`{shown:.80}` is an address without a name"
            raise line.error(message, f"write it as NAME @ URL, then: {line.compile}") from error
        if _LOCAL.match(head):
            message = f"`{shown:.80}` is a path of one machine"
            raise line.error(message, line.export) from error
        message = f"`{shown:.80}` is no requirement: {str(error).partition(chr(10))[0]:.200}"
        raise line.error(message, line.compile) from error
    if found.url and _VCS.match(found.url):
        message = f"`{found.name}` comes from a repository"
        raise line.error(message, _BUILD)
    if found.url and not found.url.startswith(("https://", "http://")):
        message = f"`{found.name}` is a path of one machine, `{_bare(found.url):.80}`"
        raise line.error(message, line.export)
    return found


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def _version(line: _Line, requirement: "Requirement") -> tuple[str, str]:
    """Return the version, and the file name where the line has an address."""
    from packaging.utils import parse_wheel_filename
    from packaging.version import Version

    name = requirement.name
    if requirement.url:
        try:
            filename = unquote(posixpath.basename(urlsplit(requirement.url).path))
            return str(parse_wheel_filename(filename)[1]), filename
        except ValueError as error:
            message = f"`{name}` comes from an address that is no wheel"
            raise line.error(message, _BUILD) from error
    clauses = list(requirement.specifier)
    exact = [c.version for c in clauses if c.operator in {"==", "==="}]
    if len(clauses) != 1 or len(exact) != 1 or exact[0].endswith(".*"):
        asked = str(requirement.specifier) or "any version"
        message = f"`{name}` is not pinned with `==`: {asked:.80}"
        raise line.error(message, line.compile)
    try:
        return str(Version(exact[0])), ""
    except ValueError as error:
        message = f"`{name}` has no version that can be compared: `{exact[0]:.80}`"
        raise line.error(message, line.compile) from error


def _fragment(url: str) -> list[str]:
    found = re.search(r"#(?:.*&)?(sha256)=([0-9A-Fa-f]+)", url)
    return [f"{found[1]}:{found[2]}"] if found else []


def _hashes(line: _Line, name: str, given: Iterable[str]) -> frozenset[Digest]:
    found, others = set(), set()
    for each in given:
        algorithm, _, value = each.partition(":")
        if algorithm != "sha256":
            others.add(algorithm)
            continue
        try:
            found.add(Digest.of_hex(value))
        except LockstitchError as error:
            message = f"`{name}`: {error.message}"
            raise line.error(message, line.compile) from error
    if not found:
        only = f", only {', '.join(sorted(others)):.80}" if others else ""
        message = f"`{name}` has no sha256{only}"
        raise line.error(message, line.compile)
    return frozenset(found)


def _addressed(line: _Line, pin: Pinned, target: Target) -> list[LockstitchError]:
    """Return what is wrong with a pin that names a file by its address."""
    if not pin.url:
        return []
    tags = list(target.tags())
    if best_wheel([pin.filename], tags, name=pin.name, version=pin.version):
        return []
    message = f"`{pin.filename}` is no wheel of `{pin.name}` for {target.platform}, "
    message += f"CPython {target.minor}"
    return [line.error(message, "name the address of a wheel that fits")]
