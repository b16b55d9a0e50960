"""Names of images in registries, read as Docker reads them (distribution/reference grammar)."""

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.values import frozen, replace

DOCKER = "docker.io"
LATEST = "latest"
_LONGEST = 255  # characters of host and repository together
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = regex(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = regex(rf"{_PART}(?:/{_PART})*")
_TAG = regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HINT = "write it as HOST/REPOSITORY:TAG, such as localhost:5000/team/app:1.0"


@frozen
class Reference:
    """`host/repository:tag@digest`, of which the last two may be missing."""

    host: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Return the reference that a text means; `python:3.11` is docker.io/library/python:3.11.

        Raises LockstitchError for what Docker would refuse too, and for digests that are no sha256.
        """
        if "://" in text:
            raise _wrong(text, "it has a scheme")
        rest, at, digest = text.partition("@")
        host, repository = _split(rest)
        colon = repository.rfind(":")
        tag = repository[colon + 1 :] if colon >= 0 else ""
        repository = repository[:colon] if colon >= 0 else repository
        if host == DOCKER and "/" not in repository:
            repository = f"library/{repository}"
        reference = cls(
            host=host, repository=repository, tag=tag, digest=Digest.parse(digest) if at else None
        )
        if not _HOST.fullmatch(host):
            raise _wrong(text, f"`{host:.80}` is not a host")
        if not _REPOSITORY.fullmatch(repository):
            raise _wrong(text, f"`{repository:.80}` is not a repository's name, in lower case")
        if colon >= 0 and not _TAG.fullmatch(tag):
            raise _wrong(text, f"`{tag:.80}` is not a tag")
        if len(reference.name) > _LONGEST:
            raise _wrong(text, f"host and repository have more than {_LONGEST} characters")
        return reference

    @property
    def name(self) -> str:
        """The repository with its host, without tag and digest."""
        return f"{self.host}/{self.repository}"

    @property
    def which(self) -> Digest | str:
        """The reference to request from the registry: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or LATEST

    def at(self, digest: Digest) -> "Reference":
        """Return the reference by digest alone, which can never mean another image."""
        return replace(self, tag="", digest=digest)

    def __str__(self) -> str:
        """Return it in full, as every engine understands it."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}{f'@{self.digest}' if self.digest else ''}"


def host_of(text: str) -> str:
    """Return the host that a text names, or raise LockstitchError."""
    if not _HOST.fullmatch(text):
        message = f"`{text:.200}` is not the host of a registry"
        raise LockstitchError(message, hint="write it as registry.example.com or localhost:5000")
    return DOCKER if text in {f"index.{DOCKER}", f"registry-1.{DOCKER}"} else text


def _split(text: str) -> tuple[str, str]:
    """Return host and the rest: a first part with a dot, a colon or a capital is a host."""
    first, slash, rest = text.partition("/")
    named = any(c in first for c in ".:") or first == "localhost" or first != first.lower()
    if not slash or not named:
        return DOCKER, text
    return (DOCKER if first == "index." + DOCKER else first), rest


def _wrong(text: str, why: str) -> LockstitchError:
    return LockstitchError(f"`{text:.200}` is not the name of an image: {why}", hint=_HINT)
