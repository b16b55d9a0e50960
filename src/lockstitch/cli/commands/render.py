"""Write Dockerfiles from the lock.

Writes Dockerfile.IMAGE for each image, .dockerignore, and the requirements of the build
backend, requirements-build.txt; with runner = "compose" in [tool.lockstitch.stack] also
docker-compose.yml, and builds the images that it names. The files work without lockstitch.
Never replaces a file that lockstitch did not write without --force.

examples:
  # after a change of pyproject.toml or of a lock
  lockstitch export dockerfile
  # in CI: exit with 1 and name the stale files
  lockstitch export dockerfile --check
"""

import argparse
import dataclasses
import difflib
from pathlib import Path

from lockstitch import files
from lockstitch.cli import stacks
from lockstitch.cli.options import COMMON, exclusive, flag, group
from lockstitch.cli.session import answer_stale, open_session, print_json, would
from lockstitch.digest import of_bytes
from lockstitch.dockerfile import ignore
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock import file, make
from lockstitch.lock.file import Lock, LockedFile
from lockstitch.progress import say
from lockstitch.stack import compose

OPTIONS = (
    group(
        "what to do",
        exclusive(
            flag("--check", "write nothing; exit with 1 when a file is stale"),
            flag("--force", "replace files that lockstitch did not write"),
        ),
    ),
    COMMON,
)
_MARK = "# Written by `lockstitch "  # what every version of lockstitch starts with


def run(options: argparse.Namespace) -> int:
    session = open_session(options)
    project = session.project
    before = make.current(project)
    lock = before if options.check else stacks.with_services(session, before)
    wanted = stacks.rendered(project, lock)
    there = {name: _read(project.root / name) for name in wanted}
    changed = [name for name, text in wanted.items() if there[name] != text]
    if options.check:
        return _check(project.root, {name: there[name] for name in changed}, wanted, options)
    if not options.force:
        _refuse({name: there[name] for name in changed}, wanted)
    if options.dry_run:
        return would(options, *(f"write {name}" for name in changed))
    for name in changed:
        files.write_text(project.root / name, wanted[name])
    _record(project.root, before, lock, wanted)
    for name in _left_over(project.root, wanted):
        say(f"warning: `{name}` belongs to nothing in pyproject.toml any more: remove it")
    if options.json:
        print_json({"changed": changed})
    elif changed:
        say(f"rendered: {', '.join(changed)}")
    else:
        say("nothing to do: the rendered files fit")
    return 0


def _record(root: Path, before: Lock, lock: Lock, wanted: dict[str, str]) -> None:
    """Name the rendered files in the lock, so that `lockstitch lock --check` knows them."""
    rendered = tuple(
        LockedFile(path=name, digest=of_bytes(text.encode())) for name, text in wanted.items()
    )
    lock = dataclasses.replace(lock, rendered=rendered)
    if lock != before:
        file.write(lock, root)


def _read(path: Path) -> str | None:
    return files.read_text(path) if path.exists() else None


def _foreign(text: str | None) -> bool:
    return text is not None and not text.startswith(_MARK)


def _refuse(changed: dict[str, str | None], wanted: dict[str, str]) -> None:
    """Raise an error for each file that somebody else wrote, and show what would become of it."""
    problems = []
    for name, text in changed.items():
        if _foreign(text):
            before = (text or "").splitlines(keepends=True)
            after = wanted[name].splitlines(keepends=True)
            diff = difflib.unified_diff(before, after, name, f"{name} of lockstitch")
            say("".join(line if line.endswith("\n") else f"{line}\n" for line in diff).rstrip())
            message = f"`{name}` was not written by lockstitch; nothing was changed"
            problems.append(LockstitchError(message, hint="lockstitch export dockerfile --force"))
    raise_all(problems)


def _left_over(root: Path, wanted: dict[str, str]) -> list[str]:
    paths = [*root.glob("Dockerfile.*"), root / ignore.BUILD_REQUIREMENTS]
    paths += [root / compose.NAME]
    others = [path for path in paths if path.name not in wanted and path.is_file()]
    return sorted(path.name for path in others if files.read_text(path).startswith(_MARK))


def _check(
    root: Path, changed: dict[str, str | None], wanted: dict[str, str], options: argparse.Namespace
) -> int:
    problems = [_stale(name, text) for name, text in changed.items()]
    for name in _left_over(root, wanted):
        message = f"`{name}` belongs to nothing in pyproject.toml any more"
        problems.append(LockstitchError(message, hint=f"rm {name}"))
    return answer_stale(problems, "the rendered files fit", as_json=options.json)


def _stale(name: str, text: str | None) -> LockstitchError:
    if text is None:
        return LockstitchError(f"`{name}` is missing", hint="lockstitch export dockerfile")
    if _foreign(text):
        message = f"`{name}` was not written by lockstitch"
        return LockstitchError(message, hint="lockstitch export dockerfile --force")
    message = f"`{name}` is stale: it is not what pyproject.toml and the lock give"
    return LockstitchError(message, hint="lockstitch export dockerfile")
