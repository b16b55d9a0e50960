"""The wheels of lockstitch itself, made again of what is installed, for another machine.

An installation has all bytes of its wheels but what an installer generates: programs of entry
points, bytecode, and its notes. So no index is asked, and what works here is what comes there.
"""

import base64
import csv
import hashlib
import io
import posixpath
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path

from lockstitch import files
from lockstitch.errors import LockstitchError
from lockstitch.python.names import of_requirement

_ROOT = Path(__file__).parents[1]  # the package, wherever it is imported from
_NAME = "lockstitch"
# What installers write, and what an editable installation has in place of the package.
_NOT_OF_WHEELS = (
    *("INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_build.json", "uv_cache.json"),
    *("RECORD.jws", "RECORD.p7s"),
)
_DATE = (1980, 1, 1, 0, 0, 0)  # the same bytes each time
_EXECUTABLE, _PLAIN = 0o100755 << 16, 0o100644 << 16


def make(folder: Path) -> list[Path]:
    """Write the wheels of lockstitch and of all that it needs into a folder; return them, sorted.

    Raises LockstitchError where a package that it needs was not installed from a wheel.
    """
    return sorted(_wheel(distribution, folder) for distribution in _needed())


def _needed() -> Iterator[metadata.Distribution]:
    """Yield the installed distributions that lockstitch needs, and its own."""
    from packaging.requirements import Requirement

    waiting, seen = [_NAME], {_NAME}
    while waiting:
        name = waiting.pop()
        try:
            own = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            message = f"`{name}` is not installed, and lockstitch needs it"
            hint = "install lockstitch again, or leave it out of the bundle: --without-tool"
            raise LockstitchError(message, hint=hint) from None
        yield own
        for line in own.requires or ():
            required = Requirement(line)
            wanted = required.marker is None or required.marker.evaluate({"extra": ""})
            if wanted and of_requirement(line) not in seen:
                seen.add(of_requirement(line))
                waiting.append(required.name)


def _wheel(own: metadata.Distribution, folder: Path) -> Path:
    """Write the wheel of one distribution, with its RECORD as the last file."""
    told = HeaderParser().parsestr(own.read_text("WHEEL") or "")
    tags = [str(tag).split("-") for tag in told.get_all("Tag", [])]
    if not tags or own.files is None:
        message = f"`{own.name}` {own.version} was not installed from a wheel"
        hint = "leave lockstitch itself out of the bundle: --without-tool"
        raise LockstitchError(message, hint=hint)
    tag = "-".join(".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True))
    stem = f"{of_requirement(own.name).replace('-', '_')}-{own.version}"
    path = folder / f"{stem}-{tag}.whl"
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    with zipfile.ZipFile(path, "w") as archive:
        info = ""
        for name, place in sorted(_contents(own, stem)):
            data = place.read_bytes()
            info = name.partition("/")[0] if name.endswith(".dist-info/WHEEL") else info
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            rows.writerow((name, f"sha256={digest}", len(data)))
            is_program = name.startswith(f"{stem}.data/scripts/")
            _add(archive, name, data, _EXECUTABLE if is_program else _PLAIN)
        rows.writerow((f"{info}/RECORD", "", ""))
        _add(archive, f"{info}/RECORD", record.getvalue().encode(), _PLAIN)
    return path


def _add(archive: zipfile.ZipFile, name: str, data: bytes, mode: int) -> None:
    member = zipfile.ZipInfo(name, _DATE)
    member.external_attr = mode
    member.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(member, data, compresslevel=1)  # a program of 38 MB: seconds with more


def _contents(own: metadata.Distribution, stem: str) -> Iterator[tuple[str, Path]]:
    """Yield the files of a wheel: their names in it, and where they are installed."""
    generated = {
        point.name
        for point in own.entry_points
        if point.group in {"console_scripts", "gui_scripts"}
    }
    is_own = of_requirement(own.name) == _NAME
    for part in own.files or ():
        name = posixpath.normpath(part.as_posix())
        of_info = ".dist-info/" in name
        base = posixpath.basename(name)
        if "__pycache__" in name or (of_info and base in _NOT_OF_WHEELS):
            continue
        if name.startswith("../"):
            if base not in generated and "/bin/" in name:
                yield f"{stem}.data/scripts/{base}", Path(str(part.locate()))
        elif of_info or not is_own:
            yield name, Path(str(part.locate()))
    if is_own:  # from where it is imported: of an editable installation, RECORD has no files of it
        for file in files.walk(_ROOT):
            yield f"{_NAME}/{file.name}", file.path
