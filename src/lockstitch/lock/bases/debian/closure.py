"""From a few packages to all that they need."""

from collections import deque
from collections.abc import Collection, Iterable

from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock.bases.debian.base import DebianPackage
from lockstitch.lock.bases.debian.index import Candidate, Index
from lockstitch.lock.bases.debian.relations import Relation

__all__ = ["close"]

_HINT = "the mirror may be half way through an update: run the command again later"


def close(
    index: Index, roots: Iterable[tuple[Relation, ...]], left_out: Collection[str]
) -> tuple[DebianPackage, ...]:
    """Return the roots and all they depend on, by name, or raise with all that is missing.

    Of alternatives, one that is chosen already wins, else the first that there is. A
    dependency on a package of `left_out` holds without it.
    """
    chosen: dict[str, Candidate] = {}
    problems: dict[str, LockstitchError] = {}
    queue: deque[tuple[str, tuple[Relation, ...]]] = deque(("the base", group) for group in roots)
    while queue:
        owner, group = queue.popleft()
        if any(c.satisfies(relation) for relation in group for c in chosen.values()):
            continue
        match = _first(index, group, left_out)
        if isinstance(match, Candidate):
            chosen[match.package.name] = match
            queue.extend((match.package.name, need) for need in match.needs)
        elif match is None:
            problem = _missing(index, owner, group)
            problems.setdefault(problem.message, problem)
    raise_all(list(problems.values()))
    # By name: the order of choosing must not reach a lock.
    return tuple(chosen[name].package for name in sorted(chosen))


def _first(
    index: Index, group: tuple[Relation, ...], left_out: Collection[str]
) -> Candidate | bool | None:
    """Return the first alternative there is, True when that one is left out, None for none."""
    for relation in group:
        if relation.name in left_out:
            return True
        found = index.satisfying(relation)
        if found is not None:
            return found.package.name in left_out or found
    return None


def _missing(index: Index, owner: str, group: tuple[Relation, ...]) -> LockstitchError:
    wanted = " | ".join(str(relation) for relation in group)
    found = [c.package for r in group if (c := index.best(r.name))]
    has = ", ".join(f"`{package.name} {package.version}`" for package in found)
    message = f"{owner if owner == 'the base' else f'`{owner}`'} needs `{wanted}`, "
    message += f"the mirror has {has}" if has else "the mirror has none"
    return LockstitchError(message, hint=_HINT)
