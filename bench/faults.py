"""Faults, and what comes of them: `python bench/faults.py --cases 2000 --seed 1`.

Small projects, on a Debian base and on one of a registry with bytecode, are built from servers on
this machine. Each case is one of four kinds:

damage     one to three files of the store or of a layout are damaged, and the project is built
mutation   a lock, a setting or a file that is fetched is changed, and the project is built
kill       a build is killed at a random moment, and the project is built again
beside     two builds at once, while files of the store are damaged and removed under them

Then the layout has to hold the right digests and whole blobs (healed), or the build has said what
is wrong in one line (refused). Anything else is wrong, and must not be: other bytes, a traceback, a
later build that is stopped, a package or an index that is blamed for what happened here.
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support import bases, projects, world  # noqa: E402 -- of the tests
from support import registry as registries  # noqa: E402 -- as above
from support.registry import Registry  # noqa: E402 -- as above

from lockstitch.cli.main import main as lockstitch  # noqa: E402 -- as above
from lockstitch.digest import of_bytes  # noqa: E402 -- as above
from lockstitch.errors import LockstitchError  # noqa: E402 -- as above
from lockstitch.oci.layout import Layout  # noqa: E402 -- as above

# What a damaged file must never be blamed on.
BLAMES = ("somebody replaced", "do not use this wheel", "Traceback")
KINDS = ("damage", "mutation", "kill", "beside")
WEIGHTS = (88, 6, 3, 3)  # the last two start processes, which takes a second each


@dataclass(frozen=True, slots=True)
class Result:
    """How a build ended: its exit code, and what it said."""

    code: int
    text: str


Case = tuple[list[tuple[str, str]], Result]  # what was done, and how a build ended


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


@dataclass(frozen=True, slots=True)
class Subject:
    """A project, its layout, and what its images are when nothing is damaged."""

    root: Path
    layout: Layout
    right: Mapping[str, str]
    files: Mapping[str, bytes]  # what a mutation changes

    @classmethod
    def of(cls, root: Path) -> "Subject":
        """Lock and build a project."""
        for words in (("lock",), ("build",)):
            result = run(root, *words)
            if result.code:
                raise SystemExit(result.text)
        layout = Layout(root / ".lockstitch" / "images")
        names = ("pyproject.toml", "uv.lock", "pylock.*.toml", "lockstitch.lock", "app/main.py")
        files = [path for name in names for path in sorted(root.glob(name))]
        made = cls(root, layout, {}, {str(path): path.read_bytes() for path in files})
        return replace_(made, right=made.digests())

    def digests(self) -> dict[str, str]:
        """Return the digest of each image, all of whose blobs are whole."""
        digests = {}
        for name in ("serve", "train"):
            manifest = self.layout.manifest(name)
            for each in (manifest.config, *manifest.layers):
                if of_bytes(self.layout.path(each.digest).read_bytes()) != each.digest:
                    message = f"{each.digest} of `{name}` is damaged"
                    raise LockstitchError(message)
            digests[name] = manifest.digest
        return digests

    def is_right(self) -> bool:
        """Return whether the layout holds the images that it should."""
        try:
            return self.digests() == self.right
        except (LockstitchError, OSError):
            return False


def run(root: Path, *words: str) -> Result:
    """Run a command in this process."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            code = lockstitch([*words, "--quiet", "--project", str(root)])
        except Exception as error:  # noqa: BLE001 -- whatever escapes is a finding
            return Result(70, f"Traceback: {error!r}")
    return Result(code, text.getvalue())


