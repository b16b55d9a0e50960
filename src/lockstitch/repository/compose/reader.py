"""Reads a compose file into services, with what they extend and the files that it includes.

The facts are of the Compose Specification and compose-go, which `docker compose` reads files with.
Any text gives a value; what is wrong stands in `problems`. Several files merged by `-f` are not
read, and neither are `!reset` and `!override`.
"""

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from lockstitch.repository.compose.fields import Fields
from lockstitch.repository.compose.interpolation import Setting, Value, dotenv
from lockstitch.repository.compose.values import (
    Build,
    Command,
    Dependency,
    EnvFile,
    Healthcheck,
    Mount,
    Named,
    Port,
    Service,
    Variable,
)
from lockstitch.repository.text import yaml
from lockstitch.repository.text.lines import Problem
from lockstitch.repository.text.yaml import Entry, Node, Scalar, entries
from lockstitch.repository.text.yaml import Mapping as Table
from lockstitch.values import frozen

__all__ = [
    "Build",
    "Command",
    "Compose",
    "Dependency",
    "EnvFile",
    "Healthcheck",
    "Mount",
    "Named",
    "Port",
    "Problem",
    "Service",
    "Setting",
    "Value",
    "Variable",
    "merged",
    "read",
]

T = TypeVar("T")
_MOST_FILES = 50
_LONGEST_CHAIN = 50  # of `extends`
_KNOWN = frozenset(
    [
        "name",
        "version",
        "services",
        "networks",
        "volumes",
        "configs",
        "secrets",
        "include",
        "models",
    ]
)
_OTHERS = frozenset(
    [
        "image",
        "build",
        "command",
        "entrypoint",
        "ports",
        "environment",
        "env_file",
        "volumes",
        "depends_on",
        "healthcheck",
        "secrets",
        "configs",
        "networks",
        "profiles",
        "extends",
    ]
)


@frozen
class Compose:
    """What a compose file says; a name that an included file has too is this file's."""

    services: dict[str, Service]
    volumes: dict[str, Named]
    networks: dict[str, Named]
    secrets: dict[str, Named]
    configs: dict[str, Named]
    name: Value | None
    version_line: int | None  # of the obsolete `version:`
    files: tuple[str, ...]  # all that were read, this one first
    problems: tuple[Problem, ...]


def read(
    text: str,
    environment: Mapping[str, str],
    read_file: Callable[[str], str | None] = lambda _: None,
    path: str = "compose.yaml",
) -> Compose:
    """Return what a compose file says; it never raises.

    `read_file` is given the path of another file, from the folder that `path` starts from and
    with `..` where the file says so, and returns its text or None. The variables of `.env` beside
    the file count where `environment` has none.
    """
    given = read_file(posixpath.join(posixpath.dirname(path), ".env"))
    settings = dotenv(given, environment) if given is not None else ()
    variables = {each.name: each.value for each in settings if each.value is not None}
    reader = _Reader({**variables, **environment}, read_file)
    return reader.read(text, path)


