"""The two environments of an experiment: what of their difference can be tried, and how.

Packages that need each other's exact version are one cause. What counts is what the installed
packages of both sides require (Requires-Dist), not a list of names: torch and its nvidia-*,
pydantic and pydantic-core, and whatever comes next.
"""

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from lockstitch.drift import compare, effects
from lockstitch.drift.bisect.model import Cause, Mixture, Question, closure
from lockstitch.drift.compare import Difference
from lockstitch.drift.effects import Effect
from lockstitch.errors import LockstitchError, UsageError, raise_all
from lockstitch.fingerprint.model import Fingerprint, Package, Python
from lockstitch.python import names
from lockstitch.python.names import normal
from lockstitch.runtime.fingerprint import VARIABLES
from lockstitch.table import counted
from lockstitch.values import field, frozen, replace

PYTHON = "Python"  # a label that no package and no variable has
_SHOWN = 4  # differences that cannot be tried which are named; the others are counted
# How likely a cause is, beside the others: by what is known of it. Hundreds that are not imported
# weigh together what a few that compute do: none of them takes many runs more.
_NAMED, _KNOWN, _COMPUTES, _MATTERS, _SEEN, _UNKNOWN, _ELSE = 64.0, 12.0, 7.0, 2.5, 1.0, 0.6, 0.5


def minor(version: str) -> str:
    """Return a version without its patch number; a `t` at its end is free-threaded."""
    return names.minor(version).rstrip("t") + "t" * version.endswith("t")


@frozen
class Setting:
    """A variable that is to be tried with two values; "" is unset."""

    name: str
    before: str
    after: str


@frozen
class Side:
    """One of the two environments."""

    word: str  # as it was typed
    fingerprint: Fingerprint
    read: Callable[[str], Fingerprint]  # by version of Python
    python: str  # the version to make it with

    def importing(self, packages: frozenset[str] | None) -> "Side":
        """Return the side with the packages that runs were seen to import, where that is known."""
        if not packages:
            return self
        known = replace(self.fingerprint, imported=tuple(sorted(packages)))
        return replace(self, fingerprint=known)

    def packages(self, python: str) -> Fingerprint:
        """Return its packages for a Python; a lock may have others for another one."""
        return self.fingerprint if minor(python) == minor(self.python) else self.read(python)


@frozen
class Requirements:
    """An environment to make: an interpreter, and a line of requirements for each package."""

    python: str
    pins: tuple[str, ...]


@frozen
class Content:
    """A file of the project on one side."""

    data: bytes | None  # None where there is no such file
    commit: str = ""  # that has it, "" where the project's folder does


Contents = Mapping[str, tuple[Content, Content]]  # in A and B, by path


@frozen
class Ends:
    """Both sides, their differences that can be tried, and those that cannot."""

    before: Side
    after: Side
    causes: tuple[Cause, ...]  # the likeliest first
    beside: tuple[Difference, ...]  # can change results, and is the same in every mixture
    given: frozenset[str]  # names of packages that are installed otherwise
    aside: tuple[Difference, ...] = ()  # the same, and not known to change results
    contents: Contents = field(default_factory=dict)  # of files that can be tried

    def wanted(self, mixture: Mixture) -> Requirements:
        """Return a mixture's environment; raises LockstitchError for packages on no index."""
        changed = {name for c in self.causes if c.label in mixture for name in c.packages}
        python = (self.after if PYTHON in mixture else self.before).python
        before, after = self.before.packages(python), self.after.packages(python)
        names = sorted({package.name for package in (*before.packages, *after.packages)})
        chosen = [(after if name in changed else before).package(name) for name in names]
        wanted = [package for package in chosen if package and package.name not in self.given]
        raise_all([problem for package in wanted for problem in _problems(package)])
        return Requirements(python=python, pins=tuple(_pin(package) for package in wanted))

    def files(self, mixture: Mixture) -> dict[str, bytes | None]:
        """Return the files of a mixture that differ, by path; None is one that must not exist."""
        return {
            name: both[f"./{name}" in mixture].data for name, both in sorted(self.contents.items())
        }

    def variables(self, mixture: Mixture) -> dict[str, str | None]:
        """Return the variables of a mixture; None is one that must not be set."""
        both = (self.before.fingerprint.variables or {}, self.after.fingerprint.variables or {})
        shared = {k: v for k, v in both[0].items() if k in VARIABLES and both[1].get(k) == v}
        variables: dict[str, str | None] = dict(sorted(shared.items()))
        for cause in self.causes:
            for part in cause.parts:
                if part.what == "variable":
                    value = part.after if cause.label in mixture else part.before
                    variables[part.name] = value or None
        return variables


