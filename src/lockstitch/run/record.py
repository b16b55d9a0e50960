"""The record of a run: what went in, what came out, and the environment that did it.

Its JSON is in docs/reference/run-record.md.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lockstitch import files
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.fingerprint import decode
from lockstitch.fingerprint.model import Fingerprint
from lockstitch.python.tables import Table

__all__ = ["RunRecord", "is_record", "of_document", "read", "write"]

_SCHEMA = 1
_HINT = "lockstitch run IMAGE writes it anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run of an image's command."""

    task: str  # the image
    command: tuple[str, ...]  # with its arguments
    fingerprint: Fingerprint  # with the packages that were imported
    commit: str = ""  # "" outside of a repository
    dirty: tuple[str, ...] = ()  # files that differ from the commit or are new
    inputs: Mapping[str, Digest] = field(default_factory=dict)  # by path from the project
    outputs: Mapping[str, Digest] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0  # not part of the digest, as is the next
    runs: tuple[str, ...] = ()  # ids of MLflow

    def _hashed(self) -> dict[str, Any]:
        return {
            "schema": _SCHEMA,
            "kind": "run",
            "task": self.task,
            "command": list(self.command),
            "fingerprint": self.fingerprint.document(),
            "git": {"commit": self.commit, "dirty": sorted(self.dirty)},
            "inputs": dict(sorted(self.inputs.items())),
            "outputs": dict(sorted(self.outputs.items())),
            "metrics": self.metrics,
        }

    def environment(self) -> Fingerprint:
        """Return the fingerprint, with the files that the run read."""
        inputs = {path: str(digest) for path, digest in self.inputs.items()}
        return replace(self.fingerprint, inputs=inputs)

    @property
    def digest(self) -> Digest:
        """The digest of all that a run that repeats has in common."""
        text = json.dumps(self._hashed(), sort_keys=True, separators=(",", ":"))
        return Digest.of_hex(hashlib.sha256(text.encode()).hexdigest())

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        later = {"digest": self.digest, "seconds": round(self.seconds, 3)}
        return self._hashed() | later | {"mlflow_runs": sorted(self.runs)}


def write(record: RunRecord, path: Path) -> None:
    """Write a record whole or not at all."""
    files.write_text(path, json.dumps(record.document(), indent=2, sort_keys=True) + "\n")


def is_record(document: Mapping[str, Any]) -> bool:
    """Return whether a JSON object says that it is the record of a run."""
    return document.get("kind") == "run"


def read(path: Path) -> RunRecord:
    """Return the record in a file, or raise LockstitchError with every problem."""
    name = path.name
    return of_document(decode.parsed(files.read_text(path), name), name)


def of_document(document: dict[str, Any], source: str) -> RunRecord:
    """Return the record of a JSON object, or raise LockstitchError with every problem."""
    problems: list[LockstitchError] = []
    top = Table(document, "", problems)
    version = top.number("schema", least=1, most=10**6)
    if version != _SCHEMA or not is_record(document):
        message = f"`{source}` is no record of a run with schema {_SCHEMA}"
        raise LockstitchError(message, hint=_HINT)
    git = top.table("git")
    metrics = document.get("metrics")
    inner = document.get("fingerprint")
    found = RunRecord(
        task=top.text("task"),
        command=tuple(each for each in document.get("command", ()) if isinstance(each, str)),
        fingerprint=decode.of_document(inner if isinstance(inner, dict) else {}, source),
        commit=git.text("commit") if git.raw("commit") else "",
        dirty=git.texts("dirty"),
        inputs=_digests(top.table("inputs")),
        outputs=_digests(top.table("outputs")),
        metrics=metrics if isinstance(metrics, dict) else {},
        seconds=_seconds(document.get("seconds")),
        runs=top.texts("mlflow_runs"),
    )
    if problems:
        raise_all([LockstitchError(f"`{source}`: {e.message}", hint=_HINT) for e in problems])
    return found


def _digests(table: Table) -> dict[str, Digest]:
    found = {}
    for name in table:
        try:
            found[name] = Digest.parse(table.text(name))
        except LockstitchError as error:
            table.complain(name, f"is wrong: {error.message}")
    return found


def _seconds(value: object) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good and isinstance(value, int | float) else 0.0
