"""The machine an image is for: its markers and wheel tags, whatever the host is."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lockstitch.values import frozen

if TYPE_CHECKING:
    from packaging.tags import Tag

from lockstitch.python.names import minor

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# The oldest glibc that a manylinux tag names, and the tags from before PEP 600.
_OLDEST = {"x86_64": 5, "aarch64": 17}
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@frozen
class Target:
    """A platform, an exact CPython and a C library: glibc, or musl where that is empty."""

    platform: str  # "linux/amd64"
    python: str  # "3.11.2"
    glibc: str = ""  # "2.36"
    musl: str = ""  # "1.2"
    free_threaded: bool = False  # built without the global interpreter lock

    @property
    def machine(self) -> str:
        """The kernel's name of the processor, as wheel tags write it."""
        return _MACHINES[self.platform.split("/")[1]]

    @property
    def minor(self) -> str:
        """The Python version without its patch number."""
        return minor(self.python)

    @property
    def minor_abi(self) -> str:
        """The minor version as folders and programs are named: `3.13t` where free-threaded."""
        return self.minor + ("t" if self.free_threaded else "")

    def markers(self) -> dict[str, str]:
        """Return the marker environment (PEP 508) of the target."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.python,
            "python_version": self.minor,
            "sys_platform": "linux",
        }

    def tags(self) -> "Iterator[Tag]":
        """Yield the wheel tags that fit, best first (PEP 425, PEP 600)."""
        from packaging import tags

        major, minor = (int(part) for part in self.minor.split("."))
        platforms = list(self._platforms())
        abi = f"cp{major}{minor}" + ("t" if self.free_threaded else "")
        yield from tags.cpython_tags((major, minor), abis=[abi], platforms=platforms)
        yield from tags.compatible_tags(
            (major, minor), interpreter=f"cp{major}{minor}", platforms=platforms
        )

    def _platforms(self) -> Iterator[str]:
        yield from self._musllinux() if self.musl else self._manylinux()
        yield f"linux_{self.machine}"

    def _musllinux(self) -> Iterator[str]:
        """Yield the tags of PEP 656: those of this musl and of every older one of its line."""
        major, minor = self.musl.split(".")[:2]
        for release in range(int(minor), -1, -1):
            yield f"musllinux_{major}_{release}_{self.machine}"

    def _manylinux(self) -> Iterator[str]:
        for release in range(int(self.glibc.split(".")[1]), _OLDEST[self.machine] - 1, -1):
            yield f"manylinux_2_{release}_{self.machine}"
            if release in _LEGACY and release >= _OLDEST[self.machine]:
                yield f"{_LEGACY[release]}_{self.machine}"
