"""The environment that serves: what it holds, and where it differs from the one that trained."""

import hashlib
import platform
import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Any


@cache
def fingerprint() -> dict[str, Any]:
    """Return the Python, the platform and the packages, with one checksum of the packages.

    The checksum is the sha256 of the sorted `name==version` lines, each ended by a newline.
    """
    packages = sorted(f"{name}=={version}" for name, version in installed().items())
    lines = "".join(f"{package}\n" for package in packages)
    return {
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "packages": packages,
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }


def installed() -> dict[str, str]:
    """Return the version of each installed package by its normal name."""
    return {
        re.sub(r"[-_.]+", "-", found.name).lower(): found.version
        for found in metadata.distributions()
    }


def differences(run: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return, by name, what the record of a training and this environment have in two versions."""
    here = {**installed(), **{key: fingerprint()[key] for key in ("platform", "python")}}
    there = {**run.get("packages", {}), **{k: run[k] for k in ("platform", "python") if k in run}}
    return {
        name: {"trained": there[name], "served": here[name]}
        for name in sorted(here.keys() & there.keys())
        if there[name] != here[name]
    }
