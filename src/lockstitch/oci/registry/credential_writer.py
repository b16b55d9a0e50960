"""Keeps logins where Docker keeps them: with its helper, else in its own file."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from lockstitch import files, process
from lockstitch.errors import LockstitchError
from lockstitch.net.credentials import Login
from lockstitch.oci.registry.logins import (
    Known,
    Logins,
    docker_file,
    helper,
    helpers,
    key_of,
    names,
)
from lockstitch.oci.registry.logins import read as read_file

__all__ = ["Given", "forget", "keep"]


class Given(Logins):
    """One login that was typed, held against a registry before it is kept."""

    def __init__(self, login: Login) -> None:
        """Know this login and no file."""
        super().__init__()
        self._known = Known(source=login.source, login=login)

    def find(self, host: str, repository: str) -> Known | None:  # noqa: ARG002 -- a Logins
        """Return it for whatever is asked."""
        return self._known


def keep(host: str, login: Login) -> str:
    """Keep a login as `docker login` does; return the helper or the file that has it now.

    Raises LockstitchError when the helper that Docker's file names is missing or refuses.
    """
    path = docker_file()
    document = read_file(path)
    name = next(helpers(document, host, ""), None)
    if name is not None:
        entry = {"ServerURL": key_of(host), "Username": login.user, "Secret": login.password}
        return _tell(name, "store", json.dumps(entry), path)
    pair = f"{login.user}:{login.password}".encode()
    # Docker's own registry has had several names: one entry is left.
    auths = {key: value for key, value in _auths(document).items() if not names(key, host)}
    auths[key_of(host)] = {"auth": base64.b64encode(pair).decode()}
    _write(path, document | {"auths": auths})
    return str(path)


def forget(host: str) -> list[str]:
    """Remove a login as `docker logout` does; return the helpers and files that had it."""
    path = docker_file()
    document = read_file(path)
    found = []
    for name in helpers(document, host, ""):
        program = helper(name)
        if program and process.run([program, "get"], stdin=key_of(host), check=False).code == 0:
            found.append(_tell(name, "erase", key_of(host), path))
    auths = _auths(document)
    kept = {key: value for key, value in auths.items() if not names(key, host)}
    if len(kept) < len(auths):
        _write(path, document | {"auths": kept})
        found.append(str(path))
    return found


def _auths(document: Mapping[str, object]) -> dict[str, object]:
    found = document.get("auths")
    return dict(found) if isinstance(found, dict) else {}


def _tell(name: str, verb: str, text: str, path: Path) -> str:
    program = helper(name)
    if program is None:
        message = f"`{path}` names the helper docker-credential-{name:.60}, which is not installed"
        raise LockstitchError(message, hint="install it, or take it out of the file")
    done = process.run([program, verb], stdin=text, check=False)
    if done.code != 0:  # whose output may be the password
        message = f"{program} {verb} failed with exit code {done.code}"
        raise LockstitchError(message, hint="try it with docker login, which shows what it says")
    return program


def _write(path: Path, document: Mapping[str, object]) -> None:
    # As Docker writes it; where it is a link, what it leads to is replaced and not the link.
    place = path.resolve()
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.atomic(place, mode=0o600) as temporary:
        temporary.touch(mode=0o600)  # before there is anything to read in it
        temporary.write_text(json.dumps(document, indent="\t") + "\n", encoding="utf-8")
