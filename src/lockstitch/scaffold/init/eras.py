"""Which versions old code, old pins and old models need, where no list bounds them.

A list without versions gets the newest ones, and code of an older time ends at what they took
away; a model ends, or predicts otherwise, with another scikit-learn than the one that wrote it.
"""

import ast
import itertools
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from lockstitch.python.names import distribution_of, normal, of_requirement
from lockstitch.repository.code.applications import dotted
from lockstitch.repository.code.source import names_of
from lockstitch.resources import load_table
from lockstitch.scaffold.init import pickles
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.init.guess import is_counted

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_HANDLED = ("ImportError", "ModuleNotFoundError", "AttributeError", "Exception")


def bounds(
    folder: Folder, names: Collection[str], asked: Mapping[str, "SpecifierSet"]
) -> Iterator[tuple[str, str]]:
    """Yield requirements that bound what is asked for, each with the reason.

    `asked` has the specifiers of each distribution that a list names, as far as it has any.
    """
    wanted: dict[str, str] = {}
    reasons = (*_models(folder, names, asked), *_removed(folder, names, asked), *_unbuilt(asked))
    for line, why in reasons:
        wanted.setdefault(line, why)
    count = -1
    while count < len(wanted):  # what is bounded now may bound another one
        count = len(wanted)
        every = {*asked, *map(of_requirement, wanted)}
        now = {name: specifiers_of([*wanted], name) for name in every}
        now |= {name: asked[name] & now[name] for name in asked}
        for line, why in _company(now):
            wanted.setdefault(line, why)
    yield from wanted.items()


