"""The root file system of a base, from tiny .deb files."""

import io
import lzma
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from support import values

from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.image.debian import added_entries, entries, merged, read_archive
from lockstitch.lock.bases.debian import Added, DebianBase, DebianPackage
from lockstitch.lock.sbom import PackageFacts
from lockstitch.oci.entry import Entry, Kind
from lockstitch.store import Store

Member = tuple[str, bytes, int, str]  # path, type of tar, mode, content or target


def regular(path: str, content: str = "", mode: int = 0o644) -> Member:
    return path, tarfile.REGTYPE, mode, content


def folder(path: str, mode: int = 0o755) -> Member:
    return path, tarfile.DIRTYPE, mode, ""


def symlink(path: str, target: str) -> Member:
    return path, tarfile.SYMTYPE, 0o777, target


def hard_link(path: str, target: str) -> Member:
    return path, tarfile.LNKTYPE, 0o644, target


def tar(members: Sequence[Member]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.GNU_FORMAT) as made:
        for path, kind, mode, text in members:
            info = tarfile.TarInfo(path)
            info.type, info.mode, info.mtime = kind, mode, 12345
            content = text.encode() if kind == tarfile.REGTYPE else b""
            info.size = len(content)
            info.linkname = "" if kind == tarfile.REGTYPE else text
            made.addfile(info, io.BytesIO(content))
    return output.getvalue()


def ar(parts: Mapping[str, bytes]) -> bytes:
    made = b"!<arch>\n"
    for name, data in parts.items():
        made += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        made += data + b"\n" * (len(data) % 2)
    return made


def deb(*members: Member, control: str = "Package: tiny\n") -> bytes:
    controls = [regular("./control", control), regular("./md5sums", "0  usr/x\n")]
    return ar(
        {
            "debian-binary": b"2.0\n",
            "control.tar.xz": lzma.compress(tar(controls)),
            "data.tar.xz": lzma.compress(tar([folder("./"), *members])),
        }
    )


def package(name: str, digest: Digest, size: int) -> DebianPackage:
    return DebianPackage(
        name=name,
        version="1.0",
        architecture="amd64",
        archive="debian",
        path=f"pool/main/{name}.deb",
        digest=digest,
        size=size,
    )


def base(*packages: DebianPackage) -> DebianBase:
    return values.debian_base(packages=packages)


def tree(store: Store, **debs: bytes) -> dict[str, Entry]:
    packages = [package(name, store.put(data), len(data)) for name, data in debs.items()]
    return {entry.path: entry for entry in entries(base(*packages), store)}


def content(entry: Entry) -> bytes:
    return b"".join(entry.content.plain()) if entry.content else b""


def messages(store: Store, **debs: bytes) -> list[str]:
    with pytest.raises(LockstitchError) as caught:
        tree(store, **debs)
    return [error.message for error in caught.value.everything()]


def test_the_usr_merge_moves_contents_and_leaves_symlinks(store: Store) -> None:
    made = tree(
        store,
        libc6=deb(
            folder("./lib64"),
            regular("./lib/x86_64-linux-gnu/libc.so.6", "C", 0o755),
            symlink("./lib64/ld.so.2", "/lib/x86_64-linux-gnu/ld.so.2"),
            symlink("./lib/libc.so", "x86_64-linux-gnu/libc.so.6"),
            symlink("./lib/terminfo", "../usr/share/terminfo"),
            symlink("./usr/lib/libm.so", "/lib/x86_64-linux-gnu/libm.so.6"),
        ),
    )
    links = {p: e.target for p, e in made.items() if e.kind is Kind.SYMLINK}
    assert content(made["usr/lib/x86_64-linux-gnu/libc.so.6"]) == b"C"
    assert links["usr/lib64/ld.so.2"] == "../lib/x86_64-linux-gnu/ld.so.2"
    assert links["usr/lib/libc.so"] == "x86_64-linux-gnu/libc.so.6"
    assert links["usr/lib/terminfo"] == "../share/terminfo"
    assert links["usr/lib/libm.so"] == "/lib/x86_64-linux-gnu/libm.so.6"
    assert {links[name] for name in ("bin", "lib", "lib64", "sbin")} == {
        "usr/bin",
        "usr/lib",
        "usr/lib64",
        "usr/sbin",
    }
    assert not [path for path in made if path.startswith(("bin/", "lib/", "lib64/", "sbin/"))]


