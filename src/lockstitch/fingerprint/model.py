"""A fingerprint: an environment as values, written as JSON and read back.

docs/reference/fingerprint.md describes the JSON. A part that a source cannot know is None or
empty: a lock has no processor, and what is not known is no difference. JSON comes from another
machine: nothing in it is trusted.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from lockstitch.digest import Digest, canonical_json, of_bytes, parse_json
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.python import names
from lockstitch.python.tables import Table
from lockstitch.values import field, frozen, replace

SCHEMA = 1
_HINT = "lockstitch fingerprint SOURCE --json > FILE.json"
_KINDS = ("environment", "image", "lock")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,213}[a-z0-9])?")
_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,1000}")  # may reach a terminal
_LARGEST = 64 << 20

Part = TypeVar("Part")


@frozen
class Package:
    """One Python package, installed or locked."""

    name: str  # normalised (PEP 503)
    version: str
    record: Digest | None = None  # of its normalised RECORD: equal for pip and uv installs
    code: Digest | None = None  # the same without tests, headers and what `trim` leaves out
    artifacts: tuple[Digest, ...] = ()  # files that a lock allows; any of them
    tags: tuple[str, ...] = ()  # of the wheel, each in full: `cp311-cp311-manylinux_2_28_x86_64`
    origin: str = ""  # `editable`, `folder`, `archive`, `git COMMIT`; "" is an index
    edited: tuple[str, ...] = ()  # `changed PATH`, `missing PATH`, `added PATH` since the install
    needs: tuple[str, ...] = ()  # names of the packages here that it requires
    direct: bool | None = None  # whether the project requires it; None when that is not known
    url: str = field(default="", compare=False)  # where a lock has it from; no part of the JSON

    def document(self) -> dict[str, Any]:
        """Return the package as JSON, without unknown parts."""
        return {k: v for k, v in _table(self).items() if v not in (None, "", [])}


@frozen
class Python:
    """An interpreter; a lock knows at most the version, or only its first two numbers."""

    version: str
    implementation: str = "cpython"
    compiler: str = ""
    build: str = ""
    free_threaded: bool = False

    @property
    def minor(self) -> str:
        """The version without its patch number."""
        return names.minor(self.version)


@frozen
class System:
    """The system that the interpreter runs on."""

    system: str  # as sys.platform: `linux`
    machine: str  # as the kernel names it: `x86_64`
    libc: str = ""  # `glibc 2.36`
    release: str = ""  # `debian 12`


@frozen
class Cpu:
    """A processor: kernels of BLAS and NumPy are chosen by its features."""

    model: str
    cores: int  # that the process may use, which decides how many threads there are
    features: tuple[str, ...] = ()


@frozen
class Blas:
    """One copy of a BLAS that a package brings."""

    name: str  # `openblas`, `mkl_rt`, …
    owner: str  # the package
    file: str  # its name has a hash of its content, where auditwheel put it
    version: str = ""
    kernels: str = ""  # that it chose for the processor, as in `Haswell`
    threads: int = 0  # 0 when it was not asked


@frozen
class Gpu:
    """NVIDIA's driver and devices."""

    driver: str
    cuda: str = ""
    cudnn: str = ""
    devices: tuple[str, ...] = ()  # name and compute capability


