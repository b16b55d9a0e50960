"""Packages of CUDA: which a lock brings, how large they are, and whether anybody wants them."""

import re
from collections.abc import Iterable

from lockstitch.patterns import regex
from lockstitch.repository.dockerfile import recipes
from lockstitch.repository.dockerfile.images import Built
from lockstitch.repository.dockerfile.installs import package_of
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging.files import lock_files
from lockstitch.repository.packaging.locks import Locked, LockFile
from lockstitch.repository.packaging.wheels import Machine, fits, installed

__all__ = ["cuda_of", "is_cuda", "lock_of", "named_torch", "size", "wants_gpu"]

_NAMES = regex(r"nvidia-.+|(?:pytorch-)?triton|cuda-(?:bindings|toolkit|pathfinder)|cupy-.+")
_WANTED = regex(
    r"--gpus|nvidia\.com/gpu|(?:runtime|driver):\s*[\"']?nvidia|capabilities:.*gpu|\bgpus:"
    r"|NVIDIA_VISIBLE|whl/cu\d"
)
_SAID = regex(r"(?i)gpu|cuda|nvidia|rocm")
_TORCH = frozenset({"torch", "torchvision", "torchaudio"})
_MOST_FILES = 100


def is_cuda(package: Locked) -> bool:
    """Return whether a package is of CUDA alone."""
    return _NAMES.fullmatch(package.name) is not None


def size(packages: Iterable[Locked], machine: Machine) -> int:
    """Return the bytes of the wheels that a machine gets; 0 where the lock does not say them."""
    total = 0
    for each in packages:
        sizes = [file.size for file in each.files if file.is_wheel and fits(file.name, machine)]
        total += max(sizes, default=0)
    return total


def lock_of(repo: Repository, built: Built) -> tuple[LockFile, tuple[str, ...]] | None:
    """Return the lock with files that an image is installed from, and the groups it takes.

    That of the build's folder, however it is installed: a list that is exported from it has the
    same packages.
    """
    image = built.image
    python = [i for b in (built, *built.sources) for _, i in b.installs if i.is_python]
    if not any(not each.is_tools for each in python):
        return None
    for name in ("uv.lock", "poetry.lock", "pylock.toml"):
        path = recipes.file_in(repo, image, name)
        lock = next((each for each in lock_files(repo) if each.path == path), None)
        if lock is not None and any(each.wheels for each in lock.packages):
            groups = {
                value
                for each in python
                for value in each.options.values("--group", "--extra", "--with", "-E", "--extras")
            }
            return lock, tuple(sorted(groups))
    return None


def named_torch(repo: Repository, built: Built) -> tuple[int, str] | None:
    """Return the line that installs torch with CUDA without a lock: no index of CPU builds."""
    for _, each in built.installs:
        if not each.is_pip:
            continue
        words = " ".join(each.call.words)
        if "whl/cpu" in words or "--torch-backend" in words:
            continue
        names = [package_of(name) for name in each.required]
        if any(name in _TORCH and "+cpu" not in rest for name, _, rest in names):
            return each.line, "the command"
        for file in each.files:
            path = recipes.file_in(repo, built.image, file)
            text = (repo.text(path) if path else None) or ""
            plain = "whl/cpu" not in text and "+cpu" not in text
            if plain and re.search(r"(?im)^torch(?:vision|audio)?\s*(?:[=<>~!;\[@].*)?$", text):
                return each.line, f"`{file}`"
    return None


def wants_gpu(repo: Repository, built: Built) -> bool:
    """Return whether something here says that the image is for machines with a GPU."""
    image = built.image
    comments = " ".join(each.text for each in image.dockerfile.comments)
    if _SAID.search(f"{image.path} {built.stage.name} {comments}"):
        return True
    env = {
        name: value for name, value in (built.state.env or {}).items() if value not in {"", "-1"}
    }
    if any(name.startswith(("NVIDIA_", "CUDA_")) for name in env):
        return True
    found = recipes.project(repo, image)
    texts = [image.text, (repo.text(found[0]) or "") if found else ""]
    names = [
        name
        for name in repo.names
        if name.endswith((".sh", ".yaml", ".yml", ".md", ".tf", ".sbatch", ".slurm", ".rst"))
        or name.rpartition("/")[2] in {"Makefile", "justfile", "Taskfile"}
    ]
    texts += [repo.text(name) or "" for name in names[:_MOST_FILES]]
    return any(_WANTED.search(text) for text in texts)


def cuda_of(lock: LockFile, groups: tuple[str, ...], machine: Machine) -> list[Locked]:
    """Return the packages of CUDA that a machine gets of a lock."""
    if not any(is_cuda(each) for each in lock.packages):
        return []
    return [each for each in installed(lock, machine, groups) if is_cuda(each)]