def test_packages_that_hold_the_usr_merge_themselves_are_fine(store: Store) -> None:
    made = tree(store, files=deb(symlink("./bin", "usr/bin"), symlink("./lib", "usr/lib")))
    assert made["bin"].target == "usr/bin"
    assert "lib64" not in made


def test_every_path_comes_once_sorted_after_its_folder(store: Store) -> None:
    data = deb(regular("./usr/lib/b/c/d", "x"), regular("./usr/lib/b-c", "x"), folder("./usr/lib"))
    made = list(entries(base(package("tiny", store.put(data), len(data))), store))
    paths = [entry.path for entry in made]
    assert paths == sorted(set(paths), key=str.encode)
    folders = {entry.path for entry in made if entry.kind is Kind.FOLDER}
    assert {path.rpartition("/")[0] for path in paths} - {""} <= folders
    assert made == list(entries(base(package("tiny", store.put(data), len(data))), store))


def test_hard_links_become_copies(store: Store) -> None:
    made = tree(
        store, tiny=deb(regular("./lib/one", "1", 0o755), hard_link("./usr/lib/two", "./lib/one"))
    )
    assert made["usr/lib/two"].kind is Kind.FILE
    assert (content(made["usr/lib/two"]), made["usr/lib/two"].mode) == (b"1", 0o755)


def test_modes_are_two_and_nothing_is_setuid(store: Store) -> None:
    made = tree(
        store,
        tiny=deb(
            regular("./usr/lib/a", mode=0o4755),
            regular("./usr/lib/b", mode=0o660),
            folder("./var/local", 0o2775),
            folder("./tmp", 0o1777),
        ),
    )
    found = {path: made[path].mode for path in ("usr/lib/a", "usr/lib/b", "var/local", "tmp")}
    assert found == {"usr/lib/a": 0o755, "usr/lib/b": 0o644, "var/local": 0o755, "tmp": 0o1777}
    assert made["root"].mode == 0o700


@pytest.mark.parametrize(
    "path",
    [
        "bin/sh",
        "etc/cron.daily/dpkg",
        "sbin/ldconfig",
        "usr/bin/getent",
        "usr/include/stdio.h",
        "usr/lib/python3.11/lib-dynload/_curses.cpython-311-x86_64-linux-gnu.so",
        "usr/lib/python3.11/lib-dynload/_testcapi.cpython-311-x86_64-linux-gnu.so",
        "usr/lib/python3.11/lib-dynload/readline.cpython-311-x86_64-linux-gnu.so",
        "usr/lib/python3.11/test/support/__init__.py",
        "usr/lib/x86_64-linux-gnu/gconv/EUC-JP.so",
        "usr/lib/x86_64-linux-gnu/libz.a",
        "usr/share/doc/tiny/changelog.gz",
        "usr/share/doc/tiny/examples/copyright",
        "usr/share/locale/de/LC_MESSAGES/x.mo",
        "usr/share/man/man1/x.1.gz",
        "usr/share/zoneinfo/right/UTC",
    ],
)
def test_what_images_do_not_need_is_left_out(path: str, store: Store) -> None:
    assert merged(path) not in tree(store, tiny=deb(regular(f"./{path}", "x")))


@pytest.mark.parametrize(
    "path",
    [
        "etc/mime.types",
        "usr/bin/python3.11",
        "usr/lib/locale/C.utf8/LC_CTYPE",
        "usr/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so",
        "usr/lib/python3.11/unittest/__init__.py",
        "usr/share/doc/tiny/copyright",
        "usr/share/zoneinfo/Europe/Paris",
    ],
)
def test_what_images_need_is_kept(path: str, store: Store) -> None:
    assert content(tree(store, tiny=deb(regular(f"./{path}", "x")))[path]) == b"x"


def test_shared_licences_are_kept(store: Store) -> None:
    made = tree(store, tiny=deb(symlink("./usr/share/doc/libgcc-s1", "gcc-12-base")))
    assert made["usr/share/doc/libgcc-s1"].target == "gcc-12-base"


