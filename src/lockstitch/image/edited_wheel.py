"""The project's wheel after an edit: the last one, with the files in it that were edited.

A backend takes half a second to copy modules into a zip. Where nothing but the content of ordinary
files has changed, those of its modules are put into the wheel that it made before, and their rows
of RECORD with them. All else is the backend's: new and renamed files, settings, readmes, licences,
a version that is read from somewhere.
"""

import io
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lockstitch.digest import of_bytes
from lockstitch.files import FoundFile
from lockstitch.image.wheel import record_hash
from lockstitch.patterns import regex
from lockstitch.python.model import Project
from lockstitch.values import frozen

# What backends read besides modules, by name: settings, and files that they add by themselves.
_READ = regex(
    r"\..*|.*\.(?:toml|cfg|in|ini|pth|c|h|pyx)|setup\.py"
    r"|(?:readme|licen[cs]e|copying|notice|authors|changelog|changes|history|version).*",
    re.IGNORECASE,
)


@frozen
class Last:
    """The last wheel of a project, and what it was made from."""

    files: Mapping[str, Sequence[int]]  # x bit and mark of each file; no mark where it may differ
    members: Mapping[str, str]  # of the wheel, by the file that each is a copy of
    others: Collection[str]  # base names of what else is in the wheel

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "files": {name: [*row] for name, row in self.files.items()},
            "members": dict(self.members),
            "others": sorted(self.others),
        }


def last(wheel: Path, listing: Sequence[FoundFile], since: int) -> Last:
    """Return the files that a wheel was made from; those written later than `since` may differ."""
    by_name: dict[str, list[FoundFile]] = {}
    for file in listing:
        if file.name.startswith("build/lib/"):
            continue  # where setuptools copies modules to first
        by_name.setdefault(PurePosixPath(file.name).name, []).append(file)
    members: dict[str, str] = {}
    others = set()
    with zipfile.ZipFile(wheel) as opened:
        for name in opened.namelist():
            base = PurePosixPath(name).name
            alike = [f for f in by_name.get(base, ()) if f"/{f.name}".endswith(f"/{name}")]
            copied = len(alike) == 1 and alike[0].size == opened.getinfo(name).file_size
            if copied and alike[0].path.read_bytes() == opened.read(name):
                members[alike[0].name] = name
            else:
                others.add(base)
    return Last(files=marks(listing, since), members=members, others=others)


def marks(listing: Iterable[FoundFile], since: int) -> dict[str, list[int]]:
    """Return x bit and mark of each file, without a mark where it is younger than `since`."""
    return {
        file.name: [file.executable, *(() if file.changed > since else file.mark)]
        for file in listing
    }


def is_plain(project: Project) -> bool:
    """Return whether a project's pyproject.toml alone has all metadata."""
    metadata = project.document.get("project", {})
    return bool(metadata) and not metadata.get("dynamic")


def of(wheel: bytes, known: Last, listing: Sequence[FoundFile], project: Project) -> bytes | None:
    """Return a wheel with the files edited since; None where its backend has to be asked."""
    edited = _edited(known, listing)
    if edited is None or any(_may_decide(file, known, project) for file in edited):
        return None
    replaced = {known.members[e.name]: e for e in edited if e.name in known.members}
    new = {name: file.path.read_bytes() for name, file in replaced.items()}
    if not all(file.is_as_it_was(file.path.stat()) for file in edited):
        return None
    return _with(wheel, new) if new else wheel


def _edited(known: Last, listing: Sequence[FoundFile]) -> list[FoundFile] | None:
    """Return the files that may have other content now; None where names or x bits differ."""
    if {file.name: file.executable for file in listing} != {
        name: bool(row[0]) for name, row in known.files.items()
    }:
        return None
    return [file for file in listing if tuple(known.files[file.name][1:]) != file.mark]


def _may_decide(file: FoundFile, known: Last, project: Project) -> bool:
    """Return whether anything of a wheel but a copy of a file may depend on its content."""
    base = PurePosixPath(file.name).name
    is_other = file.name not in known.members and base in known.others
    named = any(base in text for text in _texts(_for_backends(project)))
    return is_other or named or _READ.fullmatch(base) is not None


def _for_backends(project: Project) -> dict[str, Any]:
    """Return pyproject.toml without lockstitch's own table, which names programs."""
    tools = project.document.get("tool", {})
    others = {name: table for name, table in tools.items() if name != "lockstitch"}
    return {**project.document, "tool": others}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for pair in value.items():
            for part in pair:
                yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _with(wheel: bytes, new: Mapping[str, bytes]) -> bytes | None:
    """Return a wheel with other bytes of some members; None where RECORD has no such rows."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(wheel)) as old, zipfile.ZipFile(buffer, "w") as zipped:
        records = [n for n in old.namelist() if re.fullmatch(r"[^/]+\.dist-info/RECORD", n)]
        if len(records) != 1:
            return None
        lines = old.read(records[0]).decode().splitlines(keepends=True)
        for name, data in new.items():
            row = _row(name, old.read(name))
            rows = [n for n, line in enumerate(lines) if line.rstrip("\r\n") == row]
            if len(rows) != 1:
                return None
            end = lines[rows[0]][len(row) :]
            lines[rows[0]] = _row(name, data) + end
        changed = {**new, records[0]: "".join(lines).encode()}
        for info in old.infolist():
            data = changed[info.filename] if info.filename in changed else old.read(info)
            zipped.writestr(info, data, info.compress_type)
    return buffer.getvalue()


def _row(name: str, data: bytes) -> str:
    return f"{name},{record_hash(of_bytes(data))},{len(data)}"
