"""Reads poetry.lock and says which wheels it means for a target."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.python.tables import Table, parse_toml
from lockstitch.python.target import Target

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet
    from packaging.tags import Tag

__all__ = ["Pinned", "best_wheel", "holds", "requirements", "select", "sources"]

_MAIN = "main"
_LOCK = "poetry lock"  # Poetry 2 keeps the versions that are locked
_WAY_OUT = "pin a version that has one, or build its wheel first: uv build --wheel"
_VERSION = re.compile(r"2\.(\d{1,4})")
_EXTRA = re.compile(r'(?<!["\w])extra (==|!=) "([^"]*)"')
_ALWAYS, _NEVER = 'python_version >= "3"', 'python_version < "3"'
_KINDS = {
    "git": "a repository",
    "directory": "a folder of one machine",
    "file": "a file of one machine",
    "url": "an address outside of any index",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """One package that a lock without addresses pins for a target."""

    name: str  # normalised (PEP 503)
    version: str
    hashes: frozenset[Digest]  # any of these, and nothing else
    filename: str = ""  # of the wheel, where the lock has file names
    index: str = ""  # `NAME=URL` of the index that the lock names, without a user or a password
    url: str = ""  # where the lock names a file by its address


@dataclass(frozen=True, slots=True, kw_only=True)
class _Package:
    """One `[[package]]`: its marker in each of its groups, and its files by name."""

    where: str
    name: str
    version: str
    markers: Mapping[str, str]
    files: Mapping[str, str]
    kind: str = ""
    index: str = ""

    def __str__(self) -> str:
        return f"`{self.name} {self.version}`"


def select(
    text: str,
    target: Target,
    groups: Collection[str] = (),
    extras: Collection[str] = (),
    source: str = "poetry.lock",
) -> list[Pinned]:
    """Return what a lock means for a target: the main group, more groups and extras, by name.

    Raises one LockstitchError that lists every package that comes from no index, has no wheel
    that fits, or stands there in two versions.
    """
    from packaging.utils import canonicalize_name

    document = _document(text, source)
    packages = _packages(document, source)
    wanted = {_MAIN, *(str(canonicalize_name(group)) for group in groups)}
    active = {str(canonicalize_name(extra)) for extra in extras}
    _check_python(document, target, source)
    _check_extras(document, active, source)
    environment = target.markers()
    problems: list[LockstitchError] = []
    chosen = []
    for package in packages:
        markers = {m for group, m in package.markers.items() if group in wanted}
        try:
            if any(holds(marker, environment, active) for marker in sorted(markers)):
                chosen.append(package)
        except LockstitchError as error:
            message = f"`{source}`: `{package.where}.markers`: {error.message}"
            problems.append(LockstitchError(message, hint=_LOCK))
    problems += _twice(chosen, target)
    tags = list(target.tags())
    pins = []
    for package in chosen:
        try:
            pins.append(_pinned(package, target, tags))
        except LockstitchError as error:
            problems.append(error)
    raise_all(problems)
    return sorted(pins, key=lambda pin: pin.name)


def requirements(text: str, source: str = "poetry.lock") -> str:
    """Return all of a lock, every group and extra, as requirements with hashes and markers."""
    packages = _packages(_document(text, source), source)
    raise_all([_foreign(package) for package in packages if package.kind])
    lines = []
    for package in sorted(packages, key=lambda each: (each.name, each.version)):
        markers = sorted({_all_extras(marker) for marker in package.markers.values()})
        either = " or ".join(f"({m})" if len(markers) > 1 else m for m in markers)
        condition = "" if _ALWAYS in markers else f" ; {either}"
        hashes = sorted({h for h in package.files.values() if h.startswith("sha256:")})
        if not hashes:
            message = f"{package} has no sha256 in `{source}`"
            raise LockstitchError(message, hint=_LOCK)
        pin = f"{package.name}=={package.version}{condition}"
        lines.append(" \\\n    ".join([pin, *(f"--hash={digest}" for digest in hashes)]) + "\n")
    return "".join(lines)


def sources(text: str, source: str = "poetry.lock") -> list[str]:
    """Return the names of the packages that a lock has no wheel of, sorted."""
    packages = _packages(_document(text, source), source)
    has_none = (p for p in packages if not any(name.endswith(".whl") for name in p.files))
    return sorted(package.name for package in has_none)


def holds(marker: str, environment: Mapping[str, str], extras: Collection[str] = ()) -> bool:
    """Return whether a marker is true for an environment and a set of active extras.

    Raises LockstitchError when the marker is not one, or compares what cannot be compared.
    """
    from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName

    if marker in {"", "*"}:
        return True
    if marker == "<empty>":  # how Poetry writes one that is never true
        return False

    def of_extra(match: re.Match[str]) -> str:
        # Many extras can be active, `extra` has one value in packaging: so Poetry's rule, by hand.
        return _ALWAYS if (match[2] in extras) == (match[1] == "==") else _NEVER

    try:
        plain = _EXTRA.sub(of_extra, str(Marker(marker)))
        return Marker(plain).evaluate(dict(environment))
    except (ValueError, UndefinedComparison, UndefinedEnvironmentName, RecursionError) as error:
        message = f"the marker `{marker:.80}` cannot be decided: {_first_line(error)}"
        raise LockstitchError(message) from error


def best_wheel(
    filenames: Iterable[str], tags: "Sequence[Tag]", *, name: str, version: str
) -> str | None:
    """Return the wheel of a package whose tags come first, the latest build of it, or None."""
    from packaging.tags import create_compatible_tags_selector
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename
    from packaging.version import Version

    found = []
    for filename in filenames:
        try:
            project, release, build, fits = parse_wheel_filename(filename)
        except (InvalidWheelFilename, ValueError):
            continue  # an sdist, or a wheel from before PEP 427 that nothing can install
        if project == name and release == Version(version):
            found.append((build, filename, fits))
    found.sort(key=lambda each: each[:2], reverse=True)
    ordered = create_compatible_tags_selector(tags)((each[1], each[2]) for each in found)
    return next(iter(ordered), None)


# --- the parts of the file


def _document(text: str, source: str) -> dict[str, Any]:
    document = parse_toml(text, f"`{source}`", hint=_LOCK)
    problems: list[LockstitchError] = []
    version = Table(document, "", problems).table("metadata").text("lock-version")
    _raise(problems, source)
    form = _VERSION.fullmatch(version)
    if form is None or int(form[1]) < 1:
        # 2.0 and before have neither groups nor markers: what they mean is only in Poetry.
        message = f"`{source}` has lock-version `{version}`, lockstitch reads 2.1 and later 2.x"
        raise LockstitchError(message, hint="poetry lock, with Poetry 2, which keeps the versions")
    return document


def _packages(document: dict[str, Any], source: str) -> list[_Package]:
    problems: list[LockstitchError] = []
    found = [_package(table) for table in _tables(document.get("package"), "package", problems)]
    _raise(problems, source)
    return found


def _package(table: Table) -> _Package:
    from packaging.utils import canonicalize_name

    files = {}
    for each in _tables(table.raw("files"), f"{table.path}.files", table.problems):
        filename, digest = _needed(each, "file"), _needed(each, "hash")
        files[filename] = digest
        if digest.startswith("sha256:"):
            try:
                Digest.parse(digest)
            except LockstitchError as error:
                each.complain("hash", f"is wrong: {error.message}")
    groups = table.texts("groups")
    if not groups:
        table.complain("groups", "is missing or empty")
    source = table.table("source")
    kind, url, reference = (source.text(key) for key in ("type", "url", "reference"))
    return _Package(
        where=table.path,
        name=str(canonicalize_name(_needed(table, "name"))),
        version=_version(table),
        markers={str(canonicalize_name(g)): m for g, m in _markers(table, groups).items()},
        files=files,
        kind="" if kind == "legacy" else kind,
        index=_index(source, reference, url) if kind == "legacy" else "",
    )


def _needed(table: Table, key: str) -> str:
    if not table.has(key):
        table.complain(key, "is missing")
    return table.text(key)


def _version(table: Table) -> str:
    from packaging.version import Version

    text = _needed(table, "version")
    try:
        return str(Version(text))
    except ValueError:  # InvalidVersion, and numbers that Python refuses
        table.complain("version", f"is `{text:.80}`, which is no version")
        return "0"


def _markers(table: Table, groups: Sequence[str]) -> dict[str, str]:
    if not isinstance(table.raw("markers"), Mapping):
        return dict.fromkeys(groups, table.text("markers"))
    markers = table.table("markers")
    return {group: markers.text(group) for group in groups}


def _index(source: Table, reference: str, url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        source.complain("url", "is no address of an index")
        return ""
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    name = re.sub(r"[^A-Za-z0-9]+", "-", reference).strip("-") or "index"
    return f"{name}={bare}"


def _tables(value: object, path: str, problems: list[LockstitchError]) -> list[Table]:
    if value is not None and not isinstance(value, list):
        problems.append(LockstitchError(f"`{path}` must be a list of tables"))
    items = value if isinstance(value, list) else []
    return [Table(item, f"{path}[{number}]", problems) for number, item in enumerate(items)]


def _raise(problems: Sequence[LockstitchError], source: str) -> None:
    raise_all(
        [LockstitchError(f"`{source}` cannot be read: {p.message}", hint=_LOCK) for p in problems]
    )


# --- what the parts mean


def _check_python(document: dict[str, Any], target: Target, source: str) -> None:
    """Refuse a target that the lock was not made for: Poetry leaves out what only others need."""
    problems: list[LockstitchError] = []
    wanted = Table(document, "", problems).table("metadata").text("python-versions", "*")
    _raise(problems, source)
    try:
        fits = any(_range(part).contains(target.python) for part in re.split(r"\|\|?", wanted))
    except ValueError as error:
        message = f"`{source}` cannot be read: `metadata.python-versions` is `{wanted:.80}`"
        raise LockstitchError(message, hint=_LOCK) from error
    if not fits:
        message = f"`{source}` is for Python {wanted}, the image has {target.python}"
        raise LockstitchError(message, hint=f"allow {target.python} in pyproject.toml: {_LOCK}")


def _range(text: str) -> "SpecifierSet":
    from packaging.specifiers import SpecifierSet

    joined = re.sub(r"([<>=!~^])\s+", r"\1", text)
    clauses = [_clause(clause) for clause in re.split(r"[\s,]+", joined) if clause]
    return SpecifierSet(",".join(clause for clause in clauses if clause))


def _clause(text: str) -> str:
    """Return a clause of Poetry's as PEP 440 has it: `^3.11`, `~3.11`, `3.11.*`, `*`."""
    if text == "*":
        return ""
    short = re.fullmatch(r"([\^~])((\d{1,4})(?:\.(\d{1,4}))?[\d.]*)", text)
    if short:
        sign, lowest, major, minor = short.groups()
        ends = f"{major}.{int(minor) + 1}" if sign == "~" and minor else f"{int(major) + 1}"
        return f">={lowest},<{ends}"
    return text if text[0] in "<>=!~" else f"=={text}"