def test_licences_and_what_is_left_out_are_told(store: Store) -> None:
    facts: dict[str, PackageFacts] = {}
    copyright_ = "Format: 1.0\n\nFiles: *\nLicense: Expat\n"
    debs = {
        "libgcc-s1": deb(
            symlink("./usr/share/doc/libgcc-s1", "gcc-12-base"),
            regular("./usr/share/man/man1/a.1", "x"),
            regular("./usr/share/man/man1/b.1", "x"),
            regular("./usr/lib/kept.so", "x"),
            regular("./usr/lib/left.a", "x"),
        ),
        "gcc-12-base": deb(
            regular("./usr/share/doc/gcc-12-base/copyright", copyright_),
            regular("./usr/share/ca-certificates/mozilla/a.crt", "A"),
        ),
    }
    packages = [package(name, store.put(data), len(data)) for name, data in debs.items()]
    list(entries(base(*packages), store, facts))
    first, second = (facts[each.digest.hex] for each in packages)
    assert first == PackageFacts(licences=("MIT",), left_out=("usr/lib/left.a", "usr/share/man/"))
    assert second == PackageFacts(licences=("MIT",))


def test_what_maintainer_scripts_would_make_is_there(store: Store) -> None:
    made = tree(
        store,
        certificates=deb(
            regular("./usr/share/ca-certificates/mozilla/b.crt", "B\n"),
            regular("./usr/share/ca-certificates/mozilla/a.crt", "A"),
        ),
        tiny=deb(control="Package: tiny\nVersion: 1.0"),
    )
    assert content(made["etc/ssl/certs/ca-certificates.crt"]) == b"A\nB\n"
    assert "usr/share/ca-certificates" not in made
    assert content(made["var/lib/dpkg/status.d/tiny"]) == b"Package: tiny\nVersion: 1.0\n"
    assert content(made["var/lib/dpkg/status.d/tiny.md5sums"]) == b"0  usr/x\n"
    assert b"nonroot:x:65532:65532:nonroot:/home/nonroot:" in content(made["etc/passwd"])
    assert b"hosts: files dns\n" in content(made["etc/nsswitch.conf"])
    assert made["usr/bin/python3"].target == "python3.11"
    assert made["usr/bin/python"].target == "python3"
    assert made["etc/localtime"].target == "/usr/share/zoneinfo/UTC"
    assert made["var/tmp"].mode == 0o1777


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (regular("../../etc/passwd"), "a path that leads out of its folder"),
        (regular("/etc/passwd"), "a path that leads out of its folder"),
        (regular("usr/lib/../../../x"), "a path that leads out of its folder"),
        (regular("usr//lib/x"), "a path that leads out of its folder"),
        (regular("usr/lib/.wh.x"), "a name by which layers remove files"),
        (regular("usr/lib/a\nb"), "a name with control characters"),
        (regular("usr/lib/\udce9"), "a name that is not UTF-8"),
        (("dev/null", tarfile.CHRTYPE, 0o666, ""), "which is no file, folder or link"),
        (("dev/sda", tarfile.BLKTYPE, 0o666, ""), "which is no file, folder or link"),
        (("run/fifo", tarfile.FIFOTYPE, 0o666, ""), "which is no file, folder or link"),
        (symlink("usr/lib/x", "../../../etc/passwd"), "a symlink that leads out of the image"),
        (symlink("usr/lib/x", "/../etc"), "a symlink that leads out of the image"),
        (symlink("usr/lib/x", ""), "a symlink that leads out of the image"),
        (hard_link("usr/lib/x", "./etc/passwd"), "a hard link to './etc/passwd', which is no file"),
        (hard_link("usr/lib/x", "./usr/lib/there"), "a second time"),
    ],
)
def test_hostile_members_are_refused(member: Member, reason: str, store: Store) -> None:
    extra = [regular("./usr/lib/there"), regular("./usr/lib/x")] if "second" in reason else []
    (message,) = messages(store, tiny=deb(*extra, member))
    assert message.startswith("`tiny 1.0` holds '")
    assert reason in message


def test_all_hostile_members_of_a_package_are_said(store: Store) -> None:
    data = deb(regular("../a"), regular("usr/lib/fine"), regular("/b"))
    assert len(messages(store, tiny=data)) == 2


def test_a_file_below_a_symlink_is_refused(store: Store) -> None:
    first = deb(symlink("./usr/lib/x", "/etc"))
    found = messages(store, one=first, two=deb(regular("./usr/lib/x/passwd", "root")))
    message = "`usr/lib/x/passwd` of `two 1.0` is below `usr/lib/x`, which is a symlink"
    assert found == [message]


def test_a_path_in_two_packages_is_refused(store: Store) -> None:
    found = messages(store, one=deb(regular("./etc/x")), two=deb(regular("./etc/x")))
    assert found == ["`etc/x` is in `one 1.0` and in `two 1.0`"]


