"""Files whose whole purpose is to hold secrets, told by their name and what stands in them."""

import re
from collections.abc import Callable
from posixpath import basename

from lockstitch.patterns import regex
from lockstitch.secrets.patterns import is_placeholder

__all__ = ["Held", "held", "is_template"]

Held = tuple[str, int]  # what is held, in words, and the first line of it

_TEMPLATE = regex(
    r"(?i)(?:^|.*[._-])(?:example|sample|template|tmpl|dist|default|defaults|dummy|fake|j2|tpl|test"
    r"|ci)(?:[._-].*|$)"
)
_ENV = regex(r"\.env(?:\..+)?|.+\.env|env\.(?:prod|production|local|dev|staging)")
_SETTING = regex(
    r"(?im)^[ \t]*(?:export[ \t]+)?((?:[A-Z0-9]+_)*(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN"
    r"|API_?KEY|ACCESS_?KEY|SECRET_?KEY|PRIVATE_?KEY|CREDENTIALS?))"
    r"[ \t]*=[ \t]*[\"']?([^\s\"'#]+)"
)
_FILLERS = regex(
    r"(?i)your|replace|insert|change.?(?:me|this|it)|example|placeholder|redacted|dummy|xxx|\*\*\*|\.\.\.|<|"
    r"^[$/{]|^(?:none|null|true|false|todo|test|testing|empty|-+|/run/secrets/.*)$"
)
# Any name that a kind below may have: nearly all files are passed by with this alone.
_PERHAPS = regex(
    r".*\.(?:env|pem|key|ppk|kubeconfig)|\.env.*|env\..*|id_.*|.*\.json|[._]netrc|\.pypirc|config"
    r"|\.git-credentials|\.npmrc|kubeconfig.*|credentials|\.dockerconfigjson|secrets\.toml"
)
_PRIVATE = regex(r"-----BEGIN (?:[A-Z0-9]{2,20} ){0,3}PRIVATE KEY")


def is_template(path: str) -> bool:
    """Return whether a file only shows which secrets there are: `.env.example` and its kin."""
    return _TEMPLATE.fullmatch(basename(path)) is not None


def held(path: str, read: Callable[[], str | None]) -> Held | None:
    """Return what a file holds, None when it is of no such kind or holds none.

    `read` gives its text, and is called for names of such kinds alone.
    """
    name = basename(path).lower()
    if not _PERHAPS.fullmatch(name) or is_template(path):
        return None
    if _ENV.fullmatch(name):
        return _of_env(read() or "")
    for pattern, content, what in _KINDS:
        if re.fullmatch(pattern, path.lower()) or re.fullmatch(pattern, name):
            text = read() or ""
            match = content.search(text)
            if match and not is_placeholder(match[match.lastindex or 0]):
                return what, text.count("\n", 0, match.start()) + 1
    return None


def _of_env(text: str) -> Held | None:
    found = [m for m in _SETTING.finditer(text) if not _FILLERS.search(m[2])]
    if not found:
        return None
    names = ", ".join(f"`{match[1]:.60}`" for match in found[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""  # noqa: PLR2004 -- as above
    return f"{names}{more}", text.count("\n", 0, found[0].start()) + 1


_KINDS = (
    (r"id_(?:rsa|dsa|ecdsa|ed25519)|.+\.(?:pem|key|ppk)", _PRIVATE, "a private key"),
    (
        r".*(?:credentials|service[-_]?account|keyfile|gcp|google|key)[^/]*\.json",
        regex(r'"private_key(?:"\s*:\s*"-----BEGIN|_id"\s*:\s*"[0-9a-f]{40}")'),
        "the key of a service account",
    ),
    (r"[._]netrc", regex(r"\bpassword\s+(\S+)"), "a password"),
    (r"\.pypirc", regex(r"(?m)^\s*password\s*[:=]\s*(\S+)"), "a password"),
    (r"\.git-credentials", regex(r"://[^\s:/@]*:([^\s@]+)@"), "a password"),
    (r"\.npmrc", regex(r"_authToken\s*=\s*([^\s$]+)"), "a token"),
    (
        r"kubeconfig.*|(?:.*/)?\.kube/config|.+\.kubeconfig",
        regex(r"(?m)^\s*(?:client-key-data|token|password)\s*:\s*(\S{8,})"),
        "a cluster's key",
    ),
    (
        r"(?:.*/)?\.aws/credentials",
        regex(r"(?im)^\s*aws_secret_access_key\s*=\s*(\S+)"),
        "an AWS key",
    ),
    (
        r"(?:.*/)?\.docker/config\.json|\.dockerconfigjson",
        regex(r'"auth"\s*:\s*"([A-Za-z0-9+/=]{8,})"'),
        "a registry's password",
    ),
    (r"kaggle\.json", regex(r'"key"\s*:\s*"([0-9a-f]{32})"'), "a key of Kaggle"),
    (
        r"(?:.*/)?\.streamlit/secrets\.toml|secrets\.toml",
        regex(r"(?im)^\s*\w*(?:password|secret|token|key)\s*=\s*[\"']([^\"'\s]{4,})[\"']"),
        "a secret",
    ),
)
