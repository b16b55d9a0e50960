"""A suite's InRelease file: its signature, its date, and what its package list must be."""

import email.utils
import re
from pathlib import Path
from typing import Final, Self

from lockstitch import process
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.net.download import Download, Fetcher
from lockstitch.net.transport import shown
from lockstitch.values import frozen

KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_LIMIT = 8 << 20  # bytes; Debian's largest InRelease has 0.2 MB
_SIGNED, _SIGNATURE = "-----BEGIN PGP SIGNED MESSAGE-----", "-----BEGIN PGP SIGNATURE-----"
_ENTRY = re.compile(r" ([0-9a-f]{64}) +([0-9]+) (\S+)")
_FIELD = re.compile(r"([A-Za-z0-9-]+):(?: (.*))?")


@frozen
class Release:
    """One suite of an archive at one moment; `packages` is None where it has no such list."""

    suite: str
    date: str
    packages: Download | None
    contents: Download | None = None  # the list of all files of all packages


@frozen
class Signatures:
    """Checks signatures with gpgv and the keys of a keyring."""

    gpgv: Path
    keyring: Path

    @classmethod
    def installed(cls, keyring: Path) -> Self | None:
        """Return the checker where gpgv and the keys are installed, else None."""
        if not keyring.is_file():
            return None
        try:
            return cls(gpgv=process.find("gpgv", hint="apt-get install gpgv"), keyring=keyring)
        except LockstitchError:
            return None

    def signed(self, text: str, url: str) -> str:
        """Return a clear-signed text; raises LockstitchError unless the keyring signed it."""
        # Not the text itself: it may hold more, before and after what was signed.
        command: list[str | Path] = [self.gpgv, "--keyring", self.keyring, "--output", "-"]
        done = process.run(command, stdin=text, check=False)
        if done.code == 0:
            return done.stdout
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        message = f"`{shown(url)}` is not signed by a key of `{self.keyring}`: {reason[0]}"
        hint = "apt-get install debian-archive-keyring, or set LOCKSTITCH_DEBIAN_MIRROR to another"
        raise LockstitchError(message, hint=hint)


def read(
    root: str, suite: str, architecture: str, *, fetcher: Fetcher, signatures: Signatures | None
) -> Release:
    """Fetch a suite's InRelease below an archive's root, check its signature, and parse it."""
    url = f"{root}/dists/{suite}/InRelease"
    try:
        text = fetcher.read(url, limit=_LIMIT).decode(errors="replace")
    except LockstitchError as error:
        if "HTTP 404" not in error.message:  # the network's trouble, which has a hint of its own
            raise
        hint = f"check that {shown(root)} has the release `{suite}`, or name another in `base`"
        raise LockstitchError(error.message, hint=hint) from error
    text = signatures.signed(text, url) if signatures else _unwrapped(text)
    return parse(text, root=root, suite=suite, architecture=architecture)


def parse(text: str, *, root: str, suite: str, architecture: str) -> Release:
    """Return the entry for `main` of one architecture in the text of a Release file."""
    fields, entries = _fields(text)
    address = f"{shown(root)}/dists/{suite}"
    # A mirror that serves another suite's signed file under this name would hold back updates.
    if fields.get("Origin") != "Debian" or suite not in {
        fields.get("Codename"),
        fields.get("Suite"),
    }:
        name = f"{fields.get('Origin', 'nobody')} {fields.get('Codename', 'nothing')}"
        message = f"`{address}` is wanted as `Debian {suite}`, it says `{name:.100}`"
        raise LockstitchError(message, hint="set LOCKSTITCH_DEBIAN_MIRROR to a mirror of Debian")

    def listed(folder: str, name: str, title: str) -> Download | None:
        if f"{folder}/{name}" not in entries:
            return None
        digest, size = entries[f"{folder}/{name}"]
        # By hash, a list that changes while we read cannot be mistaken for the one named here.
        by_hash = fields.get("Acquire-By-Hash") == "yes"
        place = f"{folder}/by-hash/SHA256/{digest.hex}" if by_hash else f"{folder}/{name}"
        url = f"{root}/dists/{suite}/{place}"
        return Download(name=f"{title} of {suite}", url=url, digest=digest, size=size)

    return Release(
        suite=suite,
        date=_stamp(fields.get("Date", ""), address),
        packages=listed(f"main/binary-{architecture}", "Packages.xz", "package list"),
        contents=listed("main", f"Contents-{architecture}.gz", "list of files"),
    )


def _unwrapped(text: str) -> str:
    if not text.startswith(_SIGNED):
        return text
    # RFC 4880, section 7.1: armour headers, an empty line, the text with dashes escaped.
    body = text.partition("\n\n")[2].partition("\n" + _SIGNATURE)[0]
    return re.sub(r"^- ", "", body, flags=re.MULTILINE)


def _fields(text: str) -> tuple[dict[str, str], dict[str, tuple[Digest, int]]]:
    fields: dict[str, str] = {}
    entries: dict[str, tuple[Digest, int]] = {}
    name = ""
    for line in text.splitlines():
        if field := _FIELD.fullmatch(line):
            name = field[1]
            fields[name] = field[2] or ""
        elif name == "SHA256" and (entry := _ENTRY.fullmatch(line)):
            entries[entry[3]] = Digest.of_hex(entry[1]), int(entry[2])
    return fields, entries


def _stamp(date: str, address: str) -> str:
    """Return a Release file's date as snapshot archives write it."""
    try:
        parsed = email.utils.parsedate_to_datetime(date)
    except ValueError as error:
        raise LockstitchError(f"`{address}` has the date `{date:.40}`, which is none") from error
    return f"{parsed:%Y%m%dT%H%M%SZ}"
