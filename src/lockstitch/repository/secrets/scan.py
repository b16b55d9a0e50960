"""Secrets in a repository's files, by our own patterns."""

from collections.abc import Iterator, Sequence
from posixpath import basename

from lockstitch.patterns import regex
from lockstitch.repository.environment import programs
from lockstitch.repository.file_cache import glanced
from lockstitch.repository.files import Repository
from lockstitch.repository.secrets import files
from lockstitch.repository.secrets.scanners import Scanner
from lockstitch.secrets import patterns
from lockstitch.secrets.finding import Finding
from lockstitch.secrets.text import decoded, find, may_have
from lockstitch.suppressions import allowed_lines

__all__ = ["by_scanner", "in_files", "in_text", "rules_for", "scanner"]

_LOOSE = frozenset(
    {"test", "tests", "testing", "testdata", "fixtures", "vendor", "vendored", "third_party"}
    | {"third-party", "templates", "examples", "docs"}
)
_TEST = regex(r"test_.*|.*_test\..*|conftest\.py")
_PROSE = regex(r"(?i).+\.(?:md|rst|adoc|ipynb|html|svg)")
_BUILT = regex(r"(?i)(?:.*\.)?(?:dockerfile|containerfile)(?:[.-].+)?|.*compose.*\.ya?ml")
# Of these other rules speak, with the variable's name.
_OTHERS = frozenset({"compose-secret-literal", "docker-secret-literal", "env-secret-literal"})


def rules_for(path: str) -> tuple[patterns.Rule, ...]:
    """Return the rules for a file: in tests and prose, only what is a secret by its form.

    Private keys that a test made for itself are no secret, nor is an address in a document.
    """
    name = basename(path)
    apart = _LOOSE & {part.lower() for part in path.split("/")[:-1]} or _TEST.fullmatch(name)
    loose = apart or _PROSE.fullmatch(name) or files.is_template(path)
    others = _OTHERS | {"url-credentials"} if _BUILT.fullmatch(name) else _OTHERS
    found = (rule for rule in patterns.RULES if rule.name not in others)
    return tuple(r for r in found if not loose or (r.high and r.name != "private-key"))


def in_text(data: bytes, path: str) -> list[Finding]:
    """Return the secrets in a file's bytes; a binary file has none."""
    if not may_have(data, path):
        return []
    text = decoded(data)
    return [] if text is None else find(text, path, rules=rules_for(path))


def _look(name: str, data: bytes) -> tuple[list[Finding], bool]:
    found = in_text(data, name)
    return found, not found


def in_files(repo: Repository) -> Iterator[Finding]:
    """Yield the secrets of a repository's files, those apart from the project included.

    Which files were clean is remembered, what was found is not.
    """
    version = f"1\n{patterns.version()}"
    for _, found in glanced(repo, repo.every_name, "checked-secrets", version, _look):
        yield from found


def scanner(repo: Repository) -> "Scanner | None":
    """Return the scanner of the hooks that is installed, or None."""
    from lockstitch.repository.secrets.scanners import SCANNERS

    for kind in SCANNERS:
        program = programs.program(repo, kind.name)
        if program is not None:
            return kind(program)
    return None


def by_scanner(repo: Repository, chosen: "Scanner", known: Sequence[Finding]) -> Iterator[Finding]:
    """Yield what a scanner finds in the repository's files beyond what is known of their lines."""
    names = [name for name in repo.every_name if repo.text(name) is not None]
    lines = {(each.path, each.line) for each in known}
    for each in chosen.find(repo.root, names) if names else ():
        allowed = allowed_lines(repo.text(each.path) or "")
        if (each.path, each.line) not in lines and each.line not in allowed:
            lines.add((each.path, each.line))
            yield each
