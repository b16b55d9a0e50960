"""Verify an image's contents, SBOM, provenance and signature.

Reads the whole image, from a registry or from the layout, and runs nothing of it. Verifies that
each part has its digest, that every file is as its package's RECORD has it, that the SBOM names
every package and no other, that the provenance is of this image, and, in a project, that the
image was built from the project's locks. With --key also the signature. Reports every problem;
exits with 1 when there is one.

examples:
  # an image in a registry, before it runs in production
  lockstitch image verify registry.example.com/team/churn-serve:1.0 --key lockstitch.pub
  # an image that `lockstitch build` wrote
  lockstitch image verify serve
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from lockstitch import progress
from lockstitch.cli.commands.inspect import find
from lockstitch.cli.options import COMMON, INSECURE, LAYOUT, PLATFORM, REFERENCE, group, option
from lockstitch.cli.session import print_json
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.image import verify
from lockstitch.image.named import Named
from lockstitch.image.verify import Findings
from lockstitch.lock import file
from lockstitch.oci.signing import keys, sign
from lockstitch.progress import say

OPTIONS = (
    REFERENCE,
    group("where to look", LAYOUT, PLATFORM, INSECURE),
    group("signature", option("--key PUB", "PEM file of the signer's public key", type=Path)),
    COMMON,
)
_CHANGED = "do not run it: the registry, or somebody on the way, has changed it"
_AGAIN = "lockstitch image push, from where it was built; it brings the documents along"
_HINTS = {
    "config": _CHANGED,
    "layers": _CHANGED,
    "packages": _CHANGED,
    "sbom": _AGAIN,
    "provenance": _AGAIN,
    "lock": "lockstitch build && lockstitch image push, or look at the commit of its provenance",
    "signature": "lockstitch image sign REF --key FILE, when you stand for it",
}


def run(options: argparse.Namespace) -> int:
    key = keys.read(options.key) if options.key else None
    named, project = find(options)
    locks = None
    if project and (project.root / file.NAME).exists():
        locks = verify.locks_of(project, file.read(project.root))
    shown = progress.reporter(quiet=bool(options.quiet or options.json))
    images = named.images(options.platform or "")
    findings = [verify.verify(named.place, image, shown, locks) for image in images]
    for finding in findings:
        if key:
            finding.problems["signature"] = sign.problems(named.place, named.digest, key)
        else:
            finding.skipped["signature"] = "no --key"
    if options.json:
        print_json([_document(named, finding) for finding in findings])
        return 1 if any(finding.lines() for finding in findings) else 0
    several = len(findings) > 1
    raise_all([error for finding in findings for error in _errors(finding, several=several)])
    for finding in findings:
        good = ", ".join(finding.problems)
        rest = "; ".join(f"{name} not checked: {why}" for name, why in finding.skipped.items())
        say(f"{finding.platform}: {good} fit{'; ' if rest else ''}{rest}")
    sys.stdout.write(f"{named}\n")
    return 0


def _errors(findings: Findings, *, several: bool) -> Iterator[LockstitchError]:
    where = f"{findings.platform}: " if several else ""
    for name, texts in findings.problems.items():
        for text in texts:
            yield LockstitchError(f"{where}{name}: {text}", hint=_HINTS[name])


def _document(named: Named, findings: Findings) -> dict[str, object]:
    return {
        "reference": str(named),
        "digest": findings.digest,
        "platform": findings.platform,
        "checked": sorted(findings.problems),
        "skipped": findings.skipped,
        "problems": [
            {"check": name, "problem": text}
            for name, texts in findings.problems.items()
            for text in texts
        ],
    }
