"""LCK: whether a lock fits the machines that images are for: Python, platforms, CPU or GPU."""

import posixpath
import re
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.patterns import regex
from lockstitch.python import accelerators, names
from lockstitch.python.locks import Graph, Package
from lockstitch.python.tables import table, texts
from lockstitch.repository.compose.services import compose_files
from lockstitch.repository.dockerfile import purpose
from lockstitch.repository.dockerfile.images import Built, image_files, products
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging import wheels
from lockstitch.repository.packaging.declared import beside, folder_of
from lockstitch.repository.packaging.files import lock_files, project_folders
from lockstitch.repository.packaging.wheels import Machine, Verdict
from lockstitch.repository.text.lines import line_of_key
from lockstitch.values import frozen

_SHOWN = 3
_GB = 1_000_000_000
_VERSION = regex(r"(?:cpython-|python-)?(3\.\d{1,2}(?:\.\d{1,2})?)")
_CONDA = regex(r"\s*-\s*[\"']?python\s*={1,2}\s*(3\.\d{1,2}(?:\.\d{1,2})?)[\"'.*]*\s*(?:#.*)?")
_CI = regex(r"\s*-?\s*[\"']?python(?:-version|_version)?[\"']?\s*:\s*(?P<value>.*)")
_ITEM = regex(r"\s*-\s*[\"']?(3\.\d{1,2}(?:\.\d{1,2})?)[\"']?\s*(?:#.*)?")
_TESTS = regex(r"\b(?:pytest|unittest|tox|nox|make)\b")
_NUMBER = regex(r"(?<![\d.])3\.\d{1,2}(?:\.\d{1,2})?(?![\d.])")
# Bases whose name says which Python the project runs on; others may get one by uv or conda.
_KINDS = frozenset({"python", "uv", "distroless", "lambda"})
_PATCHES = 40
_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
_PLATFORM = regex(r"(?m)^(?!\s*#).*?\blinux/(?:amd64|arm64)\b.*$")
_NAMED = regex(r"\blinux/(?:amd64|arm64)\b")
_GPU = regex(r"nvidia|\bcuda|--gpus|\bgpus?\b|\bcu1[12]\d\b", re.IGNORECASE)
_CODE = regex(
    r"\.cuda\(|(?:device|map_location)\s*=\s*[\"']cuda[:\d]*[\"'](?!\s+if)|\.to\([\"']cuda"
)
_TEXTS = (".md", ".rst", ".sh", ".yml", ".yaml", ".tf", "Makefile", "justfile", "Justfile")
_LIBRARIES = frozenset({"pytorch", "tensorflow", "nvidia", "cuda"})


@frozen
class Pin:
    """One place that says one Python."""

    path: str
    line: int
    version: str
    what: str  # how a message calls the place

    @property
    def minor(self) -> str:
        """Return the version without its patch number."""
        return names.minor(self.version)


