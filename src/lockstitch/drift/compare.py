"""Differences between two environments, by meaning and never by bytes, ranked by effect."""

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from lockstitch.drift import effects
from lockstitch.drift.effects import Effect, KnownChange, Ranks
from lockstitch.fingerprint.model import Blas, Cpu, Fingerprint, Gpu, Package, Python, System
from lockstitch.table import first_of
from lockstitch.values import frozen, replace

_LOCALES = ("LANG", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_NUMERIC", "LC_TIME")
_HARMLESS = ("SOURCE_DATE_EPOCH", "PYTHONUTF8")
_UTC = ("UTC", "Etc/UTC", "GMT")


@frozen
class Difference:
    """One thing that is not the same in two environments."""

    what: str  # "package", or a part of a fingerprint: "python", "blas", "variable", …
    name: str
    kind: str  # "changed", "added", "removed"; of packages also "other files", "edited", …
    before: str  # "" where it is added
    after: str  # "" where it is removed
    effect: Effect
    imported: bool | None = None  # by the recorded run; None when there is none
    direct: bool | None = None  # whether the project requires it itself
    by: tuple[str, ...] = ()  # packages that require it
    known: tuple[KnownChange, ...] = ()  # changes of results that lie between two versions
    concerned: bool = False  # whether the code names what one of them changed

    def document(self) -> dict[str, Any]:
        """Return the difference as JSON."""
        keys = ("what", "name", "kind", "before", "after", "imported", "direct")
        document: dict[str, Any] = {key: getattr(self, key) for key in keys}
        return document | {
            "by": list(self.by),
            "effect": self.effect.name.lower().replace("_", "-"),
            "matters": self.effect.matters,
            "known": [change.document() for change in self.known],
        }


def between(
    before: Fingerprint,
    after: Fingerprint,
    graph: Fingerprint | None = None,
    code: Callable[[], Collection[str]] = tuple,
) -> list[Difference]:
    """Return everything that differs, what can change results first.

    What one side does not know is no difference. `graph` is a lock that knows which package
    requires which, `code` returns the words of the code that runs: known changes of what it names
    go before others.
    """
    ranks = Ranks(before, after)
    known_by = (before, after, *([graph] if graph else []))
    # An editable install is the project itself, which an export of a lock leaves out.
    own = {p.name for cause in known_by for p in cause.packages if p.origin == "editable"}
    differences = [
        _package(name, change, ranks, known_by)
        for name in sorted({package.name for package in (*before.packages, *after.packages)})
        for change in _changes(before.package(name), after.package(name))
        if name not in own or change[0] not in {"added", "removed"}
    ]
    differences += _around(before, after)
    words = code() if any(difference.known for difference in differences) else ()
    marked = [
        replace(difference, concerned=any(change.concerns(words) for change in difference.known))
        for difference in differences
    ]
    return sorted(marked, key=_order)


def matters(differences: Sequence[Difference]) -> bool:
    """Return whether any of the differences can change results."""
    return any(difference.effect.matters for difference in differences)


def _order(change: Difference) -> tuple[int, bool, bool, int, int, str, str, str]:
    # A known change of results goes before others of its rank, first of what the code names; a
    # larger step before a smaller.
    step = effects.step(change.before, change.after) if change.what == "package" else 0
    seen = (change.effect, not change.concerned, not change.known)
    return (*seen, effects.order(change.name), step, change.what, change.name, change.kind)


# --- packages

Change = tuple[str, str, str]  # kind, before, after


def _package(
    name: str, change: Change, ranks: Ranks, known_by: Sequence[Fingerprint]
) -> Difference:
    kind, before, after = change
    direct, by = effects.required_by(name, known_by)
    one_side = kind in {"added", "removed"}
    effect = ranks.of_one_side(name) if one_side else ranks.of(name, edited=kind == "edited")
    return Difference(
        what="package",
        name=name,
        kind=kind,
        before=before,
        after=after,
        effect=Effect.NONE if kind == "tests only" else effect,
        imported=ranks.was_imported(name),
        direct=direct,
        by=by,
        known=effects.known_changes(name, before, after) if kind == "changed" else (),
    )


def _changes(before: Package | None, after: Package | None) -> Iterator[Change]:
    if before is None or after is None:
        if before:
            yield "removed", before.version, ""
        if after:
            yield "added", "", after.version
        return
    if before.version != after.version:
        yield "changed", before.version, after.version
    elif kind := _other_files(before, after):
        yield kind, before.version, after.version
    if before.edited != after.edited:
        yield "edited", _edited(before), _edited(after)


def _edited(package: Package) -> str:
    """Return the first edit of a package's files by hand, and how many more there are."""
    return first_of(package.edited, 1) or "as installed"


def _other_files(before: Package, after: Package) -> str:
    """Return how the files of two packages of one version differ, "" where they do not."""
    if before.record and after.record:
        if before.record == after.record:
            return ""
        return "tests only" if before.code == after.code else "other files"
    if before.artifacts and after.artifacts:
        return "" if {*before.artifacts} & {*after.artifacts} else "other files"
    if before.origin != after.origin and "editable" not in {before.origin, after.origin}:
        return "other files"
    return "other files" if _other_tags(before.tags, after.tags) else ""


def _other_tags(before: Sequence[str], after: Sequence[str]) -> bool:
    """Return whether two wheels are for other machines, as far as their tags are to be trusted."""
    if not before or not after or {*_single(before)} & {*_single(after)}:
        return False
    # A wheel that was repaired may keep the tag of the machine that built it in its WHEEL.
    return not any("-linux_" in tag for tag in (*before, *after))


def _single(tags: Sequence[str]) -> Iterator[str]:
    """Yield each tag of compressed sets, as maturin wrote them into WHEEL (PEP 425)."""
    for tag in tags:
        yield from map("-".join, itertools.product(*(part.split(".") for part in tag.split("-"))))


# --- what is around the packages: interpreter, BLAS, processor, settings, the base


def _around(before: Fingerprint, after: Fingerprint) -> Iterator[Difference]:
    """Yield the differences in the parts that both sides know."""
    for part, differences in _PARTS.items():
        one, other = getattr(before, part), getattr(after, part)
        if one is not None and other is not None:
            yield from differences(one, other)
    if before.kind == after.kind == "environment":
        yield from _gpu(before.gpu or Gpu(driver=""), after.gpu or Gpu(driver=""))


def _difference(what: str, effect: Effect, name: str, before: str, after: str) -> Difference:
    kind = "added" if not before else "changed" if after else "removed"
    return Difference(what=what, name=name, kind=kind, before=before, after=after, effect=effect)


def _differs(what: str, effect: Effect, *rows: tuple[str, str, str]) -> Iterator[Difference]:
    """Yield rows of name, before and after that differ, where both are known."""
    for name, before, after in rows:
        if before and after and before != after:
            yield _difference(what, effect, name, before, after)


def _results(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    """Yield the results that differ, metrics first: they are to be explained."""
    for name in sorted({*before, *after}, key=str.encode):
        was, now = (digests.get(name, "").removeprefix("sha256:") for digests in (before, after))
        if was != now:
            what, _, short = name.partition(" ")
            cut = slice(12 if what == "output" else None)
            yield _difference(what, Effect.RESULT, short, was[cut], now[cut])


def _inputs(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for path in sorted({*before, *after}, key=str.encode):
        if before.get(path) != after.get(path):
            short = [inputs.get(path, "").partition(":")[2][:12] for inputs in (before, after)]
            yield _difference("input", Effect.INPUT, path, *short)


def _python(before: Python, after: Python) -> Iterator[Difference]:
    # A lock may say 3.11 and an environment 3.11.7: that is no difference.
    exact = before.version.count(".") == after.version.count(".")
    versions = (before.version, after.version) if exact else (before.minor, after.minor)
    threads = [
        "free-threaded" if python.free_threaded else "with a GIL" for python in (before, after)
    ]
    yield from _differs(
        "python",
        Effect.PYTHON,
        ("version", *versions),
        ("implementation", before.implementation, after.implementation),
        ("threads", threads[0], threads[1]),
    )
    if before.version == after.version:
        yield from _differs(
            "python",
            Effect.NONE,
            ("compiler", before.compiler, after.compiler),
            ("build", before.build, after.build),
        )


def _platform(before: System, after: System) -> Iterator[Difference]:
    yield from _differs(
        "platform",
        Effect.CPU,
        ("system", before.system, after.system),
        ("machine", before.machine, after.machine),
    )
    yield from _differs("platform", Effect.LIBRARY, ("libc", before.libc, after.libc))
    yield from _differs("platform", Effect.NONE, ("release", before.release, after.release))


def _cpu(before: Cpu, after: Cpu) -> Iterator[Difference]:
    lost = sorted({*before.features} - {*after.features})
    new = sorted({*after.features} - {*before.features})
    if lost or new:
        texts = [" ".join(f"+{flag}" for flag in some) or "without them" for some in (lost, new)]
        yield _difference("cpu", Effect.CPU, "features", *texts)
    yield from _differs("cpu", Effect.NONE, ("model", before.model, after.model))
    cores = (f"{before.cores or ''}", f"{after.cores or ''}")
    yield from _differs("cpu", Effect.THREADS, ("cores", *cores))


def _gpu(before: Gpu, after: Gpu) -> Iterator[Difference]:
    rows = [
        ("driver", before.driver, after.driver),
        ("cuda", before.cuda, after.cuda),
        ("cudnn", before.cudnn, after.cudnn),
        ("devices", ", ".join(before.devices), ", ".join(after.devices)),
    ]
    for row in rows:
        if row[1] != row[2]:
            yield _difference("gpu", Effect.GPU, *row)


def _blas(before: tuple[Blas, ...], after: tuple[Blas, ...]) -> Iterator[Difference]:
    old = {(blas.owner, blas.name): blas for blas in before}
    new = {(blas.owner, blas.name): blas for blas in after}
    for owner, library in sorted({*old, *new}):
        was, now = old.get((owner, library)), new.get((owner, library))
        name = f"{library} of {owner}"
        if was is None or now is None:
            texts = [blas.version or blas.file if blas else "" for blas in (was, now)]
            yield _difference("blas", Effect.BLAS, name, *texts)
            continue
        both = bool(was.version and now.version) and was.version != now.version
        values = (was.version, now.version) if both else (was.file, now.file)
        kernels = (f"{name}, kernels", was.kernels, now.kernels)
        yield from _differs("blas", Effect.BLAS, (name, *values), kernels)
        threads = (f"{name}, threads", f"{was.threads or ''}", f"{now.threads or ''}")
        yield from _differs("blas", Effect.THREADS, threads)


def _variables(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        was, now = before.get(name, ""), after.get(name, "")
        if was != now:
            yield _difference("variable", _effect(name, was, now), name, was, now)


def _effect(name: str, before: str, after: str) -> Effect:
    if name in _HARMLESS or (name == "TZ" and before in _UTC and after in _UTC):
        return Effect.NONE
    if name in _LOCALES:
        plain = effects.is_plain_locale(before) and effects.is_plain_locale(after)
        return Effect.NONE if plain else Effect.SETTING
    return Effect.THREADS if name.endswith("_THREADS") else Effect.SETTING


def _system(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for name in sorted({*before} & {*after}):
        effect = Effect.LIBRARY if effects.computes(name) else Effect.NONE
        yield from _differs("system package", effect, (name, before[name], after[name]))
    # A desktop has a thousand packages that an image has not: that is one line.
    lost, new = len({*before} - {*after}), len({*after} - {*before})
    if lost or new:
        what, name = "system packages", "on one side only"
        yield _difference(what, Effect.NONE, name, str(lost), str(new))


# What finds the differences of each part of a fingerprint that both sides know.
_PARTS: dict[str, Callable[[Any, Any], Iterator[Difference]]] = {
    "results": _results,
    "inputs": _inputs,
    "python": _python,
    "platform": _platform,
    "cpu": _cpu,
    "blas": _blas,
    "variables": _variables,
    "settings": _variables,
    "system": _system,
}
