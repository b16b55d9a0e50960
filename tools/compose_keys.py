"""Makes src/lockstitch/repository/compose/keys.toml from the Compose Specification's schema.

    python tools/compose_keys.py compose-spec.json REVISION

The schema is `schema/compose-spec.json` of the repository compose-spec/compose-spec; its license is
Apache-2.0. Only the names of keys are taken.
"""

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "src" / "lockstitch" / "repository" / "compose" / "keys.toml"
WIDE = 96


def main() -> None:
    """Write the table."""
    schema = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {}
    walk(schema, schema, "", found, ())
    lines = [
        "# The keys that each mapping of a compose file may have, by its path: `*` is any name,",
        "# `[]` an item of a list. Made by tools/compose_keys.py from schema/compose-spec.json of",
        f"# compose-spec/compose-spec at {sys.argv[2]}.",
        "",
    ]
    for path in sorted(found):
        lines += written(path, sorted(found[path]))
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


def walk(
    schema: Any, node: Any, path: str, found: dict[str, list[str]], above: tuple[str, ...]
) -> None:
    """Collect the keys of every mapping that allows no others."""
    reference = node.get("$ref", "")
    if reference:
        if reference not in above:
            name = reference.rpartition("/")[2]
            walk(schema, schema["definitions"][name], path, found, (*above, reference))
        return
    for each in (*node.get("oneOf", ()), *node.get("anyOf", ())):
        walk(schema, each, path, found, above)
    if node.get("additionalProperties") is False and "properties" in node:
        found[path] = sorted({*found.get(path, ()), *node["properties"]})
    start = f"{path}." if path else ""
    for key, value in node.get("properties", {}).items():
        walk(schema, value, f"{start}{key}", found, above)
    for pattern, value in node.get("patternProperties", {}).items():
        if not pattern.startswith("^x-"):
            walk(schema, value, f"{start}*", found, above)
    if isinstance(node.get("additionalProperties"), dict):
        walk(schema, node["additionalProperties"], f"{start}*", found, above)
    if isinstance(node.get("items"), dict):
        walk(schema, node["items"], f"{path}[]", found, above)


def written(path: str, keys: list[str]) -> list[str]:
    """Return a line of TOML, or several where they are many."""
    name = json.dumps(path)
    line = f"{name} = {json.dumps(keys)}"
    if len(line) <= WIDE:
        return [line]
    lines, current = [f"{name} = ["], "   "
    for key in keys:
        word = f' "{key}",'
        if len(current) + len(word) > WIDE:
            lines.append(current)
            current = "   "
        current += word
    return [*lines, current, "]"]


if __name__ == "__main__":
    main()
