"""Choosing a base from a tiny archive on loopback."""

import dataclasses
import hashlib
import http.server
import lzma
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.lock.bases import Sources, debian
from lockstitch.lock.bases.debian import mirror, release, selection
from lockstitch.net.download import Fetcher
from lockstitch.oci.registry.client import Client
from lockstitch.progress import Quiet
from lockstitch.store import Store

PYTHON = "3.11.2-6+deb12u9"
MAIN = {
    "base-files": "12.4",
    "ca-certificates": "20230311",
    "libc-bin": "2.36-9",
    "libc6": "2.36-9+deb12u14",
    "libgcc-s1": "12.2.0-14",
    "libpython3.11-stdlib": PYTHON,
    "libstdc++6": "12.2.0-14",
    "media-types": "10.0.0",
    "netbase": "6.4",
    "python3.11": PYTHON,
    "python3.11-minimal": PYTHON,
    "tzdata": "2025b-0",
    "zlib1g": "1:1.2.13.dfsg-1",
}


@dataclasses.dataclass
class Archive:
    """A mirror in a folder, and what was asked of it."""

    root: Path
    address: str
    asked: list[str]

    @property
    def mirror(self) -> mirror.Mirror:
        return mirror.from_address(f"{self.address}/debian")

    def suite(
        self, name: str, packages: dict[str, str], *, by_hash: bool = True, day: int = 1
    ) -> None:
        archive = "debian-security" if name.endswith("-security") else "debian"
        packed = lzma.compress("".join(_stanza(*pair) for pair in packages.items()).encode())
        digest = hashlib.sha256(packed).hexdigest()
        folder = self.root / archive / "dists" / name
        place = "main/binary-amd64/" + (f"by-hash/SHA256/{digest}" if by_hash else "Packages.xz")
        shutil.rmtree(folder, ignore_errors=True)
        (folder / place).parent.mkdir(parents=True)
        (folder / place).write_bytes(packed)
        (folder / "InRelease").write_text(
            f"Origin: Debian\nCodename: {name}\nDate: Sat, {day:02} Jul 2026 10:16:37 UTC\n"
            f"Acquire-By-Hash: {'yes' if by_hash else 'no'}\nMD5Sum:\n {'0' * 32} 1 x\n"
            f"SHA256:\n {digest} {len(packed)} main/binary-amd64/Packages.xz\n"
        )

    def release(self, name: str) -> Path:
        archive = "debian-security" if name.endswith("-security") else "debian"
        return self.root / archive / "dists" / name / "InRelease"


def _stanza(name: str, version: str) -> str:
    return (
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nDescription: tiny\n more\n"
        f"Filename: pool/main/{name}.deb\nSize: 4\n"
        f"SHA256: {hashlib.sha256(b'DATA').hexdigest()}\n\n"
    )


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    asked: list[str] = []
    root = tmp_path / "mirror"

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(root))

        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        made = Archive(root=root, address=f"http://127.0.0.1:{server.server_port}", asked=asked)
        made.suite("bookworm", MAIN, day=11)
        made.suite("bookworm-updates", {"tzdata": "2026f-0+deb12u1"}, day=12)
        made.suite("bookworm-security", {"zlib1g": "1:1.2.13.dfsg-1+deb12u1"}, day=10)
        yield made
        server.shutdown()


def sources(store: Store) -> Sources:
    fetcher = Fetcher(store, first_wait=0.001)
    return Sources(store=store, fetcher=fetcher, progress=Quiet(), client=Client())


def pin(
    archive: Archive,
    store: Store,
    *,
    name: str = "bookworm",
    platform: str = "linux/amd64",
    python: str = "3.11",
    keyring: Path = Path("/nothing"),
) -> debian.DebianBase:
    return selection.pin(
        name, platform, python, sources(store), source=archive.mirror, keyring=keyring
    )


