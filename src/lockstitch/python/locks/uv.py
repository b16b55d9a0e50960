"""Reads uv.lock: the lock's own form, version 1, which uv keeps readable for older versions."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lockstitch.errors import LockstitchError
from lockstitch.python.locks.graph import Conflict, Dependency, Graph, Package, Source
from lockstitch.python.locks.reading import Reading, file_of, merged
from lockstitch.python.names import normal
from lockstitch.python.tables import Table, table, tables, texts

_VERSION = 1
_KINDS = ("registry", "git", "url", "path", "directory", "editable", "virtual")


def read(
    text: str,
    source: str = "uv.lock",
    problems: list[LockstitchError] | None = None,
    document: Mapping[str, Any] | None = None,
) -> Graph:
    """Return the graph of a uv.lock; `document` is the text's, where it is parsed already.

    Collects what is wrong in `problems` and leaves it out. Without such a list, raises
    LockstitchError with the path to each bad value, and for a version that is not known.
    """
    reading = Reading(text, source, "uv lock", problems, document)
    top = reading.top
    version = reading.document.get("version")
    if version != _VERSION:
        message = f"`{source}` has version `{version!s:.80}`, lockstitch reads {_VERSION}"
        reading.refuse(LockstitchError(message, hint="uv lock"))
    listed = [_package(entry, line) for entry, line in reading.packages("package")]
    packages = merged(package for package in listed if package.name)
    own = [p for p in packages if p.source.kind in {"editable", "virtual", "directory"}]
    roots = tuple(p for p in own if p.source.url == ".") or tuple(own)
    groups = {
        normal(group): _required(listed)
        for group, listed in table(top.raw("manifest"), "dependency-groups").items()
    }
    revision, conflicts = top.raw("revision"), top.raw("conflicts")
    graph = Graph(
        path=source,
        kind="uv",
        packages=packages,
        form=f"{version}.{revision}" if revision else f"{version}",
        requires_python=top.text("requires-python"),
        environments=top.texts("supported-markers"),
        roots=roots,
        groups=groups,
        group_names=tuple(sorted({*groups, *(name for root in roots for name in root.groups)})),
        extra_names=tuple(sorted({name for root in roots for name in root.extras})),
        conflicts=tuple(
            tuple(_conflict(side) for side in tables(sides))
            for sides in (conflicts if isinstance(conflicts, list) else ())
        ),
        document=reading.document,
    )
    reading.close()
    return graph


def _package(entry: Table, line: int) -> Package:
    if not entry.has("name"):
        entry.complain("name", "is missing")
    files = entry.each("wheels")
    files += [entry.table("sdist")] if entry.has("sdist") else []
    return Package(
        name=normal(entry.text("name")),
        version=entry.text("version"),
        source=_source(entry.table("source")),
        files=tuple(file_of(file) for file in files),
        dependencies=_edges(entry, "dependencies"),
        extras=_named(entry.table("optional-dependencies")),
        groups=_named(entry.table("dev-dependencies")),
        forks=entry.texts("resolution-markers"),
        line=line,
    )


def _named(named: Table) -> dict[str, tuple[Dependency, ...]]:
    return {normal(name): _edges(named, name) for name in named}


def _edges(owner: Table, key: str) -> tuple[Dependency, ...]:
    if not owner.has(key):
        return ()
    return tuple(
        Dependency(
            name=normal(edge.text("name")),
            version=edge.text("version"),
            source=_source(edge.table("source")) if edge.has("source") else None,
            marker=edge.text("marker"),
            extras=tuple(normal(extra) for extra in edge.texts("extra")),
        )
        for edge in owner.each(key)
    )


def _required(listed: object) -> tuple[Dependency, ...]:
    """Return the edges of a group of a workspace whose root is no project: requirements."""
    return tuple(
        Dependency(
            name=normal(str(item.get("name", ""))),
            marker=str(item.get("marker", "")),
            extras=tuple(normal(extra) for extra in texts(item.get("extras"))),
        )
        for item in tables(listed)
    )


def _source(source: Table) -> Source:
    kind = next((kind for kind in _KINDS if source.has(kind)), "")
    if not kind:
        return Source()
    url, revision, requested = source.text(kind), "", ""
    subdirectory = source.text("subdirectory")
    if kind == "git":
        try:
            parts = urlsplit(url)
        except ValueError:
            source.complain(kind, "is no address of a repository")
            return Source(kind=kind)
        query = parse_qs(parts.query)
        requested = next((query[k][0] for k in ("rev", "tag", "branch") if k in query), "")
        subdirectory = query.get("subdirectory", [""])[0]
        url, revision = parts._replace(query="", fragment="").geturl(), parts.fragment
    return Source(
        kind=kind, url=url, revision=revision, requested=requested, subdirectory=subdirectory
    )


def _conflict(side: Mapping[str, Any]) -> Conflict:
    package, extra, group = (str(side.get(key, "")) for key in ("package", "extra", "group"))
    return Conflict(package=normal(package), extra=normal(extra), group=normal(group))
