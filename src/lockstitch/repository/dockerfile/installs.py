"""Reads what a command installs: packages of the system, Python or conda, and from which list."""

import functools
from typing import Any

from lockstitch.patterns import regex
from lockstitch.python.names import normal
from lockstitch.repository.shell.calls import Call, Options
from lockstitch.resources import load_table
from lockstitch.values import frozen

_REQUIREMENT = regex(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[([^\]]*)\])?\s*(.*)")


@frozen
class Install:
    """One command that installs; `names` and `files` are as written."""

    tool: str  # pip, uv pip, uv sync, poetry, pdm, pipenv, conda, apt, apk, dnf
    call: Call
    options: Options
    names: tuple[str, ...]
    files: tuple[str, ...] = ()  # of `-r`
    editable: tuple[str, ...] = ()
    removes: bool = False

    @property
    def line(self) -> int:
        """Return its line."""
        return self.call.line

    @property
    def is_python(self) -> bool:
        """Return whether it installs Python packages."""
        return self.tool not in {"apt", "apk", "dnf"}

    @property
    def is_pip(self) -> bool:
        """Return whether it is pip, or uv's pip."""
        return self.tool in {"pip", "uv pip"}

    @property
    def is_tools(self) -> bool:
        """Return whether it installs nothing but programs that install."""
        if not self.is_pip or self.files or self.local or not self.names:
            return False
        return all(is_installer(package_of(name)[0]) for name in self.names)

    @property
    def local(self) -> tuple[str, ...]:
        """Return the folders and files among what it installs, editable ones included."""
        return (*self.editable, *(name for name in self.names if is_local(name)))

    @property
    def required(self) -> tuple[str, ...]:
        """Return the requirements among its names."""
        return tuple(name for name in self.names if not is_local(name))


def facts(name: str) -> dict[str, Any]:
    """Return a table of known.toml: programs and packages that Dockerfiles install and start."""
    table: dict[str, Any] = load_table(__package__, "known.toml")[name]
    return table


def is_installer(package: str) -> bool:
    """Return whether a package is a program that installs, or a plugin of one."""
    return package in facts("installers")["packages"]


@functools.cache
def _valued(program: str) -> frozenset[str]:
    """Return the options of a program that take a value."""
    return frozenset(facts("options")[program])


def is_local(name: str) -> bool:
    """Return whether pip takes a word for a place on the disk."""
    bare = name.split("[", maxsplit=1)[0]
    return bare.startswith((".", "/", "file:")) or (
        "://" not in name and bare.endswith((".whl", ".tar.gz", ".zip"))
    )


def package_of(requirement: str) -> tuple[str, tuple[str, ...], str]:
    """Return a requirement's normal name, its extras, and the rest: its versions and marker."""
    match = _REQUIREMENT.fullmatch(requirement.strip())
    if match is None or "://" in requirement:
        return "", (), requirement
    name = normal(match[1])
    extras = tuple(extra.strip().lower() for extra in (match[2] or "").split(",") if extra.strip())
    return name, extras, match[3]


def install(call: Call) -> Install | None:
    """Return the packages that a call installs, or None for none."""
    words, program = call.words, call.program
    system = facts("systems").get(program)
    if system:
        return _system(call, system)
    if program == "pip" and "install" in words[:4]:
        return _pip("pip", call, words.index("install") + 1)
    if program == "uv" and words[:1] == ("pip",) and words[1:2] in {("install",), ("sync",)}:
        return _pip("uv pip", call, 2, sync=words[1] == "sync")
    if program == "uv" and "sync" in words[:4] and words[:1] != ("pip",):
        return _project("uv sync", call, "sync")
    if program in {"poetry", "pdm", "pipenv"}:
        verb = next((verb for verb in ("install", "sync") if verb in words[:4]), None)
        return _project(program, call, verb) if verb else None
    return _conda(call) if program in {"conda", "mamba", "micromamba"} else None


def _system(call: Call, tool: str) -> Install | None:
    options = call.options(_valued(tool))
    verb, *names = options.names or ("",)
    adds = verb in {"install", "add", "groupinstall", "reinstall"}
    removes = verb in {"remove", "purge", "autoremove", "del", "erase"}
    if not adds and not removes:
        return None
    return Install(tool=tool, call=call, options=options, names=tuple(names), removes=removes)


def _pip(tool: str, call: Call, skip: int, *, sync: bool = False) -> Install:
    options = call.options(_valued("pip"), skip=skip)
    files = options.values("-r", "--requirement", "--requirements")
    return Install(
        tool=tool,
        call=call,
        options=options,
        names=() if sync else options.names,
        files=(*files, *options.names) if sync else files,
        editable=options.values("-e", "--editable"),
    )


def _project(tool: str, call: Call, verb: str) -> Install:
    before = call.options(_valued("sync")).options
    options = call.options(_valued("sync"), skip=call.words.index(verb) + 1)
    merged = Options(options={**before, **options.options}, names=options.names)
    return Install(tool=tool, call=call, options=merged, names=options.names)


def _conda(call: Call) -> Install | None:
    words = call.words[1:] if call.words[:1] == ("env",) else call.words
    if words[:1] not in {("install",), ("create",), ("update",)}:
        return None
    options = call.options(_valued("conda"), skip=len(call.words) - len(words) + 1)
    files = options.values("-f", "--file")
    return Install(tool="conda", call=call, options=options, names=options.names, files=files)
