"""Locked packages and what needs what among them: the one form that every lock is read into."""

import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.python.names import normal
from lockstitch.values import field, frozen

_LOCAL = frozenset({"directory", "editable", "path", "virtual"})
_ALWAYS, _NEVER = 'python_version >= "3"', 'python_version < "3"'
_EXTRA = regex(r'(?<!["\w])extra (==|!=) "([^"]*)"')

Holds = Callable[[str, Collection[str]], bool]  # whether a marker is true with active extras


@frozen
class Source:
    """The origin of a package."""

    kind: str = "registry"  # or git, url, path, directory, editable, virtual
    url: str = ""  # the index, address, repository, file or folder, as the lock has it
    revision: str = ""  # the commit of a repository
    requested: str = ""  # the branch or tag of a repository; the name of an index
    subdirectory: str = ""


@frozen
class File:
    """One wheel or source archive of a package."""

    name: str
    url: str = ""  # "" where the lock has no address, or a path
    path: str = ""
    hash: str = ""  # `ALGORITHM:HEX`, as the lock has it; sha256 where it has several
    size: int | None = None
    uploaded: str = ""  # ISO 8601

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel."""
        return self.name.endswith(".whl")

    @property
    def sha256(self) -> str:
        """The hex digits of its sha256, "" where the lock has none."""
        return self.hash[7:] if self.hash.startswith("sha256:") else ""


@frozen
class Dependency:
    """An edge: what a package needs; version and source are there where a name has several."""

    name: str
    version: str = ""
    source: Source | None = None
    marker: str = ""
    extras: tuple[str, ...] = ()
    optional: bool = False  # only for an extra that nothing here names


@frozen
class Package:
    """One locked package; two sources of one name and version are two packages."""

    name: str  # normal; "" where only a build can tell
    version: str = ""
    source: Source = Source()
    files: tuple[File, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    extras: Mapping[str, tuple[Dependency, ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[Dependency, ...]] = field(default_factory=dict)
    forks: tuple[str, ...] = ()  # markers: each names an environment that it is locked for
    marker: str = ""  # where it is installed, in a lock that says so of each package
    members: Mapping[str, str] = field(default_factory=dict)  # group that it is of → marker there
    optional: bool = False
    line: int = 0  # where it begins in the file; 0 is unknown

    @property
    def wheels(self) -> tuple[File, ...]:
        """Its wheels."""
        return tuple(file for file in self.files if file.is_wheel)

    @property
    def is_local(self) -> bool:
        """Whether it is a folder or a file of the machine that the lock was made on."""
        return self.source.kind in _LOCAL


@frozen
class Conflict:
    """One side of a conflict: an extra or a group of a project, or with neither all of it."""

    package: str
    extra: str = ""
    group: str = ""

    @property
    def marker_name(self) -> str:
        """The name that uv's markers have for it."""
        kind = "extra" if self.extra else "group" if self.group else "project"
        names = (kind, str(len(self.package)), self.package, self.extra or self.group)
        return "-".join(name for name in names if name)

    def __str__(self) -> str:
        return self.extra or self.group or self.package


@frozen
class Graph:
    """One lock."""

    path: str
    kind: str  # uv, poetry, pylock, requirements
    packages: tuple[Package, ...]
    form: str = ""  # version of the lock's format
    requires_python: str = ""
    environments: tuple[str, ...] = ()  # markers of the environments it is for; () is all
    roots: tuple[Package, ...] = ()  # the project, or all members of a workspace without one
    group_names: tuple[str, ...] = ()  # of the project, normal
    extra_names: tuple[str, ...] = ()
    groups: Mapping[str, tuple[Dependency, ...]] = field(default_factory=dict)  # of no package
    conflicts: tuple[tuple[Conflict, ...], ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)  # what was read, as it stands

    def named(self, name: str) -> tuple[Package, ...]:
        """Return the packages of a name: several where environments have versions of their own."""
        name = normal(name)
        return tuple(package for package in self.packages if package.name == name)


