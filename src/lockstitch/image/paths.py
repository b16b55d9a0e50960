"""Paths in an image, and the version of their layout."""

from typing import Final

# Raised whenever the bytes of any layer change for the same input: encoder, order, headers,
# trim rules, scripts. It is part of every record's key.
LAYOUT: Final = 6

APP: Final = "app"
VENV: Final = "app/.venv"
USER: Final = 65532
# The label of an image that was built in spite of a drift, and of no other.
DRIFT: Final = "dev.lockstitch.drift"


def bin_folder() -> str:
    """Return the folder of programs."""
    return f"{VENV}/bin"


def site_packages(minor: str) -> str:
    """Return the folder of packages for a minor version such as 3.11."""
    return f"{VENV}/lib/python{minor}/site-packages"
