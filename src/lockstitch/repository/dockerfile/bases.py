"""Known base images of Python projects: their C library, Python, programs and user."""

import functools
import re
from collections.abc import Mapping
from typing import Any

from lockstitch.patterns import regex
from lockstitch.repository.text.image_names import Reference
from lockstitch.resources import load_table
from lockstitch.values import field, frozen

_table = functools.partial(load_table, __package__, "bases.toml")
_UBUNTU_TAG = regex(r"ubuntu-?(\d{2})\.?04")
_ENTERPRISE_TAG = regex(r"(?:rockylinux|ubi|centos|el)-?(\d{1,2})")


@frozen
class Base:
    """One base image; `has` answers for the programs on its PATH that are known."""

    kind: str  # python, debian, ubuntu, alpine, distroless, cuda, conda, lambda …
    libc: str = ""  # glibc, musl, or empty
    release: str = ""  # codename of the distribution
    python: str = ""  # version on PATH, as far as the name says it
    has: Mapping[str, bool] = field(default_factory=dict)
    package_manager: str = ""  # apt, apk, dnf
    cuda: str = ""  # base, runtime, devel, any: an image for GPUs
    user: str | None = "root"  # None: not known

    @property
    def glibc(self) -> tuple[int, int] | None:
        """Return the version of its C library, None where it is not glibc or not known."""
        version = _table()["glibc"].get(self.release) if self.libc == "glibc" else None
        return tuple(version) if version else None


def known_base(reference: Reference) -> Base | None:
    """Return the facts of an image, or None for an unknown one."""
    if reference.path == "scratch":
        return Base(kind="scratch", has=dict.fromkeys(_table()["programs"], False))
    host = "docker.io" if reference.on_hub else reference.host
    name = f"{host}/{reference.path.removeprefix('docker/library/')}"
    entry = next((base for base in _table()["base"] if re.fullmatch(base["image"], name)), None)
    if entry is None:
        return None
    fields = {**entry}
    has = _programs({}, entry)
    for also in entry.get("also", ()):
        where = reference.tag if "tag" in also else reference.path
        if re.search(also.get("tag") or also["path"], where):
            fields |= also
            has = _programs(has, also)
    release = _release(fields, reference)
    version = re.search(fields["python"], reference.tag) if "python" in fields else None
    python = version[1] if version else ""
    if fields.get("python_of_release"):
        python = _table()["pythons"].get(release, "")
    user = fields.get("user", "root")
    return Base(
        kind=fields["kind"],
        libc=fields.get("libc", ""),
        release=release,
        python=python,
        has=has,
        package_manager=fields.get("package_manager", ""),
        cuda=fields.get("cuda", ""),
        user=None if user == "?" else user,
    )


def _programs(before: Mapping[str, bool], entry: Mapping[str, Any]) -> dict[str, bool]:
    """Return which programs are on PATH and which are not, with what an entry of the table adds."""
    has = {} if entry.get("nothing_known") else dict(before)
    if "only" in entry:
        has = {program: program in entry["only"] for program in _table()["programs"]}
    has |= dict.fromkeys(entry.get("has", ()), True)
    has |= dict.fromkeys(entry.get("lacks", ()), False)
    return {name: there for name, there in has.items() if name not in entry.get("unknown", ())}


def _release(fields: Mapping[str, Any], reference: Reference) -> str:
    """Return the distribution's release that a name says, by its number or its codename."""
    numbers, number = _table()["numbers"], fields.get("number")
    match = re.search(number["at"], f"{reference.path}:{reference.tag}") if number else None
    if number and match:
        return str(numbers[number["of"]].get(match[1], ""))
    names = [*numbers["debian"].values(), *numbers["ubuntu"].values()]
    codename = re.search("|".join(names), reference.tag) if fields.get("codename") else None
    if codename:
        return codename[0]
    if fields.get("codename"):
        ubuntu = _UBUNTU_TAG.search(reference.tag)
        if ubuntu:
            return str(numbers["ubuntu"].get(ubuntu[1], ""))
        enterprise = _ENTERPRISE_TAG.search(reference.tag)
        if enterprise:
            return str(numbers["enterprise"].get(enterprise[1], ""))
    return str(fields.get("release", ""))
