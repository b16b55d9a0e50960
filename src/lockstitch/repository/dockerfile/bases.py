"""What is known of base images that Python projects are made from: a table.

The facts are of the images' own Dockerfiles and of the distributions' releases. What is not known
is None: no rule may take it for a no.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import field, replace

from lockstitch.patterns import regex
from lockstitch.repository.text.image_names import Reference
from lockstitch.values import frozen

__all__ = ["Base", "known"]

_GLIBC = {
    "stretch": (2, 24),
    "buster": (2, 28),
    "bullseye": (2, 31),
    "bookworm": (2, 36),
    "trixie": (2, 41),
    "xenial": (2, 23),
    "bionic": (2, 27),
    "focal": (2, 31),
    "jammy": (2, 35),
    "noble": (2, 39),
    "el7": (2, 17),
    "el8": (2, 28),
    "el9": (2, 34),
    "el10": (2, 39),
    "amazon2": (2, 26),
    "amazon2023": (2, 34),
}
_PYTHON = {
    "buster": "3.7",
    "bullseye": "3.9",
    "bookworm": "3.11",
    "trixie": "3.13",
    "bionic": "3.6",
    "focal": "3.8",
    "jammy": "3.10",
    "noble": "3.12",
}
_DEBIAN = {"9": "stretch", "10": "buster", "11": "bullseye", "12": "bookworm", "13": "trixie"}
_UBUNTU = {"16": "xenial", "18": "bionic", "20": "focal", "22": "jammy", "24": "noble"}
_NAMES = regex("|".join((*_DEBIAN.values(), *_UBUNTU.values())))
_UBUNTU_TAG = regex(r"ubuntu-?(\d{2})\.?04")
_ENTERPRISE = regex(r"(?:rockylinux|ubi|centos|el)-?(\d{1,2})")
_VERSION = regex(r"v?(\d+(?:\.\d+)*)")
_PYTHON_TAG = regex(r"python-?(3\.\d+(?:\.\d+)*)")
_PYTHON_VERSION = regex(r"3\.\d+(?:\.\d+)*")
_NEWEST_DEBIAN = "trixie"  # what tags without a codename mean: nobody is blamed for an older one
_TOOLS = ("curl", "wget", "python", "python3", "bash", "sh", "uv", "poetry", "gcc", "git")


@frozen
class Base:
    """One base image; `has` answers for the programs on its PATH that are known."""

    kind: str  # python, debian, ubuntu, alpine, distroless, cuda, conda, lambda …
    libc: str = ""  # glibc, musl, or empty
    release: str = ""  # codename of the distribution
    python: str = ""  # version on PATH, as far as the name says it
    has: Mapping[str, bool] = field(default_factory=dict)
    package_manager: str = ""  # apt, apk, dnf
    cuda: str = ""  # base, runtime, devel: an image for GPUs
    user: str | None = "root"  # None: not known
    serves: bool = False  # its own entry point is a server, or a runtime that asks for health
    development: bool = False

    @property
    def glibc(self) -> tuple[int, int] | None:
        """Return the version of its C library, None where it is not glibc or not known."""
        return _GLIBC.get(self.release) if self.libc == "glibc" else None


def known(reference: Reference) -> Base | None:
    """Return what is known of an image, or None."""
    if reference.path == "scratch":
        return Base(kind="scratch", has=dict.fromkeys(_TOOLS, False))
    name = reference.path.removeprefix("docker/library/")
    host = "docker.io" if reference.on_hub else reference.host
    for pattern, make in _TABLE:
        if re.fullmatch(pattern, f"{host}/{name}"):
            return make(reference)
    return None


def _only(*names: str) -> dict[str, bool]:
    return {each: each in names for each in _TOOLS}


def _codename(tag: str, default: str = "") -> str:
    found = _NAMES.search(tag)
    if found:
        return found[0]
    ubuntu = _UBUNTU_TAG.search(tag)
    if ubuntu:
        return _UBUNTU.get(ubuntu[1], "")
    enterprise = _ENTERPRISE.search(tag)
    return f"el{enterprise[1]}" if enterprise else default


def _debian(reference: Reference) -> Base:
    number = _VERSION.match(reference.tag)
    release = _DEBIAN.get(number[1].split(".")[0], "") if number else ""
    release = release or _codename(reference.tag, _NEWEST_DEBIAN)
    has = _only("bash", "sh")
    return Base(kind="debian", libc="glibc", release=release, has=has, package_manager="apt")


def _ubuntu(reference: Reference) -> Base:
    number = _VERSION.match(reference.tag)
    release = _UBUNTU.get(number[1].split(".")[0], "") if number else _codename(reference.tag)
    has = _only("bash", "sh")
    return Base(kind="ubuntu", libc="glibc", release=release, has=has, package_manager="apt")


def _alpine(_: Reference) -> Base:
    has = _only("wget", "sh")
    return Base(kind="alpine", libc="musl", has=has, package_manager="apk")


def _python(reference: Reference) -> Base:
    tag = reference.tag
    version = _PYTHON_VERSION.match(tag)
    python = version[0] if version else ""
    if "alpine" in tag:
        has = _only("wget", "sh", "python", "python3")
        return replace(_alpine(reference), kind="python", python=python, has=has)
    if "windows" in tag or "nanoserver" in tag:
        return Base(kind="windows", python=python, has={}, user=None)
    has = _only("bash", "sh", "python", "python3")
    if "slim" not in tag:
        has |= dict.fromkeys(("curl", "wget", "gcc", "git"), True)
    release = _codename(tag, _NEWEST_DEBIAN)
    return Base(
        kind="python", libc="glibc", release=release, python=python, has=has, package_manager="apt"
    )


def _uv(reference: Reference) -> Base:
    tag = reference.tag
    found = _PYTHON_TAG.search(tag)
    python = ("python", "python3") if found else ()
    version = found[1] if found else ""
    if "alpine" in tag:
        has = _only("wget", "sh", "uv", *python)
        return replace(_alpine(reference), kind="uv", python=version, has=has)
    codename = _codename(tag)
    if not codename and "debian" not in tag and "slim" not in tag:
        return Base(kind="tool", has=_only("uv"))
    has = _only("bash", "sh", "uv", *python)
    if "slim" not in tag:
        has |= dict.fromkeys(("curl", "wget", "gcc", "git"), True)
    release = codename or _NEWEST_DEBIAN
    return Base(
        kind="uv", libc="glibc", release=release, python=version, has=has, package_manager="apt"
    )


def _distroless(reference: Reference) -> Base:
    number = re.search(r"debian(\d+)", reference.path)
    release = _DEBIAN.get(number[1], "") if number else _NEWEST_DEBIAN
    has_python = "python" in reference.path
    programs = ("python", "python3") if has_python else ()
    shell = ("sh", "wget") if "debug" in reference.tag else ()
    user = "nonroot" if "nonroot" in reference.tag else "root"
    return Base(
        kind="distroless",
        libc="glibc",
        release=release,
        python=_PYTHON.get(release, "") if has_python else "",
        has=_only(*programs, *shell),
        user=user,
    )


def _cuda(reference: Reference) -> Base:
    flavour = next((each for each in ("devel", "runtime", "base") if each in reference.tag), "")
    has = {"python": False, "python3": False, "bash": True, "sh": True}
    has |= {"uv": False, "poetry": False}
    if flavour in {"runtime", "base"}:
        has |= {"curl": False, "gcc": False}
    release = _codename(reference.tag)
    manager = "apt" if "ubuntu" in reference.tag else "dnf"
    return Base(
        kind="cuda",
        libc="glibc",
        release=release,
        has=has,
        package_manager=manager,
        cuda=flavour or "devel",
    )


def _pytorch(reference: Reference) -> Base:
    flavour = "devel" if "devel" in reference.tag else "runtime"
    has = dict.fromkeys(("python", "python3", "bash", "sh"), True)
    return Base(kind="pytorch", libc="glibc", has=has, package_manager="apt", cuda=flavour)


def _tensorflow(reference: Reference) -> Base:
    has = dict.fromkeys(("python", "python3", "bash", "sh"), True)
    cuda = "runtime" if "gpu" in reference.tag else ""
    return Base(kind="tensorflow", libc="glibc", has=has, package_manager="apt", cuda=cuda)


def _nvidia(reference: Reference) -> Base:
    del reference
    has = dict.fromkeys(("python", "python3", "bash", "sh"), True)
    return Base(kind="nvidia", libc="glibc", has=has, package_manager="apt", cuda="any", user=None)


def _mlflow(reference: Reference) -> Base:
    del reference
    has = _only("python", "python3", "bash", "sh") | {"mlflow": True, "gunicorn": True}
    return Base(kind="mlflow", libc="glibc", has=has, package_manager="apt", release=_NEWEST_DEBIAN)


def _conda(reference: Reference) -> Base:
    del reference
    has = _only("python", "python3", "bash", "sh", "wget", "git")
    has |= {"conda": True}
    del has["curl"]
    return Base(kind="conda", libc="glibc", has=has, package_manager="apt")


def _micromamba(reference: Reference) -> Base:
    has = {"bash": True, "sh": True, "gcc": False}
    return Base(
        kind="conda",
        libc="glibc",
        release=_codename(reference.tag),
        has=has,
        package_manager="apt",
        user="mambauser",
    )


def _enterprise(reference: Reference) -> Base:
    number = re.search(r"(\d+)", f"{reference.path.partition('ubi')[2]} {reference.tag}")
    release = f"el{number[1]}" if number else ""
    has = {"bash": True, "sh": True, "uv": False, "poetry": False}
    if "python" in reference.path:
        has |= {"python": True, "python3": True}
        return Base(kind="enterprise", libc="glibc", release=release, has=has, user=None)
    return Base(kind="enterprise", libc="glibc", release=release, has=has, package_manager="dnf")


def _amazon(reference: Reference) -> Base:
    release = "amazon2" if reference.tag.startswith("2.") or reference.tag == "2" else "amazon2023"
    has = {"bash": True, "sh": True, "uv": False, "poetry": False}
    return Base(kind="amazon", libc="glibc", release=release, has=has, package_manager="dnf")


def _lambda(reference: Reference) -> Base:
    version = _PYTHON_VERSION.match(reference.tag)
    return Base(
        kind="lambda",
        libc="glibc",
        python=version[0] if version else "",
        has={"python": True, "python3": True, "bash": True, "sh": True},
        package_manager="dnf",
        user=None,
        serves=True,
    )


def _other(kind: str, user: str | None = None) -> Callable[[Reference], Base]:
    return lambda _: Base(kind=kind, user=user)


def _devcontainer(_: Reference) -> Base:
    return Base(kind="devcontainer", libc="glibc", user=None, development=True)


_TABLE: tuple[tuple[str, Callable[[Reference], Base]], ...] = (
    (r"(docker\.io|public\.ecr\.aws|mirror\.[^/]+)/python", _python),
    (r"docker\.io/pypy", _other("python")),
    (r"(docker\.io|public\.ecr\.aws|mirror\.[^/]+)/debian", _debian),
    (r"(docker\.io|public\.ecr\.aws|mirror\.[^/]+)/ubuntu", _ubuntu),
    (r"(docker\.io|public\.ecr\.aws|mirror\.[^/]+)/alpine", _alpine),
    (r"[^/]+/(astral|astral-sh)/uv", _uv),
    (r"[^/]+/distroless/.*", _distroless),
    (r"(docker\.io|nvcr\.io)/nvidia/cuda", _cuda),
    (r"docker\.io/pytorch/pytorch", _pytorch),
    (r"docker\.io/tensorflow/tensorflow", _tensorflow),
    (r"(nvcr\.io|docker\.io)/(nvidia|rapidsai)/.*", _nvidia),
    (r"[^/]+/mlflow/mlflow", _mlflow),
    (r"docker\.io/(continuumio/(mini|ana)conda3?|condaforge/(miniforge3|mambaforge))", _conda),
    (r"[^/]+/(mambaorg|mamba-org)/micromamba", _micromamba),
    (r"registry\.access\.redhat\.com/ubi\d+/.*", _enterprise),
    (r"docker\.io/(rockylinux|almalinux|centos|oraclelinux)(/.*)?", _enterprise),
    (r"(docker\.io|public\.ecr\.aws)/(amazonlinux(/amazonlinux)?)", _amazon),
    (r"(public\.ecr\.aws/lambda|docker\.io/amazon/aws-lambda-python.*)(/.*)?", _lambda),
    (r"[^/]+/jupyter/.*", _other("jupyter", "jovyan")),
    (r"cgr\.dev/chainguard/.*", _other("chainguard", "nonroot")),
    (r"docker\.io/tiangolo/uvicorn-gunicorn.*", _other("tiangolo", "root")),
    (r"mcr\.microsoft\.com/(vscode/)?devcontainers/.*", _devcontainer),
)
