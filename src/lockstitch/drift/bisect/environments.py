"""Environments of uv for mixtures: made once, kept by their contents, used again."""

import functools
import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from lockstitch import clock, digest, environ, files, process
from lockstitch.digest import canonical_json
from lockstitch.drift.bisect.sides import Installed, Requirements, minor
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.fingerprint import live
from lockstitch.python.names import normal
from lockstitch.python.tables import parse_toml
from lockstitch.store import Store, default_root
from lockstitch.values import frozen

_READY = ".lockstitch-ready"
_KEPT = 7 * 24 * 3600  # seconds after which an unused environment is deleted


@frozen
class Extra:
    """One more package of every mixture: a wheel, or the project itself, editable."""

    name: str
    words: tuple[str, ...]  # as uv takes them
    stamp: str = ""  # of a file, whose content may change under its name


def read_extra(text: str, folder: Path) -> Extra:
    """Return the package of `NAME @ PLACE` or of a wheel's path, or raise UsageError."""
    name, at, place = (part.strip() for part in text.partition("@"))
    place = place if at else name
    path = folder / place.removeprefix("file://")
    if not at:
        try:
            name = parse_wheel_filename(path.name)[0]
        except InvalidWheelFilename as error:
            message = f"--with is `{text:.200}`, neither NAME @ PLACE nor the path of a wheel"
            raise UsageError(
                message, hint="--with 'mine @ dist/mine-1.0-py3-none-any.whl'"
            ) from error
    name = normal(name)
    if urlsplit(place).scheme in {"http", "https", "git+https", "git+ssh"}:
        return Extra(name=name, words=(f"{name} @ {place}",))
    if not path.is_file():
        message = f"--with: `{place}` is no file"
        raise UsageError(message, hint="make a wheel of a folder: uv build --wheel")
    stamp = digest.of_bytes(path.read_bytes())
    return Extra(name=name, words=(f"{name} @ {path.resolve().as_uri()}",), stamp=stamp)


def own_project(folder: Path) -> Extra | None:
    """Return the project of a folder as an editable install, or None when it is no package."""
    path = folder / "pyproject.toml"
    if not path.is_file():
        return None
    document = parse_toml(files.read_text(path), f"`{path}`", hint="fix pyproject.toml")
    name = document.get("project", {}).get("name")
    if not isinstance(name, str):
        return None
    words = ("--editable", str(folder.resolve())) if "build-system" in document else ()
    return Extra(name=normal(name), words=words)


class Pythons:
    """Finds interpreters by version: of the compared environments, this one, uv's."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        own = platform.python_version()
        self._known = {minor(own): sys.executable, own: sys.executable, **(known or {})}

    def path(self, version: str) -> str | None:
        """Return a version's program, fetched by uv where allowed; None without one."""
        return self._known.get(version) or _of_uv(version)

    def need(self, version: str) -> str:
        """Return the program of a version, or raise LockstitchError."""
        program = self.path(version)
        if program is None:
            message = f"Python {version} is not available"
            raise LockstitchError(message, hint=f"uv python install {version}")
        return program

    def both(self, before: str, after: str) -> tuple[str, str]:
        """Return the versions to make two environments with: exactly, else the minor ones.

        A patch version that is not available cannot be tried: then both are the same.
        """
        if minor(before) != minor(after):
            return self._nearest(before), self._nearest(after)
        available = [version for version in (before, after) if self.path(version)]
        if len(available) == 2:
            return before, after
        same = available[0] if available else minor(before)
        return same, same

    def _nearest(self, version: str) -> str:
        return version if self.path(version) else minor(version)


@functools.cache
def _of_uv(version: str) -> str | None:
    uv, env = process.find_uv(), environ.for_uv()
    for words in (["find", "--no-project"], ["install", "--quiet"], ["find", "--no-project"]):
        done = process.run([uv, "python", *words, version], env=env, check=False)
        if done.code == 0 and words[0] == "find":
            return done.stdout.strip()
        if done.code != 0 and words[0] == "install":
            return None
    return None


