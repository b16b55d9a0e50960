"""A program of a repository, as an image starts it."""

import posixpath
import re
from collections.abc import Mapping, Sequence

from lockstitch.python.commands import entry_of
from lockstitch.scaffold.init.commands import NamedCommand
from lockstitch.values import field, frozen, replace

HOST = "0.0.0.0"  # noqa: S104 -- in a container
TRAIN, SERVE = "train", "serve"


@frozen
class Program:
    """What an image starts."""

    image: str
    kind: str  # of applications.toml, `django`, `script`, or `said` for a Dockerfile's own
    path: str  # the file that it begins with
    command: tuple[str, ...]
    reason: str
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    health: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()  # folders that the repository says are made
    folder: str = ""  # the folder of a Django project
    workdir: str = ""  # the folder that it starts in
    begun: str = ""  # the one that a README or a Makefile starts it in, where that is known
    before: "tuple[Program, ...]" = ()  # what runs first
    reads: tuple[str, ...] = ()  # what dvc.yaml says that it reads and makes
    makes: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()  # arguments that it cannot run without, and nobody gives
    given: Mapping[str, str] = field(default_factory=dict)  # variables by a compose file

    @property
    def stays(self) -> bool:
        """Return whether it is a server or a worker, which waits for work and does not end."""
        return bool(self.port) or self.kind == "celery"


def moved(program: Program, workdir: str) -> Program:
    """Return a program as it starts in another folder, or a notebook in the project's."""
    words, env = [*program.command], dict(program.env)
    if not workdir:
        words = [program.path if w == posixpath.basename(program.path) else w for w in words]
        return replace(program, command=tuple(words), workdir="")
    paths = [path for path in env.get("PYTHONPATH", "").split(":") if path]
    for at, word in enumerate(words):
        if word == program.path or (at and word.startswith(f"{workdir}/")):
            words[at] = below(word, workdir)
    by_module = program.path not in program.command
    inner, dotted = module_of(below(program.path, workdir)), module_of(program.path)
    if by_module and inner.partition(".")[0] == dotted.partition(".")[0]:  # which it would hide
        words = [re.sub(rf"^{re.escape(dotted)}(?=:|$)", inner, word) for word in words]
    if "--app-dir" in words:
        at = words.index("--app-dir")
        folder = below(words[at + 1], workdir)
        words[at : at + 2] = [] if folder == "." else ["--app-dir", folder]
    elif by_module and not ({*paths} - {f"/app/{workdir}"} and _reaches(program, env, workdir)):
        paths.append("/app")  # from where the module is named
    env |= {"PYTHONPATH": ":".join(paths)} if paths else {}
    before = tuple(moved(step, workdir) for step in program.before)
    return replace(program, command=tuple(words), env=env, workdir=workdir, before=before)


def _reaches(program: Program, env: Mapping[str, str], workdir: str) -> bool:
    """Return whether a program's module is found from another folder too."""
    entry = entry_of(program.command, env, workdir)
    stem = program.path.removesuffix(".py").removesuffix("/__init__").removesuffix("/__main__")
    places = (
        [posixpath.join(root, entry.module.replace(".", "/")) for root in entry.roots]
        if (entry)
        else []
    )
    return stem in map(posixpath.normpath, places)


def begun_in(path: str, hints: Sequence[NamedCommand]) -> str:
    """Return the folder above a file that it is said to be started in."""
    return next((s.folder for s in hints if s.folder and path.startswith(f"{s.folder}/")), "")


def below(path: str, folder: str) -> str:
    """Return a path as it is written in a folder; an absolute one stays."""
    return path if path.startswith("/") else posixpath.relpath(path, folder)


def module_of(path: str) -> str:
    """Return the dotted name of a file, from the repository's root."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
