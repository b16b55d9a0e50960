"""lockstitch.lock: one spelling, read back whole or refused in words."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import values

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.lock import file
from lockstitch.lock.bases.debian import DebianPackage
from lockstitch.lock.file import LockedFile

PACKAGE = DebianPackage(
    name="libc6",
    version="2.36-9",
    architecture="amd64",
    archive="debian",
    path="pool/main/g/glibc/libc6_2.36-9_amd64.deb",
    digest=Digest.of_hex("c" * 64),
    size=5,
)
BASE = values.debian_base(packages=(PACKAGE,))
LOCK = values.lock(
    inputs=Digest.of_hex("a" * 64),
    tools=("uv 1.2.3",),
    files=(LockedFile(path="uv.lock", digest=Digest.of_hex("b" * 64)),),
    build=("tinybuild==1.0 --hash=sha256:00",),
    bases=(BASE,),
)
WRITTEN = f"""\
# Written by `lockstitch lock`; do not edit. `lockstitch lock --check` compares it.
version = 1
inputs = "sha256:{"a" * 64}"
tools = ["uv 1.2.3"]
python = "3.11"
base = "debian:bookworm"

[[file]]
path = "uv.lock"
sha256 = "{"b" * 64}"

[build]
requirements = ["tinybuild==1.0 --hash=sha256:00"]

[[debian]]
platform = "linux/amd64"
release = "bookworm"
snapshot = "20260711T101637Z"
python = "3.11.2"
glibc = "2.36"

[[debian.package]]
name = "libc6"
version = "2.36-9"
architecture = "amd64"
archive = "debian"
path = "pool/main/g/glibc/libc6_2.36-9_amd64.deb"
size = 5
sha256 = "{"c" * 64}"
"""


def refused(root: Path, text: str) -> LockstitchError:
    (root / file.NAME).write_text(text)
    with pytest.raises(LockstitchError) as caught:
        file.read(root)
    return caught.value


def test_the_spelling_is_this(tmp_path: Path) -> None:
    file.write(LOCK, tmp_path)
    assert (tmp_path / file.NAME).read_text() == WRITTEN


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    file.write(LOCK, tmp_path)
    assert file.read(tmp_path) == LOCK


def test_a_project_without_first_party_code_has_no_build_requirements(tmp_path: Path) -> None:
    lock = dataclasses.replace(LOCK, build=(), files=(), bases=())
    file.write(lock, tmp_path)
    assert file.read(tmp_path) == lock


def test_the_order_given_does_not_show(tmp_path: Path) -> None:
    arm = dataclasses.replace(BASE, platform="linux/arm64")
    other = LockedFile(path="pylock.a.toml", digest=Digest.of_hex("d" * 64))
    for number, swapped in enumerate((False, True)):
        step = -1 if swapped else 1
        lock = dataclasses.replace(
            LOCK,
            files=(*LOCK.files, other)[::step],
            bases=(BASE, arm)[::step],
            build=("a==1", "b==2")[::step],
        )
        (tmp_path / str(number)).mkdir()
        file.write(lock, tmp_path / str(number))
    assert (tmp_path / "0" / file.NAME).read_text() == (tmp_path / "1" / file.NAME).read_text()


def test_a_base_is_found_by_its_platform() -> None:
    assert LOCK.base_for("linux/amd64") is BASE
    with pytest.raises(LockstitchError, match="no base for linux/arm64") as caught:
        LOCK.base_for("linux/arm64")
    assert caught.value.hint == "lockstitch lock"


def test_no_lock_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(LockstitchError) as caught:
        file.read(tmp_path)
    assert caught.value.message == f"no `lockstitch.lock` in `{tmp_path}`"
    assert caught.value.hint == "lockstitch lock"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version = 1\n", "version = 2\n", "it has version 2, this lockstitch reads 1"),
        ("version = 1\n", "", "it has version 0, this lockstitch reads 1"),
        ("version = 1\n", "version = '1'\n", "it has version 0, this lockstitch reads 1"),
        ("version = 1\n", "<<<<<<< ours\nversion = 1\n", "Invalid statement"),
        ("sha256:aaaa", "md5:aaaa", "is not a sha256 digest"),
        ('inputs = "', 'input = "', "is not a sha256 digest"),
        ('sha256 = "bb', 'sha256 = "xx', "is not a sha256 digest"),
        ("[[file]]\n", "[file]\n", "file"),
        ('"debian:bookworm"', "1", "`base` must be a text, found `1`"),
        ('path = "uv.lock"', "path = 1", "`file[0].path` must be a text, found `1`"),
        ('requirements = ["', 'requirements = [1, "', "`build.requirements` must"),
        ("[[debian]]\n", "[debian]\n", "debian"),
        ("size = 5\n", "size = -5\n", "`debian[0].package[0].size` must be a whole number"),
        ("size = 5\n", "", "size"),
        ('name = "libc6"\n', "", "`debian[0].package[0].name` is missing"),
        ('name = "libc6"\n', 'name = "../x"\n', "is not the name of a Debian package"),
        ('"pool/main', '"../pool/main', "is not the path of a Debian package"),
        ('archive = "debian"', 'archive = "other"', "is not the archive of a Debian package"),
        ('python = "3.11.2"\n', "", "python"),
        ('glibc = "2.36"\n', "", "glibc"),
        ('glibc = "2.36"\n', 'glibc = "two"\n', "glibc"),
        ('snapshot = "20260711T101637Z"\n', "", "snapshot"),
        ('release = "bookworm"\n', "", "release"),
        ('platform = "linux/amd64"\n', 'platform = "amd64"\n', "platform"),
    ],
)
def test_a_broken_lock_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in WRITTEN
    error = refused(tmp_path, WRITTEN.replace(old, new, 1))
    assert error.message.startswith("`lockstitch.lock` cannot be read: ")
    assert message in error.message
    assert error.hint == "lockstitch lock"


def test_everything_wrong_with_a_lock_is_said(tmp_path: Path) -> None:
    text = WRITTEN.replace('tools = ["uv 1.2.3"]', "tools = 1").replace("size = 5", "size = 0")
    error = refused(tmp_path, text)
    said = "\n".join(each.message for each in error.everything())
    assert "tools" in said
    assert "size" in said


def test_a_lock_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / file.NAME).write_bytes(b"\xff")
    with pytest.raises(LockstitchError, match=r"lockstitch\.lock` is not UTF-8"):
        file.read(tmp_path)


@given(data=st.data())
def test_any_change_of_a_lock_is_a_lock_or_an_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.getbasetemp() / "changed-lock"
    root.mkdir(exist_ok=True)
    start = data.draw(st.integers(0, len(WRITTEN)))
    end = data.draw(st.integers(start, min(len(WRITTEN), start + 20)))
    new = data.draw(st.sampled_from(["", '"', "1", "=", "[", "]", "\n", "true", "[[file]]\n"]))
    (root / file.NAME).write_text(WRITTEN[:start] + new + WRITTEN[end:])
    hint = "lockstitch lock"
    try:
        file.read(root)
    except LockstitchError as error:
        hint = error.hint
    assert hint == "lockstitch lock"
