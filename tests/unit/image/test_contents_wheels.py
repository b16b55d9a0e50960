"""Installed wheels: where each file goes, RECORD, what is dropped and refused."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from support.images import MadeLayer, check_golden, image, listing, members
from support.zips import (
    FILENAME,
    INFO,
    SITE,
    VENV,
    File,
    check_record,
    contents,
    installed_path,
    metadata,
    recorded,
    rows,
    stored,
    wheel,
    zipped,
)

from lockstitch.errors import LockstitchError
from lockstitch.image.contents import InstalledWheel
from lockstitch.image.wheel import MisrecordedError
from lockstitch.oci.validate import problems as problems_of_image

MakeLayer = Callable[..., MadeLayer]
CODE = File(name="demo/__init__.py", data=b"def main():\n    return 'demo'\n", level=0)


SCHEMES = [
    CODE,
    File(name="demo/data.csv", data=b"a,b\n", level=0),
    File(name="demo/run.sh", data=b"#!/bin/sh\n", level=0, mode=0o100755),
    File(name="demo-1.0.data/purelib/pure.py", data=b"pure = 1\n", level=0),
    File(name="demo-1.0.data/platlib/demo/native.so", data=b"\x7fELF", level=0, mode=0o100755),
    File(name="demo-1.0.data/scripts/tool", data=b"#!python\nimport demo\n", level=0),
    File(name="demo-1.0.data/scripts/tool.sh", data=b"#!/bin/sh\necho\n", level=0),
    File(name="demo-1.0.data/data/share/demo/readme.txt", data=b"read me\n", level=0),
    File(name="demo-1.0.data/data/etc/demo.conf", data=b"k = v\n", level=0),
    File(name="demo-1.0.data/headers/demo/api.h", data=b"#define X\n", level=0),
]
ENTRY_POINTS = """\
[console_scripts]
demo = demo:main
Demo-Admin = demo.admin : Cli.run [extra]

[gui_scripts]
demo-gui=demo.gui:start

