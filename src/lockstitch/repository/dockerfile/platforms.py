"""Which platforms a folder's images are for, and whether they are for GPUs."""

import re

from lockstitch.patterns import regex
from lockstitch.python.tables import table
from lockstitch.repository.compose.services import compose_files
from lockstitch.repository.dockerfile.images import Built, image_files
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging.declared import beside
from lockstitch.repository.packaging.wheels import Machine

__all__ = ["MACHINES", "built_in", "groups", "machine", "named", "speaks_of_gpus"]

MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
_PLATFORM = regex(r"(?m)^(?!\s*#).*?\blinux/(?:amd64|arm64)\b.*$")
_NAMED = regex(r"\blinux/(?:amd64|arm64)\b")
_GPU = regex(r"nvidia|\bcuda|--gpus|\bgpus?\b|\bcu1[12]\d\b", re.IGNORECASE)
_CODE = regex(
    r"\.cuda\(|(?:device|map_location)\s*=\s*[\"']cuda[:\d]*[\"'](?!\s+if)|\.to\([\"']cuda"
)
_TEXTS = (".md", ".rst", ".sh", ".yml", ".yaml", ".tf", "Makefile", "justfile", "Justfile")
_LIBRARIES = frozenset({"pytorch", "tensorflow", "nvidia", "cuda"})


def built_in(repo: Repository, folder: str) -> list["Built"]:
    """Return the Python images that are built in a folder."""
    return [
        built
        for image in image_files(repo)
        if any(context.folder == folder for context in image.contexts)
        for built in image.products
        if built.is_python
    ]


def named(repo: Repository, folder: str) -> dict[str, str]:
    """Return the Linux platforms that images are made for, each with where it is said."""
    path = beside(folder, "pyproject.toml")
    said = table(repo.toml(path), "tool", "lockstitch").get("platforms")
    found = {p: path for p in said if p in MACHINES} if isinstance(said, list) else {}
    for built in built_in(repo, folder):
        platform = built.stage.platform
        if platform is not None and not platform.unknown and platform.text in MACHINES:
            found.setdefault(platform.text, built.image.path)
        for use in built.uses:
            _add(repo, use.compose, found)
    if built_in(repo, folder):
        for name in repo.names:
            if name.startswith(".github/workflows/") and name.endswith((".yml", ".yaml")):
                _add(repo, name, found)
    return found


def _add(repo: Repository, path: str, found: dict[str, str]) -> None:
    for line in _PLATFORM.findall(repo.text(path) or ""):
        for each in _NAMED.findall(line.partition(" #")[0]):
            found.setdefault(each, path)


def machine(repo: Repository, folder: str, platform: str) -> Machine:
    """Return the machine of a platform, with the Python that the folder's images have."""
    said = table(repo.toml(beside(folder, "pyproject.toml")), "tool", "lockstitch").get("python")
    pythons = [b.base.python for b in built_in(repo, folder) if b.base and b.base.python]
    python = said if isinstance(said, str) else (pythons[0] if len({*pythons}) == 1 else "")
    return Machine(python=python, processor=MACHINES[platform])


def groups(repo: Repository, folder: str) -> tuple[str, ...]:
    """Return the groups and extras that images of [tool.lockstitch] have."""
    images = table(repo.toml(beside(folder, "pyproject.toml")), "tool", "lockstitch", "images")
    listed = [each.get("groups") for each in images.values() if isinstance(each, dict)]
    return tuple(str(name) for each in listed if isinstance(each, list) for name in each)


def speaks_of_gpus(repo: Repository) -> bool:
    """Return whether anything in a repository says that it runs on GPUs.

    A slim base is no proof of the contrary: CUDA's libraries are in wheels, and `docker run
    --gpus` brings the driver.
    """
    bases = [b.base for image in image_files(repo) for b in image.stages if b.base is not None]
    if any(base.cuda or base.kind in _LIBRARIES for base in bases):
        return True
    texts = [image.text for image in image_files(repo)] + [
        file.text for file in compose_files(repo)
    ]
    texts += [repo.text(name) or "" for name in repo.names if name.endswith(_TEXTS)]
    if any(_GPU.search(text) for text in texts):
        return True
    code = [n for n in repo.names if n.endswith((".py", ".ipynb"))]
    return any(_CODE.search(repo.text(name) or "") for name in code)
