"""The user and password for an address: from variables, index addresses, ~/.netrc or keyring."""

import base64
import threading
import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lockstitch import environ, process
from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.values import field, frozen, replace

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_PORTS = {"http": 80, "https": 443}
_UV = ("UV_INDEX_<NAME>_USERNAME", "UV_INDEX_<NAME>_PASSWORD")
_POETRY = ("POETRY_HTTP_BASIC_<NAME>_USERNAME", "POETRY_HTTP_BASIC_<NAME>_PASSWORD")
_LISTS = (
    *("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"),
)

_TOKEN = 16  # characters of a user's name that is a token; `git` and `bob` are not
_WITH_USER = regex(
    r"://(?P<user>[^/?#\s\"'@:]*)(?P<password>:[^/?#\s\"'@]+)?@(?P<host>[A-Za-z0-9.\[\]:-]+)"
)

Origin = tuple[str, str, int]


@frozen
class Login:
    """A user and a password, and where they are from."""

    user: str
    password: str = field(repr=False)
    source: str = field(compare=False)

    def header(self) -> str:
        """Return the value of the Authorization header (RFC 7617)."""
        # A variable may hold bytes that are no UTF-8: they are sent as they are.
        pair = f"{self.user}:{self.password}".encode("utf-8", "surrogateescape")
        return "Basic " + base64.b64encode(pair).decode()


@frozen
class _Place:
    """An index, and what was said about who may read it; the earlier `rank` wins."""

    url: str
    rank: int
    user: str = ""
    password: str = field(default="", repr=False)
    source: str = ""
    variables: str = ""  # what would give it a password
    always: bool = False  # uv asks keyring even without a user


class Credentials:
    """Finds logins for the addresses that a lock names; they stay in this process's memory."""

    def __init__(
        self, document: Mapping[str, object] | None = None, root: Path | None = None
    ) -> None:
        """Use the indexes of a pyproject.toml that was read from `root`, where uv.toml may be."""
        self._document = document or {}
        self._root = root
        self._asked: dict[Origin, Login | None] = {}
        self._guard = threading.Lock()

    def known(self, url: str) -> Login | None:
        """Return the known login; raises LockstitchError when it would travel over plain http."""
        for place in self._places_of(url):
            if place.password:
                login = Login(user=place.user, password=place.password, source=place.source)
                return _protected(login, url)
        origin = _origin(url)
        return self._asked.get(origin) if origin else None

    def asked(self, url: str) -> Login | None:
        """Return the login that ~/.netrc or keyring has for a host; each is asked once.

        Raises LockstitchError for a broken netrc file, and when keyring is wanted but missing.
        """
        origin = _origin(url)
        if origin is None:
            return None
        with self._guard:
            if origin not in self._asked:
                login = _of_netrc(origin[1]) or self._of_keyring(url)
                self._asked[origin] = login and _protected(login, url)
            return self._asked[origin]

    def hint(self, url: str) -> str:
        """Return how to give a login for this address: the three ways that uv has too."""
        named = [place.variables for place in self._places_of(url) if place.variables]
        variables = named[0] if named else "UV_INDEX_NAME_USERNAME and UV_INDEX_NAME_PASSWORD"
        ways = f"set {variables}, or write the host into ~/.netrc, or keep the password in"
        return f"{ways} keyring with UV_KEYRING_PROVIDER=subprocess"

    # --- indexes

    def _places_of(self, url: str) -> list[_Place]:
        """Return the indexes at the address's origin, the nearest path first."""
        origin = _origin(url)
        same = [place for place in self._places if origin and _origin(place.url) == origin]
        return sorted(same, key=lambda place: (-_common(place.url, url), place.rank))

    @cached_property
    def _places(self) -> tuple[_Place, ...]:
        tool = _table(self._document, "tool")
        places: list[_Place] = []
        for settings in (*_uv_files(self._root), _table(tool, "uv")):
            for entry in _tables(settings, "index"):
                places += _of_uv(entry.get("name"), entry.get("url"), entry.get("authenticate"))
            extra = settings.get("extra-index-url")
            for value in (settings.get("index-url"), *(extra if isinstance(extra, list) else [])):
                places += _of_uv(None, value)
        for variable in _LISTS:
            for word in environ.get(variable).split():
                name, equals, address = word.partition("=")
                is_named = bool(equals) and "/" not in name
                places += _of_uv(*((name, address) if is_named else (None, word)), source=variable)
        for source in _tables(_table(tool, "poetry"), "source"):
            places += _of_poetry(source.get("name"), source.get("url"))
        return tuple(places)

    # --- keyring

    def _of_keyring(self, url: str) -> Login | None:
        settings = (*_uv_files(self._root), _table(_table(self._document, "tool"), "uv"))
        wanted = [s["keyring-provider"] for s in settings if "keyring-provider" in s]
        if (environ.get("UV_KEYRING_PROVIDER") or (wanted[0] if wanted else "")) != "subprocess":
            return None
        for place in self._places_of(url):
            if place.user or place.always:
                login = _ask_keyring(place)
                if login:
                    return login
        return None