@frozen
class Fingerprint:
    """An environment. It has no host name, no time and no path."""

    kind: str  # where it was read: `environment`, `lock`, `image`
    packages: tuple[Package, ...] = ()
    python: Python | None = None
    platform: System | None = None
    cpu: Cpu | None = None
    gpu: Gpu | None = None
    blas: tuple[Blas, ...] | None = None
    variables: Mapping[str, str] | None = None
    system: Mapping[str, str] | None = None  # packages of the base or the operating system
    imported: tuple[str, ...] | None = None  # packages that a recorded run really imported
    inputs: Mapping[str, str] | None = None  # digests of the files that it read, by path
    # What a recorded run gave: metrics and digests of outputs. A result, and no part of the digest.
    results: Mapping[str, str] | None = None
    # Of a recorded run too: variables that its own code read, and the commit of the code.
    settings: Mapping[str, str] | None = None
    commit: str = ""
    _by_name: dict[str, Package] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the packages by name."""
        object.__setattr__(self, "_by_name", {package.name: package for package in self.packages})

    def package(self, name: str) -> Package | None:
        """Return the package of a normalised name, or None."""
        return self._by_name.get(name)

    def with_packages(self, packages: Iterable[Package]) -> "Fingerprint":
        """Return the same environment with other packages."""
        return replace(self, packages=tuple(sorted(packages, key=lambda package: package.name)))

    def document(self) -> dict[str, Any]:
        """Return the fingerprint as JSON in its one form, without the parts that are not known."""
        # By name: the order of finding must not reach the bytes.
        packages = sorted(self.packages, key=lambda package: package.name)
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "kind": self.kind,
            "packages": [package.document() for package in packages],
            "blas": None if self.blas is None else [_table(library) for library in self.blas],
            "imported": None if self.imported is None else sorted(self.imported),
        }
        for key in _PARTS:
            part = getattr(self, key)
            document[key] = None if part is None else _table(part)
        for key in _MAPS:
            values = getattr(self, key)
            document[key] = None if values is None else dict(sorted(values.items()))
        return {key: value for key, value in document.items() if value is not None}

    @property
    def digest(self) -> Digest:
        """The digest of all of it: equal when nothing differs."""
        return of_bytes(canonical_json(self.document()))


_PARTS = {"python": Python, "platform": System, "cpu": Cpu, "gpu": Gpu}
_MAPS = ("variables", "system", "inputs")


def _table(value: object) -> dict[str, Any]:
    """Return the fields of a part that are in the JSON."""
    known = {f.name: getattr(value, f.name) for f in fields(value) if f.compare}  # type: ignore[arg-type]  # any dataclass
    return {key: list(v) if isinstance(v, tuple) else v for key, v in known.items()}


# --- from JSON


def of_text(text: str, source: str) -> Fingerprint:
    """Return the fingerprint in a JSON text; raises LockstitchError with every problem."""
    return of_document(parsed(text, source), source)


def parsed(text: str, source: str) -> dict[str, Any]:
    """Return the JSON object in a text; raises LockstitchError, with its source, for others."""
    if len(text) > _LARGEST:
        message = f"`{source}` is no fingerprint: it has {len(text)} characters"
        raise LockstitchError(message, hint=_HINT)
    try:
        document = parse_json(text)
    except ValueError as error:
        message = f"`{source}` is not valid JSON: {error}"
        raise LockstitchError(message, hint=_HINT) from error
    if not isinstance(document, dict):
        message = f"`{source}` is no fingerprint: it must be a JSON object"
        raise LockstitchError(message, hint=_HINT)
    return document


def of_document(document: dict[str, Any], source: str) -> Fingerprint:
    """Return the fingerprint of a JSON object.

    Members that this version does not know are left out: a newer script may write more. Raises
    LockstitchError with every problem.
    """
    problems: list[LockstitchError] = []
    top = Table(document, "", problems)
    version = top.number("schema", least=1, most=10**6)
    if version != SCHEMA:
        message = f"`{source}` has schema {version}, this lockstitch reads {SCHEMA}"
        raise LockstitchError(message, hint=_HINT)
    fingerprint = _fingerprint(top)
    if problems:
        raise_all(
            [LockstitchError(f"`{source}`: {e.message}", hint=e.hint or _HINT) for e in problems]
        )
    return fingerprint


def _fingerprint(top: Table) -> Fingerprint:
    kind = top.text("kind")
    if kind not in _KINDS:
        top.complain("kind", f"is `{kind:.80}`, not one of: {', '.join(_KINDS)}")
    packages = [_part(Package, table) for table in top.each("packages")]
    names = [package.name for package in packages]
    for number, name in enumerate(names):
        if not _NAME.fullmatch(name):
            message = f"is `{name:.80}`, which is no normalised name of a package"
            top.complain(f"packages[{number}].name", message)
    for name in sorted({name for name in names if names.count(name) > 1}):
        top.complain("packages", f"has `{name}` twice")
    parts: dict[str, Any] = {
        key: _part(part, top.table(key)) for key, part in _PARTS.items() if _has(top, key)
    }
    parts |= {key: _map(top.table(key)) for key in _MAPS if _has(top, key)}
    if _has(top, "blas"):
        parts["blas"] = tuple(_part(Blas, table) for table in top.each("blas"))
    if top.has("imported"):
        parts["imported"] = _lines(top, "imported")
    return Fingerprint(
        kind=kind, packages=tuple(sorted(packages, key=lambda package: package.name)), **parts
    )


def _part(kind: type[Part], table: Table) -> Part:
    """Return a part of a fingerprint, each field read as its type says."""
    values = {}
    for part in fields(kind):  # type: ignore[arg-type]  # any dataclass
        if part.compare:
            value = _READERS[part.type](table, part.name)
            missing = value == "" and isinstance(part.default, str)
            values[part.name] = part.default if missing else value
    return kind(**values)


def _has(table: Table, key: str) -> bool:
    return table.raw(key) is not None


def _line(table: Table, key: str) -> str:
    """Return a text of one line, "" when it is not there, or add a problem."""
    text = table.text(key) if table.raw(key) not in (None, "") else ""
    if not _LINE.fullmatch(text):
        table.complain(key, f"is no line of at most 1000 characters: `{text!r:.80}`")
        return ""
    return text


def _lines(table: Table, key: str) -> tuple[str, ...]:
    texts = table.texts(key)
    if any(not _LINE.fullmatch(text) for text in texts):
        table.complain(key, "has a text that is no line of at most 1000 characters")
        return ()
    return tuple(sorted(texts))


def _map(table: Table) -> dict[str, str]:
    names = sorted(table)
    if any(not _LINE.fullmatch(name) for name in names):
        table.complain("", "has a name that is no line of at most 1000 characters")
        return {}
    return {name: _line(table, name) for name in names}


def _digest(table: Table, key: str) -> Digest | None:
    text = _line(table, key)
    try:
        return Digest.parse(text) if text else None
    except LockstitchError as error:
        table.complain(key, f"is wrong: {error.message}")
        return None


def _digests(table: Table, key: str) -> tuple[Digest, ...]:
    digests = {*table.texts(key)}
    wrong = {text for text in digests if not re.fullmatch(r"sha256:[0-9a-f]{64}", text)}
    for text in sorted(wrong):
        table.complain(key, f"has `{text!r:.80}`, which is no sha256 digest")
    return tuple(Digest.parse(text) for text in sorted(digests - wrong))


def _number(table: Table, key: str) -> int:
    return table.number(key, least=0, most=1 << 20)


def _flag(table: Table, key: str) -> bool | None:
    return table.flag(key) if _has(table, key) else None


_READERS: dict[object, Callable[[Table, str], Any]] = {
    str: _line,
    int: _number,
    bool: Table.flag,
    bool | None: _flag,
    tuple[str, ...]: _lines,
    Digest | None: _digest,
    tuple[Digest, ...]: _digests,
}
