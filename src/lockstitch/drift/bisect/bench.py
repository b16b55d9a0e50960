"""Runs the user's command in mixtures, and keeps what each run gave."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lockstitch import digest, environ, files, process
from lockstitch.drift.bisect.ends import Ends
from lockstitch.drift.bisect.metric import Reading
from lockstitch.drift.bisect.mixtures import Environments
from lockstitch.drift.bisect.model import Fails, Mixture, Outcome
from lockstitch.drift.bisect.record import Record
from lockstitch.errors import LockstitchError

__all__ = ["CommandBench", "code"]

_MOST = 5000  # files of code that are hashed


@dataclass(slots=True, kw_only=True)
class CommandBench:
    """A bench (`model.Bench`) for a command in a folder."""

    ends: Ends
    environments: Environments
    command: Sequence[str]
    folder: Path
    reading: Reading
    record: Record
    runs: int = field(default=0, init=False)  # that were really made

    def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
        """Return what the command gives in a mixture, from the record where it has it."""
        known = self.record.get(mixture, repeat)
        if known is not None:
            return known
        self.runs += 1
        try:
            place = self.environments.make(self.ends.wanted(mixture))
        except LockstitchError as error:
            # The ends are made before: what fails here is the mixture, as in an import that fails.
            said = [line for line in error.message.splitlines() if line.strip()]
            outcome: Outcome = Fails(reason=said[-1].strip(), detail=error.message, passing=True)
        else:
            outcome = self._ran(place, mixture)
        if not (isinstance(outcome, Fails) and outcome.passing):
            self.record.put(mixture, repeat, outcome)
        return outcome

    def _ran(self, place: Path, mixture: Mixture) -> Outcome:
        changes = {**self.environments.variables(place), **self.ends.variables(mixture)}
        before = self.reading.stamp(self.folder)
        env = environ.child(**changes)
        done = process.run(self.command, cwd=self.folder, env=env, check=False)
        return self.reading.read(done, self.folder, before)


def code(folder: Path, command: Sequence[str]) -> list[list[str]]:
    """Return digests of the Python files of a folder and of files that a command names.

    An outcome is one of this code: with other code it is no answer.
    """
    walked = [each for each in files.walk(folder) if _is_code(each.name)][:_MOST]
    named = [(word, folder / word) for word in command if (folder / word).is_file()]
    found = {**{each.name: each.path for each in walked}, **dict(named)}
    return [[name, digest.of_bytes(path.read_bytes())] for name, path in sorted(found.items())]


def _is_code(name: str) -> bool:
    return name.endswith(".py") and "/site-packages/" not in name
