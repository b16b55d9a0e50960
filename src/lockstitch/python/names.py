"""Names and versions as Python's packaging specifications compare them."""

import functools
from collections.abc import Mapping
from typing import Any, Final

from lockstitch.patterns import regex
from lockstitch.resources import load_table

PKG_RESOURCES: Final = "setuptools<81"  # the last that have the module
_SEPARATORS = regex(r"[-_.]+")
_NAME = regex(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")


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


def distribution_of(module: str) -> str:
    """Return the distribution of a dotted module, quoted for a shell."""
    parts = module.split(".")
    if parts[0] == "pkg_resources":
        return f"'{PKG_RESOURCES}'"
    shared = _table("shared")
    longest = (".".join(parts[:size]) for size in range(len(parts), 1, -1))
    named = next((shared[name] for name in longest if name in shared), "")
    return named or known_modules().get(parts[0], parts[0].replace("_", "-"))


def modules_named(distribution: str) -> set[str]:
    """Return the modules that a distribution, by its normal name, has by its name or a table."""
    tops = {top for top, name in distributions().items() if normal(name) == distribution}
    return tops | {distribution.replace("-", "_")}


def distributions() -> Mapping[str, str]:
    """Return the distribution of each module that is not called like it."""
    return _table("distributions")


@functools.cache
def known_modules() -> Mapping[str, str]:
    """Return the distribution of each top-level module that the tables know."""
    known = {name.replace("-", "_"): name for name in _table("known")["names"]}
    return {**known, **distributions()}


def known_distributions() -> list[str]:
    """Return the names of the distributions that the tables know, as their projects write them."""
    return [*distributions().values(), *_table("known")["names"]]


def shared_modules() -> Mapping[str, str]:
    """Return the distribution of dotted modules below a name that many distributions share."""
    return _table("shared")


def undeclared() -> Mapping[str, str]:
    """Return the packages that a package imports and does not declare, by its versions."""
    return {
        wanted: distribution_of(name).strip("'") for wanted, name in _table("undeclared").items()
    }


def _table(name: str) -> Mapping[str, Any]:
    table: Mapping[str, Any] = load_table(__package__, "distributions.toml")[name]
    return table