class LCK008(Rule):
    """Python is not the same everywhere.

    Why: the lock is resolved for one Python, people work on a second, and the image has a third:
    wheels differ, and so do results. A version outside of `requires-python` stops the build.

    Bad:
        .python-version:  3.12
        Dockerfile:       FROM python:3.11-slim

    Good:
        .python-version:  3.11
        Dockerfile:       FROM python:3.11-slim
        pyproject.toml:   requires-python = ">=3.11,<3.12"

    Fix: write one minor version in all of them: pyproject.toml, .python-version, runtime.txt,
    environment.yml, [tool.lockstitch], the base image, and among those that CI tests.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        places = [".python-version", "runtime.txt", "environment.yml", "environment.yaml"]
        folders = {*project_folders(repo), *(folder_of(name) for name in repo.named(*places))}
        for folder in sorted(folders):
            pins, built = _pins(repo, folder), _of_images(repo, folder)
            allowed = requires(repo, folder)
            outside = [p for p in (*pins, *built) if not allows(allowed, p.version)]
            for pin in outside:
                message = f"{pin.what} is Python {pin.version}, and the project wants `{allowed}`"
                hint = f"change one of the two: {beside(folder, 'pyproject.toml')} says it"
                yield self.finding(pin.path, pin.line, message, hint=hint)
            # Images for several Pythons are meant; the stages of one Dockerfile must be the same.
            one_file = len({pin.path for pin in built}) == 1
            one = built if one_file or len({pin.minor for pin in built}) == 1 else []
            inside = [pin for pin in (*pins, *one) if pin not in outside]
            yield from self._others(inside)
            yield from self._pair(repo, folder)
            if inside and not folder:
                yield from self._untested(repo, inside[0])

    def _others(self, inside: list[Pin]) -> Iterator[Finding]:
        for pin in inside[1:]:
            if pin.minor != inside[0].minor:
                message = f"{pin.what} is Python {pin.version}, {inside[0].what} is "
                message += inside[0].version
                hint = f"write {inside[0].minor} in both, or {pin.minor}"
                yield self.finding(pin.path, pin.line, message, hint=hint)

    def _pair(self, repo: Repository, folder: str) -> Iterator[Finding]:
        """Yield a training image whose Python no image that serves has: it writes the model."""
        serving, training = dict[str, Pin](), dict[str, Pin]()
        for built in _built_in(repo, folder):
            pin = _pin_of(built)
            if pin is not None:
                served = built.serves
                if served or "train" in built.image.path.lower() or _trains(built):
                    (serving if served else training)[pin.minor] = pin
        if serving and training and not serving.keys() & training.keys():
            one, other = next(iter(training.values())), next(iter(serving.values()))
            message = f"{one.what} trains on Python {one.version}, {other.what} serves on "
            message += other.version
            hint = f"take one Python for both: a model of {one.minor} is loaded by {other.minor}"
            yield self.finding(one.path, one.line, message, hint=hint)

    def _untested(self, repo: Repository, first: Pin) -> Iterator[Finding]:
        tested = list[Pin]()
        for path in repo.names:
            if path.startswith(".github/workflows/") and path.endswith((".yml", ".yaml")):
                text = repo.text(path) or ""
                if "pre-commit" not in text or _TESTS.search(text):  # else its hooks run, no test
                    tested += _workflow(path, repo.lines(path))
        if tested and first.minor not in {pin.minor for pin in tested}:
            versions = ", ".join(dict.fromkeys(pin.version for pin in tested))
            message = f"CI has Python {versions}, {first.what} is {first.version}"
            hint = f"add {first.minor}, or use python-version-file"
            yield self.finding(tested[0].path, tested[0].line, message, hint=hint)


def requires(repo: Repository, folder: str) -> str:
    """Return which Pythons a project allows, as specifiers; empty where it does not say."""
    document = repo.toml(beside(folder, "pyproject.toml"))
    asked = table(document, "project").get("requires-python")
    if isinstance(asked, str):
        return asked
    poetry = table(document, "tool", "poetry", "dependencies").get("python")
    text = poetry.strip() if isinstance(poetry, str) else ""
    caret = re.fullmatch(r"\^\s*3\.(\d{1,2})((?:\.\d+)*)", text)
    if caret:
        return f">=3.{caret[1]}{caret[2]},<4"
    tilde = re.fullmatch(r"~\s*3\.(\d{1,2})((?:\.\d+)*)", text)
    if tilde:
        return f">=3.{tilde[1]}{tilde[2]},<3.{int(tilde[1]) + 1}"
    return "" if "|" in text or "^" in text else text


def allows(specifiers: str, version: str) -> bool:
    """Return whether specifiers allow a version, any patch of it where it has none."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        allowed = SpecifierSet(specifiers)
    except InvalidSpecifier:
        return True
    if version.count(".") > 1:
        return allowed.contains(version)
    return any(allowed.contains(f"{version}.{patch}") for patch in range(_PATCHES))


def _pins(repo: Repository, folder: str) -> list[Pin]:
    """Return the statements of a folder's own files, the most important first."""
    pins = []
    path = beside(folder, "pyproject.toml")
    version = table(repo.toml(path), "tool", "lockstitch").get("python")
    if isinstance(version, str) and _VERSION.fullmatch(version):
        line = line_of_key(repo.text(path) or "", "tool", "lockstitch", "python") or 1
        pins.append(Pin(path=path, line=line, version=version, what="[tool.lockstitch] python"))
    for name in (".python-version", "runtime.txt"):
        path = beside(folder, name)
        lines = [x.strip() for x in repo.lines(path)] if path in repo.name_set else []
        kept = [x for x in lines if x and not x.startswith("#")]
        match = _VERSION.fullmatch(kept[0]) if len(kept) == 1 else None
        if match:
            line = lines.index(kept[0]) + 1
            pins.append(Pin(path=path, line=line, version=match[1], what=f"`{path}`"))
    for name in ("environment.yml", "environment.yaml"):
        path = beside(folder, name)
        for number, text in enumerate(repo.lines(path) if path in repo.name_set else (), 1):
            match = _CONDA.fullmatch(text)
            if match:
                pins.append(Pin(path=path, line=number, version=match[1], what=f"`{path}`"))
    return pins


def _of_images(repo: Repository, folder: str) -> list[Pin]:
    """Return the Python of each image that has files of a folder; others only run a service."""
    own = [b for b in _built_in(repo, folder) if _takes(repo, b, folder)]
    stages = [image for built in own for image in (built, *built.sources)]
    pins = {(pin.path, pin.line): pin for stage in stages if (pin := _pin_of(stage))}
    return list(pins.values())