@frozen
class Walk:
    """The packages that an environment gets of a lock."""

    packages: tuple[Package, ...]  # in the lock's order, with the project itself
    needs: Mapping[str, frozenset[str]]  # names, by the name of the package that needs them
    direct: frozenset[str]  # names that the project itself declares


def walk(
    graph: Graph,
    holds: Holds,
    groups: Collection[str] | None = (),
    extras: Collection[str] | None = (),
) -> Walk:
    """Return the packages of a lock that an environment gets; None means all groups, or all extras.

    `holds` decides a marker: `decided` makes one for an environment. Raises LockstitchError when
    groups or extras are active that the lock says exclude each other, and what `holds` raises.
    """
    chosen_groups = {normal(g) for g in (graph.group_names if groups is None else groups)}
    chosen_extras = {normal(e) for e in (graph.extra_names if extras is None else extras)}
    if graph.roots or graph.groups:
        return _Walker(graph, holds, chosen_groups, chosen_extras).walk()
    wanted = {"main", *chosen_groups}
    packages = tuple(
        package
        for package in graph.packages
        if holds(package.marker, chosen_extras)
        and (
            not package.members
            or any(
                holds(marker, chosen_extras)
                for group, marker in package.members.items()
                if group in wanted
            )
        )
    )
    there = {package.name for package in packages}
    needs = {
        package.name: frozenset(
            need.name
            for need in package.dependencies
            if need.name in there and holds(need.marker, chosen_extras)
        )
        for package in packages
    }
    return Walk(packages=packages, needs=needs, direct=frozenset())


class _Walker:
    """Follows the edges of a lock from the project's own."""

    def __init__(
        self, graph: Graph, holds: Holds, groups: Collection[str], extras: Collection[str]
    ) -> None:
        self.graph = graph
        self.holds = holds
        self.groups = groups
        self.extras = extras
        self.by_name: dict[str, list[Package]] = {}
        for package in graph.packages:
            self.by_name.setdefault(package.name, []).append(package)
        # How uv's markers name what is active, where extras, groups or projects conflict.
        self.active = {
            conflict.marker_name
            for root in graph.roots
            for conflict in (
                Conflict(package=root.name),
                *(Conflict(package=root.name, extra=e) for e in extras if e in root.extras),
                *(Conflict(package=root.name, group=g) for g in groups if g in root.groups),
            )
        }

    def walk(self) -> Walk:
        if self.graph.conflicts:
            # An extra that a package asks of another switches markers of packages met before.
            self._reached(grows=True)
            for sides in self.graph.conflicts:
                both = sorted(str(side) for side in sides if side.marker_name in self.active)
                if len(both) > 1:
                    raise _conflict(self.graph, both)
        reached, needs = self._reached(grows=False)
        direct = {name for root in self.graph.roots for name in needs.get(root.name, ())}
        direct |= needs.pop("", set())
        return Walk(
            packages=tuple(p for p in self.graph.packages if id(p) in reached),
            needs={name: frozenset(names) for name, names in needs.items()},
            direct=frozenset(direct),
        )

    def _reached(self, *, grows: bool) -> tuple[set[int], dict[str, set[str]]]:
        """Return the reached packages by `id`, and names by the name of who needs them."""
        reached, needs = {id(root) for root in self.graph.roots}, dict[str, set[str]]()
        for root in self.graph.roots:
            needs[root.name] = set()
        seen: set[tuple[int, str]] = set()
        edges = deque(self._own())
        while edges:
            owner, extra, edge = edges.popleft()
            words = {f"extra-{len(edge.name)}-{edge.name}-{extra}" for extra in edge.extras}
            active = (
                {*self.active, extra, *(words if grows else ())}
                if extra or grows
                else (self.active)
            )
            if not self.holds(edge.marker, active):
                continue
            if grows:
                self.active |= words
            needs.setdefault(owner, set()).add(edge.name)
            for package in self._meant(edge):
                reached.add(id(package))
                needs.setdefault(package.name, set())
                for chosen in ("", *edge.extras):
                    if (id(package), chosen) not in seen:
                        seen.add((id(package), chosen))
                        own = package.extras.get(chosen, ()) if chosen else package.dependencies
                        edges += ((package.name, chosen, below) for below in own)
        return reached, needs

    def _own(self) -> Iterator[tuple[str, str, Dependency]]:
        """Yield the edges of the project, its groups and its extras."""
        for root in self.graph.roots:
            yield from ((root.name, "", edge) for edge in root.dependencies)
            for group, listed in root.groups.items():
                yield from ((root.name, "", edge) for edge in listed if group in self.groups)
            for extra, listed in root.extras.items():
                yield from ((root.name, extra, edge) for edge in listed if extra in self.extras)
        for group, listed in self.graph.groups.items():
            yield from (("", "", edge) for edge in listed if group in self.groups)

    def _meant(self, edge: Dependency) -> Sequence[Package]:
        """Return the packages that an edge means: one, but in a lock that does not say which."""
        packages = [
            package
            for package in self.by_name.get(edge.name, ())
            if (not edge.version or edge.version == package.version)
            and (edge.source is None or edge.source == package.source)
        ]
        if len(packages) < 2:  # of several, those locked for this environment
            return packages
        forked = [
            package
            for package in packages
            if not package.forks or any(self.holds(fork, self.active) for fork in package.forks)
        ]
        return forked or packages


