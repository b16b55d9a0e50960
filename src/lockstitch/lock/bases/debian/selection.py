"""Chooses the packages of a Debian base: from a mirror's signed lists to exact files."""

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lockstitch import progress as talk
from lockstitch import threads
from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock.bases.base import Sources
from lockstitch.lock.bases.debian import archive as deb
from lockstitch.lock.bases.debian import index, mirror, release, scripts
from lockstitch.lock.bases.debian.base import Added, DebianBase, DebianPackage, downloads
from lockstitch.net.download import Download, Fetcher
from lockstitch.store import Store
from lockstitch.values import field, fields_of, frozen

# Dependencies of the image itself; `{}` is the minor version of Python.
PYTHON: Final = (
    "python{}-minimal",  # the interpreter
    "libpython{}-stdlib",
    "python{}",  # nothing in it is kept but its name, by which scanners know the interpreter
)
# A part of the library that Debian keeps apart, and setuptools of that time does not bring back.
APART: Final = {"3.9": ("python3-distutils",)}
SYSTEM: Final = (
    "libc6",
    "libc-bin",  # the C.UTF-8 locale; its programs are not kept
    "libgcc-s1",  # the rest of what manylinux wheels may expect of a system (PEP 600)
    "libstdc++6",
    "zlib1g",
    "base-files",  # os-release, the licences that copyright files refer to
    "ca-certificates",
    "media-types",  # what `mimetypes` reads: without it, file types would depend on the image
    "netbase",  # /etc/services: without it, `getaddrinfo(host, "https")` fails
    "tzdata-legacy | tzdata",  # from trixie on, names like US/Eastern are in a package of their own
)
# What a program needs that runs by itself, on whatever system.
LIBRARIES: Final = ("libc6", "libgcc-s1", "libstdc++6", "zlib1g")
LEFT_OUT: Final = (
    # Only maintainer scripts call these, and none is run.
    "awk",
    "debconf",
    "debconf-2.0",
    "dpkg",
    "install-info",
    "mawk",
    "openssl",  # the program; the library is libssl3
    "perl-base",
    # Only these modules of Python load them, and the image leaves the modules out as well:
    "libdb5.3",  # _dbm
    "libdb5.3t64",
    "libncursesw6",  # _curses, _curses_panel
    "libnsl2",  # nis, and with it Kerberos
    "libreadline8",  # readline
    "libreadline8t64",
    "libtinfo6",
    "libtirpc3",  # nis
    "libtirpc3t64",
)
# What packages that a project adds may depend on, and only maintainer scripts call, or starts
# services of a whole system and sessions of people who log in.
SCRIPTS_ONLY: Final = (
    *("dbus", "dbus-bin", "dbus-daemon", "dbus-system-bus-common", "dbus-user-session"),
    *("dbus-session-bus-common", "default-dbus-session-bus", "default-dbus-system-bus"),
    *("libpam-modules", "libpam-modules-bin", "libpam-runtime", "libpam-systemd", "passwd"),
    *("polkitd", "systemd", "systemd-sysv", "udev"),
    *("adduser", "cdebconf", "debconf", "debconf-2.0", "dpkg", "init-system-helpers"),
    *("install-info", "lsb-base", "sensible-utils", "sysvinit-utils", "ucf", "usrmerge"),
    *("usr-is-merged", "dictionaries-common", "emacsen-common"),
)
# Names of architectures in Debian, by the platforms of OCI images.
_ARCHITECTURES: Final = {
    "linux/386": "i386",
    "linux/amd64": "amd64",
    "linux/arm/v7": "armhf",
    "linux/arm64": "arm64",
    "linux/arm64/v8": "arm64",
    "linux/ppc64le": "ppc64el",
    "linux/riscv64": "riscv64",
    "linux/s390x": "s390x",
}
_ADDED = "debian-added"  # the kind of store record of what a project adds
_RECORD = "debian-base"  # the kind of store record; another form, or another `close`: a new name
_RELEASE = re.compile(r"[a-z][a-z0-9-]*")
_MINOR = re.compile(r"[0-9]+\.[0-9]+")


@frozen
class Selection:
    """Packages of one release for one architecture, and when their newest list was signed."""

    packages: tuple[DebianPackage, ...]
    snapshot: str
    added: Added = field(default_factory=Added)

    def upstream(self, name: str) -> str:
        """Return the version of a package as its authors number it."""
        return _upstream(next(p.version for p in self.packages if p.name == name))


def pin(
    release_name: str,
    platform: str,
    python: str,
    sources: Sources,
    packages: tuple[str, ...] = (),
    *,
    source: mirror.Mirror | None = None,
    keyring: Path = release.KEYRING,
) -> DebianBase:
    """Choose the packages of a base with Python X.Y for a platform, from the mirror's lists.

    Raises LockstitchError when the mirror has no such release, platform or Python, or when a
    dependency is missing, and with every package of `packages` that cannot be had.
    """
    if not _MINOR.fullmatch(python):  # it becomes a part of names of packages
        message = f"`{python:.60}` is not a minor version of Python"
        raise LockstitchError(message, hint='write two numbers: python = "3.11"')
    roots = (*(root.format(python) for root in PYTHON), *APART.get(python, ()), *SYSTEM)
    selection = select(
        release_name, platform, roots, sources, packages, source=source, keyring=keyring
    )
    return DebianBase(
        release=release_name,
        platform=platform,
        python=selection.upstream(f"python{python}-minimal"),
        glibc=selection.upstream("libc6"),
        snapshot=selection.snapshot,
        packages=selection.packages,
        added=selection.added,
    )


