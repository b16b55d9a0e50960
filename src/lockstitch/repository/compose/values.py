"""What a compose file says, as values; every one knows its line, its column and its file."""

from lockstitch.repository.compose.interpolation import Setting, Value
from lockstitch.repository.text.yaml import Node
from lockstitch.values import frozen

__all__ = [
    "Build",
    "Command",
    "Dependency",
    "EnvFile",
    "Healthcheck",
    "Mount",
    "Named",
    "Port",
    "Service",
    "Variable",
]


@frozen
class Variable:
    """One variable of `environment` or build argument; without a value it is the caller's."""

    name: str
    value: Value | None
    line: int
    path: str


@frozen
class EnvFile:
    """One file of `env_file`."""

    file: Value
    required: bool
    settings: tuple[Setting, ...] | None  # None: there is no such file


@frozen
class Port:
    """One entry of `ports`; a range stays as it is written."""

    target: str
    published: str  # empty: any free one
    host: str  # empty: all addresses of the machine
    protocol: str
    value: Value


@frozen
class Mount:
    """One entry of a service's `volumes`."""

    kind: str  # bind, volume, tmpfs …
    source: str  # empty: a volume without a name
    target: str
    read_only: bool
    value: Value


@frozen
class Dependency:
    """One service of `depends_on`."""

    name: str
    condition: str
    required: bool
    line: int
    path: str


@frozen
class Command:
    """Words of `command`, `entrypoint` or a health check's test."""

    words: tuple[Value, ...]
    by_shell: bool  # the one word is a shell's text
    line: int
    path: str


@frozen
class Healthcheck:
    """A `healthcheck`; without a test, the image's own is changed."""

    test: Command | None
    disabled: bool
    settings: dict[str, Value]  # interval, timeout, retries, start_period, start_interval
    line: int
    path: str


@frozen
class Build:
    """A `build`; the folder is as it is written."""

    context: Value | None
    dockerfile: Value | None
    inline: Value | None
    target: Value | None
    args: tuple[Variable, ...]
    line: int
    path: str


@frozen
class Named:
    """One volume, network, secret or config of the file, or a service's use of a secret."""

    name: str
    external: bool
    values: dict[str, Value]  # its settings that are one value: file, environment, driver …
    line: int
    column: int
    path: str


@frozen
class Service:
    """One service, with what it extends."""

    name: str
    image: Value | None
    build: Build | None
    command: Command | None
    entrypoint: Command | None
    ports: tuple[Port, ...]
    environment: dict[str, Variable]
    env_files: tuple[EnvFile, ...]
    volumes: tuple[Mount, ...]
    depends_on: dict[str, Dependency]
    healthcheck: Healthcheck | None
    secrets: tuple[Named, ...]
    configs: tuple[Named, ...]
    networks: tuple[Named, ...]
    profiles: tuple[Value, ...]
    values: dict[str, Value]  # its further settings that are one value: user, restart …
    keys: dict[str, int]  # every key that it has itself, and its line
    nodes: dict[str, Node]  # and what stands there
    line: int
    column: int
    path: str
