"""IMG: secrets in the layers, the settings and the history of images."""

import posixpath
import re
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.images import image_files
from lockstitch.repository.dockerfile.reader import Instruction
from lockstitch.repository.dockerfile.stages import Step, line_of
from lockstitch.repository.files import Repository

__all__ = ["RULES"]

_NAME = regex(
    r"(?:.*_)?(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|ACCESS_?KEY(?:_ID)?|SECRET_?KEY"
    r"|PRIVATE_?KEY|CREDENTIALS?)",
    re.IGNORECASE,
)
_NO_SECRET = regex(r"(?i)(?:.*_)?(?:EOS|BOS|PAD|UNK|SEP|CLS|MASK|STOP|START|END|MAX|PUBLIC)_\w+")
_NOTHING = regex(
    r"(?i)|none|null|true|false|yes|no|on|off|\d+|[./~<].*|.*(?:dummy|placeholder|unused|not.?(?:used"
    r"|set)|build.?(?:time|only)).*"
)
_ADDRESS = regex(r"\w://(?P<user>[^\s/@:\"']*):(?P<secret>[^\s/@\"']+)@")
_VARIABLE = regex(r"\$\{?(\w+)")
_FILES = frozenset(
    {".env", ".netrc", ".pypirc", ".git-credentials", "id_rsa", "id_ed25519", "id_ecdsa"}
    | {"kubeconfig", ".pgpass"}
)
_EXAMPLE = regex(r"\.env\.(?:example|sample|template|dist|defaults?|test|ci)")


class IMG019(Rule):
    r"""A secret goes into the image.

    Why: ARG stands in the history of the image, ENV in its settings, a copied file in a layer,
    and deleting it later deletes nothing. Whoever can pull the image can read them.

    Bad:
        ARG INDEX_TOKEN
        RUN pip install --index-url https://ci:$INDEX_TOKEN@packages.example.com/simple model

    Good:
        RUN --mount=type=secret,id=netrc,target=/root/.netrc \
            pip install --index-url https://packages.example.com/simple model

    Fix: give it to the build as `--secret`, and to the container when it starts.
    Source: Docker, "Build secrets"; BuildKit's check SecretsUsedInArgOrEnv.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each ARG, ENV, address and COPY that carries one."""
        for image in image_files(repo):
            dockerfile = image.dockerfile
            steps = [s for stage in dockerfile.stages for s in image.steps(stage.index)[0]]
            instructions = [*dockerfile.args, *(step.instruction for step in steps)]
            for instruction in instructions:
                for line, message, hint in _said(instruction):
                    yield self.finding(image.path, line, message, hint=hint)
            for step in steps:
                for name in _copied(step):
                    line = line_of(step.instruction, name)
                    message = f"`{name}` goes into a layer of the image"
                    hint = "give it to the container when it starts: --env-file, or a mount"
                    yield self.finding(image.path, line, message, hint=hint)


def _said(instruction: Instruction) -> Iterator[tuple[int, str, str]]:
    if instruction.name in {"ARG", "ENV"}:
        for pair in instruction.pairs:
            if not _NAME.fullmatch(pair.name) or _NO_SECRET.fullmatch(pair.name):
                continue
            given = {*_VARIABLE.findall(pair.raw)} & instruction.scope.arguments  # by `--build-arg`
            asks = instruction.name == "ARG" and not pair.value
            if not asks and not given and _NOTHING.fullmatch(pair.value or ""):
                continue
            where = "the settings" if instruction.name == "ENV" else "the history"
            message = f"`{instruction.name} {pair.name}` puts a secret into {where} of the image"
            hint = "RUN --mount=type=secret,id=… for the build; --env or --env-file for a run"
            yield line_of(instruction, pair.name), message, hint
    texts = [(instruction.text, 0), *((each.text, each.line) for each in instruction.heredocs)]
    for text, first in texts:
        for match in _ADDRESS.finditer(text) if "://" in text else ():
            if _is_secret(match["secret"], instruction):
                line = first + text.count("\n", 0, match.start()) if first else 0
                message = "an address holds a password, which stays in the image's history"
                hint = "RUN --mount=type=secret,id=netrc,target=/root/.netrc …"
                yield line or line_of(instruction, match[0]), message, hint


def _is_secret(text: str, instruction: Instruction) -> bool:
    """Return whether what stands for a password in an address is one that the image keeps."""
    names = _VARIABLE.findall(text)
    if names:
        scope = instruction.scope
        kept = {name for name in names if name in scope.arguments or name in scope.values}
        return any(not _NAME.fullmatch(name) for name in kept)  # the others are said already
    return not text.startswith(("<", "{", "[")) and "`" not in text and "$" not in text


def _copied(step: Step) -> list[str]:
    copied = step.copied
    if copied is None or copied.origin:
        return []
    found = []
    for source in copied.sources:
        base = posixpath.basename(source.rstrip("/"))
        dotenv = base.startswith(".env.") and "*" not in base and not _EXAMPLE.match(base)
        if base in _FILES or dotenv:
            found.append(source)
    return found


RULES: tuple[type[Rule], ...] = (IMG019,)
