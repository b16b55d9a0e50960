"""Which machines a lock's files fit: libc and processor of wheels, and what only has a source.

Names are read by hand: a lock of 100 packages names 3,000 wheels, and `packaging` takes 0.1 s
for them. A test compares the answers with its own.
"""

import functools
from collections.abc import Collection, Iterable, Iterator
from enum import StrEnum

from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.python.locks import Graph, Package, holds, walk
from lockstitch.python.target import Target
from lockstitch.values import field, frozen, positional, replace

_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_LINUX = regex(r"(?P<libc>many|musl)linux_(?P<major>\d{1,4})_(?P<minor>\d{1,4})_(?P<cpu>\w+)")
_CPYTHON = regex(r"cp3(\d{1,2})")
_PYTHON = regex(r"py3(\d{0,2})")
_DOCKER = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}
_NEWEST = (999, 0)


class Verdict(StrEnum):
    """The wheels that a lock has of a package for a machine."""

    WHEEL = "wheel"  # a wheel fits
    SOURCE = "source"  # no wheel fits; it would be built
    NOTHING = "nothing"  # no wheel fits and there is no source
    UNKNOWN = "unknown"  # the lock does not say which files there are


@frozen
class Machine:
    """A Linux machine that packages are installed on."""

    python: str = ""  # "3.11"; empty: any Python 3
    libc: str = "glibc"  # or musl
    release: tuple[int, int] = _NEWEST  # of the libc; the default fits all
    processor: str = "x86_64"  # or aarch64

    @property
    def minor(self) -> int | None:
        """Return the Python's minor version."""
        part = self.python.split(".")[1:2]
        return int(part[0]) if part and part[0].isdecimal() else None


@positional
class _Tags:
    """The machines that a wheel's name is for."""

    pythons: tuple[str, ...] = ()
    abis: tuple[str, ...] = ()
    platforms: tuple[str, ...] = field(default=())


def _tags(wheel: str) -> _Tags:
    parts = wheel.removesuffix(".whl").split("-")
    if len(parts) not in {5, 6} or not wheel.endswith(".whl"):
        return _Tags()
    python, abi, platform = (tuple(part.split(".")) for part in parts[-3:])
    return _Tags(python, abi, platform)


def fits(wheel: str, machine: Machine) -> bool:
    """Return whether a wheel of this file name fits a machine (PEP 425, 600, 656)."""
    tags = _tags(wheel)
    return _fits_python(tags, machine.minor) and any(
        need is not None and need <= machine.release for need in _needed(tags, machine)
    )


def oldest(wheels: Iterable[str], machine: Machine) -> tuple[int, int] | None:
    """Return the oldest libc of the machine's kind that a wheel fits: (0, 0) any, None none."""
    versions = [
        need
        for tags in map(_tags, wheels)
        if _fits_python(tags, machine.minor)
        for need in _needed(tags, machine)
        if need is not None
    ]
    return min(versions, default=None)


def is_pure(wheel: str) -> bool:
    """Return whether a wheel fits all processors and systems."""
    return "any" in _tags(wheel).platforms


def _fits_python(tags: _Tags, minor: int | None) -> bool:
    return any(_pair_fits(python, abi, minor) for python in tags.pythons for abi in tags.abis)


def _pair_fits(python: str, abi: str, minor: int | None) -> bool:
    cpython = _CPYTHON.fullmatch(python)
    if cpython:
        own = int(cpython[1])
        if abi == "abi3":
            return minor is None or 2 <= own <= minor  # PEP 384 begins with 3.2
        plain = abi in {"none", python, f"{python}m" if own < 8 else python}
        return plain and minor in {None, own}
    pure = _PYTHON.fullmatch(python)
    return bool(pure and abi == "none" and (minor is None or int(pure[1] or 0) <= minor))


def _needed(tags: _Tags, machine: Machine) -> Iterator[tuple[int, int] | None]:
    """Yield the libc that each platform tag needs, None where it is another kind of machine."""
    for platform in tags.platforms:
        linux = _LINUX.fullmatch(platform)
        if platform == "any":
            yield (0, 0) if "none" in tags.abis else None
        elif platform == f"linux_{machine.processor}":
            yield 0, 0
        elif linux:
            kind = "glibc" if linux["libc"] == "many" else "musl"
            same = kind == machine.libc and linux["cpu"] == machine.processor
            yield (int(linux["major"]), int(linux["minor"])) if same else None
        else:
            name, _, processor = platform.partition("_")
            same = machine.libc == "glibc" and processor == machine.processor
            yield _LEGACY.get(name) if same else None


def verdict(package: Package, machine: Machine) -> Verdict:
    """Return the verdict on a package of a lock for a machine."""
    named = [file for file in package.files if file.name]
    if package.source.kind != "registry" or not named:
        return Verdict.UNKNOWN
    if any(fits(file.name, machine) for file in package.wheels):
        return Verdict.WHEEL
    return Verdict.NOTHING if len(package.wheels) == len(named) else Verdict.SOURCE


def installed(lock: Graph, machine: Machine, names: Collection[str] = ()) -> tuple[Package, ...]:
    """Return the packages that a machine gets of a lock, with the groups or extras of these names.

    Markers are decided for Python 3.11 where the machine has none; one that cannot be read holds.
    """

    def applied(marker: str, extras: Collection[str]) -> bool:
        return applies(marker, machine, extras)

    try:
        walked = walk(lock, applied, names, names)
    except LockstitchError:  # groups that exclude each other: their locks are one
        walked = walk(replace(lock, conflicts=()), applied, names, names)
    own = {id(root) for root in lock.roots}
    packages = tuple(package for package in walked.packages if id(package) not in own)
    if lock.kind != "poetry":
        return packages
    # poetry.lock before 2.1 has markers only where one package needs another.
    needed: dict[str, list[str]] = {}
    for edge in (edge for package in lock.packages for edge in package.dependencies):
        needed.setdefault(edge.name, []).append(edge.marker)
    return tuple(
        package
        for package in packages
        if package.name not in needed or any(applied(marker, ()) for marker in needed[package.name])
    )


def applies(marker: str, machine: Machine, extras: Collection[str] = ()) -> bool:
    """Return whether a marker holds on a machine; one that cannot be read does."""
    if not marker:
        return True
    active = frozenset(extras) if "extra" in marker else frozenset[str]()
    return _applies(marker, machine.python or "3.11", machine.processor, active)


@functools.lru_cache(maxsize=4096)
def _applies(marker: str, python: str, processor: str, extras: frozenset[str]) -> bool:
    full = python if python.count(".") > 1 else f"{python}.0"
    target = Target(platform=_DOCKER.get(processor, "linux/amd64"), python=full, glibc="2.36")
    try:
        return holds(marker, target.markers(), extras)
    except LockstitchError:
        return True
