"""Logins of registries, read and kept where Docker and Podman keep them: in files and with helpers.

Docker's file first, then those that Podman, Buildah and skopeo use; in each of them
`credHelpers`, then `credsStore`, then `auths`. Source: docker-credential-helpers;
containers-auth.json(5).
"""

import base64
import binascii
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from lockstitch import environ, files, process
from lockstitch.digest import parse_json
from lockstitch.errors import LockstitchError
from lockstitch.net.credentials import Login
from lockstitch.oci.reference import DOCKER
from lockstitch.patterns import regex
from lockstitch.values import field, frozen

_DOCKER_KEY = f"https://index.{DOCKER}/v1/"  # how Docker writes its own registry into its file
_HELPER = regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST = 1 << 20
_TOKEN_USER = "<token>"  # noqa: S105 -- the name under which helpers keep an identity token


@frozen
class Known:
    """The credentials for a registry: a login, a token that gets tokens, or one to show."""

    source: str
    login: Login | None = None
    identity: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)


class Logins:
    """Finds the login of a repository, which stays in this process's memory."""

    def __init__(self) -> None:
        self.troubles: list[str] = []  # helpers that could not be asked, for a hint

    def find(self, host: str, repository: str) -> Known | None:
        """Return a repository's login, or None; raises LockstitchError for an unreadable file."""
        for path in _files():
            document = read(path)
            for name in helpers(document, host, repository):
                known = self._ask(name, key_of(host), path)
                if known:
                    return known
            known = _of_auths(document, host, repository, str(path))
            if known:
                return known
        return None

    def _ask(self, name: str, server: str, path: Path) -> Known | None:
        """Return the login of a helper; one that is missing is noted, as pulls may be anonymous."""
        program = helper(name)
        if program is None:
            named = f"docker-credential-{name:.60}"
            self.troubles.append(f"`{path}` names the helper {named}, which is not installed")
            return None
        done = process.run([program, "get"], stdin=server, check=False)
        if done.code != 0:
            return None
        try:
            answer = parse_json(done.stdout)
            user, secret = str(answer["Username"]), str(answer["Secret"])
        except (ValueError, KeyError, TypeError):
            self.troubles.append(f"{program} answered with what is not a login")
            return None
        if user == _TOKEN_USER:
            return Known(source=program, identity=secret)
        return Known(source=program, login=Login(user=user, password=secret, source=program))


def key_of(host: str) -> str:
    """Return the name under which Docker's file and its helpers keep a registry."""
    return _DOCKER_KEY if host == DOCKER else host


def helper(name: str) -> str | None:
    """Return the program of a helper, or None when there is none of that name."""
    program = f"docker-credential-{name}"
    return program if _HELPER.fullmatch(name) and shutil.which(program) else None


def names(key: str, host: str) -> bool:
    """Return whether a key of `auths` means the whole registry of a host."""
    return _normal(key) == host


def docker_file() -> Path:
    """Return Docker's own file, which need not exist."""
    return Path(environ.get("DOCKER_CONFIG") or "~/.docker").expanduser() / "config.json"


def _files() -> Iterator[Path]:
    yield docker_file()
    named = environ.get("REGISTRY_AUTH_FILE")
    if named:
        yield Path(named).expanduser()
        return
    runtime = environ.get("XDG_RUNTIME_DIR")
    for folder in (runtime, environ.get("XDG_CONFIG_HOME") or "~/.config"):
        if folder:
            yield Path(folder, "containers", "auth.json").expanduser()


def read(path: Path) -> dict[str, object]:
    """Return a file of logins, empty if missing; raises LockstitchError if unreadable."""
    try:
        if path.stat().st_size > _LONGEST:
            raise LockstitchError(f"`{path}` has more than {_LONGEST} bytes")
        document = parse_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise LockstitchError(f"`{path}` cannot be read: {error.strerror}") from error
    except ValueError:  # whose words quote the file
        document = None
    if not isinstance(document, dict):
        message = f"`{path}` is not a JSON object"
        raise LockstitchError(message, hint="correct it, or move it away and log in again")
    return document


