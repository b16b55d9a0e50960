"""The compose files of a repository, read."""

import re

from lockstitch.patterns import regex
from lockstitch.repository.compose import reader
from lockstitch.repository.compose.reader import Compose
from lockstitch.repository.files import File, Repository, once

__all__ = ["compose_files"]

_COMPOSE = regex(r"(?:docker-)?compose(?:[.-][\w.-]+)?\.ya?ml", re.IGNORECASE)


@once
def compose_files(repo: Repository) -> tuple[File[Compose], ...]:
    """Return every compose file, read with the files that it names and no variable of this host."""
    names = [n for n in repo.names if _COMPOSE.fullmatch(n.rpartition("/")[2])]
    return tuple(
        File(path=name, text=text, value=reader.read(text, {}, repo.text, name))
        for name in names
        if (text := repo.text(name)) is not None
    )
