"""Refuses secrets in the files, the wheel and the variables that an image would hold."""

import os
from collections.abc import Iterator, Sequence
from functools import cache

from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.files import FoundFile
from lockstitch.image.project_wheel import ProjectWheel
from lockstitch.image.wheel import Wheel
from lockstitch.python.model import ImageSpec, Project
from lockstitch.secrets import patterns, text
from lockstitch.store import Store

__all__ = ["refuse"]

_LARGEST = 1 << 20  # bytes of a file above which it is data, and not read here
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
    problems = list(_of_environment(spec))
    contents = sorted({*digests, *([project_wheel.contents] if project_wheel else [])})
    key = of_bytes(canonical_json([_rules(), os.fspath(project.root), spec.name])).hex
    before = store.record(_KIND, key) or []
    clean = frozenset(before)
    for each, digest in zip(included, digests, strict=True):
        if digest not in clean and each.size <= _LARGEST:
            problems += _of(each.path.read_bytes(), each.name)
    if project_wheel is not None and project_wheel.contents not in clean:
        problems += _of_wheel(project_wheel, store)
    raise_all(problems)
    if contents != before:
        store.put_record(_KIND, key, contents)


@cache
def _rules() -> str:
    return of_bytes(patterns.version().encode())


def _of(data: bytes, name: str) -> Iterator[LockstitchError]:
    words = text.decoded(data)
    chosen = [pattern for pattern in patterns.patterns() if pattern.high]
    for each in text.find(words or "", name, chosen):
        yield each.error(name)


def _of_wheel(wheel: ProjectWheel, store: Store) -> Iterator[LockstitchError]:
    opened = Wheel(store.path(wheel.digest), wheel.filename)
    try:
        for name, member in sorted(opened.members.items()):
            if member.size <= _LARGEST:
                yield from _of(member.read(), name)
    finally:
        opened.close()


def _of_environment(spec: ImageSpec) -> Iterator[LockstitchError]:
    for name, value in sorted(spec.env.items()):
        for each in _of(f"{name}={value}".encode(), f"env.{name}"):
            message = f"`{name}` of image `{spec.name}` {each.message.partition('` ')[2]}"
            hint = f"take it out of [tool.lockstitch.images.{spec.name}.env], give it at run time"
            yield LockstitchError(message, hint=hint)
