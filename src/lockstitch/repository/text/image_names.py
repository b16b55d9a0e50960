"""Reads names of images: registry, path, tag, digest; knows which are no longer published."""

import functools

from lockstitch.patterns import regex
from lockstitch.resources import load_table
from lockstitch.values import frozen

_table = functools.partial(load_table, __package__, "image_names.toml")
_NAME = regex(
    r"(?:(?P<host>localhost(?::\d+)?|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::\d+)?|[A-Za-z0-9-]+:\d+)/)?"
    r"(?P<path>[a-z0-9._-]+(?:/[a-z0-9._-]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(?:@(?P<digest>[a-z0-9]+:[0-9a-fA-F]{32,128}))?"
)
_HUB = frozenset({"", "docker.io", "index.docker.io", "registry.hub.docker.com"})


@frozen
class Reference:
    """An image's name in its parts; missing ones are empty."""

    host: str
    path: str  # without `library/`
    tag: str
    digest: str

    @property
    def on_hub(self) -> bool:
        """Return whether Docker's own registry has it."""
        return self.host in _HUB

    @property
    def text(self) -> str:
        """The name as written, without `library/`."""
        host = f"{self.host}/" if self.host else ""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{host}{self.path}{tag}{digest}"

    @property
    def key(self) -> str:
        """Return one spelling for all that mean the same image, without a digest."""
        host = "" if self.on_hub else f"{self.host}/"
        return f"{host}{self.path}:{self.tag or 'latest'}"

    @property
    def last(self) -> str:
        """Return the last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def moves(self) -> bool:
        """Return whether tomorrow's pull may give another image by default."""
        return not self.digest and self.tag in {"", "latest"}


def reference(text: str) -> Reference | None:
    """Return the parts of an image's name, None when it is none."""
    match = _NAME.fullmatch(text.strip())
    if match is None:
        return None
    parts = {name: value or "" for name, value in match.groupdict().items()}
    return Reference(**{**parts, "path": parts["path"].removeprefix("library/")})


def is_local(image: Reference) -> bool:
    """Return whether no registry has the name: it was built on the machine."""
    official = "/" in image.path or image.path in _table()["official"]
    return (image.on_hub and not official) or image.host.startswith("localhost")


@frozen
class Gone:
    """An image that is no longer published: what happened, what to take, and who says so."""

    what: str
    instead: str
    source: str


def gone(image: Reference) -> Gone | None:
    """Return the facts of an image that is no longer published."""
    table, names = _table(), {image.path, f"{image.path.partition('/')[0]}/*"}
    for entry in table["gone"] if image.path not in table["published"] else ():
        if names & {*entry["paths"]} and (image.on_hub or entry.get("mirrors_too")):
            instead = entry["instead"].replace("{path}", image.path)
            return Gone(what=entry["what"], instead=instead, source=entry["source"])
    return None
