"""What a lock says of a base from a registry: enough to build on it without reading its layers."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.python.target import Target

__all__ = ["BaseLayer", "RegistryBase", "SystemPackage", "history_entry"]

# What Debian and Alpine allow; nothing here can leave a purl or a line of a terminal.
_FORMS = {
    "kind": re.compile(r"deb|apk"),
    "name": re.compile(r"[A-Za-z0-9._][A-Za-z0-9+._-]*"),
    "version": re.compile(r"[0-9A-Za-z.+~:_-]+"),
    "architecture": re.compile(r"[A-Za-z0-9_-]*"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPackage:
    """A package of the base's own package manager, as its records name it."""

    kind: str  # "deb", "apk"
    name: str
    version: str
    architecture: str
    licence: str = ""

    def __post_init__(self) -> None:
        """Refuse what no package is called."""
        raise_all(
            [
                LockstitchError(f"`{getattr(self, key)!s:.200}` is not the {key} of a package")
                for key, form in _FORMS.items()
                if not form.fullmatch(getattr(self, key))
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseLayer:
    """One layer of the base: the blob, and what is in it."""

    digest: Digest
    size: int
    media_type: str  # as the base's own manifest says
    diff_id: Digest
    unpacked: int  # bytes of its files


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryBase:
    """An image with a CPython in it, for one platform."""

    reference: str  # as pyproject.toml names it
    platform: str
    manifest: Digest
    index: Digest | None  # what holds the manifests of all platforms, if anything does
    config: Digest
    snapshot: str  # when it was made
    python: str
    program: str  # the absolute path of its Python
    glibc: str = ""
    musl: str = ""
    certificates: str = ""  # the absolute path of its bundle of authorities
    distribution: str = ""  # ID and VERSION_ID of os-release, as in `debian-12`
    user: str = ""
    resets: tuple[str, ...] = ()  # settings that its containers have and ours do not
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    history: tuple[str, ...] = ()  # JSON objects, lowest first
    layers: tuple[BaseLayer, ...] = ()
    packages: tuple[SystemPackage, ...] = ()

    @property
    def parts(self) -> list[str]:
        """What makes it this base and no other."""
        return [self.platform, self.manifest]

    def target(self) -> Target:
        """Return the machine that wheels must fit."""
        return Target(platform=self.platform, python=self.python, glibc=self.glibc, musl=self.musl)

    def entries_of_history(self) -> list[dict[str, Any]]:
        """Return the history of its layers, lowest first, as its config has it."""
        return [history_entry(json.loads(text)) for text in self.history]


def history_entry(value: object) -> dict[str, Any]:
    """Return what the OCI image spec knows of an entry of a history."""
    found = value if isinstance(value, dict) else {}
    texts = ("author", "comment", "created", "created_by")
    kept: dict[str, Any] = {key: found[key] for key in texts if isinstance(found.get(key), str)}
    return kept | ({"empty_layer": True} if found.get("empty_layer") is True else {})
