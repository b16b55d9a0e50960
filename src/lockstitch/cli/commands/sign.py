"""Sign an image with a key, as cosign does.

Writes the signature beside the image, in the registry or in the layout; the image and its digest
stay as they are. The key is an ECDSA key on the curve P-256 in PEM form, and the openssl program
makes the signature. `cosign verify --key PUB --insecure-ignore-tlog REF` verifies it, and so does
`lockstitch image verify REF --key PUB`.

examples:
  # a key of your own, once, and its public half for those who verify
  openssl ecparam -name prime256v1 -genkey -noout -out lockstitch.key
  openssl pkey -in lockstitch.key -pubout -out lockstitch.pub
  # an image in a registry; LOCKSTITCH_KEY_PASSWORD is the password of a key that has one
  lockstitch image sign registry.example.com/team/churn-serve:1.0 --key lockstitch.key
"""

import argparse
import sys
from pathlib import Path

from lockstitch.cli.commands.inspect import find
from lockstitch.cli.options import COMMON, INSECURE, LAYOUT, REFERENCE, group, option
from lockstitch.cli.session import print_json, would
from lockstitch.oci.signing import keys, sign
from lockstitch.progress import say

OPTIONS = (
    REFERENCE,
    group("where to look", LAYOUT, INSECURE),
    option("--key FILE", "PEM file of the private key", type=Path, required=True),
    COMMON,
)


def run(options: argparse.Namespace) -> int:
    key = keys.read(options.key)
    named, _ = find(options, write=True)
    if options.dry_run:
        return would(options, f"sign {named} with {options.key}")
    fresh = sign.sign(named.place, named.name, named.digest, key)
    if options.json:
        print_json({"reference": str(named), "digest": named.digest, "fresh": fresh})
        return 0
    say(f"{named.name}: {'signed' if fresh else 'this key has signed it before'}")
    sys.stdout.write(f"{named}\n")
    return 0
