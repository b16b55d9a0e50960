"""What secrets look like: one rule a line of a table, with what is no secret after all."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

from lockstitch.patterns import regex

__all__ = ["RULES", "SIGNS", "Rule", "is_placeholder", "version"]

# Not in the middle of a word; of 16 letters without a mark of their own, nor inside base64.
_START = r"(?<![A-Za-z0-9_-])"
_END = r"(?![A-Za-z0-9_-])"
_START64 = r"(?<![A-Za-z0-9+/_-])"
_END64 = r"(?![A-Za-z0-9+/=_-])"
_ASSIGNED = r"""["']?\s*(?:[:=]|:=|=>)\s*["']?"""
_NAMES = (
    r"(?:[A-Z0-9]+_)*(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|ACCESS_?KEY"
    r"|SECRET_?KEY|PRIVATE_?KEY|CREDENTIALS?)"
)
_VALUE = r"""["']?(?P<secret>[^\s"'#,\[\]{}$<][^\s"']{3,})"""
_EXAMPLES = regex(
    r"(?i)example|change.?me|placeholder|redacted|dummy|xxxx|\*\*\*|\.\.\.|\$\{|\{\{|\$\(|%\("
    r"|^(?:none|null|true|false|todo|test(?:ing)?|secret|password|passwd|pass|admin|root|guest"
    r"|postgres|minio(?:admin)?|token|[\d.]+)$"
)
_FILLERS = regex(r"(?i)your|replace|insert|<[a-z]|^[$/{]")
_VARIETY = 6  # different characters that a made secret has at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One form of secret. `high` ones are so clear that no image is built with them."""

    name: str
    pattern: str  # the group `secret`, else the whole match, is what must not be shown
    anchors: tuple[str, ...]  # a text without any of these, in lower case, has no match
    high: bool = True
    files: Callable[[str], bool] | None = None  # which files it is for; None: all
    literal: bool = False  # the value may be any word, so that placeholders are many

    def compiled(self) -> re.Pattern[str]:
        """Return the pattern, compiled once and only when a text may have a match."""
        return _compiled(self.pattern)

    def is_for(self, path: str) -> bool:
        """Return whether the rule is for a file of this name."""
        return self.files is None or self.files(PurePosixPath(path).name.lower())

    def refuses(self, secret: str) -> bool:
        """Return whether a match is a known false alarm."""
        if self.name == "private-key":
            return False
        if self.literal:
            return is_placeholder(secret) or _FILLERS.search(secret) is not None
        return is_placeholder(secret) or len(set(secret)) < _VARIETY


def is_placeholder(value: str) -> bool:
    """Return whether a value is one of documents and examples, or is read from elsewhere."""
    return not value or _EXAMPLES.search(value) is not None


def version() -> str:
    """Return a text that changes with any rule, for records of what was found clean."""
    rules = [f"{rule.name} {rule.pattern} {rule.high}" for rule in RULES]
    return "\n".join([*rules, _EXAMPLES.pattern])


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)


def _is_dockerfile(name: str) -> bool:
    return name.startswith(("dockerfile", "containerfile")) or name.endswith(".dockerfile")


def _is_compose(name: str) -> bool:
    return "compose" in name and name.endswith((".yml", ".yaml"))


def _is_environment(name: str) -> bool:
    return name.startswith((".env", "env.")) or name.endswith(".env")