def begun(root: Path) -> subprocess.Popen[str]:
    """Start a build in a process of its own."""
    words = [sys.executable, "-m", "lockstitch", "build", "--quiet", "--project", str(root)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Campaign:
    """The store and the projects that cases are made of, and the counts of their outcomes."""

    def __init__(self, store: Path, subjects: Sequence[Subject], seed: int) -> None:
        """Begin with a whole store."""
        self.dice = random.Random(seed)  # noqa: S311 -- a campaign that can be repeated
        self.store = store
        self.subjects = subjects
        self.counts: dict[str, Counter[str]] = {}
        self.wrong: list[str] = []

    def files(self, subject: Subject) -> list[Path]:
        """Return all that can be damaged, in one order."""
        roots = (self.store, subject.layout.root)
        walks = (
            each for root in roots for each in os.walk(root)
        )  # which minds no folder that goes
        found = [Path(folder, name) for folder, _, names in walks for name in names]
        return sorted(path for path in found if path.is_file() and "locks" not in path.parts)

    def case(self, number: int) -> None:
        """Do one thing that goes wrong on computers, and see what there is."""
        subject = self.dice.choice(self.subjects)
        (kind,) = self.dice.choices(KINDS, WEIGHTS)
        done, result = getattr(self, f"_{kind}")(subject)
        may_differ = kind == "mutation"
        outcome = self.outcome(subject, result, may_differ=may_differ)
        for each, _ in done:
            self.counts.setdefault(each, Counter()).update(("tried", outcome))
        what = f"case {number} ({', '.join(f'{each}: {how}' for each, how in done)})"
        if outcome == "wrong":
            self.is_wrong(f"{what}: {result.code} {result.text.strip()}")
        for path, data in subject.files.items():
            Path(path).write_bytes(data)
        # Nothing that was done may stop a later build, or show in it.
        again = run(subject.root, "build") if outcome != "healed" or may_differ else Result(0, "")
        if again.code or not subject.is_right():
            self.is_wrong(f"{what}: stopped a later build: {again.text.strip()}")
            shutil.rmtree(self.store, ignore_errors=True)
            shutil.rmtree(subject.layout.root, ignore_errors=True)
            run(subject.root, "build")

    def is_wrong(self, text: str) -> None:
        """Keep what went wrong, and print it now: a campaign may be ended before its table."""
        self.wrong.append(text)
        print(f"wrong: {text:.600}", file=sys.stderr)

    def outcome(self, subject: Subject, result: Result, *, may_differ: bool) -> str:
        """Return `healed`, `refused` or `wrong`; a mutation may make another whole image."""
        # A digest that was changed in a lock is no damage: "somebody replaced the file, or the lock
        # is wrong" is all that can be known.
        if any(blame in result.text for blame in BLAMES[may_differ:]):
            return "wrong"
        if result.code:
            return "refused" if result.code == 1 and "error: " in result.text else "wrong"
        if not may_differ:
            return "healed" if subject.is_right() else "wrong"
        try:
            subject.digests()
        except (LockstitchError, OSError):
            return "wrong"
        return "healed"

    # --- kinds of cases: what was done, and how a build ended

    def _damage(self, subject: Subject) -> Case:
        if self.dice.random() < 0.6:
            shutil.rmtree(self.store / "records" / "layers", ignore_errors=True)
        done = [self._harm(subject) for _ in range(self.dice.randrange(1, 4))]
        return [each for each in done if each], run(subject.root, "build")

    def _harm(self, subject: Subject) -> tuple[str, str] | None:
        every = self.files(subject)
        # By folder first: there are many more files of one kind than of another.
        kinds = sorted({self.kind(subject, path) for path in every})
        kind = self.dice.choice(kinds)
        path = self.dice.choice([path for path in every if self.kind(subject, path) == kind])
        damage = self.dice.choice(DAMAGES)
        with contextlib.suppress(OSError):  # a build beside this took it away, or put it back
            if path.is_file() and not path.is_symlink() and damage(path, self.dice, every):
                return kind, f"{damage.__name__} {path.name[:12]}"
        return None

    def _mutation(self, subject: Subject) -> Case:
        path, data = self.dice.choice(sorted(subject.files.items()))
        changed = bytearray(data)
        for _ in range(self.dice.choice((1, 1, 2, 8))):
            at = self.dice.randrange(len(changed) or 1)
            how = self.dice.randrange(3)
            if how == 0 and changed:
                changed[at] ^= 1 << self.dice.randrange(7)
            elif how == 1:
                del changed[at : at + self.dice.randrange(1, 40)]
            else:
                changed[at:at] = changed[at : at + self.dice.randrange(1, 400)]
        Path(path).write_bytes(changed)
        return [(f"mutation {Path(path).name}", "")], run(subject.root, "build")

    def _kill(self, subject: Subject) -> Case:
        if self.dice.random() < 0.7:
            for name in ("records", "blobs", "scratch"):
                if self.dice.random() < 0.5:
                    shutil.rmtree(self.store / name, ignore_errors=True)
        seconds = self.dice.uniform(0.1, 2.5)
        running = begun(subject.root)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.communicate(timeout=seconds)
        running.kill()
        running.communicate()
        return [("kill -9", f"after {seconds:.2f} s")], run(subject.root, "build")

    def _beside(self, subject: Subject) -> Case:
        shutil.rmtree(self.store / "records" / "layers", ignore_errors=True)
        other = self.dice.choice(self.subjects)
        running = [begun(each.root) for each in (subject, other)]
        end = time.monotonic() + 60
        while any(each.poll() is None for each in running) and time.monotonic() < end:
            self._harm(subject)
            time.sleep(self.dice.uniform(0.01, 0.2))
        for each in running:
            text = each.communicate()[0]
            result = Result(each.returncode, text)
            if any(blame in text for blame in BLAMES) or each.returncode not in {0, 1}:
                return [("two builds at once", "")], replace_(result, code=70)
        return [("two builds at once", "")], run(subject.root, "build")

    def kind(self, subject: Subject, path: Path) -> str:
        """Return what a file is, for the table."""
        if path.is_relative_to(subject.layout.root):
            inside = path.relative_to(subject.layout.root)
            return f"layout {inside.parts[0]}"
        parts = path.relative_to(self.store).parts
        depth = 2 if parts[0] in {"records", "scratch"} else 1
        name = " ".join(parts[:depth])
        return name[: name.index("-")] if parts[0] == "scratch" and "-" in name else f"store {name}"


def prepared(folder: Path, address: str, held: Registry) -> list[Subject]:
    """Lock and build the projects of a campaign."""
    plain = projects.write(folder / "tiny")
    over = projects.write(folder / "over")
    base = f'python = "3.11"\nbase = "{address}/library/python:slim"\n'
    projects.replace(over, 'python = "3.11"\n', base)
    projects.replace(over, "port = 8000\n", "port = 8000\nbytecode = true\n")
    bases.publish(held, "library/python", "slim", bases.python_slim())
    return [Subject.of(plain), Subject.of(over)]


def main() -> None:
    """Run a campaign and print its table; exit 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after that")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ |= {"LOCKSTITCH_JOBS": "1", "NO_COLOR": "1"}
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setenv("LOCKSTITCH_CACHE", str(folder / "store"))
        patch.setenv("HOME", str(folder))
        patch.setenv("UV_CACHE_DIR", str(folder / "uv"))
        with world.running(folder / "world") as made, registries.run() as registry:
            made.enter(patch)
            subjects = prepared(folder, registry.address, registry)
            campaign = Campaign(folder / "store", subjects, options.seed)
            cases, start = 0, time.monotonic()
            while cases < options.cases and time.monotonic() - start < options.seconds:
                cases += 1
                campaign.case(cases)
                if cases % 100 == 0:
                    print(f"{cases} cases, {len(campaign.wrong)} wrong", file=sys.stderr)
    columns = ("tried", "refused", "healed", "wrong")
    print(f"{'':<24}" + "".join(f"{column:>9}" for column in columns))
    for kind, counts in sorted(campaign.counts.items()):
        print(f"{kind:<24}" + "".join(f"{counts[column]:>9}" for column in columns))
    total = Counter[str]()
    for counts in campaign.counts.values():
        total.update(counts)
    print(f"{'all':<24}" + "".join(f"{total[column]:>9}" for column in columns))
    for line in campaign.wrong[:20]:
        print(f"{line:.600}")
    print(json.dumps({"cases": cases, "seed": options.seed, "wrong": len(campaign.wrong)}))
    sys.exit(bool(campaign.wrong))


if __name__ == "__main__":
    main()
