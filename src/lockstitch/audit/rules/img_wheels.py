"""IMG: whether the wheels of a lock fit the base that they are installed on."""

import functools
import re
from collections.abc import Iterable, Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.patterns import regex
from lockstitch.python import accelerators, names
from lockstitch.python.locks import Graph, Package, lists
from lockstitch.repository.dockerfile import recipes
from lockstitch.repository.dockerfile.images import Built, products
from lockstitch.repository.dockerfile.installs import Install, package_of
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging.declared import folder_of, of_folder
from lockstitch.repository.packaging.wheels import (
    Machine,
    Verdict,
    fits,
    installed,
    oldest,
    verdict,
)
from lockstitch.table import first_of
from lockstitch.values import replace

_GLIBC = regex(r"manylinux_2_(\d{1,4})_")
_CPU_BASES = frozenset({"python", "debian", "ubuntu", "uv", "alpine", "distroless", "enterprise"})
# Without a wheel for musl in each release up to the summer of 2026.
# What has no wheel for musl, and from which version on others have one (the index's own file
# names, for CPython 3.11, asked in November 2026).
_NO_MUSL = frozenset(
    {"catboost", "lightgbm", "llvmlite", "ml-dtypes", "numba", "onnxruntime", "scikit-learn"}
    | {"opencv-python", "opencv-python-headless", "optree", "sentencepiece", "tensorflow"}
    | {"torch", "torchvision", "torchaudio", "triton", "xgboost"}
)
_MUSL_SINCE = {
    "h5py": "3.15",
    "matplotlib": "3.8",
    "numpy": "1.25",
    "pandas": "2.1",
    "pyarrow": "20.0",
    "scipy": "1.11.1",
    "shap": "0.43",
    "statsmodels": "0.14",
}
_DEVICE = regex(
    r"--gpus|nvidia\.com/gpu|(?:runtime|driver):\s*[\"']?nvidia|capabilities:.*gpu|\bgpus:"
    r"|NVIDIA_VISIBLE|whl/cu\d"
)
_GPU = regex(r"(?i)gpu|cuda|nvidia|rocm")
_TORCH = frozenset({"torch", "torchvision", "torchaudio"})
_MOST_FILES = 100


def _machine(built: Built) -> Machine:
    """Return the machine that an image is for, with any glibc."""
    version = built.base.python if built.base else ""
    python = names.minor(version) if version.count(".") else ""
    platform = built.chain[0].platform
    arm = platform is not None and "arm64" in platform.text
    return Machine(python=python, processor="aarch64" if arm else "x86_64")


_PLAIN = frozenset({"watchdog"})  # what it compiles is for macOS


def _listed(names: list[str]) -> str:
    return first_of([f"`{name}`" for name in names], 5)


class IMG001(Rule):
    """Packages of machine learning are installed on Alpine.

    Why: Alpine's C library is musl. What has no wheel for it is compiled in the build, for
    minutes to hours and with a compiler in the image, or cannot be installed at all.

    Bad:
        FROM python:3.11-alpine
        RUN pip install -r requirements.txt

    Good:
        FROM python:3.11-slim
        RUN pip install -r requirements.txt

    Fix: take a slim image: with what it compiles itself, an image on Alpine is the larger one.
    Source: PEP 656; the file names of the lock.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in products(repo):
            if built.base is None or built.base.libc != "musl" or not built.is_python:
                continue
            message = _by_lock(repo, built) or _by_name(repo, built)
            if message:
                minor = ".".join(built.base.python.split(".")[:2]) or "3.X"
                hint = f"FROM python:{minor}-slim, or another image with glibc"
                yield self.finding(built.image.path, built.chain[0].line, message, hint=hint)


def _by_lock(repo: Repository, built: Built) -> str:
    locked = _lock_of(repo, built)
    if locked is None:
        return ""
    lock, groups = locked
    machine = _machine(built)
    musl = replace(machine, libc="musl")
    every = [e for e in installed(lock, musl, groups) if verdict(e, machine) != Verdict.UNKNOWN]
    names = [
        pin.name
        for pin in every
        if pin.name not in _PLAIN
        and verdict(pin, machine) is Verdict.WHEEL
        and verdict(pin, musl) is not Verdict.WHEEL
    ]
    if not names:
        return ""
    verb = "has" if len(names) == 1 else "have"
    message = f"alpine: {len(names)} of your {len(every)} packages {verb} no musl wheel and"
    return f"{message} would be compiled: {_listed(sorted(names))}"


def _by_name(repo: Repository, built: Built) -> str:
    """Return the problem of packages without a wheel for musl, by their names and versions."""
    versions: dict[str, str] = {}
    if any(not install.is_pip or install.local for install in _python_installs(built)):
        for name in ("pyproject.toml", "Pipfile", "setup.py"):  # what the project declares
            path = recipes.file_in(repo, built.image, name)
            declared = of_folder(repo, folder_of(path)) if path else []
            versions |= {item.name: "" for item in declared if not item.group}
    for _, install in built.installs:
        if install.is_pip:
            for name in install.required:
                package, _, rest = package_of(name)
                versions[package] = rest.removeprefix("==") if rest.startswith("==") else ""
            for file in install.files:
                path = recipes.file_in(repo, built.image, file)
                text = repo.text(path) if path else None
                versions |= {e.name: e.version for e in lists.read(text or "").entries}
    wrong = sorted(name for name, v in versions.items() if name in _NO_MUSL or _is_older(name, v))
    if not wrong:
        return ""
    verb = "has" if len(wrong) == 1 else "have"
    return f"alpine: {_listed(wrong)} {verb} no musl wheel and would be compiled"


def _is_older(name: str, version: str) -> bool:
    """Return whether a pinned version is older than a package's first wheel for musl."""
    from packaging.version import InvalidVersion, Version

    try:
        return name in _MUSL_SINCE and Version(version) < Version(_MUSL_SINCE[name])
    except InvalidVersion:
        return False


