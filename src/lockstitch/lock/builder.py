"""Builds wheels in containers of pinned packages, for targets that this machine does not fit.

The container's root is made of the packages of Debian that compile for a base's Python, by hash:
the compiler, the C library, the headers, the interpreter. It has no network, nothing is pulled, and
no folder of this machine is mounted: an engine on another machine will do.
"""

import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

from lockstitch import environ, process
from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.lock import uv
from lockstitch.lock.bases import Base, Sources
from lockstitch.lock.bases.cpython import CPythonBase, read_members
from lockstitch.lock.bases.debian import DebianBase
from lockstitch.lock.bases.debian import archive as deb
from lockstitch.lock.file import Builder
from lockstitch.python.model import Project
from lockstitch.resources import load_script
from lockstitch.store import Store
from lockstitch.values import frozen

_TOOLS: Final = ("gcc", "g++", "make", "libc6-dev", "dash", "coreutils", "sed", "grep", "findutils")
_MERGED: Final = ("bin", "sbin", "lib", "lib64")
_LINKS: Final = {"usr/bin/cc": "gcc", "usr/bin/c++": "g++", "usr/bin/python3": "python{}"}
_NEWEST_GLIBC: Final = 40  # of manylinux that uv knows: `x86_64-manylinux_2_40`
_CANNOT_RUN: Final = "exec format error"


def pin(
    base: Base, more: Sequence[str], before: Builder | None, sources: Sources, *, upgrade: bool
) -> Builder:
    """Return the builder for a base, with more packages by name; kept where it fits.

    Raises LockstitchError for an image of a registry, and for what `selection.select` raises.
    """
    if not base.release or base.image:
        message = (
            f"`{base.name}` is an image of a registry: no packages are known that build for it"
        )
        hint = 'carry the wheel in wheels/, or take base = "cpython:X.Y"'
        raise LockstitchError(message, hint=hint)
    from lockstitch.lock.bases.debian.selection import PYTHON, SYSTEM, select

    minor = base.target().minor
    own = ("libcrypt1",) if isinstance(base, CPythonBase) else (*PYTHON, "libpython{}-dev")
    requested = (*_TOOLS, *more)
    if before and not upgrade and (before.release, before.requested) == (base.release, requested):
        return before
    roots = (*(root.format(minor) for root in own), *SYSTEM, *requested)
    packages = select(base.release, base.platform, roots, sources).packages
    return Builder(
        platform=base.platform, release=base.release, requested=requested, packages=packages
    )


# --- one build


def of(project: Project, base: Base, builder: Builder | None, store: Store) -> "Container | None":
    """Return the container that compiles for a base, None where this machine does."""
    if builder is None:
        return None
    return Container(
        engine=project.builder, builder=builder, base=base, root=project.root, store=store
    )


