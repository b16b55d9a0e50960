"""Answers a build that has nothing to do as the last one did, when all that decides it is the same.

What decides it: the words of the command, all variables, the program itself, each file of the
project by its stat, what git's answers come from, and the images in the project's layout. Files
written just before they were read are compared by what is in them, since a second write within a
step of the clock shows in no stat. Imports little: most of what a build costs that has nothing to
do is what it loads.
"""

import functools
import hashlib
import json
import os
import sys

from lockstitch import __version__, environ
from lockstitch.listing import STEP, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

_FILE = os.path.join(".lockstitch", "unchanged.json")
_IMAGES = os.path.join(".lockstitch", "images")
_DOCUMENT = 256 << 10  # bytes of a manifest, a config or a bill of materials
_TICK = 50_000_000  # nanoseconds in which all clocks of file times tick
_NEVER = 1 << 62
_MOST_READ = 16 << 20  # bytes of files of just now that are compared by what is in them
# What tells the version of a driver, which notes about images with CUDA name.
_DRIVER, _SMI = "/proc/driver/nvidia/version", "nvidia-smi"


def answer(words: "Sequence[str]") -> int | None:
    """Repeat the answer of the last build of these words, or return None where one has to look."""
    from lockstitch import clock

    started = clock.monotonic()
    root = os.getcwd()
    _LOOKS.clear()
    try:
        with open(_FILE, "rb") as handle:
            total, _, text = handle.read().partition(b"\n")
        if hashlib.sha256(text).hexdigest().encode() != total:
            return None
        record = json.loads(text)
        known = record["builds"].get(_key(words))
        if known is None or record["root"] != root:
            return None
        seen = {
            "inputs": _LOOKS.setdefault(root, _look(root))[1].digest,
            "around": _around(record["beside"]).digest,
            "images": _images(root).digest,
        }
        if seen != {**record["seen"], "images": known["images"]}:
            return None
        recent = record["recent"]
        if any(_of_file(path) != recent[path] for path in recent):
            return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    from lockstitch.progress import say

    for lines, out in known["said"]:
        for line in lines:
            say(line)
        sys.stdout.write(out)
        sys.stdout.flush()
    if not known["json"]:
        say(f"up to date in {clock.monotonic() - started:.2f} s")
    return 0


class _Seen:
    """A listing: the digest of all lines, and files that were written later than a time."""

    def __init__(self, listing: Listing, more: "Iterable[str]" = ()) -> None:
        text = "\n".join([*listing.lines, *more])
        self.digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        self.recent = listing.recent


_LOOKS: "dict[str, tuple[int, _Seen]]" = {}  # of `answer`, for the build that follows it


class Watch:
    """Sees what a build is made from before it reads it, and remembers its answer if that stays."""

    def __init__(self, root: str, words: "Sequence[str]") -> None:
        """Look at the project, unless `answer` just did; raises OSError where that cannot be."""
        self._root, self._words = root, words
        self._since, self._before = _LOOKS.pop(root) if root in _LOOKS else _look(root)
        self._recent = _contents(self._before.recent)

    def keep(
        self, talk: "Sequence[tuple[list[str], str]]", beside: "Sequence[str]", *, as_json: bool
    ) -> None:
        """Remember the answer of a build that has nothing to do, unless a file changed since.

        That is lines of talk and what they lead to, in turn. `beside` are files outside of the
        project that decide it too.
        """
        from pathlib import Path

        from lockstitch import files

        inputs, around = _inputs(self._root, self._since), _around(beside, self._since)
        recent = [_contents(seen.recent) for seen in (inputs, around)]
        unsettled = _around(beside, self._since + STEP - _TICK).recent
        if (inputs.digest, recent[0]) != (self._before.digest, self._recent) or unsettled:
            return
        if None in recent:
            return
        record = {
            "root": self._root,
            "beside": list(beside),
            "seen": {"inputs": inputs.digest, "around": around.digest},
            "recent": {**(recent[0] or {}), **(recent[1] or {})},
        }
        answer = {"images": _images(self._root).digest, "said": list(talk), "json": as_json}
        path = os.path.join(self._root, _FILE)
        builds = _builds(path, record) | {_key(self._words): answer}
        text = json.dumps(record | {"builds": builds}, sort_keys=True).encode()
        total = hashlib.sha256(text).hexdigest().encode()
        if os.path.isdir(path):
            files.remove(Path(path))
        files.write_bytes(Path(path), total + b"\n" + text, synced=False)  # it has its sum


def _builds(path: str, record: "Mapping[str, Any]") -> "dict[str, Any]":
    """Return the answers that the same inputs have for other words."""
    try:
        with open(path, "rb") as handle:
            known = json.loads(handle.read().partition(b"\n")[2])
        return dict(known["builds"]) if known["seen"] == record["seen"] else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _key(words: "Sequence[str]") -> str:
    return json.dumps(list(words))


def _look(root: str) -> "tuple[int, _Seen]":
    """Return the state of a project before a build, and since when a file of it counts as new."""
    from lockstitch import clock

    since = int(clock.now() * 1e9) - STEP
    return since, _inputs(root, since)


def _inputs(root: str, since: int = _NEVER) -> _Seen:
    listing = Listing(since)
    listing.add_tree(root)
    environment = [f"{name}={value}" for name, value in environ.everything().items()]
    about = [__version__, sys.version, sys.executable, *sys.path, _of_file(_DRIVER)]
    places = (os.path.join(folder, _SMI) for folder in os.get_exec_path())
    about += [place for place in places if os.path.exists(place)]
    return _Seen(listing, [*_program(), *environment, *about])


@functools.cache
def _program() -> "list[str]":
    """Return the files of this program, which nothing edits while it runs."""
    listing = Listing(_NEVER)
    listing.add_tree(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return listing.lines


def _around(beside: "Iterable[str]", since: int = _NEVER) -> _Seen:
    listing = Listing(since)
    for path in beside:
        listing.add(path)
    return _Seen(listing)


def _images(root: str) -> _Seen:
    """Return the state of the project's layout: its documents, by their contents.

    Layers by their stat, however young: who wrote them has hashed them, as the store takes them.
    """
    listing = Listing(_NEVER)
    folder = os.path.join(root, _IMAGES)
    listing.add_tree(folder)
    paths = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names]
    small = (path for path in paths if os.stat(path).st_size < _DOCUMENT)
    return _Seen(listing, sorted([f"{path} {_of_file(path)}" for path in small]))


def _contents(paths: "Sequence[str]") -> "dict[str, str] | None":
    """Return the digests of files of just now, None where they are too many bytes to read again."""
    total = 0
    for path in paths:
        try:
            total += os.stat(path).st_size
        except OSError:
            continue
    return {path: _of_file(path) for path in paths} if total <= _MOST_READ else None


def _of_file(path: str) -> str:
    """Return the digest of a file's content, an empty text where there is none."""
    try:
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""