def test_a_base_is_chosen_from_three_suites(
    archive: Archive, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    base = pin(archive, store)
    assert (base.release, base.platform, base.python) == ("bookworm", "linux/amd64", "3.11.2")
    assert (base.glibc, base.snapshot) == ("2.36", "20260712T101637Z")
    assert [package.name for package in base.packages] == sorted(MAIN)
    chosen = {package.name: package for package in base.packages}
    assert (chosen["tzdata"].version, chosen["tzdata"].archive) == ("2026f-0+deb12u1", "debian")
    assert chosen["zlib1g"] == debian.DebianPackage(
        name="zlib1g",
        version="1:1.2.13.dfsg-1+deb12u1",
        architecture="amd64",
        archive="debian-security",
        path="pool/main/zlib1g.deb",
        digest=Digest.of_hex(hashlib.sha256(b"DATA").hexdigest()),
        size=4,
    )
    assert "taken without a check of their signature" in capsys.readouterr().err


def test_a_second_lock_fetches_no_package_list(archive: Archive, store: Store) -> None:
    first = pin(archive, store)
    archive.asked.clear()
    assert pin(archive, store) == first
    assert sorted(archive.asked) == [
        "/debian-security/dists/bookworm-security/InRelease",
        "/debian/dists/bookworm-updates/InRelease",
        "/debian/dists/bookworm/InRelease",
    ]


def test_a_lost_record_is_made_again_from_the_stored_lists(archive: Archive, store: Store) -> None:
    first = pin(archive, store)
    shutil.rmtree(store.root / "records")
    archive.asked.clear()
    assert pin(archive, store) == first
    assert not [path for path in archive.asked if "InRelease" not in path]


def test_only_a_list_that_changed_is_fetched(archive: Archive, store: Store) -> None:
    pin(archive, store)
    archive.suite("bookworm-security", {"libc6": "2.36-9+deb12u15"})
    archive.asked.clear()
    chosen = {p.name: p.version for p in pin(archive, store).packages}
    assert chosen["libc6"] == "2.36-9+deb12u15"
    assert chosen["zlib1g"] == "1:1.2.13.dfsg-1"
    lists = [path for path in archive.asked if "InRelease" not in path]
    assert len(lists) == 1
    assert lists[0].startswith("/debian-security/dists/bookworm-security/main/binary-amd64/by-hash")


def test_a_mirror_without_by_hash_works(archive: Archive, store: Store) -> None:
    archive.suite("bookworm", MAIN, by_hash=False)
    assert pin(archive, store).python == "3.11.2"


def test_the_downloads_are_what_the_lock_names(archive: Archive, store: Store) -> None:
    base = pin(archive, store)
    found = {d.name: d for d in base.downloads(archive.mirror)}
    zlib = found["zlib1g 1:1.2.13.dfsg-1+deb12u1"]
    assert zlib.url == f"{archive.address}/debian-security/pool/main/zlib1g.deb"
    assert found["netbase 6.4"].url == f"{archive.address}/debian/pool/main/netbase.deb"
    assert [d.name.split()[0] for d in base.downloads(archive.mirror)] == sorted(MAIN)


def test_another_minor_version_of_python_names_both(archive: Archive, store: Store) -> None:
    with pytest.raises(LockstitchError) as caught:
        pin(archive, store, python="3.12")
    assert caught.value.message == "`debian:bookworm` has Python 3.11, the project wants `3.12`"
    assert caught.value.hint.startswith('set python = "3.11", or base = "cpython:3.12", or ')


def test_all_missing_packages_are_said_at_once(archive: Archive, store: Store) -> None:
    archive.suite("bookworm", {n: v for n, v in MAIN.items() if n not in {"libc6", "netbase"}})
    with pytest.raises(LockstitchError) as caught:
        pin(archive, store)
    assert [error.message for error in caught.value.everything()] == [
        "the base needs `libc6`, the mirror has none",
        "the base needs `netbase`, the mirror has none",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../etc"}, "`debian:../etc` is not a Debian release"),
        ({"platform": "windows/amd64"}, "`windows/amd64` is not a platform that Debian has"),
        ({"python": "3"}, "`3` is not a minor version of Python"),
        ({"platform": "linux/arm64"}, "`debian:bookworm` has no packages for `arm64`"),
        ({"name": "potato"}, "/debian/dists/potato/InRelease` answered HTTP 404"),
    ],
)
def test_what_cannot_be_is_refused(
    changes: dict[str, str], message: str, archive: Archive, store: Store
) -> None:
    with pytest.raises(LockstitchError) as caught:
        pin(archive, store, **changes)
    assert message in caught.value.message
    assert caught.value.hint


def test_an_architecture_without_security_updates_is_said(
    archive: Archive, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    path = archive.release("bookworm-security")
    path.write_text(path.read_text().replace("binary-amd64", "binary-arm64"))
    assert pin(archive, store).packages
    assert "`bookworm-security` has no packages for `amd64`" in capsys.readouterr().err


@pytest.mark.parametrize(("old", "new"), [("bookworm", "trixie"), ("Debian", "Other")])
def test_another_suite_under_this_name_is_refused(
    old: str, new: str, archive: Archive, store: Store
) -> None:
    path = archive.release("bookworm")
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(LockstitchError, match="is wanted as `Debian bookworm`, it says"):
        pin(archive, store)


def test_another_list_than_the_release_names_is_refused(archive: Archive, store: Store) -> None:
    blob = next((archive.root / "debian/dists/bookworm").rglob("by-hash/SHA256/*"))
    blob.write_bytes(bytes(blob.stat().st_size))
    with pytest.raises(LockstitchError, match="package list of bookworm"):
        pin(archive, store)


def test_an_unsigned_release_is_refused_where_signatures_can_be_checked(
    archive: Archive, store: Store, tmp_path: Path
) -> None:
    keyring = tmp_path / "keys.gpg"
    keyring.touch()
    if release.Signatures.installed(keyring) is None:
        pytest.skip("gpgv is not installed")
    with pytest.raises(LockstitchError, match="is not signed by a key of"):
        pin(archive, store, keyring=keyring)


def test_the_armour_of_a_release_is_taken_off(archive: Archive, store: Store) -> None:
    path = archive.release("bookworm")
    text = path.read_text()
    path.write_text(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n- -----dashes\n"
        f"{text}-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n"
    )
    assert pin(archive, store).python == "3.11.2"


def test_a_release_without_a_date_is_refused(archive: Archive, store: Store) -> None:
    path = archive.release("bookworm")
    path.write_text(path.read_text().replace("Jul", "Foo"))
    with pytest.raises(LockstitchError, match="has the date `Sat, 11 Foo 2026 10:16:37 UTC`"):
        pin(archive, store)
