"""Bases of registries: what is found in their layers, and what is refused."""

import dataclasses
import json
from pathlib import Path

import pytest
from support import bases
from support.bases import Base, Layer, elf
from support.fakes import Counted
from support.registry import Registry

from lockstitch.errors import LockstitchError
from lockstitch.lock.bases.registry import RegistryBase
from lockstitch.lock.bases.registry.pin import pin
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.repository import Repository
from lockstitch.store import Store

LOADER = "/lib64/ld-linux-x86-64.so.2"


class Pinned:
    """A registry with one image, and a store."""

    def __init__(self, registry: Registry, store: Store) -> None:
        self.registry = registry
        self.store = store

    def __call__(
        self, base: Base | None = None, *, platform: str = "linux/amd64", python: str = "3.11"
    ) -> RegistryBase:
        if base is not None:
            bases.publish(self.registry, "library/python", "slim", base)
        reference = f"{self.registry.address}/library/python:slim"
        return pin(
            reference,
            platform,
            python,
            repository=Repository(Client(), Reference.parse(reference)),
            store=self.store,
            progress=Counted(),
        )

    def refused(self, base: Base, *, python: str = "3.11") -> LockstitchError:
        with pytest.raises(LockstitchError) as caught:
            self(base, python=python)
        return caught.value


@pytest.fixture
def pinned(registry: Registry, tmp_path: Path) -> Pinned:
    return Pinned(registry, Store(tmp_path / "store"))


def test_what_is_found_in_an_image_like_docker_librarys(pinned: Pinned) -> None:
    found = pinned(bases.python_slim())
    assert (found.python, found.program) == ("3.11.9", "/usr/local/bin/python3.11")
    assert (found.glibc, found.musl) == ("2.36", "")
    assert (found.distribution, found.snapshot) == ("debian-12", "20260304T050607Z")
    assert found.certificates == "/etc/ssl/certs/ca-certificates.crt"
    assert found.env["PYTHON_VERSION"] == "3.11.9"
    packages = [(p.kind, p.name, p.version) for p in found.packages]
    assert packages == [("deb", "base-files", "12.4+deb12u8"), ("deb", "libc6", "2.36-9+deb12u9")]
    assert [json.loads(each)["created_by"] for each in found.history] == [
        *("ADD rootfs.tar", "ENV LANG", "RUN make install")
    ]
    assert [layer.unpacked for layer in found.layers] == [
        sum(len(data) for data in layer.files.values() if isinstance(data, bytes))
        for layer in bases.python_slim().layers
    ]


def test_what_was_read_once_is_not_read_again(pinned: Pinned) -> None:
    first = pinned(bases.python_slim())
    before = pinned.registry.count("GET", "/blobs/")
    assert pinned() == first
    assert pinned.registry.count("GET", "/blobs/") == before


def test_each_platform_of_an_index_has_its_own_manifest(pinned: Pinned) -> None:
    images = [bases.python_slim(), bases.python_slim(architecture="arm64")]
    index = bases.publish_index(pinned.registry, "library/python", "slim", images)
    amd, arm = pinned(), pinned(platform="linux/arm64")
    assert amd.index == arm.index == index
    assert amd.manifest != arm.manifest
    assert arm.target().machine == "aarch64"
    with pytest.raises(
        LockstitchError, match=r"has no image for linux/ppc64le \(it has: linux/amd"
    ):
        pinned(platform="linux/ppc64le")


def test_an_image_of_another_platform_is_refused(pinned: Pinned) -> None:
    bases.publish(pinned.registry, "library/python", "slim", bases.python_slim())
    with pytest.raises(LockstitchError, match="is for linux/amd64, not for linux/arm64"):
        pinned(platform="linux/arm64")


def test_another_minor_version_is_named_with_the_way_out(pinned: Pinned) -> None:
    error = pinned.refused(bases.python_slim(version="3.12.4"))
    assert "has no CPython 3.11 for linux/amd64 on its PATH" in error.message
    assert "`/usr/local/bin/python3.12` is CPython 3.12" in error.message
    assert error.hint == 'python = "3.12", or name a base that has it'


