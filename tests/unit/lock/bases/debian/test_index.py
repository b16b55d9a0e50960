"""From roots to all that they need."""

import pytest

from lockstitch.errors import LockstitchError
from lockstitch.lock.bases.debian.index import (
    Index,
    Relation,
    close,
    compare,
    parse_relations,
    unpack,
)


def stanza(name: str, version: str = "1.0", **fields: str) -> str:
    lines = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        "Filename": f"pool/main/{name[0]}/{name}/{name}_{version.partition(':')[2] or version}.deb",
        "Size": "10",
        "SHA256": "a" * 64,
        **{key.replace("_", "-"): value for key, value in fields.items()},
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items()) + "\n"


def index(*stanzas: str, security: str = "") -> Index:
    lists = [("debian", "".join(stanzas).encode()), ("debian-security", security.encode())]
    return Index(lists)


def names(found: Index, *roots: str, left_out: tuple[str, ...] = ()) -> list[str]:
    groups = [group for root in roots for group in parse_relations(root)]
    return [package.name for package in close(found, groups, left_out)]


@pytest.mark.parametrize(
    ("left", "right"),
    [("1.0~rc1", "1.0"), ("1.0-1", "1.0-1+deb12u1"), ("9.0", "1:1.0"), ("1.9", "1.10")],
)
def test_versions_have_the_order_of_debian(left: str, right: str) -> None:
    assert compare(left, right) < 0 < compare(right, left)
    assert compare(left, left) == 0


def test_relations_are_read() -> None:
    assert parse_relations("libc6 (>= 2.36), awk:any | mawk (<< 3~) ,") == (
        (Relation(name="libc6", operator=">=", version="2.36"),),
        (Relation(name="awk"), Relation(name="mawk", operator="<<", version="3~")),
    )
    assert str(Relation(name="mawk", operator="<<", version="3~")) == "mawk (<< 3~)"
    with pytest.raises(LockstitchError, match="`libc6 \\(about 2\\)` is not a dependency"):
        parse_relations("libc6 (about 2)")


@pytest.mark.parametrize(
    ("operator", "accepted"),
    [("<<", ["1"]), ("<=", ["1", "2"]), ("=", ["2"]), (">=", ["2", "3"]), (">>", ["3"])],
)
def test_bounds_hold(operator: str, accepted: list[str]) -> None:
    relation = Relation(name="a", operator=operator, version="2")
    assert [version for version in ("1", "2", "3", "") if relation.accepts(version)] == accepted


def test_pre_depends_and_depends_are_followed_and_sorted() -> None:
    found = index(stanza("zz", Pre_Depends="yy"), stanza("yy", Depends="xx (>= 1)"), stanza("xx"))
    assert names(found, "zz") == ["xx", "yy", "zz"]


def test_circles_end() -> None:
    found = index(stanza("libc6", Depends="libgcc-s1"), stanza("libgcc-s1", Depends="libc6"))
    assert names(found, "libc6") == ["libc6", "libgcc-s1"]


def test_the_first_alternative_that_there_is_wins() -> None:
    found = index(stanza("aa", Depends="gone | second | third"), stanza("second"), stanza("third"))
    assert names(found, "aa") == ["aa", "second"]


def test_an_alternative_that_is_chosen_already_wins() -> None:
    found = index(stanza("aa", Depends="second | third"), stanza("second"), stanza("third"))
    assert names(found, "third", "aa") == ["aa", "third"]


def test_an_alternative_of_another_version_is_passed_over() -> None:
    found = index(stanza("aa", Depends="bb (>= 2) | cc"), stanza("bb", "1.9"), stanza("cc"))
    assert names(found, "aa") == ["aa", "cc"]


def test_a_virtual_package_is_the_first_by_name_that_provides_it() -> None:
    found = index(stanza("aa", Depends="awk"), stanza("mawk", Provides="awk"))
    assert names(found, "aa") == ["aa", "mawk"]
    more = index(
        stanza("aa", Depends="awk"),
        stanza("mawk", Provides="awk"),
        stanza("gawk", Provides="xx, awk"),
    )
    assert names(more, "aa") == ["aa", "gawk"]
    assert names(more, "mawk", "aa") == ["aa", "mawk"]


def test_only_a_versioned_provision_fits_a_bound() -> None:
    plain = index(stanza("aa", Depends="bb (>= 1)"), stanza("cc", Provides="bb"))
    with pytest.raises(LockstitchError, match="`aa` needs `bb \\(>= 1\\)`, the mirror has none"):
        names(plain, "aa")
    versioned = index(stanza("aa", Depends="bb (>= 1)"), stanza("cc", Provides="bb (= 1.5)"))
    assert names(versioned, "aa") == ["aa", "cc"]


def test_what_is_left_out_satisfies() -> None:
    found = index(stanza("aa", Depends="debconf (>= 9) | debconf-2.0, awk, bb"), stanza("bb"))
    assert names(found, "aa", left_out=("awk", "debconf")) == ["aa", "bb"]
    provided = index(stanza("aa", Depends="awk"), stanza("mawk", Provides="awk"))
    assert names(provided, "aa", left_out=("mawk",)) == ["aa"]


def test_all_that_is_missing_is_said_at_once() -> None:
    found = index(stanza("aa", Depends="gone, bb (>= 2), bb (>= 3) | cc"), stanza("bb", "1.5"))
    with pytest.raises(LockstitchError) as caught:
        names(found, "aa", "root")
    assert [error.message for error in caught.value.everything()] == [
        "the base needs `root`, the mirror has none",
        "`aa` needs `gone`, the mirror has none",
        "`aa` needs `bb (>= 2)`, the mirror has `bb 1.5`",
        "`aa` needs `bb (>= 3) | cc`, the mirror has `bb 1.5`",
    ]


def test_security_beats_main_and_main_beats_security_by_version() -> None:
    found = index(
        stanza("aa", "1.0-1"),
        stanza("bb", "2:1.0"),
        security=stanza("aa", "1.0-1+deb12u1") + stanza("bb", "3.0"),
    )
    chosen = {p.name: p for p in close(found, parse_relations("aa, bb"), ())}
    assert (chosen["aa"].version, chosen["aa"].archive) == ("1.0-1+deb12u1", "debian-security")
    assert (chosen["bb"].version, chosen["bb"].archive) == ("2:1.0", "debian")


def test_of_equal_versions_the_first_list_wins() -> None:
    found = index(stanza("aa"), security=stanza("aa"))
    assert close(found, parse_relations("aa"), ())[0].archive == "debian"


@pytest.mark.parametrize("path", ["/etc/passwd", "pool/../../x.deb", "pool//x.deb", "pool/x yy"])
def test_a_path_that_leads_out_of_the_archive_is_refused(path: str) -> None:
    with pytest.raises(LockstitchError, match="is not the path of a Debian package"):
        names(index(stanza("aa", Filename=path)), "aa")


def test_a_broken_list_is_refused() -> None:
    with pytest.raises(LockstitchError, match="a stanza that starts with"):
        index("Version: 1\nPackage: aa\n\n")
    with pytest.raises(LockstitchError, match="`aa` has no `Version` in the package list"):
        names(index("Package: aa\n\n"), "aa")
    with pytest.raises(LockstitchError, match="the package list of xx is not an xz file"):
        unpack(b"nothing", "package list of xx")
