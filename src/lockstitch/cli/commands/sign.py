"""Sign an image with a key, as cosign does.

Writes the signature beside the image, in the registry or in the layout; the image and its digest
stay as they are. The key is an ECDSA key on the curve P-256 in PEM form, the signature is made by
the openssl program. `cosign verify --key PUB --insecure-ignore-tlog REF` checks it, and so does
`lockstitch verify-image REF --key PUB`.

examples:
  # a key of your own, once, and its public half for those who check
  openssl ecparam -name prime256v1 -genkey -noout -out lockstitch.key
  openssl pkey -in lockstitch.key -pubout -out lockstitch.pub
  # what was pushed; LOCKSTITCH_KEY_PASSWORD has the password of a key that has one
  lockstitch sign registry.example.com/team/churn-serve:1.0 --key lockstitch.key
"""

import argparse
import sys
from pathlib import Path

from lockstitch.cli import images
from lockstitch.cli.session import add_common, print_json
from lockstitch.oci.signing import keys, sign
from lockstitch.progress import say

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    images.add_options(parser, platform=False)
    parser.add_argument(
        "--key", metavar="FILE", type=Path, required=True, help="PEM file of the private key"
    )
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    project = images.project_of(options)
    key = keys.read(options.key)
    named = images.find(options, project, write=True)
    fresh = sign.sign(named.place, named.name, named.digest, key)
    if options.json:
        print_json({"reference": str(named), "digest": named.digest, "fresh": fresh})
        return 0
    say(f"{named.name}: {'signed' if fresh else 'this key has signed it before'}")
    sys.stdout.write(f"{named}\n")
    return 0
