"""Reads the parts of a compose service that have more than one form."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping

from lockstitch.patterns import regex
from lockstitch.repository.compose.interpolation import Setting, Value, dotenv, interpolate
from lockstitch.repository.compose.values import (
    Build,
    Command,
    Dependency,
    EnvFile,
    Healthcheck,
    Mount,
    Named,
    Port,
    Variable,
)
from lockstitch.repository.text.lines import Problem
from lockstitch.repository.text.yaml import Entry, Node, Scalar, Sequence, entries, scalar
from lockstitch.repository.text.yaml import Mapping as Table

__all__ = ["Fields"]

_TIMES = ("interval", "timeout", "retries", "start_period", "start_interval")
_PORT = regex(
    r"(?:(?P<host>\[[^\]]*\]|[^:\[\]]*):)?"
    r"(?:(?P<published>[0-9-]*):)?(?P<target>[0-9]+(?:-[0-9]+)?)(?:/(?P<protocol>\w+))?"
)
_NUMBERS = regex(r"[0-9]+(-[0-9]+)?")
_DRIVE = regex(r"([A-Za-z]:[\\/][^:]*)(?::(.*))?", re.DOTALL)
_MOST = 50_000  # entries of lists and mappings, those that an alias repeats included
_PRICE = 100  # characters of a value with variables that count as one entry


class Fields:
    """Reads values with the variables of a run; what is wrong goes to `problems`."""

    def __init__(
        self,
        variables: Mapping[str, str],
        read_file: Callable[[str], str | None],
        problems: list[Problem],
    ) -> None:
        """Keep what is needed to read values."""
        self._variables = variables
        self._read_file = read_file
        self._problems = problems
        self._spent = 0
        self._settings: dict[str, tuple[Setting, ...] | None] = {}

    def complain(self, node: Node, message: str) -> None:
        """Add a problem at a node."""
        self._problems.append(Problem(line=node.line, message=message, path=node.path))

    # --- nodes

    def value(self, node: Node | None, what: str = "") -> Value | None:
        """Return a scalar after interpolation, None for nothing; anything else is a problem."""
        if node is None or (isinstance(node, Scalar) and node.is_null):
            return None
        if not isinstance(node, Scalar):
            self.complain(node, f"`{what}` must be one value" if what else "it must be one value")
            return None
        return self._text(node, node.text)

    def _affords(self, count: int, node: Node) -> bool:
        if self._spent <= _MOST < self._spent + count:
            self.complain(node, f"more than {_MOST:,} entries, with those that aliases repeat")
        self._spent += count
        return self._spent <= _MOST

    def _text(self, node: Scalar, text: str) -> Value:
        if "$" in text and not self._affords(len(text) // _PRICE, node):
            text = ""
        found = interpolate(node, self._variables, text)
        if found.wrong:
            self.complain(node, found.wrong)
        return found

    def table(self, node: Node | None, what: str) -> dict[str, Entry]:
        """Return the entries of a mapping, none for nothing; anything else is a problem."""
        if isinstance(node, Table) and self._spent <= _MOST:
            found = entries(node)
            return found if self._affords(len(found), node) else {}
        is_null = isinstance(node, Scalar) and node.is_null
        if node is not None and not is_null and not isinstance(node, Table):
            self.complain(node, f"`{what}` must be a mapping")
        return {}

    def items(self, node: Node | None, what: str) -> tuple[Node, ...]:
        """Return the items of a list, none for nothing; anything else is a problem."""
        if isinstance(node, Sequence):
            return node.items if self._affords(len(node.items), node) else ()
        if node is not None and not (isinstance(node, Scalar) and node.is_null):
            self.complain(node, f"`{what}` must be a list")
        return ()

    def values(self, node: Node | None, what: str) -> tuple[Value, ...]:
        """Return the values of a list, or of one value that stands for a list."""
        listed = (node,) if isinstance(node, Scalar) else self.items(node, what)
        found = (self.value(each, what) for each in listed)
        return tuple(each for each in found if each is not None)

    # --- fields

    def command(self, node: Node | None, what: str) -> Command | None:
        """Return the words of a command: a text is split as Compose does, with quotes."""
        if node is None or (isinstance(node, Scalar) and node.is_null):
            return None
        if not isinstance(node, Scalar):
            words = self.values(node, what)
            return Command(words=words, by_shell=False, line=node.line, path=node.path)
        text = self._text(node, node.text)
        try:
            split = shlex.split(text.text)
        except ValueError as error:
            self.complain(node, f"`{what}` cannot be split into words: {error}")
            split = []
        words = tuple(text._replace(text=word, raw=word) for word in split)
        return Command(words=words, by_shell=False, line=node.line, path=node.path)

    def healthcheck(self, node: Node | None) -> Healthcheck | None:
        """Return a health check."""
        found = self.table(node, "healthcheck")
        if node is None or not found:
            return None
        test = found["test"].value if "test" in found else None
        disabled = _is_true(self._setting(found, "disable"))
        if isinstance(test, Sequence) and test.items:
            first = test.items[0]
            disabled = disabled or (isinstance(first, Scalar) and first.text == "NONE")
        times = {name: value for name in _TIMES if (value := self._setting(found, name))}
        return Healthcheck(
            test=self._test(test), disabled=disabled, settings=times, line=node.line, path=node.path
        )

    def _test(self, node: Node | None) -> Command | None:
        if node is None or (isinstance(node, Scalar) and node.is_null):
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

    def _setting(self, found: Mapping[str, Entry], name: str) -> Value | None:
        return self.value(found[name].value, name) if name in found else None

    def build(self, node: Node | None) -> Build | None:
        """Return a build: a text is the folder."""
        if node is None or (isinstance(node, Scalar) and node.is_null):
            return None
        found = {} if isinstance(node, Scalar) else self.table(node, "build")
        context = self.value(node) if isinstance(node, Scalar) else self._setting(found, "context")
        args = self.variables(found["args"].value, "args") if "args" in found else {}
        return Build(
            context=context,
            dockerfile=self._setting(found, "dockerfile"),
            inline=self._setting(found, "dockerfile_inline"),
            target=self._setting(found, "target"),
            args=tuple(args.values()),
            line=node.line,
            path=node.path,
        )

    def variables(self, node: Node | None, what: str) -> dict[str, Variable]:
        """Return the variables of a mapping, or of a list of `NAME=VALUE`."""
        found = {}
        for name, value, place in self._pairs(node, what):
            found[name] = Variable(name=name, value=value, line=place.line, path=place.path)
        return found

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
            yield self._text(item, name).text, self._text(item, raw) if equals else None, item

    def env_files(
        self, node: Node | None, resolve: Callable[[Node, str], str]
    ) -> tuple[EnvFile, ...]:
        """Return the files of `env_file`, with what they say."""
        listed = (node,) if isinstance(node, Scalar | Table) else self.items(node, "env_file")
        files = []
        for item in listed:
            required = True
            place: Node | None = item
            if isinstance(item, Table):
                found = self.table(item, "")
                place = found["path"].value if "path" in found else None
                answer = self._setting(found, "required")
                required = answer is None or answer.text.lower() != "false"
                if place is None:
                    self.complain(item, "`env_file` names no `path`")
            file = self.value(place, "env_file")
            if file is None or place is None:
                continue
            text = (
                None if file.unknown or file.wrong else self._read_file(resolve(place, file.text))
            )
            settings = None if text is None else dotenv(text, self._variables)
            files.append(EnvFile(file=file, required=required, settings=settings))
        return tuple(files)

    def ports(self, node: Node | None) -> tuple[Port, ...]:
        """Return the ports, of the short and the long form."""
        return tuple(p for each in self.items(node, "ports") if (p := self._port(each)))

    def _port(self, node: Node) -> Port | None:
        if isinstance(node, Table):
            found = self.table(node, "")
            names = ("target", "published", "host_ip", "protocol")
            given = {name: value for name in names if (value := self._setting(found, name))}
            if "target" not in given:
                self.complain(node, "a port has no `target`")
                return None
            texts = {name: value.text for name, value in given.items()}
            return Port(
                target=texts["target"],
                published=texts.get("published", ""),
                host=texts.get("host_ip", ""),
                protocol=texts.get("protocol", "tcp"),
                value=given["target"],
            )
        value = self.value(node, "ports")
        if value is None:
            return None
        match = _PORT.fullmatch(value.text)
        if match is None:
            if not value.unknown and not value.wrong:
                self.complain(node, f"`{value.text:.60}` is no port")
            return None
        host, published = match["host"] or "", match["published"]
        if published is None:  # with one colon, what stands before it is a port
            if host and not _NUMBERS.fullmatch(host):
                self.complain(node, f"`{value.text:.60}` is no port")
                return None
            host, published = "", host
        return Port(
            target=match["target"],
            published=published,
            host=host.strip("[]"),
            protocol=match["protocol"] or "tcp",
            value=value,
        )

    def volumes(self, node: Node | None) -> tuple[Mount, ...]:
        """Return the mounts, of the short and the long form."""
        return tuple(m for each in self.items(node, "volumes") if (m := self._mount(each)))

    def _mount(self, node: Node) -> Mount | None:
        if isinstance(node, Table):
            found = self.table(node, "")
            names = ("type", "source", "src", "target", "dst", "destination", "read_only")
            given = {name: value for name in names if (value := self._setting(found, name))}
            texts = {name: value.text for name, value in given.items()}
            target = texts.get("target") or texts.get("dst") or texts.get("destination") or ""
            place = interpolate(scalar("", node.line, node.column, node.path), {})
            return Mount(
                kind=texts.get("type", "volume"),
                source=texts.get("source") or texts.get("src") or "",
                target=target,
                read_only=_is_true(given.get("read_only")),
                value=next(iter(given.values()), place),
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

    def dependencies(self, node: Node | None) -> dict[str, Dependency]:
        """Return the services of `depends_on`, of the short and the long form."""
        found = {}
        if isinstance(node, Sequence):
            for value in self.values(node, "depends_on"):
                found[value.text] = Dependency(
                    name=value.text,
                    condition="service_started",
                    required=True,
                    line=value.line,
                    path=value.path,
                )
            return found
        for name, entry in self.table(node, "depends_on").items():
            inner = self.table(entry.value, name)
            condition = self._setting(inner, "condition")
            required = self._setting(inner, "required")
            found[name] = Dependency(
                name=name,
                condition=condition.text if condition else "service_started",
                required=required is None or required.text.lower() != "false",
                line=entry.key.line,
                path=entry.key.path,
            )
        return found

    def uses(self, node: Node | None, what: str) -> tuple[Named, ...]:
        """Return the secrets, configs or networks that a service uses."""
        found = []
        if isinstance(node, Table):  # networks
            return self.named(node, what)
        for item in self.items(node, what):
            if isinstance(item, Table):
                values = self._singles(self.table(item, ""))
                source = values.get("source")
            else:
                source = self.value(item, what)
                values = {}
            if source is None:
                self.complain(item, f"`{what}` names no source")
                continue
            found.append(_named(source.text, values, item))
        return tuple(found)

    def named(self, node: Node | None, what: str) -> tuple[Named, ...]:
        """Return the volumes, networks, secrets or configs of a mapping."""
        found = []
        for name, entry in self.table(node, what).items():
            inner = self.table(entry.value, name)
            found.append(
                _named(name, self._singles(inner), entry.key, external="external" in inner)
            )
        return tuple(found)

    def _singles(self, found: Mapping[str, Entry]) -> dict[str, Value]:
        single = ((n, e.value) for n, e in found.items() if isinstance(e.value, Scalar))
        return {name: value for name, node in single if (value := self.value(node, name))}


def _named(name: str, values: dict[str, Value], place: Node, *, external: bool = False) -> Named:
    said = values.get("external")
    return Named(
        name=name,
        external=external and (said is None or _is_true(said)),
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


def _is_true(value: Value | None) -> bool:
    return value is not None and value.text.lower() in {"true", "yes", "on", "1"}
