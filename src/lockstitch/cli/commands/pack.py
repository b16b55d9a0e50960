"""Write all that builds need into one file, for a machine without a network.

Holds wheels, the packages of bases, build requirements and what was built for lack of a wheel,
each by digest, and belongs to one lockstitch.lock. On the other machine, beside the same files of
the project, `lockstitch build --from FILE` gives the same digests without a network; `run` and
`check` work there too. Holds lockstitch itself as well, with all that it needs: where only Python
is, `tar -xf FILE install.py && python3 install.py FILE FOLDER` installs it.

examples:
  # every image of the project
  lockstitch pack --output bundle.tar
  # later: only what is new since then
  lockstitch pack --output more.tar --without bundle.tar
"""

import argparse
import os
import platform
import tempfile
from pathlib import Path

from lockstitch.cli.options import COMMON, flag, operand, option, repeatable
from lockstitch.cli.session import open_session, print_json, would
from lockstitch.image import bundle, own_wheels
from lockstitch.lock import make, urls
from lockstitch.net.download import Download
from lockstitch.progress import say
from lockstitch.python.size import shown
from lockstitch.python.target import Target

OPTIONS = (
    operand("image", "IMAGE", "images (default: all)", nargs="*"),
    option("--output FILE", "the bundle to write", short="-o", type=Path, required=True),
    flag("--without-tool", "leave out the wheels of lockstitch itself"),
    repeatable("--without BUNDLE", "leave out what this earlier bundle has", type=Path),
    COMMON,
)


def run(options: argparse.Namespace) -> int:
    session = open_session(options)
    project = session.project
    lock = make.current(project)
    specs = [project.image(name) for name in options.image] or list(project.images)
    earlier = [bundle.read(path) for path in options.without]
    if options.dry_run:
        return would(options, f"write {options.output}")
    inputs = session.builder(lock).inputs(specs)
    for requirements in {lock.build, *(folder.requires for folder in lock.folders)}:
        if requirements:
            wheels = urls.of_requirements(requirements, _here(), project.root)
            downloads = [
                Download(name=w.filename, url=w.url, digest=w.digest, size=w.size) for w in wheels
            ]
            session.fetcher.fetch(downloads, session.progress)
            inputs += downloads
    total = sum(session.store.path(download.digest).stat().st_size for download in inputs)
    with (
        tempfile.TemporaryDirectory() as temporary,
        session.progress.task(f"write {options.output.name}", total) as task,
    ):
        tool = [] if options.without_tool else own_wheels.make(Path(temporary))
        written = bundle.write(
            options.output,
            project.root,
            [spec.name for spec in specs],
            inputs,
            session.store,
            without={
                digest
                for before in earlier
                for digest in (*before.tool, *(file.digest for file in before.files))
            },
            tool=tool,
            step=task.advance,
        )
    size = options.output.stat().st_size
    if options.json:
        print_json(
            {
                "file": str(options.output),
                "images": list(written.images),
                "files": len(written.files),
                "inside": len(written.inside),
                "tool": len(written.tool),
                "bytes": size,
            }
        )
    else:
        left = len(written.files) - len(written.inside)
        more = f", {left} left to the earlier one" if left else ""
        own = f" and {len(written.tool)} wheels of lockstitch" if written.tool else ""
        say(f"wrote `{options.output}`: {len(written.inside)} files{own}, {shown(size)}{more}")
    return 0


def _here() -> Target:
    """Return this machine, whose Python runs build backends."""
    machine = "arm64" if platform.machine() in {"aarch64", "arm64"} else "amd64"
    version = os.confstr("CS_GNU_LIBC_VERSION") if hasattr(os, "confstr") else ""
    glibc = (version or "").removeprefix("glibc ")
    return Target(platform=f"linux/{machine}", python=platform.python_version(), glibc=glibc)