def _conflict(graph: Graph, names: Sequence[str]) -> LockstitchError:
    shown = " and ".join(f"`{name}`" for name in names)
    message = f"`{graph.path}`: {shown} exclude each other, and all of them are asked for"
    hint = "name one: uv export --no-default-groups --group NAME > requirements.txt"
    return LockstitchError(message, hint=f"{hint}; or an image that has one: --image NAME")


# --- markers


def decided(environment: Mapping[str, str]) -> Holds:
    """Return the variables that decide markers for an environment, each once."""
    known: dict[tuple[str, frozenset[str]], bool] = {}

    def decide(marker: str, extras: Collection[str]) -> bool:
        if not marker:
            return True
        key = (marker, frozenset(extras) if "extra" in marker else frozenset())
        if key not in known:
            known[key] = holds(marker, environment, extras)
        return known[key]

    return decide


def holds(marker: str, environment: Mapping[str, str], extras: Collection[str] = ()) -> bool:
    """Return whether a marker holds for an environment and extras; raises LockstitchError."""
    from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName

    if marker in {"", "*"}:
        return True
    if marker == "<empty>":  # how Poetry writes one that is never true
        return False

    def of_extra(match: re.Match[str]) -> str:
        # Many extras can be active, `extra` has one value in packaging: so Poetry's rule, by hand.
        return _ALWAYS if (match[2] in extras) == (match[1] == "==") else _NEVER

    try:
        return Marker(_EXTRA.sub(of_extra, str(Marker(marker)))).evaluate(dict(environment))
    except (ValueError, UndefinedComparison, UndefinedEnvironmentName, RecursionError) as error:
        message = f"the marker `{marker:.80}` cannot be decided: {str(error).partition(chr(10))[0]}"
        raise LockstitchError(message) from error


def for_all_extras(marker: str) -> str:
    """Return a marker for when every extra is active; raises LockstitchError for what is none."""
    from packaging.markers import Marker

    if marker in {"", "*", "<empty>"}:
        return _NEVER if marker == "<empty>" else ""
    try:
        parsed = str(Marker(marker))
        text = _EXTRA.sub(lambda match: _ALWAYS if match[1] == "==" else _NEVER, parsed)
        return "" if text == _ALWAYS else str(Marker(text))
    except (ValueError, RecursionError) as error:
        message = f"the marker `{marker:.80}` cannot be read: {str(error).partition(chr(10))[0]}"
        raise LockstitchError(message, hint="poetry lock") from error
