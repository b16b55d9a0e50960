"""Decides what becomes of each remote hook, and writes the new configuration."""

import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstitch import files, git
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.python.declared import default_groups
from lockstitch.python.locks import lists, poetry, uv
from lockstitch.python.locks.graph import Graph, walk
from lockstitch.python.names import normal
from lockstitch.python.tables import parse_toml, table
from lockstitch.repository.hooks.known import KnownHook, known
from lockstitch.scaffold.hooks import editing, reading
from lockstitch.scaffold.hooks.reading import Hook, Repo
from lockstitch.values import field, frozen

# `uv run --locked` installs what the lock says when it is not there; offline, from uv's cache only.
_UV, _VENV = "uv run --quiet --locked --offline ", ".venv/bin/"
_POETRY = "poetry run "  # 1 s more for each hook, but it knows where the environment is
_VERSION = re.compile(r"[A-Za-z0-9.!+_-]{1,64}")  # it is shown


@frozen
class Locked:
    """The lock's name, and the version of each package by its normal name.

    `calls` has, for packages of no default group, what stands before the program in a hook.
    """

    name: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    prefix: str = _VENV
    calls: Mapping[str, str] = field(default_factory=dict)

    def version(self, package: str) -> str:
        """Return the version of a package, or an empty text."""
        return self.versions.get(normal(package), "")

    def call(self, package: str) -> str:
        """Return the words before the package's program in a hook, with a space if needed."""
        return self.calls.get(normal(package), self.prefix)


@frozen
class Decision:
    """The decision about one hook: `local`, `frozen` or `kept`, and why.

    `unused` are its additional dependencies that are not installed any more, `lacking` those of
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


@frozen
class Migration:
    """A configuration's old and new text, and what was decided of each remote hook."""

    path: Path
    old: str
    new: str
    decisions: Sequence[Decision]
    lock: str

    def diff(self) -> str:
        """Return the changes, without the logins of addresses."""
        name = self.path.name
        lines = difflib.unified_diff(
            git.without_login(self.old).splitlines(keepends=True),
            git.without_login(self.new).splitlines(keepends=True),
            f"{name} (before)",
            f"{name} (after)",
        )
        return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def plan(folder: Path, *, freeze: bool = False) -> Migration:
    """Return the changes to the configuration of a project, which are not made yet.

    With `freeze`, no hook becomes local. Raises LockstitchError for all that cannot be decided.
    """
    config = reading.parse(reading.find(folder))
    root = config.path.parent
    lock = Locked() if freeze else _locked(root)
    refs = _Refs(root)
    decisions: list[Decision] = []
    edits: dict[int, editing.Edit] = {}
    problems: list[LockstitchError] = []
    for place, repo in enumerate(config.repos):
        if not repo.remote:
            continue
        facts = {n: known for n, h in enumerate(repo.hooks) if (known := _found(repo, h, lock))}
        try:
            commit = refs.commit(repo, [h.id for n, h in enumerate(repo.hooks) if n not in facts])
        except LockstitchError as error:
            problems.append(_with_way_out(error, repo, lock))
            continue
        for number, hook in enumerate(repo.hooks):
            decisions.append(
                _local(repo, hook, facts[number], lock)
                if number in facts
                else _remote(repo, hook, commit, lock, freeze=freeze)
            )
        if facts or commit:
            local = {n: _keys(repo.hooks[n], own, lock) for n, own in facts.items()}
            edits[place] = editing.Edit(rev=commit, tag=repo.rev, local=local)
    raise_all(problems)
    new = editing.apply(config, edits)
    return Migration(
        path=config.path, old=config.text, new=new, decisions=decisions, lock=lock.name
    )


def _with_way_out(error: LockstitchError, repo: Repo, lock: Locked) -> LockstitchError:
    """Return the error about a repository with the command that makes its hooks local, if any."""
    known_hooks = [facts for hook in repo.hooks if (facts := _known(repo, hook))]
    lacking = {f.package for f in known_hooks if f.package and not lock.version(f.package)}
    if not lacking or lock.name not in {"uv.lock", "poetry.lock"}:
        return error
    add = "poetry add --group dev" if lock.name == "poetry.lock" else "uv add --dev"
    count = len(known_hooks)
    hint = f"{add} {' '.join(sorted(lacking))}  # makes {count} of its hooks local, for no network"
    return LockstitchError(error.message, hint=hint)


def write(migration: Migration) -> None:
    """Write the new configuration, whole or not at all."""
    if migration.new != migration.old:
        files.write_text(migration.path.resolve(), migration.new)  # a link stays one


class _Refs:
    """The commits of each repository, asked of git once."""

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
        refs = self._asked[repo.url]
        named = ", ".join(f"`{hook}`" for hook in hooks)
        if isinstance(refs, LockstitchError):
            hint = refs.hint or "check the address and the network"
            message = f"{named} in line {repo.line}: {refs.message}"
            raise LockstitchError(message, hint=hint)
        if repo.rev not in refs:
            message = (
                f"{named} in line {repo.line}: `{git.without_login(repo.url)}` has no `{repo.rev}`"
            )
            raise LockstitchError(message, hint="write a tag or a whole commit after `rev:`")
        return refs[repo.rev]


def _known(repo: Repo, hook: Hook) -> KnownHook | None:
    """Return the facts of a hook; no counterpart or pattern where it has words of its own."""
    facts = known(repo.url, hook.id)
    if facts is None or not hook.values.keys() & {"args", "entry"}:
        return facts
    return None if facts.counterpart else dataclasses.replace(facts, pattern="")


