"""A tiny Debian archive: packages that hold next to nothing, and the lists that name them."""

import functools
import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Mapping

from support.server import Reply, Server

__all__ = ["MORE", "PACKAGES", "deb", "publish"]

_PYTHON = "3.11.2-6+deb12u9"
# What `lockstitch.lock.debian.selection.ROOTS` asks for, and a file that shows the package is in.
PACKAGES: Mapping[str, tuple[str, Mapping[str, bytes]]] = {
    "base-files": ("12.4", {"usr/lib/os-release": b"ID=tiny\n"}),
    "ca-certificates": ("20230311", {"usr/share/ca-certificates/mozilla/a.crt": b"CERT\n"}),
    "libc-bin": ("2.36-9", {"usr/lib/locale/C.utf8/LC_CTYPE": b"C"}),
    "libc6": ("2.36-9", {"lib/x86_64-linux-gnu/libc.so.6": b"libc"}),
    "libgcc-s1": ("12.2.0-14", {"lib/x86_64-linux-gnu/libgcc_s.so.1": b"gcc"}),
    "libpython3.11-stdlib": (_PYTHON, {"usr/lib/python3.11/json.py": b"JSON = 1\n"}),
    "libstdc++6": ("12.2.0-14", {"usr/lib/x86_64-linux-gnu/libstdc++.so.6": b"c++"}),
    "media-types": ("10.0.0", {"etc/mime.types": b"text/plain txt\n"}),
    "netbase": ("6.4", {"etc/services": b"https 443/tcp\n"}),
    "python3.11": (_PYTHON, {}),
    "python3.11-minimal": (_PYTHON, {"usr/bin/python3.11": b"#!python\n"}),
    "tzdata": ("2025b-0", {"usr/share/zoneinfo/UTC": b"TZif2"}),
    "zlib1g": ("1:1.2.13.dfsg-1", {"lib/x86_64-linux-gnu/libz.so.1": b"z"}),
}
# Packages that a project may add: version, files, what they depend on, maintainer scripts.
MORE: Mapping[str, tuple[str, Mapping[str, bytes], str, Mapping[str, str]]] = {
    "tool": (
        "1.2-3",
        {"usr/bin/tool.gnu": b"#!/bin/sh\n", "usr/share/doc/tool/copyright": b"tool\n"},
        "libtool1 (>= 1), libc6 (>= 2), debconf",
        {
            "postinst": "#!/bin/sh\nupdate-alternatives --install /usr/bin/tool tool "
            "/usr/bin/tool.gnu 10\n"
        },
    ),
    "libtool1": (
        "1.2-3",
        {"usr/lib/x86_64-linux-gnu/libtool.so.1": b"tool", "usr/bin/tool-config": b"#!/bin/sh\n"},
        "libc6",
        {"triggers": "activate-noawait ldconfig\n"},
    ),
    "serverd": (
        "5",
        {"usr/sbin/serverd": b"#!/bin/sh\n"},
        "libtool1",
        {"postinst": "#!/bin/sh\nset -e\nadduser --system serverd\n"},
    ),
}
_DAYS = {"bookworm": 11, "bookworm-updates": 12, "bookworm-security": 10}


@functools.cache
def deb(name: str, version: str) -> bytes:
    """Return the bytes of a package with the files that PACKAGES gives it."""
    control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n".encode()
    files = (PACKAGES.get(name) or MORE[name])[1]
    scripts = MORE[name][3] if name in MORE else {}
    controls = {f"./{script}": text.encode() for script, text in scripts.items()}
    made = b"!<arch>\n"
    for part, data in {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar({"./control": control, **controls}),
        "data.tar.gz": _tar({f"./{path}": data for path, data in files.items()}),
    }.items():
        made += f"{part:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        made += data + b"\n" * (len(data) % 2)
    return made


def _tar(files: Mapping[str, bytes]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.GNU_FORMAT) as made:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            entry.mode = 0o755 if "/bin/" in path else 0o644
            made.addfile(entry, io.BytesIO(data))
    return gzip.compress(output.getvalue(), mtime=0)


def publish(server: Server, *, security: Mapping[str, str] | None = None) -> str:
    """Serve bookworm with its updates; `security` has newer versions. Return the address."""
    main = {name: version for name, (version, _) in PACKAGES.items()}
    main |= {name: each[0] for name, each in MORE.items()}
    _suite(server, "bookworm", main)
    _suite(server, "bookworm-updates", {})
    _suite(server, "bookworm-security", security or {}, archive="debian-security")
    return f"{server.address}/debian"


def _suite(
    server: Server, suite: str, packages: Mapping[str, str], *, archive: str = "debian"
) -> None:
    stanzas = []
    for name, version in packages.items():
        data, path = deb(name, version), f"pool/main/{name}_{version.rpartition(':')[2]}_amd64.deb"
        server.on(f"/{archive}/{path}", Reply(body=data))
        stanzas.append(
            f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: {path}\n"
            f"Size: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
            + (f"Depends: {MORE[name][2]}\n" if name in MORE else "")
        )
    packed = lzma.compress("\n".join(stanzas).encode(), preset=0)
    digest = hashlib.sha256(packed).hexdigest()
    place = f"/{archive}/dists/{suite}"
    release = (
        f"Origin: Debian\nCodename: {suite}\nDate: Sat, {_DAYS[suite]} Jul 2026 10:16:37 UTC\n"
        f"SHA256:\n {digest} {len(packed)} main/binary-amd64/Packages.xz\n"
    )
    server.on(f"{place}/InRelease", Reply(body=release.encode()))
    server.on(f"{place}/main/binary-amd64/Packages.xz", Reply(body=packed))