class _Reader:
    """Reads one file and the files that it names, each once."""

    def __init__(
        self, variables: Mapping[str, str], read_file: Callable[[str], str | None]
    ) -> None:
        self._problems: list[Problem] = []
        self._read_file = read_file
        self._fields = Fields(variables, read_file, self._problems)
        self._roots: dict[str, dict[str, Entry]] = {}
        self._tables: dict[str, dict[str, Entry]] = {}
        self._files: dict[str, dict[str, dict[str, Any]]] = {}
        self._services: dict[tuple[str, str], Service | None] = {}
        self._extending: list[tuple[str, str]] = []
        self._including: list[str] = []

    def read(self, text: str, path: str) -> Compose:
        path = posixpath.normpath(path)
        self._load(path, text)
        found = self._file(path)
        root = self._roots[path]
        problems = sorted(
            dict.fromkeys(self._problems), key=lambda p: (p.path != path, p.path, p.line)
        )
        return Compose(
            services=found["services"],
            volumes=found["volumes"],
            networks=found["networks"],
            secrets=found["secrets"],
            configs=found["configs"],
            name=self._fields.value(root["name"].value, "name") if "name" in root else None,
            version_line=root["version"].key.line if "version" in root else None,
            files=tuple(self._roots),
            problems=tuple(replace(p, path="" if p.path == path else p.path) for p in problems),
        )

    def _load(self, path: str, text: str) -> None:
        document = yaml.read(text, path)
        self._problems += document.problems
        self._roots[path] = {}
        if isinstance(document.root, Table):
            self._roots[path] = entries(document.root)
        elif not document.problems:
            message = "the file is empty" if document.root is None else "the file is no mapping"
            self._problems.append(Problem(line=0, message=message, path=path))

    def _opened(self, path: str, place: Node) -> bool:
        """Return whether another file could be read."""
        if path in self._roots:
            return True
        if len(self._roots) >= _MOST_FILES:
            self._fields.complain(place, f"more than {_MOST_FILES} files are named")
            return False
        text = self._read_file(path)
        if text is None:
            self._fields.complain(place, f"there is no file `{path:.100}`")
            return False
        self._load(path, text)
        return True

    def _file(self, path: str) -> dict[str, dict[str, Any]]:
        """Return what a file and those that it includes have, by kind and name."""
        if path in self._files:
            return self._files[path]
        root = self._roots[path]
        self._including.append(path)
        for name, entry in root.items():
            if name not in _KNOWN and not name.startswith("x-"):
                self._fields.complain(entry.key, f"`{name:.60}` is nothing that a compose file has")
        services = self._table(path)
        if root and not services and "include" not in root:
            place = root["services"].key if "services" in root else next(iter(root.values())).key
            self._fields.complain(place, "the file has no services")
        found: dict[str, dict[str, Any]] = {
            "services": {n: s for n in services if (s := self._service(path, n, services[n].key))}
        }
        for kind in ("volumes", "networks", "secrets", "configs"):
            node = root[kind].value if kind in root else None
            found[kind] = {each.name: each for each in self._fields.named(node, kind)}
        if "include" in root:
            self._include(root["include"].value, path, found)
        self._including.pop()
        self._files[path] = found
        return found

    def _include(self, node: Node, path: str, found: dict[str, dict[str, Any]]) -> None:
        for item in self._fields.items(node, "include"):
            inner = self._fields.table(item, "") if isinstance(item, Table) else {}
            place = inner["path"].value if "path" in inner else item
            for value in self._fields.values(place, "include"):
                other = _beside(path, value.text)
                if other in self._including:
                    self._fields.complain(item, f"`{other:.100}` includes itself")
                elif self._opened(other, item):
                    for kind, values in self._file(other).items():
                        found[kind] = {**values, **found[kind]}

    # --- services

    def _table(self, path: str) -> dict[str, Entry]:
        if path not in self._tables:
            root = self._roots[path]
            node = root["services"].value if "services" in root else None
            self._tables[path] = self._fields.table(node, "services")
        return self._tables[path]

    def _service(self, path: str, name: str, place: Node) -> Service | None:
        """Return a service of a file with all that it extends, or None."""
        if (path, name) in self._services:
            return self._services[path, name]
        table = self._table(path)
        if name not in table:
            self._fields.complain(place, f"there is no service `{name:.60}` in `{path:.100}`")
            return None
        entry = table[name]
        found = self._fields.table(entry.value, name)
        service = self._own(name, entry.key, found)
        if "extends" in found:
            self._extending.append((path, name))
            base = self._base(found["extends"].value, path)
            self._extending.pop()
            service = service if base is None else merged(base, service)
        self._services[path, name] = service
        return service

    def _base(self, node: Node, path: str) -> Service | None:
        """Return the service that `extends` names, or None."""
        inner = self._fields.table(node, "") if isinstance(node, Table) else {}
        name = self._fields.value(inner["service"].value if "service" in inner else node, "extends")
        file = self._fields.value(inner["file"].value, "file") if "file" in inner else None
        if name is None:
            return None
        other = path if file is None else _beside(path, file.text)
        if (other, name.text) in self._extending:
            self._fields.complain(node, f"`{name.text:.60}` extends itself")
            return None
        if len(self._extending) > _LONGEST_CHAIN:
            self._fields.complain(node, f"more than {_LONGEST_CHAIN} services extend one another")
            return None
        if not self._opened(other, node):
            return None
        return self._service(other, name.text, node)

    def _own(self, name: str, key: Scalar, found: Mapping[str, Entry]) -> Service:
        """Return what a service says itself."""
        fields = self._fields
        nodes = {each: entry.value for each, entry in found.items()}
        get = nodes.get
        others = ((k, n) for k, n in nodes.items() if k not in _OTHERS and isinstance(n, Scalar))
        return Service(
            name=name,
            image=fields.value(get("image"), "image"),
            build=fields.build(get("build")),
            command=fields.command(get("command"), "command"),
            entrypoint=fields.command(get("entrypoint"), "entrypoint"),
            ports=fields.ports(get("ports")),
            environment=fields.variables(get("environment"), "environment"),
            env_files=fields.env_files(get("env_file"), _resolve),
            volumes=fields.volumes(get("volumes")),
            depends_on=fields.dependencies(get("depends_on")),
            healthcheck=fields.healthcheck(get("healthcheck")),
            secrets=fields.uses(get("secrets"), "secrets"),
            configs=fields.uses(get("configs"), "configs"),
            networks=fields.uses(get("networks"), "networks"),
            profiles=fields.values(get("profiles"), "profiles"),
            values={k: v for k, n in others if (v := fields.value(n, k))},
            keys={each: entry.key.line for each, entry in found.items()},
            nodes=nodes,
            line=key.line,
            column=key.column,
            path=key.path,
        )


