"""The entries of an installed wheel, taken from the wheel itself and never from a disk."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from lockstitch.errors import LockstitchError
from lockstitch.image import record_file, scripts, trim
from lockstitch.image.paths import VENV, bin_folder, site_packages
from lockstitch.image.wheel import Member, Wheel
from lockstitch.oci.entry import Content, Entry, Generated, Kind

__all__ = ["InstalledWheel"]

_INSTALLER = b"lockstitch\n"  # no version: a new lockstitch alone must not move a layer
_DATA_PLACES = {"purelib": "", "platlib": "", "scripts": "bin", "data": "", "headers": "include"}


class InstalledWheel:
    """A wheel laid out for one minor version of Python (binary distribution format, PEP 427)."""

    def __init__(self, path: Path, filename: str, minor: str, *, trimmed: bool) -> None:
        """Open the wheel and find where each member goes."""
        self.wheel = Wheel(path, filename)
        self._site = site_packages(minor)
        self._minor = minor
        self._trimmed = trimmed
        self._info = self._dist_info()
        self._written = {f"{self._info}/RECORD", f"{self._info}/INSTALLER"}  # anew, by us
        self._placed = dict(self._places())

    def close(self) -> None:
        """Let go of the file."""
        self.wheel.close()

    def metadata(self) -> bytes:
        """Return what the package says of itself (core metadata)."""
        return self.wheel.members[f"{self._info}/METADATA"].read()

    def left_out(self) -> tuple[str, ...]:
        """Return what trimming leaves out, as the wheel names it; whole folders end in a slash."""
        placed = {member.name for member in self._placed.values()}
        whole = [name for name in self.wheel.members if self._place(name, trimmed=False)]
        return trim.folded(placed, {*whole} - placed)

    def sources(self) -> list[tuple[str, str]]:
        """Return (member, path in the image) of the modules to compile, sorted."""
        prefix = f"{self._site}/"
        return [
            (member.name, path)
            for path, member in sorted(self._placed.items())
            if path.startswith(prefix) and path.endswith(".py")
        ]

    def entries(self, compiled: Mapping[str, Content]) -> Iterator[Entry]:
        """Yield the files as they are in the image, with bytecode by path where there is any."""
        rows = self._rows()
        for path, member in self._placed.items():
            if member.size == 0:
                member.read()  # nothing of it is played later, so its claims are checked here
            yield _entry(path, member, executable=member.executable)
        for path, data in self._scripts().items():
            rows.append(self._row(path, data))
            yield _entry(path, Generated(data), executable=True)
        for path, content in compiled.items():
            # Not in RECORD, which lets a fingerprint ignore how an environment was compiled.
            yield _entry(path, content)
        installer = f"{self._site}/{self._info}/INSTALLER"
        rows.append(self._row(installer, _INSTALLER))
        yield _entry(installer, Generated(_INSTALLER))
        name = f"{self._info}/RECORD"
        rows.append((name, "", ""))
        yield _entry(f"{self._site}/{name}", Generated(record_file.write(rows)))

    def _dist_info(self) -> str:
        stem = "-".join(self.wheel.filename.split("-")[:2])
        wanted = _normal(stem)
        tops = sorted({name.split("/")[0] for name in self.wheel.members})
        found = [top for top in tops if top.endswith(".dist-info")]
        if len(found) != 1 or _normal(found[0].removesuffix(".dist-info")) != wanted:
            message = f"`{self.wheel.filename}` has {found or 'no .dist-info folder'}, "
            message += f"wanted `{stem}.dist-info`"
            raise LockstitchError(message)
        for name in ("WHEEL", "METADATA", "RECORD"):
            if f"{found[0]}/{name}" not in self.wheel.members:
                message = f"`{self.wheel.filename}` has no {name}"
                raise LockstitchError(message)
        return found[0]

    def _places(self) -> Iterator[tuple[str, Member]]:
        """Yield (path in the image, member) for every member that is taken as it is."""
        taken: set[str] = set()
        for name, member in self.wheel.members.items():
            path = self._place(name, trimmed=self._trimmed)
            if path is None:
                continue
            if path in taken:
                message = f"`{self.wheel.filename}` would write `{path}` twice"
                raise LockstitchError(message)
            taken.add(path)
            yield path, member

    def _place(self, name: str, *, trimmed: bool) -> str | None:
        top, _, rest = name.partition("/")
        if name in self._written:
            return None
        if rest and self._is_data(top):
            kind, _, inner = rest.partition("/")
            if kind not in _DATA_PLACES or not inner:
                message = f"`{name}` in `{self.wheel.filename}` is in no known scheme"
                raise LockstitchError(message)
            if kind == "scripts":
                return None  # its first line may change: see _scripts
            if kind == "data":
                return f"{VENV}/{inner}"
            if kind == "headers":
                package = self._info.split("-")[0]
                path = f"{VENV}/include/site/python{self._minor}/{package}/{inner}"
                return None if trimmed else path
            name = inner
            if name in self._written:
                message = f"`{self.wheel.filename}` brings its own `{name}` as data"
                raise LockstitchError(message)
        if "__pycache__/" in name or name.endswith((".pyc", ".pyo")):
            return None  # compiled by somebody else's interpreter
        if trimmed and trim.left_out(name):
            return None
        return f"{self._site}/{name}"

    def _is_data(self, top: str) -> bool:
        stem = self._info.removesuffix(".dist-info")
        return top.endswith(".data") and _normal(top.removesuffix(".data")) == _normal(stem)

    def _scripts(self) -> dict[str, bytes]:
        """Return path → text of the programs; an entry point wins over a file of its name."""
        found: dict[str, bytes] = {}
        for name, member in self.wheel.members.items():
            top, _, rest = name.partition("/")
            kind, _, inner = rest.partition("/")
            if kind == "scripts" and inner and self._is_data(top):
                found[f"{bin_folder()}/{inner}"] = scripts.with_shebang(member.read())
        entry_points = self.wheel.members.get(f"{self._info}/entry_points.txt")
        if entry_points:
            for name, data in scripts.console_scripts(entry_points.read(), self.wheel.filename):
                found[f"{bin_folder()}/{name}"] = data
        return found

    def _rows(self) -> list[record_file.Row]:
        """Return the wheel's own rows for what is in the image, under the installed paths."""
        try:
            rows = record_file.read(self.wheel.members[f"{self._info}/RECORD"].read())
        except ValueError as error:
            message = f"the RECORD of `{self.wheel.filename}` cannot be read: {error}"
            raise LockstitchError(message) from error
        known = {name: (hashed, size) for name, hashed, size in rows}
        return [
            (self._relative(path), *known[member.name])
            if member.name in known
            else self._row(path, member.read())  # a file that the wheel's RECORD forgot
            for path, member in self._placed.items()
        ]

    def _row(self, path: str, data: bytes) -> record_file.Row:
        return (self._relative(path), record_file.digest(data), str(len(data)))

    def _relative(self, path: str) -> str:
        # RECORD's paths start from site-packages, three folders below the environment.
        inside = path.removeprefix(f"{self._site}/")
        return inside if inside != path else f"../../../{path.removeprefix(f'{VENV}/')}"


def _entry(path: str, content: Content, *, executable: bool = False) -> Entry:
    return Entry(path=path, kind=Kind.FILE, mode=0o755 if executable else 0o644, content=content)


def _normal(stem: str) -> str:
    name, _, version = stem.partition("-")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}-{version.lower()}"