def _takes(repo: Repository, built: Built, folder: str) -> bool:
    """Return whether an image has files of a folder, not only of one in it with its own lists."""
    copied = [step.copied for step in built.image.all_steps if step.copied]
    taken = [
        posixpath.normpath(f"{folder}/{name}/_").lstrip("/") for c in copied for name in c.sources
    ]
    return any(purpose.owner(repo, name) in {folder, None} for name in taken)


def _pin_of(stage: Built) -> Pin | None:
    base = stage.base
    match = _VERSION.fullmatch(base.python) if base and base.kind in _KINDS else None
    if not match or not stage.is_python:
        return None
    path, first = stage.image.path, stage.chain[0]
    what = f"`{first.base.text}` of `{path}`"
    return Pin(path=path, line=first.line, version=match[1], what=what)


def _trains(built: Built) -> bool:
    """Return whether an image starts a program whose name says that it trains."""
    words = [program.call.written for program in built.entry.started]
    words += [word for program in built.entry.started for word in program.call.words]
    return any(re.search(r"(?:^|[/_.-])train", word) for word in words)


def _workflow(path: str, lines: list[str]) -> Iterator[Pin]:
    inside = False  # of a list whose items stand on lines of their own
    for number, line in enumerate(lines, 1):
        match = _CI.fullmatch(line)
        item = _ITEM.fullmatch(line) if inside else None
        inside = bool(item) or bool(match and not match["value"].partition("#")[0].strip())
        versions = [item[1]] if item else []
        if match and "${{" not in match["value"]:
            versions = _NUMBER.findall(match["value"].partition("#")[0])
        for version in versions:
            yield Pin(path=path, line=number, version=version, what=f"`{path}`")


class LCK009(Rule):
    """A lock has fewer platforms than the images need.

    Why: the image for the other processor cannot be built: a package of the lock has neither a
    wheel for it nor a source. It is found out on the day when the ARM machine arrives.

    Bad:
        [tool.uv]
        environments = ["sys_platform == 'darwin'"]     # and a Dockerfile

    Good:
        [tool.uv]
        required-environments = ["sys_platform == 'linux' and platform_machine == 'x86_64'"]

    Fix: take a version, or an index, that has wheels for the platform; with uv,
    `required-environments` says it when the lock is made.
    Source: uv, "Limited resolution environments"; PEP 425, PEP 600.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for lock in lock_files(repo):
            folder = folder_of(lock.path)
            if lock.kind not in {"uv", "poetry"}:
                continue
            built = _built_in(repo, folder)
            wanted = _platforms(repo, folder)
            if wanted or built:
                yield from self._lock(repo, lock, wanted)

    def _lock(self, repo: Repository, lock: Graph, wanted: dict[str, str]) -> Iterator[Finding]:
        folder = folder_of(lock.path)
        names = list(wanted) or list(_MACHINES)
        machines = {name: _machine(repo, folder, name) for name in names}
        left_out = [name for name in names if not _supported(lock, machines[name])]
        # A platform that is not named is one of two, and one that works is enough.
        if left_out and (wanted or len(left_out) == len(names)):
            path = beside(folder, "pyproject.toml")
            line = line_of_key(repo.text(path) or "", "tool", "uv", "environments") or 1
            message = f"`environments` leaves out {', '.join(left_out)}, which images are made for"
            hint = "add \"sys_platform == 'linux'\" to environments, then: uv lock"
            yield self.finding(path, line, message, hint=hint)
            return
        groups = _groups(repo, folder)
        lacking = {
            name: [
                package
                for package in wheels.installed(lock, machines[name], groups)
                if wheels.verdict(package, machines[name]) is Verdict.NOTHING
            ]
            for name in names
        }
        if not wanted and not all(lacking.values()):
            return
        for name, packages in lacking.items():
            if packages:
                yield self._lacks(lock, name, packages, wanted.get(name, ""))
                if not wanted:
                    return

    def _lacks(self, lock: Graph, name: str, packages: list[Package], marker: str) -> Finding:
        shown = ", ".join(f"{package.name} {package.version}" for package in packages[:_SHOWN])
        more = " …" if len(packages) > _SHOWN else ""
        where = f", which `{marker}` asks for" if marker else ""
        verb = "has" if len(packages) == 1 else "have"
        message = f"{shown}{more} of `{lock.path}` {verb} no wheel for {name}{where}, and no source"
        hint = "choose a version or an index with such wheels; uv: required-environments"
        return self.finding(lock.path, packages[0].line, message, hint=hint)


def _supported(lock: Graph, machine: Machine) -> bool:
    markers = texts(lock.document.get("supported-markers"))
    return not markers or any(wheels.applies(marker, machine) for marker in markers)


def _built_in(repo: Repository, folder: str) -> list[Built]:
    """Return the Python images that are built in a folder."""
    return [
        built
        for built in products(repo)
        if any(context.folder == folder for context in built.image.contexts) and built.is_python
    ]


def _platforms(repo: Repository, folder: str) -> dict[str, str]:
    """Return the Linux platforms that images are made for, each with where it is said."""
    path = beside(folder, "pyproject.toml")
    listed = table(repo.toml(path), "tool", "lockstitch").get("platforms")
    platforms = {p: path for p in listed if p in _MACHINES} if isinstance(listed, list) else {}
    for built in _built_in(repo, folder):
        platform = built.stage.platform
        if platform is not None and not platform.unknown and platform.text in _MACHINES:
            platforms.setdefault(platform.text, built.image.path)
        for use in built.uses:
            _add(repo, use.compose, platforms)
    if _built_in(repo, folder):
        for name in repo.names:
            if name.startswith(".github/workflows/") and name.endswith((".yml", ".yaml")):
                _add(repo, name, platforms)
    return platforms


def _add(repo: Repository, path: str, platforms: dict[str, str]) -> None:
    for line in _PLATFORM.findall(repo.text(path) or ""):
        for platform in _NAMED.findall(line.partition(" #")[0]):
            platforms.setdefault(platform, path)


def _machine(repo: Repository, folder: str, platform: str) -> Machine:
    """Return the machine of a platform, with the Python that the folder's images have."""
    version = table(repo.toml(beside(folder, "pyproject.toml")), "tool", "lockstitch").get("python")
    pythons = [b.base.python for b in _built_in(repo, folder) if b.base and b.base.python]
    python = version if isinstance(version, str) else (pythons[0] if len({*pythons}) == 1 else "")
    return Machine(python=python, processor=_MACHINES[platform])


