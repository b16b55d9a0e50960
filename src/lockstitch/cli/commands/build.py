"""Build images from the lock, without Docker.

Each image goes into the OCI layout .lockstitch/images of the project. The same lock and files
give the same digest on any machine. Prints `NAME DIGEST`, one image a line; with --push the
reference by digest.

Where `lockstitch run` left the record of the run that made a model, an image with the model must
have the packages that made it.

examples:
  # all images of the project
  lockstitch build
  # one image, and an archive for an engine that is somewhere else
  lockstitch build serve --output serve.tar && docker load -i serve.tar
  # build one image and push it; a second push sends only what moved
  lockstitch build serve --push registry.example.com/team/churn-serve:1.0
  # in CI, where nothing is kept: layers from a registry, and to it what it lacks
  lockstitch build --cache localhost:5000/layers --push 'localhost:5000/churn-{image}:1.0'
  # into the Docker or Podman that runs here; its image ID is the config's digest
  lockstitch build serve --load
  # the Dockerfile of `lockstitch render`, built by Podman
  lockstitch build serve --engine podman -- --network host
  # what the Dockerfiles of `lockstitch render` start from
  lockstitch build --base-only --output base.tar && docker load -i base.tar
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lockstitch import clock
from lockstitch.cli import engines, pushing
from lockstitch.cli.session import (
    Session,
    add_common,
    history_file,
    layout_folder,
    open_session,
    print_json,
)
from lockstitch.dockerfile import render
from lockstitch.errors import UsageError, raise_all
from lockstitch.image import sizes
from lockstitch.image.attest import Attester
from lockstitch.image.build import Builder, Built
from lockstitch.lock import file, make
from lockstitch.lock.bases import kind_of
from lockstitch.lock.file import Lock
from lockstitch.oci.layer import FORMS
from lockstitch.oci.layout import Layout, write_docker_archive
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.cache import LayerCache
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.push import of_image
from lockstitch.progress import say
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.size import shown

__all__ = ["configure", "run"]

REST = "options of the engine's build"  # what stands after `--`


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("image", metavar="IMAGE", nargs="*", help="images (default: all)")
    group = parser.add_argument_group("output")
    group.add_argument(
        "--layout", metavar="PATH", type=Path, help="OCI layout (default: .lockstitch/images)"
    )
    group.add_argument(
        "--base-only",
        action="store_true",
        help="write nothing but the base that all images have; needs --output",
    )
    group.add_argument(
        "--output", metavar="FILE", type=Path, help="also write a docker archive of one image"
    )
    group.add_argument(
        "--compression",
        choices=["wheel", *FORMS],
        default="wheel",
        help="form of layers: the wheels' own streams, one gzip member, or zstd; only the "
        "first has a digest that is the same everywhere (default: wheel)",
    )
    group.add_argument(
        "--tag",
        metavar="NAME",
        help="tag in the archive or engine (default: PROJECT-IMAGE:latest)",
    )
    parser.add_argument(
        "--allow-drift",
        metavar="NAME",
        action="append",
        default=[],
        help="build although this package is another one than in the run that made the model; "
        "the image gets the label dev.lockstitch.drift",
    )
    pushing.add_options(parser)
    engines.add_options(parser)
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    started = clock.monotonic()
    engines.checked(options)
    session = open_session(options)
    project = session.project
    specs = [project.image(name) for name in options.image] or list(project.images)
    _check(options, project, specs)
    places = pushing.targets(options.push, [spec.name for spec in specs]) if options.push else {}
    lock = file.read(project.root)
    raise_all(make.stale(project, lock))
    specs = _without_drift(session, lock, specs, options)
    if options.engine != "native":
        return engines.build(session, lock, specs, options)
    layout = Layout(options.layout or layout_folder(project))
    client = Client(insecure=options.insecure_registry)
    cache = pushing.cache(session, client, options.cache) if options.cache else None
    builder = _builder(session, lock, client, cache)
    if options.base_only:
        return _base_only(builder, project, layout, options)
    target = engines.target(project, options)  # before a build that would be for nothing
    # Layers of a registry are not fetched when all goes to a registry again.
    local = not options.push or options.layout or options.output
    shallow = not local and (options.cache is not None or kind_of(project.base).in_registry)
    before = sizes.snapshots(layout, layout.names())
    built = builder.build(specs, layout, form=options.compression, shallow=shallow)
    attester = Attester(project, lock, builder, session.store, form=options.compression)
    documents = attester.documents(built)
    for each in built if not shallow else ():
        layout.attach(each.image.descriptor(), documents[each.image.digest])
    if options.layout is None:
        digests = {each.name: str(each.image.digest) for each in built}
        sizes.keep(history_file(project), before, digests)
        layout.sweep()  # ours alone, so that old layers do not pile up
    if options.output:
        tag = options.tag or f"{project.name}-{built[0].name}:latest"
        write_docker_archive(built[0].image, options.output, tag)
    if target:
        engines.load(session, target, built, options)
    beside = pushing.Beside(layout=layout, documents=documents if shallow else {})
    sent = _push(session, client, built, places, beside)
    for note in cache.notes if cache else ():
        say(f"warning: {note}")
    _show(built, sent, clock.monotonic() - started, as_json=options.json)
    return 0


def _without_drift(
    session: Session, lock: Lock, specs: list[ImageSpec], options: argparse.Namespace
) -> list[ImageSpec]:
    """Refuse images whose packages are other ones than in the recorded run of their model."""
    project = session.project
    recorded = [i for i in project.images if i.record and (project.root / i.record).is_file()]
    if options.base_only or not recorded:
        return specs
    from lockstitch.cli import drifting

    return drifting.served(session, lock, specs, options.allow_drift)


def _builder(session: Session, lock: Lock, client: Client, cache: LayerCache | None) -> Builder:
    store, fetcher = session.store, session.fetcher
    return Builder(
        session.project, lock, store, fetcher, session.progress, client=client, cache=cache
    )


def _push(
    session: Session,
    client: Client,
    built: Sequence[Built],
    places: Mapping[str, Reference],
    beside: pushing.Beside,
) -> dict[str, pushing.Sent]:
    """Push each image, all of its platforms under one name."""
    sent = {}
    for name, target in places.items():
        parcels = [of_image(each.image) for each in built if each.spec == name]
        sent[name] = pushing.send(session, client, name, target, parcels, beside)
    return sent


def _check(options: argparse.Namespace, project: Project, specs: list[ImageSpec]) -> None:
    """Raise UsageError for options that do not go together."""
    several = not options.base_only and len(specs) * len(project.platforms) != 1
    if options.output and several:
        message = f"--output takes one image, not {len(specs) * len(project.platforms)}"
        raise UsageError(message, hint=f"lockstitch build {specs[0].name} --output FILE")
    named = options.output or options.load is not None or options.engine != "native"
    if options.tag and not named:
        message = "--tag names an image in an archive or engine, and there is none"
        raise UsageError(message, hint="add --output FILE, --load or --engine")
    if options.tag and len(specs) > 1 and not options.base_only:
        message = f"--tag names one image, not {len(specs)}"
        raise UsageError(message, hint=f"lockstitch build {specs[0].name} --tag NAME")
    if options.base_only and (options.image or not options.output):
        message = "--base-only writes one archive, of no image"
        raise UsageError(message, hint="lockstitch build --base-only --output base.tar")
    if options.push and options.base_only:
        message = "--base-only writes an archive and nothing to push"
        raise UsageError(message, hint="lockstitch build --base-only --output base.tar")


def _base_only(
    builder: Builder, project: Project, layout: Layout, options: argparse.Namespace
) -> int:
    if len(project.platforms) != 1:
        message = f"--output takes one base, and there is one for each of {len(project.platforms)}"
        message += " platforms"
        raise UsageError(message, hint="leave one platform in [tool.lockstitch] while you build it")
    image = builder.base(project.platforms[0], layout)
    tag = options.tag or render.base_tag(project)
    write_docker_archive(image, options.output, tag)
    if options.json:
        print_json({"tag": tag, "config": image.config_descriptor().digest})
        return 0
    say(f"{options.output}: {tag}, {shown(sizes.unpacked(image))}")
    sys.stdout.write(f"{tag} {image.config_descriptor().digest}\n")
    return 0


def _show(
    built: list[Built], sent: Mapping[str, pushing.Sent], seconds: float, *, as_json: bool
) -> None:
    if as_json:
        print_json([_document(each, sent.get(each.spec)) for each in built])
        return
    for each in built:
        for note in each.notes:
            say(f"warning: {note}")
        size = sum(layer.facts.size for layer in each.image.layers)
        layers = f"{len(each.image.layers)} layers"
        made = f"{each.made} made" if each.made else "none made"
        say(
            f"{each.name}: {shown(sizes.unpacked(each.image))}, {shown(size)} compressed, "
            f"{layers}, {made}"
        )
        if not sent:
            sys.stdout.write(f"{each.name} {each.image.digest}\n")
    for pushed in sent.values():
        pushing.show(pushed)
    state = "built" if any(each.fresh for each in built) else "up to date"
    say(f"{state} in {seconds:.2f} s")


def _document(built: Built, sent: pushing.Sent | None) -> dict[str, object]:
    pushed = {"pushed": pushing.document(sent)} if sent else {}
    return pushed | {
        "name": built.name,
        "digest": built.image.digest,
        "config": built.image.config_descriptor().digest,
        "platform": str(built.image.platform),
        "unpacked": sizes.unpacked(built.image),
        "compressed": sum(layer.facts.size for layer in built.image.layers),
        "layers": len(built.image.layers),
        "made": built.made,
        "fresh": built.fresh,
        "notes": list(built.notes),
        "plan": [{"title": each.title, "key": each.key} for each in built.plan],
    }