def userinfo(url: str) -> tuple[str, str]:
    """Return user and password that stand in an address, decoded, or empty texts."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return unquote(parts.username or ""), unquote(parts.password or "")


def bare(url: str) -> str:
    """Return an address without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def passwords_in(text: str, name: str) -> list[LockstitchError]:
    """Return an error for each host whose address in a lock holds a password or a token.

    uv strips what an index's own address holds, but keeps what a dependency's address or an
    index's pages do.
    """
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        for match in _WITH_USER.finditer(line):
            if match["password"] or len(match["user"]) >= _TOKEN:
                lines.setdefault(match["host"], number)
    hint = "take it out of the dependency's address in pyproject.toml, or out of the index's "
    hint += "pages, and give it in ~/.netrc; then lockstitch lock"
    return [
        LockstitchError(f"line {number} of `{name}` would hold a password of `{host}`", hint=hint)
        for host, number in lines.items()
    ]


def stripped(text: str) -> str:
    """Return a text whose addresses have no user and password, so that no hash depends on them."""
    return _WITH_USER.sub(lambda m: f"://{m['host']}" if m["password"] else m[0], text)


def _origin(url: str) -> Origin | None:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname and port else None


def _common(one: str, other: str) -> int:
    """Return how many folders two addresses have in common from the start."""
    count = 0
    folders = (urlsplit(url).path.strip("/").split("/") for url in (one, other))
    for here, there in zip(*folders, strict=False):
        if here != there:
            break
        count += 1
    return count


def _protected(login: Login, url: str) -> Login:
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname in LOOPBACK:
        return login
    message = f"`http://{parts.hostname}` is not https: anybody on the way could read the "
    message += f"password from {login.source}"
    raise LockstitchError(
        message, hint="write https:// in the index's address, then lockstitch lock"
    )


# --- what says where indexes are


def _table(document: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}


def _tables(document: Mapping[str, object], key: str) -> Iterator[Mapping[str, object]]:
    value = document.get(key)
    for table in value if isinstance(value, list) else []:
        if isinstance(table, Mapping):
            yield table


def _uv_files(root: Path | None) -> Iterator[Mapping[str, object]]:
    """Yield uv's settings files: the project's, then the user's; uv complains of broken ones."""
    folder = environ.get("XDG_CONFIG_HOME") or "~/.config"
    paths = [] if root is None else [root / "uv.toml"]
    for path in (*paths, Path(folder, "uv", "uv.toml").expanduser()):
        try:
            yield tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue


def _of_uv(
    name: object, url: object, authenticate: object = None, *, source: str = ""
) -> Iterator[_Place]:
    if isinstance(url, str):
        user, password = userinfo(url)
        place = _Place(
            url=url,
            rank=2 if source else 1,
            user=user,
            password=password,
            source=source or "the index's address",
            always=authenticate == "always",
        )
        yield _named(place, _UV, name, rank=0) if isinstance(name, str) else place


def _of_poetry(name: object, url: object) -> Iterator[_Place]:
    if isinstance(url, str) and isinstance(name, str):
        yield _named(_Place(url=url, rank=3), _POETRY, name, rank=3)


def _named(place: _Place, families: tuple[str, str], name: str, *, rank: int) -> _Place:
    """Return the place with what the two variables of its name say instead of its address."""
    variables = " and ".join(environ.name_of(family, name) for family in families)
    user, password = (environ.named(family, name) for family in families)
    place = replace(place, variables=variables)
    if not user and not password:
        return place
    return replace(place, rank=rank, user=user, password=password, source=variables)


# --- who is asked


def _of_netrc(host: str) -> Login | None:
    import netrc

    path = Path(environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        hosts = netrc.netrc(path).hosts
    except OSError:
        return None
    except netrc.NetrcParseError as error:  # whose words may be the password
        message = f"`{path}` cannot be read near line {error.lineno}"
        hint = "correct it: machine HOST login USER password PASSWORD"
        raise LockstitchError(message, hint=hint) from None
    except ValueError:
        message = f"`{path}` cannot be read: it is not text"
        raise LockstitchError(message, hint="save the file as UTF-8") from None
    # Not the `default` entry: a lock may name any host, and that one would be told to each.
    login = hosts.get(host) if host != "default" else None
    if login is None or not login[2]:
        return None
    return Login(user=login[0], password=login[2], source=str(path))


def _ask_keyring(place: _Place) -> Login | None:
    """Ask as uv does: by the index's address, then by its host, then by its origin."""
    program = process.find("keyring", hint="uv tool install keyring, or unset UV_KEYRING_PROVIDER")
    parts = urlsplit(bare(place.url))
    for service in (parts.geturl(), parts.netloc, f"{parts.scheme}://{parts.netloc}"):
        words = [place.user] if place.user else ["--mode", "creds"]
        done = process.run([program, "get", service, *words], check=False)
        lines = done.stdout.splitlines()
        if done.code != 0 or len(lines) < len(words):
            continue
        user = place.user or lines[0]
        if lines[len(words) - 1]:
            return Login(user=user, password=lines[len(words) - 1], source="keyring")
    return None
