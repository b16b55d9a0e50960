"""Wheels whose files are zstd: everything that reads a wheel reads them too."""

import dataclasses
import io
import sys
import zipfile
from pathlib import Path

import pytest
from support.zips import File, metadata, patched, recorded, zipped

from lockstitch import zstd
from lockstitch.digest import of_bytes
from lockstitch.fingerprint.contents import with_files
from lockstitch.fingerprint.model import Package
from lockstitch.image import bytecode
from lockstitch.image.bytecode import Interpreter
from lockstitch.image.imports import modules_of
from lockstitch.store import Store

CODE = b"import sys\n\n\ndef main():\n    return 7\n" * 20
PLAIN = [
    *(File(name="demo/__init__.py"), File(name="demo/a.py", data=CODE)),
    *metadata(entry_points="[console_scripts]\ndemo = demo.a:main\n"),
]
PLAIN.append(recorded(PLAIN))
PACKED = [dataclasses.replace(each, zstd=bool(each.data)) for each in PLAIN]


def test_a_member_is_what_was_packed() -> None:
    with zipfile.ZipFile(io.BytesIO(zipped(PACKED))) as archive:
        for each in PACKED:
            assert zstd.read_member(archive, each.name) == each.data


@pytest.mark.parametrize(
    "wrong", [{"size": 5}, {"crc": 1}, {"packed": 30}, {"method": 93, "size": 1 << 31}]
)
def test_a_damaged_member_is_no_member(wrong: dict[str, int]) -> None:
    data = patched(zipped(PACKED), "demo/a.py", both=wrong)
    with zipfile.ZipFile(io.BytesIO(data)) as archive, pytest.raises(zipfile.BadZipFile):
        zstd.read_member(archive, "demo/a.py")


def test_programs_and_digests_of_a_wheel_do_not_depend_on_its_method(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    seen = []
    for number, files in enumerate((PLAIN, PACKED)):
        data = zipped(files)
        path = tmp_path / f"{number}.whl"
        path.write_bytes(data)
        package = Package(name="demo", version="1.0", artifacts=(store.put(data),))
        known = with_files(package, store)
        assert known.record
        seen.append((modules_of(path), known.record, known.code))
    assert seen[0] == seen[1]
    assert {*seen[0][0].programs} == {"demo"}


def test_bytecode_of_a_wheel_does_not_depend_on_its_method(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    minor = "{}.{}".format(*sys.version_info)
    this = Interpreter(argv=(sys.executable,), root="", key=of_bytes(b"this"), minor=minor)
    sources = [(f"demo/{name}", f"site/demo/{name}") for name in ("__init__.py", "a.py")]
    wheels = [(store.put(zipped(files)), sources) for files in (PLAIN, PACKED)]
    plain, packed = (
        {path: b"".join(content.plain()) for path, content in kept.items()}
        for kept in bytecode.of_wheels(this, store, wheels)
    )
    assert plain == packed
    assert len(plain) == len(sources)
