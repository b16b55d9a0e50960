"""Where a repository says which Python it runs on, and which versions that allows."""

import re
from collections.abc import Iterator

from lockstitch.patterns import regex
from lockstitch.python.tables import table
from lockstitch.repository.dockerfile.images import image_files
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging.declared import beside
from lockstitch.repository.text.lines import line_of_key
from lockstitch.values import frozen

__all__ = ["Pin", "allows", "images", "pins", "requires", "tested"]

_VERSION = regex(r"(?:cpython-|python-)?(3\.\d{1,2}(?:\.\d{1,2})?)")
_CONDA = regex(r"\s*-\s*[\"']?python\s*={1,2}\s*(3\.\d{1,2}(?:\.\d{1,2})?)[\"'.*]*\s*(?:#.*)?")
_CI = regex(r"\s*-?\s*[\"']?python(?:-version|_version)?[\"']?\s*:\s*(?P<value>.*)")
_ITEM = regex(r"\s*-\s*[\"']?(3\.\d{1,2}(?:\.\d{1,2})?)[\"']?\s*(?:#.*)?")
_NUMBER = regex(r"(?<![\d.])3\.\d{1,2}(?:\.\d{1,2})?(?![\d.])")
# Bases whose name says which Python the project runs on; others may get one by uv or conda.
_KINDS = frozenset({"python", "uv", "distroless", "lambda"})
_PATCHES = 40


@frozen
class Pin:
    """One place that says one Python."""

    path: str
    line: int
    version: str
    what: str  # how a message calls the place

    @property
    def minor(self) -> str:
        """Return the version without its patch number."""
        return ".".join(self.version.split(".")[:2])


def requires(repo: Repository, folder: str) -> str:
    """Return which Pythons a project allows, as specifiers; empty where it does not say."""
    document = repo.toml(beside(folder, "pyproject.toml"))
    said = table(document, "project").get("requires-python")
    if isinstance(said, str):
        return said
    poetry = table(document, "tool", "poetry", "dependencies").get("python")
    text = poetry.strip() if isinstance(poetry, str) else ""
    caret = re.fullmatch(r"\^\s*3\.(\d{1,2})((?:\.\d+)*)", text)
    if caret:
        return f">=3.{caret[1]}{caret[2]},<4"
    tilde = re.fullmatch(r"~\s*3\.(\d{1,2})((?:\.\d+)*)", text)
    if tilde:
        return f">=3.{tilde[1]}{tilde[2]},<3.{int(tilde[1]) + 1}"
    return "" if "|" in text or "^" in text else text


def allows(specifiers: str, version: str) -> bool:
    """Return whether specifiers allow a version, any patch of it where it has none."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        found = SpecifierSet(specifiers)
    except InvalidSpecifier:
        return True
    if version.count(".") > 1:
        return found.contains(version)
    return any(found.contains(f"{version}.{patch}") for patch in range(_PATCHES))


def pins(repo: Repository, folder: str) -> list[Pin]:
    """Return what a folder's own files say, the one that counts most first."""
    found = []
    path = beside(folder, "pyproject.toml")
    said = table(repo.toml(path), "tool", "lockstitch").get("python")
    if isinstance(said, str) and _VERSION.fullmatch(said):
        line = line_of_key(repo.text(path) or "", "tool", "lockstitch", "python") or 1
        found.append(Pin(path=path, line=line, version=said, what="[tool.lockstitch] python"))
    for name in (".python-version", "runtime.txt"):
        path = beside(folder, name)
        lines = [x.strip() for x in repo.lines(path)] if path in repo.name_set else []
        kept = [x for x in lines if x and not x.startswith("#")]
        match = _VERSION.fullmatch(kept[0]) if len(kept) == 1 else None
        if match:
            line = lines.index(kept[0]) + 1
            found.append(Pin(path=path, line=line, version=match[1], what=f"`{path}`"))
    for name in ("environment.yml", "environment.yaml"):
        path = beside(folder, name)
        for number, text in enumerate(repo.lines(path) if path in repo.name_set else (), 1):
            match = _CONDA.fullmatch(text)
            if match:
                found.append(Pin(path=path, line=number, version=match[1], what=f"`{path}`"))
    return found


def images(repo: Repository, folder: str) -> list[Pin]:
    """Return the Python of each image that is built in a folder."""
    found = {}
    for image in image_files(repo):
        if not any(context.folder == folder for context in image.contexts):
            continue
        for built in image.products:
            for each in (built, *built.sources) if built.is_python else ():
                base = each.base
                match = _VERSION.fullmatch(base.python) if base and base.kind in _KINDS else None
                if match and each.is_python:
                    line = each.chain[0].line
                    text = each.chain[0].base.text
                    what = f"`{text}` of `{image.path}`"
                    pin = Pin(path=image.path, line=line, version=match[1], what=what)
                    found[pin.path, pin.line] = pin
    return list(found.values())


def tested(repo: Repository) -> list[Pin]:
    """Return each Python that the workflows of CI name."""
    found = []
    for path in repo.names:
        if path.startswith(".github/workflows/") and path.endswith((".yml", ".yaml")):
            found += list(_workflow(path, repo.lines(path)))
    return found


def _workflow(path: str, lines: list[str]) -> Iterator[Pin]:
    inside = False  # of a list whose items stand on lines of their own
    for number, line in enumerate(lines, 1):
        match = _CI.fullmatch(line)
        item = _ITEM.fullmatch(line) if inside else None
        inside = bool(item) or bool(match and not match["value"].partition("#")[0].strip())
        versions = [item[1]] if item else []
        if match and "${{" not in match["value"]:
            versions = _NUMBER.findall(match["value"].partition("#")[0])
        for version in versions:
            yield Pin(path=path, line=number, version=version, what=f"`{path}`")
