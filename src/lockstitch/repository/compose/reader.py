"""Reads a compose file into services, with what they extend and the files that it includes.

The facts are of the Compose Specification and compose-go, which `docker compose` reads files with.
Any text gives a value; what is wrong stands in `problems`. Several files merged by `-f` are not
read, and neither are `!reset` and `!override`.
"""

import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from lockstitch.patterns import regex
from lockstitch.repository.compose.values import (
    Build,
    Command,
    Compose,
    Dependency,
    EnvFile,
    Healthcheck,
    Mount,
    Named,
    Port,
    Service,
    Value,
    Variable,
    dotenv,
    interpolate,
)
from lockstitch.repository.text import yaml
from lockstitch.repository.text.yaml import Entry, Node, Scalar, Sequence, entries, scalar
from lockstitch.repository.text.yaml import Mapping as Table
from lockstitch.values import Problem, replace

T = TypeVar("T")
ReadFile = Callable[[str], str | None]  # the text of a file by its path, None when it is not there
_Entries = Mapping[str, Entry]
_Dependency = tuple[str, Node | None, Value | Scalar]  # name, settings, place

_MOST_FILES = 50
_LONGEST_CHAIN = 50  # of `extends`
_MOST_ENTRIES = 50_000  # of lists and mappings, those that an alias repeats included
_PRICE = 100  # characters of a value with variables that count as one entry
_NAMED = ("volumes", "networks", "secrets", "configs")
_TOP_LEVEL = frozenset(("name", "version", "services", "include", "models", *_NAMED))
_TIMES = ("interval", "timeout", "retries", "start_period", "start_interval")
_PORT = regex(
    r"(?:(?P<host>\[[^\]]*\]|[^:\[\]]*):)?"
    r"(?:(?P<published>[0-9-]*):)?(?P<target>[0-9]+(?:-[0-9]+)?)(?:/(?P<protocol>\w+))?"
)
_BRACED = regex(r"\$\{[^}]*\}")
_SPACE = "\ue000"  # stands for a space within a variable, which ends no word
_NUMBERS = regex(r"[0-9]+(-[0-9]+)?")
_DRIVE = regex(r"([A-Za-z]:[\\/][^:]*)(?::(.*))?", re.DOTALL)
# The keys of a service that have a field of their own.
_FIELDS = frozenset(
    (
        *("image", "build", "command", "entrypoint", "ports", "environment", "env_file"),
        *("volumes", "depends_on", "healthcheck", "secrets", "configs", "networks"),
        *("profiles", "extends"),
    )
)


def read(
    text: str,
    environment: Mapping[str, str],
    read_file: ReadFile = lambda _: None,
    path: str = "compose.yaml",
) -> Compose:
    """Return the services of a compose file; it never raises.

    `read_file` is given the path of another file, from the folder that `path` starts from and
    with `..` where the file says so, and returns its text or None. The variables of `.env` beside
    the file count where `environment` has none.
    """
    given = read_file(posixpath.join(posixpath.dirname(path), ".env"))
    settings = dotenv(given, environment) if given is not None else ()
    variables = {setting.name: setting.value for setting in settings if setting.value is not None}
    return _Reader({**variables, **environment}, read_file).read(text, posixpath.normpath(path))