def test_musl_decides_the_tags_of_wheels(pinned: Pinned) -> None:
    python = {
        "usr/local/bin/python3.11": elf("/lib/ld-musl-x86_64.so.1", b"cpython-311", b"3.11.9"),
        "usr/local/lib/python3.11/os.py": b"",
        "lib/ld-musl-x86_64.so.1": elf("", bases.MUSL),
        "etc/alpine-release": b"3.20.1\n",
        "etc/os-release": b"ID=alpine\nVERSION_ID=3.20.1\n",
        "lib/apk/db/installed": (
            b"C:Q1=\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\nF:lib\nR:x\na:0:0:755\n\n"
            b"P:zlib\nV:1.3.1-r1\nA:x86_64\n"
        ),
    }
    found = pinned(Base(layers=[Layer(files=python)]))
    assert (found.glibc, found.musl, found.certificates) == ("", "1.2", "")
    tags = [str(tag) for tag in found.target().tags()]
    assert tags[0] == "cp311-cp311-musllinux_1_2_x86_64"
    assert not [tag for tag in tags if "manylinux" in tag]
    assert [(p.kind, p.name, p.licence) for p in found.packages] == [
        ("apk", "musl", "MIT"),
        ("apk", "zlib", ""),
    ]
    assert found.distribution == "alpine-3.20.1"


def test_upper_layers_hide_what_lower_ones_have(pinned: Pinned) -> None:
    upgrade = bases.python_slim(version="3.11.10").layers[1]
    gone = Layer(files={"usr/local/bin/.wh.python3": b"", "usr/local/lib/.wh..wh..opq": b""})
    found = pinned(bases.python_slim(extra=[gone, upgrade]))
    assert found.python == "3.11.10"
    error = pinned.refused(bases.python_slim(extra=[gone]))
    assert "of which patch version it does not say" in error.message or "3.11" in error.message


def test_symlinks_are_followed_across_layers_and_never_out_of_the_image(pinned: Pinned) -> None:
    moved = Layer(
        files={
            "opt/python/bin/": 0o755,
            "opt/python/bin/python3.11": elf(LOADER, b"cpython-311", b"3.11.4"),
            "opt/python/lib/python3.11/os.py": b"",
            "usr/local/bin/python3.11": "-> ../../../../../opt/current/bin/python3.11",
            "opt/current": "-> /opt/python",
        }
    )
    found = pinned(bases.python_slim(extra=[moved]))
    assert (found.program, found.python) == ("/opt/python/bin/python3.11", "3.11.4")
    loop = Layer(files={"usr/local/bin/python3.11": "-> python3", "usr/bin/x": b""})
    assert "nor any other Python" in pinned.refused(bases.python_slim(extra=[loop])).message


def test_a_library_in_lib64_is_found(pinned: Pinned) -> None:
    fedora = {
        "usr/bin/python3.11": elf(LOADER),
        "usr/lib64/python3.11/os.py": b"",
        "usr/lib64/libpython3.11.so.1.0": elf("", b"cpython-311", b"3.11.10"),
        "lib64": "-> usr/lib64",
        "lib64/libc.so.6": b"GNU C Library (GNU libc) stable release version 2.34.\n",
        "etc/pki/tls/certs/ca-bundle.crt": b"CERT",
    }
    found = pinned(Base(layers=[Layer(files=fedora)]))
    assert (found.program, found.python, found.glibc) == ("/usr/bin/python3.11", "3.11.10", "2.34")
    assert found.certificates == "/etc/pki/tls/certs/ca-bundle.crt"
    assert found.packages == ()


def test_a_hard_link_is_the_file_that_it_links_to(pinned: Pinned) -> None:
    linked = Layer(
        files={
            "opt/conda/bin/python3": elf(LOADER, b"cpython-311", b"3.11.5"),
            "opt/conda/bin/python3.11": "=> opt/conda/bin/python3",
            "opt/conda/lib/python3.11/os.py": b"",
        }
    )
    config = {"Env": ["PATH=/opt/conda/bin:/usr/bin"]}
    found = pinned(bases.python_slim(extra=[linked], config=config))
    assert (found.program, found.python) == ("/opt/conda/bin/python3.11", "3.11.5")


