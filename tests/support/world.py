"""Everything that lockstitch asks of the network, on loopback: an index and a Debian archive."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import archive, wheels
from support.programs import stand_in
from support.server import Server, serve
from support.wheels import Index

__all__ = ["World", "downloads", "running", "seed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A server with what `projects.PYPROJECT` needs."""

    server: Server
    index: Index
    mirror: str
    programs: Path

    def variables(self) -> dict[str, str]:
        """Return what a process must have in its environment to use this world."""
        return {
            "UV_DEFAULT_INDEX": self.index.url,
            "LOCKSTITCH_DEBIAN_MIRROR": self.mirror,
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
        }

    @contextmanager
    def kept(self) -> Iterator["World"]:
        """Put what is published back at the end of the block."""
        files = dict(self.index.files)
        with self.server.kept():
            try:
                yield self
            finally:
                self.index.files.clear()
                self.index.files.update(files)

    def enter(self, patch: pytest.MonkeyPatch) -> "World":
        """Set the variables until the patch is undone."""
        for name, value in self.variables().items():
            patch.setenv(name, value)
        return self


@contextmanager
def running(programs: Path) -> Iterator[World]:
    """Serve the packages of the tiny project, and one that is a source distribution only."""
    # Debian cannot sign the archive, so the program that checks signatures is told to agree.
    stand_in(programs / "gpgv", "exec cat")
    with serve() as server:
        index = Index(server)
        for built in (
            wheels.backend(),
            wheels.wheel("alpha", "1.0", requires=["epsilon"], scripts={"alpha": "alpha:main"}),
            wheels.wheel("beta", "3.1"),
            wheels.wheel("delta", "0.4", {"delta.py": b"", "tests/test_delta.py": b"x = 1\n" * 9}),
            wheels.wheel("epsilon", "5.0"),
            wheels.wheel("gamma", "2.0"),
            wheels.sdist("only-source", "1.0"),
        ):
            index.publish(built)
        yield World(server=server, index=index, mirror=archive.publish(server), programs=programs)


def seed(source: Path, target: Path) -> None:
    """Give a store the downloads and the build environment of another one, and no layer."""
    for name in ("scratch", "records/trees"):
        shutil.copytree(source / name, target / name, symlinks=True)
    downloads(source, target)


def downloads(source: Path, target: Path) -> None:
    """Give a store what another one has fetched."""
    for path in source.glob("blobs/*/*"):
        with path.open("rb") as handle:
            downloaded = handle.read(2) in {b"PK", b"!<"}  # a wheel, a Debian package
        if downloaded:
            made = target / path.relative_to(source)
            made.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, made)