def _groups(repo: Repository, folder: str) -> tuple[str, ...]:
    """Return the groups and extras that images of [tool.lockstitch] have."""
    images = table(repo.toml(beside(folder, "pyproject.toml")), "tool", "lockstitch", "images")
    listed = [image.get("groups") for image in images.values() if isinstance(image, dict)]
    return tuple(str(name) for group in listed if isinstance(group, list) for name in group)


class LCK010(Rule):
    """Torch is the build for CUDA, and the images are for CPUs.

    Why: the index of Python packages has the CUDA build of torch for Linux. It brings gigabytes of
    NVIDIA libraries that a machine without a GPU never loads.

    Bad:
        dependencies = ["torch>=2.5"]      # uv.lock: torch 2.5.1 and 14 packages nvidia-…

    Good:
        [tool.uv.sources]
        torch = { index = "pytorch-cpu" }
        [[tool.uv.index]]
        name = "pytorch-cpu"               # its url ends with /whl/cpu
        explicit = true

    Fix: lock torch from the CPU index. Silent where anything in the repository speaks of GPUs:
    a base image, compose files, workflows, scripts, the README, or code that asks for `cuda`.
    Source: uv, "Using uv with PyTorch".
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for lock in lock_files(repo):
            folder = folder_of(lock.path)
            if not lock.named("torch") or lock.kind == "pylock":
                continue
            built = _built_in(repo, folder)
            wanted = _platforms(repo, folder) or {"linux/amd64": ""}
            if not built or "linux/amd64" not in wanted or any(b.base is None for b in built):
                continue
            machine = _machine(repo, folder, "linux/amd64")
            packages = wheels.installed(lock, machine, _groups(repo, folder))
            torch = next((package for package in packages if package.name == "torch"), None)
            libraries = [package for package in packages if accelerators.is_cuda(package.name)]
            if torch is None or not (libraries or "+cu" in torch.version):
                continue
            if "+cpu" not in torch.version and not _speaks_of_gpus(repo):
                yield self._cuda(lock, torch, libraries)

    def _cuda(self, lock: Graph, torch: Package, libraries: list[Package]) -> Finding:
        size = sum(max((f.size or 0 for f in library.files), default=0) for library in libraries)
        cost = f", {size / _GB:.1f} GB to download" if size else ""
        brought = f" and {len(libraries)} packages of NVIDIA{cost}" if libraries else ""
        message = f"torch {torch.version} is the build for CUDA{brought}, and no image is for GPUs"
        hint = 'torch = { index = "pytorch-cpu" } in [tool.uv.sources], an index that ends /whl/cpu'
        return self.finding(lock.path, torch.line, message, hint=hint)


def _speaks_of_gpus(repo: Repository) -> bool:
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