def merged(base: Service, own: Service) -> Service:
    """Return a service laid over another: its own word counts, lists are put together."""
    return replace(
        own,
        image=own.image or base.image,
        build=_merged_build(base.build, own.build),
        command=own.command or base.command,
        entrypoint=own.entrypoint or base.entrypoint,
        ports=_together(
            base.ports, own.ports, lambda p: (p.host, p.published, p.target, p.protocol)
        ),
        environment={**base.environment, **own.environment},
        env_files=(*base.env_files, *own.env_files),
        volumes=_together(base.volumes, own.volumes, lambda mount: mount.target),
        depends_on={**base.depends_on, **own.depends_on},
        healthcheck=_merged_health(base.healthcheck, own.healthcheck),
        secrets=_together(base.secrets, own.secrets, lambda secret: secret.name),
        configs=_together(base.configs, own.configs, lambda config: config.name),
        networks=_together(base.networks, own.networks, lambda network: network.name),
        profiles=_together(base.profiles, own.profiles, str),
        values={**base.values, **own.values},
        nodes={**base.nodes, **own.nodes},
    )


def _merged_build(base: Build | None, own: Build | None) -> Build | None:
    if base is None or own is None:
        return own or base
    return replace(
        own,
        context=own.context or base.context,
        dockerfile=own.dockerfile or base.dockerfile,
        inline=own.inline or base.inline,
        target=own.target or base.target,
        args=_together(base.args, own.args, lambda each: each.name),
    )


def _merged_health(base: Healthcheck | None, own: Healthcheck | None) -> Healthcheck | None:
    if base is None or own is None:
        return own or base
    settings = {**base.settings, **own.settings}
    return replace(own, test=own.test or base.test, settings=settings)


def _together(base: tuple[T, ...], own: tuple[T, ...], key: Callable[[T], object]) -> tuple[T, ...]:
    return tuple({key(each): each for each in (*base, *own)}.values())


def _resolve(node: Node, name: str) -> str:
    return _beside(node.path, name)


def _beside(path: str, name: str) -> str:
    """Return the path of a file that another names, from where that one's path starts."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), name.replace("\0", "")))
