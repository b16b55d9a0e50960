"""Packages of the system that a project adds to a base."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import archive
from support.errors import problems
from support.server import Server, serve

from lockstitch.errors import LockstitchError
from lockstitch.image.bases import added_files, root_files
from lockstitch.lock.bases import Sources, debian, kind_of
from lockstitch.lock.bases.debian import mirror, selection
from lockstitch.lock.bases.debian.base import read
from lockstitch.lock.sbom import PackageFacts
from lockstitch.net.download import Fetcher
from lockstitch.oci.entry import Entry
from lockstitch.oci.registry.client import Client
from lockstitch.progress import Quiet
from lockstitch.python.tables import Table
from lockstitch.store import Store


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as served:
        archive.publish(served)
        yield served


def pin(server: Server, store: Store, *packages: str) -> debian.DebianBase:
    fetcher = Fetcher(store, first_wait=0.001)
    source = mirror.from_address(f"{server.address}/debian")
    sources = Sources(store=store, fetcher=fetcher, progress=Quiet(), client=Client())
    base = selection.pin(
        *("bookworm", "linux/amd64", "3.11"),
        sources,
        packages,
        source=source,
        keyring=Path("/nothing"),
    )
    fetcher.fetch(base.downloads(source), Quiet())
    return base


def added(base: debian.DebianBase, store: Store) -> dict[str, Entry]:
    return {entry.path: entry for entry in added_files(base, store)}


def test_packages_come_with_what_they_depend_on(server: Server, store: Store) -> None:
    base = pin(server, store, "tool")
    # libc6 is in the base; only maintainer scripts call debconf
    assert [p.name for p in base.added.packages] == ["libtool1", "tool"]
    assert base.plain == pin(server, store)
    assert base.digest != base.plain.digest
    assert (base.requested, base.layer_kinds[-1]) == (("tool",), "added")
    assert set(base.pins()) - set(base.plain.pins()) == {"libtool1", "tool"}
    assert len(base.components({})) == len(base.plain.components({})) + 2
    problems: list[LockstitchError] = []
    assert read(Table(base.document(), "debian", problems), "debian:bookworm") == base
    assert problems == []


def test_the_layer_has_programs_and_links_and_nothing_of_the_base(
    server: Server, store: Store
) -> None:
    base = pin(server, store, "tool")
    files = added(base, store)
    assert files["usr/bin/tool"].target == "tool.gnu"
    assert "usr/bin/tool-config" in files  # of a dependency: programs call each other
    assert "var/lib/dpkg/status.d/libtool1" in files
    below = {entry.path for entry in root_files(base.plain, store)}
    assert below.isdisjoint(files)
    assert below == {entry.path for entry in root_files(base, store)}
    facts: dict[str, PackageFacts] = {}
    list(added_files(base, store, facts))
    assert {*facts} == {p.digest.hex for p in base.added.packages}


def test_a_package_of_the_base_may_be_named_for_its_programs(server: Server, store: Store) -> None:
    base = pin(server, store, "libc-bin")
    assert (base.requested, base.added.packages) == (("libc-bin",), ())
    assert added(base, store) == {}  # the tiny one has no program


def test_unknown_packages_come_with_near_ones(server: Server, store: Store) -> None:
    (first, second) = problems(lambda: pin(server, store, "libtool", "zzz"))
    assert first[0] == "`libtool` is not a package of this release of Debian"
    assert "`libtool1`" in first[1]
    ((_, hint),) = problems(lambda: pin(server, store, "libtool1-mesa-glx"))
    assert hint == "did you mean `libtool1`?"
    assert "apt-cache search zzz" in second[1]


def test_what_needs_its_scripts_is_refused_before_anything_is_recorded(
    server: Server, store: Store
) -> None:
    ((message, hint),) = problems(lambda: pin(server, store, "tool", "serverd"))
    assert message == (
        "`serverd 5` needs its postinst, and no script of a package is run: "
        "`adduser --system serverd` makes a user or a group, and an image has root and nonroot"
    )
    assert hint == 'packages = ["tool"] in [tool.lockstitch.base], or use a base of a registry'
    assert not (store.root / "records" / "debian-added").exists()


def test_the_choice_is_recorded(server: Server, store: Store) -> None:
    first = pin(server, store, "tool")
    assert pin(server, store, "tool") == first
    shutil.rmtree(store.root / "records")
    assert pin(server, store, "tool") == first


def test_an_image_of_a_registry_gets_no_packages(store: Store) -> None:
    sources = Sources(store=store, fetcher=Fetcher(store), progress=Quiet(), client=Client())
    pin_one = kind_of("python:3.11").pin
    ((message, hint),) = problems(
        lambda: pin_one("python:3.11", "linux/amd64", "3.11", sources, ("libgl1",))
    )
    assert message == "`python:3.11` is an image of a registry, which gets no packages: `libgl1`"
    assert 'base = "debian:bookworm"' in hint


def test_a_program_that_is_a_script_needs_its_shell(
    server: Server, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    pin(server, store, "tool")
    assert '* `tool.gnu` of `tool` is a script: add "dash" to `packages`' in capsys.readouterr().err
    pin(server, store, "tool")  # what it depends on is not named
    assert "tool-config" not in capsys.readouterr().err