def specifiers_of(lines: Collection[str], name: str) -> "SpecifierSet":
    """Return the bounds of all requirements on a distribution's version."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    specifiers = SpecifierSet()
    for line in lines:
        if of_requirement(line) == name:
            specifiers &= Requirement(line).specifier
    return specifiers


def is_below(specifiers: "SpecifierSet", version: str) -> bool:
    """Return whether only versions below one fit."""
    from packaging.version import InvalidVersion, Version

    limit = Version(version)
    for specifier in specifiers:
        try:
            own = Version(specifier.version.removesuffix(".*"))
        except InvalidVersion:
            continue
        if specifier.operator in {"==", "==="} and own < limit:
            return True
        if (specifier.operator == "<" and own <= limit) or (
            specifier.operator == "<=" and own < limit
        ):
            return True
        if specifier.operator == "~=":
            *first, last, _ = [*own.release, 0] if len(own.release) < 2 else own.release
            if Version(".".join(map(str, [*first, last + 1]))) <= limit:
                return True
    return False


def _is_pinned(specifiers: "SpecifierSet") -> bool:
    return any(
        specifier.operator in {"==", "==="} and "*" not in specifier.version
        for specifier in specifiers
    )


def _reaches(specifiers: "SpecifierSet", version: str) -> bool:
    """Return whether no version below one fits."""
    from packaging.version import Version

    lower = [
        specifier.version for specifier in specifiers if specifier.operator in {">=", ">", "~="}
    ]
    return any(Version(bound) >= Version(version) for bound in lower)


# --- other packages


def _unbuilt(asked: Mapping[str, "SpecifierSet"]) -> Iterator[tuple[str, str]]:
    """Yield what stands in place of versions that setuptools of today does not build."""
    for old, line in load_table(__package__, "eras.toml")["unbuilt"].items():
        name, _, limit = old.partition("<")
        if name in asked and is_below(asked[name], limit):
            yield line, f"`{name}` below {limit} is not built by the setuptools of today"


def _company(asked: Mapping[str, "SpecifierSet"]) -> Iterator[tuple[str, str]]:
    """Yield the bounds that old versions need on packages that they do not bound."""
    from packaging.requirements import Requirement

    known = load_table(__package__, "eras.toml")
    for old, needed in known["company"].items():
        first = Requirement(old)
        specifiers = asked.get(normal(first.name))
        limit = next((one.version for one in first.specifier), "")
        if specifiers is None or (limit and not is_below(specifiers, limit)):
            continue
        if asked.keys() & {*known["instead"].get(old, ())}:
            continue
        for line in needed if isinstance(needed, list) else [needed]:
            other = Requirement(line)
            (bound,) = other.specifier
            there = asked.get(normal(other.name))
            bringers = known["brought"].get(normal(other.name))
            if there is None and bringers and not asked.keys() & {*bringers}:
                continue
            settled = there is not None and (_is_pinned(there) or _reaches(there, bound.version))
            if there is None or not (settled or is_below(there, bound.version)):
                below = f"`{first.name}` below {limit}" if limit else f"`{first.name}`"
                yield line, f"{below} does not run with a newer one"


# --- code


def _removed(
    folder: Folder, names: Collection[str], asked: Mapping[str, "SpecifierSet"]
) -> Iterator[tuple[str, str]]:
    """Yield bounds for what code uses that later versions do not have."""
    table = load_table(__package__, "eras.toml")
    known = table["removed"]
    bases = {key.partition(" ")[0].partition(".")[0] for key in known}
    strictest: dict[str, tuple[str, str]] = {}
    for path in sorted(name for name in names if name.endswith(".py") and is_counted(name)):
        tree = folder.module(path)  # None for what is no text, too
        if tree is None or not any(base in (folder.text(path) or "") for base in bases):
            continue
        for used, line in _uses(tree):
            for key in _keys(used):
                name = of_requirement(known.get(key, ""))
                if not name or not asked.keys() & {name, *table["brought"].get(name, ())}:
                    continue
                limit = known[key].partition("<")[2]
                there = asked.get(name)
                bounded = there is not None and (is_below(there, limit) or _reaches(there, limit))
                if bounded or (there is not None and _is_pinned(there)):
                    continue
                before = strictest.get(name, ("", ""))[0].partition("<")[2]
                if not before or _version(limit) < _version(before):
                    shown = used.partition(" ")[2] or used
                    verb = (
                        "refuses" if known[key] in table["refusing"]["bounds"] else "does not have"
                    )
                    why = f"`{path}:{line}` uses `{shown}`, which {name} {limit} {verb}"
                    strictest[name] = (known[key], why)
    yield from strictest.values()


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _keys(used: str) -> Iterator[str]:
    """Yield a dotted name, and the names of what holds it."""
    yield used
    while "." in used and " " not in used:
        used = used.partition("(")[0] if used.endswith(")") else used.rpartition(".")[0]
        yield used


def _uses(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the dotted names that a file uses where no handler waits for their absence."""
    names = names_of(tree)
    tops = {name.partition(".")[0] for name in names.values()}
    asked = {  # hasattr(st, "rerun")
        node.args[1].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in {"hasattr", "getattr"}
        and len(node.args) > 1
        and isinstance(node.args[1], ast.Constant)
    }
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Try) and any(map(_handles, node.handlers)):
            waiting += [*node.orelse, *node.finalbody]
            continue
        waiting += ast.iter_child_nodes(node)
        names_used: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names_used = [f"{node.module}.{name.name}" for name in node.names]
        elif isinstance(node, ast.Import):
            names_used = [name.name for name in node.names]
        elif isinstance(node, ast.Attribute):
            names_used = [dotted(node, names)]
        elif isinstance(node, ast.Compare) and _is_of_objects(node):
            names_used = [f"{top} .dtype == object" for top in tops]
        elif isinstance(node, ast.Call):
            called = dotted(node.func, names)
            words = sorted(keyword.arg for keyword in node.keywords if keyword.arg)
            words += [", ".join(both) for both in itertools.combinations(words, 2)]
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                words += [repr(first.value), "'…'"]
            names_used = [f"{called}({word})" for word in words]
            if isinstance(node.func, ast.Attribute):
                method = node.func.attr
                names_used += [f"{top} .{method}" for top in tops]
                names_used += [f"{top} .{method}({word})" for top in tops for word in words]
        for used in names_used:
            if used and used.rpartition(".")[2] not in asked:
                yield used, getattr(node, "lineno", 1)


def _is_of_objects(node: ast.Compare) -> bool:
    """Return whether a comparison asks whether a column is of objects, as texts were."""
    asked = node.comparators[0]
    return getattr(node.left, "attr", "") in {"dtype", "dtypes"} and (
        getattr(asked, "value", "") in {"object", "O"} or getattr(asked, "id", "") == "object"
    )


def _handles(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler goes on without a name; one that raises again does not."""
    if any(isinstance(statement, ast.Raise) for statement in handler.body):
        return False
    return handler.type is None or any(
        getattr(node, "id", "") in _HANDLED for node in ast.walk(handler.type)
    )


# --- models


def _models(
    folder: Folder, names: Collection[str], asked: Mapping[str, "SpecifierSet"]
) -> Iterator[tuple[str, str]]:
    """Yield the version of scikit-learn that wrote the models of a folder."""
    name = distribution_of("sklearn")
    specifiers = asked.get(name)
    if specifiers is None:
        return
    written: dict[str, str] = {}
    for path in pickles.models(names):
        for version in pickles.writers(folder, path):
            written.setdefault(version, path)
    if not written:
        return
    newest = max(written, key=_version)
    if specifiers.contains(newest) and not _is_pinned(specifiers):
        yield f"{name}=={newest}", f"it wrote `{written[newest]}`, and reads what it wrote"
