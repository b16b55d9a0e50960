"""Accelerators of packages: the CUDA that they bring, and the one that an image asks for.

Known from names and versions alone, so that it can be told before anything is downloaded.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from lockstitch.patterns import regex
from lockstitch.resources import load_table
from lockstitch.values import frozen

ACCELERATOR = regex(r"cpu|cuda|gpu|rocm|xpu|cu(?:1\d)\d?")
_NAMED = regex(r"-cu(?:da)?(1\d)(\d)?x?(?=-|$)")  # nvidia-nccl-cu12, cupy-cuda12x
_LOCAL = regex(r"(?<![a-z])cpu(?![a-z])|cu(?P<cuda>1\d\d?)(?!\d)|rocm|xpu")
_TORCH_BUNDLED = 2  # before this version torch of the ordinary index had CUDA inside


class Package(Protocol):
    """A locked package."""

    @property
    def name(self) -> str:
        """The normalised name."""

    @property
    def version(self) -> str:
        """The version, with a local one where it has that."""


P = TypeVar("P", bound=Package)


@frozen
class Stack(Generic[P]):
    """The accelerators of a set of packages."""

    cuda: str = ""  # "12.8", or "12" where the minor version is unknown; of the largest part
    packages: tuple[P, ...] = ()  # that are of use with CUDA alone
    others: tuple[P, ...] = ()  # of `packages`, those of another major version of CUDA
    built: tuple[tuple[P, str], ...] = ()  # packages that are built for one accelerator, and which

    def wrong(self, wanted: str) -> list[tuple[P, str]]:
        """Return the packages that are built for another accelerator than the one wanted."""
        return [(p, have) for p, have in self.built if not _serves(have, wanted)]

    def serves(self, wanted: str) -> bool:
        """Return whether anything here is for the accelerator wanted."""
        if wanted == "cpu":
            return not self.packages
        known = [have for _, have in self.built] + ([_short(self.cuda)] if self.packages else [])
        return any(_serves(have, wanted) for have in known)


def _serves(have: str, wanted: str) -> bool:
    if wanted in {"cuda", "gpu"}:
        return have.startswith("cu") or (wanted == "gpu" and have in {"rocm", "xpu"})
    # A CUDA of unknown minor version, or a wish for any of a major version, fits by its major.
    both = have.startswith("cu") and wanted.startswith("cu")
    return have == wanted or (both and (have.startswith(wanted) or wanted.startswith(have)))


def of(packages: Iterable[P]) -> "Stack[P]":
    """Return the accelerators of these packages."""
    every = sorted(packages, key=lambda package: package.name)
    versions = {id(package): _cuda_of(package) for package in every}
    cuda = [package for package in every if versions[id(package)] or is_cuda(package.name)]
    majors: dict[str, list[P]] = {}
    for package in cuda:
        if versions[id(package)]:
            majors.setdefault(major(package), []).append(package)
    main = _main(majors)
    others = [package for package in cuda if versions[id(package)] and major(package) != main]
    exact = [v for package in majors.get(main, ()) if "." in (v := versions[id(package)])]
    version = max(exact, key=exact.count) if exact else main
    built = [(package, have) for package in every if (have := _built_for(package, version))]
    return Stack(cuda=version, packages=tuple(cuda), others=tuple(others), built=tuple(built))


def _main(majors: dict[str, list[P]]) -> str:
    """Return the major version of CUDA that counts: torch's, else that of the runtime."""

    def weight(version: str) -> tuple[bool, bool, int, str]:
        names = {package.name for package in majors[version]}
        runtime = any(name.startswith("nvidia-cuda-runtime") for name in names)
        return "torch" in names, runtime, len(names), version

    return max(majors, key=weight, default="")


def _cuda_of(package: Package) -> str:
    """Return the version of CUDA that a name or a version says, as `12.8` or `12`."""
    local = _LOCAL.search(package.version.partition("+")[2])
    if local and local["cuda"]:
        digits = local["cuda"]
        return f"{digits[:2]}.{digits[2:]}" if digits[2:] else digits
    known, name = _known(), package.name
    numbers = package.version.partition("+")[0].split(".")
    named = _NAMED.search(name)
    if (name[: named.start()] if named else name) in known["toolkit"]:
        return ".".join(numbers[:2])
    if named:
        return ".".join(part for part in named.groups() if part)
    if name.startswith(("nvidia-cuda-", "cuda-bindings")) and is_cuda(name):
        return numbers[0]
    return ""


def is_build(local: str) -> bool:
    """Return whether a local version names the accelerator that a package is built for."""
    return _LOCAL.search(local) is not None


def major(package: Package) -> str:
    """Return the major version of CUDA that a package is for, "" where nothing says it."""
    return _cuda_of(package).partition(".")[0]


def is_cuda(name: str) -> bool:
    """Return whether a distribution is of use with CUDA alone, by its normalised name."""
    known = _known()
    return _NAMED.search(name) is not None or name in known["names"]


def _built_for(package: Package, cuda: str) -> str:
    """Return the accelerator that a package is built for, "" where nothing says it."""
    _, plus, local = package.version.partition("+")
    match = _LOCAL.search(local)
    if match:
        return match[0]
    if plus or package.name not in _known()["builds"]:
        return ""
    major = package.version.partition(".")[0]
    if package.name == "torch" and major.isdecimal() and int(major) < _TORCH_BUNDLED:
        return ""
    return _short(cuda) if cuda else "cpu" if package.name == "torch" else ""


def _short(cuda: str) -> str:
    return f"cu{cuda.replace('.', '')}" if cuda else ""


def asked(explicit: str, names: Sequence[str]) -> str:
    """Return the accelerator that an image asks for, "" where it asks for none or for two.

    `explicit` is its setting; else the names of its groups and extras may say it: `cpu`,
    `torch-cu128`, `gpu`.
    """
    if explicit:
        return explicit
    words = {word for name in names for word in re.split(r"[-_.]", name.lower())}
    wanted = {word for word in words if ACCELERATOR.fullmatch(word)}
    wanted = {word for word in wanted if word not in {"cuda", "gpu"}} or wanted
    return wanted.pop() if len(wanted) == 1 else ""


def driver(cuda: str) -> str:
    """Return the oldest branch of NVIDIA's driver that runs a CUDA, "" where it is not known."""
    return str(_known()["driver"].get(cuda.partition(".")[0], ""))


def whole(cuda: str) -> str:
    """Return the branch of the driver that a CUDA comes with, "" where it is not known."""
    return str(_known()["whole"].get(cuda, ""))


def older(one: str, other: str) -> bool:
    """Return whether a version of the driver is older than another one."""
    return _numbers(one) < _numbers(other)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


@functools.cache
def _known() -> dict[str, Any]:
    known = load_table(__package__, "accelerators.toml")
    names = {*known["toolkit"], *known["parts"], *known["bundled"]}
    return known | {"names": names, "builds": {*known["builds"]}, "toolkit": {*known["toolkit"]}}
