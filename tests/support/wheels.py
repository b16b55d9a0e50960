"""Tiny real wheels, a source distribution, a build backend, and an index page for them."""

import base64
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from support.server import Reply, Server

__all__ = ["BACKEND", "Index", "Published", "backend", "sdist", "wheel"]

_DATE = (2024, 1, 1, 0, 0, 0)
_JSON = {"Content-Type": "application/vnd.pypi.simple.v1+json"}

# What `[build-system]` of the test projects names: PEP 517 and 660, no dependency.
BACKEND = '''\
"""Packs src/NAME of a project into a wheel (PEP 517)."""

import pathlib
import tomllib
import zipfile


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Write NAME-VERSION-py3-none-any.whl and return its name."""
    name = _project()["name"].replace("-", "_")
    files = {
        path.relative_to("src").as_posix(): path.read_bytes()
        for path in sorted(pathlib.Path("src", name).rglob("*.py"))
    }
    return _pack(wheel_directory, files)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """Write a wheel that leads to src (PEP 660) and return its name."""
    return _pack(wheel_directory, {"_tiny.pth": str(pathlib.Path("src").absolute()).encode()})


def _project():
    return tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]


def _pack(wheel_directory, files):
    project = _project()
    name, version = project["name"].replace("-", "_"), project["version"]
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\\nName: {project['name']}\\nVersion: {version}\\n"
    files[f"{info}/METADATA"] = metadata.encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    rows = [*files, f"{info}/RECORD"]
    files[f"{info}/RECORD"] = "".join(f"{row},,\\n" for row in rows).encode()
    filename = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, filename), "w") as made:
        for path, data in files.items():
            made.writestr(path, data)
    return filename
'''


def wheel(
    name: str,
    version: str,
    files: Mapping[str, bytes] | None = None,
    *,
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    scripts: Mapping[str, str] | None = None,
    licence: str = "",
) -> tuple[str, bytes]:
    """Return the file name and the bytes of a wheel; the same call gives the same bytes."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    default = {f"{name.replace('-', '_')}/__init__.py": f"version = {version!r}\n".encode()}
    members = dict(default if files is None else files)
    members[f"{info}/METADATA"] = _metadata(name, version, requires, licence=licence)
    members[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    if scripts:
        lines = "".join(f"{key} = {value}\n" for key, value in scripts.items())
        members[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}".encode()
    rows = "".join(f"{path},sha256={_hash(data)},{len(data)}\n" for path, data in members.items())
    members[f"{info}/RECORD"] = f"{rows}{info}/RECORD,,\n".encode()
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as made:
        for path, data in members.items():
            entry = zipfile.ZipInfo(path, _DATE)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(entry, data)
    return f"{stem}-{tag}.whl", output.getvalue()


def backend(version: str = "1.0") -> tuple[str, bytes]:
    """Return the wheel of the build backend `tinybuild`."""
    return wheel("tinybuild", version, {"tinybuild.py": BACKEND.encode()})


def sdist(name: str, version: str, files: Mapping[str, bytes] | None = None) -> tuple[str, bytes]:
    """Return a source distribution with its metadata (PEP 643), which nothing has to build."""
    stem = f"{name}-{version}"
    members = {
        "PKG-INFO": _metadata(name, version, (), form="2.2"),
        "pyproject.toml": (
            '[build-system]\nrequires = ["tinybuild"]\nbuild-backend = "tinybuild"\n'
            f'[project]\nname = "{name}"\nversion = "{version}"\n'
        ).encode(),
        **(files or {}),
    }
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:gz", format=tarfile.PAX_FORMAT) as made:
        for path, data in members.items():
            entry = tarfile.TarInfo(f"{stem}/{path}")
            entry.size = len(data)
            made.addfile(entry, io.BytesIO(data))
    return f"{stem}.tar.gz", output.getvalue()


def _metadata(
    name: str, version: str, requires: Sequence[str], form: str = "2.1", licence: str = ""
) -> bytes:
    lines = [f"Metadata-Version: {form}", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {require}" for require in requires]
    lines += [f"License: {licence}"] if licence else []
    return ("\n".join(lines) + "\n").encode()


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Published:
    """A file of the index."""

    name: str
    filename: str
    data: bytes

    @property
    def path(self) -> str:
        return f"/files/{self.filename}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(slots=True)
class Index:
    """A simple index (PEP 503, 691, 700) on a server, with hash, size and time of each file."""

    server: Server
    channel: str = ""  # of an index as PyTorch's are: HTML, no sizes, `%2B` in addresses
    files: dict[str, Published] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"{self.server.address}/{f'whl/{self.channel}' if self.channel else 'simple'}"

    def publish(self, built: tuple[str, bytes]) -> Published:
        """Add a file that `wheel` or `sdist` made."""
        filename, data = built
        stem = filename.removesuffix(".tar.gz")
        cut = stem.split("-")[0] if filename.endswith(".whl") else stem.rpartition("-")[0]
        made = Published(cut.replace("_", "-"), filename, data)
        self.files[filename] = made
        if self.channel:
            self._publish_in_channel(made)
            return made
        self.server.on(made.path, Reply(body=data))
        mine = [file for file in self.files.values() if file.name == made.name]
        page = {
            "meta": {"api-version": "1.1"},
            "name": made.name,
            "versions": sorted({each.filename.split("-")[1] for each in mine}),
            "files": [
                {
                    "filename": each.filename,
                    "url": f"{self.server.address}{each.path}",
                    "hashes": {"sha256": each.sha256},
                    "size": len(each.data),
                    "upload-time": "2026-01-02T03:04:05.000000Z",
                }
                for each in sorted(mine, key=lambda each: each.filename)
            ],
        }
        self.server.on(
            f"/simple/{made.name}/", Reply(body=json.dumps(page).encode(), headers=_JSON)
        )
        return made

    def _publish_in_channel(self, made: Published) -> None:
        mine = sorted(name for name, each in self.files.items() if each.name == made.name)
        place = f"/whl/{self.channel}"
        links = []
        for name in mine:
            path = f"{place}/{quote(name)}"
            self.server.on(path, Reply(body=self.files[name].data))
            links.append(f'<a href="{path}#sha256={self.files[name].sha256}">{name}</a>')
        page = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>"
        html = {"Content-Type": "text/html"}
        self.server.on(f"{place}/{made.name}/", Reply(body=page.encode(), headers=html))
