"""The Dockerfiles of a repository, read."""

import re

from lockstitch.patterns import regex
from lockstitch.repository.dockerfile import reader
from lockstitch.repository.dockerfile.reader import Dockerfile
from lockstitch.repository.files import File, Repository, once

__all__ = ["dockerfiles"]

_DOCKERFILE = regex(r"(?:.*\.)?(?:dockerfile|containerfile)(?:[.-].+)?", re.IGNORECASE)
_NO_DOCKERFILE = (
    *(".dockerignore", ".md", ".txt", ".py", ".sh", ".j2", ".jinja", ".tmpl", ".template"),
)


@once
def dockerfiles(repo: Repository) -> tuple[File[Dockerfile], ...]:
    """Return every Dockerfile, read."""
    names = [n for n in repo.names if _is_dockerfile(n.rpartition("/")[2])]
    return tuple(
        File(path=name, text=text, value=reader.read(text))
        for name in names
        if (text := repo.text(name)) is not None
    )


def _is_dockerfile(base: str) -> bool:
    return _DOCKERFILE.fullmatch(base) is not None and not base.lower().endswith(_NO_DOCKERFILE)
