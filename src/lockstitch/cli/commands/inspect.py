"""Show an image's layers, package sizes and labels.

Reads the image itself, from the layout or from a registry, and not what it was built from.
--sbom and --provenance print a document that refers to the image.

examples:
  # what makes the serving image large
  lockstitch image inspect serve
  # the digest, for a script
  lockstitch image inspect serve --json | jq -r .digest
  # the SBOM of an image in a registry, for a scanner
  lockstitch image inspect registry.example.com/team/churn-serve:1.0 --sbom > serve.cdx.json
"""

import argparse
import sys

from lockstitch.cli.options import (
    COMMON,
    INSECURE,
    LAYOUT,
    PLATFORM,
    REFERENCE,
    exclusive,
    flag,
    group,
)
from lockstitch.cli.session import layout_folder, patience, print_json, project_here
from lockstitch.errors import LockstitchError, UsageError, nearest
from lockstitch.image import named as naming
from lockstitch.image.inspect import Inspected, inspect
from lockstitch.image.named import Named
from lockstitch.lock import provenance, sbom
from lockstitch.oci import stargz
from lockstitch.oci.manifest import fits
from lockstitch.oci.model import Platform
from lockstitch.python.model import Project
from lockstitch.python.size import shown
from lockstitch.store import Store, default_root
from lockstitch.table import counted

OPTIONS = (
    REFERENCE,
    group("where to look", LAYOUT, PLATFORM, INSECURE),
    group(
        "documents",
        exclusive(
            flag("--sbom", "print the SBOM (CycloneDX JSON)"),
            flag("--provenance", "print the provenance (in-toto JSON)"),
        ),
    ),
    flag("--all", "list every package (default: the 15 largest)"),
    COMMON,
)
_TITLE = 60


def find(options: argparse.Namespace, *, write: bool = False) -> tuple[Named, Project | None]:
    """Return the image that REF names, and the project that the command runs in.

    Raises LockstitchError when there is no such image, and UsageError for the name of an image
    that the project does not have.
    """
    project = project_here(options)
    folder = options.layout or (layout_folder(project) if project else None)
    try:
        named = naming.find(options.reference, folder, options.insecure_registry, write=write)
    except LockstitchError as error:
        names = [image.name for image in project.images] if project else []
        if not names or options.reference in names or set(options.reference) & set("/:@"):
            raise
        hint = nearest(options.reference, names, f"the project has: {', '.join(names)}")
        raise UsageError(error.message, hint=hint) from error
    return named, project


def run(options: argparse.Namespace) -> int:
    named, _ = find(options)
    images = named.images(options.platform or "")
    if len(images) != 1:
        known = ", ".join(str(entry.platform) for entry in named.manifest.manifests)
        message = f"`{named.name}` has {len(images)} images: {known}"
        raise UsageError(message, hint="--platform linux/amd64")
    (image,) = images
    if options.sbom or options.provenance:
        document = named.document(image, sbom.FORMAT if options.sbom else provenance.FORMAT)
        sys.stdout.write(document.decode("utf-8", "replace"))
        return 0
    with patience(options, f"read {named.name}"):
        inspected = inspect(named.place, named.name, Store(default_root()), image=image)
    config = inspected.config
    own = Platform(
        os=config["os"], architecture=config["architecture"], variant=config.get("variant", "")
    )
    if options.platform and not fits(own, Platform.parse(options.platform)):
        message = f"`{named.name}` is for {own}, not {options.platform}"
        raise UsageError(message, hint="leave out --platform")
    if options.json:
        print_json(_document(inspected))
    else:
        sys.stdout.write("\n".join(_lines(inspected, most=None if options.all else 15)) + "\n")
    return 0


def _document(inspected: Inspected) -> dict[str, object]:
    return {
        "name": inspected.name,
        "digest": inspected.digest,
        "config": inspected.config,
        "layers": [
            {
                "digest": layer.facts.digest,
                "diff_id": layer.facts.diff_id,
                "size": layer.facts.size,
                "unpacked": layer.facts.unpacked,
                "created_by": layer.created_by,
                "lazy": stargz.is_lazy(layer.facts),
            }
            for layer in inspected.layers
        ],
        "packages": [
            {"name": package.name, "size": package.size} for package in inspected.packages
        ],
    }


def _lines(inspected: Inspected, *, most: int | None) -> list[str]:
    config = inspected.config["config"]
    unpacked = sum(layer.facts.unpacked for layer in inspected.layers)
    packed = sum(layer.facts.size for layer in inspected.layers)
    lines = [
        f"{inspected.name}  {inspected.digest}",
        f"platform  {inspected.config['os']}/{inspected.config['architecture']}",
        f"size      {shown(unpacked)} unpacked, {shown(packed)} compressed",
        f"created   {inspected.config.get('created', '')}",
        f"command   {' '.join(config.get('Cmd') or [])}",
        f"user      {config.get('User', '')}",
    ]
    if lazy := sum(stargz.is_lazy(layer.facts) for layer in inspected.layers):
        lines.append(f"lazy      {lazy} of {counted(len(inspected.layers), 'layer')}")
    lines += ["", f"{'LAYER':<14}{'PACKED':>10}{'UNPACKED':>10}  WHAT"]
    for layer in inspected.layers:
        facts = layer.facts
        title = layer.created_by
        title = title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"
        lines.append(
            f"{facts.digest.short:<14}{shown(facts.size):>10}{shown(facts.unpacked):>10}  {title}"
        )
    lines += ["", f"{'PACKAGE':<40}{'UNPACKED':>10}"]
    lines += [
        f"{package.name:<40}{shown(package.size):>10}" for package in inspected.packages[:most]
    ]
    hidden = len(inspected.packages) - len(inspected.packages[:most])
    lines += [f"… and {hidden} more (--all)"] if hidden else []
    lines += ["", "LABELS"]
    lines += [f"{key}={value}" for key, value in sorted((config.get("Labels") or {}).items())]
    return lines
