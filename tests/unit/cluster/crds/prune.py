"""Makes the JSON files here from CRDs of KServe and KubeRay: `python prune.py CRD… < MANIFESTS`.

Of each schema's fields it keeps those that the manifests have, and the small ones; a field that is
left out is one that a strict check refuses. Descriptions go.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

SMALL = 400  # characters of a field that is kept all the same


def pruned(schema: Any, used: list[Any]) -> Any:
    """Return a schema with the fields that some of the documents have, and small ones."""
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key != "description"}
    if "properties" in kept:
        kept["properties"] = {
            name: pruned(field, [one[name] for one in used if name in one])
            for name, field in kept["properties"].items()
            if any(name in one for one in used) or len(json.dumps(field)) <= SMALL
        }
    if "items" in kept:
        kept["items"] = pruned(kept["items"], [each for one in used for each in one])
    return kept


def main() -> None:
    """Write a file for each CRD."""
    manifests = [one for one in yaml.safe_load_all(sys.stdin) if one]
    for path in sys.argv[1:]:
        crd = yaml.safe_load(Path(path).read_text())
        kind = crd["spec"]["names"]["kind"]
        version = next(one for one in crd["spec"]["versions"] if one["storage"])
        used = [one for one in manifests if one["kind"] == kind]
        schema = pruned(version["schema"]["openAPIV3Schema"], used)
        text = json.dumps(schema, separators=(",", ":"), sort_keys=True)
        group = f"{crd['spec']['group']}/{version['name']}"
        Path(__file__).with_name(f"{kind}.json").write_text(
            json.dumps({"apiVersion": group}, indent=None)[:-1] + ', "schema": ' + text + "}\n"
        )


if __name__ == "__main__":
    main()
