"""Passwords that a compose file spells out, and whether everybody knows them."""

from collections.abc import Iterator

from lockstitch.patterns import regex
from lockstitch.repository.compose.reader import Service, Value
from lockstitch.repository.compose.services import words
from lockstitch.values import frozen

__all__ = ["Password", "passwords"]

_NAMES = regex(
    r"(?i)(?:.*_)?(?:password|passwd|passphrase|secret|token|api_?key|secret_?key|access_?key"
    r"|private_?key|fernet_?key)"
)
_USERS = regex(r"(?i)(?:.*_)?(?:user|username|access_?key(?:_?id)?|login)")
_URI = regex(r"[A-Za-z][\w+.-]{1,30}://([^\s/:@$]{1,100}):([^\s/@]{1,200})@[A-Za-z0-9$\[]")
_DEFAULT = regex(r"\$\{\w+:?-([^${}]*)\}")
# What images and courses come with, and what stands for a password that somebody has to choose.
_KNOWN_NAMES = (
    "admin admin123 airflow changeit changeme change-me change_me changethis default docker "
    "example guest letmein minio minioadmin minio123 minio_admin miniosecret minio_secret "
    "mlflow mlflow123 mlflow_password mysecretpassword mysql pass passw0rd passwd password "
    "password123 postgres postgres123 qwerty root rootpassword s3cr3t secret supersecret "
    "test toor user 12345 123456 12345678 123456789 minio_password postgres_password"
)
_KNOWN = frozenset(_KNOWN_NAMES.split())
# Of a setting that must not be empty though nothing asks for it.
_NONE = frozenset(
    {"", "none", "null", "empty", "dummy", "not-needed", "unused", "true", "false"}
    | {"yes", "no", "on", "off", "0", "1"}
)


@frozen
class Password:
    """A password that stands in the file; `by_default` when a variable can replace it."""

    what: str
    user: str
    known: bool
    by_default: bool
    line: int
    path: str


def passwords(service: Service) -> Iterator[Password]:
    """Yield the passwords of a service's variables, and of addresses in them and in its command."""
    users = _users(service)
    for name, variable in service.environment.items():
        value = variable.value
        if value is None:
            continue
        place = (variable.line, variable.path)
        text, by_default = _spelled(value)
        if text is None or value.wrong:
            yield from _of_uris(value, *place)
        elif _NAMES.fullmatch(name):
            if text.lower() not in _NONE and not text.startswith("/run/secrets/"):
                user = users.get(name.upper().split("_")[0], "")
                known = text.lower() in _KNOWN or text == user
                yield Password(
                    what=f"`{name:.60}`",
                    user=user,
                    known=known,
                    by_default=by_default,
                    line=place[0],
                    path=place[1],
                )
        else:
            yield from _of_uris(value, *place)
    for word in words(service.entrypoint, service.command):
        yield from _of_uris(word, word.line, word.path)


def _users(service: Service) -> dict[str, str]:
    """Return the users that variables name, by the first word of the variable."""
    found: dict[str, str] = {}
    for name, variable in service.environment.items():
        text = _spelled(variable.value)[0] if variable.value else None
        if text and _USERS.fullmatch(name):
            found.setdefault(name.upper().split("_")[0], text)
    return found


def _spelled(value: Value) -> tuple[str | None, bool]:
    """Return the text that the file itself says, and whether it is a variable's default."""
    if "$" not in value.raw.replace("$$", ""):
        return value.text, False
    match = _DEFAULT.fullmatch(value.raw)
    return (match[1], True) if match else (None, False)


def _of_uris(value: Value, line: int, path: str) -> Iterator[Password]:
    for match in _URI.finditer(value.raw):
        user, secret = match[1], match[2]
        default = _DEFAULT.fullmatch(secret)
        secret = default[1] if default else secret
        if "$" not in secret and secret.lower() not in _NONE and "<" not in secret:
            yield Password(
                what="an address",
                user=user,
                known=secret.lower() in _KNOWN or secret == user,
                by_default=default is not None,
                line=line,
                path=path,
            )
