"""Prove that the images and the model are the same elsewhere, or name what differs.

Builds every image again with the umask, user, time zone, locale, hash seed, HOME, folder, listing
order, workers and clock of another machine, from an empty store, and compares locks, plans, layers
and digests. Trains again with another hash seed, with one thread and with all, as on other CPUs,
with another listing order, folder, clock, zone and locale, and compares metrics, bytes and meaning
of every output. What differs is named: the layer, the entry, the byte, the part of the model, and
the variation that causes it. Changes nothing of the project. Exits with 1 when something differs.

examples:
  # all of it
  lockstitch verify
  # the images alone, with a page to attach to a release
  lockstitch verify --build --html verify.html
  # whether somebody else's image is what this checkout gives
  lockstitch verify serve --against registry.example/churn/serve:1.2
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lockstitch import files
from lockstitch.cli.session import (
    Session,
    add_common,
    layout_folder,
    open_session,
    print_json,
    verified,
)
from lockstitch.errors import UsageError, raise_all
from lockstitch.lock import file, make
from lockstitch.progress import say

if TYPE_CHECKING:
    from lockstitch.prove.result import Result

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("image", metavar="IMAGE", nargs="*", help="images (default: all)")
    what = parser.add_argument_group("what to prove (default: both)")
    what.add_argument("--build", action="store_true", help="that images are built the same")
    what.add_argument(
        "--train", action="store_true", help="that images with outputs train the same model"
    )
    what.add_argument(
        "--against",
        metavar="REF",
        help="that one image is the one published: a registry's reference, or LAYOUT:NAME",
    )
    parser.add_argument(
        "--tolerance",
        metavar="NUMBER",
        type=float,
        default=1e-6,
        help="relative difference of a metric that is none (default: 1e-6)",
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write the report as a page")
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from lockstitch.prove import result

    session = open_session(options)
    project = session.project
    images = [project.image(name).name for name in options.image] or [
        image.name for image in project.images
    ]
    if options.against and len(images) != 1:
        message = f"--against is about one image, not {len(images)}"
        raise UsageError(message, hint=f"lockstitch verify {images[0]} --against REF")
    if not options.tolerance >= 0:
        message = f"--tolerance is {options.tolerance}, not a number of 0 or more"
        raise UsageError(message, hint="--tolerance 1e-6")
    raise_all(make.stale(project, file.read(project.root)))
    found = _proved(session, images, options)
    document = result.document(found)
    # For `lockstitch report`, which does not spend minutes again.
    files.write_text(verified(project), json.dumps(document, indent=2, sort_keys=True) + "\n")
    if options.html:
        files.write_text(options.html, result.page(document))
        say(f"wrote {options.html}")
    if options.json:
        print_json(document)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in result.lines(found)))
        say("the same everywhere" if found.holds else "not the same everywhere")
    return 0 if found.holds else 1


def _proved(session: Session, images: list[str], options: argparse.Namespace) -> "Result":
    from lockstitch.prove import against, building, result, training

    project = session.project
    everything = not (options.build or options.train or options.against)
    built = compared = None
    if everything or options.build or options.against:
        with session.progress.task("build here", 0):
            built = building.here(project, layout_folder(project), images)
    if built and (everything or options.build):
        compared = building.prove(project, built, images, session.progress)
    published = None
    if built and options.against:
        with session.progress.task(f"read {options.against}", 0):
            published = against.compared(built, images[0], options.against)
    trainings = {}
    for name in images if everything or options.train else ():
        spec = project.image(name)
        if spec.outputs:
            first, found = training.prove(project, spec, session.progress)
            trainings[name] = (first, tuple(found))
    if options.train and not trainings:
        message = f"none of {', '.join(images)} has `outputs`, so none trains"
        raise UsageError(message, hint='outputs = ["models"] in [tool.lockstitch.images.train]')
    return result.Result(
        project=project.name,
        tolerance=options.tolerance,
        build=compared,
        trainings=trainings,
        against=published,
    )