def helpers(document: Mapping[str, object], host: str, repository: str) -> Iterator[str]:
    """Yield the names of the helpers that a file has for a repository, the nearest first."""
    named = document.get("credHelpers")
    if isinstance(named, dict):
        key = _longest(named, host, repository)
        if key is not None and isinstance(named[key], str):
            yield named[key]
    store = document.get("credsStore")
    if isinstance(store, str) and store:
        yield store


def _of_auths(
    document: Mapping[str, object], host: str, repository: str, source: str
) -> Known | None:
    auths = document.get("auths")
    key = _longest(auths, host, repository) if isinstance(auths, dict) else None
    entry = auths[key] if isinstance(auths, dict) and key is not None else None
    if not isinstance(entry, dict):
        return None
    texts = {k: v for k, v in entry.items() if isinstance(v, str)}
    user, password = texts.get("username", ""), texts.get("password", "")
    if texts.get("auth"):
        user, password = _decoded(texts["auth"], source)
    login = Login(user=user, password=password, source=source) if user and password else None
    identity, bearer = texts.get("identitytoken", ""), texts.get("registrytoken", "")
    if not (login or identity or bearer):
        return None
    return Known(source=source, login=login, identity=identity, bearer=bearer)


def _decoded(auth: str, source: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(auth, validate=True).decode()
    except (binascii.Error, ValueError):
        message = f"`{source}` has an `auth` that is not base64 of USER:PASSWORD"
        raise LockstitchError(message, hint="log in again") from None
    user, _, password = text.partition(":")
    return user, password.strip("\0")


def _longest(keys: Mapping[str, object], host: str, repository: str) -> str | None:
    """Return the key that names most of `host/repository`; all of its parts must agree."""
    wanted = f"{host}/{repository}"
    fitting = [
        (len(name), key)
        for key in keys
        if (name := _normal(key)) and (wanted == name or wanted.startswith(name + "/"))
    ]
    return max(fitting)[1] if fitting else None


def _normal(key: str) -> str:
    """Return a key without scheme and API version; Docker's registry has had several names."""
    name = key.partition("://")[2] or key
    name = name.rstrip("/").removesuffix("/v1").removesuffix("/v2")
    host, slash, rest = name.partition("/")
    old = {f"index.{DOCKER}", f"registry-1.{DOCKER}"}
    return f"{DOCKER if host in old else host}{slash}{rest}"


class TypedLogin(Logins):
    """One login that was typed, held against a registry before it is kept."""

    def __init__(self, login: Login) -> None:
        super().__init__()
        self._known = Known(source=login.source, login=login)

    def find(self, host: str, repository: str) -> Known | None:  # noqa: ARG002 -- a Logins
        """Return it for whatever is asked."""
        return self._known


def keep(host: str, login: Login) -> str:
    """Keep a login as `docker login` does; return the helper or the file that holds it now.

    Raises LockstitchError when the helper that Docker's file names is missing or refuses.
    """
    path = docker_file()
    document = read(path)
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
    """Remove a login; return the helpers and files that had it. Raises LockstitchError."""
    path = docker_file()
    document = read(path)
    gone = []
    for name in helpers(document, host, ""):
        program = helper(name)
        if program and process.run([program, "get"], stdin=key_of(host), check=False).code == 0:
            gone.append(_tell(name, "erase", key_of(host), path))
    auths = _auths(document)
    kept = {key: value for key, value in auths.items() if not names(key, host)}
    if len(kept) < len(auths):
        _write(path, document | {"auths": kept})
        gone.append(str(path))
    return gone


def _auths(document: Mapping[str, object]) -> dict[str, object]:
    auths = document.get("auths")
    return dict(auths) if isinstance(auths, dict) else {}


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
