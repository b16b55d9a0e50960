"""The dependencies that a pyproject.toml declares, for any manager."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lockstitch.python.names import normal, of_requirement
from lockstitch.python.tables import table, tables, texts
from lockstitch.values import frozen


@frozen
class Requirement:
    """One requirement of a pyproject.toml."""

    name: str  # normal
    text: str  # as it stands; of a table of Poetry's `NAME VERSION`
    group: str = ""  # "" is the project itself; or `extra NAME`, `group NAME`


def is_for_uv(document: Mapping[str, Any]) -> bool:
    """Return whether a pyproject.toml is written for uv, whatever locks lie beside it."""
    return "uv" in table(document, "tool") and "dependencies" in table(document, "project")


def requirements(document: Mapping[str, Any]) -> Iterator[Requirement]:
    """Yield a pyproject.toml's requirements: [project], groups, and tables of uv, PDM, Poetry."""
    project, tool = table(document, "project"), table(document, "tool")
    listed = [("", project.get("dependencies"))]
    for extra, items in table(project, "optional-dependencies").items():
        listed.append((f"extra {normal(extra)}", items))
    for group, items in table(document, "dependency-groups").items():
        listed.append((f"group {normal(group)}", items))
    listed.append(("group dev", table(tool, "uv").get("dev-dependencies")))
    for group, items in table(tool, "pdm", "dev-dependencies").items():
        listed.append((f"group {normal(group)}", items))
    for group, items in listed:
        for text in texts(items):
            name = of_requirement(text)
            if name:
                yield Requirement(name=name, text=text, group=group)
    poetry = table(tool, "poetry")
    named = [("", table(poetry, "dependencies"))]
    named.append(("group dev", table(poetry, "dev-dependencies")))
    named += [
        (f"group {normal(group)}", table(poetry, "group", group, "dependencies"))
        for group in table(poetry, "group")
    ]
    for group, wanted in named:
        for name, version in wanted.items():
            if normal(name) != "python":
                yield Requirement(name=normal(name), text=f"{name} {version}", group=group)


def included(document: Mapping[str, Any], groups: Iterable[str]) -> set[str]:
    """Return the normal names of groups and of all that they include (PEP 735)."""
    raw = {normal(name): items for name, items in table(document, "dependency-groups").items()}
    todo, seen = [normal(group) for group in groups], set[str]()
    while todo:
        group = todo.pop()
        if group not in seen:
            seen.add(group)
            names = (item.get("include-group") for item in tables(raw.get(group)))
            todo += [normal(name) for name in names if isinstance(name, str)]
    return seen


def default_groups(document: Mapping[str, Any], every: Iterable[str]) -> list[str]:
    """Return which of a project's groups `uv sync` installs without being told to."""
    chosen = table(document, "tool", "uv").get("default-groups", ["dev"])
    return [*every] if chosen == "all" else texts(chosen)


def names(
    document: Mapping[str, Any], groups: Iterable[str] = (), extras: Iterable[str] = ()
) -> set[str]:
    """Return the names that the project declares, with groups, those they include, and extras."""
    wanted = {"", *(f"group {group}" for group in included(document, groups))}
    wanted |= {f"extra {normal(extra)}" for extra in extras}
    return {
        requirement.name for requirement in requirements(document) if requirement.group in wanted
    }
