"""Brings a model from a folder or a tracking server into the new project that serves it."""

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from lockstitch import files, threads
from lockstitch.errors import LockstitchError, printable
from lockstitch.net.credentials import Login
from lockstitch.progress import Reporter
from lockstitch.python import size
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.model import mlmodel, project
from lockstitch.scaffold.model.mlmodel import Model
from lockstitch.scaffold.model.project import FOLDER, Service
from lockstitch.scaffold.model.tracking import SCHEMES, VARIABLE, Remote, Server
from lockstitch.values import frozen

_SPARE = 64 << 20  # bytes of the disk that a model leaves


class Source(Protocol):
    """The place of a model's files."""

    uri: str  # by which the model is known

    def sizes(self) -> Mapping[str, int | None]:
        """Return the files by their paths from the model's folder, with what is known of sizes."""

    def chunks(self, name: str, limit: int) -> Iterator[bytes]:
        """Yield a file's bytes; raises LockstitchError for more than `limit`."""


class _Local:
    """A folder of this machine."""

    def __init__(self, root: Path, uri: str) -> None:
        if not (root / mlmodel.FILE).is_file():
            below = sorted(root.glob(f"*/{mlmodel.FILE}"))[:1] if root.is_dir() else []
            message = f"`{root}` has no file {mlmodel.FILE}, as each model of MLflow has"
            hint = f"--from-model {below[0].parent}" if below else "name the folder that has it"
            raise LockstitchError(message, hint=hint)
        self.uri = uri
        self._files = {file.name: file for file in files.walk(root)}
        outside = [name for name, file in self._files.items() if file.outside]
        if outside:
            message = f"`{outside[0]}` of `{root}` is a link out of that folder"
            raise LockstitchError(message, hint="copy what it means into the model's folder")

    def sizes(self) -> Mapping[str, int | None]:
        return {name: file.size for name, file in self._files.items()}

    def chunks(self, name: str, limit: int) -> Iterator[bytes]:
        if self._files[name].size > limit:
            raise LockstitchError(f"`{name}` of the model has more than {limit:,} bytes")
        yield from files.chunks(self._files[name].path)


class _OfServer:
    """A folder of artifacts of a tracking server."""

    def __init__(self, server: Server, uri: str) -> None:
        self._server = server
        there, self.uri = server.files(uri)
        self._files: Mapping[str, Remote] = {file.name: file for file in there}

    def sizes(self) -> Mapping[str, int | None]:
        return {name: file.size for name, file in self._files.items()}

    def chunks(self, name: str, limit: int) -> Iterator[bytes]:
        yield from self._server.chunks(self._files[name], limit)


def source(uri: str, address: str, login: Login | None = None) -> Source:
    """Return where the files of a model are: a folder, or the tracking server of an address.

    Raises LockstitchError for a URI that means neither, and where there is no model.
    """
    scheme = uri.partition(":")[0]
    if scheme in SCHEMES and uri.startswith(f"{scheme}:"):
        if not address:
            message = f"`{uri}` is of a tracking server, and none is known"
            raise LockstitchError(message, hint=f"export {VARIABLE}=http://HOST:5000")
        return _OfServer(Server(address, login), uri)
    path = Path(unquote(urlsplit(uri).path)) if scheme == "file" else Path(uri)
    if not path.is_dir() and re.match(r"[a-z][a-z0-9+.-]+:", uri):
        message = f"`{printable(uri, 200)}` is no folder, and no model of a tracking server"
        with_s3 = " --with boto3" if scheme == "s3" else ""
        hint = f"uv run --no-project --with mlflow{with_s3} mlflow artifacts download "
        hint += "--artifact-uri URI --dst-path model, then --from-model model"
        raise LockstitchError(message, hint=hint)
    if not path.is_dir():
        message = f"there is no folder `{printable(uri, 200)}`"
        raise LockstitchError(message, hint=f"name a folder, or one of {', '.join(SCHEMES)}:/…")
    return _Local(path, uri)


@frozen
class Made:
    """A project that serves a model, and what is known of it."""

    uri: str
    model: Model
    service: Service
    python: str
    files: tuple[str, ...]  # of the project, sorted
    bytes: int  # of the model, as far as they are known


def make(
    folder: Path,
    origin: Source,
    progress: Reporter,
    *,
    server: str = "",
    python: str = "",
    is_dry: bool = False,
) -> Made:
    """Write the project that serves a model into a new or empty folder, whole or not at all.

    Nothing but the model's texts is fetched, and nothing written, where `is_dry`. Raises
    LockstitchError for a model that cannot be served, and for one that the disk has no room for.
    """
    sizes = origin.sizes()
    above = next(parent for parent in folder.absolute().parents if parent.is_dir())
    room = max(0, shutil.disk_usage(above).free - _SPARE)
    total = sum(count or 0 for count in sizes.values())
    if total > room:
        message = f"the model has {size.shown(total)}, and `{above}` has room for "
        message += size.shown(room)
        raise LockstitchError(message, hint="name a folder on another disk")
    with tempfile.TemporaryDirectory(
        dir=None if is_dry else above, prefix=".lockstitch-new-"
    ) as temporary:
        root = Path(temporary, "project")
        texts = [name for name in mlmodel.READ if name in sizes]
        for name in texts:
            _write(root / FOLDER / name, origin.chunks(name, mlmodel.LARGEST))
        model = mlmodel.read(Folder(root / FOLDER))
        minor = project.python_of(model, python)
        service = project.service(model, server)
        others = project.texts(model, service, origin.uri, folder.absolute().name, minor)
        names = (*(f"{FOLDER}/{name}" for name in sizes), *others)
        if not is_dry:
            _fetch(root / FOLDER, origin, [name for name in sizes if name not in texts], progress)
            for name, text in others.items():
                files.write_text(root / name, text)
            _place(root, folder)
    return Made(
        uri=origin.uri,
        model=model,
        service=service,
        python=minor,
        files=tuple(sorted(names)),
        bytes=total,
    )


def _fetch(root: Path, origin: Source, names: Sequence[str], progress: Reporter) -> None:
    sizes = origin.sizes()
    with progress.task("fetch the model", sum(sizes[name] or 0 for name in names)) as task:

        def one(name: str) -> None:
            limit = sizes[name]
            room = shutil.disk_usage(root).free - _SPARE
            _write(root / name, origin.chunks(name, room if limit is None else limit))
            task.advance(limit or 0)

        threads.run(names, one, parallel=4)


def _write(path: Path, chunks: Iterator[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as handle:  # never through a link, never over another one
        handle.writelines(chunks)


def _place(root: Path, folder: Path) -> None:
    """Move the finished project to its name, where nothing or an empty folder is."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir():
        folder.rmdir()
    root.replace(folder)
