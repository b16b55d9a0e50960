"""Show an image: layers, sizes of packages, labels.

Reads the image itself, from the layout or from a registry, so it shows what is there and not what
was meant. --sbom and --provenance print a document that stands beside it.

examples:
  # what makes the serving image large
  lockstitch inspect serve
  # the digest, for a script
  lockstitch inspect serve --json | jq -r .digest
  # the bill of materials of what is in a registry, for a scanner
  lockstitch inspect registry.example.com/team/churn-serve:1.0 --sbom > serve.cdx.json
"""

import argparse
import sys

from lockstitch.cli import images
from lockstitch.cli.images import Named
from lockstitch.cli.session import add_common, print_json
from lockstitch.errors import UsageError
from lockstitch.image.inspect import Inspected, inspect
from lockstitch.lock import provenance, sbom
from lockstitch.oci.manifest import Manifest
from lockstitch.python.size import shown
from lockstitch.store import Store, default_root

__all__ = ["configure", "run"]

_TITLE = 60


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    images.add_options(parser)
    group = parser.add_argument_group("documents").add_mutually_exclusive_group()
    group.add_argument(
        "--sbom", action="store_true", help="print the bill of materials (CycloneDX JSON)"
    )
    group.add_argument(
        "--provenance", action="store_true", help="print the provenance (in-toto JSON)"
    )
    parser.add_argument(
        "--all", action="store_true", help="list every package (default: the 15 largest)"
    )
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.sbom or options.provenance:
        return _print(options, sbom.FORMAT if options.sbom else provenance.FORMAT)
    named, image = _one(options)
    found = inspect(named.place, named.name, Store(default_root()), image=image)
    if options.json:
        print_json(_document(found))
    else:
        sys.stdout.write("\n".join(_lines(found, most=None if options.all else 15)) + "\n")
    return 0


def _one(options: argparse.Namespace) -> tuple[Named, Manifest]:
    """Return the one image that is meant; UsageError when an index has several."""
    named = images.find(options, images.project_of(options))
    found = images.images(named, options.platform or "")
    if len(found) != 1:
        known = ", ".join(str(each.platform) for each in named.manifest.manifests)
        message = f"`{named.name}` has {len(found)} images: {known}"
        raise UsageError(message, hint="--platform linux/amd64")
    return named, found[0]


def _print(options: argparse.Namespace, kind: str) -> int:
    """Print the newest document of a type that refers to the image."""
    named, image = _one(options)
    sys.stdout.write(images.said(named, image, kind).decode("utf-8", "replace"))
    return 0


def _document(found: Inspected) -> dict[str, object]:
    return {
        "name": found.name,
        "digest": found.digest,
        "config": found.config,
        "layers": [
            {
                "digest": layer.facts.digest,
                "diff_id": layer.facts.diff_id,
                "size": layer.facts.size,
                "unpacked": layer.facts.unpacked,
                "created_by": layer.created_by,
            }
            for layer in found.layers
        ],
        "packages": [{"name": each.name, "size": each.size} for each in found.packages],
    }


def _lines(found: Inspected, *, most: int | None) -> list[str]:
    config = found.config["config"]
    unpacked = sum(layer.facts.unpacked for layer in found.layers)
    packed = sum(layer.facts.size for layer in found.layers)
    lines = [
        f"{found.name}  {found.digest}",
        f"platform  {found.config['os']}/{found.config['architecture']}",
        f"size      {shown(unpacked)} unpacked, {shown(packed)} compressed",
        f"created   {found.config.get('created', '')}",
        f"command   {' '.join(config.get('Cmd') or [])}",
        f"user      {config.get('User', '')}",
        "",
        f"{'LAYER':<14}{'PACKED':>10}{'UNPACKED':>10}  WHAT",
    ]
    for layer in found.layers:
        facts = layer.facts
        title = layer.created_by
        title = title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"
        lines.append(
            f"{facts.digest.short:<14}{shown(facts.size):>10}{shown(facts.unpacked):>10}  {title}"
        )
    lines += ["", f"{'PACKAGE':<40}{'UNPACKED':>10}"]
    lines += [f"{each.name:<40}{shown(each.size):>10}" for each in found.packages[:most]]
    hidden = len(found.packages) - len(found.packages[:most])
    lines += [f"… and {hidden} more (--all)"] if hidden else []
    lines += ["", "LABELS"]
    lines += [f"{key}={value}" for key, value in sorted((config.get("Labels") or {}).items())]
    return lines
