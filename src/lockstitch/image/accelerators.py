"""CUDA in images: told before a build, and refused where it is another than asked for."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lockstitch import files, process
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.image.plan import Prepared
from lockstitch.lock import export
from lockstitch.patterns import regex
from lockstitch.python import accelerators, size
from lockstitch.python.accelerators import Stack
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.model import ImageSpec, Project
from lockstitch.table import counted

_CUDA: Final = "dev.lockstitch.cuda"
_DRIVER: Final = "dev.lockstitch.cuda.driver"
_NAMES: Final = {"cpu": "the CPU", "rocm": "ROCm", "xpu": "XPU", "cuda": "CUDA", "gpu": "a GPU"}
_LOADED: Final = Path("/proc/driver/nvidia/version")
_SMI: Final = "nvidia-smi"
_VERSION: Final = regex(r"Module(?: for \S+)?\s+(\d+(?:\.\d+)+)")

Sizes = Callable[[Sequence[LockedWheel]], Mapping[Digest, int]]  # of files whose bytes are known


def stack(prepared: Prepared) -> Stack[LockedWheel]:
    """Return the accelerators of an image's packages."""
    return accelerators.of(prepared.wheels)


def environment(cuda: Stack[LockedWheel]) -> dict[str, str]:
    """Return the variables that give a container of an image with CUDA the GPUs of its host."""
    if not cuda.packages:
        return {}
    return {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}


def labels(cuda: Stack[LockedWheel]) -> dict[str, str]:
    """Return the labels of an image with CUDA: its version and the driver that this needs."""
    needed = accelerators.driver(cuda.cuda)
    texts = {_CUDA: cuda.cuda, _DRIVER: f">={needed}" if needed else ""}
    return {name: text for name, text in texts.items() if text}


def check(every: Iterable[Prepared]) -> None:
    """Raise LockstitchError for each package built for another accelerator than its image's."""
    problems: dict[str, LockstitchError] = {}
    for prepared in every:
        for error in _problems(prepared):
            problems.setdefault(error.message, error)
    raise_all([*problems.values()])


def _problems(prepared: Prepared) -> Iterable[LockstitchError]:
    spec, cuda = prepared.spec, stack(prepared)
    wanted, why = _asked(spec)
    if not wanted:
        return
    wrong = cuda.wrong(wanted)
    table = f"[tool.lockstitch.images.{spec.name}]"
    for package, have in wrong:
        message = f"`{package.name} {package.version}` is for {_name(have)}, and image "
        message += f"`{spec.name}` asks for {_name(wanted)} ({why}), on {prepared.base.platform}"
        hint = f"take {package.name} from an index of {wanted} builds, or say what is meant: "
        yield LockstitchError(message, hint=f'{hint}accelerator = "{have}" in {table}')
    if wrong or not spec.accelerator or cuda.serves(wanted):
        return
    if "CUDA_VERSION" in prepared.base.defaults().env:  # a base of NVIDIA has it all
        return
    if wanted != "cpu":
        message = f"no package of image `{spec.name}` is for {_name(wanted)}, which it asks for "
        hint = f"lock packages that are, or take `accelerator` out of {table}"
        yield LockstitchError(f"{message}({why}), on {prepared.base.platform}", hint=hint)


def _asked(spec: ImageSpec) -> tuple[str, str]:
    """Return the accelerator that an image asks for, and what says so."""
    wanted = accelerators.asked(spec.accelerator, (*spec.groups, *spec.extras))
    if spec.accelerator or not wanted:
        return wanted, "`accelerator`"
    every = (*spec.groups, *spec.extras)
    name = next(one for one in every if accelerators.asked("", [one]) == wanted)
    return wanted, f"its {'extra' if name in spec.extras else 'group'} `{name}`"


def _name(accelerator: str) -> str:
    if accelerator.startswith("cu") and accelerator[2:].isdecimal():
        version = accelerator[2:]
        return f"CUDA {version[:2]}{'.' if version[2:] else ''}{version[2:]}"
    return _NAMES[accelerator]


# --- what is told before a build


def notes(project: Project, every: Iterable[Prepared], sizes: Sizes) -> list[str]:
    """Return each image's CUDA packages, their needless bytes, and the driver."""
    texts: dict[str, None] = {}
    for prepared in every:
        cuda = stack(prepared)
        if cuda.packages:
            for text in _notes(project, prepared, cuda, sizes):
                texts[text] = None
    return [*texts]


