"""Tables of known programs, images and packages: TOML files beside the modules that use them."""

import functools
from importlib import resources
from typing import Any


@functools.cache
def load(package: str, name: str) -> dict[str, Any]:
    """Return a package's TOML file as a table; it is read once."""
    import tomllib

    return tomllib.loads(resources.files(package).joinpath(name).read_text("utf-8"))