def select(  # noqa: PLR0913 -- where to and where from, each by name
    release_name: str,
    platform: str,
    roots: Sequence[str],
    sources: Sources,
    packages: tuple[str, ...] = (),
    *,
    source: mirror.Mirror | None = None,
    keyring: Path = release.KEYRING,
    scripts_matter: bool = True,
) -> Selection:
    """Choose packages and all that they depend on, from the mirror's signed lists.

    The lists are fetched by digest, and the choice from the same lists is recorded, so a second
    call reads three small files from the network and nothing else. `packages` are added to that,
    with what they depend on; they are fetched too, as their maintainer scripts are read before
    anything is recorded. Raises LockstitchError when the mirror has no such release or platform,
    when a dependency is missing, and with each of `packages` that is unknown or needs its scripts,
    unless these do not matter: a program that runs by itself needs no user, and no file of theirs.
    """
    fetcher, store, progress = sources.fetcher, sources.store, sources.progress
    architecture = _checked(release_name, platform)
    source = source or mirror.find(release_name)
    suites = _suites(source, release_name, architecture, fetcher, keyring)
    lists = [(archive, suite.packages) for archive, suite in suites if suite.packages]
    key = _key(release_name, platform, roots, [download for _, download in lists])
    rows = store.record(_RECORD, key)
    decides = [key, packages, SCRIPTS_ONLY, *([] if scripts_matter else ["by itself"])]
    more_key = of_bytes(json.dumps(decides).encode()).hex
    more = store.record(_ADDED, more_key) if packages else []
    task = f"choose packages of debian:{release_name} for {platform}"
    if rows is None or more is None:
        fetcher.fetch([download for _, download in lists], progress)
        with progress.task(task, 0):
            every = _read_lists(lists, store)
            chosen = _choose(release_name, roots, every)
        store.put_record(_RECORD, key, [fields_of(package) for package in chosen])
    else:
        chosen = tuple(_package(row) for row in rows)
    if more is None:
        with progress.task(task, 0):
            added = index.extend(every, chosen, packages, SCRIPTS_ONLY)
        fetcher.fetch(downloads(release_name, added, source), progress)
        if scripts_matter:
            refused = _refused(added, store)
            with_it = {
                name: index.extend(every, chosen, [name], SCRIPTS_ONLY)
                for name in (packages if refused else ())
            }
            raise_all(_refusals(refused, with_it))
            for note in _without_shell(added, packages, store):
                talk.say(note)
        store.put_record(_ADDED, more_key, [fields_of(package) for package in added])
    else:
        added = tuple(_package(row) for row in more)
    return Selection(
        packages=chosen,
        snapshot=max(suite.date for _, suite in suites),
        added=Added(requested=packages, packages=added),
    )


def _refused(packages: Sequence[DebianPackage], store: Store) -> dict[str, LockstitchError]:
    """Return an error by name for each package that would not work without its scripts."""
    problems: dict[str, LockstitchError] = {}
    for package in packages:
        title = f"{package.name} {package.version}"
        data = store.read(package.digest) or b""
        try:
            controls = deb.controls(deb.parts(data, title))
        except deb.DAMAGED as error:
            raise deb.unreadable(title, error) from error
        if problem := scripts.check(package.name, package.version, controls):
            problems[package.name] = problem
    return problems


def _refusals(
    refused: Mapping[str, LockstitchError], with_it: Mapping[str, Sequence[DebianPackage]]
) -> list[LockstitchError]:
    """Return an error for each package that was asked for and comes with a refused one."""
    comes = {
        name: [p.name for p in packages if p.name in refused] for name, packages in with_it.items()
    }
    left = json.dumps([name for name in comes if not comes[name]])
    hint = f"packages = {left} in [tool.lockstitch.base], or use a base of a registry"
    problems = []
    for name, causes in comes.items():
        if causes:
            worst = refused[name if name in refused else causes[0]]
            others = "" if name in refused else f"`{name}` comes with what cannot be added: "
            problems.append(LockstitchError(f"{others}{worst.message}", hint=hint))
    return problems or list(refused.values())


def contents(
    release_name: str,
    platform: str,
    fetcher: Fetcher,
    source: mirror.Mirror | None = None,
    keyring: Path = release.KEYRING,
) -> Download:
    """Return a release's list of files for a platform; raises LockstitchError without one."""
    architecture = _checked(release_name, platform)
    root = (source or mirror.find(release_name)).root("debian")
    signatures = release.Signatures.installed(keyring)
    suite = release.read(
        root, release_name, architecture=architecture, fetcher=fetcher, signatures=signatures
    )
    if suite.contents is None:
        raise LockstitchError(f"`debian:{release_name}` lists no files for `{architecture}`")
    return suite.contents


