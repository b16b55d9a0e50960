"""Reads requirements files with hashes and says what they pin for a target."""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from lockstitch import files
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, collected, raise_all
from lockstitch.patterns import regex
from lockstitch.python.locks import lists
from lockstitch.python.locks.graph import File, Graph, Package, Source, holds
from lockstitch.python.locks.lists import EDITABLE, HASH, VCS, Line, argument, lines, without_login
from lockstitch.python.locks.resolution import Pinned, best_wheel
from lockstitch.python.names import normal
from lockstitch.python.target import Target

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_OPTION = regex(r"(?:^|\s)-{1,2}[A-Za-z]")
_LOCAL = regex(r"(?:\.{1,2}$|[./~]|file:|[A-Za-z]:\\)|.*(?:\.whl|\.tar\.gz|\.zip|[/\\].*)$")
# What is about how a file is found or built; uv is set up for that, and only wheels are used.
_IGNORED = frozenset(
    {"-i", "--index-url", "--extra-index-url", "--no-index", "-f", "--find-links"}
    | {"--trusted-host", "--pre", "--prefer-binary", "--only-binary", "--no-binary"}
    | {"--require-hashes", "--use-feature"}
)
_BUILD_OPTIONS = regex(r"\s*--(?:global-option|config-settings?|build-option)(?:=|\s+)\S+")
_BUILD = "publish its wheel in an index and pin that version: uv build --wheel"

Follow = Callable[[str], str]  # the text of a file that `-r` names


def read(
    text: str,
    source: str = "requirements.txt",
    problems: list[LockstitchError] | None = None,
    document: Mapping[str, Any] | None = None,  # noqa: ARG001 -- there is none
) -> Graph:
    """Return the graph of a requirements file: its packages, which say nothing of each other.

    Names each requirement that is not pinned in `problems`. Without such a list, raises
    LockstitchError for every line that pins nothing.
    """
    entries = lists.read(text).entries
    if problems is None:
        wrong: list[LockstitchError] = []
        for line in _followed(text, source, None, wrong):
            with collected(wrong):
                _pin(line, None)
        raise_all(wrong)
    else:
        problems += [
            LockstitchError(
                f"`{source}:{entry.line}`: `{without_login(entry.text):.80}` is not pinned"
            )
            for entry in entries
            if not entry.pinned and not entry.local
        ]
    packages = tuple(
        Package(
            name=entry.name,
            version=entry.version,
            source=Source(kind=entry.local or "registry", url=entry.url),
            files=tuple(File(name="", hash=digest) for digest in entry.hashes),
            marker=entry.marker,
            line=entry.line,
        )
        for entry in entries
    )
    return Graph(path=source, kind="requirements", packages=packages)


# --- what a file pins, strictly


def pins(root: Path, name: str, target: Target) -> list[Pinned]:
    """Return a file's pins, with `-r`, for a target; raises LockstitchError where one lacks."""
    follow = _inside(root)
    return select(follow(name), target, name, follow)


def sources(root: Path, name: str) -> list[str]:
    """Return a file's name and those that it includes with `-r`, sorted; `pins` checks them."""
    names = [name]
    inside = _inside(root)

    def follow(path: str) -> str:
        text = inside(path)
        names.append(path)
        return text

    for _ in _followed(inside(name), name, follow, []):
        pass
    return sorted(names)


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
    """Return the pins of a requirements file for a target, by name.

    `follow` returns the text of a file that `-r` names, by its POSIX path from the project's
    folder; without it, `-r` is an error. Raises one LockstitchError that lists every line that
    pins nothing: no `==`, no sha256, a path, a repository, an editable install.
    """
    problems: list[LockstitchError] = []
    environment = target.markers()
    by_name: dict[str, tuple[Line, Pinned]] = {}
    for line in _followed(text, source, follow, problems):
        try:
            pin = _pin(line, environment)
        except LockstitchError as error:
            problems.append(error)
            continue
        if pin is None:
            continue
        first, known = by_name.setdefault(pin.name, (line, pin))
        if known != pin:
            message = f"`{pin.name}` is pinned twice for {target.platform}: {known.version} at "
            message += f"`{first.source}:{first.number}`, {pin.version} here"
            problems.append(line.error(message, "keep one of the two lines"))
    for line, pin in by_name.values():
        problems += _addressed(line, pin, target)
    raise_all(problems)
    return sorted((pin for _, pin in by_name.values()), key=lambda pin: pin.name)


def ignored(text: str, source: str = "requirements.txt") -> list[str]:
    """Return a note for each option that changes nothing here; its value is not shown."""
    notes = []
    for line in lines(text, source):
        option = argument(line.text)[0]
        if option in _IGNORED:
            notes.append(f"`{source}:{line.number}`: `{option}` is ignored: uv's settings count")
    return notes


def _followed(
    text: str, source: str, follow: Follow | None, problems: list[LockstitchError]
) -> Iterator[Line]:
    """Yield the requirements of a file and of those it names, each file once."""
    seen, waiting = {source}, [(source, text)]
    while waiting:
        name, content = waiting.pop()
        for line in lines(content, name):
            option, value = argument(line.text)
            if not option:
                yield line
            elif option in {"-r", "--requirement"} and follow is not None:
                path = value  # an address is refused as it stands
                if "://" not in value:
                    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), value))
                if path in seen:
                    continue
                seen.add(path)
                with collected(problems):
                    waiting.append((path, _fetched(line, path, follow)))
            elif option not in _IGNORED:
                problems.append(_refused(line, option, value))


