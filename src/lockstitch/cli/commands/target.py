"""Write a target's files: a script for Slurm, manifests for Kubernetes.

Builds the image where it is not up to date, and writes the files to targets/TARGET/IMAGE. They
name the image by digest and work without lockstitch: with sbatch, or `kubectl apply -k`. For
Kubernetes the image must be in the target's registry: lockstitch image push.

examples:
  # a Deployment, a Service, and what keeps them up
  lockstitch export target cloud --image serve
  # in CI: exit with 1 and name the stale files
  lockstitch export target cloud --check
"""

import argparse
from pathlib import Path

from lockstitch import files
from lockstitch.cli import targets
from lockstitch.cli.options import COMMON, flag, operand, repeatable
from lockstitch.cli.session import answer_stale, open_session, print_json, would
from lockstitch.cluster import start
from lockstitch.errors import LockstitchError
from lockstitch.progress import say

OPTIONS = (
    operand("target", "TARGET", "a table of [tool.lockstitch.targets]"),
    repeatable("--image NAME", "image (default: all that the target can run)"),
    flag("--check", "write nothing; exit with 1 when a file is stale"),
    COMMON,
)


def run(options: argparse.Namespace) -> int:
    session = open_session(options)
    project = session.project
    target = project.target(options.target)
    if target.engine == "ray":
        message = f"`{target.name}` is a target of Ray, which reads no files"
        raise LockstitchError(message, hint=f"lockstitch run IMAGE --on {target.name}")
    specs = [project.image(name) for name in options.image] or [
        spec
        for spec in project.images
        if spec.command and (target.engine != "slurm" or not spec.port)
    ]
    if options.dry_run:
        return would(options, *(f"write targets/{target.name}/{spec.name}" for spec in specs))
    wanted: dict[str, str] = {}
    for spec in specs:
        job, _ = targets.job_of(session, target, spec, ())
        texts = (
            start.kubernetes_files(job)
            if target.engine == "kubernetes"
            else start.exported(job, session.progress)
        )
        for name, text in texts.items():
            wanted[f"targets/{target.name}/{spec.name}/{name}"] = text
    stale = sorted(n for n, text in wanted.items() if _read(project.root / n) != text)
    if options.check:
        hint = f"lockstitch export target {target.name}"
        problems = [LockstitchError(f"`{name}` is stale or missing", hint=hint) for name in stale]
        return answer_stale(problems, "the files of the target fit", as_json=options.json)
    for name in stale:
        files.write_text(project.root / name, wanted[name])
    if options.json:
        print_json({"changed": stale, "files": sorted(wanted)})
    else:
        say(f"wrote {', '.join(stale)}" if stale else "nothing to do: the files of the target fit")
    return 0


def _read(path: Path) -> str | None:
    return files.read_text(path) if path.is_file() else None