class IMG002(Rule):
    """The base's C library is older than the wheels of the lock need.

    Why: pip and uv pass over wheels for a newer glibc: the package is compiled from source, or
    the build stops with "no matching distribution".

    Bad:
        FROM ubuntu:18.04

    Good:
        FROM ubuntu:24.04

    Fix: take a newer release of the base, or older versions of the packages.
    Source: PEP 600; the file names of the lock.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in products(repo):
            glibc = built.base.glibc if built.base else None
            locked = _lock_of(repo, built) if glibc and built.is_python else None
            if glibc is None or locked is None or built.reference is None:
                continue
            lock, groups = locked
            named = set(_GLIBC.findall(repo.text(lock.path) or ""))
            if not any((2, int(minor)) > glibc for minor in named):
                continue  # no wheel is for a newer glibc: most locks, and quick to tell
            machine = _machine(built)
            old = replace(machine, release=glibc)
            wrong = [
                package
                for package in installed(lock, old, groups)
                if verdict(package, machine) is Verdict.WHEEL
                and verdict(package, old) in {Verdict.SOURCE, Verdict.NOTHING}
            ]
            if wrong:
                names_of = ([wheel.name for wheel in package.wheels] for package in wrong)
                need = max(oldest(name, machine) or glibc for name in names_of)
                have = ".".join(map(str, glibc))
                names = _listed(sorted(package.name for package in wrong))
                message = f"`{built.reference.text}` has glibc {have}, and the wheels of {names}"
                message += f" need up to {need[0]}.{need[1]}"
                hint = "take a newer release of the base"
                yield self.finding(built.image.path, built.chain[0].line, message, hint=hint)


class IMG007(Rule):
    """Wheels of CUDA are installed in an image without a GPU.

    Why: on Linux, torch from PyPI brings NVIDIA's libraries: gigabytes that a machine without a
    GPU pulls, stores and never loads.

    Bad:
        FROM python:3.11-slim
        RUN pip install torch==2.9.0

    Good:
        FROM python:3.11-slim
        RUN pip install torch==2.9.0 --index-url https://torch.example/whl/cpu

    Fix: take torch from the index of its CPU builds: `[[tool.uv.index]]` with `explicit = true`
    and `[tool.uv.sources]`. Where the image is for a GPU, say so: a CUDA base, or the device in
    the compose file.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in products(repo):
            base = built.base
            if base is None or base.cuda or base.kind not in _CPU_BASES:
                continue
            message, line, takers = _cuda(repo, built)
            if message and not _wants_gpu(repo, built):
                hint = "take torch from PyTorch's index for CPUs (…/whl/cpu), or name the GPU"
                if takers == {"xgboost"}:
                    hint = "take xgboost-cpu in place of xgboost, or name the GPU"
                yield self.finding(built.image.path, line, message, hint=hint)


def _cuda(repo: Repository, built: Built) -> tuple[str, int, set[str]]:
    """Return the CUDA packages of an image for a CPU, the line of their install, and the reason."""
    machine = _machine(built)
    locked = _lock_of(repo, built)
    if locked is None:
        named = _named_torch(repo, built)
        if named is None or machine.processor != "x86_64":
            return "", 0, set()
        line, where = named
        message = f"`torch` of {where} is its CUDA build: more than 2 GB of wheels for a CPU"
        return message, line, {"torch"}
    lock, groups = locked
    some = any(is_cuda(package) for package in lock.packages)
    every = installed(lock, machine, groups) if some else ()
    packages = [pin for pin in every if is_cuda(pin)]
    if not packages:
        return "", 0, set()
    names = {package.name for package in packages}
    takers = {
        pin.name
        for pin in every
        if pin.name not in names and any(edge.name in names for edge in pin.dependencies)
    }
    gigabytes = size(packages, machine) / 1e9
    amount = f" ({gigabytes:.1f} GB)" if gigabytes >= 0.1 else ""
    count = "a CUDA package" if len(packages) == 1 else f"{len(packages)} CUDA packages"
    message = f"{count}{amount} of `{lock.path}` in an image without CUDA:"
    line = next((install.line for install in _python_installs(built)), built.stage.line)
    return f"{message} {_listed(sorted(package.name for package in packages))}", line, takers