[demo.plugins]
not-a-script = demo:plugin
"""


def test_every_scheme_golden(made: MakeLayer, pytestconfig: pytest.Config) -> None:
    layer = made(stored(*SCHEMES, entry_points=ENTRY_POINTS))
    check_golden(pytestconfig, "wheel/layer.txt", listing(layer))
    record = contents(layer)[f"{SITE}/{INFO}/RECORD"].decode()
    check_golden(pytestconfig, "wheel/RECORD.txt", record)


def test_every_scheme_s_place(made: MakeLayer) -> None:
    found = contents(made(stored(*SCHEMES, entry_points=ENTRY_POINTS)))
    assert set(found) == {
        f"{SITE}/demo/__init__.py",
        f"{SITE}/demo/data.csv",
        f"{SITE}/demo/run.sh",
        f"{SITE}/pure.py",
        f"{SITE}/demo/native.so",
        *(f"{VENV}/bin/{name}" for name in ("tool", "tool.sh", "demo", "Demo-Admin", "demo-gui")),
        f"{VENV}/share/demo/readme.txt",
        f"{VENV}/etc/demo.conf",
        f"{VENV}/include/site/python3.11/demo/demo/api.h",
        *(f"{SITE}/{INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "INSTALLER")),
        f"{SITE}/{INFO}/entry_points.txt",
    }


def test_modes_come_from_the_zip_and_programs_are_executable(made: MakeLayer) -> None:
    found = members(made(stored(*SCHEMES, entry_points=ENTRY_POINTS)).data)
    executable = {path for path, (m, _) in found.items() if m.isreg() and m.mode == 0o755}
    assert executable == {
        f"{SITE}/demo/run.sh",
        f"{SITE}/demo/native.so",
        *(f"{VENV}/bin/{name}" for name in ("tool", "tool.sh", "demo", "Demo-Admin", "demo-gui")),
    }
    assert {m.mode for m, _ in found.values()} == {0o644, 0o755}


def test_odd_modes_of_a_zip_become_one_of_two(made: MakeLayer) -> None:
    modes = {0o100600: 0o644, 0o100777: 0o755, 0o100010: 0o755, 0: 0o644, 0o104755: 0o755}
    files = [File(name=f"demo/{mode:o}", data=b"1", mode=mode) for mode in modes]
    found = members(made(wheel(*files)).data)
    assert {mode: found[f"{SITE}/demo/{mode:o}"][0].mode for mode in modes} == modes


def test_another_python_has_another_folder(made: MakeLayer) -> None:
    found = contents(made(stored(*SCHEMES), minor="3.13"))
    assert f"{VENV}/lib/python3.13/site-packages/demo/__init__.py" in found
    assert f"{VENV}/include/site/python3.13/demo/demo/api.h" in found
    assert not any("3.11" in path for path in found)


# --- RECORD -----------------------------------------------------------------------------


def test_record_lists_every_file_with_its_hash_and_size(made: MakeLayer) -> None:
    check_record(made(wheel(*SCHEMES, entry_points=ENTRY_POINTS)))


def test_record_does_not_list_bytecode(made: MakeLayer) -> None:
    compiled = {f"{SITE}/demo/__pycache__/__init__.cpython-311.pyc": b"pyc"}
    layer = made(wheel(CODE), compiled=compiled)
    assert contents(layer)[f"{SITE}/demo/__pycache__/__init__.cpython-311.pyc"] == b"pyc"
    check_record(layer, compiled=compiled)


def test_record_quotes_what_csv_has_to_quote(made: MakeLayer) -> None:
    layer = made(wheel(File(name="demo/a,b.txt", data=b"1"), File(name="demo/c d.txt")))
    check_record(layer)
    assert b'"demo/a,b.txt",sha256=' in contents(layer)[f"{SITE}/{INFO}/RECORD"]


def test_record_of_a_wheel_without_additions_keeps_its_rows(made: MakeLayer) -> None:
    data = wheel(CODE)
    found = [path for path, _, _ in rows(made(data))]
    assert found == [
        f"{INFO}/INSTALLER",
        f"{INFO}/METADATA",
        f"{INFO}/RECORD",
        f"{INFO}/WHEEL",
        "demo/__init__.py",
    ]


def test_a_file_that_the_wheel_s_record_forgot_is_listed_all_the_same(made: MakeLayer) -> None:
    everything = [CODE, *metadata()]
    forgotten = File(name="demo/forgotten.py", data=b"12345")
    layer = made(zipped([*everything, forgotten, recorded(everything)]))
    (row,) = [row for row in rows(layer) if row[0] == "demo/forgotten.py"]
    assert row[2] == "5"


def test_a_row_without_a_file_is_not_kept(made: MakeLayer) -> None:
    everything = [CODE, *metadata()]
    ghost = File(name="demo/ghost.py", data=b"12345")
    layer = made(zipped([*everything, recorded([*everything, ghost])]))
    assert not [row for row in rows(layer) if "ghost" in row[0]]
    check_record(layer)


def test_installer_is_ours_without_a_version(made: MakeLayer) -> None:
    other = File(name=f"{INFO}/INSTALLER", data=b"pip\n")
    layer = made(wheel(CODE, other))
    assert contents(layer)[f"{SITE}/{INFO}/INSTALLER"] == b"lockstitch\n"
    check_record(layer)


@pytest.mark.parametrize(
    "data", [b"demo/__init__.py,\xff,1\n", b'"' + b"x" * 200_000 + b'",,\n', b"x" * 200_000]
)
def test_a_record_that_cannot_be_read_is_refused(data: bytes, made: MakeLayer) -> None:
    broken = zipped([CODE, *metadata(), File(name=f"{INFO}/RECORD", data=data)])
    with pytest.raises(LockstitchError, match=f"the RECORD of `{FILENAME}` cannot be read"):
        made(broken)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"demo/__init__.py\n", b"a,b\n", b"a,b,c,d,e\n"])
def test_a_poor_record_does_no_harm(data: bytes, made: MakeLayer) -> None:
    layer = made(zipped([CODE, *metadata(), File(name=f"{INFO}/RECORD", data=data)]))
    listed = {installed_path(path) for path, _, _ in rows(layer)}
    assert listed == set(contents(layer))


# --- dropped and trimmed ----------------------------------------------------------------


def test_stray_bytecode_is_dropped(made: MakeLayer) -> None:
    strays = ["demo/__init__.pyc", "demo/older.pyo", "demo/__pycache__/a.cpython-39.pyc"]
    strays += ["demo/__pycache__/readme.txt", "demo-1.0.data/purelib/demo/pure.pyo"]
    layer = made(wheel(CODE, *(File(name=name, data=b"old") for name in strays)))
    assert not [p for p in contents(layer) if "pyc" in p or "pyo" in p]
    check_record(layer)


def test_a_module_that_ships_without_its_source_is_kept(made: MakeLayer) -> None:
    layer = made(wheel(CODE, File(name="demo/secret.pyc", data=b"compiled")))
    assert contents(layer)[f"{SITE}/demo/secret.pyc"] == b"compiled"
    check_record(layer)


TRIMMED = [
    "demo/tests/test_a.py",
    "demo/sub/tests/data/x.csv",
    "demo/a.pyi",
    "demo/include/api.h",
    "demo/lib.a",
    "demo-1.0.data/headers/api.h",
    "demo-1.0.data/purelib/demo/tests/b.py",
]
KEPT = ["demo/testing.py", "tests/__init__.py", "demo/tests.py", "demo/a.so", "demo/py.typed"]


def test_trimming_leaves_out_files_and_their_rows(made: MakeLayer) -> None:
    data = wheel(CODE, *(File(name=name, data=b"1") for name in (*TRIMMED, *KEPT)))
    whole, trimmed = made(data), made(data, trimmed=True)
    assert set(contents(whole)) - set(contents(trimmed)) == {
        f"{SITE}/demo/tests/test_a.py",
        f"{SITE}/demo/sub/tests/data/x.csv",
        f"{SITE}/demo/a.pyi",
        f"{SITE}/demo/include/api.h",
        f"{SITE}/demo/lib.a",
        f"{VENV}/include/site/python3.11/demo/api.h",
        f"{SITE}/demo/tests/b.py",
    }
    assert {f"{SITE}/{name}" for name in KEPT} <= set(contents(trimmed))
    check_record(whole)
    check_record(trimmed)
    assert whole.facts.digest != trimmed.facts.digest


# --- refused ----------------------------------------------------------------------------


def without(name: str) -> bytes:
    everything = [CODE, *metadata()]
    kept = [each for each in [*everything, recorded(everything)] if each.name != f"{INFO}/{name}"]
    return zipped(kept)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (zipped([CODE]), "has no .dist-info folder, wanted `demo-1.0.dist-info`"),
        (zipped([]), "has no .dist-info folder"),
        (wheel(CODE, name="other"), "has ['other-1.0.dist-info'], wanted `demo-1.0.dist-info`"),
        (wheel(CODE, version="2.0"), "has ['demo-2.0.dist-info'], wanted `demo-1.0.dist-info`"),
        (
            wheel(CODE, File(name="other-1.0.dist-info/METADATA")),
            "has ['demo-1.0.dist-info', 'other-1.0.dist-info'], wanted",
        ),
        (without("WHEEL"), "has no WHEEL"),
        (without("METADATA"), "has no METADATA"),
        (without("RECORD"), "has no RECORD"),
        (wheel(CODE, File(name="demo-1.0.data/unknown/x")), "is in no known scheme"),
        (wheel(CODE, File(name="demo-1.0.data/x")), "is in no known scheme"),
        (
            wheel(CODE, File(name="demo-1.0.data/purelib/demo/__init__.py")),
            f"would write `{SITE}/demo/__init__.py` twice",
        ),
        (
            wheel(
                CODE, File(name="demo-1.0.data/data/lib/python3.11/site-packages/demo/__init__.py")
            ),
            f"would write `{SITE}/demo/__init__.py` twice",
        ),
    ],
)
def test_what_is_no_wheel_of_this_name_is_refused(data: bytes, words: str, made: MakeLayer) -> None:
    with pytest.raises(LockstitchError) as caught:
        made(data)
    assert words in caught.value.message
    assert FILENAME in caught.value.message


@pytest.mark.parametrize(
    ("filename", "info"),
    [
        ("Demo_Pkg-1.0-py3-none-any.whl", "demo_pkg-1.0"),
        ("demo_pkg-1.0-py3-none-any.whl", "Demo.Pkg-1.0"),
        ("demo_pkg-1.0rc1-1-py3-none-any.whl", "demo_pkg-1.0RC1"),
        ("demo_pkg-1.0+cpu-cp311-cp311-linux_x86_64.whl", "demo_pkg-1.0+cpu"),
    ],
)
def test_spellings_of_one_name_agree(filename: str, info: str, made: MakeLayer) -> None:
    name, _, version = info.partition("-")
    layer = made(wheel(CODE, name=name, version=version), filename)
    assert f"{SITE}/{info}.dist-info/METADATA" in contents(layer)


def test_a_file_at_the_top_named_like_a_data_folder_is_a_file(made: MakeLayer) -> None:
    layer = made(wheel(CODE, File(name="weights.data", data=b"1")))
    assert contents(layer)[f"{SITE}/weights.data"] == b"1"
    check_record(layer)


@pytest.mark.parametrize("name", ["RECORD", "INSTALLER"])
def test_a_data_folder_cannot_bring_its_own_record(name: str, made: MakeLayer) -> None:
    planted = File(name=f"demo-1.0.data/purelib/{INFO}/{name}", data=b"planted\n")
    with pytest.raises(LockstitchError, match=FILENAME):
        made(wheel(CODE, planted))


def documented(**texts: bytes) -> bytes:
    """Return the wheel with other words in its METADATA or WHEEL, and a true RECORD."""
    files = [
        File(name=each.name, data=texts.get(each.name.rpartition("/")[2], each.data))
        for each in metadata()
    ]
    return zipped([CODE, *files, recorded([CODE, *files])])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (documented(WHEEL=b"Wheel-Version: 2.0\n"), "has Wheel-Version 2.0, only 1 is known"),
        (documented(METADATA=b"Name: other\nVersion: 1.0\n"), "has the Name `other`"),
        (documented(METADATA=b"Name: demo\nVersion: 1.1\n"), "has the Version `1.1`"),
        (documented(METADATA=b"x" * (17 << 20)), "more than 16,777,216 are not read"),
    ],
)
def test_documents_of_another_package_are_refused(data: bytes, words: str, made: MakeLayer) -> None:
    with pytest.raises(LockstitchError) as caught:
        made(data)
    assert words in caught.value.message


def test_documents_that_spell_otherwise_agree(made: MakeLayer) -> None:
    made(documented(METADATA=b"Name: Demo\r\nVersion: 1\r\n\r\nName: not this one\r\n"))
    made(documented(WHEEL=b"Wheel-Version: 1.9\n"))


def test_a_record_may_have_hexadecimal_digests(made: MakeLayer, tmp_path: Path) -> None:
    digest = hashlib.sha256(CODE.data).hexdigest()
    record = f"demo/__init__.py,sha256={digest},{len(CODE.data)}\n".encode()
    data = zipped([CODE, *metadata(), File(name=f"{INFO}/RECORD", data=record)])
    made(data)
    (tmp_path / FILENAME).write_bytes(data)
    installed = InstalledWheel(tmp_path / FILENAME, FILENAME, "3.11", trimmed=False)
    member = next(m for m in installed.wheel.members.values() if m.name == "demo/__init__.py")
    assert str(member.sha256) == f"sha256:{digest}"


def test_metadata_that_record_has_otherwise_is_read(tmp_path: Path) -> None:
    """As ffmpy 0.6.1's, whose RECORD has all hashes in hexadecimal digits."""
    record = f"{INFO}/METADATA,sha256={'0' * 64},9\n".encode()
    path = tmp_path / FILENAME
    path.write_bytes(zipped([CODE, *metadata(), File(name=f"{INFO}/RECORD", data=record)]))
    assert b"Name: demo" in InstalledWheel(path, FILENAME, "3.11", trimmed=False).metadata()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_file_that_record_has_otherwise_is_told_by_its_wheel(
    algorithm: str, made: MakeLayer
) -> None:
    record = f"demo/__init__.py,{algorithm}=AAAA,{len(CODE.data)}\n".encode()
    with pytest.raises(
        MisrecordedError, match=r"`demo/__init__\.py` .* is not what its RECORD says"
    ) as caught:
        made(zipped([CODE, *metadata(), File(name=f"{INFO}/RECORD", data=record)]))
    assert caught.value.filename == FILENAME


