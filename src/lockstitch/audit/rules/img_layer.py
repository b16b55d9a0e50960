"""IMG: what stays in the layers of an image that no run of it needs."""

import posixpath
import re
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Skip
from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.images import Built, image_files, products
from lockstitch.repository.dockerfile.installs import Install
from lockstitch.repository.dockerfile.stages import Step
from lockstitch.repository.files import Repository
from lockstitch.repository.shell.calls import Call

_COMPILERS = frozenset(
    {"build-essential", "build-base", "gcc", "g++", "clang", "cmake", "make", "gfortran", "cargo"}
    | {"rustc", "rust", "musl-dev", "linux-headers", "ninja-build"}
)
_HEADERS = regex(r"[a-z0-9][a-z0-9.+-]*-(?:dev|devel)")
_NO = {"", "0", "false", "off", "no"}
_RECURSIVE = regex(r"-[a-zA-Z]*R[a-zA-Z]*|--recursive")
# They compile at run time: kernels, and the models of PyMC.
_COMPILING = regex(r"(?im)\b(?:triton|pymc|pytensor|deepspeed|vllm|tvm)\b")
_LISTS = ("requirements.txt", "pyproject.toml", "environment.yml")
_MOST_FILES = 200
_SMALL = (".sh", ".toml", ".txt", ".yaml", ".yml", ".json", ".py", ".cfg", ".ini", ".lock")


class IMG008(Rule):
    """Compilers, headers or a manager's cache are left in the image that runs.

    Why: hundreds of megabytes that every machine pulls and nothing uses, and tools for whoever
    breaks in.

    Bad:
        FROM python:3.11-slim
        RUN apt-get update && apt-get install -y gcc libpq-dev
        RUN uv sync --locked --no-dev

    Good:
        FROM python:3.11-slim AS build
        RUN apt-get update && apt-get install -y gcc libpq-dev
        RUN uv sync --locked --no-dev
        FROM python:3.11-slim
        COPY --from=build /app/.venv /app/.venv

    Fix: build in a stage of its own and copy the environment, remove them in the same RUN, or
    keep the cache in a mount: `RUN --mount=type=cache,target=/root/.cache/uv`.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in products(repo):
            if built.is_python and (built.base is None or not built.base.cuda):
                for step, install in built.installs:
                    names = _left(step, install)
                    if names and not _compiles(repo, built):
                        listed = ", ".join(f"`{name}`" for name in names)
                        message = f"{listed} stays in the image that runs"
                        hint = "build in an earlier stage, or remove it in the same RUN"
                        yield self.finding(built.image.path, install.line, message, hint=hint)
                    cache = _cache_left(step, install)
                    if cache:
                        tool, hint = cache
                        message = f"the cache of {tool} stays in the layer"
                        yield self.finding(built.image.path, install.line, message, hint=hint)


def _left(step: Step, install: Install) -> list[str]:
    """Return the compilers and headers that a system's install leaves behind."""
    if install.is_python or install.removes or install.options.has("--virtual", "-t"):
        return []
    names = [n for n in install.names if n in _COMPILERS or _HEADERS.fullmatch(n)]
    removed = {name for other in step.installs if other.removes for name in other.names}
    gone = any(other.removes and "autoremove" in other.call.words for other in step.installs)
    return [] if gone and not removed else [n for n in names if n not in removed]


def _compiles(repo: Repository, built: Built) -> bool:
    """Return whether what is installed may compile when it runs."""
    for _, install in built.installs:
        if any(_COMPILING.search(name) for name in install.required):
            return True
    folders = [context.path(name) for context in built.image.contexts for name in _LISTS]
    if any(_COMPILING.search(repo.text(folder) or "") for folder in folders):
        return True
    code = [name for name in repo.names if name.endswith(".py")][:_MOST_FILES]
    return any("torch.compile" in (repo.text(name) or "") for name in code)


def _commands(step: Step) -> str:
    return "\n".join(" ".join((call.program, *call.words)) for call in step.calls)


def _cache_left(step: Step, install: Install) -> tuple[str, str] | None:
    """Return the manager whose cache an install leaves in the layer, and how it would not."""
    state, options = step.state, install.options
    text = _commands(step)
    if install.tool in {"uv sync", "uv pip"}:
        off = state.get("UV_NO_CACHE") or install.call.assignments.get("UV_NO_CACHE", "")
        kept = off.lower() in _NO and not options.has("--no-cache", "--no-cache-dir", "-n")
        cleaned = "uv cache" in text or re.search(r"rm .*(?:\.cache|/uv)", text)
        if kept and not cleaned and not step.has_cache_mount("cache", "uv"):
            return "uv", "RUN --mount=type=cache,target=/root/.cache/uv uv …, or ENV UV_NO_CACHE=1"
    elif install.tool == "poetry":
        kept = not options.has("--no-cache")
        cleaned = "cache clear" in text or re.search(r"rm .*(?:cache|poetry)", text)
        if kept and not cleaned and not step.has_cache_mount("cache", "poetry"):
            return "Poetry", "poetry install --no-cache …, of Poetry 1.2 or newer"
    elif install.tool == "conda":
        cleaned = re.search(r"(?m)^(?:conda|mamba|micromamba) clean|rm .*pkgs", text)
        if not cleaned and not step.has_cache_mount("pkgs", "conda", "cache"):
            return "conda", "add `&& conda clean --all --yes` to the same RUN"
    return None


