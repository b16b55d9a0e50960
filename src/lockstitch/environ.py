"""The only place that reads environment variables."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from lockstitch.errors import LockstitchError

VARIABLES: Final[Mapping[str, str]] = {
    "AWS_ACCESS_KEY_ID": "key of the object store that [tool.lockstitch.stack] names",
    "AWS_SECRET_ACCESS_KEY": "its secret half",
    "LOCKSTITCH_CACHE": "folder of the store; default: the user's cache folder",
    "LOCKSTITCH_CACHE_SIZE": "what the store may hold, such as `20GB`; builds remove the rest, "
    "least recently used first; default: no limit",
    "LOCKSTITCH_DEBIAN_MIRROR": "root of a `debian` archive; security: the same with `-security`",
    "LOCKSTITCH_JOBS": "worker processes; default: the number of cores",
    "LOCKSTITCH_KEY_PASSWORD": "password of the private key of `lockstitch image sign`",
    "LOCKSTITCH_UV": "the uv program to call; default: beside this Python, then on PATH",
    "SOURCE_DATE_EPOCH": "`created` of images, in seconds since 1970",
    "MLFLOW_TRACKING_URI": "server that `lockstitch new --from-model` asks; default: the stack's",
    "MLFLOW_TRACKING_USERNAME": "user of that server",
    "MLFLOW_TRACKING_PASSWORD": "its password",
    "MLFLOW_TRACKING_TOKEN": "token of that server, in place of both",
    "NO_COLOR": "no colour when set to anything",
    "FORCE_COLOR": "colour in pipes and files too, when set to anything but 0",
    "CUDA_VISIBLE_DEVICES": "the GPUs that `lockstitch run --in-image --gpus` gives a container",
    "DISPLAY": "where it or the next is set, `lockstitch stack open` opens a browser",
    "WAYLAND_DISPLAY": "the same, of Wayland",
    "BROWSER": "the browser that is opened, also without a display",
    "CI": "plain progress lines when set to anything",
    "HTTP_PROXY": "proxy for http addresses",
    "HTTPS_PROXY": "proxy for https addresses",
    "http_proxy": "proxy for http addresses",
    "https_proxy": "proxy for https addresses",
    "NO_PROXY": "hosts that are asked without a proxy, with commas between",
    "no_proxy": "hosts that are asked without a proxy, with commas between",
    "UV_INDEX": "uv's indexes, with spaces between; may hold user and password",
    "UV_DEFAULT_INDEX": "uv's default index; may hold user and password",
    "UV_INDEX_URL": "uv's default index, the older name",
    "UV_EXTRA_INDEX_URL": "uv's further indexes, the older name",
    "UV_INDEX_<NAME>_USERNAME": "user of the index NAME of [[tool.uv.index]]",
    "UV_INDEX_<NAME>_PASSWORD": "password of the index NAME of [[tool.uv.index]]",
    "UV_PYTHON_INSTALL_MIRROR": "where the archives of `cpython:` bases come from instead",
    "UV_PYTHON_DOWNLOADS_JSON_URL": "uv's list of those archives instead of its own",
    "UV_KEYRING_PROVIDER": "`subprocess`: ask the keyring program for passwords",
    "PIP_INDEX_URL": "pip's index; may hold user and password",
    "PIP_EXTRA_INDEX_URL": "pip's further indexes; may hold user and password",
    "POETRY_HTTP_BASIC_<NAME>_USERNAME": "user of the source NAME of [[tool.poetry.source]]",
    "POETRY_HTTP_BASIC_<NAME>_PASSWORD": "password of the source NAME of [[tool.poetry.source]]",
    "NETRC": "file with users and passwords by host; default: ~/.netrc",
    "XDG_CACHE_HOME": "folder in which the default store is; default: ~/.cache",
    "XDG_CONFIG_HOME": "folder of uv/uv.toml and containers/auth.json; default: ~/.config",
    "XDG_RUNTIME_DIR": "folder of containers/auth.json, where Podman keeps logins",
    "DOCKER_CONFIG": "folder of Docker's config.json, which has logins; default: ~/.docker",
    "REGISTRY_AUTH_FILE": "file of registry logins in place of containers/auth.json",
}


_OF_SHELLS = frozenset({"_", "OLDPWD", "SHLVL", "PWD", "TERM", "COLUMNS", "LINES", "PS1"})
_PYENV = re.compile(r"3\.\d{1,2}\.\d{1,3}")
_DIGITS = 11  # seconds since 1970 until the year 5138


def get(name: str) -> str:
    """Return the value of a declared variable, or an empty string; KeyError for another one."""
    if name not in VARIABLES:
        raise KeyError(name)
    return os.environ.get(name, "")


def name_of(family: str, name: str) -> str:
    """Return the variable of a declared family for a name, or raise KeyError for another family."""
    if family not in VARIABLES:
        raise KeyError(family)
    return family.replace("<NAME>", re.sub(r"[^A-Za-z0-9]", "_", name).upper())


def named(family: str, name: str) -> str:
    """Return the value of the variable that a family has for a name, or an empty string."""
    return os.environ.get(name_of(family, name), "")


def starting(*prefixes: str) -> dict[str, str]:
    """Return all variables whose names start so, by name: what build backends read."""
    return {name: os.environ[name] for name in sorted(os.environ) if name.startswith(prefixes)}


def everything() -> dict[str, str]:
    """Return all variables by name, but for those that only a shell or a terminal reads."""
    return {name: os.environ[name] for name in sorted(os.environ) if name not in _OF_SHELLS}


def flag(name: str) -> bool:
    """Return whether the variable is set to anything."""
    return bool(get(name))


def integer(name: str) -> int | None:
    """Return a whole number of 0 or more, None when unset; raise LockstitchError otherwise."""
    text = get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        message = f"`{name}` is `{text:.40}`, not a whole number"
        raise LockstitchError(message, hint=f"unset {name}, or set it to a whole number")
    return int(text)


def child(**changes: str | None) -> dict[str, str]:
    """Return this environment for a child process, with some variables set or (None) dropped."""
    environment = dict(os.environ)
    for name, value in changes.items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    return environment


def for_uv(**changes: str | None) -> dict[str, str]:
    """Return the environment of uv: no activated one, and every Python that pyenv has installed.

    pyenv puts a program for each on PATH, which ends with an error unless its Python is chosen:
    uv would take one that it needs for missing, and look for it on the network. `changes` is as
    for `child`.
    """
    return child(**{"VIRTUAL_ENV": None, "PATH": _path_for_uv(), **changes})


def before_uv(fits: Callable[[str], bool]) -> str:
    """Return what to type before `uv`, so that its search for a Python finds one of pyenv.

    `fits` tells of a version whether the project allows it. It is "" where the chosen ones fit,
    where none does, and without pyenv.
    """
    root, chosen, others = _pyenv()
    found = next((name for name in others if fits(name)), "")
    if root is None or not found or any(fits(name) for name in chosen if name != "system"):
        return ""
    return f"PYENV_VERSION={':'.join([*chosen, found])} "


def _path_for_uv() -> str:
    """Return PATH with the folders of pyenv's Pythons, the chosen ones first, for its shims."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    root, chosen, others = _pyenv()
    if root is None:
        return os.pathsep.join(folders)
    names = dict.fromkeys([*chosen, *others])
    instead = [str(root / "versions" / name / "bin") for name in names if name != "system"]
    shims = str(root / "shims")
    at = folders.index(shims)
    before, after = folders[:at], folders[at + 1 :]
    return os.pathsep.join([*before, *instead, *(f for f in after if f != shims)])


def _pyenv() -> tuple[Path | None, list[str], list[str]]:
    """Return the folder of a pyenv that is on PATH, its chosen versions, and all, newest first."""
    root = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    if str(root / "shims") not in os.environ.get("PATH", os.defpath).split(os.pathsep):
        return None, [], []
    file = root / "version"
    text = os.environ.get("PYENV_VERSION") or (file.read_text() if file.is_file() else "")
    versions = [path.name for path in root.glob("versions/*") if _PYENV.fullmatch(path.name)]
    versions.sort(key=lambda name: [int(part) for part in name.split(".")], reverse=True)
    return root, text.replace(":", " ").split(), versions
