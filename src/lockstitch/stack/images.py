"""The images of the stack's services, built like a project's own from the lists in `services`."""

import json
import shutil
from pathlib import Path
from typing import Any

from lockstitch import files, services
from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.image.build import Builder
from lockstitch.lock import file, make, toml
from lockstitch.lock.bases import kind_of
from lockstitch.lock.file import Lock, LockedService
from lockstitch.net.download import Fetcher
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Image
from lockstitch.progress import Reporter
from lockstitch.python.load import load
from lockstitch.python.model import Project
from lockstitch.resources import load_script
from lockstitch.store import Store
from lockstitch.values import replace

_SCRIPTS = {
    "postgres": ("container.py", "sh.py"),
    "objects": ("container.py", "presign.py"),
    "mlflow": ("container.py", "mlflow_server.py", "probe.py"),
}
_LINKS = {"postgres": {"usr/bin/sh": "/app/sh.py"}}
_BASE, _PYTHON = "debian:bookworm", "3.11"
_DATA = {"postgres", "objects"}  # services with a folder to write to
_INDEXES = ("index", "index-url", "extra-index-url", "index-strategy", "keyring-provider")


def build(
    own: Project, lock: Lock, store: Store, fetcher: Fetcher, progress: Reporter
) -> dict[tuple[str, str], Image]:
    """Return services' images by platform; raises LockstitchError for a missing base or wheel."""
    project = _project(own, lock, store)
    if not (project.root / file.NAME).exists() or make.stale(project, file.read(project.root)):
        # The base is the project's; only the addresses of the wheels are asked for.
        file.write(replace(lock, files=(), build=(), services=(), rendered=()), project.root)
        make.make(project, store, fetcher, progress)
    builder = Builder(project, file.read(project.root), store, fetcher, progress)
    specs = [replace(image, links=_LINKS.get(image.name, {})) for image in project.images]
    built = builder.build(specs, Layout(project.root / "images", own=True))
    names = [(spec.name, platform) for spec in specs for platform in project.platforms]
    return dict(zip(names, (image.image for image in built), strict=True))


def locked(lock: Lock, images: dict[tuple[str, str], Image]) -> tuple[LockedService, ...]:
    """Return the lock's services with the config digests of their images."""
    digests: dict[str, dict[str, Digest]] = {}
    for (name, platform), image in images.items():
        digests.setdefault(name, {})[platform] = image.config_descriptor().digest
    return tuple(
        replace(service, images=digests.get(service.name, {})) for service in lock.services
    )


def _project(project: Project, lock: Lock, store: Store) -> Project:
    """Return a project of the three images, in a folder of the store."""
    parts = {"pyproject.toml": toml.dumps(_document(project)).encode()}
    for name in services.NAMES:
        parts[services.name_of_list(name)] = services.requirements(name).encode()
    for script in sorted({script for scripts in _SCRIPTS.values() for script in scripts}):
        parts[script] = load_script(f"stack/{script}")
    base = [] if kind_of(project.base).in_registry else [base.digest for base in lock.bases]
    hashed = {name: of_bytes(data) for name, data in parts.items()}
    key = of_bytes(json.dumps([hashed, base], sort_keys=True).encode()).hex[:16]
    root = store.scratch(f"stack-images-{key}")
    with store.lock(root.name):
        if not (root / "pyproject.toml").exists():
            _write(root, parts)
    return load(root)


def _write(root: Path, parts: dict[str, bytes]) -> None:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for name in sorted(parts, key=lambda name: name == "pyproject.toml"):  # it is last
        files.write_bytes(root / name, parts[name])
        if name == "sh.py":
            (root / name).chmod(0o755)


def _document(project: Project) -> dict[str, Any]:
    images = {
        name: {
            "lock": services.name_of_list(name),
            "include": sorted(_SCRIPTS[name]),
            "outputs": ["data"] if name in _DATA else [],
            "command": ["python", "container.py", name],
            "bytecode": name == "mlflow",
            "trim": True,
        }
        for name in services.NAMES
    }
    in_registry = kind_of(project.base).in_registry
    tools = project.document.get("tool", {})
    own = tools.get("uv", {}) if isinstance(tools, dict) else {}
    uv = {key: own[key] for key in _INDEXES if key in own}
    return {
        "project": {"name": "lockstitch", "version": "0", "requires-python": ">=3.11"},
        "tool": {
            **({"uv": uv} if uv else {}),
            "lockstitch": {
                # An image of a registry may lack what the services' wheels need.
                "python": _PYTHON if in_registry else project.python,
                "base": _BASE if in_registry else project.base,
                "platforms": sorted(project.platforms),
                "images": images,
            },
        },
    }


def of_platform(images: dict[tuple[str, str], Image], platform: str) -> dict[str, Image]:
    """Return the images of one platform by service, or raise LockstitchError."""
    own = {name: image for (name, of), image in images.items() if of == platform}
    if not own:
        known = ", ".join(sorted({of for _, of in images}))
        message = f"the engine runs {platform}, the project has {known}"
        raise LockstitchError(message, hint=f'platforms = ["{platform}"] in [tool.lockstitch]')
    return own