def _checked(release_name: str, platform: str) -> str:
    # These become parts of addresses.
    if not _RELEASE.fullmatch(release_name):
        message = f"`debian:{release_name:.60}` is not a Debian release"
        raise LockstitchError(message, hint='write the codename: base = "debian:bookworm"')
    if platform not in _ARCHITECTURES:
        message = f"`{platform:.60}` is not a platform that Debian has"
        raise LockstitchError(message, hint=f"use one of {', '.join(sorted(_ARCHITECTURES))}")
    return _ARCHITECTURES[platform]


def _suites(
    source: mirror.Mirror, name: str, architecture: str, fetcher: Fetcher, keyring: Path
) -> list[tuple[str, release.Release]]:
    """Return the release, its updates and its security updates, each with its archive."""
    signatures = release.Signatures.installed(keyring)
    if signatures is None:
        talk.say(
            f"* the package lists of debian:{name} are taken without a check of their signature: "
            f"`gpgv` or `{keyring}` is not installed"
        )
    read = functools.partial(
        release.read, architecture=architecture, fetcher=fetcher, signatures=signatures
    )
    places = (
        ("debian", name),
        ("debian", f"{name}-updates"),
        ("debian-security", f"{name}-security"),
    )
    releases = threads.run(
        places, lambda place: read(source.root(place[0]), place[1]), parallel=len(places)
    )
    suites = [(archive, suite) for (archive, _), suite in zip(places, releases, strict=True)]
    _check_lists(suites, name, architecture)
    return suites


def _check_lists(
    suites: Sequence[tuple[str, release.Release]], name: str, architecture: str
) -> None:
    for _, suite in suites:
        if suite.packages is None and suite.suite == name:
            message = f"`debian:{name}` has no packages for `{architecture}`"
            raise LockstitchError(message, hint="change `platforms` or `base`")
        if suite.packages is None:  # long-term support ends on some architectures before others
            talk.say(f"* `{suite.suite}` has no packages for `{architecture}`")


def _read(store: Store, download: Download) -> bytes:
    data = store.read(download.digest)
    if data is None:
        store.read_again(download.digest)  # which removes what is damaged
        message = f"`{download.name}` did not stay whole in the store `{store.root}`"
        raise LockstitchError(message, hint="run the same command again")
    return data


def _without_shell(
    packages: Sequence[DebianPackage], named: Sequence[str], store: Store
) -> Iterator[str]:
    """Yield the packages to add where a named package's program is a shell script."""
    there = {package.name for package in packages}
    for package in packages:
        members = deb.parts(store.read(package.digest) or b"", package.name)
        for path, first in deb.programs(members) if package.name in named else ():
            wanted = next((name for end, name in _SHELLS.items() if first.endswith(end)), "")
            if wanted and wanted not in there and path.startswith(package.name):
                yield f'* `{path}` of `{package.name}` is a script: add "{wanted}" to `packages`'
                break


_SHELLS: Final = {b"/sh": "dash", b"/bash": "bash", b"/perl": "perl-base", b"env perl": "perl-base"}


def _read_lists(lists: Sequence[tuple[str, Download]], store: Store) -> index.Index:
    return index.Index((archive, index.unpack(_read(store, d), d.name)) for archive, d in lists)


def _choose(name: str, roots: Sequence[str], packages: index.Index) -> tuple[DebianPackage, ...]:
    interpreter = re.fullmatch(r"python(\d+\.\d+)-minimal", roots[0])
    if interpreter and interpreter[0] not in packages.names():
        has = [
            m[1] for n in packages.names() if (m := re.fullmatch(r"python(\d+\.\d+)-minimal", n))
        ]
        versions = ", ".join(sorted(has)) or "none"
        message = f"`debian:{name}` has Python {versions}, the project wants `{interpreter[1]}`"
        ways = f'set python = "{has[0]}", or ' if has else ""
        other = f'base = "cpython:{interpreter[1]}", or another: bookworm has 3.11, trixie 3.13'
        raise LockstitchError(message, hint=ways + other)
    groups = [group for root in roots for group in index.parse_relations(root)]
    return index.close(packages, groups, LEFT_OUT)


def _key(name: str, platform: str, roots: Sequence[str], lists: Sequence[Download]) -> str:
    parts = [name, platform, [d.digest for d in lists], roots, LEFT_OUT]
    return of_bytes(json.dumps(parts).encode()).hex


def _package(row: dict[str, Any]) -> DebianPackage:
    return DebianPackage(**{**row, "digest": Digest.parse(row["digest"])})


def _upstream(version: str) -> str:
    """Return a version without Debian's epoch and revision: `3.11.2` of `3.11.2-6+deb12u9`."""
    without_epoch = version.partition(":")[2] if ":" in version else version
    return without_epoch.rpartition("-")[0] or without_epoch
