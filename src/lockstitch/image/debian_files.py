"""Which files of Debian packages an image has, and the few that maintainer scripts would make."""

import re
from collections.abc import Iterator
from typing import Final

from lockstitch.oci.entry import Entry, file, folder, symlink

__all__ = ["BUNDLE", "CERTIFICATES", "generated", "kept"]

CERTIFICATES: Final = "usr/share/ca-certificates/mozilla/"
BUNDLE: Final = "etc/ssl/certs/ca-certificates.crt"

_INTERPRETER = re.compile(r"usr/bin/python3\.[0-9]+")
# Everything below these, and they themselves. Sorted by what they are for.
_FOLDERS: Final = (
    # for people at a terminal
    *("etc/profile.d", "etc/skel", "etc/update-motd.d", "usr/games", "usr/share/applications"),
    *("usr/share/base-files", "usr/share/bash-completion", "usr/share/bug", "usr/share/dict"),
    *("usr/share/info", "usr/share/lintian", "usr/share/locale", "usr/share/man"),
    *("usr/share/menu", "usr/share/pixmaps"),
    # for system services and package managers, of which an image has none
    *("etc/apt", "etc/ca-certificates", "etc/cron.d", "etc/cron.daily", "etc/cron.weekly"),
    *("etc/default", "etc/dpkg", "etc/init.d", "etc/logrotate.d", "etc/systemd"),
    *("usr/lib/binfmt.d", "usr/lib/systemd", "usr/lib/sysusers.d", "usr/lib/tmpfiles.d"),
    *("usr/share/binfmts", "usr/share/ca-certificates", "usr/share/debconf", "usr/share/libc-bin"),
    *("usr/share/python3", "var/backups", "var/cache/ldconfig", "var/lock", "var/run"),
    # for compilers and debuggers
    *("usr/include", "usr/share/gcc", "usr/share/gdb", "usr/src"),
    # the same times as the zones above them, in other forms; `zoneinfo` reads neither
    *("usr/share/zoneinfo/posix", "usr/share/zoneinfo/right"),
)
_PATTERNS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"etc/issue(\.net)?",
        r"etc/cron.*",
        r"usr/(bin|sbin|libexec)/.*",
        r"usr/lib/.*\.l?a",
        r"usr/lib/[^/]+/gconv(/.*)?",  # only iconv(3) loads them; UTF-8, 16, 32 are in libc
        r"usr/lib/python3[^/]*/(test|idlelib|lib2to3|ensurepip|turtledemo|tkinter)(/.*)?",
        r"usr/lib/python3[^/]*/(config-[^/]*|pydoc_data)(/.*)?",
        # Their libraries are left out as well: see LEFT_OUT in lockstitch.lock.debian.selection.
        r"usr/lib/python3[^/]*/lib-dynload/(_curses|_curses_panel|_dbm|nis|readline)\..*",
        # What CPython tests itself with.
        r"usr/lib/python3[^/]*/lib-dynload/(_ctypes_test|_test[^/]*|_xxtestfuzz|xxlimited[^/]*)\..*",
        # Licences stay: a file of that name, and the symlinks by which packages share a folder.
        r"usr/share/doc/[^/]+/(?!copyright$).*",
    )
)
# 65532 is what distroless images call `nonroot`, so that pod policies written for them hold.
_PASSWD = b"""\
root:x:0:0:root:/root:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
"""
_GROUP = b"root:x:0:\nnonroot:x:65532:\n"
_NSSWITCH = b"""\
passwd: files
group: files
shadow: files
hosts: files dns
networks: files
protocols: files
services: files
"""


def kept(path: str) -> bool:
    """Return whether a package's file, folder or symlink becomes part of the image."""
    if _INTERPRETER.fullmatch(path):
        return True
    if any(path == prefix or path.startswith(f"{prefix}/") for prefix in _FOLDERS):
        return False
    return not any(pattern.fullmatch(path) for pattern in _PATTERNS)


def generated(minor: str) -> Iterator[Entry]:
    """Yield what every base has whatever its packages hold, for Python X.Y."""
    yield file("etc/group", _GROUP)
    yield file("etc/nsswitch.conf", _NSSWITCH)
    yield file("etc/passwd", _PASSWD)
    yield symlink("etc/localtime", "/usr/share/zoneinfo/UTC")
    for name in ("bin", "lib", "sbin"):
        yield folder(f"usr/{name}")
        yield symlink(name, f"usr/{name}")
    yield symlink("usr/bin/python", "python3")
    yield symlink("usr/bin/python3", f"python{minor}")
    # Where the libssl of Debian looks: the package `openssl` has these, and is left out.
    yield symlink("usr/lib/ssl/cert.pem", f"/{BUNDLE}")
    yield symlink("usr/lib/ssl/certs", "/etc/ssl/certs")
    yield folder("home/nonroot")
    yield folder("root", mode=0o700)
    yield folder("run")
    yield folder("run/lock", mode=0o1777)
    yield folder("tmp", mode=0o1777)
    yield symlink("var/lock", "/run/lock")
    yield symlink("var/run", "/run")
    yield folder("var/tmp", mode=0o1777)
