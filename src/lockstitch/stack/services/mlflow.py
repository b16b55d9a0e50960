"""MLflow's server: runs in PostgreSQL, artifacts in the store, passwords in variables only."""

import json
from dataclasses import dataclass
from pathlib import Path

from lockstitch.errors import LockstitchError
from lockstitch.net.download import ask
from lockstitch.stack import description
from lockstitch.stack.service import Launch
from lockstitch.stack.services import schema
from lockstitch.stack.services.common import HOST, USER, Parts, variables

__all__ = ["Mlflow"]

_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Mlflow:
    """Tracks runs and shows them."""

    parts: Parts
    name: str = "mlflow"
    needs: tuple[str, ...] = ("postgres",)  # the store only for an artifact, later
    rests: bool = False

    def launch(self) -> Launch:
        """Move old tables after a backup, and say how to start; the server makes new ones."""
        parts = self.parts
        login = f"{USER}:{parts.keys.password}@{HOST}:{parts.ports['postgres']}"
        own = variables(parts)
        del own["MLFLOW_TRACKING_URI"]  # it is that
        env = parts.clean(
            **own,
            **description.MLFLOW,
            MLFLOW_BACKEND_STORE_URI=f"postgresql+psycopg2://{login}/{USER}",
            AWS_CONFIG_FILE="/dev/null",
            AWS_SHARED_CREDENTIALS_FILE="/dev/null",
        )
        schema.prepare(parts, env)
        program = Path(__file__).parents[2] / "runtime" / "stack" / "mlflow_server.py"
        words = description.mlflow(HOST, parts.ports["mlflow"], parts.bucket)
        words = [str(parts.tools.python), "-P", str(program), *words]
        return Launch(words=words, cwd=parts.folder.root, env=env)

    def ready(self) -> str:
        """Return "" once a search of experiments, which goes to PostgreSQL, is answered."""
        address = f"http://{HOST}:{self.parts.ports['mlflow']}"
        body = json.dumps({"max_results": 1}).encode()
        try:
            status, said = ask(f"{address}/api/2.0/mlflow/experiments/search?lockstitch", body)
        except LockstitchError as error:
            return error.message
        return "" if status == _OK else f"HTTP {status}: {said[:200].decode(errors='replace')}"

    def well(self) -> str:
        """Return what `ready` does: it takes 20 ms."""
        return self.ready()
