"""The interface of a base of any kind, and how their tables of lockstitch.lock are read."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.lock.sbom import Component, PackageFacts
from lockstitch.net.download import Download, Fetcher
from lockstitch.oci.layer import LayerFacts
from lockstitch.oci.registry.client import Client
from lockstitch.patterns import regex
from lockstitch.progress import Reporter
from lockstitch.python.tables import Table
from lockstitch.python.target import Target
from lockstitch.store import Store
from lockstitch.values import field, frozen

_ANY: Final = regex(r".+")
STAMP: Final = regex(r"\d{8}T\d{6}Z")  # a time, as snapshot archives write it
PATCH: Final = regex(r"3\.\d{1,2}\.\d{1,3}")  # a full version of Python
PLATFORM: Final = regex(r"linux/(?:amd64|arm64)")


@frozen
class ImageDefaults:
    """The config that an image on a base starts from."""

    env: Mapping[str, str]
    certificates: str  # the absolute path of the bundle of authorities, "" where there is none
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()  # of the layers that it brings, lowest first
    user: str = ""  # whom its own containers run as
    resets: tuple[str, ...] = ()  # settings that its own containers have and ours do not


class Base(Protocol):
    """The pinned ground of the images of one platform."""

    @property
    def kind(self) -> str:
        """The name of its table in lockstitch.lock."""

    @property
    def name(self) -> str:
        """The `base` of pyproject.toml that it satisfies, as in `debian:bookworm`."""

    @property
    def platform(self) -> str:
        """The platform, as in `linux/amd64`."""

    @property
    def python(self) -> str:
        """The full version of its Python."""

    @property
    def program(self) -> str:
        """The absolute path of its Python."""

    @property
    def snapshot(self) -> str:
        """The time of its newest part, as in `20260304T050607Z`."""

    @property
    def release(self) -> str:
        """The release of Debian that its packages are of, "" in a registry's image."""

    @property
    def requested(self) -> tuple[str, ...]:
        """The names of the system's packages that the project adds."""

    @property
    def plain(self) -> "Base":
        """The same base without the project's packages."""

    @property
    def digest(self) -> Digest:
        """The digest of everything that it consists of."""

    @property
    def image(self) -> str:
        """The reference by digest of the image that it is in a registry, "" where none has it."""

    @property
    def interpreter(self) -> Digest | None:
        """The interpreter that bytecode depends on; None where none may be run here."""

    @property
    def layers(self) -> tuple[LayerFacts, ...]:
        """The layers that it brings as blobs, lowest first, of its own manifest's media types."""

    @property
    def layer_kinds(self) -> tuple[str, ...]:
        """The kinds of layers that are made from its packages, lowest first."""

    @property
    def python_paths(self) -> tuple[str, ...]:
        """The prefixes of paths of the layer `python`, without a leading slash."""

    @property
    def library(self) -> str:
        """The path of its standard library without a leading slash, "" in a registry's image."""

    @property
    def lacks(self) -> frozenset[str]:
        """The modules of the standard library that it leaves out."""

    def target(self) -> Target:
        """Return the machine that wheels must fit."""

    def defaults(self) -> ImageDefaults:
        """Return the config that an image on it starts from."""

    def downloads(self) -> list[Download]:
        """Return the files that its layers are made from."""

    def components(self, facts: Mapping[str, PackageFacts]) -> list[Component]:
        """Return its part of a bill of materials; `facts` are by the hex digest of a package."""

    def pins(self) -> dict[str, tuple[str, frozenset[str]]]:
        """Return the version and the hashes of everything that it pins, by name."""

    def equivalent(self, fresh: "Base") -> bool:
        """Return whether a base that was pinned again brings nothing new."""

    def document(self) -> dict[str, object]:
        """Return its table in lockstitch.lock, which `Kind.read` turns back into it."""


@frozen
class Sources:
    """The places where bases are found, and where the facts read of them are kept."""

    store: Store
    fetcher: Fetcher
    progress: Reporter
    client: Client


@frozen
class Kind:
    """One kind of base: how it is recognised, pinned and read back from the lock."""

    table: str  # its name in lockstitch.lock
    in_registry: bool  # whether the base is an image that a registry has already
    matches: Callable[[str], bool]  # whether a `base` of pyproject.toml names one
    # Of a `base`, for a platform and Python X.Y, with packages of the system by name.
    pin: Callable[[str, str, str, Sources, tuple[str, ...]], Base]
    read: Callable[[Table, str], Base | None]  # None with what is wrong added to its problems


def read_text(table: Table, key: str, form: re.Pattern[str] = _ANY) -> str:
    """Return a text of this form, with a problem added to the table where it has another."""
    text = table.text(key)
    if not form.fullmatch(text):
        table.complain(key, f"is `{text:.80}`, which is no {key}" if text else "is missing")
    return text


def read_digest(table: Table, key: str, prefix: str = "sha256:") -> Digest:
    """Return a digest, or an empty one with a problem added to the table."""
    try:
        return Digest.parse(prefix + table.text(key))
    except LockstitchError as error:
        table.complain(key, f"is wrong: {error.message}")
        return Digest("")
