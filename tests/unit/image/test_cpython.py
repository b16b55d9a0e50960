"""The root file system of a CPython base, from a tiny archive."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from support.standalone import pack, tiny

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.image import cpython
from lockstitch.lock.bases.cpython import Archive, CPythonBase
from lockstitch.lock.sbom import PackageFacts
from lockstitch.oci.entry import Entry, Kind
from lockstitch.store import Store


def base(
    store: Store, data: bytes, name: str = "cpython:3.12", python: str = "3.12.1"
) -> CPythonBase:
    return CPythonBase(
        name=name,
        platform="linux/amd64",
        python=python,
        glibc="2.36",
        snapshot="20260304T050607Z",
        archive=Archive(
            url="https://example.org/releases/download/20240107/a.tar.gz",
            digest=store.put(data),
            size=len(data),
            proof="SHA256SUMS",
        ),
        packages=(),
    )


def made(tmp_path: Path, data: bytes) -> Mapping[str, Entry]:
    store = Store(tmp_path)
    return {entry.path: entry for entry in cpython.entries(base(store, data), store)}


def refusal(tmp_path: Path, more: Mapping[str, bytes | str | Path]) -> list[str]:
    with pytest.raises(LockstitchError) as caught:
        made(tmp_path, tiny(more=more))
    return [error.message for error in caught.value.everything()]


def test_an_archive_is_below_usr_local_without_what_no_image_needs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    facts: dict[str, PackageFacts] = {}
    data = tiny(
        more={
            "python/lib/libpython3.12.so.1.0": b"library",
            "python/lib/libtcl8.6.so": b"tcl",
            "python/lib/libssl.so.3": b"ssl",
            "python/lib/tk8.6/x.tcl": b"tk",
            "python/lib/python3.12/__pycache__/os.pyc": b"code",
            "python/lib/python3.12/site-packages/pip/__init__.py": b"",
        }
    )
    entries = [*cpython.entries(base(store, data), store, facts)]
    paths = [entry.path for entry in entries]
    assert paths == sorted(paths, key=str.encode)
    files = {entry.path for entry in entries if entry.kind is Kind.FILE and "local" in entry.path}
    assert files == {
        "usr/local/bin/python3.12",
        "usr/local/lib/libssl.so.3",
        "usr/local/lib/python3.12/os.py",
    }
    by_path = {entry.path: entry for entry in entries}
    assert by_path["usr/local/bin/python3.12"].mode == 0o755
    assert by_path["usr/local/bin/python3"].target == "python3.12"
    assert by_path["etc/ssl/cert.pem"].target == "/etc/ssl/certs/ca-certificates.crt"
    left_out = facts[store.put(data).hex].left_out
    assert "usr/local/lib/python3.12/tkinter/" in left_out
    assert "usr/local/lib/libpython3.12.so.1.0" in left_out


@pytest.mark.parametrize(
    ("path", "what", "reason"),
    [
        ("python/lib/../../etc/passwd", b"x", "a path that leads out of its folder"),
        ("etc/passwd", b"x", "which is not below `python/`"),
        ("python/lib/.wh.os.py", b"x", "a name by which layers remove files"),
        ("python/lib/a\n", b"x", "a name with control characters"),
        ("python/lib/a", "-> ../../../../etc/passwd", "a symlink that leads out of its folder"),
        ("python/lib/a", "-> /etc/passwd", "a symlink that leads out of its folder"),
        ("python/lib/a", "=> etc/passwd", "a hard link to 'etc/passwd', which is no file before"),
    ],
)
def test_hostile_members_are_refused(
    path: str, what: bytes | str, reason: str, tmp_path: Path
) -> None:
    (found,) = refusal(tmp_path, {path: what})
    assert found.startswith(f"`a.tar.gz` holds {path!a}, ")
    assert reason in found


def test_a_file_below_a_symlink_is_refused(tmp_path: Path) -> None:
    (found,) = refusal(tmp_path, {"python/lib/a": "-> b", "python/lib/a/c": b"x"})
    assert "is below `usr/local/lib/a`, which is a symlink" in found


def test_hard_links_and_links_inside_are_files_of_the_image(tmp_path: Path) -> None:
    entries = made(
        tmp_path,
        tiny(
            more={
                "python/lib/one.so": b"x",
                "python/lib/two.so": "=> python/lib/one.so",
                "python/lib/three.so": "-> one.so",
            }
        ),
    )
    two = entries["usr/local/lib/two.so"]
    assert two.content is not None
    assert b"".join(two.content.plain()) == b"x"
    assert entries["usr/local/lib/three.so"].target == "one.so"


def test_an_archive_missing_from_the_store_is_said(tmp_path: Path) -> None:
    store = Store(tmp_path)
    lacking = base(store, pack({}))
    store.path(lacking.archive.digest).unlink()
    with pytest.raises(LockstitchError, match=r"`a\.tar\.gz` \(.*\) is not in the store"):
        next(cpython.entries(lacking, store))
    assert isinstance(lacking.digest, Digest)
