"""Outcomes of runs, kept in a file after each: a search that was killed goes on."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lockstitch import files
from lockstitch.digest import canonical_json, of_bytes
from lockstitch.drift.bisect.model import Fails, Metric, Mixture, Outcome
from lockstitch.errors import LockstitchError

__all__ = ["Record", "key"]


def key(what: Mapping[str, Any]) -> str:
    """Return the name of an experiment: the same only where all that decides its runs is."""
    return of_bytes(canonical_json(dict(what))).hex[:16]


class Record:
    """The outcomes of one experiment, by mixture and repeat."""

    def __init__(self, path: Path, *, forget: bool = False) -> None:
        """Read what is there; a file that is damaged is as good as none."""
        self.path = path
        self._lock = threading.Lock()
        self._runs = {} if forget else _read(path)
        self.before = len(self._runs)  # how many were there already

    def get(self, mixture: Mixture, repeat: int) -> Outcome | None:
        """Return the outcome of a run, or None."""
        return self._runs.get(_name(mixture, repeat))

    def put(self, mixture: Mixture, repeat: int, outcome: Outcome) -> None:
        """Keep an outcome, on the disk before it is used."""
        with self._lock:
            self._runs[_name(mixture, repeat)] = outcome
            runs = {name: _document(each) for name, each in sorted(self._runs.items())}
            files.write_text(self.path, json.dumps(runs, indent=1, sort_keys=True) + "\n")


def _name(mixture: Mixture, repeat: int) -> str:
    # Sorted: a set has no order, and the name must find the run again.
    return " ".join([f"#{repeat}", *sorted(mixture)])


def _document(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Metric):
        return {"metric": repr(outcome.value)}  # JSON has no nan
    return {"reason": outcome.reason, "detail": outcome.detail}


def _read(path: Path) -> dict[str, Outcome]:
    try:
        document = json.loads(files.read_text(path))
        return {str(name): _outcome(each) for name, each in document.items()}
    except (LockstitchError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _outcome(each: Mapping[str, Any]) -> Outcome:
    if "metric" in each:
        return Metric(value=float(each["metric"]))
    return Fails(reason=str(each["reason"]), detail=str(each["detail"]))
