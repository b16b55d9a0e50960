"""Reads a fingerprint's JSON. Another machine wrote it: nothing in it is trusted."""

import json
import re
from typing import Any

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.fingerprint.model import (
    SCHEMA,
    Blas,
    Cpu,
    Fingerprint,
    Gpu,
    Package,
    Python,
    System,
)
from lockstitch.python.tables import Table

__all__ = ["of_document", "of_text", "parsed"]

_HINT = "lockstitch fingerprint SOURCE --json > FILE.json"
_KINDS = ("environment", "image", "lock")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,213}[a-z0-9])?")
_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,1000}")  # may reach a terminal
_LARGEST = 64 << 20


def of_text(text: str, source: str) -> Fingerprint:
    """Return the fingerprint in a JSON text, or raise LockstitchError with every problem."""
    return of_document(parsed(text, source), source)


def parsed(text: str, source: str) -> dict[str, Any]:
    """Return a JSON object, or raise LockstitchError that names the source."""
    if len(text) > _LARGEST:
        message = f"`{source}` is no fingerprint: it has {len(text)} characters"
        raise LockstitchError(message, hint=_HINT)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"`{source}` is not valid JSON: {str(error) or 'it is nested too deep'}"
        raise LockstitchError(message, hint=_HINT) from error
    if not isinstance(found, dict):
        message = f"`{source}` is no fingerprint: it must be a JSON object"
        raise LockstitchError(message, hint=_HINT)
    return found


def of_document(document: dict[str, Any], source: str) -> Fingerprint:
    """Return the fingerprint of a JSON object, or raise LockstitchError with every problem.

    Members that this version does not know are left out: a newer script may write more.
    """
    problems: list[LockstitchError] = []
    top = Table(document, "", problems)
    version = top.number("schema", least=1, most=10**6)
    if version != SCHEMA:
        message = f"`{source}` has schema {version}, this lockstitch reads {SCHEMA}"
        raise LockstitchError(message, hint=_HINT)
    found = _fingerprint(top)
    if problems:
        raise_all(
            [LockstitchError(f"`{source}`: {e.message}", hint=e.hint or _HINT) for e in problems]
        )
    return found


def _fingerprint(top: Table) -> Fingerprint:
    kind = top.text("kind")
    if kind not in _KINDS:
        top.complain("kind", f"is `{kind:.80}`, not one of: {', '.join(_KINDS)}")
    packages = [_package(each) for each in _tables(top, "packages")]
    names = [each.name for each in packages]
    for name in sorted({name for name in names if names.count(name) > 1}):
        top.complain("packages", f"has `{name}` twice")
    imported = _lines(top, "imported") if top.has("imported") else None
    return Fingerprint(
        kind=kind,
        packages=tuple(sorted(packages, key=lambda each: each.name)),
        python=_python(top.table("python")) if _has(top, "python") else None,
        platform=_platform(top.table("platform")) if _has(top, "platform") else None,
        cpu=_cpu(top.table("cpu")) if _has(top, "cpu") else None,
        gpu=_gpu(top.table("gpu")) if _has(top, "gpu") else None,
        blas=tuple(map(_blas, _tables(top, "blas"))) if _has(top, "blas") else None,
        variables=_map(top.table("variables")) if _has(top, "variables") else None,
        system=_map(top.table("system")) if _has(top, "system") else None,
        imported=imported,
    )


def _package(table: Table) -> Package:
    name = _line(table, "name")
    if not _NAME.fullmatch(name):
        table.complain("name", f"is `{name:.80}`, which is no normalised name of a package")
    direct = table.flag("direct") if _has(table, "direct") else None
    return Package(
        name=name,
        version=_line(table, "version"),
        record=_digest(table, "record"),
        code=_digest(table, "code"),
        artifacts=tuple(Digest.parse(each) for each in _digests(table)),
        tags=_lines(table, "tags"),
        origin=_line(table, "origin"),
        edited=_lines(table, "edited"),
        needs=_lines(table, "needs"),
        direct=direct,
    )


def _python(table: Table) -> Python:
    return Python(
        version=_line(table, "version"),
        implementation=_line(table, "implementation") or "cpython",
        compiler=_line(table, "compiler"),
        build=_line(table, "build"),
        free_threaded=table.flag("free_threaded"),
    )


def _platform(table: Table) -> System:
    return System(
        system=_line(table, "system"),
        machine=_line(table, "machine"),
        libc=_line(table, "libc"),
        release=_line(table, "release"),
    )


def _cpu(table: Table) -> Cpu:
    return Cpu(
        model=_line(table, "model"),
        cores=table.number("cores", least=0, most=1 << 20),
        features=_lines(table, "features"),
    )


def _gpu(table: Table) -> Gpu:
    return Gpu(
        driver=_line(table, "driver"),
        cuda=_line(table, "cuda"),
        cudnn=_line(table, "cudnn"),
        devices=_lines(table, "devices"),
    )


def _blas(table: Table) -> Blas:
    return Blas(
        name=_line(table, "name"),
        owner=_line(table, "owner"),
        file=_line(table, "file"),
        version=_line(table, "version"),
        kernels=_line(table, "kernels"),
        threads=table.number("threads", least=0, most=1 << 20),
    )


# --- values


def _has(table: Table, key: str) -> bool:
    return table.raw(key) is not None


def _tables(table: Table, key: str) -> list[Table]:
    value = table.raw(key)
    if value is not None and not isinstance(value, list):
        table.complain(key, "must be a list")
    items = value if isinstance(value, list) else []
    return [Table(item, f"{key}[{number}]", table.problems) for number, item in enumerate(items)]


def _line(table: Table, key: str) -> str:
    """Return a text of one line, "" when it is not there, or add a problem."""
    text = table.text(key) if table.raw(key) not in (None, "") else ""
    if not _LINE.fullmatch(text):
        table.complain(key, f"is no line of at most 1000 characters: `{text!r:.80}`")
        return ""
    return text


def _lines(table: Table, key: str) -> tuple[str, ...]:
    found = table.texts(key)
    if any(not _LINE.fullmatch(each) for each in found):
        table.complain(key, "has a text that is no line of at most 1000 characters")
        return ()
    return tuple(sorted(found))


def _map(table: Table) -> dict[str, str]:
    names = sorted(table)
    if any(not _LINE.fullmatch(name) for name in names):
        table.complain("", "has a name that is no line of at most 1000 characters")
        return {}
    return {name: _line(table, name) for name in names}


def _digest(table: Table, key: str) -> Digest | None:
    text = _line(table, key)
    try:
        return Digest.parse(text) if text else None
    except LockstitchError as error:
        table.complain(key, f"is wrong: {error.message}")
        return None


def _digests(table: Table) -> list[str]:
    found = table.texts("artifacts")
    wrong = [each for each in found if not re.fullmatch(r"sha256:[0-9a-f]{64}", each)]
    for each in wrong:
        table.complain("artifacts", f"has `{each!r:.80}`, which is no sha256 digest")
    return sorted({*found} - {*wrong})