RULES = (
    Rule(
        name="aws-access-key-id",
        pattern=rf"{_START64}(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{{16}}{_END64}",
        anchors=("akia", "asia", "abia", "acca"),
    ),
    Rule(
        name="aws-secret-access-key",
        pattern=r"(?i:aws_?(?:secret_?)?(?:access_?)?key|secret_?access_?key)"
        rf"{_ASSIGNED}(?P<secret>[A-Za-z0-9/+]{{40}}){_END64}",
        anchors=("key",),
    ),
    Rule(
        name="github-token",
        pattern=rf"{_START}(?:gh[pousr]_[A-Za-z0-9]{{36,255}}|github_pat_[A-Za-z0-9_]{{22,255}})"
        rf"{_END}",
        anchors=("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    ),
    Rule(
        name="gitlab-token",
        pattern=rf"{_START}gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[A-Za-z0-9_.-]{{20,300}}",
        anchors=("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glagent-"),
    ),
    Rule(
        name="huggingface-token",
        pattern=rf"{_START}hf_[A-Za-z0-9]{{34,40}}{_END}",
        anchors=("hf_",),
    ),
    Rule(
        name="openai-key",
        pattern=rf"{_START}sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{{40,300}}|[A-Za-z0-9]{{48}}"
        rf"){_END}",
        anchors=("sk-",),
    ),
    Rule(
        name="anthropic-key",
        pattern=rf"{_START}sk-ant-[a-z]{{3,10}}\d\d-[A-Za-z0-9_-]{{24,300}}",
        anchors=("sk-ant-",),
    ),
    Rule(
        name="wandb-key",
        pattern=rf"(?i:wandb_api_key|wandb\.login\(\s*key){_ASSIGNED}"
        rf"(?P<secret>[0-9a-f]{{40}}){_END}",
        anchors=("wandb",),
    ),
    Rule(
        name="slack-token",
        pattern=rf"{_START}(?:xox[abeoprs]-[A-Za-z0-9-]{{20,300}}"
        r"|xapp-\d-[A-Z0-9]+-\d+-[a-z0-9]{20,100})",
        anchors=("xox", "xapp-"),
    ),
    Rule(
        name="slack-webhook",
        pattern=r"hooks\.slack\.com/services/(?P<secret>T[A-Z0-9]{6,}/B[A-Z0-9]{6,}"
        r"/[A-Za-z0-9]{20,40})",
        anchors=("hooks.slack.com/",),
    ),
    Rule(
        name="gcp-api-key",
        pattern=rf"{_START64}AIza[0-9A-Za-z_-]{{35}}{_END64}",
        anchors=("aiza",),
    ),
    Rule(
        name="gcp-service-account",
        pattern=r""""private_key_id"\s*:\s*"(?P<secret>[0-9a-f]{40})\"""",
        anchors=("private_key_id",),
    ),
    Rule(
        name="private-key",
        pattern=r"-----BEGIN (?:[A-Z0-9]{2,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        r"""(?:\s|\\r|\\n|["',+\\])*(?:[A-Z][A-Za-z-]+: [^\n]{1,200}\n\s*)*"""
        r"(?P<secret>[A-Za-z0-9+/=]{20,}(?:(?:\s|\\r|\\n)+[A-Za-z0-9+/=]+)*)",
        anchors=("private key",),
    ),
    Rule(
        name="pypi-token",
        pattern=rf"{_START}pypi-[A-Za-z0-9_-]{{50,300}}",
        anchors=("pypi-",),
    ),
    Rule(
        name="npm-token",
        pattern=rf"{_START}npm_[A-Za-z0-9]{{36}}{_END}",
        anchors=("npm_",),
    ),
    Rule(
        name="stripe-key",
        pattern=rf"{_START}(?:sk|rk)_live_[A-Za-z0-9]{{20,250}}{_END}",
        anchors=("_live_",),
    ),
    Rule(
        name="docker-token",
        pattern=rf"{_START}dckr_(?:pat|oat)_[A-Za-z0-9_-]{{27,60}}{_END}",
        anchors=("dckr_",),
    ),
    Rule(
        name="azure-storage-key",
        pattern=r"AccountKey=(?P<secret>[A-Za-z0-9+/]{86}==)",
        anchors=("accountkey=",),
    ),
    Rule(
        name="url-credentials",
        pattern=r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,20}://"
        r"(?P<user>[^\s/:@\"'<>`$(){}]{0,100}):(?!(?P=user)@)(?P<secret>[^\s/:@\"'<>`(){}|]{4,200})@[A-Za-z0-9\[]",
        anchors=("://",),
        high=False,
        literal=True,
    ),
    Rule(
        name="docker-secret-literal",
        pattern=rf"(?i:^[ \t]*(?:ARG|ENV)[ \t](?:[^\n]*[ \t])?{_NAMES})(?:=|[ \t]+){_VALUE}",
        anchors=("arg", "env"),
        high=False,
        files=_is_dockerfile,
        literal=True,
    ),
    Rule(
        name="compose-secret-literal",
        pattern=rf"(?i:^[ \t]*(?:-[ \t]*)?[\"']?{_NAMES})[\"']?(?:=|:[ \t]+){_VALUE}",
        anchors=("=", ":"),
        high=False,
        files=_is_compose,
        literal=True,
    ),
    Rule(
        name="env-secret-literal",
        pattern=rf"(?i:^[ \t]*(?:export[ \t]+)?{_NAMES})={_VALUE}",
        anchors=("=",),
        high=False,
        files=_is_environment,
        literal=True,
    ),
)

# What a file has that a rule for all files fits: few, and each with letters to begin with, since
# a search for those is ten times as quick as any other.
SIGNS = (
    rb"A(?:KIA|SIA|BIA|CCA|Iza|ccountKey=)",
    rb"gh[pousr]_",
    rb"github_pat_",
    rb"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-",
    rb"hf_",
    rb"sk-(?:ant-|proj-|svcacct-|admin-|[A-Za-z0-9]{48})",
    rb"_live_",
    rb"xox[abeoprs]-",
    rb"xapp-",
    rb"hooks\.slack\.com/",
    rb"private_key_id",
    rb"PRIVATE KEY",
    rb"pypi-[A-Za-z0-9_-]{50}",
    rb"npm_[A-Za-z0-9]{36}",
    rb"dckr_",
    rb"://[^\s/:@]{0,100}:[^\s/:@]{4,200}@",
    rb"wandb",
    rb"WANDB",
    # A secret of AWS: 40 letters behind a name that ends with `key`.
    rb"ey[\"']?\s*(?:[:=]|:=|=>)\s*[\"']?[A-Za-z0-9/+]{40}",
    rb"EY[\"']?\s*(?:[:=]|:=|=>)\s*[\"']?[A-Za-z0-9/+]{40}",
)
