"""What a command installs: packages of the system, of Python, of conda, and from what list."""

import re

from lockstitch.patterns import regex
from lockstitch.repository.shell.calls import Call, Options
from lockstitch.values import frozen

__all__ = ["TOOLS", "Install", "install", "package_of"]

_PIP = frozenset(
    {"-r", "--requirement", "--requirements", "-c", "--constraint", "--constraints", "-e"}
    | {"--editable", "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-t"}
    | {"--target", "--prefix", "--root", "--python", "-p", "--platform", "--python-version"}
    | {"--trusted-host", "--timeout", "--retries", "--proxy", "--cert", "--client-cert", "--src"}
    | {"--log", "--progress-bar", "--root-user-action", "--config-settings", "-C", "--report"}
    | {"--global-option", "--no-binary", "--only-binary", "--upgrade-strategy", "--cache-dir"}
    | {"--implementation", "--abi", "--exists-action", "--index", "--default-index"}
    | {"--link-mode", "--group", "--extra", "--override", "--overrides", "--build-constraint"}
    | {"--build-constraints", "--exclude-newer", "--resolution", "--torch-backend"}
    | {"--index-strategy", "--directory", "--project", "--refresh-package", "-P"}
    | {"--upgrade-package", "--reinstall-package", "--python-platform", "--prerelease"}
    | {"--color", "--default-timeout", "--keyring-provider", "--allow-insecure-host"}
)
_SYNC = frozenset(
    {"--group", "--extra", "--no-group", "--only-group", "--no-extra", "--package", "--python"}
    | {"-p", "--index", "--default-index", "--link-mode", "--directory", "--project"}
    | {"--no-install-package", "--cache-dir", "--color", "--config-setting", "-C", "-i", "-f"}
    | {"--index-url", "--extra-index-url", "--find-links", "--refresh-package", "-P"}
    | {"--upgrade-package", "--python-platform", "--with", "--without", "--only", "--env-file"}
    | {
        "--with-requirements",
        "--with-editable",
        "-E",
        "--extras",
        "-G",
        "-C",
        "--reinstall-package",
    }
)
_CONDA = frozenset({"-n", "--name", "-p", "--prefix", "-c", "--channel", "-f", "--file"})
_APT = frozenset({"-o", "-t", "--target-release", "-c", "--config-file"})
_APK = frozenset({"-t", "--virtual", "-X", "--repository", "-p", "--root"})
_SYSTEM = {"apt-get": "apt", "apt": "apt", "aptitude": "apt", "apk": "apk"}
_SYSTEM |= dict.fromkeys(("dnf", "microdnf", "yum", "tdnf"), "dnf")
_REQUIREMENT = regex(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[([^\]]*)\])?\s*(.*)")
# Programs that install, with their plugins.
TOOLS = frozenset(
    {"build", "conda-lock", "hatch", "pdm", "pip", "pip-tools", "pipenv", "pipx", "poetry"}
    | {"poetry-core", "poetry-plugin-bundle", "poetry-plugin-export", "setuptools", "uv"}
    | {"virtualenv", "wheel", "keyring", "keyrings-google-artifactregistry-auth"}
)


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
        return all(package_of(each)[0] in TOOLS for each in self.names)

    @property
    def local(self) -> tuple[str, ...]:
        """Return the folders and files among what it installs, editable ones included."""
        return (*self.editable, *(each for each in self.names if is_local(each)))

    @property
    def required(self) -> tuple[str, ...]:
        """Return the requirements among its names."""
        return tuple(each for each in self.names if not is_local(each))


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
    name = re.sub(r"[-_.]+", "-", match[1]).lower()
    extras = tuple(each.strip().lower() for each in (match[2] or "").split(",") if each.strip())
    return name, extras, match[3]


def install(call: Call) -> Install | None:
    """Return what a call installs, or None when it installs nothing."""
    words, program = call.words, call.program
    if program in _SYSTEM:
        return _system(call, _SYSTEM[program])
    if program == "pip" and "install" in words[:4]:
        return _pip("pip", call, words.index("install") + 1)
    if program == "uv" and words[:1] == ("pip",) and words[1:2] in {("install",), ("sync",)}:
        return _pip("uv pip", call, 2, sync=words[1] == "sync")
    if program == "uv" and "sync" in words[:4] and words[:1] != ("pip",):
        return _project("uv sync", call, words.index("sync"))
    if program in {"poetry", "pdm", "pipenv"}:
        verbs = {"poetry": ("install", "sync"), "pdm": ("install", "sync")}
        for verb in verbs.get(program, ("install", "sync")):
            if verb in words[:4]:
                return _project(program, call, words.index(verb))
    if program in {"conda", "mamba", "micromamba"}:
        return _conda(call)
    return None


def _system(call: Call, tool: str) -> Install | None:
    valued = {"apt": _APT, "apk": _APK}.get(tool, frozenset({"-c", "--enablerepo"}))
    options = call.options(valued)
    verb, *names = options.names or ("",)
    adds = verb in {"install", "add", "groupinstall", "reinstall"}
    removes = verb in {"remove", "purge", "autoremove", "del", "erase"}
    if not adds and not removes:
        return None
    return Install(tool=tool, call=call, options=options, names=tuple(names), removes=removes)


def _pip(tool: str, call: Call, skip: int, *, sync: bool = False) -> Install:
    options = call.options(_PIP, skip=skip)
    files = options.values("-r", "--requirement", "--requirements")
    return Install(
        tool=tool,
        call=call,
        options=options,
        names=() if sync else options.names,
        files=(*files, *options.names) if sync else files,
        editable=options.values("-e", "--editable"),
    )


def _project(tool: str, call: Call, at: int) -> Install:
    before = call.options(_SYNC).options
    options = call.options(_SYNC, skip=at + 1)
    merged = Options(options={**before, **options.options}, names=options.names)
    return Install(tool=tool, call=call, options=merged, names=options.names)


def _conda(call: Call) -> Install | None:
    words = call.words
    if words[:1] == ("env",):
        words = words[1:]
    if words[:1] not in {("install",), ("create",), ("update",)}:
        return None
    options = call.options(_CONDA, skip=len(call.words) - len(words) + 1)
    files = options.values("-f", "--file")
    return Install(tool="conda", call=call, options=options, names=options.names, files=files)
