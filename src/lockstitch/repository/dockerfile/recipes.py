"""What a build installs its Python packages from: locks, lists, or names of any version."""

import posixpath
import re

from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.ignore import Pattern
from lockstitch.repository.dockerfile.images import Built, ImageFile
from lockstitch.repository.dockerfile.installs import TOOLS, Install, package_of
from lockstitch.repository.dockerfile.stages import Step
from lockstitch.repository.dockerfile.tools import is_tool
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging.declared import table

__all__ = [
    "LISTS",
    "development",
    "file_in",
    "has_code",
    "is_exact",
    "is_here",
    "is_set",
    "needs_of",
]
__all__ += ["project", "running", "unpinned"]

# Sources of COPY that are no code: what packages are installed from, and what goes with it.
LISTS = regex(
    r"(?:.*/)?(?:pyproject\.toml|uv\.lock|poetry\.lock|poetry\.toml|pdm\.lock|Pipfile(?:\.lock)?"
    r"|pylock[\w.]*\.toml|[\w.-]*(?:requirements|constraints)[\w.-]*|environment[\w.-]*\.ya?ml"
    r"|setup\.(?:py|cfg)|README[\w.]*|LICENSE[\w.]*|\.python-version|[\w.-]+\.(?:lock|sh))\*?"
)

_ON = {"1", "true", "yes", "on", "t", "y"}
_EXACT = regex(r"===?\s*[^\s,;*]+(\s*;.*)?|@\s*\S+")
_COMMIT = regex(r"@[0-9a-f]{7,40}(?:[#;].*)?$|@v?\d+(?:\.\d+)+")


def running(image: ImageFile) -> list[Built]:
    """Return the images that run and the stages that bring files to them."""
    found = {each.stage.index: each for each in image.products}
    for built in image.products:
        for each in built.sources:
            found.setdefault(each.stage.index, each)
    return [found[index] for index in sorted(found)]


def has_code(repo: Repository, image: ImageFile, source: str) -> bool | None:
    """Return whether a source of COPY brings Python; None when nothing of it is there."""
    if LISTS.fullmatch(source):
        return False
    if posixpath.normpath(source) in {".", "/"}:
        return True
    paths = [context.path(source) for context in image.contexts]
    if set(source) & set("*?[\\"):
        patterns = [Pattern(text=each, allows=False, line=0) for each in paths]
        inside = [name for name in repo.names if any(each.matches(name) for each in patterns)]
    else:
        folders = tuple(f"{each}/" for each in paths)
        inside = [name for name in repo.names if name.startswith(folders) or name in paths]
    if not inside:
        return None
    return any(name.endswith((".py", ".ipynb")) for name in inside)


def is_set(step: Step, each: Install, name: str) -> bool:
    """Return whether a variable is on for a command."""
    value = each.call.assignments.get(name, "") or step.state.get(name)
    return value.lower() in _ON or name in step.state.unknown


def unpinned(each: Install) -> list[str]:
    """Return the packages of a pip install that may be any version, bootstrapping apart."""
    found = []
    for name in each.required:
        package, _, rest = package_of(name)
        if "$" in name or "`" in name:
            continue
        if "://" in name:
            moving = name.startswith("git+") and not _COMMIT.search(name)
            found += [name] if moving else []
        elif package and not is_exact(rest) and package not in {"pip", "setuptools", "wheel"}:
            found.append(package)
    return found


def is_exact(rest: str) -> bool:
    """Return whether what follows a requirement's name allows one version only."""
    return _EXACT.fullmatch(rest.strip()) is not None


def file_in(repo: Repository, image: ImageFile, name: str) -> str | None:
    """Return the path of a file that a build's context has by this name, None when it has none."""
    for context in image.contexts:
        path = context.path(name)
        if repo.text(path) is not None:
            return path
    return None


def project(repo: Repository, image: ImageFile) -> tuple[str, dict[str, object]] | None:
    """Return the pyproject.toml of a build's context, by its path and as a document."""
    path = file_in(repo, image, "pyproject.toml")
    document = repo.toml(path) if path else None
    return (path, document) if path and document is not None else None


