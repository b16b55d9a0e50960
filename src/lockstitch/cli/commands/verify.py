"""Verify that images and models are the same when rebuilt elsewhere.

Rebuilds every image under another umask, user, time zone, locale, hash seed, HOME, folder, listing
order, number of workers and clock, from an empty store, and compares locks, plans, layers and
digests. Trains again with another hash seed, with one thread and with all, as on other CPUs, with
another listing order, folder, clock, time zone and locale, and compares metrics, bytes and meaning
of every output, those that the project keeps included. What changes runs again before it is named.
Names what differs: the layer, the entry, the byte, the part of the model, and the variation that
causes it. Changes nothing of the project. Exits with 1 when something differs.

examples:
  # images and models
  lockstitch verify
  # the images alone, with a page to attach to a release
  lockstitch verify --build --html verify.html
  # whether a published image is what this checkout gives
  lockstitch verify serve --against registry.example/churn/serve:1.2
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

from lockstitch import files, git
from lockstitch.cli.options import COMMON, flag, group, operand, option
from lockstitch.cli.session import open_session, print_json, verified, would
from lockstitch.digest import of_bytes
from lockstitch.errors import UsageError
from lockstitch.lock import file, make
from lockstitch.progress import say
from lockstitch.python.model import Project

OPTIONS = (
    operand("image", "IMAGE", "images (default: all)", nargs="*"),
    group(
        "what to prove (default: images and models)",
        flag("--build", "that images are the same when rebuilt"),
        flag("--train", "that images with `outputs` train the same model"),
        option(
            "--against REF",
            "compare one image with a published one: a registry's reference, or LAYOUT:NAME",
        ),
    ),
    option(
        "--tolerance NUMBER",
        "metrics that differ by less, relatively, are equal (default: 1e-6)",
        type=float,
        default=1e-6,
    ),
    option("--html FILE", "also write the report as a page", type=Path),
    COMMON,
)


def run(options: argparse.Namespace) -> int:
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
    make.current(project)
    if options.dry_run:
        return would(options, *(f"rebuild, retrain and compare {image}" for image in images))
    everything = not (options.build or options.train or options.against)
    proof = result.verify(
        project,
        images,
        session.progress,
        build=everything or options.build,
        train=everything or options.train,
        against=options.against or "",
        tolerance=options.tolerance,
    )
    document = result.document(proof) | _about(options, project)
    # For `lockstitch report`, which does not spend minutes again.
    lock = of_bytes((project.root / file.NAME).read_bytes())
    kept = json.dumps({**document, "lock": lock}, indent=2, sort_keys=True)
    files.write_text(verified(project), f"{kept}\n")
    if options.html:
        files.write_text(options.html, result.page(document))
        say(f"wrote {options.html}")
    if options.json:
        print_json(document)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in result.lines(proof)))
        say("the same everywhere" if proof.holds else "not the same everywhere")
    return 0 if proof.holds else 1


def _about(options: argparse.Namespace, project: Project) -> dict[str, object]:
    """Return the request, its commit, and in words the parts that were not proved."""
    asked = [f"--{name}" for name in ("build", "train") if getattr(options, name)]
    asked += ["--against", options.against] if options.against else []
    commit = git.commit(project.root)
    specs = [project.image(name) for name in options.image] or list(project.images)
    missing = []
    if asked and not options.build:
        missing.append("that images are the same when rebuilt: --build was not given")
    if asked and not options.train:
        missing.append("that training gives the same model: --train was not given")
    else:
        missing += [
            f"training of {spec.name}: its table has no `outputs`, so it trains nothing"
            for spec in specs
            if not spec.outputs
        ]
    return {
        "command": shlex.join(["lockstitch", "verify", *options.image, *asked]),
        "commit": {"commit": commit.digest, "state": commit.state},
        "not_proved": missing,
    }
