"""Seeded random layers and images, layers read back by the standard library, golden texts."""

import gzip
import hashlib
import io
import random
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockstitch.oci.entry import Entry, file, folder, symlink
from lockstitch.oci.layer import Layer, LayerFacts, arrange, stitch
from lockstitch.oci.model import Config, Image, Platform

__all__ = [
    "MadeLayer",
    "check_golden",
    "image",
    "inflate",
    "layer",
    "listing",
    "members",
    "random_entries",
    "random_image",
]

_GOLDEN = Path(__file__).parents[1] / "golden"
_NAMES = ("a", "b", "bin", "data", "lib", "zoë", "naïve", "x.py", "y-1.0", "long" * 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeLayer:
    """A layer in memory."""

    facts: LayerFacts
    created_by: str
    data: bytes

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes in small pieces."""
        for at in range(0, len(self.data), 1000):
            yield self.data[at : at + 1000]


def layer(entries: Iterable[Entry], title: str = "made", *, root: str = "") -> MadeLayer:
    """Return the layer of these entries."""
    written: list[bytes] = []
    facts = stitch(arrange(entries, root=root), written.append)
    return MadeLayer(facts=facts, created_by=title, data=b"".join(written))


def image(*layers: Layer, config: Config | None = None, created: int = 1_700_000_000) -> Image:
    """Return a Linux image of these layers."""
    platform = Platform.parse("linux/amd64")
    return Image(
        platform=platform, config=config or Config(), layers=tuple(layers), created=created
    )


def random_entries(seed: int) -> list[Entry]:
    """Return entries that arrange to a valid layer, in no order; a seed gives the same ones."""
    chance = random.Random(seed)
    found: dict[str, Entry] = {}
    folders = {""}
    for _ in range(chance.randint(1, 25)):
        parent = chance.choice(sorted(folders))
        path = f"{parent}/{chance.choice(_NAMES)}".lstrip("/")
        if path in found or path in folders:
            continue
        kind = chance.randrange(4)
        if kind == 0:
            found[path] = folder(path, mode=chance.choice((0o755, 0o1777)))
            folders.add(path)
        elif kind == 1:
            found[path] = symlink(path, chance.choice(("../a", "/usr/bin/python3", "t" * 120)))
        else:
            size = chance.choice((0, 1, 511, 512, 513, 5000))
            data = bytes(chance.choices(b"abcdefgh\n", k=size))
            found[path] = file(path, data, mode=chance.choice((0o644, 0o755)))
    entries = list(found.values())
    chance.shuffle(entries)
    return entries


def random_image(seed: int) -> Image:
    """Return an image of one to three random layers."""
    layers = [layer(random_entries(seed * 10 + n), f"random {n}") for n in range(1 + seed % 3)]
    return image(*layers, config=Config(command=("true",)))


def members(data: bytes) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """Return path → (member, content) of a layer, as the standard library reads it."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            found[member.name] = (member, content.read() if content else b"")
    return found


def listing(made: MadeLayer) -> str:
    """Return what a layer holds, a line for each entry, then its names."""
    lines = []
    for path, (member, content) in members(made.data).items():
        what = f"-> {member.linkname}" if member.issym() else ""
        if member.isreg():
            what = f"{len(content):>6} {hashlib.sha256(content).hexdigest()}"
        kind = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l"}.get(member.type, "-")
        owner = f"{member.uid}:{member.gid}"
        lines.append(f"{kind} {member.mode:04o} {owner} {path} {what}".rstrip())
    facts = made.facts
    lines += ["", f"diffID {facts.diff_id}", f"digest {facts.digest}", ""]
    return "\n".join(lines)


def inflate(data: bytes) -> bytes:
    """Inflate one raw stream that must end exactly where the data does."""
    engine = zlib.decompressobj(-15)
    plain = engine.decompress(data) + engine.flush()
    assert engine.eof
    assert engine.unused_data == b""
    return plain


def check_golden(config: pytest.Config, name: str, text: str) -> None:
    """Compare a text with its file under tests/golden, or write that under `--golden`."""
    path = _GOLDEN / name
    if config.getoption("golden", default=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")
