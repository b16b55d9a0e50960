"""A project and its images as the user wrote them, in frozen values."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lockstitch.errors import UsageError, nearest
from lockstitch.values import field, frozen

# Runs the commands before `--`, ends with the first that fails, and becomes the one behind it.
# In one line and without a shell, which bases lack.
_IN_TURN = (
    "import os, shlex, subprocess, sys; at = sys.argv.index('--'); "
    "[sys.exit(code) for step in sys.argv[1:at] "
    "if (code := subprocess.run(shlex.split(step)).returncode)]; "
    "os.execvp(sys.argv[at + 1], sys.argv[at + 1:])"
)
BESIDE = "."  # of `outputs`: the folder of the code itself, for what is written beside it


@frozen
class ImageSpec:
    """One `[tool.lockstitch.images.NAME]` table."""

    name: str
    lock: str = ""  # the lock of another tool, from the project's folder; "" means the project's
    package: str = ""  # a member of the workspace, in place of the project itself
    groups: tuple[str, ...] = ()  # PEP 735 groups
    extras: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    before: tuple[str, ...] = ()  # commands that run in turn before it, each in one text
    command: tuple[str, ...] = ()
    bare: bool = False  # `command = []`: whoever starts a container says what it runs
    workdir: str = ""  # where the command starts, from the project's folder
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    health: str = ""
    request: str = ""  # a file that a trial sends, from the project's folder
    request_path: str = "/predict"
    user: str = ""  # "" means ours
    budget: int = 0  # bytes unpacked; 0 means none
    allow_missing: tuple[str, ...] = ()  # modules that the program starts without
    prefer: tuple[str, ...] = ()  # packages whose files win over those of others, normalised
    accelerator: str = ""  # "cpu", "cuda", "cu128", "rocm"; "" leaves it to the names of groups
    collisions: str = "warn"  # or "error": for files that two packages have
    models: Mapping[str, str] = field(default_factory=dict)  # digests, for the provenance alone
    bytecode: bool = False
    trim: bool = False
    lazy: bool = False  # whether engines may read its layers before they have pulled them
    lazy_split: bool = False  # the same of parts of wheels' large files
    links: Mapping[str, str] = field(default_factory=dict)  # outside /app; of our own images alone

    @property
    def steps(self) -> tuple[tuple[str, ...], ...]:
        """The commands that it runs in turn: those of `before`, and its own."""
        return (*(tuple(shlex.split(step)) for step in self.before), self.command)

    @property
    def started(self) -> tuple[str, ...]:
        """The command that runs all steps: one program where `before` has some."""
        if not self.before:
            return self.command
        return ("python", "-c", _IN_TURN, *self.before, "--", *self.command)

    @property
    def record(self) -> str:
        """The path of the record of its runs, from the project's folder; "" without outputs."""
        folders = [name.rstrip("/") for name in self.outputs if name != BESIDE]
        return f"{folders[0]}/{self.name}.run.json" if folders else ""


@frozen
class ServiceSpec:
    """One `[tool.lockstitch.stack.services.NAME]` table: a service of the project's own."""

    name: str
    port: int
    command: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()  # requirements; without containers
    debian: tuple[str, ...] = ()  # names of Debian packages instead
    image: str = ""  # by its digest; in containers
    env: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)  # what programs are told of it


@frozen
class StackSpec:
    """The `[tool.lockstitch.stack]` table: services of this machine."""

    declared: bool = False  # whether there is such a table: its services are locked then
    runner: str = "native"  # or "compose"
    data: str = ".lockstitch/stack"  # from the project's folder
    postgres_port: int = 5432
    objects_port: int = 9000
    mlflow_port: int = 5000
    endpoint: str = ""  # of an object store of one's own; "" starts one
    bucket: str = "mlflow"
    region: str = "us-east-1"
    login: str = "auto"  # whether MLflow asks for one: also "always", "never"
    services: tuple[ServiceSpec, ...] = ()  # of the project's own, by their names


@frozen
class TargetSpec:
    """One `[tool.lockstitch.targets.NAME]` table: a cluster that runs the project's images."""

    name: str
    engine: str  # "slurm", "ray" or "kubernetes"
    nodes: int = 1
    tasks_per_node: int = 1
    cpus_per_task: int = 0  # 0 leaves it to the cluster
    gpus_per_node: int = 0
    memory: str = ""  # of a node: `16GB`
    time: str = ""  # the longest a job may take: `02:00:00`
    runtime: str = "auto"  # Slurm: what starts the image
    shared: str = ""  # Slurm: a folder that all nodes see; "" means the project's own
    partition: str = ""
    array: str = ""  # Slurm: a sweep, as in `0-7`
    requeue: bool = False  # whether a preempted job starts again
    options: tuple[str, ...] = ()  # more of sbatch, as they are
    allow: tuple[str, ...] = ()  # what may differ between ranks: `cpu`, `package.pip`
    address: str = ""  # Ray: of the cluster's head, `host:6379`, or `http://host:8265`
    registry: str = ""  # where nodes pull the image: `registry.example.com/team/churn`
    namespace: str = ""  # Kubernetes
    replicas: int = 2  # Kubernetes: of a server
    operator: str = ""  # Kubernetes: whose resources are written: "kserve", "kuberay"

    @property
    def tasks(self) -> int:
        """The ranks of a job."""
        return self.nodes * self.tasks_per_node


@frozen
class Project:
    """A folder with a pyproject.toml that says how its images are made."""

    root: Path
    name: str
    version: str
    python: str  # major.minor
    base: str
    packages: tuple[str, ...] = ()  # of the system, that the base gets in every image
    platforms: tuple[str, ...]
    lock: str = ""  # the lock of another tool; "" means uv.lock or poetry.lock
    images: tuple[ImageSpec, ...]
    is_package: bool  # whether first-party code is installed as a wheel
    require_record: bool = False  # whether a model of no recorded run ends a build
    build_requires: tuple[str, ...]
    build_extra: tuple[str, ...] = ()  # what backends ask for only while they run
    builder: str = "host"  # what compiles packages without a wheel: host, docker or podman
    build_packages: tuple[str, ...] = ()  # of the system, that containers of the builder get
    wheels: str = ""  # the repository of a registry that has built wheels
    stack: StackSpec = field(default_factory=StackSpec)
    targets: tuple[TargetSpec, ...] = ()
    document: Mapping[str, Any]

    def image(self, name: str) -> ImageSpec:
        """Return the image of this name, or raise LockstitchError with the names there are."""
        for image in self.images:
            if image.name == name:
                return image
        names = [image.name for image in self.images]
        message = f"`{name}` is not an image of this project (it has: {', '.join(names)})"
        hint = nearest(name, names, f"add a table [tool.lockstitch.images.{name}]")
        raise UsageError(message, hint=hint)

    def target(self, name: str) -> TargetSpec:
        """Return the target of this name, or raise UsageError with the names there are."""
        for target in self.targets:
            if target.name == name:
                return target
        names = [target.name for target in self.targets]
        message = f"`{name}` is not a target of this project (it has: {', '.join(names) or 'none'})"
        hint = f'add a table [tool.lockstitch.targets.{name}] with engine = "slurm"'
        raise UsageError(message, hint=nearest(name, names, hint))
