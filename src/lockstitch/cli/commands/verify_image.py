"""Hold an image against what is said of it.

Reads the whole image, from a registry or from the layout, and runs nothing of it. Checks that
each part has the digest that names it, that every file is what its package's RECORD says, that
the bill of materials names every package and no other, that the provenance is of this image,
and, in a project, that the image was made from the project's locks. With --key also that the
key signed it. Every problem is named; the exit code is 1 when there is one.

examples:
  # what is in the registry, before it runs in production
  lockstitch verify-image registry.example.com/team/churn-serve:1.0 --key lockstitch.pub
  # what `lockstitch build` made
  lockstitch verify-image serve
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from lockstitch import progress
from lockstitch.cli import images
from lockstitch.cli.images import Named
from lockstitch.cli.session import add_common, print_json
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.image import verify
from lockstitch.image.verify import Findings, Locks
from lockstitch.lock import file
from lockstitch.oci.signing import keys, sign
from lockstitch.progress import say
from lockstitch.python.model import Project

__all__ = ["configure", "run"]

_CHANGED = "do not run it: the registry, or somebody on the way, has changed it"
_AGAIN = "lockstitch push, from where it was built; it brings the documents along"
_HINTS = {
    "config": _CHANGED,
    "layers": _CHANGED,
    "packages": _CHANGED,
    "sbom": _AGAIN,
    "provenance": _AGAIN,
    "lock": "lockstitch build && lockstitch push, or look at the commit of its provenance",
    "signature": "lockstitch sign REF --key FILE, when you stand for it",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    images.add_options(parser)
    group = parser.add_argument_group("signature")
    group.add_argument(
        "--key", metavar="PUB", type=Path, help="PEM file of the public key that must have signed"
    )
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    project = images.project_of(options)
    key = keys.read(options.key) if options.key else None
    named = images.find(options, project)
    shown = progress.reporter(quiet=bool(options.quiet or options.json))
    locks = _locks(project)
    found = [
        verify.verify(named.place, image, shown, locks)
        for image in images.images(named, options.platform or "")
    ]
    for each in found:
        if key:
            each.problems["signature"] = sign.problems(named.place, named.digest, key)
        else:
            each.skipped["signature"] = "no --key"
    if options.json:
        print_json([_document(named, each) for each in found])
        return 1 if any(each.lines() for each in found) else 0
    raise_all([each for one in found for each in _errors(one, several=len(found) > 1)])
    for each in found:
        say(_words(each))
    sys.stdout.write(f"{named}\n")
    return 0


def _locks(project: Project | None) -> Locks | None:
    if project is None or not (project.root / file.NAME).exists():
        return None
    return verify.locks_of(project, file.read(project.root))


def _errors(found: Findings, *, several: bool) -> Iterator[LockstitchError]:
    where = f"{found.platform}: " if several else ""
    for name, texts in found.problems.items():
        for text in texts:
            yield LockstitchError(f"{where}{name}: {text}", hint=_HINTS[name])


def _words(found: Findings) -> str:
    good = ", ".join(found.problems)
    rest = "; ".join(f"{name} not checked: {why}" for name, why in found.skipped.items())
    return f"{found.platform}: {good} fit{'; ' if rest else ''}{rest}"


def _document(named: Named, found: Findings) -> dict[str, object]:
    return {
        "reference": str(named),
        "digest": found.digest,
        "platform": found.platform,
        "checked": sorted(found.problems),
        "skipped": found.skipped,
        "problems": [
            {"check": name, "problem": text}
            for name, texts in found.problems.items()
            for text in texts
        ],
    }
