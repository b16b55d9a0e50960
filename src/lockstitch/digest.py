"""Digests as the OCI image spec writes them, JSON to take them of, and JSON of others."""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, Self

from lockstitch.errors import LockstitchError

_FORM = re.compile(r"sha256:[0-9a-f]{64}")
_DEEPEST = 200  # levels of JSON: no document of anybody's has ten
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class Digest(str):
    """A checked `sha256:<hex>` string (OCI image spec, descriptor.md, "Digests")."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the digest, or raise LockstitchError when the text is not one."""
        if not _FORM.fullmatch(text):
            message = f"`{text!s:.100}` is not a sha256 digest"
            raise LockstitchError(message, hint="write it as sha256: and 64 lower-case hex digits")
        return cls(text)

    @classmethod
    def of_hex(cls, text: str) -> Self:
        """Return the digest for 64 bare hex digits; raises LockstitchError for another text."""
        return cls.parse(f"sha256:{text.lower()}")

    @property
    def hex(self) -> str:
        """The 64 hex digits without the algorithm."""
        return self[7:]

    @property
    def short(self) -> str:
        """The first 12 hex digits, for people."""
        return self[7:19]


class Hasher:
    """Counts and hashes bytes as they pass."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def update(self, data: bytes | memoryview) -> None:
        """Hash the next bytes."""
        self._hash.update(data)
        self.size += len(data)

    def digest(self) -> Digest:
        """Return the digest of all bytes so far."""
        return Digest(f"sha256:{self._hash.hexdigest()}")


def of_bytes(data: bytes | Iterable[bytes]) -> Digest:
    """Return the digest of the bytes, or of the chunks joined."""
    hasher = Hasher()
    for chunk in (data,) if isinstance(data, bytes) else data:
        hasher.update(chunk)
    return hasher.digest()


def canonical_json(value: object) -> bytes:
    """Return compact UTF-8 JSON with sorted keys; a float has several texts: TypeError."""
    _refuse_floats(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape")  # names of files need not be UTF-8


def parse_json(data: str | bytes) -> Any:
    """Return the value of a JSON text; ValueError for one that is none or nests too deep.

    How deep Python's own parser gets depends on who calls it: a limit of our own is the same
    everywhere.
    """
    text = data if isinstance(data, str) else data.decode(json.detect_encoding(data))
    if text.count("[") + text.count("{") > _DEEPEST:
        depth = 0
        for token in _TOKEN.finditer(text):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
            if depth > _DEEPEST:
                raise ValueError(f"it is nested deeper than {_DEEPEST} levels")
    return json.loads(text)


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        raise TypeError(value)
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(key)
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