def test_all_packages_that_are_not_in_the_store_are_said(store: Store) -> None:
    wanted = base(package("one", of_bytes(b"1"), 1), package("two", of_bytes(b"2"), 1))
    with pytest.raises(LockstitchError) as caught:
        list(entries(wanted, store))
    assert [error.message for error in caught.value.everything()] == [
        f"`one 1.0` ({of_bytes(b'1').short}) is not in the store",
        f"`two 1.0` ({of_bytes(b'2').short}) is not in the store",
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK", "does not start with `!<arch>`"),
        (b"!<arch>\nshort", "its part at byte 8 has no header"),
        (ar({"debian-binary": b"2.0\n"}), "it has nothing for control.tar in xz or gz"),
        (ar({"control.tar.zst": b""}), "it has control.tar.zst for control.tar in xz or gz"),
        (ar({"control.tar.xz": b"no"}), "is not a Debian package that can be read"),
        (ar({"control.tar": tar([]), "data.tar": tar([])}), "it has no control file"),
        (ar({"control.tar": b"x" * 512}), "is not a Debian package that can be read"),
    ],
)
def test_what_is_no_package_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(LockstitchError) as caught:
        read_archive(data, "tiny 1.0")
    assert message in caught.value.message


def test_a_truncated_package_is_refused() -> None:
    data = deb(regular("./usr/lib/x", "x" * 100000))
    with pytest.raises(LockstitchError, match="is not a Debian package that can be read"):
        read_archive(data[:-40], "tiny 1.0")


def test_plain_and_gzip_parts_are_read() -> None:
    import gzip

    data = gzip.compress(tar([regular("./etc/x", "x")]))
    made = ar({"control.tar": tar([regular("./control", "C")]), "data.tar.gz": data})
    read = read_archive(made, "tiny 1.0")
    assert read.controls == {"control": b"C"}
    assert [member.path for member in read.members] == ["etc/x"]


def test_libraries_that_ldconfig_would_find_are_linked_where_the_loader_looks(store: Store) -> None:
    libraries = "./usr/lib/x86_64-linux-gnu"
    data = deb(
        regular("./etc/ld.so.conf.d/own.conf", "# own\n/usr/lib/x86_64-linux-gnu/own\n/usr/lib\n"),
        regular(f"{libraries}/own/libown.so.1", "1"),
        symlink(f"{libraries}/own/libown.so", "libown.so.1"),
        regular(f"{libraries}/own/plugin.txt", "x"),
        regular(f"{libraries}/other/libother.so.1", "1"),
    )
    requested = Added(requested=("own",), packages=(package("own", store.put(data), len(data)),))
    below = {"usr/lib": Entry(path="usr/lib", kind=Kind.FOLDER, mode=0o755)}
    made = {e.path: e for e in added_entries(below, replace(base(), added=requested), store)}
    links = {path: entry.target for path, entry in made.items() if entry.kind is Kind.SYMLINK}
    inside = {path: link for path, link in links.items() if path.startswith("usr/lib/x86")}
    assert inside == {
        "usr/lib/x86_64-linux-gnu/libown.so": "own/libown.so",
        "usr/lib/x86_64-linux-gnu/libown.so.1": "own/libown.so.1",
        "usr/lib/x86_64-linux-gnu/own/libown.so": "libown.so.1",
    }
    assert "usr/lib" not in made  # below has it


def test_the_alternative_of_highest_priority_is_linked(store: Store) -> None:
    def alternative(name: str, priority: int) -> bytes:
        path = f"/usr/lib/{name}/libblas.so.3"
        text = f"#!/bin/sh\nupdate-alternatives --install /lib/libblas.so.3 b {path} {priority}\n"
        controls = [regular("./control", "Package: x\n"), regular("./postinst", text)]
        return ar({"control.tar": tar(controls), "data.tar": tar([regular(f".{path}", name)])})

    debs = {"ref": alternative("blas", 10), "openblas": alternative("openblas", 100)}
    packages = [package(name, store.put(data), len(data)) for name, data in debs.items()]
    requested = Added(requested=("ref",), packages=tuple(packages))
    made = {e.path: e for e in added_entries({}, replace(base(), added=requested), store)}
    assert made["usr/lib/libblas.so.3"].target == "openblas/libblas.so.3"
