"""A service of the project's own: a program of locked packages, kept running beside ours."""

import os
from pathlib import Path

from lockstitch.errors import LockstitchError
from lockstitch.stack import machine
from lockstitch.stack.service import HOST, Launch, Own, Parts, filled
from lockstitch.values import frozen

_PROGRAMS = ("bin", "usr/bin", "usr/sbin")  # of an environment of Python, and of Debian


@frozen
class OwnService:
    """Runs what `[tool.lockstitch.stack.services.NAME]` says; ready when its port is open."""

    parts: Parts
    own: Own
    needs: tuple[str, ...] = ()
    rests: bool = False

    @property
    def name(self) -> str:
        """Return its name in pyproject.toml."""
        return self.own.name

    def launch(self) -> Launch:
        """Make its data folder; return how to start it, or raise LockstitchError."""
        data = self.parts.folder.root / "services" / self.name
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        program, *words = filled(self.own.command, HOST, self.parts.ports[self.name], str(data))
        path = self._found(program)
        env = self.parts.clean(**self.own.env)
        places = [str(self.own.tools / program) for program in _PROGRAMS]
        env["PATH"] = os.pathsep.join([*places, env.get("PATH", "")])
        return Launch(words=[*self._loader(path), str(path), *words], cwd=data, env=env)

    def _loader(self, path: Path) -> list[str]:
        """Return the words that start a program of Debian with Debian's own libraries.

        Its C library may be newer than the machine's; nothing else of the machine is used.
        """
        loader = next(self.own.tools.glob("usr/lib/*-linux-gnu/ld-linux*.so.*"), None)
        if loader is None or path.read_bytes()[:4] != b"\x7fELF":
            return []
        libraries = os.pathsep.join(map(str, [loader.parent, loader.parents[1]]))
        return [str(loader), "--library-path", libraries]

    def _found(self, program: str) -> Path:
        """Return the program: a script of its packages, else one that lies among their files."""
        for folder in _PROGRAMS:
            script = self.own.tools / folder / program
            if script.exists():
                return script
        packages = self.own.tools.glob("lib/python3*/site-packages")
        for path in sorted(path for package in packages for path in package.rglob(program)):
            if path.is_file() and os.access(path, os.X_OK):
                return path
        message = f"no package of the service `{self.name}` has a program `{program}`"
        hint = f"correct command in [tool.lockstitch.stack.services.{self.name}]"
        raise LockstitchError(message, hint=hint)

    def ready(self) -> str:
        """Return "" once something listens on its port."""
        port = self.parts.ports[self.name]
        return "" if machine.listens(port) else f"nothing listens on port {port}"

    def well(self) -> str:
        """Return the answer of `ready`."""
        return self.ready()
