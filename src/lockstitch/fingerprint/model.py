"""A fingerprint: what an environment is, as values. Its JSON is in docs/reference/fingerprint.md.

A part that a source cannot know is None or empty: a lock says nothing of processors, and what
nobody knows is no difference.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lockstitch.digest import Digest, canonical_json, of_bytes

__all__ = ["SCHEMA", "Blas", "Cpu", "Fingerprint", "Gpu", "Package", "Python", "System"]

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
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
    needs: tuple[str, ...] = ()  # names of the packages here that it asks for
    direct: bool | None = None  # whether the project asks for it; None when nobody knows
    url: str = field(default="", compare=False)  # where a lock has it from; no part of the JSON

    def document(self) -> dict[str, Any]:
        """Return it as JSON, without what is not known."""
        found: dict[str, Any] = {key: getattr(self, key) for key in self.__slots__ if key != "url"}
        lists = {key: list(value) for key, value in found.items() if isinstance(value, tuple)}
        return {k: v for k, v in (found | lists).items() if v not in (None, "", [])}


@dataclass(frozen=True, slots=True, kw_only=True)
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
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What the interpreter stands on."""

    system: str  # as sys.platform: `linux`
    machine: str  # as the kernel names it: `x86_64`
    libc: str = ""  # `glibc 2.36`
    release: str = ""  # `debian 12`


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """A processor: kernels of BLAS and NumPy are chosen by its features."""

    model: str
    cores: int  # that the process may use, which decides how many threads there are
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Blas:
    """One copy of a BLAS that a package brings."""

    name: str  # `openblas`, `mkl_rt`, …
    owner: str  # the package
    file: str  # its name has a hash of its content, where auditwheel put it
    version: str = ""
    kernels: str = ""  # that it chose for the processor, as in `Haswell`
    threads: int = 0  # 0 when it was not asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """NVIDIA's driver and devices."""

    driver: str
    cuda: str = ""
    cudnn: str = ""
    devices: tuple[str, ...] = ()  # name and compute capability


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What an environment is. It has no host name, no time and no path."""

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
    _by_name: dict[str, Package] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make packages findable by name."""
        object.__setattr__(self, "_by_name", {each.name: each for each in self.packages})

    def package(self, name: str) -> Package | None:
        """Return the package of a normalised name, or None."""
        return self._by_name.get(name)

    def with_packages(self, packages: Iterable[Package]) -> "Fingerprint":
        """Return the same environment with other packages."""
        return replace(self, packages=tuple(sorted(packages, key=lambda each: each.name)))

    def document(self) -> dict[str, Any]:
        """Return it as JSON in its one form, without the parts that are not known."""
        found: dict[str, Any] = {
            "schema": SCHEMA,
            "kind": self.kind,
            "python": _table(self.python),
            "platform": _table(self.platform),
            "cpu": _table(self.cpu),
            "gpu": _table(self.gpu),
            "blas": None if self.blas is None else [_table(each) for each in self.blas],
            "variables": _sorted(self.variables),
            # By name: the order of finding must not reach the bytes.
            "packages": [
                each.document() for each in sorted(self.packages, key=lambda each: each.name)
            ],
            "system": _sorted(self.system),
            "imported": None if self.imported is None else sorted(self.imported),
            "inputs": _sorted(self.inputs),
        }
        return {key: value for key, value in found.items() if value is not None}

    @property
    def digest(self) -> Digest:
        """The digest of all of it: equal when nothing differs."""
        return of_bytes(canonical_json(self.document()))


def _table(value: Python | System | Cpu | Gpu | Blas | None) -> dict[str, Any] | None:
    if value is None:
        return None
    found: dict[str, Any] = {key: getattr(value, key) for key in value.__slots__}
    return {key: list(v) if isinstance(v, tuple) else v for key, v in found.items()}


def _sorted(value: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if value is None else dict(sorted(value.items()))
