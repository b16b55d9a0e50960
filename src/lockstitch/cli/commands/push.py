"""Push images to a registry.

Pushes what `lockstitch build` wrote, and sends only what the registry lacks: layers of other
repositories there are mounted, an interrupted upload goes on, and the tag is written last.
Several platforms become one index. Prints the reference by digest. Logins are those of
`lockstitch image login`, Docker and Podman.

examples:
  # the serving image, then a container of exactly that one
  lockstitch image push registry.example.com/team/churn-serve:1.0 --image serve
  docker run --rm $(lockstitch image push localhost:5000/churn-serve --image serve)
  # every image of the project under a name of its own
  lockstitch image push 'registry.example.com/team/churn-{image}:1.0'
"""

import argparse
import sys

from lockstitch.cli.options import COMMON, INSECURE, LAYOUT, group, operand, repeatable
from lockstitch.cli.session import layout_folder, open_session, print_json, would
from lockstitch.image import assemble, publish
from lockstitch.image.publish import Documents, Published
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Platform
from lockstitch.oci.reference import LATEST
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.push import Count, of_layout
from lockstitch.progress import say
from lockstitch.python.size import shown
from lockstitch.table import counted

OPTIONS = (
    operand(
        "reference",
        "REF",
        "HOST/REPOSITORY[:TAG] to push to (default tag: latest); `{image}` in it stands for "
        "the image's name",
    ),
    group(
        "what and where",
        repeatable("--image NAME", "image to push; may be given again (default: all)"),
        LAYOUT,
        INSECURE,
    ),
    COMMON,
)


def run(options: argparse.Namespace) -> int:
    session = open_session(options)
    project = session.project
    specs = [project.image(name) for name in options.image] or list(project.images)
    targets = publish.targets(options.reference, [spec.name for spec in specs])
    for target in targets.values():
        if not options.reference.startswith((f"{target.host}/", f"index.{target.host}/")):
            say(f"note: `{options.reference}` names no host: it means {target.name}")
    layout = Layout(options.layout or layout_folder(project))
    platforms = [Platform.parse(platform) for platform in project.platforms]
    # All of them before the first byte: a missing image is an error at once.
    parcels = {
        spec.name: [
            of_layout(layout, assemble.reference(spec, platform, project)) for platform in platforms
        ]
        for spec in specs
    }
    if options.dry_run:
        return would(options, *(f"push {name} to {target}" for name, target in targets.items()))
    client = Client(insecure=options.insecure_registry)
    published = []
    for name, target in targets.items():
        published.append(
            publish.publish(
                client,
                target,
                name,
                parcels[name],
                Documents(layout=layout),
                store=session.store,
                progress=session.progress,
            )
        )
        if not options.json:
            show(published[-1])
    if options.json:
        print_json([document(image) for image in published])
    return 0


def show(image: Published) -> None:
    """Print the reference by digest, and the bytes that were sent."""
    pushed, count = image.pushed, image.documents.documents
    parts = [
        f"{_count(pushed.sent)} sent",
        f"{_count(pushed.mounted)} mounted",
        f"{_count(pushed.present)} there before",
    ]
    if count:
        parts.append(f"{counted(count, 'document')} about it sent")
    say(f"{image.target.name}:{image.target.tag or LATEST}: {', '.join(parts)}")
    sys.stdout.write(f"{image.reference}\n")


def document(image: Published) -> dict[str, object]:
    """Return the result for programs."""
    pushed = image.pushed
    return {
        "image": image.name,
        "reference": str(image.reference),
        "digest": pushed.digest,
        "tag": image.target.tag or LATEST,
        "platforms": list(image.platforms),
        "manifests": pushed.manifests,
        "about": {"documents": image.documents.documents, "bytes": image.documents.bytes},
        "sent": _numbers(pushed.sent),
        "mounted": _numbers(pushed.mounted),
        "present": _numbers(pushed.present),
    }


def _count(count: Count) -> str:
    blobs = counted(count.blobs, "blob")
    return f"{blobs} ({shown(count.bytes)})" if count.blobs else blobs


def _numbers(count: Count) -> dict[str, int]:
    return {"blobs": count.blobs, "bytes": count.bytes}
