"""Bytes that a program's start takes from a registry: its whole image, or what it reads of it.

An image with `lazy = true` is pushed to Debian's docker-registry on loopback. Its program is
started with `lockstitch try` on files that are not in memory; what is in memory once it answers
(mincore, by pages of 4 KiB, with what the kernel reads ahead) is what its start reads. containerd's
own library (tests/support/estargz) then fetches exactly that by range, each chunk checked against
the table, in units of 50,000 bytes as the snapshotter does, with tables, footers and what stands
before landmarks. The registry's log counts the same bytes. The whole image is the sum of its
layers.

Needs Go, containerd's library and docker-registry (.ci/programs), root, and a folder on a disk.
Run `python bench/lazy.py PROJECT IMAGE [PROJECT IMAGE ...] [--json FILE]` with projects that are
locked and whose images have a port and a health path; without, on a churn project.
"""

import argparse
import ctypes
import json
import mmap
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from images import LOCKSTITCH, Native
from measure import environment, machine, run
from push import registry
from support import stargz

from lockstitch.digest import Digest
from lockstitch.oci.layer import FileLayer, LayerFacts
from lockstitch.oci.layout import Layout
from lockstitch.oci.rootfs import members
from lockstitch.store import default_root

_LIBC = ctypes.CDLL(None, use_errno=True)
_PAGE = mmap.PAGESIZE
_WRITTEN = re.compile(r"http\.request\.method=GET.*http\.response\.written=(\d+)")


def pages(path: Path) -> Iterator[tuple[int, int]]:
    """Yield the runs of a file that are in memory: where each begins, and its length."""
    size = path.stat().st_size
    if not size:
        return
    count = -(-size // _PAGE)
    vector = (ctypes.c_ubyte * count)()
    # Private and writable, so that ctypes may have its address; nothing is read or written.
    access = {"flags": mmap.MAP_PRIVATE, "prot": mmap.PROT_READ | mmap.PROT_WRITE}
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), size, **access) as mapped:
        place = ctypes.c_char.from_buffer(mapped)
        address = ctypes.c_void_p(ctypes.addressof(place))
        failed = _LIBC.mincore(address, ctypes.c_size_t(size), vector)
        del place
    if failed:
        raise OSError(ctypes.get_errno(), str(path))
    start = None
    for number, resident in enumerate((*vector, 0)):
        if resident & 1 and start is None:
            start = number
        elif not resident & 1 and start is not None:
            yield start * _PAGE, min(number * _PAGE, size) - start * _PAGE
            start = None


def files(root: Path) -> list[Path]:
    """Return the regular files of an unpacked image."""
    return [
        path
        for folder, _, names in os.walk(root)
        for name in names
        if (path := Path(folder, name)).is_file() and not path.is_symlink()
    ]


def forget(paths: list[Path]) -> None:
    """Take files out of memory."""
    os.sync()
    for path in paths:
        with path.open("rb") as handle:
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def started(project: Path, image: str, root: Path) -> dict[str, list[tuple[int, int]]]:
    """Start an image's program, and return what is in memory of each file once it answers."""
    paths = files(root)
    forget(paths)
    left = sum(size for path in paths for _, size in pages(path))
    if left > 1 << 20:
        sys.exit(f"{left:,} bytes of {root} stay in memory: another program uses them")
    run([*LOCKSTITCH, "try", image], cwd=project, env=environment())
    read = {str(path.relative_to(root)): [*pages(path)] for path in paths}
    return {name: runs for name, runs in read.items() if runs}


def measured(project: Path, image: str, folder: Path, reader: stargz.Reader) -> dict[str, object]:
    """Return the bytes of a whole pull, and of one that fetches what a start reads."""
    env = environment()
    run([*LOCKSTITCH, "build", image], cwd=project, env=env)
    run([*LOCKSTITCH, "try", image], cwd=project, env=env)  # unpacks it
    layout = Layout(project / ".lockstitch/images")
    manifest = layout.manifest(image)
    config = manifest.config.digest.hex
    root = default_root() / "trial" / "images" / config / "root"
    read = started(project, image, root)
    owner: dict[str, Digest] = {}
    for path, descriptor in stargz.layers(layout, image):
        facts = LayerFacts(digest=descriptor.digest, diff_id=descriptor.digest, size=0, unpacked=0)
        layer = FileLayer(facts=facts, created_by="", path=path)
        owner |= {member.name: descriptor.digest for member, _ in members(layer)}
    rows = []
    with registry(folder / "registry") as address:
        name = f"{address}/bench/{image}"
        run([*LOCKSTITCH, "image", "push", f"{name}:1", "--image", image], cwd=project, env=env)
        log = folder / "registry" / "log"
        before = len(log.read_text())
        for _, descriptor in stargz.layers(layout, image):
            reads = folder / "reads"
            lines = [
                f"{at} {size} {path}\n"
                for path, runs in sorted(read.items())
                if owner.get(path) == descriptor.digest
                for at, size in runs
            ]
            reads.write_text("".join(lines))
            blob = f"http://{address}/v2/bench/{image}/blobs/{descriptor.digest}"
            rows.append(reader.read(blob, descriptor, reads) | {"size": descriptor.size})
        counted = sum(int(each) for each in _WRITTEN.findall(log.read_text()[before:]))
    whole, fetched = sum(r["size"] for r in rows), sum(r["fetched"] for r in rows)
    if counted != fetched:
        sys.exit(f"the registry sent {counted:,} bytes, the reader counted {fetched:,}")
    return {
        "image": f"{project.name} {image}",
        "layers": len(rows),
        "files": len(read),
        "unpacked": sum(path.stat().st_size for path in files(root)),
        "touched": sum(size for runs in read.values() for _, size in runs),
        "whole": whole,
        "fetched": fetched,
        "requests": sum(r["requests"] for r in rows),
        "rows": rows,
    }


def main() -> None:
    """Print a row for each image."""
    parser = argparse.ArgumentParser()
    parser.add_argument("images", nargs="*", metavar="PROJECT IMAGE")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = list(zip(options.images[::2], options.images[1::2], strict=True))
        if not pairs:
            os.environ["LOCKSTITCH_CACHE"] = str(folder / "store")
            made = Native(folder)
            settings = made.root / "pyproject.toml"
            table = "[tool.lockstitch.images.serve]\n"
            settings.write_text(settings.read_text().replace(table, f"{table}lazy = true\n"))
            pairs = [(made.root, "serve")]
        reader = stargz.build(folder)
        print(machine())
        print(f"{'image':<16}{'whole':>10}{'lazy':>10}{'share':>8}{'requests':>10}{'touched':>10}")
        for number, (project, image) in enumerate(pairs):
            place = folder / str(number)
            place.mkdir()
            row = measured(Path(project).resolve(), image, place, reader)
            found.append(row)
            share = row["fetched"] / row["whole"]
            mb = [f"{row[key] / 1e6:.1f}" for key in ("whole", "fetched", "touched")]
            print(
                f"{row['image']:<16}{mb[0]:>10}{mb[1]:>10}{share:>8.1%}{row['requests']:>10}{mb[2]:>10}"
            )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
