"""Changes between two states of a project's locks, by meaning and never by bytes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstitch import files
from lockstitch.errors import LockstitchError
from lockstitch.lock import file as lock_file
from lockstitch.lock.file import REQUIREMENTS, Lock, pylock_name
from lockstitch.python import locks
from lockstitch.python.locks import lists
from lockstitch.python.model import Project
from lockstitch.python.target import Target
from lockstitch.values import frozen

ELSEWHERE = "package, other Pythons"  # a further version of a package, which no image has


@frozen
class Change:
    """One thing that was added, removed, changed, or has other files under the same version."""

    what: str  # "package", "build requirement", "debian package", "tool"
    name: str
    before: str  # "" where it is added
    after: str  # "" where it is removed
    images: tuple[str, ...] = ()  # that hold something else because of it
    membership: str = ""  # "joined" or "left" where an image has it now, or no longer

    @property
    def kind(self) -> str:
        """Return the change in a word or two."""
        if not self.before:
            return "added"
        if not self.after:
            return "removed"
        if self.before != self.after:
            return "moved"
        return self.membership or "other files"

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        keys = ("what", "name", "before", "after")
        result: dict[str, Any] = {key: getattr(self, key) for key in keys}
        return result | {"kind": self.kind, "images": list(self.images)}


Pins = Mapping[str, tuple[str, frozenset[str]]]  # name -> versions as one text, sha256 of files


@frozen
class State:
    """The pins of a folder's locks."""

    images: Mapping[str, Pins]
    packages: Pins  # of every group and extra; of those that images have, as these have them
    elsewhere: Pins  # further versions of packages of images, for Pythons or systems of none
    build: Pins
    debian: Mapping[str, Pins]  # by platform
    services: Pins
    tools: Pins


def state(project: Project) -> State:
    """Return the pins of the locks in a project's folder; one that cannot be read pins nothing."""
    lock: Lock | None
    try:
        lock = lock_file.read(project.root)
    except LockstitchError:
        lock = None
    targets = [base.target() for base in lock.bases] if lock else []
    images = {
        image.name: _image(project.root / pylock_name(image.name), targets)
        for image in project.images
    }
    every = _requirements(_text(project.root / REQUIREMENTS))
    present: dict[str, set[str]] = {}
    for pins in images.values():
        for name, (versions, _) in pins.items():
            present.setdefault(name, set()).update(versions.split(", "))
    elsewhere = {
        name: ", ".join(sorted({*versions.split(", ")} - present[name]))
        for name, (versions, _) in every.items()
        if name in present
    }
    own = {
        name: (", ".join(sorted(several)), frozenset[str]()) for name, several in present.items()
    }
    return State(
        images=images,
        packages={**every, **own},
        elsewhere={name: (text, frozenset()) for name, text in elsewhere.items() if text},
        build=_requirements("\n".join(lock.build if lock else ())),
        debian={base.platform: base.pins() for base in (lock.bases if lock else ())},
        services={
            service.name: (service.version, frozenset())
            for service in (lock.services if lock else ())
        },
        tools={
            tool.partition(" ")[0]: (tool.partition(" ")[2], frozenset())
            for tool in (lock.tools if lock else ())
        },
    )


def _text(path: Path) -> str:
    return files.read_text(path) if path.exists() else ""


def _image(path: Path, targets: Sequence[Target]) -> Pins:
    """Return the pins of an image's lock for its platforms and its Python."""
    try:
        packages = locks.read(path.name, _text(path)).packages if path.exists() else ()
    except LockstitchError:
        return {}
    versions: dict[str, set[str]] = {}
    hashes: dict[str, set[str]] = {}
    for package in packages:
        if not _is_for(package.marker, targets):
            continue
        versions.setdefault(package.name, set()).add(package.version or "?")
        hashes.setdefault(package.name, set()).update(w.sha256 for w in package.wheels)
    return {
        name: (", ".join(sorted(pinned)), frozenset(hashes[name]))
        for name, pinned in versions.items()
    }


def _is_for(marker: str, targets: Sequence[Target]) -> bool:
    """Return whether a marker (PEP 508) holds on a target, or cannot be decided by one."""
    if not marker or not targets:
        return True
    from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName

    try:
        parsed = Marker(marker)
        return any(parsed.evaluate(dict(target.markers())) for target in targets)
    except (InvalidMarker, UndefinedEnvironmentName):
        return True


def _requirements(text: str) -> Pins:
    versions: dict[str, set[str]] = {}
    for entry in lists.read(text).entries:
        if entry.pinned:
            versions.setdefault(entry.name, set()).add(entry.version)
    return {name: (", ".join(sorted(several)), frozenset()) for name, several in versions.items()}


def between(old: State, new: State) -> list[Change]:
    """Return everything that differs, packages first, each kind sorted by name."""
    changes = []
    for name, before, after in _moved(old.packages, new.packages):
        touched = _touched(name, old, new)
        changes.append(
            Change(what="package", name=name, before=before, after=after, images=touched)
        )
    known = {change.name for change in changes}
    same = sorted({name for pins in new.images.values() for name in pins} - known)
    for name in same:  # the version is the same, a file of it is not
        touched = _touched(name, old, new)
        if touched:
            version = new.packages[name][0]
            change = Change(
                what="package",
                name=name,
                before=version,
                after=version,
                images=touched,
                membership=_membership(name, touched, old, new),
            )
            changes.append(change)
    changes.sort(key=lambda change: change.name)
    changes += _plain(ELSEWHERE, old.elsewhere, new.elsewhere)
    changes += _plain("build requirement", old.build, new.build)
    for platform in sorted({*old.debian, *new.debian}):
        changes += _debian(platform, old, new)
    changes += _plain("service", old.services, new.services)
    return changes + _plain("tool", old.tools, new.tools)


def _plain(what: str, old: Pins, new: Pins) -> list[Change]:
    """Return the changes of packages that no image lists."""
    return [Change(what=what, name=n, before=b, after=a) for n, b, a in _moved(old, new)]


def _membership(name: str, images: tuple[str, ...], old: State, new: State) -> str:
    """Return whether a package joined or left every image that changed because of it."""
    had = {name in old.images.get(image, {}) for image in images}
    has = {name in new.images.get(image, {}) for image in images}
    if had == {False} and has == {True}:
        return "joined"
    return "left" if had == {True} and has == {False} else ""


def _debian(platform: str, old: State, new: State) -> Iterator[Change]:
    """Yield the changes of a base; a base that comes or goes as a whole is one change."""
    before, after = old.debian.get(platform, {}), new.debian.get(platform, {})
    images = tuple(sorted(new.images))
    if not before or not after:
        counts = (f"{len(pins)} packages" if pins else "" for pins in (before, after))
        yield Change(
            what="base", name=platform, before=next(counts), after=next(counts), images=images
        )
        return
    for name, was, now in _moved(before, after):
        kind = "base" if name.startswith("base ") else "debian package"
        yield Change(what=f"{kind}, {platform}", name=name, before=was, after=now, images=images)


def _moved(old: Pins, new: Pins) -> Iterator[tuple[str, str, str]]:
    for name in sorted({*old, *new}):
        before, after = old.get(name, ("", frozenset())), new.get(name, ("", frozenset()))
        if before[0] != after[0] or (before[1] and after[1] and before[1] != after[1]):
            yield name, before[0], after[0]


def _touched(name: str, old: State, new: State) -> tuple[str, ...]:
    return tuple(
        image
        for image in sorted({*old.images, *new.images})
        if old.images.get(image, {}).get(name) != new.images.get(image, {}).get(name)
    )