@pytest.mark.parametrize(
    "name",
    [
        "demo-1.0.data/scripts/python",
        "demo-1.0.data/scripts/python3.11",
        "demo-1.0.data/data/bin/python3.11",
        "demo-1.0.data/data/bin/python3.13t",
        "demo-1.0.data/data/pyvenv.cfg",
    ],
)
def test_what_would_replace_the_interpreter_is_refused(name: str, made: MakeLayer) -> None:
    with pytest.raises(LockstitchError) as caught:
        made(wheel(CODE, File(name=name, data=b"#!/bin/sh\n")))
    assert f"`{name}` in `{FILENAME}` would replace `/{VENV}/" in caught.value.message
    with pytest.raises(LockstitchError, match="would replace"):
        made(wheel(CODE, entry_points="[console_scripts]\npython3 = demo:main\n"))


def test_a_program_that_only_begins_with_python_is_kept(made: MakeLayer) -> None:
    layer = made(wheel(CODE, File(name="demo-1.0.data/scripts/python-demo", data=b"#!python\n")))
    assert f"{VENV}/bin/python-demo" in contents(layer)


@pytest.mark.parametrize(
    "name", [f"demo/{'a' * 256}.py", f"demo/{'ä' * 126}.pyyy", "a/" * 300 + "b.py", "abcde/" * 700]
)
def test_a_name_that_no_system_can_have_is_refused(name: str, made: MakeLayer) -> None:
    with pytest.raises(LockstitchError, match="has a name too long for a file"):
        made(wheel(CODE, File(name=f"{name.rstrip('/')}", data=b"1")))


# --- what makes it an image -------------------------------------------------------------


def test_sources_are_the_modules_below_site_packages(tmp_path: Path) -> None:
    path = tmp_path / FILENAME
    names = ["demo/b.py", "demo/a.py", "demo/a.pyi", "demo-1.0.data/purelib/p.py"]
    names += ["demo-1.0.data/scripts/s.py", "demo-1.0.data/data/share/d.py"]
    path.write_bytes(wheel(*(File(name=name) for name in names)))
    found = InstalledWheel(path, FILENAME, "3.11", trimmed=False)
    assert found.sources() == [
        ("demo/a.py", f"{SITE}/demo/a.py"),
        ("demo/b.py", f"{SITE}/demo/b.py"),
        ("demo-1.0.data/purelib/p.py", f"{SITE}/p.py"),
    ]
    found.close()


def test_the_layer_is_valid_and_does_not_depend_on_the_zip_s_order(made: MakeLayer) -> None:
    everything = [*SCHEMES, *metadata(entry_points=ENTRY_POINTS)]
    everything.append(recorded(everything))
    one, other = made(zipped(everything)), made(zipped(everything[::-1]))
    assert one.data == other.data
    assert problems_of_image(image(one)) == []