class Environments:
    """Environments below the user's cache; safe for several threads and processes."""

    def __init__(
        self, folder: Path, extras: Sequence[Extra] = (), pythons: Pythons | None = None
    ) -> None:
        """Install as uv would in `folder`: with its indexes and settings."""
        self._store = Store(default_root())
        self._store.hold()
        self.root = self._store.root / "bisect"
        self._folder = folder
        self._extras = tuple(extras)
        self._pythons = pythons or Pythons()

    @property
    def editable(self) -> bool:
        """Whether every mixture has the project itself, editable."""
        return any("--editable" in extra.words for extra in self._extras)

    def path(self, wanted: Requirements) -> Path:
        """Return the folder of an environment, whether it exists or not."""
        known = {
            "python": self._pythons.path(wanted.python) or wanted.python,
            "pins": list(wanted.pins),
            "extras": [[*extra.words, extra.stamp] for extra in self._extras],
        }
        return self.root / digest.of_bytes(canonical_json(known)).hex[:24]

    def make(self, wanted: Requirements) -> Path:
        """Return an environment's folder, made if missing; raises LockstitchError by uv."""
        folder = self.path(wanted)
        with files.lock(folder.with_suffix(".lock")):
            if not (folder / _READY).is_file():
                self._make(wanted, folder)
                (folder / _READY).touch()
            os.utime(folder / _READY)  # used now
            files.use(folder)
        return folder

    def variables(self, folder: Path) -> dict[str, str | None]:
        """Return the variables of a command in an environment, as if it were activated."""
        path = os.pathsep.join(
            [str(live.python_of(folder).parent), environ.child().get("PATH", "")]
        )
        return {
            "PATH": path,
            "VIRTUAL_ENV": str(folder),
            "PYTHONPATH": None,
            "PYTHONHOME": None,
            "PYTHONDONTWRITEBYTECODE": None,
            "PYTHONPYCACHEPREFIX": str(self.root / "bytecode"),
        }

    def installed(self, wanted: Requirements) -> Installed:
        """Return the packages of an environment, and what each requires."""
        versions, requires = {}, {}
        sites = sorted(str(path) for path in self.make(wanted).glob("lib/python*/site-packages"))
        for package in importlib.metadata.distributions(path=sites):
            name = normal(package.metadata["Name"] or "")
            versions[name] = package.version
            requires[name] = tuple(package.requires or ())
        python = minor(wanted.python).rstrip("t")
        return Installed(versions=versions, requires=requires, python=python)

    def sweep(self) -> None:
        """Delete environments that were not used for a week, and their bytecode."""
        for ready in sorted(self.root.glob(f"*/{_READY}")):
            if clock.now() - ready.stat().st_mtime > _KEPT:
                folder = ready.parent
                ready.unlink()
                shutil.rmtree(folder, ignore_errors=True)
                bytecode = self.root / "bytecode" / folder.relative_to(folder.anchor)
                shutil.rmtree(bytecode, ignore_errors=True)

    def _make(self, wanted: Requirements, folder: Path) -> None:
        python = self._pythons.need(wanted.python)
        shutil.rmtree(folder, ignore_errors=True)  # one that was not finished
        self._uv("venv", "--quiet", "--no-project", "--clear", "--python", python, str(folder))
        pins = folder / "pins.txt"
        files.write_text(pins, "".join(f"{pin}\n" for pin in wanted.pins))
        words = [word for extra in self._extras for word in extra.words]
        if wanted.pins or words:
            chosen = ["--requirements", str(pins)] if wanted.pins else []
            where = str(live.python_of(folder))
            self._uv("pip", "install", "--quiet", "--no-deps", "--python", where, *chosen, *words)

    def _uv(self, *words: str) -> None:
        env = environ.for_uv()
        hint = "an index that is not uv's default: set UV_INDEX; a wheel: --with"
        done = process.run([process.find_uv(), *words], cwd=self._folder, env=env, check=False)
        if done.code != 0:
            stderr = re.sub(r"://[^/@\s]+@", "://", done.stderr.strip())  # no password
            raise LockstitchError(f"a mixture cannot be installed\n{stderr[-2000:]}", hint=hint)
