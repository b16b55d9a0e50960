"""Reads what a program printed when it failed: what it lacked, and the line that mends it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from posixpath import basename, dirname

from lockstitch.python.names import distribution_of

_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_LIBRARY = re.compile(r"(?:ImportError|OSError): (\S+?\.so[\w.]*): cannot open shared object file")
_SYMBOL = re.compile(r"(?:ImportError|OSError): .*version `((?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)' not")
_FILE = re.compile(r"\[Errno 2\] No such file or directory: '([^'\n]+)'")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SHELLS = frozenset({"sh", "bash"})
_FRAME = 400  # characters of a traceback before its last line
_PROGRAM = re.compile(r"exec `([^`\n]+)`: No such file or directory")
_DENIED = re.compile(
    r"(?:PermissionError|OSError): \[Errno (?:13|30)\] [^:\n]+: '([^'\n]+)'"
    r"|(?:mkdir|open|touch|cannot create [\w ]+?)[^\n]*?[`'\"](/[^`'\"\n]+)['\"]?: "
    r"(?:Permission denied|Read-only file system)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """One thing that a program wanted and the image does not have."""

    kind: str  # "module", "library", "symbol", "file", "program" or "folder"
    name: str

    @property
    def inside(self) -> str:
        """The name as a path of the project, as far as it is one."""
        return self.name.removeprefix("/app/").removeprefix("./").rstrip("/")

    def line(self, image: str) -> str:
        """Return what to do about it, for an image of this name."""
        table = f"[tool.lockstitch.images.{image}]"
        match self.kind:
            case "module":
                top = self.name.partition(".")[0]
                return f"uv add {distribution_of(top)}, or include its file in {table}"
            case "library":
                return f"choose a base that has {self.name}, or a wheel that brings it"
            case "symbol":
                return f"choose a base whose C library has {self.name}"
            case "file":
                return f'include = ["{self.inside}"] in {table}'
            case "program" if basename(self.name) in _SHELLS:
                return "Debian's own base has no shell: start programs without one"
            case "program":
                return f"add the package that has `{self.name}` to a group of {table}"
            case _:
                return f'outputs = ["{self.inside}"] in {table}'


def lacks(output: str) -> list[Lack]:
    """Return what a program's output says that it lacked, the last failure first, each once."""
    output = _COLOUR.sub("", output)
    seen: list[tuple[int, Lack]] = []
    for kind, pattern in (
        ("module", _MODULE),
        ("library", _LIBRARY),
        ("symbol", _SYMBOL),
        ("file", _FILE),
        ("program", _PROGRAM),
    ):
        seen += [(m.start(), Lack(kind=kind, name=m[1])) for m in pattern.finditer(output)]
    # A program that subprocess does not find is told as a file.
    seen = [
        (at, Lack(kind="program", name=lack.name))
        if lack.kind == "file"
        and ("_execute_child" in output[max(0, at - _FRAME) : at] or lack.name.startswith("/bin/"))
        else (at, lack)
        for at, lack in seen
    ]
    for match in _DENIED.finditer(output):
        seen.append((match.start(), Lack(kind="folder", name=match[1] or match[2])))
    ordered = [lack for _, lack in sorted(seen, key=lambda pair: pair[0], reverse=True)]
    return list(dict.fromkeys(ordered))


def folders_written(paths: Sequence[str], has: Callable[[str], bool]) -> list[str]:
    """Return what a program wrote, as the folders below /app that hold it, none below another.

    A folder that the image does not have stands for all that is made in it: `has` tells. A file
    in /app itself and a path outside of /app stand for themselves.
    """
    wanted = set()
    for path in paths:
        if "/__pycache__" in path:
            continue
        if not path.startswith("/app/"):
            wanted.add(path.rstrip("/"))
            continue
        folder = path.rpartition("/")[0]
        while folder != "/app" and not has(folder) and dirname(folder) != "/app":
            if has(dirname(folder)):
                break
            folder = dirname(folder)
        wanted.add(path if folder == "/app" else folder)
    shown = {path.removeprefix("/app/") for path in wanted}
    return sorted(name for name in shown if not any(name.startswith(f"{o}/") for o in shown))
