"""containerd's own reader of lazy layers: a program of Go that is built when it is needed."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Descriptor
from lockstitch.oci.stargz import TABLE_DIGEST

__all__ = ["Reader", "build", "layers"]

# Where Debian's packages of sources are, and where .ci/programs puts those it needs.
_PLACES = (Path("/usr/local/share/gocode"), Path("/usr/share/gocode"))
_LIBRARY = Path("src/github.com/containerd/stargz-snapshotter/estargz")


@dataclass(frozen=True, slots=True)
class Reader:
    """The program."""

    path: Path

    def read(self, layer: str | Path, descriptor: Descriptor, *reads: Path) -> dict[str, int]:
        """Read a layer whole, or what `reads` lists of it, and return what it says of that."""
        words = [self.path, layer, descriptor.annotations[TABLE_DIGEST], *reads]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{layer}: {done.stderr}"
        return dict(json.loads(done.stdout))


def build(folder: Path) -> Reader:
    """Compile it; fails where Go or the library is missing."""
    go = shutil.which("go")
    places = [place for place in _PLACES if (place / _LIBRARY).is_dir()]
    if not go or not places:
        pytest.fail("Go or containerd's library is not installed: .ci/programs installs both")
    settings = {"GO111MODULE": "off", "GOPATH": str(places[0]), "GOCACHE": str(folder / "cache")}
    program = folder / "estargz"
    words = [go, "build", "-o", program, "."]
    variables = os.environ | settings | {"CGO_ENABLED": "0", "GOFLAGS": ""}
    subprocess.run(words, cwd=Path(__file__).parent / "estargz", env=variables, check=True)
    shutil.rmtree(folder / "cache")
    return Reader(program)


def layers(layout: Layout, name: str) -> Iterator[tuple[Path, Descriptor]]:
    """Yield the file and the descriptor of each layer of an image."""
    for descriptor in layout.manifest(name).layers:
        yield layout.path(descriptor.digest), descriptor
