"""Finds what a build installs its Python packages from: locks, lists, names of any version."""

import posixpath
from collections.abc import Iterator

from lockstitch.patterns import regex
from lockstitch.python.locks import Graph
from lockstitch.python.tables import table
from lockstitch.repository.dockerfile.images import Built, ImageFile, image_files
from lockstitch.repository.dockerfile.installs import Install, package_of
from lockstitch.repository.dockerfile.stages import Step
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging.files import lock_files
from lockstitch.repository.text.ignore import Pattern

# Sources of COPY that are no code: what packages are installed from, and what goes with it.
LISTS = regex(
    r"(?:.*/)?(?:pyproject\.toml|uv\.lock|poetry\.lock|poetry\.toml|pdm\.lock|Pipfile(?:\.lock)?"
    r"|pylock[\w.]*\.toml|[\w.-]*(?:requirements|constraints)[\w.-]*|environment[\w.-]*\.ya?ml"
    r"|setup\.(?:py|cfg)|README[\w.]*|LICENSE[\w.]*|\.python-version|[\w.-]+\.(?:lock|sh))\*?"
)

_ON = {"1", "true", "yes", "on", "t", "y"}
_EXACT = regex(r"===?\s*[^\s,;*]+(\s*;.*)?|@\s*\S+")
_COMMIT = regex(r"@[0-9a-f]{7,40}(?:[#;].*)?$|@v?\d+(?:\.\d+)+")


def running(repo: Repository) -> Iterator[Built]:
    """Yield the images that run and the stages that bring files to them."""
    for image in image_files(repo):
        products = {product.stage.index: product for product in image.products}
        for built in image.products:
            for source in built.sources:
                products.setdefault(source.stage.index, source)
        yield from (products[index] for index in sorted(products))


def has_code(repo: Repository, image: ImageFile, source: str) -> bool | None:
    """Return whether a source of COPY brings Python; None when nothing of it is there."""
    if LISTS.fullmatch(source):
        return False
    if posixpath.normpath(source) in {".", "/"}:
        return True
    paths = [context.path(source) for context in image.contexts]
    if set(source) & set("*?[\\"):
        patterns = [Pattern(text=path, allows=False, line=0) for path in paths]
        inside = [name for name in repo.names if any(pattern.matches(name) for pattern in patterns)]
    else:
        folders = tuple(f"{path}/" for path in paths)
        inside = [name for name in repo.names if name.startswith(folders) or name in paths]
    return any(name.endswith((".py", ".ipynb")) for name in inside) if inside else None


def is_set(step: Step, install: Install, *names: str) -> bool:
    """Return whether one of these variables is on for a command, or only a build can tell."""
    values = (install.call.assignments.get(name, "") or step.state.get(name) for name in names)
    return any(value.lower() in _ON for value in values) or not step.state.unknown.isdisjoint(names)


def unpinned(install: Install) -> list[str]:
    """Return the packages of a pip install that may be any version, bootstrapping apart."""
    loose = []
    for name in install.required:
        package, _, rest = package_of(name)
        if "$" in name or "`" in name:
            continue
        if "://" in name:
            moving = name.startswith("git+") and not _COMMIT.search(name)
            loose += [name] if moving else []
        elif (
            package
            and not _EXACT.fullmatch(rest.strip())
            and package not in {"pip", "setuptools", "wheel"}
        ):
            loose.append(package)
    return loose


def file_in(repo: Repository, image: ImageFile, name: str) -> str | None:
    """Return the path of a file that a build's context has by this name, None when it has none."""
    for context in image.contexts:
        path = context.path(name)
        if repo.text(path) is not None:
            return path
    return None


def lock_in(repo: Repository, image: ImageFile, name: str) -> Graph | None:
    """Return the lock or list of a build's context by its name, None when it has none."""
    path = file_in(repo, image, name)
    return next((file for file in lock_files(repo) if file.path == path), None)


def project(repo: Repository, image: ImageFile) -> tuple[str, dict[str, object]] | None:
    """Return the pyproject.toml of a build's context, by its path and as a document."""
    path = file_in(repo, image, "pyproject.toml")
    document = repo.toml(path) if path else None
    return (path, document) if path and document is not None else None


def installs_own_folder(step: Step, install: Install) -> bool:
    """Return whether a command installs the folder that it stands in, before any `cd`."""
    here = any(name.split("[")[0].rstrip("/") == "." for name in install.local)
    return here and not any(call.program in {"cd", "pushd"} for call in step.calls)


def has_dependencies(document: object) -> bool:
    """Return whether a project has dependencies at run time."""
    listed = table(document, "project").get("dependencies")
    poetry = table(document, "tool", "poetry", "dependencies")
    dynamic = table(document, "project").get("dynamic")
    return bool(listed) or bool({*poetry} - {"python"}) or "dependencies" in (dynamic or ())
