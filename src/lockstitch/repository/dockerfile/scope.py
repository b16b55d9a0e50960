"""What an instruction of a Dockerfile can see: variables, the shell, the escape character."""

from collections.abc import Mapping
from dataclasses import replace

from lockstitch.repository.dockerfile.words import (
    Expanded,
    MissingError,
    WordError,
    expand,
    expand_words,
)
from lockstitch.values import frozen

__all__ = ["AUTOMATIC", "Scope"]

# What BuildKit sets before the first FROM by itself; what they are, only a build knows.
AUTOMATIC = frozenset(
    f"{where}{what}"
    for where in ("BUILD", "TARGET")
    for what in ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")
) | {"TARGETSTAGE"}


@frozen
class Scope:
    """The state before one instruction; consecutive instructions share one where they can."""

    values: Mapping[str, str]  # of ARG and ENV, the last one said; a base image's are not known
    arguments: frozenset[str] = frozenset()  # declared by ARG: `--build-arg` may say otherwise
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    escape: str = "\\"

    def expand(self, text: str) -> Expanded:
        """Return a text as BuildKit would expand it; where it would refuse, the text and why."""
        try:
            return expand(text, self.values, self.escape)
        except MissingError as error:
            return Expanded(text, unknown=(error.name,), wrong=str(error))
        except WordError as error:
            return Expanded(text, wrong=str(error))

    def expand_words(self, text: str) -> tuple[str, ...]:
        """Return a text's words after expansion; where BuildKit would refuse it, as they stand."""
        try:
            return expand_words(text, self.values, self.escape)
        except WordError:
            return tuple(text.split())

    def with_values(self, values: Mapping[str, str], arguments: frozenset[str]) -> "Scope":
        """Return this scope after an ARG or ENV."""
        return replace(self, values={**self.values, **values}, arguments=self.arguments | arguments)

    def with_shell(self, shell: tuple[str, ...]) -> "Scope":
        """Return this scope after a SHELL."""
        return replace(self, shell=shell)
