"""A service of the project's own: a program of locked packages, kept running beside ours."""

import os
from dataclasses import dataclass
from pathlib import Path

from lockstitch.errors import LockstitchError
from lockstitch.stack import machine
from lockstitch.stack.service import HOST, Launch, Own, Parts, filled


@dataclass(frozen=True, slots=True, kw_only=True)
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
        """Make its folder of data, and say how to start it.

        Raises LockstitchError when none of its packages has the program.
        """
        data = self.parts.folder.root / "services" / self.name
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        port = self.parts.ports[self.name]
        program, *words = filled(self.own.command, HOST, port, str(data))
        path = self._found(program)
        env = self.parts.clean(**self.own.env)
        env["PATH"] = f"{self.own.tools / 'bin'}{os.pathsep}{env.get('PATH', '')}"
        return Launch(words=[str(path), *words], cwd=data, env=env)

    def _found(self, program: str) -> Path:
        """Return the program: a script of its packages, else one that lies among their files."""
        script = self.own.tools / "bin" / program
        if script.exists():
            return script
        packages = self.own.tools.glob("lib/python3*/site-packages")
        inside = sorted(path for each in packages for path in each.rglob(program))
        for path in inside:
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
