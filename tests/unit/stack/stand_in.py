"""Services that are small programs; as a script, a supervisor of two of them."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from lockstitch.stack.folder import Folder
from lockstitch.stack.machine import MARK
from lockstitch.stack.service import Launch
from lockstitch.stack.supervisor import Patience, Supervisor

QUICK = Patience(
    start=2.0, end=0.3, again=0.01, most=0.05, stable=60, look=0.01, watch=0.02, hung=0.02
)


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """Runs a shell program in `root`, and is ready when that has made the file NAME.up."""

    root: Path
    name: str
    program: str = 'echo $$ > "$NAME.up"; echo "$NAME starts"; exec sleep 60'
    needs: tuple[str, ...] = ()
    rests: bool = False

    def launch(self) -> Launch:
        self.up.unlink(missing_ok=True)
        env = {"PATH": os.environ["PATH"], "NAME": self.name, MARK: str(self.root)}
        return Launch(words=["sh", "-c", self.program], cwd=self.root, env=env)

    def ready(self) -> str:
        return "" if self.up.exists() and self.up.read_text() else "no file yet"

    def well(self) -> str:
        return "it hangs" if (self.root / f"{self.name}.hangs").exists() else ""

    @property
    def up(self) -> Path:
        return self.root / f"{self.name}.up"


def main(root: Path) -> None:
    first = StandIn(root=root, name="first")
    second = StandIn(root=root, name="second", needs=("first",))
    Supervisor(Folder(root), [first, second], QUICK, log_size=200).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
