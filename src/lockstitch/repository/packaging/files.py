"""The project files, requirements and locks of a repository, read."""

from lockstitch.repository.files import File, Repository, once
from lockstitch.repository.packaging import locks, requirements
from lockstitch.repository.packaging.locks import LockFile
from lockstitch.repository.packaging.requirements import Listed

__all__ = ["lock_files", "locks_in", "project_folders", "requirement_lists"]


@once
def project_folders(repo: Repository) -> tuple[str, ...]:
    """Return the folders with project files such as pyproject.toml; "" is the root."""
    return tuple(sorted({n.rpartition("/")[0] for n in repo.names if _is_project_file(n)}))


@once
def lock_files(repo: Repository) -> tuple[LockFile, ...]:
    """Return every lock: uv.lock, poetry.lock, pylock.toml, requirements that pin all they name."""
    read = []
    for name in repo.names:
        kind = locks.kind_of(name)
        text = repo.text(name) if kind else None
        lock = locks.read(kind, name, text) if kind and text is not None else None
        read += [lock] if lock else []
    return tuple(read)


@once
def requirement_lists(repo: Repository) -> tuple[File[Listed], ...]:
    """Return every list of requirements, pinned or not, read."""
    return tuple(
        File(path=name, text=text, value=requirements.read(text))
        for name in repo.names
        if requirements.is_name(name) and (text := repo.text(name)) is not None
    )


def locks_in(repo: Repository, folder: str) -> list[LockFile]:
    """Return the locks in a folder itself."""
    return [lock for lock in lock_files(repo) if lock.path.rpartition("/")[0] == folder]


def _is_project_file(name: str) -> bool:
    base = name.rpartition("/")[2]
    return base in {"pyproject.toml", "setup.py", "setup.cfg", "Pipfile"} or (
        base.startswith("requirements") and base.endswith((".txt", ".in"))
    )