def setting(text: str) -> Setting:
    """Return the setting `NAME=A,B`; raises UsageError when the text has another form."""
    match = re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*)=([^,]*),([^,]*)", text)
    if not match or match[2] == match[3]:
        message = f"--setting is `{text:.80}`, not NAME=A,B with two values"
        raise UsageError(message, hint="--setting OMP_NUM_THREADS=8,1")
    return Setting(name=match[1], before=match[2], after=match[3])


def between(
    before: Side,
    after: Side,
    settings: Sequence[Setting] = (),
    *,
    given: frozenset[str] = frozenset(),
    graph: Fingerprint | None = None,
    contents: Contents | None = None,
    code: Callable[[], Collection[str]] = tuple,
) -> Ends:
    """Return both sides with their differences, ranked by effect; `settings` come first.

    `given` names packages that are installed otherwise, `graph` is a lock that knows which package
    requires which, `contents` has the files of the project that both sides have here, `code`
    returns the words of the code that runs.
    """
    asked = frozenset(one.name for one in settings)
    old = _with(before, {one.name: one.before for one in settings})
    new = _with(after, {one.name: one.after for one in settings})
    if (old.fingerprint.variables is None) != (new.fingerprint.variables is None):
        # Only one of them knows its variables: what was not asked for is no difference.
        old, new = _asked(old, asked), _asked(new, asked)
    differences = [
        change
        for change in compare.between(old.fingerprint, new.fingerprint, graph, code)
        if change.name not in given and change.effect is not Effect.RESULT
    ]
    known = contents or {}
    tried = [
        difference
        for difference in differences
        if (
            difference.name in known
            if difference.what == "input"
            else _tried(difference, old, new, asked)
        )
    ]
    rest = [
        difference
        for difference in differences
        if difference not in tried and not _own(difference, old, new)
    ]
    causes = sorted(_causes(tried), key=lambda cause: cause.parts[0].name not in asked)
    return Ends(
        before=old,
        after=new,
        causes=tuple(causes),
        beside=tuple(change for change in rest if change.effect.matters),
        given=given,
        aside=tuple(change for change in rest if not change.effect.matters),
        contents=known,
    )


def _with(side: Side, variables: Mapping[str, str]) -> Side:
    known = side.fingerprint.variables
    set_here = {name: value for name, value in variables.items() if value}
    merged = None if known is None and not variables else {**(known or {}), **set_here}
    if merged is not None:
        merged = {k: v for k, v in merged.items() if k not in variables or variables[k]}
    python = side.fingerprint.python or Python(version=side.python)
    return replace(side, fingerprint=replace(side.fingerprint, variables=merged, python=python))


def _asked(side: Side, names: frozenset[str]) -> Side:
    known = side.fingerprint.variables or {}
    kept = {name: value for name, value in known.items() if name in names}
    return replace(side, fingerprint=replace(side.fingerprint, variables=kept))


def _tried(change: Difference, before: Side, after: Side, asked: frozenset[str]) -> bool:
    """Return whether a difference can be tried on this machine."""
    if change.what == "variable":
        # A fingerprint is a foreign file: it sets no variable but those of the list.
        return change.name in VARIABLES or change.name in asked
    if change.what == "python":
        return change.effect.matters and before.python != after.python
    if change.what != "package" or change.kind in {"edited", "tests only"}:
        return False
    packages = [side.fingerprint.package(change.name) for side in (before, after)]
    if any(package and package.origin and not _address(package) for package in packages):
        return False
    return change.kind != "other files" or all(p and p.artifacts for p in packages)


def _causes(tried: Sequence[Difference]) -> Iterator[Cause]:
    python = [difference for difference in tried if difference.what == "python"]
    for difference in tried:
        if difference.what == "variable":
            yield Cause(label=f"${difference.name}", parts=(difference,))
        elif difference.what == "package":
            yield Cause(label=difference.name, parts=(difference,))
        elif difference.what == "input":
            yield Cause(label=f"./{difference.name}", parts=(difference,))
        elif difference is python[0]:
            yield Cause(label=PYTHON, parts=tuple(python))


