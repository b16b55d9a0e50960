"""Pinning a CPython base: uv's own list, tiny archives and a tiny Debian on loopback."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from support import archive as debian_archive
from support.server import Reply, Server, serve
from support.standalone import sums, tiny

from lockstitch.errors import LockstitchError
from lockstitch.image.bases import added_files
from lockstitch.lock.bases import cpython
from lockstitch.lock.bases.base import Sources
from lockstitch.lock.bases.cpython import CPythonBase
from lockstitch.lock.bases.debian.release import Signatures
from lockstitch.net.download import Fetcher
from lockstitch.oci.registry.client import Client
from lockstitch.progress import Quiet
from lockstitch.python.tables import Table
from lockstitch.store import Store

DAY = "20240107"
NAME = f"cpython-3.12.1+{DAY}-x86_64-unknown-linux-gnu-install_only.tar.gz"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serve() as server:
        more = {"libcrypt1": ("1:4.4.33-2", {"lib/x86_64-linux-gnu/libcrypt.so.1": b"crypt"})}
        monkeypatch.setattr(debian_archive, "PACKAGES", {**debian_archive.PACKAGES, **more})
        monkeypatch.setattr(Signatures, "installed", lambda _: None)
        monkeypatch.setenv("LOCKSTITCH_DEBIAN_MIRROR", debian_archive.publish(server))
        monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", f"{server.address}/pbs")
        yield server


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    store = Store(tmp_path / "store")
    fetcher = Fetcher(store, first_wait=0)
    return Sources(store=store, fetcher=fetcher, progress=Quiet(), client=Client())


def publish(server: Server, data: bytes, *, proof: str = "SHA256SUMS", name: str = NAME) -> None:
    place = f"/pbs/{DAY}/{quote(name, safe='')}"
    server.on(place, Reply(body=data))
    if proof == "SHA256SUMS":
        server.on(f"/pbs/{DAY}/SHA256SUMS", Reply(body=sums({"other": b"", name: data})))
    elif proof == "sha256":
        server.on(f"{place}.sha256", Reply(body=hashlib.sha256(data).hexdigest().encode() + b"\n"))


def pin(sources: Sources, name: str = "cpython:3.12.1", python: str = "3.12") -> CPythonBase:
    found = cpython.KIND.pin(name, "linux/amd64", python, sources, ())
    assert isinstance(found, CPythonBase)
    return found


def message(sources: Sources, **named: str) -> str:
    with pytest.raises(LockstitchError) as caught:
        pin(sources, **named)
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("proof", ["SHA256SUMS", "sha256", "first-use"])
def test_an_archive_is_pinned_by_the_hash_of_its_release(
    proof: str, server: Server, sources: Sources, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tiny()
    publish(server, data, proof=proof)
    base = pin(sources)
    assert (base.python, base.glibc, base.archive.proof) == ("3.12.1", "2.36", proof)
    assert base.archive.digest.hex == hashlib.sha256(data).hexdigest()
    assert base.archive.size == len(data)
    assert [(b.name, b.version) for b in base.archive.bundled] == [("OpenSSL", "3.0.15")]
    assert "127.0.0.1" not in base.archive.url
    assert base.archive.url.endswith(f"/releases/download/{DAY}/{quote(NAME, safe='')}")
    assert ("trusted on first use" in capsys.readouterr().err) == (proof == "first-use")
    assert base.downloads()[-1].url == f"{server.address}/pbs/{DAY}/{quote(NAME, safe='')}"
    assert {"libc6", "libcrypt1", "ca-certificates"} <= {p.name for p in base.packages}
    assert not any(p.name.startswith("python") for p in base.packages)


def test_the_lock_gives_it_back(server: Server, sources: Sources) -> None:
    publish(server, tiny())
    base = pin(sources)
    problems: list[LockstitchError] = []
    assert cpython.KIND.read(Table(base.document(), "cpython", problems), base.name) == base
    assert not problems
    assert base.program == "/usr/local/bin/python3.12"
    assert base.pins()["base python"][0] == "3.12.1"
    components = {component.name: component for component in base.components({})}
    assert components["cpython"].purl == "pkg:generic/cpython@3.12.1"
    assert components["OpenSSL"].facts.licences == ("Apache-2.0",)
    server.asked.clear()
    assert base.equivalent(pin(sources))
    assert not [each for each in server.asked if each.path.endswith(".tar.gz")]


def test_an_archive_that_is_not_what_its_release_says_is_refused(
    server: Server, sources: Sources
) -> None:
    publish(server, tiny())
    server.on(f"/pbs/{DAY}/SHA256SUMS", Reply(body=sums({NAME: b"another"})))
    assert "is not what the lock names" in message(sources)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (tiny("3.12.2"), "it is 3.12.2 for ELF machine 62"),
        (tiny(architecture="arm64"), "it is 3.12.1 for ELF machine 183"),
        (tiny("3.11.7"), "has no program `python/bin/python3.12`"),
        (b"no archive", "is not an archive that can be read"),
        (tiny()[:-200], "is not an archive that can be read"),
    ],
)
def test_an_archive_with_another_python_is_refused(
    data: bytes, part: str, server: Server, sources: Sources
) -> None:
    publish(server, data)
    assert part in message(sources)


def test_a_bomb_is_not_unpacked(
    server: Server, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockstitch.lock.bases.cpython.archive.LARGEST", 1 << 20)
    publish(server, tiny(more={"python/lib/zeros": bytes(2 << 20)}))
    assert "it is larger than 1,048,576 bytes" in message(sources)


def test_a_flood_of_members_is_not_read(
    server: Server, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockstitch.lock.bases.cpython.archive._MOST", 4)
    publish(server, tiny())
    assert "it has more than 4 members" in message(sources)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("cpython:3.7", "is not a CPython base: there are 3.8, 3.9, 3.10, 3.11, 3.12, 3.13, 3.14"),
        ("cpython:3.12t", "CPython 3.12 has no free-threaded build"),
        ("cpython:../x", "is not a CPython base"),
        ("cpython:3.11", "`cpython:3.11` has Python 3.11, the project wants `3.12`"),
        ("cpython:3.12.99", "uv knows no archive of `cpython:3.12.99` for linux/amd64"),
    ],
)
def test_what_there_is_no_archive_of_is_said(name: str, part: str, sources: Sources) -> None:
    assert part in message(sources, name=name)


@pytest.mark.parametrize("name", ["cpython:3.10", "cpython:3.12", "cpython:3.13t", "cpython:3.14t"])
@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_uv_knows_an_archive_for_each(name: str, platform: str) -> None:
    from lockstitch.lock.bases.cpython.pin import _listed

    request = cpython.parse(name)
    version, url = _listed(name, request, platform)
    assert version.startswith(f"{request.minor}.")
    assert ("freethreaded" in url) == request.free_threaded
    assert re.search({"linux/amd64": "-x86_64-", "linux/arm64": "-aarch64-"}[platform], url)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"python": "x"}, "is `x`, which is no python"),
        ({"archive": {}}, "`cpython.archive.sha256`"),
        ({"archive": {"url": "u", "sha256": "0" * 64, "size": 1, "proof": "mine"}}, "no proof"),
    ],
)
def test_a_lock_that_somebody_edited_is_refused(
    change: dict[str, object], part: str, server: Server, sources: Sources
) -> None:
    publish(server, tiny())
    document = pin(sources).document() | change
    problems: list[LockstitchError] = []
    assert cpython.KIND.read(Table(document, "cpython", problems), "cpython:3.12") is None
    assert any(part in problem.message for problem in problems)


def test_free_threaded_wheels_and_folders_have_their_letter(
    server: Server, sources: Sources
) -> None:
    publish(server, tiny())
    base = pin(sources)
    threads = CPythonBase(
        **{
            field: getattr(base, field)
            for field in ("platform", "glibc", "snapshot", "archive", "packages")
        },
        name="cpython:3.13t",
        python="3.13.5",
    )
    assert threads.program == "/usr/local/bin/python3.13t"
    assert threads.library == "usr/local/lib/python3.13t"
    tags = [str(tag) for tag in threads.target().tags()]
    assert "cp313-cp313t-manylinux_2_17_x86_64" in tags
    assert not any("-abi3-" in tag or tag.startswith("cp313-cp313-") for tag in tags)


def test_packages_of_the_system_stand_on_its_debian(server: Server, sources: Sources) -> None:
    publish(server, tiny())
    plain = pin(sources)
    base = cpython.KIND.pin("cpython:3.12.1", "linux/amd64", "3.12", sources, ("tool",))
    assert [package.name for package in base.added.packages] == ["libtool1", "tool"]
    assert base.plain == plain
    assert not base.equivalent(plain)
    assert (base.layer_kinds[-1], base.digest != plain.digest) == ("added", True)
    problems: list[LockstitchError] = []
    assert cpython.KIND.read(Table(base.document(), "cpython", problems), base.name) == base
    assert problems == []
    sources.fetcher.fetch(base.downloads(), Quiet())
    paths = {entry.path for entry in added_files(base, sources.store)}
    assert {"usr/bin/tool", "usr/bin/tool.gnu", "usr/share/doc/tool/copyright"} <= paths
    assert not [path for path in paths if path.startswith("usr/local")]
