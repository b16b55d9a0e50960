"""Whether nothing that an image installs has the program that it starts."""

from typing import TYPE_CHECKING

from lockstitch.repository.dockerfile import recipes, serving
from lockstitch.repository.dockerfile.installs import Install, package_of
from lockstitch.repository.dockerfile.tools import is_tool
from lockstitch.repository.packaging.files import lock_files
from lockstitch.repository.packaging.locks import LockFile
from lockstitch.repository.shell.calls import Call

if TYPE_CHECKING:
    from lockstitch.repository.dockerfile.images import Built

__all__ = ["missing"]

_BASES = frozenset({"python", "debian", "ubuntu", "alpine", "uv"})
_VIA = ("# via", "pip-compile", "uv pip compile", "uv export", "--hash=")


def missing(built: "Built", call: Call) -> str:
    """Return why a server's program is surely not there, in words; empty when it may be."""
    package = serving.PACKAGES.get(call.program)
    if package is None or built.base is None or built.base.kind not in _BASES:
        return ""
    own = [each for _, each in built.installs if each.is_python and not each.is_tools]
    copied = [step.copied for step in built.steps if step.copied and step.copied.origin]
    if not own and copied:
        paths = [source.rstrip("/") for each in copied for source in each.sources]
        alone = all(path.endswith(("/site-packages", "/dist-packages")) for path in paths)
        return "only site-packages is copied, without the programs in its bin folder" * alone
    whole = [*own, *(each for b in built.sources for _, each in b.installs if each.is_python)]
    if not whole or any(step.instruction.name == "ADD" for step in built.steps):
        return ""
    names: set[str] = set()
    for each in whole:
        found = set[str]() if each.is_tools else _names(built, each)
        if found is None:
            return ""
        names |= found
    listed = recipes.project(built.image.repo, built.image)
    asked = listed is not None and package in (built.image.repo.text(listed[0]) or "")
    if package in names or asked:  # where it is asked for, the lock is stale and nothing else
        return ""
    return f"nothing that is installed brings `{package}`"


def _names(built: "Built", each: Install) -> set[str] | None:
    """Return all packages that a command installs, None when that cannot be told."""
    repo, image = built.image.repo, built.image
    if each.tool in {"uv sync", "poetry"}:
        path = recipes.file_in(repo, image, "uv.lock" if each.tool == "uv sync" else "poetry.lock")
        lock = next((lock for lock in lock_files(repo) if lock.path == path), None)
        return _packages(lock) if lock is not None else None
    if not each.is_pip or each.required or not each.files:
        return None
    names: set[str] = set()
    for file in each.files:
        path = recipes.file_in(repo, image, file)
        lock = next((lock for lock in lock_files(repo) if lock.path == path), None)
        text = repo.text(path) if path else None
        if lock is None or text is None:
            return None
        tools = all(is_tool(name) for name in _packages(lock))
        if not tools and not any(mark in text for mark in _VIA):
            return None
        names |= _packages(lock)
    return names | {package_of(name)[0] for name in each.required}


def _packages(lock: LockFile) -> set[str]:
    return {each.name for each in lock.packages}
