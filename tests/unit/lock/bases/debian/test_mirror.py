"""Where the mirror comes from."""

from pathlib import Path

import pytest

from lockstitch.errors import LockstitchError
from lockstitch.lock.bases.debian.mirror import Mirror, Source, find, read_list, read_sources

LIST = """\
# deb http://commented.example.test/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/other.gpg] https://php.example.test/ bookworm main
deb-src http://mirror.example.test/debian bookworm main
deb  http://mirror.example.test/debian/ bookworm main contrib # ours
deb http://mirror.example.test/debian-security bookworm-security main
deb https://docker.example.test/linux/debian bookworm stable
deb file:/srv/debian bookworm main
"""
SOURCES = """\
Types: deb deb-src
# a comment between fields
URIs: http://mirror.example.test/debian
Suites: trixie
 trixie-updates
Components: main

Types: deb
Enabled: no
URIs: http://off.example.test/debian
Suites: trixie
Components: main

Types: deb
URIs: http://security.example.test/debian-security/
Suites: trixie-security
Components: updates/main
"""
ORDINARY = Mirror(
    debian="http://mirror.example.test/debian",
    security="http://mirror.example.test/debian-security",
)


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCKSTITCH_DEBIAN_MIRROR", raising=False)


def apt(folder: Path, *, one_line: str = "", deb822: str = "") -> Path:
    parts = folder / "sources.list.d"
    parts.mkdir()
    (folder / "sources.list").write_text(one_line)
    (parts / "debian.sources").write_text(deb822)
    return folder


def test_the_one_line_format_is_read() -> None:
    assert read_list(LIST) == [
        Source(uri="https://php.example.test", suite="bookworm", components=("main",)),
        Source(
            uri="http://mirror.example.test/debian",
            suite="bookworm",
            components=("main", "contrib"),
        ),
        Source(
            uri="http://mirror.example.test/debian-security",
            suite="bookworm-security",
            components=("main",),
        ),
    ]


def test_the_deb822_format_is_read() -> None:
    found = [(source.uri, source.suite) for source in read_sources(SOURCES)]
    assert found == [
        ("http://mirror.example.test/debian", "trixie"),
        ("http://mirror.example.test/debian", "trixie-updates"),
        ("http://security.example.test/debian-security", "trixie-security"),
    ]


def test_an_archive_called_debian_wins_over_others_with_the_same_suite(tmp_path: Path) -> None:
    assert find("bookworm", apt=apt(tmp_path, one_line=LIST)) == ORDINARY


def test_another_release_of_the_host_gives_the_roots(tmp_path: Path) -> None:
    assert find("trixie", apt=apt(tmp_path, one_line=LIST)) == ORDINARY


def test_the_sources_of_the_release_win_over_those_of_another(tmp_path: Path) -> None:
    found = find("trixie", apt=apt(tmp_path, one_line=LIST, deb822=SOURCES))
    assert found.security == "http://security.example.test/debian-security"


def test_security_is_beside_main_when_apt_has_none(tmp_path: Path) -> None:
    line = "deb http://mirror.example.test/pub/debian bookworm main\n"
    found = find("bookworm", apt=apt(tmp_path, one_line=line))
    assert found.root("debian-security") == "http://mirror.example.test/pub/debian-security"


def test_the_variable_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTITCH_DEBIAN_MIRROR", "https://own.example.test/a/debian/")
    found = find("bookworm", apt=apt(tmp_path, one_line=LIST))
    assert found.root("debian") == "https://own.example.test/a/debian"
    assert found.root("debian-security") == "https://own.example.test/a/debian-security"


@pytest.mark.parametrize("address", ["file:///srv/debian", "own.example.test", "http://x/d?a=b"])
def test_another_kind_of_address_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTITCH_DEBIAN_MIRROR", address)
    with pytest.raises(LockstitchError, match="not a plain http or https address"):
        find("bookworm")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no mirror is known for `debian:bookworm`: LOCKSTITCH_DEBIAN_MIRROR is not set"),
        ("deb http://a.example.test/ubuntu noble main\n", "none of the 1 sources"),
    ],
)
def test_without_a_mirror_the_hint_names_the_variable(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(LockstitchError, match=message) as caught:
        find("bookworm", apt=apt(tmp_path, one_line=text))
    assert "LOCKSTITCH_DEBIAN_MIRROR" in caught.value.hint


def test_a_host_without_apt_has_no_mirror(tmp_path: Path) -> None:
    with pytest.raises(LockstitchError):
        find("bookworm", apt=tmp_path / "nothing")
