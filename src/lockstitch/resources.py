"""Files that lockstitch brings: tables in TOML beside the modules that use them, and scripts."""

import functools
from importlib import resources
from typing import Any


@functools.cache
def load_table(package: str | None, name: str) -> dict[str, Any]:
    """Return a package's TOML file; it is read once."""
    import tomllib

    return tomllib.loads(resources.files(package or "").joinpath(name).read_text("utf-8"))


def load_script(name: str) -> bytes:
    """Return a script of `runtime`, with the same line ends on every machine."""
    return resources.files("lockstitch.runtime").joinpath(name).read_bytes().replace(b"\r\n", b"\n")
