"""Decides what becomes of each remote hook, and writes the new configuration."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstitch import files, git
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.repository.hooks.known import KnownHook, known
from lockstitch.scaffold.hooks import editing, locked, reading
from lockstitch.scaffold.hooks.locked import Locked
from lockstitch.scaffold.hooks.reading import Hook, Repo

__all__ = ["Decision", "Migration", "lacking", "plan", "unused", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of one hook: `local`, `frozen` or `kept`, and why.

    `unused` are its additional dependencies that nobody installs any more, `lacking` those of
    them that the lock does not have.
    """

    hook: str
    repository: str
    line: int
    becomes: str
    was: str
    now: str
    why: str
    unused: Sequence[str] = ()
    lacking: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """A configuration's old and new text, and what was decided of each remote hook."""

    path: Path
    old: str
    new: str
    decisions: Sequence[Decision]
    lock: str

    def diff(self) -> str:
        """Return what changes, without the logins of addresses."""
        name = self.path.name
        lines = difflib.unified_diff(
            git.without_login(self.old).splitlines(keepends=True),
            git.without_login(self.new).splitlines(keepends=True),
            f"{name} (before)",
            f"{name} (after)",
        )
        return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def plan(folder: Path, *, freeze: bool = False) -> Migration:
    """Return what to change in the configuration of a project, and change nothing.

    With `freeze`, no hook becomes local. Raises LockstitchError for all that cannot be decided.
    """
    config = reading.parse(reading.find(folder))
    root = config.path.parent
    lock = Locked() if freeze else locked.read(root)
    refs = _Refs(root)
    decisions: list[Decision] = []
    edits: dict[int, editing.Edit] = {}
    problems: list[LockstitchError] = []
    for place, repo in enumerate(config.repos):
        if not repo.remote:
            continue
        facts = {n: found for n, h in enumerate(repo.hooks) if (found := _found(repo, h, lock))}
        try:
            commit = refs.commit(repo, [h.id for n, h in enumerate(repo.hooks) if n not in facts])
        except LockstitchError as error:
            problems.append(error)
            continue
        for number, hook in enumerate(repo.hooks):
            decisions.append(
                _local(repo, hook, facts[number], lock)
                if number in facts
                else _remote(repo, hook, commit, lock, freeze=freeze)
            )
        if facts or commit:
            local = {n: _keys(repo.hooks[n], found, lock) for n, found in facts.items()}
            edits[place] = editing.Edit(rev=commit, tag=repo.rev, local=local)
    raise_all(problems)
    new = editing.apply(config, edits)
    return Migration(
        path=config.path, old=config.text, new=new, decisions=decisions, lock=lock.name
    )


def write(migration: Migration) -> None:
    """Write the new configuration, whole or not at all."""
    if migration.new != migration.old:
        files.write_text(migration.path.resolve(), migration.new)  # a link stays one


class _Refs:
    """What git says of each repository, asked once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._asked: dict[str, Mapping[str, str] | LockstitchError] = {}

    def commit(self, repo: Repo, hooks: Sequence[str]) -> str:
        """Return the commit of a repository's rev for hooks, or an empty text if none is needed."""
        if not hooks or git.is_commit(repo.rev):
            return ""
        if repo.url not in self._asked:
            try:
                self._asked[repo.url] = git.remote_names(repo.url, self._root)
            except LockstitchError as error:
                self._asked[repo.url] = error
        found = self._asked[repo.url]
        named = ", ".join(f"`{hook}`" for hook in hooks)
        if isinstance(found, LockstitchError):
            hint = found.hint or "check the address and the network, or remove the repository"
            message = f"{named} in line {repo.line}: {found.message}"
            raise LockstitchError(message, hint=hint)
        if repo.rev not in found:
            message = (
                f"{named} in line {repo.line}: `{git.without_login(repo.url)}` has no `{repo.rev}`"
            )
            raise LockstitchError(message, hint="write a tag or a whole commit after `rev:`")
        return found[repo.rev]


def _found(repo: Repo, hook: Hook, lock: Locked) -> KnownHook | None:
    facts = known(repo.url, hook.id)
    if facts is None:
        return None
    if facts.manager:
        return facts if lock.name == f"{facts.manager}.lock" else None
    return facts if lock.version(facts.package) else None


def _keys(hook: Hook, facts: KnownHook, lock: Locked) -> dict[str, Any]:
    """Return the keys that make a hook local, in the order in which they are written."""
    program = str(hook.values.get("entry", facts.entry))
    call = "" if facts.manager else lock.call(facts.package)
    return {
        "name": hook.id,
        "entry": call + program,
        "language": "system",
        **{key: found for key, found in facts.keys.items() if key not in hook.values},
    }


def _local(repo: Repo, hook: Hook, facts: KnownHook, lock: Locked) -> Decision:
    given = hook.values.get("additional_dependencies")
    unused = [each for each in given if _readable(each)] if isinstance(given, list) else []
    names = [(each, _name(each)) for each in unused]
    what = facts.manager or facts.package
    version = lock.version(facts.package) if facts.package else ""
    return Decision(
        hook=hook.id,
        repository=git.without_login(repo.url),
        line=hook.line,
        becomes="local",
        was=repo.rev,
        now=f"{what} {version}".strip(),
        why=f"{lock.name} has it" if version else f"{what} wrote {lock.name}",
        unused=unused,
        lacking=[each for each, name in names if name and not lock.version(name)],
    )


def _readable(requirement: object) -> bool:
    return isinstance(requirement, str) and requirement.isprintable()


def _name(requirement: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(requirement).name
    except InvalidRequirement:
        return ""  # a path, or an argument of pip


def _remote(repo: Repo, hook: Hook, commit: str, lock: Locked, *, freeze: bool) -> Decision:
    facts = known(repo.url, hook.id)
    if not commit:
        why = "its rev is a commit already"
    elif freeze:
        why = "as --freeze asks"
    elif facts is None:
        why = "its program is not known here"
    else:
        what = facts.package or facts.manager
        why = f"{lock.name} lacks {what}" if lock.name else f"there is no lock that has {what}"
    return Decision(
        hook=hook.id,
        repository=git.without_login(repo.url),
        line=hook.line,
        becomes="frozen" if commit else "kept",
        was=repo.rev,
        now=commit or repo.rev,
        why=why,
    )


def unused(migration: Migration) -> Iterator[str]:
    """Yield one sentence for each hook whose additional dependencies are not used any more."""
    for each in migration.decisions:
        if each.unused:
            names = ", ".join(f"`{name}`" for name in each.unused)
            yield f"`{each.hook}` installs nothing of its own any more: {names}"


def lacking(migration: Migration) -> list[str]:
    """Return the additional dependencies that the lock does not have, sorted."""
    return sorted({name for each in migration.decisions for name in each.lacking})
