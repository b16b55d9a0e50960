"""A base from a registry as a table of lockstitch.lock, and back."""

import json
import re
from collections.abc import Callable
from typing import TypeVar

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.lock.bases.registry.base import (
    BaseLayer,
    RegistryBase,
    SystemPackage,
    history_entry,
)
from lockstitch.oci.layer import oci_type
from lockstitch.python.tables import Table

__all__ = ["document", "read"]

T = TypeVar("T")
_STAMP = re.compile(r"\d{8}T\d{6}Z")
_PATCH = re.compile(r"3\.\d{1,2}\.\d{1,3}")
_GLIBC = re.compile(r"(?:2\.\d{1,3})?")
_MUSL = re.compile(r"(?:1\.\d{1,2})?")
_PLATFORM = re.compile(r"linux/(?:amd64|arm64)")
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._+@~-]+)+")  # of a pyvenv.cfg and a symlink
_DISTRIBUTION = re.compile(r"[A-Za-z0-9._-]*")
_USER = re.compile(r"[A-Za-z0-9._:-]*")
_RESETS = frozenset({"entrypoint", "healthcheck"})
_MOST = 1 << 50


def document(base: RegistryBase) -> dict[str, object]:
    """Return the table of a base; what is empty is left out."""
    found: dict[str, object] = {
        "platform": base.platform,
        "manifest": base.manifest.hex,
        "index": base.index.hex if base.index else "",
        "config": base.config.hex,
        "snapshot": base.snapshot,
        "python": base.python,
        "program": base.program,
        "glibc": base.glibc,
        "musl": base.musl,
        "certificates": base.certificates,
        "distribution": base.distribution,
        "user": base.user,
        "resets": sorted(base.resets),
        "ports": sorted(base.ports),
        "volumes": sorted(base.volumes),
        "history": list(base.history),
        "env": dict(sorted(base.env.items())),
        "labels": dict(sorted(base.labels.items())),
        "layer": [_layer(each) for each in base.layers],
        "package": [_package(each) for each in base.packages],
    }
    return {key: value for key, value in found.items() if value}


def _layer(layer: BaseLayer) -> dict[str, object]:
    return {
        "sha256": layer.digest.hex,
        "size": layer.size,
        "type": layer.media_type,
        "diff-id": layer.diff_id.hex,
        "unpacked": layer.unpacked,
    }


def _package(package: SystemPackage) -> dict[str, object]:
    keys = ("kind", "name", "version", "architecture", "licence")
    return {key: getattr(package, key) for key in keys if getattr(package, key)}


def read(table: Table, reference: str) -> RegistryBase | None:
    """Return the base of a table, or None with what is wrong added to its problems."""
    before = len(table.problems)
    layers = [_read_layer(each) for each in table.each("layer")]
    packages = [_read_package(each) for each in table.each("package")]
    if not layers:
        table.complain("layer", "is missing")
    resets = table.texts("resets")
    if not _RESETS.issuperset(resets):
        table.complain("resets", f"names `{', '.join(sorted({*resets} - _RESETS)):.80}`")
    made = RegistryBase(
        reference=reference,
        platform=_text(table, "platform", _PLATFORM),
        manifest=_digest(table, "manifest"),
        index=_digest(table, "index") if table.has("index") else None,
        config=_digest(table, "config"),
        snapshot=_text(table, "snapshot", _STAMP),
        python=_text(table, "python", _PATCH),
        program=_text(table, "program", _PATH),
        glibc=_text(table, "glibc", _GLIBC),
        musl=_text(table, "musl", _MUSL),
        certificates=_text(table, "certificates", _PATH) if table.has("certificates") else "",
        distribution=_text(table, "distribution", _DISTRIBUTION),
        user=_text(table, "user", _USER),
        resets=resets,
        env=_texts(table.table("env")),
        labels=_texts(table.table("labels")),
        ports=table.texts("ports"),
        volumes=table.texts("volumes"),
        history=_history(table, len(layers)),
        layers=tuple(each for each in layers if each),
        packages=tuple(each for each in packages if each),
    )
    if bool(made.glibc) == bool(made.musl):
        table.complain("glibc", "or `musl` must be there, and not both")
    return made if len(table.problems) == before else None


def _read_layer(table: Table) -> BaseLayer | None:
    before = len(table.problems)
    kind = table.text("type")
    try:
        oci_type(kind)
    except LockstitchError as error:
        table.complain("type", f"is wrong: {error.message}")
    made = BaseLayer(
        digest=_digest(table, "sha256"),
        size=table.number("size", least=1, most=_MOST),
        media_type=kind,
        diff_id=_digest(table, "diff-id"),
        unpacked=table.number("unpacked", least=0, most=_MOST),
    )
    return made if len(table.problems) == before else None


def _read_package(table: Table) -> SystemPackage | None:
    keys = ("kind", "name", "version", "architecture", "licence")
    return _or_problem(table, lambda: SystemPackage(**{key: table.text(key) for key in keys}))


def _history(table: Table, layers: int) -> tuple[str, ...]:
    found = table.texts("history")
    try:
        entries = [history_entry(json.loads(text)) for text in found]
    except (ValueError, RecursionError):
        table.complain("history", "is not a list of JSON objects")
        return ()
    real = [each for each in entries if not each.get("empty_layer")]
    if len(real) != layers:
        table.complain("history", f"is of {len(real)} layers, not of {layers}")
    return found


def _texts(table: Table) -> dict[str, str]:
    return {key: value for key in table if isinstance(value := table.raw(key), str)}


def _text(table: Table, key: str, form: re.Pattern[str]) -> str:
    text = table.text(key)
    if not form.fullmatch(text):
        table.complain(key, f"is `{text:.80}`, which is no {key}" if text else "is missing")
    return text


def _digest(table: Table, key: str) -> Digest:
    found = _or_problem(table, lambda: Digest.parse(f"sha256:{table.text(key)}"))
    return found or Digest("")


def _or_problem(table: Table, make: Callable[[], T]) -> T | None:
    try:
        return make()
    except LockstitchError as error:
        table.problems += [
            LockstitchError(f"`{table.path}`: {each.message}") for each in error.everything()
        ]
        return None