def is_here(step: Step, each: Install) -> bool:
    """Return whether a command installs the folder that it stands in, before any `cd`."""
    here = any(name.split("[")[0].rstrip("/") == "." for name in each.local)
    return here and not any(call.program in {"cd", "pushd"} for call in step.calls)


def needs_of(document: object) -> bool:
    """Return whether a project asks for packages at run time."""
    listed = table(document, "project").get("dependencies")
    poetry = table(document, "tool", "poetry", "dependencies")
    dynamic = table(document, "project").get("dynamic")
    return bool(listed) or bool({*poetry} - {"python"}) or "dependencies" in (dynamic or ())


def development(repo: Repository, built: Built, step: Step, each: Install) -> str:
    """Return what of development a command installs, in words; empty when it is nothing."""
    if each.is_pip:
        return _of_pip(each)
    found = project(repo, built.image)
    if found is None:
        return ""
    _, document = found
    if each.tool == "uv sync":
        member = next(iter(each.options.values("--package")), "")
        return _of_uv(_member(repo, member) if member else document, step, each)
    if each.tool == "poetry":
        return _of_poetry(document, step, each)
    return "the packages of `--dev`" if each.options.has("--dev", "-d") else ""


def _member(repo: Repository, name: str) -> object:
    """Return the document of a workspace's member, None when there is none of this name."""
    for path in repo.named("pyproject.toml"):
        document = repo.toml(path)
        if table(document, "project").get("name") == name:
            return document
    return None


def _of_pip(each: Install) -> str:
    names = [package_of(name)[0] for name in each.required]
    tools = [name for name in names if is_tool(name) and name not in TOOLS]
    interactive = {"jupyter", "jupyterlab", "notebook", "ipykernel"}
    tools = [name for name in tools if name not in interactive]
    if tools:
        return ", ".join(f"`{name}`" for name in tools)
    for name in each.files:
        base = posixpath.basename(name).lower()
        if re.search(r"(?:^|[-_.])(?:dev|development|tests?|lint)(?:[-_.]|$)", base):
            return f"`{name}`"
    extras = [
        extra for name in (*each.local, *each.names) for extra in re.findall(r"\[([^\]]+)\]$", name)
    ]
    said = {part.strip() for extra in extras for part in extra.split(",")}
    wrong = sorted(said & {"dev", "test", "tests", "lint", "develop", "development"})
    return f"the extra `{wrong[0]}`" if wrong else ""


def _of_uv(document: object, step: Step, each: Install) -> str:
    options = each.options
    if options.has("--no-dev", "--no-default-groups", "--only-group", "--no-group"):
        return ""
    if is_set(step, each, "UV_NO_DEV") or is_set(step, each, "UV_NO_DEFAULT_GROUPS"):
        return ""
    uv = table(document, "tool", "uv")
    groups = table(document, "dependency-groups")
    default = uv.get("default-groups", ["dev"])
    chosen = [*groups] if default == "all" or options.has("--all-groups") else default
    named = [each for each in options.values("--group") if each in {"dev", "test", "lint"}]
    if "dev" in chosen and uv.get("dev-dependencies"):
        return "`dev-dependencies`"
    found = [n for n in chosen if _is_for_people(n) and groups.get(n)] if chosen else []
    return f"the group `{(found or named)[0]}`" if found or named else ""


def _of_poetry(document: object, step: Step, each: Install) -> str:
    options = each.options
    if options.has("--only", "--without", "--no-dev", "--only-root", "--only=main"):
        return ""
    if any(step.state.get(name) for name in ("POETRY_WITHOUT", "POETRY_ONLY", "POETRY_NO_DEV")):
        return ""
    poetry = table(document, "tool", "poetry")
    if poetry.get("dev-dependencies"):
        return "`dev-dependencies`"
    for name, group in table(poetry, "group").items():
        optional = isinstance(group, dict) and group.get("optional") is True
        if _is_for_people(name) and not optional and table(group, "dependencies"):
            return f"the group `{name}`"
    groups = table(document, "dependency-groups")
    return "the group `dev`" if groups.get("dev") else ""


def _is_for_people(name: object) -> bool:
    words = {"dev", "test", "tests", "lint", "docs", "development", "typing", "check"}
    return isinstance(name, str) and name in words