def is_cuda(package: Package) -> bool:
    """Return whether a package is of CUDA alone."""
    return accelerators.is_cuda(package.name)


def size(packages: Iterable[Package], machine: Machine) -> int:
    """Return the bytes of the wheels that a machine gets; 0 where the lock does not say them."""
    total = 0
    for package in packages:
        sizes = [wheel.size or 0 for wheel in package.wheels if fits(wheel.name, machine)]
        total += max(sizes, default=0)
    return total


def _python_installs(built: Built) -> list[Install]:
    """Return the commands that install an image's Python packages, in copied stages too."""
    installs = [install for b in (built, *built.sources) for _, install in b.installs]
    return [install for install in installs if install.is_python and not install.is_tools]


def _lock_of(repo: Repository, built: Built) -> tuple[Graph, tuple[str, ...]] | None:
    """Return the lock with files that an image is installed from, and the groups it takes.

    That of the build's folder, however it is installed: a list that is exported from it has the
    same packages, one that pins others is no export of it. pip that is given names takes no lock.
    """
    python = [i for i in _python_installs(built) if not i.is_pip or i.files or i.local]
    for name in ("uv.lock", "poetry.lock", "pylock.toml") if python else ():
        lock = recipes.lock_in(repo, built.image, name)
        if lock is None or not any(package.wheels for package in lock.packages):
            continue
        if not _is_of_others(repo, built, lock):
            groups = {
                value
                for pip in python
                for value in pip.options.values("--group", "--extra", "--with", "-E", "--extras")
            }
            return lock, tuple(sorted(groups))
    return None


def _is_of_others(repo: Repository, built: Built, lock: Graph) -> bool:
    """Return whether a list pins other versions than a lock, or leaves versions open elsewhere."""
    locked = {(package.name, package.version) for package in lock.packages}
    named = [name for install in _python_installs(built) for name in install.files]
    paths = [path for name in named if (path := recipes.file_in(repo, built.image, name))]
    return any(
        (pin.name, pin.version) not in locked if pin.version else folder_of(path) != folder
        for folder in [folder_of(lock.path)]
        for path in paths
        for pin in lists.read(repo.text(path) or "").entries
    )


def _named_torch(repo: Repository, built: Built) -> tuple[int, str] | None:
    """Return the line that installs torch with CUDA without a lock: no index of CPU builds."""
    for _, install in built.installs:
        if not install.is_pip:
            continue
        words = " ".join(install.call.words)
        names = [package_of(name) for name in install.required]
        if "whl/cpu" in words or "--torch-backend" in words:
            if any(name in _TORCH for name, _, _ in names):
                return None  # which fits a later list
            continue
        if any(name in _TORCH and "+cpu" not in rest for name, _, rest in names):
            return install.line, "the command"
        for file in install.files:
            path = recipes.file_in(repo, built.image, file)
            text = (repo.text(path) if path else None) or ""
            plain = "whl/cpu" not in text and "+cpu" not in text
            if plain and re.search(r"(?im)^torch(?:vision|audio)?\s*(?:[=<>~!;\[@].*)?$", text):
                return install.line, f"`{file}`"
    return None


def _wants_gpu(repo: Repository, built: Built) -> bool:
    """Return whether something here says that the image is for machines with a GPU."""
    image = built.image
    comments = " ".join(comment.text for comment in image.dockerfile.comments)
    if _GPU.search(f"{image.path} {built.stage.name} {comments}"):
        return True
    env = built.state.env.items()
    if any(n.startswith(("NVIDIA_", "CUDA_")) and value not in {"", "-1"} for n, value in env):
        return True
    known = recipes.project(repo, image)
    texts = [image.text, (repo.text(known[0]) or "") if known else ""]
    names = [
        name
        for name in repo.names
        if name.endswith((".sh", ".yaml", ".yml", ".md", ".tf", ".sbatch", ".slurm", ".rst"))
        or name.rpartition("/")[2] in {"Makefile", "justfile", "Taskfile"}
    ]
    texts += [repo.text(name) or "" for name in names[:_MOST_FILES]]
    return any(_names_device(text) for text in texts)


@functools.lru_cache
def _names_device(text: str) -> bool:
    return _DEVICE.search(text) is not None
