"""The folder that `lockstitch init` looks at: nothing outside of it is read or written."""

import ast
import codecs
import functools
from pathlib import Path

from lockstitch import files
from lockstitch.errors import LockstitchError
from lockstitch.files import is_skipped
from lockstitch.python.syntax import tree_of
from lockstitch.repository.code.source import python_of
from lockstitch.values import positional

_MOST = 1 << 20  # bytes of a file that people write by hand
_MOST_CODE = 8 << 20  # of one that may have a picture in a text
_LARGEST_NOTEBOOK = 64 << 20  # bytes: most of it is pictures


@functools.lru_cache(8)
def _real(root: Path) -> Path:
    return root.resolve()


@positional
class Folder:
    """A folder, asked by POSIX paths from it."""

    root: Path

    def has(self, name: str) -> bool:
        """Return whether there is a regular file of this name, whatever a link leads to."""
        return (self.root / name).is_file()

    def text(self, name: str, *, any_encoding: bool = False) -> str | None:
        """Return a file's text with line feeds, or None without a file.

        With `any_encoding` it may be UTF-16 or latin-1, as other programs save lists. Raises
        LockstitchError for a file that is not text, too large, or outside of the folder.
        """
        path = self.root / name
        if not path.exists() and not path.is_symlink():
            return None
        if not self.inside(path):
            message = f"`{name}` leads out of `{self.root}`"
            raise LockstitchError(message, hint="keep a copy of it in the project")
        if not path.is_file():
            message = f"`{name}` is there and no file"
            raise LockstitchError(message, hint=f"move it away: mv {name} {name}.old")
        most = _MOST_CODE if name.endswith(".py") else _MOST
        if path.stat().st_size > most:
            message = f"`{name}` has {path.stat().st_size} bytes, over the limit of {most}"
            raise LockstitchError(message, hint="move it away; people write no files of that size")
        return decoded(path.read_bytes()) if any_encoding else files.read_text(path)

    def inside(self, path: Path) -> bool:
        """Return whether a path is in the folder when all links are followed."""
        return path.resolve().is_relative_to(_real(self.root.absolute()))

    def folders(self, below: str = "") -> list[str]:
        """Return the names of the folders that may hold a project's files, sorted."""
        places = [self.root / below / name for name in self._names(below)]
        shown = [path for path in places if path.is_dir() and not path.name.startswith(".")]
        return [path.name for path in shown if not is_skipped(path)]

    def modules(self, below: str = "") -> list[str]:
        """Return the names of the Python files directly in a folder, sorted."""
        names = [name for name in self._names(below) if name.endswith(".py")]
        return [name for name in names if (self.root / below / name).is_file()]

    def module(self, name: str) -> ast.Module | None:
        """Return a Python file's syntax tree, or None when there is none that can be read."""
        if not (self.has(name) and self.inside(self.root / name)):
            return None
        if name.endswith(".ipynb"):
            code = self.notebook(name)
            return None if code is None else tree_of(code)
        try:
            return tree_of(self.text(name) or "")
        except LockstitchError:
            return None

    def notebook(self, name: str) -> str | None:
        """Return a notebook's code as that of one file, None where it cannot be read."""
        path = self.root / name
        if not self.inside(path) or not path.is_file() or path.stat().st_size > _LARGEST_NOTEBOOK:
            return None
        return python_of(path.read_bytes().decode("utf-8", "replace"))

    def filled(self, name: str) -> bool:
        """Return whether a folder holds any file that an image could include."""
        path = self.root / name
        if not path.is_dir() or not self.inside(path) or path.is_symlink():
            return False
        return any(not file.outside for file in files.walk(path))

    def _names(self, below: str) -> list[str]:
        path = self.root / below
        if not path.is_dir() or not self.inside(path):
            return []
        # By name: what a folder lists first differs from one file system to another.
        return sorted(inner.name for inner in path.iterdir() if self.inside(inner))


def decoded(data: bytes) -> str:
    """Return the text of a list that any program may have saved, with line feeds."""
    marks = {
        codecs.BOM_UTF8: "utf-8-sig",
        codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
        codecs.BOM_UTF16_LE: "utf-16",
        codecs.BOM_UTF16_BE: "utf-16",
    }
    encoding = next((name for mark, name in marks.items() if data.startswith(mark)), "")
    if not encoding and data[1:2] == b"\0":
        encoding = "utf-16-le"
    elif not encoding and data[:1] == b"\0":
        encoding = "utf-16-be"
    if encoding:
        text = data.decode(encoding, "replace")
    else:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")
