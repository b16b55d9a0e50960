"""Names and versions as Python's packaging specifications compare them."""

import re
from collections.abc import Mapping

from lockstitch.resources import load_table

_SEPARATORS = re.compile(r"[-_.]+")
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")


def normal(name: str) -> str:
    """Return the normal form of a project's name (PEP 503), a group's (PEP 735) or an extra's."""
    return _SEPARATORS.sub("-", name).lower()


def minor(version: str) -> str:
    """Return major and minor of a Python version: `3.11` of `3.11.2`."""
    return ".".join(version.split(".")[:2])


def same_version(one: str, other: str) -> bool:
    """Return whether two versions are one; names of files and folders write `+` and `-` as `_`."""
    if one == other:
        return True
    from packaging.version import InvalidVersion, Version

    try:
        return Version(one.replace("_", ".")) == Version(other.replace("_", "."))
    except InvalidVersion:
        return one.lower().replace("-", "_") == other.lower().replace("-", "_")


def of_requirement(text: str) -> str:
    """Return the normal name that a requirement (PEP 508) begins with, "" without one."""
    match = _NAME.match(text)
    return normal(match[1]) if match else ""


def distribution_of(top: str) -> str:
    """Return the distribution to add for a module, as a shell takes it, by a table."""
    if top == "pkg_resources":
        return "'setuptools<81'"  # the last that have it
    return distributions().get(top, top.replace("_", "-"))


def modules_named(distribution: str) -> set[str]:
    """Return the modules that a distribution, by its normal name, has by its name or a table."""
    tops = {top for top, name in distributions().items() if normal(name) == distribution}
    return tops | {distribution.replace("-", "_")}


def distributions() -> Mapping[str, str]:
    """Return the distribution of each module that is not called like it."""
    table: Mapping[str, str] = load_table(__package__, "distributions.toml")["distributions"]
    return table