def _own(change: Difference, before: Side, after: Side) -> bool:
    """Return whether it is the project itself, whose code is the same in every mixture."""
    packages = [side.fingerprint.package(change.name) for side in (before, after)]
    return change.what == "package" and any(p and p.origin == "editable" for p in packages)


def _pin(package: Package) -> str:
    hashes = "".join(f" --hash={digest}" for digest in sorted(package.artifacts))
    address = _address(package)
    what = f" @ {address}" if address else f"=={package.version.strip()}"
    return f"{package.name}{what}{hashes}"


def _address(package: Package) -> str:
    """Return where a lock has a package from when no index need have it, else "".

    A local version (`2.5.1+cpu`) is on an index of its own, which other packages may not use.
    """
    elsewhere = package.origin == "archive" or "+" in package.version
    known = bool(package.artifacts) and re.fullmatch(r"https?://[!-~]+", package.url)
    return package.url if elsewhere and known else ""


def _problems(package: Package) -> Iterator[LockstitchError]:
    name = package.name
    if package.origin and not _address(package):
        where = package.origin.partition(" ")[0]
        where = {"archive": "an address", "folder": "a folder"}.get(where, where)
        message = f"`{name}` comes from {where}, which no index has under its name"
        hint = f"name its wheel for every mixture: --with '{name} @ PATH-OR-ADDRESS'"
        yield LockstitchError(message, hint=hint)
        return
    try:
        # Both become a line that uv reads: no option may hide in a lock.
        if not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", name):
            message = f"`{name!r:.80}` is no normalised name of a package"
            yield LockstitchError(message, hint="lock again")
        Version(package.version)
    except InvalidVersion:
        message = f"`{name}` has the version `{package.version:.80}`: that is no single one"
        yield LockstitchError(message, hint="choose the groups of one image: --image NAME")


# --- packages that change together


@frozen
class Installed:
    """The packages of one side: their versions, and what each requires."""

    versions: Mapping[str, str]
    requires: Mapping[str, Sequence[str]]  # lines of Requires-Dist by name
    python: str  # X.Y of it, which decides markers


def implied(before: Installed, after: Installed, changed: Iterable[str]) -> dict[str, Mixture]:
    """Return for each changed package those that must be as in B when it is.

    A requirement that its own side does not meet is ignored: it was overridden. What one side
    alone has and one changed package alone requires goes with that package.
    """
    needs: dict[str, set[str]] = {name: set() for name in changed}
    required = (_required(before), _required(after))
    for own, other, forward in ((before, after, False), (after, before, True)):
        asking: dict[str, list[str]] = {}
        for name, wanted in required[forward].items():
            for need in wanted:
                asking.setdefault(need, []).append(name)
            for need in _broken(wanted, own, other) if name in needs else ():
                if need in needs and need != name:
                    # As in B it needs B's other; as in A it needs A's, so that B's needs B's.
                    one, two = (name, need) if forward else (need, name)
                    needs[one].add(two)
        for name, owners in asking.items():
            if len(owners) == 1 and name not in other.versions and {name, *owners} <= {*needs}:
                needs[name].add(owners[0])
                needs[owners[0]].add(name)
    return {name: frozenset(names - {name}) for name, names in needs.items()}


def coupled(causes: Sequence[Cause], needs: Mapping[str, Mixture]) -> list[Cause]:
    """Return the causes; those that imply each other become one, in the place of the first."""
    reach = {cause.label: closure(frozenset({cause.label}), needs) for cause in causes}
    joined: list[Cause] = []
    taken: set[str] = set()
    for main in causes:
        if main.label in taken:
            continue
        same = [c for c in causes if c.label in reach[main.label] and main.label in reach[c.label]]
        group = [main, *(c for c in same if c is not main)]
        taken |= {c.label for c in group}
        parts = tuple(part for cause in group for part in cause.parts)
        joined.append(Cause(label=main.label, parts=parts))
    return joined


