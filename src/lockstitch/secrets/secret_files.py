"""Files whose whole purpose is to hold secrets, told by their name and what stands in them."""

import re
from collections.abc import Callable
from posixpath import basename

from lockstitch.patterns import regex
from lockstitch.resources import load_table
from lockstitch.secrets.patterns import is_placeholder
from lockstitch.table import first_of

_TEMPLATE = regex(
    r"(?i)(?:^|.*[._-])(?:example|sample|template|tmpl|dist|default|defaults|dummy|fake|j2|tpl|test"
    r"|ci)(?:[._-].*|$)"
)
_ENV = regex(r"\.env(?:\..+)?|.+\.env|env\.(?:prod|production|local|dev|staging)")
# The access key of a store is the name of its user.
_SETTING = regex(
    r"(?im)^[ \t]*(?:export[ \t]+)?((?!(?:AWS|MINIO|S3)_ACCESS_KEY\b)(?:[A-Z0-9]+_)*"
    r"(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|SECRET_?KEY|PRIVATE_?KEY|CREDENTIALS?))"
    r"[ \t]*=[ \t]*[\"']?([^\s\"'#]+)"
)
_FILLERS = regex(
    r"(?i)your|replace|insert|change.?(?:me|this|it)|example|placeholder|redacted|dummy|xxx|\*\*\*|\.\.\.|<|"
    r"^[$/{]|^(?:none|null|true|false|todo|test|testing|empty|-+|/run/secrets/.*)$"
)
# Any name that a kind below may have: nearly all files are passed by with this alone.
_PERHAPS = regex(
    r".*\.(?:env|pem|key|ppk|kubeconfig)|\.env.*|env\..*|id_.*|.*\.json|[._]netrc|\.pypirc|config"
    r"|\.git-credentials|\.npmrc|kubeconfig.*|credentials|\.dockerconfigjson|secrets\.toml|\.pgpass|pgpass\.conf"
)


def is_template(path: str) -> bool:
    """Return whether a file only shows which secrets there are: `.env.example` and its kin."""
    return _TEMPLATE.fullmatch(basename(path)) is not None


def secret_file(path: str, read: Callable[[], str | None]) -> tuple[str, int] | None:
    """Return the kind of a file's secret, in words, and its line; None without a secret.

    `read` gives its text, and is called for names of such files alone.
    """
    name = basename(path).lower()
    if not _PERHAPS.fullmatch(name) or is_template(path):
        return None
    if _ENV.fullmatch(name):
        return _of_env(read() or "")
    return (
        kept_login(path, read() or "") if any(_is_named(kind, path) for kind in _kinds()) else None
    )


def kept_login(path: str, text: str) -> tuple[str, int] | None:
    """Return the kind and line of the secret in a file made for logins alone, or None."""
    name = basename(path).lower()
    if is_template(path) or not _PERHAPS.fullmatch(name):
        return None
    for kind in _kinds():
        if _is_named(kind, path):
            match = re.search(kind["content"], text)
            if match and not is_placeholder(match[match.lastindex or 0]):
                return kind["holds"], text.count("\n", 0, match.start()) + 1
    return None


def _is_named(kind: dict[str, str], path: str) -> bool:
    lower = path.lower()
    return any(re.fullmatch(kind["names"], path) for path in (lower, basename(lower)))


def _kinds() -> list[dict[str, str]]:
    kinds: list[dict[str, str]] = load_table(__package__, "secret_files.toml")["kind"]
    return kinds


def _of_env(text: str) -> tuple[str, int] | None:
    settings = [m for m in _SETTING.finditer(text) if not _FILLERS.search(m[2])]
    if not settings:
        return None
    names = first_of([f"`{match[1]:.60}`" for match in settings], 3)
    return names, text.count("\n", 0, settings[0].start()) + 1
