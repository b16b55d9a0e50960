"""Readers of what strangers write, the corpus that is kept of it, and seeded mutations.

A reader may give anything or raise LockstitchError: what else escapes, a rule that crashes, or more
than a few seconds is a defect. What a search finds is kept in tests/fuzz/READER/ for ever.
"""

import contextlib
import functools
import gzip
import random
import re
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from support import archive, cases, images
from support.zips import FILENAME, File, wheel

from lockstitch.audit import engine, rules
from lockstitch.audit.settings import Settings
from lockstitch.errors import LockstitchError
from lockstitch.image import debian
from lockstitch.image.contents import InstalledWheel
from lockstitch.oci import reader, rootfs
from lockstitch.oci.layer import arrange, stitch
from lockstitch.oci.layout import Layout, write_docker_archive
from lockstitch.python import locks
from lockstitch.python.locks import poetry, pylock, requirements
from lockstitch.python.target import Target
from lockstitch.repository.files import Repository

__all__ = ["READERS", "attempt", "folder", "kept", "mutated", "seeds"]

CORPUS = Path(__file__).parents[1] / "fuzz"
_CASES = Path(__file__).parents[1] / "rules"
_TARGET = Target(platform="linux/amd64", python="3.11.2", glibc="2.36")
_LARGEST = 1 << 18  # bytes of a mutation
_SLOW = 10  # seconds of the processor

Reader = Callable[[bytes], None]


# --- bytes


