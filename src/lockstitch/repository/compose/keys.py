"""The keys that a compose file may have, by the table keys.toml, and those that it may not."""

import difflib
from collections.abc import Iterator

from lockstitch.repository.text.yaml import Mapping, Node, Scalar, Sequence
from lockstitch.resources import load_table
from lockstitch.values import frozen


@frozen
class UnknownKey:
    """A key that Compose refuses; `where` is the path of its mapping, `near` the one meant."""

    key: Scalar
    where: str
    near: str


def unknown(root: Node | None) -> Iterator[UnknownKey]:
    """Yield the keys of a document that the specification does not have; `x-…` may be anywhere."""
    yield from _below(root, "", "")


def _below(node: Node | None, path: str, where: str) -> Iterator[UnknownKey]:
    table = load_table("lockstitch.repository.compose", "keys.toml")
    if isinstance(node, Sequence):
        for item in node.items:
            yield from _below(item, f"{path}[]", where)
    if not isinstance(node, Mapping):
        return
    allowed = table.get(path)
    for entry in node.written:
        key = entry.key.text
        if key == "<<" or key.startswith("x-"):
            continue
        if allowed is not None and key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            yield UnknownKey(key=entry.key, where=where, near=near[0] if near else "")
            continue
        inside = f"{path}.{key}" if path else key
        if not any(_leads_to(known, inside) for known in table):
            inside = f"{path}.*" if path else "*"
        if any(_leads_to(known, inside) for known in table):
            yield from _below(entry.value, inside, f"{where}.{key}" if where else key)


def _leads_to(known: str, path: str) -> bool:
    return known == path or known.startswith((f"{path}.", f"{path}["))
