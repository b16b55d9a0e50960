"""Damage between builds, and what comes of it: `python bench/faults.py --cases 2000 --seed 1`.

A small project is built from an index and a Debian archive on this machine. In each case one to
three files of the store or of the layout are damaged, mostly the records of layers are taken away,
and the project is built again. Then it has to hold the right digest and whole blobs (healed), or
say what is damaged in one line (refused). Anything else is wrong, and must not be.
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support import projects, world  # noqa: E402 -- of the tests

from lockstitch.cli.main import main as lockstitch  # noqa: E402 -- as above
from lockstitch.digest import of_bytes  # noqa: E402 -- as above
from lockstitch.errors import LockstitchError  # noqa: E402 -- as above
from lockstitch.oci.layout import Layout  # noqa: E402 -- as above

NAMES = ("serve", "train")
# What a damaged file must never be blamed on.
BLAMES = ("do not use this wheel", "somebody replaced", "Traceback")


@dataclass(frozen=True, slots=True)
class Result:
    """How a build ended: its exit code, and what it said."""

    code: int
    text: str


# --- damages: each changes a file, and returns whether it could


def _write(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def flip(path: Path, dice: random.Random, _: list[Path]) -> bool:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    if not data:
        return False
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    _write(path, bytes(data))
    return True


def lose(path: Path, dice: random.Random, others: list[Path]) -> bool:
    """Change one bit without a new stat, as a disk does."""
    if "layers" in path.parts or _is_layer(path):
        return False  # found when it is sent, which a build into a layout does not do
    facts = path.stat()
    done = flip(path, dice, others)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    return done


def _is_layer(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(2) == b"\x1f\x8b"


def cut(path: Path, dice: random.Random, _: list[Path]) -> bool:
    """Leave only a first part."""
    data = path.read_bytes()
    _write(path, data[: dice.randrange(len(data))] if data else b"")
    return bool(data)


def grow(path: Path, dice: random.Random, _: list[Path]) -> bool:
    """Put bytes behind the end."""
    _write(path, path.read_bytes() + dice.randbytes(dice.randrange(1, 40)))
    return True


def empty(path: Path, _: random.Random, __: list[Path]) -> bool:
    """Leave nothing."""
    _write(path, b"")
    return True


def zero(path: Path, _: random.Random, __: list[Path]) -> bool:
    """Leave as many zeros, which is what a power cut leaves."""
    _write(path, bytes(path.stat().st_size))
    return True


def replace(path: Path, dice: random.Random, others: list[Path]) -> bool:
    """Put the bytes of another file there, of the same folder where there is one."""
    same = [other for other in others if other.parent.parent == path.parent.parent]
    other = dice.choice(same if len(same) > 1 else others)
    if other == path or not other.is_file():
        return False
    _write(path, other.read_bytes())
    return True


def remove(path: Path, _: random.Random, __: list[Path]) -> bool:
    """Take the file away."""
    path.unlink()
    return True


def become_folder(path: Path, _: random.Random, __: list[Path]) -> bool:
    """Put a folder there."""
    path.unlink()
    path.mkdir()
    (path / "file").write_bytes(b"")
    return True


def become_link(path: Path, _: random.Random, __: list[Path]) -> bool:
    """Put a symlink to nothing there."""
    path.unlink()
    path.symlink_to("nothing")
    return True


Damage = Callable[[Path, random.Random, list[Path]], bool]
DAMAGES: tuple[Damage, ...] = (
    *(flip, lose, cut, grow, empty, zero, replace, remove, become_folder, become_link),
)


# --- one campaign


class Campaign:
    """A project, its store and its layout, and what its images are when nothing is damaged."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Lock and build once."""
        self.dice = random.Random(seed)  # noqa: S311 -- a campaign that can be repeated
        self.store = folder / "store"
        self.project = projects.write(folder / "tiny")
        self.layout = Layout(self.project / ".lockstitch" / "images")
        self.counts: dict[str, Counter[str]] = {}
        self.wrong: list[str] = []
        for words in (("lock",), ("build",)):
            result = self.run(*words)
            if result.code:
                raise SystemExit(result.text)
        self.right = self.digests()

    def run(self, *words: str) -> Result:
        """Run a command in this process."""
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            try:
                code = lockstitch([*words, "--quiet", "--project", str(self.project)])
            except Exception as error:  # noqa: BLE001 -- whatever escapes is a finding
                return Result(70, f"Traceback: {error!r}")
        return Result(code, text.getvalue())

    def digests(self) -> dict[str, str]:
        """Return the digest of each image, all of whose blobs are whole."""
        digests = {}
        for name in NAMES:
            manifest = self.layout.manifest(name)
            for each in (manifest.config, *manifest.layers):
                if of_bytes(self.layout.path(each.digest).read_bytes()) != each.digest:
                    message = f"{each.digest} of `{name}` is damaged"
                    raise LockstitchError(message)
            digests[name] = manifest.digest
        return digests

    def files(self) -> list[Path]:
        """Return all that can be damaged, in one order."""
        roots = (self.store, self.layout.root)
        found = [path for root in roots for path in root.rglob("*") if path.is_file()]
        return sorted(path for path in found if "locks" not in path.parts)

    def case(self, number: int) -> None:
        """Damage something, build, and see what there is."""
        every = self.files()
        done = []
        if self.dice.random() < 0.6:  # so that layers are made, mostly
            shutil.rmtree(self.store / "records" / "layers", ignore_errors=True)
            every = self.files()
        for _ in range(self.dice.randrange(1, 4)):
            # By folder first: there are many more files of one kind than of another.
            kind = self.dice.choice(sorted({self.kind(path) for path in every}))
            path = self.dice.choice([path for path in every if self.kind(path) == kind])
            damage = self.dice.choice(DAMAGES)
            if path.is_file() and not path.is_symlink() and damage(path, self.dice, every):
                done.append((kind, f"{damage.__name__} {path.name[:12]}"))
        result = self.run("build")
        outcome = self.outcome(result)
        for kind, _ in done:
            self.counts.setdefault(kind, Counter()).update(("tried", outcome))
        if outcome == "wrong":
            what = ", ".join(f"{kind}: {what}" for kind, what in done)
            self.wrong.append(f"case {number} ({what}): {result.code} {result.text.strip()}")
        if outcome != "healed":
            shutil.rmtree(self.layout.root, ignore_errors=True)  # as its hint says
            again = self.run("build")
            if again.code or self.digests() != self.right:
                self.wrong.append(f"case {number}: stopped a later build: {again.text.strip()}")
                shutil.rmtree(self.store, ignore_errors=True)
                self.run("build")

    def outcome(self, result: Result) -> str:
        """Return `healed`, `refused` or `wrong`."""
        if any(blame in result.text for blame in BLAMES):
            return "wrong"
        if result.code:
            return "refused" if result.code == 1 and "error: " in result.text else "wrong"
        try:
            return "healed" if self.digests() == self.right else "wrong"
        except (LockstitchError, OSError):
            return "wrong"

    def kind(self, path: Path) -> str:
        """Return what a file is, for the table."""
        if path.is_relative_to(self.layout.root):
            inside = path.relative_to(self.layout.root)
            return f"layout {inside.parts[0]}"
        parts = path.relative_to(self.store).parts
        depth = 2 if parts[0] in {"records", "scratch"} else 1
        name = " ".join(parts[:depth])
        return name[: name.index("-")] if parts[0] == "scratch" and "-" in name else f"store {name}"


def main() -> None:
    """Run a campaign and print its table; exit 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after that")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ |= {"LOCKSTITCH_JOBS": "1", "NO_COLOR": "1"}
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setenv("LOCKSTITCH_CACHE", str(folder / "store"))
        patch.setenv("HOME", str(folder))
        patch.setenv("UV_CACHE_DIR", str(folder / "uv"))
        with world.running(folder / "world") as made:
            made.enter(patch)
            campaign = Campaign(folder, options.seed)
            cases = 0
            while cases < options.cases and time.monotonic() - start < options.seconds:
                cases += 1
                campaign.case(cases)
    columns = ("tried", "refused", "healed", "wrong")
    print(f"{'':<24}" + "".join(f"{column:>9}" for column in columns))
    for kind, counts in sorted(campaign.counts.items()):
        print(f"{kind:<24}" + "".join(f"{counts[column]:>9}" for column in columns))
    for line in campaign.wrong[:20]:
        print(f"{line:.600}")
    print(json.dumps({"cases": cases, "seed": options.seed, "wrong": len(campaign.wrong)}))
    sys.exit(bool(campaign.wrong))


if __name__ == "__main__":
    main()