def _wheel(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILENAME
        path.write_bytes(data)
        opened = InstalledWheel(path, FILENAME, "3.11", trimmed=True)
        try:
            opened.listing()
            opened.left_out()
            stitch(arrange(opened.entries({}), root="app"), lambda _: None)
        finally:
            opened.close()


def _layer(data: bytes) -> None:
    layer = [data]
    for _ in rootfs.small_files(layer, "fuzzed", 1 << 20):
        pass
    rootfs.files_of([lambda: layer], content=lambda path: len(path) % 2 == 0, digest=lambda _: True)


def _archive(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tar"
        path.write_bytes(data)
        reader.of_archive(path)


def _deb(data: bytes) -> None:
    debian.read_archive(data, "tiny 1.0")


# --- texts


def _text(read: Callable[[str], object]) -> Reader:
    return lambda data: read(data.decode("utf-8", "surrogateescape")) and None


def _lock(path: str) -> Reader:
    def read(text: str) -> None:
        graph = locks.read(path, text)
        for groups in (None, ()):
            with contextlib.suppress(LockstitchError):  # and the next is tried too
                locks.walk(graph, locks.decided(_TARGET.markers()), groups, groups)

    return _text(read)


def _audited(*names: str) -> Reader:
    """Return what runs all rules over a repository that holds a text under these names."""
    root = Path(tempfile.gettempdir()) / "no-such-repository"

    def run(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        for name in names:
            repo = Repository(root, [name], tracked=None, changed={name: text})
            report = engine.audit(repo, rules.RULES, Settings(), rules.codes())
            crashes = [
                finding for finding in report.findings if "the rule crashed" in finding.message
            ]
            assert not crashes, crashes[0].message
            fixes = [finding for finding in report.findings if finding.fix]
            assert all(repo.text(name) is not None for _ in fixes)

    return run


READERS: dict[str, Reader] = {  # whose first word is the folder of the corpus
    "wheel": _wheel,
    "layer": _layer,
    "archive": _archive,
    "deb": _deb,
    "uv lock": _lock("uv.lock"),
    "poetry lock": _lock("poetry.lock"),
    "poetry lock, chosen": _text(lambda text: poetry.select(text, _TARGET, ["dev"], ["a"])),
    "pylock lock": _lock("pylock.toml"),
    "pylock lock, chosen": _text(lambda text: pylock.select(text, _TARGET, "pylock.toml")),
    "requirements list": _lock("requirements.txt"),
    "requirements list, chosen": _text(lambda text: requirements.select(text, _TARGET)),
    "requirements list, audited": _audited("requirements.txt"),
    "Dockerfile": _audited("Dockerfile"),
    "compose file": _audited("compose.yaml"),
    "pyproject file": _audited("pyproject.toml"),
    "hooks file": _audited(".pre-commit-config.yaml"),
}


def attempt(name: str, data: bytes) -> str:
    """Return what is wrong with how a reader takes some bytes, an empty text when nothing is."""
    start = time.process_time()
    try:
        READERS[name](data)
    except LockstitchError as error:
        if not all(each.message for each in error.everything()):
            return "an error without a message"
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- whatever escapes is a defect
        return f"{type(error).__name__}: {error!s:.300}"
    seconds = time.process_time() - start
    return f"{seconds:.1f} s" if seconds > _SLOW else ""


# --- where mutations start


def folder(name: str) -> Path:
    """Return where the corpus of a reader is."""
    return CORPUS / name.partition(" ")[0]


def kept(name: str) -> list[Path]:
    """Return the kept files of a reader."""
    return sorted(folder(name).glob("*"))


@functools.cache
def seeds(name: str) -> tuple[bytes, ...]:
    """Return whole inputs of a reader: kept ones, ours, and those of the cases of rules."""
    own = [path.read_bytes() for path in kept(name)]
    return tuple(dict.fromkeys([*own, *_MADE[folder(name).name]()]))


def _wheels() -> Iterator[bytes]:
    code = File(name="demo/__init__.py", data=b"x = 1\n" * 30)
    data = File(name="demo/data.bin", data=bytes(range(256)), level=0)
    script = File(name="demo-1.0.data/scripts/run", data=b"#!python\n", mode=0o100755)
    for streamed in (False, True):
        entry = "[console_scripts]\nrun = demo:main [x]\n"
        yield wheel(code, data, script, entry_points=entry, streamed=streamed)
    yield wheel(code, File(name="demo/a.py", data=b"y = 2\n" * 90, zstd=True))


def _layers() -> Iterator[bytes]:
    for seed in range(3):
        data = images.layer(images.random_entries(seed)).data
        yield data
        yield gzip.decompress(data)


def _archives() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tar"
        write_docker_archive(images.random_image(1), path, "app:1")
        yield path.read_bytes()
        layout = Layout(Path(folder) / "layout")
        layout.write(images.random_image(2), "app")
        with tarfile.open(path, "w") as made:
            made.add(layout.root, ".")
        yield path.read_bytes()


def _debs() -> Iterator[bytes]:
    for name in ("libc6", "python3.11-minimal"):
        yield archive.deb(name, "1.0")


def _of_cases(*names: str) -> Iterator[bytes]:
    for path in sorted(_CASES.glob("*.txt")):
        for case in cases.parse(path.read_text()):
            for name, text in case.files.items():
                if name.rpartition("/")[2] in names:
                    yield text.encode()


_MADE: dict[str, Callable[[], Iterator[bytes]]] = {
    "wheel": _wheels,
    "layer": _layers,
    "archive": _archives,
    "deb": _debs,
    "uv": lambda: _of_cases("uv.lock"),
    "poetry": lambda: _of_cases("poetry.lock"),
    "pylock": lambda: _of_cases("pylock.toml"),
    "requirements": lambda: _of_cases("requirements.txt"),
    "Dockerfile": lambda: _of_cases("Dockerfile"),
    "compose": lambda: _of_cases("compose.yaml", "docker-compose.yml"),
    "pyproject": lambda: _of_cases("pyproject.toml"),
    "hooks": lambda: _of_cases(".pre-commit-config.yaml"),
}


# --- mutations

_TOKENS = (
    *(b"\0 \xff \xef\xbb\xbf \\ \\\n \xe2\x80\xa8 \r \r\n --- ... 1e999 nan null true").split(b" "),
    *(b'" \' """ # [ ] { } [[ ]] = : - | > ? , &a *a <<: !!python/object').split(b" "),
    *(b"$ ${ ${A:- $(( ` << <<EOF\n && ; || % %2e %00 ../ / // . .. ~ :// @ ==").split(b" "),
    *(b"0 -1 4294967295 18446744073709551616 sha256: --hash= -r -e git+https://u:p@h.test/r").split(
        b" "
    ),
    *(b"FROM RUN COPY ENV ARG ONBUILD # --from=0 A=$A services:\n image: build: extends:").split(
        b" "
    ),
    *(b"[[package]]\n name source={} wheels=[1] python_version<'3' extra=='a'").split(b" "),
    *(b"PK\x01\x02 PK\x03\x04 PK\x05\x06 \x1f\x8b\x08 ustar !<arch>").split(b" "),
    *(b" ", b"\n", b"\t", b"9" * 400),
)
_NUMBER = re.compile(rb"\d+")


def _flipped(data: bytearray, at: int, to: int, dice: random.Random) -> None:
    for place in range(at, min(to, at + 3)):
        data[place] ^= 1 << dice.randrange(8)


def _cut(data: bytearray, at: int, to: int, _: random.Random) -> None:
    del data[at:to]


def _repeated(data: bytearray, at: int, to: int, dice: random.Random) -> None:
    data[at:at] = data[at:to] * dice.choice((1, 2, 20, 400))


def _inserted(data: bytearray, at: int, _: int, dice: random.Random) -> None:
    data[at:at] = dice.choice(_TOKENS) * dice.choice((1, 1, 1, 3, 300))


def _renumbered(data: bytearray, at: int, _: int, dice: random.Random) -> None:
    match = _NUMBER.search(data, at)
    if match:
        data[match.start() : match.end()] = dice.choice((b"0", b"-1", b"9" * 30, b"x"))


def _moved(data: bytearray, _: int, __: int, dice: random.Random) -> None:
    lines = bytes(data).split(b"\n")
    lines.insert(dice.randrange(len(lines)), lines.pop(dice.randrange(len(lines))))
    data[:] = b"\n".join(lines)


_CHANGES = (_flipped, _flipped, _cut, _repeated, _inserted, _inserted, _renumbered, _moved)


def mutated(name: str, dice: random.Random) -> bytes:
    """Return one of a reader's seeds with a few things wrong."""
    known = seeds(name)
    data = bytearray(dice.choice(known))
    for _ in range(1 << dice.randrange(5)):
        at = dice.randrange(len(data) + 1)
        to = min(len(data), at + dice.randrange(1 << dice.randrange(1, 12)))
        if dice.random() < 0.1:
            other = dice.choice(known)
            start = dice.randrange(len(other) + 1)
            data[at:to] = other[start : start + dice.randrange(1, 400)]
        else:
            dice.choice(_CHANGES)(data, at, to, dice)
        del data[_LARGEST:]
    return bytes(data)