def beside(path: str, name: str) -> str:
    """Return the path of a file that another file names, from where that one's path starts."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), name.replace("\0", "")))


class _Nodes:
    """Turns nodes into values with the variables of a run, and collects problems."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.problems: list[Problem] = []
        self._spent = 0

    def complain(self, node: Node, message: str) -> None:
        self.problems.append(Problem(line=node.line, message=message, path=node.path))

    def value(self, node: Node | None, what: str = "") -> Value | None:
        """Return a scalar after interpolation, None for nothing; anything else is a problem."""
        node = _given(node)
        if node is None:
            return None
        if not isinstance(node, Scalar):
            self.complain(node, f"`{what}` must be one value" if what else "it must be one value")
            return None
        return self.interpolated(node, node.text)

    def interpolated(self, node: Scalar, text: str) -> Value:
        if "$" in text and not self._affords(len(text) // _PRICE, node):
            text = ""
        value = interpolate(node, self.variables, text)
        if value.problem:
            self.complain(node, value.problem)
        return value

    def _affords(self, count: int, node: Node) -> bool:
        if self._spent <= _MOST_ENTRIES < self._spent + count:
            message = f"more than {_MOST_ENTRIES:,} entries, with those that aliases repeat"
            self.complain(node, message)
        self._spent += count
        return self._spent <= _MOST_ENTRIES

    def table(self, node: Node | None, what: str = "") -> dict[str, Entry]:
        """Return the entries of a mapping, none for nothing; anything else is a problem."""
        if isinstance(node, Table) and self._spent <= _MOST_ENTRIES:
            table = entries(node)
            return table if self._affords(len(table), node) else {}
        node = _given(node)
        if node is not None and not isinstance(node, Table):
            self.complain(node, f"`{what}` must be a mapping")
        return {}

    def items(self, node: Node | None, what: str) -> tuple[Node, ...]:
        """Return the items of a list, none for nothing; anything else is a problem."""
        if isinstance(node, Sequence):
            return node.items if self._affords(len(node.items), node) else ()
        node = _given(node)
        if node is not None:
            self.complain(node, f"`{what}` must be a list")
        return ()

    def values(self, node: Node | None, what: str) -> tuple[Value, ...]:
        """Return the values of a list, or of one value that stands for a list."""
        items = (node,) if isinstance(node, Scalar) else self.items(node, what)
        return tuple(value for item in items if (value := self.value(item, what)) is not None)

    def setting(self, table: _Entries, name: str) -> Value | None:
        """Return the value of a key, None when the mapping lacks it."""
        return self.value(table[name].value, name) if name in table else None

    def settings(self, table: _Entries, *names: str) -> dict[str, Value]:
        """Return the values of those keys that the mapping has."""
        return {name: value for name in names if (value := self.setting(table, name)) is not None}

    def single_values(self, table: _Entries) -> dict[str, Value]:
        """Return the values of all keys that have one value."""
        names = (name for name, entry in table.items() if isinstance(entry.value, Scalar))
        return self.settings(table, *names)


class _Fields(_Nodes):
    """Reads the parts of a service, most of which have a short and a long form."""

    def __init__(self, variables: Mapping[str, str], read_file: ReadFile) -> None:
        super().__init__(variables)
        self.read_file = read_file

    def service(self, name: str, key: Scalar, table: _Entries) -> Service:
        """Return a service's own settings."""
        nodes = {name: entry.value for name, entry in table.items()}
        get = nodes.get
        others = {name: entry for name, entry in table.items() if name not in _FIELDS}
        return Service(
            name=name,
            image=self.value(get("image"), "image"),
            build=self._build(get("build")),
            command=self._command(get("command"), "command"),
            entrypoint=self._command(get("entrypoint"), "entrypoint"),
            ports=self._each(self._port, get("ports"), "ports"),
            environment=self._variables(get("environment"), "environment"),
            env_files=self._env_files(get("env_file")),
            volumes=self._each(self._mount, get("volumes"), "volumes"),
            depends_on=self._dependencies(get("depends_on")),
            healthcheck=self._healthcheck(get("healthcheck")),
            secrets=self._uses(get("secrets"), "secrets"),
            configs=self._uses(get("configs"), "configs"),
            networks=self._uses(get("networks"), "networks"),
            profiles=self.values(get("profiles"), "profiles"),
            values=self.single_values(others),
            keys={name: entry.key.line for name, entry in table.items()},
            nodes=nodes,
            line=key.line,
            column=key.column,
            path=key.path,
        )

    def _each(
        self, read: Callable[[Node], T | None], node: Node | None, what: str
    ) -> tuple[T, ...]:
        return tuple(v for item in self.items(node, what) if (v := read(item)) is not None)

    def _build(self, node: Node | None) -> Build | None:
        """Return a build: a text is the folder."""
        node = _given(node)
        if node is None:
            return None
        table = {} if isinstance(node, Scalar) else self.table(node, "build")
        context = self.value(node) if isinstance(node, Scalar) else self.setting(table, "context")
        args = self._variables(table["args"].value, "args") if "args" in table else {}
        return Build(
            context=context,
            dockerfile=self.setting(table, "dockerfile"),
            inline=self.setting(table, "dockerfile_inline"),
            target=self.setting(table, "target"),
            args=tuple(args.values()),
            line=node.line,
            path=node.path,
        )

    def _command(self, node: Node | None, what: str) -> Command | None:
        """Return the words of a command: a text is split as Compose does, with quotes."""
        node = _given(node)
        if node is None:
            return None
        if isinstance(node, Scalar):
            text = self.interpolated(node, node.text)
            try:
                # A variable that nobody sets stays a word of its own, which knows its name.
                raw = _BRACED.sub(lambda m: m[0].replace(" ", _SPACE), node.text)
                split = shlex.split(raw if text.unknown else text.text)
            except ValueError as error:
                self.complain(node, f"`{what}` cannot be split into words: {error}")
                split = []
            words = tuple(
                self.interpolated(node, word.replace(_SPACE, " "))
                if text.unknown
                else text._replace(text=word, raw=word)
                for word in split
            )
        else:
            words = self.values(node, what)
        return Command(words=words, by_shell=False, line=node.line, path=node.path)

    def _healthcheck(self, node: Node | None) -> Healthcheck | None:
        table = self.table(node, "healthcheck")
        if node is None or not table:
            return None
        test = table["test"].value if "test" in table else None
        disabled = _is_true(self.setting(table, "disable"))
        if isinstance(test, Sequence) and test.items:
            first = test.items[0]
            disabled = disabled or (isinstance(first, Scalar) and first.text == "NONE")
        return Healthcheck(
            test=self._test(test),
            disabled=disabled,
            settings=self.settings(table, *_TIMES),
            line=node.line,
            path=node.path,
        )

    def _test(self, node: Node | None) -> Command | None:
        node = _given(node)
        if node is None:
            return None
        words, by_shell = self.values(node, "test"), True
        if isinstance(node, Sequence):
            kind = words[0].text if words else ""
            if kind not in {"NONE", "CMD", "CMD-SHELL"}:
                self.complain(node, "`test` must begin with NONE, CMD or CMD-SHELL")
                return None
            words, by_shell = words[1:], kind == "CMD-SHELL"
        if not words:
            return None
        return Command(words=words, by_shell=by_shell, line=node.line, path=node.path)

    def _variables(self, node: Node | None, what: str) -> dict[str, Variable]:
        """Return the variables of a mapping, or of a list of `NAME=VALUE`."""
        return {
            name: Variable(name=name, value=value, line=place.line, path=place.path)
            for name, value, place in self._pairs(node, what)
        }

    def _pairs(self, node: Node | None, what: str) -> Iterator[tuple[str, Value | None, Node]]:
        if not isinstance(node, Sequence):
            for name, entry in self.table(node, what).items():
                yield name, self.value(entry.value, name), entry.key
            return
        for item in self.items(node, what):
            if not isinstance(item, Scalar):
                self.complain(item, f"`{what}` holds texts: NAME=VALUE")
                continue
            name, equals, raw = item.text.partition("=")
            value = self.interpolated(item, raw) if equals else None
            yield self.interpolated(item, name).text, value, item

    def _env_files(self, node: Node | None) -> tuple[EnvFile, ...]:
        """Return the files of `env_file`, with what they say."""
        items = (node,) if isinstance(node, Scalar | Table) else self.items(node, "env_file")
        files = []
        for item in items:
            required = True
            place: Node | None = item
            if isinstance(item, Table):
                table = self.table(item)
                place = table["path"].value if "path" in table else None
                required = _is_required(self.setting(table, "required"))
                if place is None:
                    self.complain(item, "`env_file` names no `path`")
            file = self.value(place, "env_file")
            if file is not None and place is not None:
                text = self.read_file(beside(place.path, file.text)) if file.is_known else None
                settings = None if text is None else dotenv(text, self.variables)
                files.append(EnvFile(file=file, required=required, settings=settings))
        return tuple(files)

    def _port(self, node: Node) -> Port | None:
        if isinstance(node, Table):
            long = self.settings(self.table(node), "target", "published", "host_ip", "protocol")
            if "target" not in long:
                self.complain(node, "a port has no `target`")
                return None
            texts = {name: value.text for name, value in long.items()}
            return Port(
                target=texts["target"],
                published=texts.get("published", ""),
                host=texts.get("host_ip", ""),
                protocol=texts.get("protocol", "tcp"),
                value=long["target"],
            )
        value = self.value(node, "ports")
        if value is None:
            return None
        match = _PORT.fullmatch(value.text)
        host, published = (match["host"] or "", match["published"]) if match else ("", None)
        if match and published is None:  # with one colon, what stands before it is a port
            match = None if host and not _NUMBERS.fullmatch(host) else match
            host, published = "", host
        if match is None:
            if value.is_known:
                self.complain(node, f"`{value.text:.60}` is no port")
            return None
        return Port(
            target=match["target"],
            published=published or "",
            host=host.strip("[]"),
            protocol=match["protocol"] or "tcp",
            value=value,
        )

    def _mount(self, node: Node) -> Mount | None:
        if isinstance(node, Table):
            names = ("type", "source", "src", "target", "dst", "destination", "read_only")
            long = self.settings(self.table(node), *names)
            texts = {name: value.text for name, value in long.items()}
            place = interpolate(scalar("", node.line, node.column, node.path), {})
            return Mount(
                kind=texts.get("type", "volume"),
                source=texts.get("source") or texts.get("src") or "",
                target=texts.get("target") or texts.get("dst") or texts.get("destination") or "",
                read_only=_is_true(long.get("read_only")),
                value=next(iter(long.values()), place),
            )
        value = self.value(node, "volumes")
        if value is None:
            return None
        source, target, options = _split_mount(value.text)
        bind = source.startswith((".", "/", "~", "\\")) or _DRIVE.match(source) is not None
        return Mount(
            kind="bind" if bind else "volume",
            source=source,
            target=target,
            read_only="ro" in options.split(","),
            value=value,
        )

    def _dependencies(self, node: Node | None) -> dict[str, Dependency]:
        if isinstance(node, Sequence):
            names = self.values(node, "depends_on")
            short_or_long: list[_Dependency] = [(name.text, None, name) for name in names]
        else:
            table = self.table(node, "depends_on")
            short_or_long = [(name, entry.value, entry.key) for name, entry in table.items()]
        dependencies = {}
        for name, value, place in short_or_long:
            long = self.table(value, name)
            condition = self.setting(long, "condition")
            dependencies[name] = Dependency(
                name=name,
                condition=condition.text if condition else "service_started",
                required=_is_required(self.setting(long, "required")),
                line=place.line,
                path=place.path,
            )
        return dependencies

    def _uses(self, node: Node | None, what: str) -> tuple[Named, ...]:
        """Return the secrets, configs or networks that a service uses."""
        if isinstance(node, Table):  # networks
            return self.named(node, what)
        uses = []
        for item in self.items(node, what):
            values = self.single_values(self.table(item)) if isinstance(item, Table) else {}
            source = values.get("source") if isinstance(item, Table) else self.value(item, what)
            if source is None:
                self.complain(item, f"`{what}` names no source")
            else:
                uses.append(_named(source.text, values, item))
        return tuple(uses)

    def named(self, node: Node | None, what: str) -> tuple[Named, ...]:
        """Return the volumes, networks, secrets or configs of a mapping."""
        named = []
        for name, entry in self.table(node, what).items():
            inner = self.table(entry.value, name)
            values = self.single_values(inner)
            named.append(_named(name, values, entry.key, external="external" in inner))
        return tuple(named)


def _named(name: str, values: dict[str, Value], place: Node, *, external: bool = False) -> Named:
    answer = values.get("external")
    return Named(
        name=name,
        external=external and (answer is None or _is_true(answer)),
        values=values,
        line=place.line,
        column=place.column,
        path=place.path,
    )


def _split_mount(text: str) -> tuple[str, str, str]:
    """Return source, target and options; one path alone is the target."""
    drive = _DRIVE.fullmatch(text)
    first, rest = (drive[1], drive[2]) if drive else (text.partition(":")[0], None)
    if drive is None and ":" in text:
        rest = text.partition(":")[2]
    if rest is None:
        return "", first, ""
    target, _, options = rest.partition(":")
    return first, target, options


def _given(node: Node | None) -> Node | None:
    """Return a node, None for one that says nothing."""
    return None if isinstance(node, Scalar) and node.is_null else node


def _is_true(value: Value | None) -> bool:
    return value is not None and value.text.lower() in {"true", "yes", "on", "1"}


def _is_required(value: Value | None) -> bool:
    return value is None or value.text.lower() != "false"


class _Reader(_Fields):
    """Reads one file and the files that it names, each once."""

    def __init__(self, variables: Mapping[str, str], read_file: ReadFile) -> None:
        super().__init__(variables, read_file)
        self._roots: dict[str, dict[str, Entry]] = {}
        self._tables: dict[str, dict[str, Entry]] = {}
        self._files: dict[str, dict[str, dict[str, Any]]] = {}
        self._services: dict[tuple[str, str], Service | None] = {}
        self._extending: list[tuple[str, str]] = []
        self._including: list[str] = []

    def read(self, text: str, path: str) -> Compose:
        self._parse(path, text)
        content = self._file(path)
        root = self._roots[path]
        name = self.setting(root, "name")
        problems = sorted(
            dict.fromkeys(self.problems), key=lambda p: (p.path != path, p.path, p.line)
        )
        return Compose(
            services=content["services"],
            volumes=content["volumes"],
            networks=content["networks"],
            secrets=content["secrets"],
            configs=content["configs"],
            name=name,
            version_line=root["version"].key.line if "version" in root else None,
            files=tuple(self._roots),
            problems=tuple(replace(p, path="" if p.path == path else p.path) for p in problems),
        )

    def _parse(self, path: str, text: str) -> None:
        document = yaml.read(text, path)
        self.problems += document.problems
        self._roots[path] = {}
        if isinstance(document.root, Table):
            self._roots[path] = entries(document.root)
        elif not document.problems:
            message = "the file is empty" if document.root is None else "the file is no mapping"
            self.problems.append(Problem(line=0, message=message, path=path))

    def _open(self, path: str, place: Node) -> bool:
        """Return whether another file could be read."""
        if path in self._roots:
            return True
        if len(self._roots) >= _MOST_FILES:
            self.complain(place, f"more than {_MOST_FILES} files are named")
            return False
        text = self.read_file(path)
        if text is None:
            self.complain(place, f"there is no file `{path:.100}`")
            return False
        self._parse(path, text)
        return True

    def _file(self, path: str) -> dict[str, dict[str, Any]]:
        """Return the entries of a file and of those it includes, by kind and name."""
        if path in self._files:
            return self._files[path]
        root = self._roots[path]
        self._including.append(path)
        for name, entry in root.items():
            if name not in _TOP_LEVEL and not name.startswith("x-"):
                self.complain(entry.key, f"`{name:.60}` is nothing that a compose file has")
        table = self._table(path)
        anchors = "services" not in root and any(name.startswith("x-") for name in root)
        if root and not table and "include" not in root and not anchors:
            place = root["services"].key if "services" in root else next(iter(root.values())).key
            self.complain(place, "the file has no services")
        content: dict[str, dict[str, Any]] = {
            "services": {n: s for n, e in table.items() if (s := self._service(path, n, e.key))}
        }
        for kind in _NAMED:
            node = root[kind].value if kind in root else None
            content[kind] = {named.name: named for named in self.named(node, kind)}
        if "include" in root:
            self._include(root["include"].value, path, content)
        self._including.pop()
        self._files[path] = content
        return content

    def _include(self, node: Node, path: str, content: dict[str, dict[str, Any]]) -> None:
        for item in self.items(node, "include"):
            inner = self.table(item) if isinstance(item, Table) else {}
            place = inner["path"].value if "path" in inner else item
            for value in self.values(place, "include"):
                other = beside(path, value.text)
                if other in self._including:
                    self.complain(item, f"`{other:.100}` includes itself")
                elif self._open(other, item):
                    for kind, values in self._file(other).items():
                        content[kind] = {**values, **content[kind]}

    def _table(self, path: str) -> dict[str, Entry]:
        """Return the entries of a file's `services`."""
        if path not in self._tables:
            root = self._roots[path]
            node = root["services"].value if "services" in root else None
            self._tables[path] = self.table(node, "services")
        return self._tables[path]

    def _service(self, path: str, name: str, place: Node) -> Service | None:
        """Return a service of a file with all that it extends, or None."""
        if (path, name) in self._services:
            return self._services[path, name]
        table = self._table(path)
        if name not in table:
            self.complain(place, f"there is no service `{name:.60}` in `{path:.100}`")
            return None
        own = self.table(table[name].value, name)
        service = self.service(name, table[name].key, own)
        if "extends" in own:
            self._extending.append((path, name))
            base = self._base(own["extends"].value, path)
            self._extending.pop()
            service = service if base is None else merged(base, service)
        self._services[path, name] = service
        return service

    def _base(self, node: Node, path: str) -> Service | None:
        """Return the service that `extends` names, or None."""
        inner = self.table(node) if isinstance(node, Table) else {}
        name = self.value(inner["service"].value if "service" in inner else node, "extends")
        file = self.setting(inner, "file")
        if name is None:
            return None
        other = path if file is None else beside(path, file.text)
        if (other, name.text) in self._extending:
            self.complain(node, f"`{name.text:.60}` extends itself")
            return None
        if len(self._extending) > _LONGEST_CHAIN:
            self.complain(node, f"more than {_LONGEST_CHAIN} services extend one another")
            return None
        if not self._open(other, node):
            return None
        return self._service(other, name.text, node)


def merged(base: Service, own: Service) -> Service:
    """Return a service laid over another: its own word counts, lists are put together."""
    build, healthcheck = own.build or base.build, own.healthcheck or base.healthcheck
    if own.build and base.build:
        build = replace(
            own.build,
            context=own.build.context or base.build.context,
            dockerfile=own.build.dockerfile or base.build.dockerfile,
            inline=own.build.inline or base.build.inline,
            target=own.build.target or base.build.target,
            args=_together(base.build.args, own.build.args, lambda arg: arg.name),
        )
    if own.healthcheck and base.healthcheck:
        healthcheck = replace(
            own.healthcheck,
            test=own.healthcheck.test or base.healthcheck.test,
            settings={**base.healthcheck.settings, **own.healthcheck.settings},
        )
    return replace(
        own,
        image=own.image or base.image,
        build=build,
        command=own.command or base.command,
        entrypoint=own.entrypoint or base.entrypoint,
        ports=_together(
            base.ports, own.ports, lambda p: (p.host, p.published, p.target, p.protocol)
        ),
        environment={**base.environment, **own.environment},
        env_files=(*base.env_files, *own.env_files),
        volumes=_together(base.volumes, own.volumes, lambda mount: mount.target),
        depends_on={**base.depends_on, **own.depends_on},
        healthcheck=healthcheck,
        secrets=_together(base.secrets, own.secrets, lambda secret: secret.name),
        configs=_together(base.configs, own.configs, lambda config: config.name),
        networks=_together(base.networks, own.networks, lambda network: network.name),
        profiles=_together(base.profiles, own.profiles, str),
        values={**base.values, **own.values},
        nodes={**base.nodes, **own.nodes},
    )


def _together(base: tuple[T, ...], own: tuple[T, ...], key: Callable[[T], object]) -> tuple[T, ...]:
    return tuple({key(item): item for item in (*base, *own)}.values())
