"""What a Python lock comes down to for one target: named wheels, each by its sha256."""

from dataclasses import dataclass
from typing import Any

from lockstitch.digest import Digest

__all__ = ["LockedWheel"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LockedWheel:
    """One wheel that a lock pins for a target."""

    name: str  # normalised (PEP 503)
    version: str
    filename: str
    url: str
    digest: Digest
    size: int | None
    uploaded: int  # seconds since 1970; 0 when the lock does not say

    def document(self) -> dict[str, Any]:
        """Return it as JSON for a record."""
        return {key: getattr(self, key) for key in self.__slots__}

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> "LockedWheel":
        """Return the wheel that a record holds."""
        return cls(**(document | {"digest": Digest.parse(document["digest"])}))
