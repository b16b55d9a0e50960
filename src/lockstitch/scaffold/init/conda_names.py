"""The names of conda's packages on the index, and which of them are not of Python."""

import re
from typing import Any

from lockstitch.resources import load_table


def _tables() -> dict[str, Any]:
    return load_table(__package__, "conda.toml")


def distribution(name: str) -> str:
    """Return the distribution of the index that a package of conda is."""
    return str(_tables()["distributions"].get(name.lower()) or name)


def kind_of(name: str, build: str = "") -> str:
    """Return which kind of package that is not of Python a name is, or ""."""
    name = name.lower()
    for kind, names in _tables()["others"].items():
        if name in names:
            return str(kind)
    if name in _tables()["distributions"]:
        return "system" if not _tables()["distributions"][name] else ""
    if name.startswith(("lib", "_", "r-", "xorg-", "m2w64-", "msys2-", "cuda-", "aws-c-", "aws-")):
        return "gpu" if name.startswith("cuda-") else "system"
    # `py38h06a4308_0` and `pyhd8ed1ab_0` are of Python, `h7f8727e_2` and `0` are not.
    return "system" if re.match(r"h[0-9a-f]{6,}_|\d+$", build) else ""