@frozen
class Container:
    """An engine with the image of a builder for a base, which is made when it is first used."""

    engine: str
    builder: Builder
    base: Base
    root: Path  # the project's folder, whose pyproject.toml may name indexes
    store: Store

    @property
    def tag(self) -> str:
        """The name of its image in the engine, the same for the same packages."""
        archive = self.base.archive.digest if isinstance(self.base, CPythonBase) else ""
        parts = [
            self.base.platform,
            archive,
            *(package.digest for package in self.builder.packages),
        ]
        return f"lockstitch-builder:{of_bytes(canonical_json(parts)).hex[:24]}"

    def compiler(self) -> str:
        """Return the first line that its compiler says of itself."""
        lines: list[str] = []
        self._run(None, "/", {}, ["/usr/bin/gcc", "--version"], lines.append)
        return lines[0].strip() if lines else "no compiler"

    def build(
        self,
        folder: Path,
        place: str,
        variables: Mapping[str, str],
        words: Sequence[str],
        requires: Sequence[str],
        line: Callable[[str], object],
    ) -> int:
        """Build the source in a folder, which gets `out`, at a place in the container.

        `words` go to runtime/backend.py. Returns the exit code; raises LockstitchError where
        there is no engine, and where the build requirements have no wheels for the platform.
        """
        self._install(folder / "requires", requires)
        (folder / "backend.py").write_bytes(load_script("backend.py"))
        for name in ("home", "out"):
            (folder / name).mkdir()
        machine = f"{self.base.target().machine}-linux-gnu"
        names = ("cc", "c++", "gcc", "g++", f"{machine}-gcc", f"{machine}-g++")
        wrappers(folder / "bin", lambda name: f"/usr/bin/{name}" if name in names else None)
        own = {"CC": "cc", "CXX": "c++", "AR": "ar"}
        own = {} if isinstance(self.base, DebianBase) else own  # whose Python knows its compiler
        own |= {
            "PATH": f"{place}/bin:{place}/requires/bin:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": f"{place}/requires",
        }
        command = [self.base.program, "-I", f"{place}/backend.py", *words]
        return self._run(folder, place, {**variables, **own}, command, line)

    def _install(self, folder: Path, requires: Sequence[str]) -> None:
        """Unpack the wheels of build requirements for the container's Python; runs none of it."""
        folder.mkdir()
        target = self.base.target()
        glibc = min(int(target.glibc.partition(".")[2]), _NEWEST_GLIBC)
        words: list[str | Path] = [process.find_uv(), "pip", "install", "--quiet", "--no-deps"]
        words += ["--require-hashes", "--only-binary", ":all:", "--link-mode", "copy"]
        words += ["--target", folder, "--python-version", target.minor]
        words += ["--python-platform", f"{target.machine}-manylinux_2_{glibc}"]
        if requires:
            uv.install([*words, "--requirements", "-"], requires, self.root, self.store)
        for script in (folder / "bin").glob("*"):
            first, _, rest = script.read_bytes().partition(b"\n")
            if first.startswith(b"#!") and b"python" in first:
                script.write_bytes(f"#!{self.base.program}\n".encode() + rest)

    def _run(
        self,
        folder: Path | None,
        place: str,
        variables: Mapping[str, str],
        command: Sequence[str],
        line: Callable[[str], object],
    ) -> int:
        """Run a command in a container of its own, with a folder copied to a place and back."""
        engine, env = self._engine(), environ.child()
        words: list[str | Path] = [engine, "create", "--network", "none"]
        words += ["--platform", self.base.platform, "--workdir", f"{place}/source"]
        words += [word for key, text in variables.items() for word in ("--env", f"{key}={text}")]
        done = process.run(
            [*words, self._image(engine), *command], env=env, hint=_hint(self.engine)
        )
        name = done.stdout.split()[-1]
        output: list[str] = []

        def seen(text: str) -> None:
            output.append(text)
            line(text)

        try:
            if folder is not None:
                process.run([engine, "cp", f"{folder}/.", f"{name}:{place}"], env=env)
            start: list[str | Path] = [engine, "start", "--attach", name]
            code = process.follow(start, cwd=self.root, env=env, line=seen)
            if code != 0 and any(_CANNOT_RUN in text.lower() for text in output):
                message = f"`{self.engine}` here runs no programs for {self.base.platform}"
                hint = f"set DOCKER_HOST to an engine on {self.base.platform}, or install qemu's "
                raise LockstitchError(message, hint=f"{hint}binfmt handlers: qemu-user-static")
            if folder is not None and code == 0:
                process.run([engine, "cp", f"{name}:{place}/out/.", folder / "out"], env=env)
        finally:
            process.run([engine, "rm", "--force", name], env=env, check=False)
        return code

    def _engine(self) -> Path:
        return process.find(self.engine, hint=_hint(self.engine))

    def _image(self, engine: Path) -> str:
        """Return the tag of the builder's image, which is imported where the engine lacks it."""
        env = environ.child()
        if process.run([engine, "image", "inspect", self.tag], env=env, check=False).code != 0:
            with tempfile.TemporaryDirectory(dir=self.store.root) as folder:
                path = Path(folder) / "root.tar"
                self._write(path)
                words: list[str | Path] = [engine, "import", "--platform", self.base.platform]
                if self.engine == "podman":
                    words = [engine, "import", "--arch", self.base.platform.partition("/")[2]]
                process.run([*words, path, self.tag], env=env, hint=_hint(self.engine))
        return self.tag

    def _write(self, path: Path) -> None:
        """Write the container's root as a tar: each package's files after the usr-merge."""
        there: set[str] = set()
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            for info, data in self._members():
                if info.name not in there:  # engines take each path once
                    tar.addfile(info, BytesIO(data))
                there.add(info.name)

    def _members(self) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        yield from ((_entry(name, tarfile.SYMTYPE, f"usr/{name}"), b"") for name in _MERGED)
        for name, mode in (("usr/lib64", 0o755), ("tmp", 0o1777), ("root", 0o700)):
            yield _entry(name, tarfile.DIRTYPE, mode=mode), b""
        for package in self.builder.packages:
            title = f"{package.name} {package.version}"
            data = self.store.read(package.digest)
            if data is None:
                raise _absent(package.digest, title)
            try:
                with deb.open_tar(deb.parts(data, title), "data.tar") as tar:
                    for info in tar:
                        info.name = _merged(info.name)
                        info.linkname = _merged(info.linkname) if info.islnk() else info.linkname
                        if info.name not in {"", *_MERGED}:
                            yield info, deb.content(tar, info) if info.isreg() else b""
            except deb.DAMAGED as error:
                raise deb.unreadable(title, error) from error
        if isinstance(self.base, CPythonBase):
            archive = self.base.archive
            if not self.store.read_again(archive.digest):
                raise _absent(archive.digest, archive.filename)
            every = read_members(self.store.path(archive.digest), archive.filename, lambda _: True)
            for info, content in every:
                info.name = f"usr/local/{info.name.partition('/')[2]}"
                if info.islnk():
                    info.linkname = f"usr/local/{info.linkname.partition('/')[2]}"
                yield info, content
        minor = self.base.target().minor
        for name, target in _LINKS.items():
            yield _entry(name, tarfile.SYMTYPE, target.format(minor)), b""


def _merged(name: str) -> str:
    path = name.removeprefix("./").strip("/")
    return f"usr/{path}" if path.partition("/")[0] in _MERGED and path not in _MERGED else path


def _entry(name: str, kind: bytes, target: str = "", mode: int = 0o755) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    return info


def _absent(digest: Digest, title: str) -> LockstitchError:
    message = f"`{title}` ({digest.short}…) is not in the store"
    return LockstitchError(message, hint="lockstitch lock")


def _hint(engine: str) -> str:
    return f"start {engine}, or carry the wheel: lockstitch export wheels, where it was locked"


def wrappers(folder: Path, where: Callable[[str], str | None] = shutil.which) -> None:
    """Write programs of compilers' names that leave out flags for this machine's processor.

    `-march=native` makes a wheel that stops on another processor, and another one on each.
    """
    folder.mkdir()
    for stem in ("cc", "c++", "gcc", "g++", "clang", "clang++"):
        for name in (stem, f"x86_64-linux-gnu-{stem}", f"aarch64-linux-gnu-{stem}"):
            program = where(name)
            if program:
                script = folder / name
                script.write_text(_WRAPPER.format(program))
                script.chmod(0o755)


_WRAPPER: Final = """\
#!/bin/sh
for word do
  shift
  case $word in -march=native | -mtune=native | -mcpu=native) ;; *) set -- "$@" "$word" ;; esac
done
exec {} "$@"
"""