def _check_extras(document: dict[str, Any], active: Collection[str], source: str) -> None:
    from packaging.utils import canonicalize_name

    problems: list[LockstitchError] = []
    there = {str(canonicalize_name(e)) for e in Table(document, "", problems).table("extras")}
    _raise(problems, source)
    have = ", ".join(sorted(there)) or "none"
    raise_all(
        [
            LockstitchError(f"`{source}` has no extra `{extra}` (it has: {have})", hint=_LOCK)
            for extra in sorted(set(active) - there)
        ]
    )


def _twice(chosen: Sequence[_Package], target: Target) -> list[LockstitchError]:
    found: dict[str, list[str]] = {}
    for package in chosen:
        found.setdefault(package.name, []).append(package.version)
    return [
        LockstitchError(
            f"`{name}` is locked {len(versions)} times for {target.platform}, CPython "
            f"{target.minor}: {', '.join(sorted(versions))}",
            hint=f"let the groups of an image agree on one: {_LOCK}",
        )
        for name, versions in sorted(found.items())
        if len(versions) > 1
    ]


def _pinned(package: _Package, target: Target, tags: "Sequence[Tag]") -> Pinned:
    if package.kind:
        raise _foreign(package)
    name, version = package.name, package.version
    filename = best_wheel(package.files, tags, name=name, version=version)
    if filename is None:
        has = "only other wheels" if any(f.endswith(".whl") for f in package.files) else "none"
        message = f"{package} has no wheel for {target.platform}, CPython {target.minor}: "
        message += f"the lock has {has}"
        raise LockstitchError(message, hint=_WAY_OUT)
    digest = package.files[filename]
    if not digest.startswith("sha256:"):
        message = f"`{filename}` has no sha256 in the lock"
        raise LockstitchError(message, hint="lock it from an index that gives sha256: poetry lock")
    hashes = frozenset({Digest.parse(digest)})
    return Pinned(name=name, version=version, hashes=hashes, filename=filename, index=package.index)


def _foreign(package: _Package) -> LockstitchError:
    kind = _KINDS.get(package.kind, f"a source of the kind `{package.kind:.40}`")
    message = f"{package} comes from {kind}, not from an index"
    way_out = "publish its wheel in an index and depend on that version: uv build --wheel"
    return LockstitchError(message, hint=way_out)


def _all_extras(marker: str) -> str:
    """Return a marker for when every extra is active."""
    from packaging.markers import Marker

    if marker in {"", "*", "<empty>"}:
        return _NEVER if marker == "<empty>" else _ALWAYS
    try:
        parsed = str(Marker(marker))
        text = _EXTRA.sub(lambda match: _ALWAYS if match[1] == "==" else _NEVER, parsed)
        return str(Marker(text))
    except (ValueError, RecursionError) as error:
        message = f"the marker `{marker:.80}` cannot be read: {_first_line(error)}"
        raise LockstitchError(message, hint=_LOCK) from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
