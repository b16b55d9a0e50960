"""Fingerprint an environment: interpreter, packages, BLAS, processor, settings.

Nothing is installed and nothing imported where it looks. The files of installed packages are
compared with their RECORD, so that one edited by hand shows. The JSON has no host
name, no time and no path; of the variables it has only those that can change results.

what SOURCE may be:
  .venv, a folder           an environment: what its interpreter sees
  PATH/python               an interpreter
  container:NAME[:PYTHON]   a running container, with docker or podman
  ssh:HOST[:PYTHON]         an interpreter of another host
  uv.lock, poetry.lock, pylock.toml, requirements.txt
                            a lock, for a target
  uv.lock@HEAD~5, HEAD~5:uv.lock, HEAD~5
                            the lock of a git revision
  train                     an image of this project, as it was built
  LAYOUT, LAYOUT:NAME       an image of an OCI layout
  FILE.tar, FILE.tar:NAME   an image in an archive of docker or of OCI
  HOST/NAME:TAG, registry:NAME
                            an image of a registry, for a platform
  FILE.json                 a fingerprint, or the run record that `lockstitch run` left

examples:
  # the environment of this project
  lockstitch fingerprint .venv
  # keep it, to compare it later
  lockstitch fingerprint .venv --json > trained.json
  # what an image really holds
  lockstitch fingerprint serve
  # what the lock would install for an image
  lockstitch fingerprint uv.lock --image train --platform linux/amd64
  # a node of a cluster, where nothing has to be installed
  lockstitch fingerprint --script | kubectl exec -i POD -- python - > pod.json
  lockstitch fingerprint pod.json
"""

import argparse
import sys

from lockstitch.cli.options import COMMON, TARGET, flag, operand
from lockstitch.cli.session import patience, print_json
from lockstitch.drift import source, text
from lockstitch.errors import UsageError
from lockstitch.fingerprint import live

OPTIONS = (
    operand("source", "SOURCE", "see above", nargs="?"),
    flag("--script", "print the script that takes a fingerprint, for Python 3.8 and later"),
    TARGET,
    COMMON,
)


def run(options: argparse.Namespace) -> int:
    if options.script == bool(options.source):
        message = "fingerprint takes a SOURCE, or --script"
        raise UsageError(message, hint="lockstitch fingerprint .venv")
    if options.script:
        sys.stdout.write(live.script())
        return 0
    where = source.context(
        options.project, image=options.image, platform=options.platform, python=options.python
    )
    with patience(options, f"read {options.source}"):
        fingerprint = source.read(options.source, where)
    if options.json:
        print_json(fingerprint.document())
    else:
        sys.stdout.write("\n".join(text.summary(fingerprint)) + "\n")
    return 0
