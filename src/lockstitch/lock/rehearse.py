"""A copy of a project to lock in, so that nothing of the real one is written."""

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lockstitch import files
from lockstitch.lock import uv
from lockstitch.python.model import Project

_MOST = 32 << 20  # a larger file at the top is data, and linked


@contextlib.contextmanager
def rehearsal(project: Project) -> Iterator[Project]:
    """Yield the project in a temporary folder: its files at the top copied, its folders linked.

    What a lock is made from and what it writes stands at the top; of a member, at the top of the
    workspace too.
    """
    top = uv.workspace(project.root)
    with tempfile.TemporaryDirectory(prefix="lockstitch-rehearsal-") as name:
        folder = Path(name).resolve() / top.name
        _copy(top, folder)
        for part in project.root.relative_to(top).parts:
            top, folder = top / part, folder / part
            if folder.is_symlink():
                folder.unlink()
            _copy(top, folder)
        yield dataclasses.replace(project, root=folder)


def _copy(source: Path, folder: Path) -> None:
    folder.mkdir()
    for path in sorted(source.iterdir()):
        if files.is_skipped(path):
            continue
        if path.is_file() and path.stat().st_size <= _MOST:
            shutil.copyfile(path, folder / path.name)
        else:
            (folder / path.name).symlink_to(path)
