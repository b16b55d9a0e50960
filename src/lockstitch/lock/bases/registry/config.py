"""The config of an image that a registry gave, read with suspicion (OCI image spec, config.md)."""

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock.bases.registry.base import history_entry
from lockstitch.python.tables import Table

__all__ = ["ImageConfig"]

_EPOCH = "19800102T000000Z"  # of images that bear no time, or one before that
_STAMP = re.compile(r"\d{8}T\d{6}Z")
# What a container of the base would do by itself, and one of ours does not.
_RESETS = (("entrypoint", "Entrypoint"), ("healthcheck", "Healthcheck"))


class ImageConfig:
    """What a base's containers are like: environment, user, layers, history."""

    def __init__(self, data: bytes, source: str) -> None:
        """Read it, or raise LockstitchError with all that is wrong with it."""
        try:
            document = _without_empty(json.loads(data))
        except (ValueError, RecursionError):
            document = None
        problems: list[LockstitchError] = []
        top = Table(document, f"the config of {source}", problems)
        inner = Table(_without_empty(top.raw("config") or {}), top.path, problems)
        self._source = source
        self._history = top.raw("history")
        self.platform = f"{top.text('os')}/{top.text('architecture')}"
        self.created = _stamp(top.text("created"))
        self.env = dict(_pair(each) for each in inner.texts("Env"))
        labels = _object(inner.raw("Labels"))
        self.labels = {key: value for key, value in labels.items() if isinstance(value, str)}
        self.ports = tuple(sorted(_object(inner.raw("ExposedPorts"))))
        self.volumes = tuple(sorted(_object(inner.raw("Volumes"))))
        self.user = inner.text("User")
        self.resets = tuple(name for name, key in _RESETS if inner.raw(key))
        ids = top.table("rootfs").texts("diff_ids")
        raise_all(problems)
        self.diff_ids = tuple(Digest.parse(each) for each in ids)

    def check(self, platform: str) -> None:
        """Raise LockstitchError when it is for another platform."""
        if self.platform != platform:
            message = f"{self._source} is for {self.platform:.80}, not for {platform}"
            hint = "change `platforms`, or name a base that has it"
            raise LockstitchError(message, hint=hint)

    def history(self, reference: str, layers: int) -> Iterator[str]:
        """Yield the history as JSON texts; one of our own for each layer where it does not fit."""
        found = self._history if isinstance(self._history, list) else []
        entries = [history_entry(each) for each in found]
        if sum(not each.get("empty_layer") for each in entries) != layers:
            entries = [{"created_by": f"{reference}, layer {n + 1}"} for n in range(layers)]
        for each in entries:
            yield json.dumps(each, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _without_empty(value: object) -> object:
    """Return an object without its nulls, which programs in Go write for what is empty."""
    if not isinstance(value, dict):
        return value
    return {key: each for key, each in value.items() if each is not None and each != ""}


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _stamp(text: str) -> str:
    """Return a time (RFC 3339) as lockstitch.lock writes it."""
    try:
        found = datetime.datetime.fromisoformat(text)
        found = found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
        stamp = found.astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, OverflowError):
        return _EPOCH
    return max(stamp, _EPOCH) if _STAMP.fullmatch(stamp) else _EPOCH
