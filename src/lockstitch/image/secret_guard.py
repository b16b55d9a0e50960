"""Refuses secrets in the files, the wheel and the settings that an image would hold."""

import os
from collections.abc import Iterator, Sequence
from functools import cache

from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.files import FoundFile
from lockstitch.image.project_wheel import ProjectWheel
from lockstitch.image.wheel import Wheel
from lockstitch.python.model import ImageSpec, Project
from lockstitch.secrets import patterns, secret_files, text
from lockstitch.store import Store

_LARGEST = 1 << 20  # bytes of a file above which it is data, and not read here
_NOTEBOOK = 16 << 20  # the same, of a notebook with its pictures
_KIND = "clean"


def refuse(
    project: Project,
    spec: ImageSpec,
    included: Sequence[FoundFile],
    digests: Sequence[Digest],
    project_wheel: ProjectWheel | None,
    store: Store,
) -> None:
    """Raise an error for each secret that the image would hold in what is the project's own.

    Only what is a secret by its form counts. What is clean is recorded by its digest,
    so that a build reads one small record, and only the files that changed.
    """
    problems = list(_of_settings(spec))
    contents = sorted({*digests, *([project_wheel.contents] if project_wheel else [])})
    key = of_bytes(canonical_json([_rules(), os.fspath(project.root), spec.name])).hex
    before = store.record(_KIND, key) or []
    clean = frozenset(before)
    for file, digest in zip(included, digests, strict=True):
        if digest not in clean and file.size <= _largest(file.name):
            problems += _of(file.path.read_bytes(), file.name)
    if project_wheel is not None and project_wheel.contents not in clean:
        problems += _of_wheel(project_wheel, store)
    raise_all(problems)
    if contents != before:
        store.put_record(_KIND, key, contents)


@cache
def _rules() -> str:
    return of_bytes(f"2\n{patterns.version()}".encode())


def _largest(name: str) -> int:
    return _NOTEBOOK if name.endswith(".ipynb") else _LARGEST


def _of(data: bytes, name: str) -> Iterator[LockstitchError]:
    chosen = [pattern for pattern in patterns.patterns() if pattern.high]
    secrets = text.find_in(data, name, chosen)
    for secret in secrets:
        yield secret.error(name)
    holds = None if secrets else secret_files.kept_login(name, text.decoded(data) or "")
    if holds:
        message = f"`{name}:{holds[1]}` holds {holds[0]}: such a file belongs to one machine"
        yield LockstitchError(message, hint="take it out of `include`, and give it at run time")


def _of_wheel(wheel: ProjectWheel, store: Store) -> Iterator[LockstitchError]:
    opened = Wheel(store.path(wheel.digest), wheel.filename)
    try:
        for name, member in sorted(opened.members.items()):
            if member.size <= _largest(name):
                yield from _of(member.read(), name)
    finally:
        opened.close()


def _of_settings(spec: ImageSpec) -> Iterator[LockstitchError]:
    """Yield an error for each secret that would stand in the image's configuration."""
    places = [("env", name, f"{name}={value}") for name, value in sorted(spec.env.items())]
    places += [("labels", name, f"{name}={value}") for name, value in sorted(spec.labels.items())]
    places += [("command", "command", word) for word in spec.started]
    chosen = [p for p in patterns.patterns() if p.high or p.name == "url-credentials"]
    for table, name, words in places:
        for secret in text.find(words, f"{table}.{name}", chosen):
            message = f"`{name}` of image `{spec.name}` holds a secret ({secret.rule}): "
            hint = f"take it out of [tool.lockstitch.images.{spec.name}.{table}], "
            if table == "command":
                hint = f"take it out of `command` in [tool.lockstitch.images.{spec.name}], "
            yield LockstitchError(message + secret.excerpt, hint=hint + "give it at run time")
