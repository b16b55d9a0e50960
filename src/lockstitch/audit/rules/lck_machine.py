"""LCK: whether a lock fits the machines that images are for: Python, platforms, CPU or GPU."""

from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.python.locks import Graph, Package
from lockstitch.repository.dockerfile import platforms, pythons
from lockstitch.repository.dockerfile.pythons import Pin
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging import wheels
from lockstitch.repository.packaging.declared import beside, folder_of
from lockstitch.repository.packaging.files import lock_files, project_folders
from lockstitch.repository.packaging.wheels import Machine, Verdict
from lockstitch.repository.text.lines import line_of_key

__all__ = ["RULES"]

_SHOWN = 3
_GB = 1_000_000_000


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
        """Yield each place that says another Python than the place that counts more."""
        places = [".python-version", "runtime.txt", "environment.yml", "environment.yaml"]
        folders = {*project_folders(repo), *(folder_of(name) for name in repo.named(*places))}
        for folder in sorted(folders):
            said, built = pythons.pins(repo, folder), pythons.images(repo, folder)
            allowed = pythons.requires(repo, folder)
            outside = [p for p in (*said, *built) if not pythons.allows(allowed, p.version)]
            for pin in outside:
                message = f"{pin.what} is Python {pin.version}, and the project wants `{allowed}`"
                hint = f"change one of the two: {beside(folder, 'pyproject.toml')} says it"
                yield self.finding(pin.path, pin.line, message, hint=hint)
            # Images for several Pythons are meant.
            one = built if len({pin.minor for pin in built}) == 1 else _one_file(built)
            inside = [pin for pin in (*said, *one) if pin not in outside]
            yield from self._others(inside)
            if inside and not folder:
                yield from self._untested(repo, inside[0])

    def _others(self, inside: list[Pin]) -> Iterator[Finding]:
        for pin in inside[1:]:
            if pin.minor != inside[0].minor:
                message = f"{pin.what} is Python {pin.version}, {inside[0].what} is "
                message += inside[0].version
                hint = f"write {inside[0].minor} in both, or {pin.minor}"
                yield self.finding(pin.path, pin.line, message, hint=hint)

    def _untested(self, repo: Repository, first: Pin) -> Iterator[Finding]:
        tested = pythons.tested(repo)
        if tested and first.minor not in {pin.minor for pin in tested}:
            versions = ", ".join(dict.fromkeys(pin.version for pin in tested))
            message = f"CI has Python {versions}, {first.what} is {first.version}"
            hint = f"add {first.minor}, or use python-version-file"
            yield self.finding(tested[0].path, tested[0].line, message, hint=hint)


def _one_file(built: list[Pin]) -> list[Pin]:
    """Return the images when all are of one Dockerfile: its stages must be the same Python."""
    return built if len({pin.path for pin in built}) == 1 else []


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
        """Yield each platform of which a lock lacks something."""
        for lock in lock_files(repo):
            folder = folder_of(lock.path)
            if lock.kind not in {"uv", "poetry"}:
                continue
            built = platforms.built_in(repo, folder)
            wanted = platforms.named(repo, folder)
            if wanted or built:
                yield from self._lock(repo, lock, wanted)

    def _lock(self, repo: Repository, lock: Graph, wanted: dict[str, str]) -> Iterator[Finding]:
        folder = folder_of(lock.path)
        names = list(wanted) or list(platforms.MACHINES)
        machines = {name: platforms.machine(repo, folder, name) for name in names}
        left_out = [name for name in names if not _supported(lock, machines[name])]
        # A platform that nobody names is one of two, and one that works is enough.
        if left_out and (wanted or len(left_out) == len(names)):
            path = beside(folder, "pyproject.toml")
            line = line_of_key(repo.text(path) or "", "tool", "uv", "environments") or 1
            message = f"`environments` leaves out {', '.join(left_out)}, which images are made for"
            hint = "add \"sys_platform == 'linux'\" to environments, then: uv lock"
            yield self.finding(path, line, message, hint=hint)
            return
        groups = platforms.groups(repo, folder)
        lacking = {
            name: [
                each
                for each in wheels.installed(lock, machines[name], groups)
                if wheels.verdict(each, machines[name]) is Verdict.NOTHING
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

    def _lacks(self, lock: Graph, name: str, packages: list[Package], said: str) -> Finding:
        shown = ", ".join(f"{each.name} {each.version}" for each in packages[:_SHOWN])
        more = " …" if len(packages) > _SHOWN else ""
        where = f", which `{said}` asks for" if said else ""
        verb = "has" if len(packages) == 1 else "have"
        message = f"{shown}{more} of `{lock.path}` {verb} no wheel for {name}{where}, and no source"
        hint = "choose a version or an index with such wheels; uv: required-environments"
        return self.finding(lock.path, packages[0].line, message, hint=hint)


def _supported(lock: Graph, machine: Machine) -> bool:
    listed = lock.document.get("supported-markers")
    markers = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
    return not markers or any(wheels.applies(each, machine) for each in markers)


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
        """Yield torch's line of each lock."""
        for lock in lock_files(repo):
            folder = folder_of(lock.path)
            if not lock.named("torch") or lock.kind == "pylock":
                continue
            built = platforms.built_in(repo, folder)
            wanted = platforms.named(repo, folder) or {"linux/amd64": ""}
            if not built or "linux/amd64" not in wanted or any(b.base is None for b in built):
                continue
            machine = platforms.machine(repo, folder, "linux/amd64")
            packages = wheels.installed(lock, machine, platforms.groups(repo, folder))
            torch = next((each for each in packages if each.name == "torch"), None)
            libraries = [each for each in packages if each.name.startswith("nvidia-")]
            if torch is None or not (libraries or "+cu" in torch.version):
                continue
            if "+cpu" not in torch.version and not platforms.speaks_of_gpus(repo):
                yield self._cuda(lock, torch, libraries)

    def _cuda(self, lock: Graph, torch: Package, libraries: list[Package]) -> Finding:
        size = sum(max((f.size or 0 for f in each.files), default=0) for each in libraries)
        cost = f", {size / _GB:.1f} GB to download" if size else ""
        brought = f" and {len(libraries)} packages of NVIDIA{cost}" if libraries else ""
        message = f"torch {torch.version} is the build for CUDA{brought}, and no image is for GPUs"
        hint = 'torch = { index = "pytorch-cpu" } in [tool.uv.sources], an index that ends /whl/cpu'
        return self.finding(lock.path, torch.line, message, hint=hint)


RULES: tuple[type[Rule], ...] = (LCK008, LCK009, LCK010)
