"""Small values of our own types, which a test changes where it is about that."""

from pathlib import Path
from typing import Any

from lockstitch.digest import of_bytes
from lockstitch.lock.bases.debian import DebianBase
from lockstitch.lock.bases.registry import RegistryBase
from lockstitch.lock.file import Lock
from lockstitch.python.model import Project


def debian_base(**changes: Any) -> DebianBase:
    """Return a Debian base without packages."""
    values: dict[str, Any] = {
        "release": "bookworm",
        "platform": "linux/amd64",
        "python": "3.11.2",
        "glibc": "2.36",
        "snapshot": "20260711T101637Z",
        "packages": (),
    }
    return DebianBase(**(values | changes))


def registry_base(**changes: Any) -> RegistryBase:
    """Return a base that is an image of a registry."""
    values: dict[str, Any] = {
        "reference": "registry.test/python:3.11",
        "platform": "linux/amd64",
        "manifest": of_bytes(b"manifest"),
        "index": None,
        "config": of_bytes(b"config"),
        "snapshot": "20260304T050607Z",
        "python": "3.11.9",
        "program": "/usr/local/bin/python3.11",
        "glibc": "2.36",
    }
    return RegistryBase(**(values | changes))


def project(**changes: Any) -> Project:
    """Return a project without images."""
    values: dict[str, Any] = {
        "root": Path("/nowhere"),
        "name": "churn",
        "version": "0.1.0",
        "python": "3.11",
        "base": "debian:bookworm",
        "platforms": ("linux/amd64",),
        "images": (),
        "is_package": False,
        "build_requires": (),
        "document": {},
    }
    return Project(**(values | changes))


def lock(**changes: Any) -> Lock:
    """Return a lock that pins nothing."""
    values: dict[str, Any] = {
        "inputs": of_bytes(b"inputs"),
        "tools": (),
        "python": "3.11",
        "base": "debian:bookworm",
        "files": (),
        "build": (),
        "bases": (),
    }
    return Lock(**(values | changes))


def pylock(**wheels: bytes) -> str:
    """Return a PEP 751 lock of wheels by the name of their package, all of version 1.0."""
    text = 'lock-version = "1.0"\ncreated-by = "test"\n'
    for name, data in wheels.items():
        filename = f"{name}-1.0-py3-none-any.whl"
        text += f'\n[[packages]]\nname = "{name.replace("_", "-")}"\nversion = "1.0"\n\n'
        text += f'[[packages.wheels]]\nname = "{filename}"\nurl = "https://index.test/{filename}"\n'
        text += f'size = {len(data)}\nhashes = {{ sha256 = "{of_bytes(data).hex}" }}\n'
    return text
