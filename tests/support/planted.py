"""Invented secrets, put together at run time: no file of ours looks like it has one."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from string import ascii_letters, ascii_uppercase, digits

__all__ = ["FORMS", "WORDS", "Form", "private_key"]

_WORD = ascii_letters + digits
_BASE64 = _WORD + "+/"
_HEX = digits + "abcdef"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a secret of a rule is made, and a line with it in a file of some name."""

    prefix: str = ""
    letters: str = _WORD
    size: int
    suffix: str = ""
    line: str = "value = '{}'"
    name: str = "app/settings.py"

    def secret(self, seed: int) -> str:
        """Return a secret; a seed gives the same one."""
        chance = Random(seed)
        return self.prefix + "".join(chance.choices(self.letters, k=self.size)) + self.suffix


def private_key(seed: int, kind: str = "RSA ") -> str:
    """Return what looks like a private key in PEM, over several lines."""
    chance = Random(seed)
    rows = ["".join(chance.choices(_BASE64, k=64)) for _ in range(6)]
    marks = [f"-----{word} {kind}PRIVATE " + "KEY-----" for word in ("BEGIN", "END")]
    return "\n".join([marks[0], *rows, marks[1]]) + "\n"


FORMS: Mapping[str, Form] = {
    "aws-access-key-id": Form(prefix="AK" + "IA", letters=ascii_uppercase + "234567", size=16),
    "aws-secret-access-key": Form(letters=_BASE64, size=40, line="AWS_SECRET_ACCESS_KEY={}"),
    "github-token": Form(prefix="gh" + "p_", size=36),
    "gitlab-token": Form(prefix="glp" + "at-", size=20),
    "huggingface-token": Form(prefix="h" + "f_", size=34, line='login(token="{}")'),
    "openai-key": Form(prefix="sk" + "-proj-", letters=_WORD + "_-", size=80, suffix="a"),
    "anthropic-key": Form(prefix="sk" + "-ant-api03-", letters=_WORD + "_-", size=93),
    "wandb-key": Form(letters=_HEX, size=40, line="WANDB_API_KEY: {}"),
    "slack-token": Form(prefix="xo" + "xb-", letters=digits, size=30),
    "slack-webhook": Form(
        prefix="T0123ABCD/B0123ABCD/", size=24, line="https://hooks.slack.com/services/{}"
    ),
    "gcp-api-key": Form(prefix="AI" + "za", letters=_WORD + "_", size=34, suffix="a"),
    "gcp-service-account": Form(letters=_HEX, size=40, line='"private_key_id": "{}",'),
    "private-key": Form(
        letters=_BASE64,
        size=64,
        line='{{"key": "-----BEGIN PRIVATE ' + 'KEY-----\\n{}\\n-----END PRIVATE KEY-----"}}',
    ),
    "pypi-token": Form(prefix="py" + "pi-", letters=_WORD + "_-", size=150),
    "npm-token": Form(prefix="np" + "m_", size=36),
    "stripe-key": Form(prefix="sk" + "_live_", size=24),
    "docker-token": Form(prefix="dck" + "r_pat_", size=27),
    "azure-storage-key": Form(letters=_BASE64, size=86, suffix="==", line="x;AccountKey={};y"),
    "url-credentials": Form(size=12, line="pip install --index https://bob:{}@index.test/simple"),
    "docker-secret-literal": Form(size=12, line="ENV A=b DB_PASSWORD={}", name="Dockerfile.serve"),
    "compose-secret-literal": Form(
        size=12, line="      POSTGRES_PASSWORD: {}", name="docker-compose.yml"
    ),
    "env-secret-literal": Form(size=12, line="export MLFLOW_TOKEN={}", name="prod.env"),
}

# What a case file cannot have as it is: hosts that no file of ours names, ends of lines, bait.
WORDS: Mapping[str, str] = {
    "PYPI": "pypi" + ".org",
    "FILES": "files.python" + "hosted.org",
    "GHCR": "gh" + "cr.io",
    "GCR": "gc" + "r.io",
    "QUAY": "qu" + "ay.io",
    "BOM": "\ufeff",
    "WIDE": "\ufffe",  # a file that begins with it is written as UTF-16
    "CR": "\r",
    "PASSWORD": "PASS" + "WORD",  # scanners look at what stands beside it
}
