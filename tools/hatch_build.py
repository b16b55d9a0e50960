"""Builds the compiled twin of the encoder into wheels and editable installs, where a compiler is.

A twin that is not made, or does not give the bytes of deflate.py, is left out with a warning:
lockstitch works without. `HATCH_BUILD_NO_HOOKS=true` builds the wheel without it on purpose.
"""

import hashlib
import importlib.util
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

_INSIDE = Path("lockstitch/oci")
_NAME = "deflate-twin.so"
# One library for every Python and C library of a platform: it needs neither (PEP 600, PEP 656).
_LINUX = "manylinux_2_17_{0}.musllinux_1_1_{0}"


class TwinHook(BuildHookInterface):
    """Compiles deflate.c for a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the twin to a wheel, or put it beside its source for an editable install."""
        folder = Path(self.root, "src", _INSIDE)
        self._temporary = tempfile.TemporaryDirectory(prefix="lockstitch-twin-")
        library = Path(self._temporary.name, _NAME)
        problem = _made(folder / "deflate.c", library) or _difference(folder, library)
        if version == "editable":
            (folder / _NAME).unlink(missing_ok=True)
        if problem:
            self.app.display_warning(f"without the compiled twin of the encoder: {problem}")
        elif version == "editable":
            (folder / _NAME).write_bytes(library.read_bytes())
        else:
            build_data["force_include"][str(library)] = (_INSIDE / _NAME).as_posix()
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{_platform()}"

    def finalize(self, *_: object) -> None:
        """Remove the temporary folder."""
        self._temporary.cleanup()


def _made(source: Path, library: Path) -> str:
    """Compile the twin and return what stood in the way, if anything did."""
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    words = [*shlex.split(os.environ.get("CC", "cc")), "-std=c11", "-O3", "-fPIC", "-shared"]
    words += ["-ffreestanding", f'-DSOURCE="{digest}"', "-o", library.name, str(source)]
    if sys.platform == "linux":
        words += ["-nostdlib", "-Wl,--build-id=none", "-s"]
    try:
        done = subprocess.run(
            words, cwd=library.parent, capture_output=True, text=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (
        f"`{shlex.join(words)}` exits {done.returncode}: {done.stderr}" if done.returncode else ""
    )


def _difference(folder: Path, library: Path) -> str:
    """Return why a library is no twin: it does not load here, or its bytes are others."""
    spec = importlib.util.spec_from_file_location("_deflate", folder / "deflate.py")
    deflate = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = deflate  # dataclasses look their module up
    spec.loader.exec_module(deflate)
    twin = deflate.load(library)
    if twin is None:
        return f"`{library.name}` does not load here"
    for name in ("deflate.py", "deflate.c"):
        data = (folder / name).read_bytes()
        if twin(data) != deflate.in_python(data):
            return f"it does not compress {name} to the bytes of deflate.py"
    return ""


def _platform() -> str:
    """Return the platform tag of a library that was made here."""
    if sys.platform != "linux":
        return next(platform_tags())
    return _LINUX.format(sysconfig.get_platform().partition("-")[2])