@pytest.mark.parametrize(
    ("files", "modes", "message"),
    [
        ({"usr/local/bin/python3.11": b"#!/bin/sh\n"}, {}, "is no program, but a script"),
        (
            {"usr/local/bin/python3.11": elf(LOADER, b"cpython-311", b"3.11.9", machine="arm64")},
            {},
            "is for another processor (ELF machine 183)",
        ),
        (
            {"usr/local/bin/python3.11": elf(LOADER, b"cpython-311", b"3.11.9", b"3.11.8")},
            {},
            "of which patch version it does not say",
        ),
        ({"usr/local/lib/python3.11/.wh.os.py": b""}, {}, "without `/usr/local/lib/python3.11`"),
        ({"usr/local/": 0o700}, {}, "that root alone can run: mode 0700 of `/usr/local`"),
        (
            {"usr/local/bin/python3.11": elf(LOADER)},
            {"usr/local/bin/python3.11": 0o750},
            "that root alone can run: mode 0750",
        ),
        ({"usr/lib/x86_64-linux-gnu/libc.so.6": b"odd"}, {}, "a C library that cannot be read"),
        ({"usr/local/lib/libpython3.11.so.1.0": b"pypy"}, {}, "is no CPython 3"),
    ],
)
def test_what_cannot_serve_is_said(
    files: dict[str, bytes | str | int], modes: dict[str, int], message: str, pinned: Pinned
) -> None:
    extra = Layer(files=files, modes=modes)
    assert message in pinned.refused(bases.python_slim(extra=[extra])).message


def test_an_image_that_contradicts_itself_is_refused(pinned: Pinned) -> None:
    bases.publish(pinned.registry, "library/python", "slim", bases.python_slim())
    held = pinned.registry.manifests["library/python"]
    kind, data = held["slim"]
    document = json.loads(data)
    config = json.loads(pinned.registry.blobs["library/python"][document["config"]["digest"]])
    config["rootfs"]["diff_ids"].reverse()
    fresh = pinned.registry.add("library/python", json.dumps(config).encode())
    document["config"] |= {"digest": fresh["digest"], "size": fresh["size"]}
    held["slim"] = (kind, json.dumps(document).encode())
    with pytest.raises(LockstitchError, match=r"unpacks to sha256:.* config says sha256:"):
        pinned()
    document["layers"].pop()
    held["slim"] = (kind, json.dumps(document).encode())
    with pytest.raises(LockstitchError, match="has 2 diffIDs for 1 layers"):
        pinned()
    document["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    config["rootfs"]["diff_ids"].pop()
    fresh = pinned.registry.add("library/python", json.dumps(config).encode())
    document["config"] |= {"digest": fresh["digest"], "size": fresh["size"]}
    held["slim"] = (kind, json.dumps(document).encode())
    with pytest.raises(LockstitchError, match=r"a layer of the type `application/vnd\.docker"):
        pinned()


def test_a_version_may_be_the_end_of_a_longer_text_or_stand_in_a_header(pinned: Pinned) -> None:
    merged = elf("", b"cpython-311", b"/usr/src/Python-3.11.9")
    library = "usr/local/lib/libpython3.11.so.1.0"
    assert pinned(bases.python_slim(extra=[Layer(files={library: merged})])).python == "3.11.9"
    header = {
        "usr/local/include/python3.11/patchlevel.h": b'#define PY_VERSION      "3.11.8+"\n',
        library: elf("", b"cpython-311", b"no version"),
    }
    assert pinned(bases.python_slim(extra=[Layer(files=header)])).python == "3.11.8"


@pytest.mark.parametrize("path", ["../etc/passwd", "usr/../../x"])
def test_a_path_out_of_the_image_is_refused(path: str, pinned: Pinned) -> None:
    error = pinned.refused(bases.python_slim(extra=[Layer(files={path: b"x"})]))
    assert f"`{path!r}` leads out of the image" in error.message


def test_a_history_that_does_not_fit_is_made_anew(pinned: Pinned) -> None:
    short = dataclasses.replace(bases.python_slim(), history=[{"created_by": "one"}], created="?")
    found = pinned(short)
    name = f"{pinned.registry.address}/library/python:slim"
    assert [json.loads(each) for each in found.history] == [
        {"created_by": f"{name}, layer 1"},
        {"created_by": f"{name}, layer 2"},
    ]
    assert found.snapshot == "19800102T000000Z"
