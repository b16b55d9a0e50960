"""Push an image that `lockstitch build` made to a registry.

Sends only what the registry lacks: layers of other repositories there are mounted, an upload
that breaks off goes on, and the tag is written last. Several platforms become one index.
Prints the reference by digest. Logins are those of `lockstitch login`, Docker and Podman.

examples:
  # the serving image, then a container of exactly that one
  lockstitch push registry.example.com/team/churn-serve:1.0 --image serve
  docker run --rm $(lockstitch push localhost:5000/churn-serve --image serve)
  # every image of the project under a name of its own
  lockstitch push 'registry.example.com/team/churn-{image}:1.0'
"""

import argparse
from pathlib import Path

from lockstitch.cli import pushing
from lockstitch.cli.session import add_common, layout_folder, open_session, print_json
from lockstitch.image import assemble
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Platform
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.push import of_layout
from lockstitch.python.model import ImageSpec, Project

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "reference",
        metavar="REF",
        help="HOST/REPOSITORY[:TAG] to push to (default tag: latest); `{image}` in it stands for "
        "the image's name",
    )
    group = parser.add_argument_group("what and where")
    group.add_argument(
        "--image",
        metavar="NAME",
        action="append",
        default=[],
        help="image to push; may be given again (default: all)",
    )
    group.add_argument(
        "--layout", metavar="PATH", type=Path, help="OCI layout (default: .lockstitch/images)"
    )
    pushing.add_insecure(group)
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    session = open_session(options)
    project = session.project
    specs = [project.image(name) for name in options.image] or list(project.images)
    places = pushing.targets(options.reference, [spec.name for spec in specs])
    layout = Layout(options.layout or layout_folder(project))
    # All of them before the first byte: a missing image is found out at once.
    parcels = {
        spec.name: [of_layout(layout, name) for name in _names(spec, project)] for spec in specs
    }
    client = Client(insecure=options.insecure_registry)
    beside = pushing.Beside(layout=layout)
    sent = []
    for name, target in places.items():
        sent.append(pushing.send(session, client, name, target, parcels[name], beside))
        if not options.json:
            pushing.show(sent[-1])
    if options.json:
        print_json([pushing.document(each) for each in sent])
    return 0


def _names(spec: ImageSpec, project: Project) -> list[str]:
    platforms = [Platform.parse(platform) for platform in project.platforms]
    return [assemble.reference(spec, platform, project) for platform in platforms]