def _notes(
    project: Project, prepared: Prepared, held: Stack[LockedWheel], sizes: Sizes
) -> Iterable[str]:
    name, known = prepared.spec.name, sizes(held.packages)
    cuda = f"CUDA {held.cuda}" if held.cuda else "CUDA"
    if _asked(prepared.spec)[0] == "cpu":
        listed = _listed(project, prepared, held.packages)
        yield (
            f"warning: {name} is for the CPU ({_asked(prepared.spec)[1]}), and "
            f"{_weight(held.packages, known)} of its packages are for {cuda}: {listed}"
        )
    else:
        count = len(held.packages)
        count_shown = counted(count, "package")
        weight = _weight(held.packages, known)
        text = f"note: {name} has {cuda}: {count_shown}, {weight}; {_driver(held.cuda)}"
        owners = _owners(project, prepared)
        if all(
            owners(package) == ["xgboost"] for package in held.packages
        ):  # loads it for several GPUs
            names = [f"\"{package.name}; sys_platform == 'never'\"" for package in held.packages]
            text += "; xgboost runs without: override-dependencies = "
            text += f"[{', '.join(names)}] in [tool.uv]"
        yield text
    majors = sorted({accelerators.major(other) for other in held.others})
    if majors:
        listed = _listed(project, prepared, held.others)
        yield (
            f"warning: {name} has CUDA {' and '.join(majors)} beside {cuda}, "
            f"{_weight(held.others, known)} that nothing of {cuda} loads: {listed}"
        )


def _weight(packages: Sequence[LockedWheel], known: Mapping[Digest, int]) -> str:
    total = sum(known.get(package.digest, 0) for package in packages)
    unknown = sum(package.digest not in known for package in packages)
    if not total:
        return "of unknown size"
    return size.shown(total) + (f" and {unknown} of unknown size" if unknown else "")


def _listed(project: Project, prepared: Prepared, packages: Sequence[LockedWheel]) -> str:
    """Return the names of packages, each with what requires it."""
    owners = _owners(project, prepared)
    texts = []
    for package in packages[:4]:  # packages that a message names
        by = f", for {', '.join(names)}" if (names := owners(package)) else ""
        texts.append(f"{package.name} {package.version}{by}")
    more = len(packages) - len(texts)
    return "; ".join(texts) + (f"; and {more} more" if more else "")


def _owners(project: Project, prepared: Prepared) -> Callable[[LockedWheel], list[str]]:
    """Return a function that names the packages of an image that require a package."""
    needs = export.needs(project, prepared.spec, prepared.base.target()) or {}
    return lambda pin: sorted(own for own, names in needs.items() if own and pin.name in names)


def _driver(cuda: str) -> str:
    """Return the driver that a CUDA needs, and how this machine's compares."""
    needed, whole = accelerators.driver(cuda), accelerators.whole(cuda)
    if not needed:
        return "which driver it needs is not known"
    text = f"needs NVIDIA's driver {needed} or newer"
    here = _driver_here()
    if not here:
        return f"{text}, not compared: this machine has none"
    if accelerators.older(here, needed):
        return f"{text}, this machine has {here}: too old"
    if whole and accelerators.older(here, whole):
        return f"{text}, this machine has {here}; what is compiled while it runs needs {whole}"
    return f"{text}, this machine has {here}"


def asks_a_program(prepared: Prepared) -> bool:
    """Return whether notes about an image name what a program says of this machine's driver."""
    asked = not _LOADED.exists() and shutil.which(_SMI) is not None
    return asked and bool(stack(prepared).cuda)


def _driver_here() -> str:
    """Return the version of NVIDIA's driver on this machine, "" where it has none."""
    try:
        match = _VERSION.search(files.read_text(_LOADED))
    except LockstitchError:
        match = None
    if match:
        return match[1]
    program = shutil.which(_SMI)
    if program is None:
        return ""
    words = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = process.run(words, check=False)
    return next(iter(done.stdout.split()), "") if done.code == 0 else ""


def document(prepared: Prepared) -> dict[str, Any] | None:
    """Return an image's CUDA packages as JSON, None without any."""
    cuda = stack(prepared)
    if not cuda.packages:
        return None
    return {
        "cuda": cuda.cuda,
        "driver": accelerators.driver(cuda.cuda),
        "driver_here": _driver_here(),
        "packages": [f"{package.name} {package.version}" for package in cuda.packages],
        "other_cuda": [f"{other.name} {other.version}" for other in cuda.others],
    }