def _fetched(line: Line, path: str, follow: Follow) -> str:
    if path == "." or path.startswith(("..", "/")) or "://" in path or "\0" in path:
        message = f"`-r {without_login(path)!r:.80}` leads out of the project"
        raise line.error(message, "put its requirements into this file")
    try:
        return follow(path)
    except LockstitchError as error:
        raise line.error(error.message, error.hint or "name a file that is there") from error


def _refused(line: Line, option: str, value: str) -> LockstitchError:
    if option in EDITABLE:
        message = f"`{option} {without_login(value):.80}` is editable: a folder of one machine"
        return line.error(message, line.export)
    if option in {"-c", "--constraint", "-r", "--requirement"}:
        shown = f"{option} {without_login(value):.80}"
        message = f"`{shown}` names another file, whose pins are not locked here"
        return line.error(message, line.compile)
    return line.error(f"`{option}` is no option that lockstitch knows", line.compile)


def _pin(line: Line, environment: Mapping[str, str] | None) -> Pinned | None:
    """Return a line's pin, or None when its marker is false; without environment it is not."""
    cut = _OPTION.search(line.text)
    head, options = (line.text[: cut.start()], line.text[cut.start() :]) if cut else (line.text, "")
    requirement = _requirement(line, head)
    marker = str(requirement.marker or "")
    try:
        if environment is not None and not holds(marker, environment):
            return None
    except LockstitchError as error:
        raise line.error(error.message, line.compile) from error
    name = normal(requirement.name)
    rest = _BUILD_OPTIONS.sub("", HASH.sub("", options)).strip()
    if rest:
        raise line.error(f"`{name}` has an option `{rest:.80}`", line.compile)
    match = re.search(r"#(?:.*&)?(sha256)=([0-9A-Fa-f]+)", requirement.url or "")
    given = [*HASH.findall(options), *([f"{match[1]}:{match[2]}"] if match else [])]
    version, filename = _version(line, requirement)
    return Pinned(
        name=name,
        version=version,
        hashes=_hashes(line, name, given),
        filename=filename,
        url=without_login(requirement.url or "").partition("#")[0],
    )


def _requirement(line: Line, head: str) -> "Requirement":
    from packaging.requirements import InvalidRequirement, Requirement

    shown = without_login(head.strip())
    if VCS.match(head):
        raise line.error(f"`{shown:.80}` is a repository", _BUILD)
    try:
        parsed = Requirement(head)
    except (InvalidRequirement, ValueError, RecursionError) as error:
        if "://" in head and not head.startswith("file:"):
            message = f"`{shown:.80}` is an address without a name"
            raise line.error(message, f"write it as NAME @ URL, then: {line.compile}") from error
        if _LOCAL.match(head):
            raise line.error(f"`{shown:.80}` is a path of one machine", line.export) from error
        message = f"`{shown:.80}` is no requirement: {str(error).partition(chr(10))[0]:.200}"
        raise line.error(message, line.compile) from error
    if parsed.url and VCS.match(parsed.url):
        raise line.error(f"`{parsed.name}` comes from a repository", _BUILD)
    if parsed.url and not parsed.url.startswith(("https://", "http://")):
        message = f"`{parsed.name}` is a path of one machine, `{without_login(parsed.url):.80}`"
        raise line.error(message, line.export)
    return parsed


def _version(line: Line, requirement: "Requirement") -> tuple[str, str]:
    """Return the version, and the file name where the line has an address."""
    from packaging.utils import parse_wheel_filename
    from packaging.version import Version

    name = requirement.name
    if requirement.url:
        try:
            filename = unquote(posixpath.basename(urlsplit(requirement.url).path))
            return str(parse_wheel_filename(filename)[1]), filename
        except ValueError as error:
            raise line.error(f"`{name}` comes from an address that is no wheel", _BUILD) from error
    clauses = list(requirement.specifier)
    exact = [c.version for c in clauses if c.operator in {"==", "==="}]
    if len(clauses) != 1 or len(exact) != 1 or exact[0].endswith(".*"):
        asked = str(requirement.specifier) or "any version"
        raise line.error(f"`{name}` is not pinned with `==`: {asked:.80}", line.compile)
    try:
        return str(Version(exact[0])), ""
    except ValueError as error:
        message = f"`{name}` has no version that can be compared: `{exact[0]:.80}`"
        raise line.error(message, line.compile) from error


def _hashes(line: Line, name: str, given: Iterable[str]) -> frozenset[Digest]:
    digests, others = set(), set()
    for text in given:
        algorithm, _, value = text.partition(":")
        if algorithm != "sha256":
            others.add(algorithm)
            continue
        try:
            digests.add(Digest.of_hex(value))
        except LockstitchError as error:
            raise line.error(f"`{name}`: {error.message}", line.compile) from error
    if not digests:
        only = f", only {', '.join(sorted(others)):.80}" if others else ""
        raise line.error(f"`{name}` has no sha256{only}", line.compile)
    return frozenset(digests)


def _addressed(line: Line, pin: Pinned, target: Target) -> list[LockstitchError]:
    """Return the problem of a pin that names a file by its address."""
    if not pin.url:
        return []
    if best_wheel([pin.filename], list(target.tags()), name=pin.name, version=pin.version):
        return []
    message = f"`{pin.filename}` is no wheel of `{pin.name}` for {target.platform}, "
    message += f"CPython {target.minor}"
    return [line.error(message, "name the address of a wheel that fits")]
