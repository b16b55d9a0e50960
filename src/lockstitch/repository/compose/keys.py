"""The keys that a compose file may have, by the table keys.toml, and those that it may not."""

from collections.abc import Iterator

from lockstitch.errors import nearest
from lockstitch.repository.text.yaml import Mapping, Node, Scalar, Sequence
from lockstitch.resources import load_table


def unknown(
    node: Node | None, path: str = "", where: str = ""
) -> Iterator[tuple[Scalar, str, str]]:
    """Yield unknown keys but `x-…`, with the path of their mapping and a hint."""
    table = load_table("lockstitch.repository.compose", "keys.toml")
    if isinstance(node, Sequence):
        for item in node.items:
            yield from unknown(item, f"{path}[]", where)
    if not isinstance(node, Mapping):
        return
    allowed = table.get(path)
    for entry in node.written:
        key = entry.key.text
        if key == "<<" or key.startswith("x-"):
            continue
        if allowed is not None and key not in allowed:
            yield entry.key, where, nearest(key, allowed, "x-… may be anything")
            continue
        inside = f"{path}.{key}" if path else key
        if not any(_leads_to(known, inside) for known in table):
            inside = f"{path}.*" if path else "*"
        if any(_leads_to(known, inside) for known in table):
            yield from unknown(entry.value, inside, f"{where}.{key}" if where else key)


def _leads_to(known: str, path: str) -> bool:
    return known == path or known.startswith((f"{path}.", f"{path}["))
