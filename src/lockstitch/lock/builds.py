"""Build requirements of packages that exist only as source, locked with hashes for uv.

uv leaves them open by default (astral-sh/uv#5190): the newest setuptools of the day builds
them. `build-constraint-dependencies` in table form and `require-build-hashes` close that gap.
They stand in pyproject.toml, where uv reads them with no help of ours.
"""

import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from lockstitch import files
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock import uv
from lockstitch.lock.bases import Base
from lockstitch.net.download import Download, Fetcher
from lockstitch.progress import Reporter, say
from lockstitch.python.locks import Package, pylock
from lockstitch.python.model import Project
from lockstitch.python.tables import Table, parse_toml
from lockstitch.store import Store

if TYPE_CHECKING:
    from packaging.tags import Tag

__all__ = ["LEGACY", "pinned", "requirements", "sources", "write"]

LEGACY = ("setuptools>=40.8.0",)  # PEP 517: what builds a project that names no backend
_KEY, _SWITCH = "build-constraint-dependencies", "require-build-hashes"
# What a backend asks for only while it runs (PEP 660's get_requires_for_build_editable).
_EDITABLE = {"hatchling.build": ("editables",)}
_MOST_MEMBERS, _MOST_BYTES, _MOST_TOML = 200_000, 4 << 30, 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source distribution that a lock pins, for lack of a wheel."""

    name: str
    version: str
    download: Download


def sources(text: str, bases: Sequence[Base]) -> list[Source]:
    """Return the packages of a PEP 751 lock that have no wheel for a base that takes them.

    A repository or a folder is named in a warning: nothing says what it will need.
    """
    targets = [(base.target().markers(), set(base.target().tags())) for base in bases]
    found = []
    for package in pylock.read(text, "uv's export").packages:
        names = [wheel.name for wheel in package.wheels]
        wanted = [tags for markers, tags in targets if _holds(package, markers)]
        # What no base takes may still be for a colleague's machine: any wheel will do there.
        if names and all(any(_fits(name, tags) for name in names) for tags in wanted):
            continue
        sdist = next((file for file in package.files if not file.is_wheel), None)
        if sdist is None or not sdist.url or not sdist.sha256:
            if package.source.kind != "registry":
                say(f"warning: what builds `{package.name}` is not locked: it is no release")
            continue
        digest = Digest.of_hex(sdist.sha256)
        download = Download(name=sdist.name, url=sdist.url, digest=digest, size=sdist.size)
        found.append(Source(name=package.name, version=package.version, download=download))
    return sorted(found, key=lambda source: (source.name, source.version))


def _holds(package: Package, markers: dict[str, str]) -> bool:
    from packaging.markers import Marker

    none: dict[str, Any] = {"extras": frozenset(), "dependency_groups": frozenset()}
    marker = package.marker
    return not marker or Marker(marker).evaluate({**markers, **none}, context="lock_file")


def _fits(filename: str, tags: "set[Tag]") -> bool:
    from packaging.utils import parse_wheel_filename

    return not tags.isdisjoint(parse_wheel_filename(filename)[3])


def write(
    project: Project,
    bases: Sequence[Base],
    store: Store,
    fetcher: Fetcher,
    report: Reporter,
    moves: Callable[[str], bool],
) -> bool:
    """Lock the build requirements in pyproject.toml when a package needs it; say if it changed.

    What the tables pin and still fits is kept, but for the names that an upgrade moves.
    """
    with tempfile.TemporaryDirectory() as folder:
        every = Path(folder) / "pylock.toml"
        uv.export_all(project, every)
        found = sources(files.read_text(every), bases)
    settings = project.document.get("tool", {}).get("uv", {})
    if not found and settings.get(_SWITCH) is not True:
        return False
    fetcher.fetch([source.download for source in found], report)
    asked = {*_own(project), *project.build_extra}
    problems = []
    for source in found:
        try:
            asked.update(requirements(store.path(source.download.digest), source.download.name))
        except LockstitchError as error:
            problems.append(error)
    raise_all(problems)
    written = settings.get(_KEY, [])
    raise_all([_plain(each) for each in written if not isinstance(each, Mapping)])
    kept = [line for line in pinned(project) if not moves(line.partition("==")[0])]
    lines = uv.compile_requirements(sorted(asked), project, kept)
    wanted = [_table(line) for line in lines]
    if written == wanted and settings.get(_SWITCH) is True:
        return False
    _edit(project.root / "pyproject.toml", wanted)
    names = ", ".join(f"`{source.name} {source.version}`" for source in found)
    what = f"{len(lines)} build requirement{'s' if len(lines) > 1 else ''}"
    say(f"locked in pyproject.toml: {what}{f' of {names}' if names else ''}")
    return True


def _plain(text: object) -> LockstitchError:
    message = f"`tool.uv.{_KEY}` has `{text}` without a hash, which uv refuses beside `{_SWITCH}`"
    hint = f"move it to [tool.lockstitch]: build-requires = [{json.dumps(str(text))}]"
    return LockstitchError(message, hint=hint)


def pinned(project: Project) -> list[str]:
    """Return the build requirements that pyproject.toml pins for uv, as lines with hashes."""
    written = project.document.get("tool", {}).get("uv", {}).get(_KEY, [])
    return [_line(each) for each in written if isinstance(each, Mapping)]


def _own(project: Project) -> set[str]:
    """Return what builds the project itself: uv then asks hashes of these too."""
    if not project.is_package:
        return set()
    backend = project.document.get("build-system", {}).get("build-backend", "")
    return {*(project.build_requires or LEGACY), *_EDITABLE.get(backend, ())}


def _line(table: Mapping[str, Any]) -> str:
    hashes = "".join(f" --hash={each}" for each in table.get("hashes", ()))
    return f"{table.get('requirement', '')}{hashes}"


def _table(line: str) -> dict[str, Any]:
    requirement, *hashes = line.split(" --hash=")
    return {"requirement": requirement, "hashes": sorted(hashes)}


def _edit(path: Path, wanted: Sequence[dict[str, Any]]) -> None:
    import tomlkit

    document = tomlkit.parse(files.read_text(path))
    settings = document.setdefault("tool", tomlkit.table(is_super_table=True)).setdefault(
        "uv", tomlkit.table()
    )
    array = tomlkit.array()
    for each in wanted:
        table = tomlkit.inline_table()
        table.update(each)
        array.append(table)
    array.multiline(multiline=True)
    settings[_KEY] = array
    settings[_SWITCH] = True
    files.write_text(path, tomlkit.dumps(document))


# --- a source distribution


def requirements(path: Path, filename: str) -> tuple[str, ...]:
    """Return what a source distribution needs to be built, read from it without running it.

    Raises LockstitchError when it is no archive, or says something else than PEP 518 allows.
    """
    try:
        text = _pyproject(path, filename)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, tarfile.TarError) as error:
        message = f"`{filename}` cannot be read: {error}"
        raise LockstitchError(message, hint="pin a version that has a wheel") from error
    if text is None:
        return LEGACY
    problems: list[LockstitchError] = []
    document = parse_toml(text, f"pyproject.toml of `{filename}`", hint=_HINT)
    build = Table(document, f"{filename}: ", problems).table("build-system")
    found = build.texts("requires", LEGACY)
    raise_all(problems)
    return found


_HINT = "pin a version that has a wheel"


def _pyproject(path: Path, filename: str) -> str | None:
    read = _zip if filename.endswith(".zip") else _tar
    for name, size, handle in read(path):
        parts = PurePosixPath(name).parts
        if len(parts) == 2 and parts[1] == "pyproject.toml":  # noqa: PLR2004 -- FOLDER/FILE
            if size > _MOST_TOML:
                message = f"its pyproject.toml has {size} bytes"
                raise ValueError(message)
            return handle.read(_MOST_TOML).decode()
    return None


def _zip(path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist()[:_MOST_MEMBERS]:
            if PurePosixPath(info.filename).name == "pyproject.toml" and not info.is_dir():
                with archive.open(info) as handle:
                    yield info.filename, info.file_size, handle


def _tar(path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    with tarfile.open(path, "r:*") as archive:
        for number, member in enumerate(archive):
            if number > _MOST_MEMBERS or member.offset > _MOST_BYTES:
                message = f"it has more than {_MOST_MEMBERS} files or {_MOST_BYTES} bytes"
                raise ValueError(message)
            handle = archive.extractfile(member) if member.isreg() else None
            if handle is not None:
                yield member.name, member.size, handle
