"""What of a repository goes into a build: which files are there, made later, or better left out."""

import posixpath
from collections.abc import Iterator

from lockstitch.patterns import regex
from lockstitch.repository.dockerfile import ignore
from lockstitch.repository.dockerfile.contexts import Context
from lockstitch.repository.dockerfile.ignore import Ignore
from lockstitch.repository.dockerfile.images import ImageFile, image_files
from lockstitch.repository.dockerfile.stages import Step
from lockstitch.repository.files import Repository

__all__ = [
    "copies",
    "copies_all",
    "is_ignored_by_git",
    "is_made",
    "let_in",
    "named_sources",
    "needs_git",
]

_WHOLE = {"", ".", "*"}
_MADE = regex(
    r"(?i)(?:^|/)(?:dist|build|target|out|outputs?|artifacts?|[\w-]*models?|mlruns|weights"
    r"|checkpoints?|node_modules|public|static|wheels?|wheelhouse|vendor)(?:/|$)"
    r"|\.(?:whl|gz|zip|jar|pkl|pickle|joblib|pt|pth|onnx|h5|keras|bin|safetensors|gguf|cbm|ubj"
    r"|model|so|crt|pem)$"
)
_VERSIONED_BY_GIT = regex(
    r"setuptools[-_]scm|hatch-vcs|versioningit|dunamai|dynamic-versioning|vcs-versioning|pbr\b"
)
_DATA = (".csv", ".tsv", ".parquet", ".feather", ".npy", ".npz", ".jsonl", ".jpg", ".png", ".zip")
_MODELS = (".pkl", ".joblib", ".pt", ".pth", ".onnx", ".h5", ".keras", ".safetensors", ".bin")


def copies(image: ImageFile) -> Iterator[tuple[Step, str]]:
    """Yield what is copied from the context: each step with each of its certain sources."""
    for stage in image.dockerfile.stages:
        for step in image.steps(stage.index)[0]:
            copied = step.copied
            if copied is None or copied.origin:
                continue
            for source in copied.sources:
                expanded = copied.known or "$" not in step.instruction.text
                if expanded and "://" not in source and not source.startswith(("git@", "<<")):
                    yield step, source


def _clean(source: str) -> str:
    path = posixpath.normpath("/" + source).lstrip("/")
    return "" if path == "." else path


def copies_all(image: ImageFile) -> Step | None:
    """Return the first step that copies the whole context."""
    return next((step for step, source in copies(image) if _clean(source) in _WHOLE), None)


def named_sources(repo: Repository, folder: str) -> set[str]:
    """Return the paths, from a context's folder, that COPY names in any Dockerfile of it."""
    return {
        _clean(source)
        for image in image_files(repo)
        if any(each.folder == folder for each in image.contexts)
        for _, source in copies(image)
    } - _WHOLE


def is_made(repo: Repository, path: str) -> bool:
    """Return whether a file that is not there may be made or fetched before the build."""
    if _MADE.search(path) or is_ignored_by_git(repo, path):
        return True
    parents = [path]
    while parents[-1]:
        parents.append(posixpath.dirname(parents[-1]))
    if any(repo.exists(f"{each}.dvc") for each in parents[:-1]):
        return True
    pipeline = (repo.text("dvc.yaml") or "") + (repo.text("Makefile") or "")
    if path in pipeline or posixpath.basename(path) in pipeline:
        return True
    modules = repo.text(".gitmodules") or ""
    return any(f"path = {each}\n" in modules for each in parents[:-1])


def is_ignored_by_git(repo: Repository, path: str) -> bool:
    """Return whether a .gitignore at or above a path names it."""
    folder = posixpath.dirname(path)
    while True:
        ignore = _gitignore(repo, folder)
        below = path[len(folder) + 1 :] if folder else path
        if ignore is not None and ignore.excludes(below):
            return True
        if not folder:
            return False
        folder = posixpath.dirname(folder)


def _gitignore(repo: Repository, folder: str) -> Ignore | None:
    name = posixpath.join(folder, ".gitignore")
    text = repo.text(name)
    if text is None:
        return None
    return ignore.read(name, "\n".join(_as_docker(line) for line in text.splitlines()))


def _as_docker(line: str) -> str:
    """Return a line of .gitignore as .dockerignore would have it: there nothing recurses."""
    bare = line.strip()
    if not bare or bare.startswith("#"):
        return ""
    sign = "!" if bare.startswith("!") else ""
    bare = bare.removeprefix("!")
    anchored = "/" in bare.rstrip("/")
    return f"{sign}{bare}" if anchored else f"{sign}**/{bare.rstrip('/')}"


def needs_git(repo: Repository, context: Context) -> bool:
    """Return whether a build asks git for the version."""
    for name in ("pyproject.toml", "setup.py", "setup.cfg"):
        if _VERSIONED_BY_GIT.search(repo.text(context.path(name)) or ""):
            return True
    return any(
        call.program == "git" and not call.begins("clone") and not call.begins("config")
        for image in image_files(repo)
        if any(each.folder == context.folder for each in image.contexts)
        for stage in image.stages
        for step in stage.steps
        for call in step.calls
    )


def let_in(repo: Repository, image: ImageFile, context: Context) -> list[str]:
    """Return what COPY of the whole context takes along and no image should have."""
    found = []
    own = repo.tracked is None or repo.exists(".git")
    if not context.folder and own and not needs_git(repo, context):
        found.append(".git")
    locked = any(repo.exists(context.path(each)) for each in ("uv.lock", "poetry.toml"))
    for name in (".venv", ".env"):
        path = context.path(name)
        hinted = locked if name == ".venv" else _has_example(repo, context)
        if hinted or repo.exists(path) or is_ignored_by_git(repo, path):
            found.append(name)
    serving = [each.serves for each in image.products]
    if serving and all(serving):
        found += [each for each in ("data", "datasets") if _holds(repo, context, each, _DATA)]
    elif serving and not any(serving):
        found += [each for each in ("models",) if _holds(repo, context, each, _MODELS)]
    named = named_sources(repo, context.folder)
    return [each for each in found if not context.excludes(each) and each not in named]


def _has_example(repo: Repository, context: Context) -> bool:
    return any(
        repo.exists(context.path(f".env.{each}")) for each in ("example", "sample", "template")
    )


def _holds(repo: Repository, context: Context, folder: str, endings: tuple[str, ...]) -> bool:
    """Return whether a folder has files of a kind, is no package, and is left out nowhere."""
    path = context.path(folder)
    inside = [each for each in repo.every_name if each.startswith(f"{path}/")]
    if any(each.endswith("/__init__.py") for each in inside):
        return False
    start = len(context.folder) + 1 if context.folder else 0
    kept = [each for each in inside if not context.excludes(each[start:])]
    return any(each.lower().endswith(endings) for each in kept)