def _found(repo: Repo, hook: Hook, lock: Locked) -> KnownHook | None:
    facts = _known(repo, hook)
    if facts is None or not lock.name:
        return None
    if facts.manager:
        return facts if lock.name == f"{facts.manager}.lock" else None
    return facts if facts.pattern or lock.version(facts.package) else None


def _keys(hook: Hook, facts: KnownHook, lock: Locked) -> dict[str, Any]:
    """Return the keys that make a hook local, in the order in which they are written."""
    program = str(hook.values.get("entry", facts.entry))
    call = "" if facts.manager else lock.call(facts.package)
    return {
        "name": hook.id,
        "entry": facts.pattern or call + program,
        "language": "pygrep" if facts.pattern else "system",
        **{key: value for key, value in facts.keys.items() if key not in hook.values},
    }


def _local(repo: Repo, hook: Hook, facts: KnownHook, lock: Locked) -> Decision:
    given = hook.values.get("additional_dependencies")
    given = given if isinstance(given, list) else []
    unused = [package for package in given if isinstance(package, str) and package.isprintable()]
    names = [(package, _name(package)) for package in unused]
    what = "" if facts.pattern else facts.manager or facts.package
    version = lock.version(what) if what == facts.package else ""
    why = f"{lock.name} has it" if version else f"{what} wrote {lock.name}"
    if facts.pattern:
        why = "it needs no program"
    elif facts.counterpart:
        why = f"it looks for the same, and {why}"
    return Decision(
        hook=hook.id,
        repository=git.without_login(repo.url),
        line=hook.line,
        becomes="local",
        was=repo.rev,
        now=f"{what} {version}".strip(),
        why=why,
        unused=unused,
        lacking=[package for package, name in names if name and not lock.version(name)],
    )


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
    for decision in migration.decisions:
        if decision.unused:
            names = ", ".join(f"`{name}`" for name in decision.unused)
            yield f"`{decision.hook}` installs nothing of its own any more: {names}"


def lacking(migration: Migration) -> list[str]:
    """Return the additional dependencies that the lock does not have, sorted."""
    return sorted({name for decision in migration.decisions for name in decision.lacking})


# --- the lock


def _locked(root: Path) -> Locked:
    """Return a project's lock: uv's, else Poetry's, else pinned requirements, else an empty one."""
    for name, reader in (("uv.lock", uv), ("poetry.lock", poetry)):
        if (root / name).is_file():
            text = files.read_text(root / name)
            hint = f"write the lock again: {name.removesuffix('.lock')} lock"
            document = parse_toml(text, f"`{name}`", hint=hint)
            # A lock of a version that is not known yet still has names and versions.
            graph = reader.read(text, name, [], document)
            if reader is uv:
                return _of_uv(root, graph)
            prefix = _VENV if _is_in_project(root) else _POETRY
            return Locked(name=name, versions=_pins(graph), prefix=prefix)
    versions: dict[str, str] = {}
    names = []
    for path in sorted(root.glob("requirements*.txt")):
        entries = lists.read(files.read_text(path)).entries
        pinned = {
            entry.name: entry.version for entry in entries if _VERSION.fullmatch(entry.version)
        }
        names += [path.name] if pinned else []
        versions = pinned | versions
    return Locked(name=", ".join(names), versions=versions)


def _is_in_project(root: Path) -> bool:
    """Return whether Poetry's environment is `.venv`, where its default is a folder of its own."""
    path = root / "poetry.toml"
    text = files.read_text(path) if path.is_file() else ""
    document = parse_toml(text, "`poetry.toml`", hint="correct that line")
    setting = table(document, "virtualenvs").get("in-project")
    return setting is True or (setting is None and (root / ".venv").is_dir())


def _pins(graph: Graph) -> dict[str, str]:
    pins: dict[str, str] = {}
    for package in graph.packages:
        if _VERSION.fullmatch(package.version):
            pins.setdefault(package.name, package.version)
    return pins


def _of_uv(root: Path, graph: Graph) -> Locked:
    versions = _pins(graph)
    if not any(package.source.url == "." for package in graph.roots):
        # Without a project of its own, as in a workspace, all of the lock counts.
        return Locked(name=graph.path, versions=versions, prefix=_UV)
    own = {package.name for package in graph.roots}

    def reached(groups: Sequence[str], extras: Sequence[str]) -> set[str]:
        packages = walk(graph, lambda *_: True, groups, extras).packages
        return {package.name for package in packages} - own

    installed = reached(default_groups(_project(root), graph.group_names), ())
    calls: dict[str, str] = {}
    for name in graph.group_names:
        for package in reached((name,), ()) - installed:
            calls.setdefault(package, f"{_UV}--group {name} ")
    for name in graph.extra_names:
        for package in reached((), (name,)) - installed:
            calls.setdefault(package, f"{_UV}--extra {name} ")
    kept = {name: v for name, v in versions.items() if name in installed | {*calls}}
    return Locked(name=graph.path, versions=kept, prefix=_UV, calls=calls)


def _project(root: Path) -> Mapping[str, Any]:
    path = root / "pyproject.toml"
    text = files.read_text(path) if path.is_file() else ""
    return parse_toml(text, "`pyproject.toml`", hint="correct that line")
