"""Show an image: layers, sizes of packages, labels.

Reads the image from the layout, so it shows what is there and not what was meant.

examples:
  # what makes the serving image large
  lockstep inspect serve
  # the digest, for a script
  lockstep inspect serve --json | jq -r .digest
"""

import argparse
import sys
from pathlib import Path

from lockstep.cli.session import add_common, layout_folder, open_session, print_json
from lockstep.image.inspect import Inspected, inspect
from lockstep.oci.layout import Layout
from lockstep.project.size import shown

__all__ = ["configure", "run"]

_TITLE = 60


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("image", metavar="IMAGE", help="name of the image")
    parser.add_argument(
        "--layout", metavar="PATH", type=Path, help="OCI layout (default: .lockstep/images)"
    )
    parser.add_argument(
        "--all", action="store_true", help="list every package (default: the 15 largest)"
    )
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    session = open_session(options)
    layout = Layout(options.layout or layout_folder(session.project))
    found = inspect(layout, options.image, session.store)
    if options.json:
        print_json(_document(found))
    else:
        sys.stdout.write("\n".join(_lines(found, most=None if options.all else 15)) + "\n")
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
    config = found.config.get("config", {})
    unpacked = sum(layer.facts.unpacked for layer in found.layers)
    packed = sum(layer.facts.size for layer in found.layers)
    lines = [
        f"{found.name}  {found.digest}",
        f"platform  {found.config['os']}/{found.config['architecture']}",
        f"size      {shown(unpacked)} unpacked, {shown(packed)} compressed",
        f"created   {found.config['created']}",
        f"command   {' '.join(config.get('Cmd', []))}",
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
    lines += [f"{key}={value}" for key, value in sorted(config.get("Labels", {}).items())]
    return lines
