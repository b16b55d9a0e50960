"""Finds the mirror of Debian packages: the one named in a variable, else the one apt uses."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from lockstitch import environ, files
from lockstitch.errors import LockstitchError
from lockstitch.headers import fields_of
from lockstitch.patterns import regex
from lockstitch.values import frozen

ARCHIVES: Final = ("debian", "debian-security")
_HINT = (
    "set LOCKSTITCH_DEBIAN_MIRROR to the root of a mirror's `debian` archive, "
    "the folder that holds `dists` and `pool`"
)
_LINE = regex(r"deb\s+(?:\[[^\]]*\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<rest>.+)")


@frozen
class Mirror:
    """The addresses of the two archives, without a slash at the end."""

    debian: str
    security: str

    def root(self, archive: str) -> str:
        """Return the address of one of ARCHIVES."""
        return self.security if archive == "debian-security" else self.debian


@frozen
class Source:
    """One suite that apt is set up with."""

    uri: str
    suite: str
    components: tuple[str, ...]

    @property
    def archive(self) -> str:
        """The last part of the address: `debian` on an ordinary mirror."""
        return urlsplit(self.uri).path.rpartition("/")[2]


def find(release: str, *, apt: Path = Path("/etc/apt")) -> Mirror:
    """Return the mirror for a release, or raise LockstitchError that says how to name one."""
    named = environ.get("LOCKSTITCH_DEBIAN_MIRROR")
    if named:
        return from_address(named)
    sources = list(_configured(apt))
    # Others publish under Debian's suite names too; the archive's own name tells them apart.
    main = _first(
        sources,
        lambda s: s.suite == release and s.archive == "debian",
        lambda s: s.suite == release,
        lambda s: s.archive == "debian",
    )
    if main is None:
        message = f"no mirror is known for `debian:{release}`: LOCKSTITCH_DEBIAN_MIRROR is not set"
        if sources:
            message += f", and none of the {len(sources)} sources in `{apt}` is Debian's"
        raise LockstitchError(message, hint=_HINT)
    security = _first(
        sources,
        lambda s: s.suite == f"{release}-security",
        lambda s: s.archive == "debian-security",
    )
    return Mirror(debian=main.uri, security=security.uri if security else f"{main.uri}-security")


def from_address(address: str) -> Mirror:
    """Return the mirror whose `debian` archive is at this address, security beside it."""
    root = address.rstrip("/")
    parts = urlsplit(root)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
        message = "`LOCKSTITCH_DEBIAN_MIRROR` is not a plain http or https address"
        raise LockstitchError(message, hint=_HINT)
    return Mirror(debian=root, security=f"{root}-security")


def _first(sources: Sequence[Source], *rules: Callable[[Source], bool]) -> Source | None:
    return next((s for rule in rules for s in sources if rule(s)), None)


def _configured(apt: Path) -> Iterator[Source]:
    # The order apt reads them in; both formats may stand side by side.
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]:
        if path.is_file():
            yield from read_list(files.read_text(path))
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        yield from read_sources(files.read_text(path))


def read_list(text: str) -> list[Source]:
    """Return the binary package sources with `main` in the one-line format."""
    matches = [_LINE.fullmatch(line.partition("#")[0].strip()) for line in text.splitlines()]
    return [s for m in matches if m for s in _sources([m["uri"]], [m["suite"]], m["rest"].split())]


def read_sources(text: str) -> list[Source]:
    """Return the enabled binary package sources with `main` in the deb822 format."""
    sources: list[Source] = []
    for stanza in re.split(r"\n[ \t]*\n", "\n" + text):
        fields = fields_of(stanza.strip("\n"))
        enabled = fields.get("enabled", "yes").lower()
        disabled = enabled in {"no", "false", "without", "off", "disable"}
        if "deb" in fields.get("types", "").split() and not disabled:
            words = [fields.get(name, "").split() for name in ("uris", "suites", "components")]
            sources += _sources(*words)
    return sources


def _sources(uris: list[str], suites: list[str], components: list[str]) -> list[Source]:
    # The security archive called its component `updates/main` for years.
    if not {"main", "updates/main"} & set(components):
        return []
    return [
        Source(uri=uri.rstrip("/"), suite=suite.rstrip("/"), components=tuple(components))
        for uri in uris
        for suite in suites
        if urlsplit(uri).scheme in {"http", "https"}
    ]