class IMG018(Rule):
    r"""The cache of pip is left in the image.

    Why: each wheel is in the layer twice: as downloaded and as installed. With torch it is
    gigabytes.

    Bad:
        RUN pip install --requirement requirements.txt

    Good:
        RUN --mount=type=cache,target=/root/.cache/pip \
            pip install --requirement requirements.txt

    Fix: a cache mount, which also makes the next build fast; or `--no-cache-dir`, or
    `ENV PIP_NO_CACHE_DIR=1`.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in products(repo):
            if built.base is None or built.base.kind in {"lambda", "nvidia", "windows"}:
                continue  # such bases may set PIP_NO_CACHE_DIR
            for step, install in built.installs:
                if install.tool == "pip" and _keeps_pips(step, install):
                    message = "`pip install` leaves what it downloads in the layer"
                    hint = "add --no-cache-dir, or --mount=type=cache,target=/root/.cache/pip"
                    yield self.finding(built.image.path, install.line, message, hint=hint)


def _keeps_pips(step: Step, install: Install) -> bool:
    before = install.call.words[: install.call.words.index("install")]
    if "--no-cache-dir" in before or install.options.has("--no-cache-dir"):
        return False
    off = install.call.assignments.get("PIP_NO_CACHE_DIR", "") or step.state.get("PIP_NO_CACHE_DIR")
    exported = any("PIP_NO_CACHE_DIR" in " ".join(call.words) for call in step.calls)
    if off or exported or "PIP_NO_CACHE_DIR" in step.state.unknown:
        return False
    cleaned = re.search(r"cache purge|rm .*cache", _commands(step))
    itself = {*install.required} <= {"pip", "setuptools", "wheel"} and not install.files
    return not cleaned and not itself and not step.has_cache_mount("cache", "pip")


class IMG020(Rule):
    """Owner or mode of copied files is changed in a layer of its own.

    Why: a layer holds whole files: `chown -R` after COPY stores every file once more, models
    and virtual environment included.

    Bad:
        COPY . /app
        RUN chown -R app:app /app

    Good:
        COPY --chown=app:app . /app

    Fix: say it in COPY, with --chown or --chmod. Files that are only read may belong to root.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for image in image_files(repo):
            for built in image.products if any(b.is_python for b in image.stages) else ():
                by_line = {call.line: (call, place) for call, place in [*_changed(built)][::-1]}
                for call, place in by_line.values():  # one layer stores them again once
                    message = f"`{call.program} -R {place}` stores again what was copied"
                    hint = f"COPY --{call.program}=… in its place"
                    yield self.finding(image.path, call.line, message, hint=hint)


def _changed(built: Built) -> Iterator[tuple[Call, str]]:
    """Yield each recursive chown or chmod, with the first place of copied files that it goes to."""
    brought: dict[str, list[str]] = {"chown": [], "chmod": []}
    for step in built.steps:
        for call in step.calls if step.instruction.name == "RUN" else ():
            if any(_RECURSIVE.fullmatch(word) for word in call.words):
                places = [word for word in call.words if not word.startswith("-")][1:]
                before = brought.get(call.program, [])
                hit = [place for place in places if _covers(step.state.path(place), before)]
                if hit:
                    yield call, hit[0]
        copied = step.copied
        if copied is None or not copied.known:
            continue
        # Files of a few kilobytes do not matter.
        if not all(name.endswith(_SMALL) and "*" not in name for name in copied.sources):
            for program, targets in brought.items():
                if step.instruction.flag(program) is None:
                    targets.append(copied.target)


def _covers(path: str, brought: list[str]) -> bool:
    if "$" in path:
        return False
    return any(
        target == path or target.startswith(f"{path.rstrip('/')}/")  # not a folder in what came
        for target in brought
        if posixpath.isabs(target)
    )


class IMG027(Rule):
    r"""The lists of apt-get are left in the image, or what is only recommended.

    Why: the lists are 20 to 50 MB that go stale the next day; recommended packages can be
    hundreds of megabytes that nobody asked for.

    Bad:
        RUN apt-get update && apt-get install -y libgomp1

    Good:
        RUN apt-get update \
         && apt-get install -y --no-install-recommends libgomp1 \
         && rm -rf /var/lib/apt/lists/*

    Fix: add what is missing to the same RUN, or a cache mount for /var/lib/apt.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in products(repo):
            for step in built.steps if built.is_python else ():
                installs = [i for i in step.installs if i.tool == "apt" and not i.removes]
                lacking = _lacking(step, installs)
                if lacking:
                    message = f"`apt-get install` without {' and '.join(lacking)}"
                    yield self.finding(built.image.path, installs[0].line, message, hint=_CLEAN)


_CLEAN = "apt-get install -y --no-install-recommends … && rm -rf /var/lib/apt/lists/*"


def _lacking(step: Step, installs: list[Install]) -> list[str]:
    text = step.instruction.text + "".join(heredoc.text for heredoc in step.instruction.heredocs)
    lists = "/var/lib/apt" in text or step.has_cache_mount("/var/lib/apt", "/var/cache/apt")
    options = all(
        install.options.has("--no-install-recommends") or "Install-Recommends" in text
        for install in installs
    )
    lacking = [] if options else ["`--no-install-recommends`"]
    return lacking + ([] if lists else ["`rm -rf /var/lib/apt/lists/*`"]) if installs else []
