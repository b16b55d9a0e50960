"""Every file that is rendered from a project and its lock."""

from lockstitch.dockerfile import ignore, render
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock.file import Lock
from lockstitch.python.model import Project

__all__ = ["everything"]


def everything(project: Project, lock: Lock) -> dict[str, str]:
    """Return every file that is rendered, by name, sorted; raise what is wrong with any."""
    found = {}
    problems: list[LockstitchError] = []
    for spec in project.images:
        try:
            found[render.name(spec)] = render.render(project, lock, spec)
        except LockstitchError as error:
            problems.append(error)
    raise_all(problems)
    found[".dockerignore"] = ignore.render(project)
    if project.is_package:
        found[ignore.BUILD_REQUIREMENTS] = render.build_requirements(lock)
    return dict(sorted(found.items()))
