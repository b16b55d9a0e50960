"""A cluster's job: a target, an image, its files, and the folder of the job."""

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path

from lockstitch import files, ranks
from lockstitch.oci.model import Image
from lockstitch.python.model import ImageSpec, Project, TargetSpec
from lockstitch.runtime import fingerprint
from lockstitch.values import frozen

REPORT = "ranks.json"


@frozen
class Job:
    """One image's command on one target."""

    project: Project
    target: TargetSpec
    spec: ImageSpec
    arguments: tuple[str, ...]  # added to the command
    image: Image | None  # None where nodes share an environment in place of an image
    folder: Path  # of the job's script, logs and report; all nodes see it

    @property
    def name(self) -> str:
        """The name of the job in the cluster's own lists."""
        return re.sub(r"[^\w.]+", "-", f"{self.project.name}-{self.spec.name}", flags=re.ASCII)

    @property
    def command(self) -> tuple[str, ...]:
        """The command with its arguments."""
        return (*self.spec.started, *self.arguments)

    @property
    def digest(self) -> str:
        """The digest of the image's manifest, or "" without an image."""
        return str(self.image.descriptor().digest) if self.image else ""

    @property
    def is_submitted(self) -> bool:
        """Whether Ray runs the driver too: the target's address is that of a dashboard."""
        return self.target.address.startswith(("http://", "https://"))


def folder(project: Project, target: TargetSpec, spec: ImageSpec) -> Path:
    """Return the folder of a target's jobs of an image: in `shared`, or in the project."""
    top = Path(target.shared) / project.name if target.shared else project.root / ".lockstitch"
    return top / "jobs" / target.name / spec.name


def write_helpers(job: Job, variables: Mapping[str, str]) -> None:
    """Write the files that each rank reads into the job's folder."""
    job.folder.mkdir(parents=True, exist_ok=True)
    for name, text in helpers(variables).items():
        files.write_text(job.folder / name, text)


def helpers(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the files that each rank reads: the check of the ranks and the image's variables."""
    return {
        **check_files(),
        "env.json": json.dumps(dict(variables), indent=1, sort_keys=True) + "\n",
    }


def check_files() -> dict[str, str]:
    """Return the files of the check of the ranks."""
    return {"ranks.py": inspect.getsource(ranks), "fingerprint.py": inspect.getsource(fingerprint)}