def question(causes: Sequence[Cause], needs: Mapping[str, Mixture]) -> Question:
    """Return the search among causes that are coupled already."""
    owner = {name: cause.label for cause in causes for name in cause.packages}
    between = {
        cause.label: frozenset(
            owner[need] for name in cause.packages for need in needs.get(name, ()) if need in owner
        )
        - {cause.label}
        for cause in causes
    }
    weights = {cause.label: _weight(cause) for cause in causes}
    likeliest = sorted(weights, key=lambda label: -weights[label])
    return Question(causes=tuple(likeliest), implied=between, weights=weights)


def _weight(cause: Cause) -> float:
    """Return how likely a cause is: by its likeliest part, as they are ranked."""
    part = cause.parts[0]
    if not cause.matters:
        return {None: _UNKNOWN, True: _SEEN, False: _ELSE}[part.imported]
    if part.imported is False and not effects.is_unasked(part.name):
        return _ELSE  # it computes, but nothing of it was loaded
    if part.concerned:
        return _NAMED
    if cause.known or part.what in {"variable", "input"}:
        return _KNOWN
    return _COMPUTES if effects.is_numeric(part.name) else _MATTERS


def _required(side: Installed) -> dict[str, dict[str, Requirement]]:
    """Return the requirements of each package of a side without extras, by name."""
    environment = {"python_version": side.python, "python_full_version": f"{side.python}.0"}
    required: dict[str, dict[str, Requirement]] = {}
    for name, lines in side.requires.items():
        required[name] = {}
        for line in lines:
            try:
                requirement = Requirement(line)
            except InvalidRequirement:
                continue  # an old package with a line that pip, too, passes over
            marker = requirement.marker
            if marker is None or marker.evaluate({**environment, "extra": ""}):
                required[name][normal(requirement.name)] = requirement
    return required


def _broken(wanted: Mapping[str, Requirement], own: Installed, other: Installed) -> Iterator[str]:
    """Yield the requirements of one side's package that the other side cannot meet."""
    for need, requirement in wanted.items():
        if _fits(requirement, own.versions.get(need)) and not _fits(
            requirement, other.versions.get(need)
        ):
            yield need


def _fits(requirement: Requirement, version: str | None) -> bool:
    return version is not None and requirement.specifier.contains(version, prereleases=True)


# --- what cannot be tried


def untried(ends: Ends, *, everything: bool = False) -> list[str]:
    """Return lines of what differs and is the same in every mixture, and how it can be tried.

    With `everything` also of what is not known to change results.
    """
    lines = []
    if ends.beside:
        count = counted(len(ends.beside), "difference")
        lines.append(f"{count} that can change results cannot be tried here:")
        lines += [_untried(difference) for difference in ends.beside[:_SHOWN]]
    if ends.aside and everything:
        count = counted(len(ends.aside), "difference")
        lines.append(f"{count} not known to change results cannot be tried either:")
        lines += [_untried(difference) for difference in ends.aside[:_SHOWN]]
    more = max(0, len(ends.beside) - _SHOWN) + max(0, len(ends.aside) - _SHOWN) * everything
    return [*lines, *([f"  and {more} more: lockstitch diff"] if more else [])]


def _untried(change: Difference) -> str:
    name, before, after = row(change)
    return f"  {name} ({change.kind}) {before} → {after}{_tried_so(change)}"


def _tried_so(change: Difference) -> str:
    """Return how a difference of machines can be tried on one, or why it cannot."""
    if change.what == "blas" and change.name.startswith("openblas") and "kernels" in change.name:
        return f"; try --setting OPENBLAS_CORETYPE={change.before},{change.after}"
    if (change.what == "blas" and "threads" in change.name) or change.name == "cores":
        return f"; try --setting OMP_NUM_THREADS={change.before},{change.after}"
    if change.what == "variable":
        return f"; try --setting {shlex.quote(f'{change.name}={change.before},{change.after}')}"
    if change.what == "input":
        return "; its content of both sides is not here, in no commit of the two runs"
    if change.what == "python":
        return f"; uv python install {change.before} {change.after}"
    if change.what == "system package":
        return "; try it in an image of each: lockstitch run --in-image"
    return ""


def row(change: Difference) -> list[str]:
    """Return a difference as its name and both values, for people."""
    name = change.name if change.what == "package" else f"{change.what} {change.name}"
    unset = "unset" if change.what == "variable" else "-"
    if change.kind == "other files":
        return [name, change.before, f"{change.after}, other files"]
    return [name, change.before or unset, change.after or unset]
