"""The record of a run: what went in, what came out, and which versions did it."""

import hashlib
import platform
import re
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any


def run(
    arguments: Mapping[str, str],
    seeds: Mapping[str, int],
    inputs: Mapping[str, str],
    outputs: Mapping[str, bytes],
) -> dict[str, Any]:
    """Return the record; inputs are digests, outputs are contents by name.

    It has no time and no path of this machine: a run that repeats gives the same record.
    """
    return {
        "arguments": dict(arguments),
        "inputs": dict(inputs),
        "outputs": {name: sha256(content) for name, content in outputs.items()},
        "packages": packages(),
        "platform": f"{sys.platform} {platform.machine()}",
        "python": python(),
        "seeds": dict(seeds),
    }


def packages() -> dict[str, str]:
    """Return the version of each package that this process has imported; the project's is not."""
    owners = metadata.packages_distributions()
    modules = {module.partition(".")[0] for module in sys.modules} - {__package__}
    names = {name for module in modules for name in owners.get(module, [])}
    return {re.sub(r"[-_.]+", "-", name).lower(): metadata.version(name) for name in sorted(names)}


def sha256(content: bytes) -> str:
    """Return the digest of a content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def python() -> str:
    """Return the version of Python."""
    return platform.python_version()
