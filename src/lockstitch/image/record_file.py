"""RECORD files: what an installed package consists of (core metadata, "Recording installed")."""

import base64
import csv
import hashlib
import io
from collections.abc import Iterable

__all__ = ["digest", "read", "spelled", "write"]

Row = tuple[str, str, str]


def digest(data: bytes) -> str:
    """Return the hash as RECORD writes it: urlsafe base64 without padding."""
    return spelled(hashlib.sha256(data).digest())


def spelled(raw: bytes) -> str:
    """Return the 32 bytes of a sha256 as RECORD writes them."""
    return "sha256=" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def read(data: bytes) -> list[Row]:
    """Return the rows (path, hash, size) of a RECORD, or raise ValueError."""
    rows = csv.reader(io.StringIO(data.decode("utf-8"), newline=""))
    try:
        return [(row[0], *_rest(row)) for row in rows if row]
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _rest(row: list[str]) -> tuple[str, str]:
    return (row[1], row[2]) if len(row) > 2 else ("", "")  # noqa: PLR2004 -- path, hash, size


def write(rows: Iterable[Row]) -> bytes:
    """Return a RECORD with its rows sorted by path bytes."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    ordered: list[Row] = sorted(set(rows), key=lambda row: (row[0].encode(), row))
    writer.writerows(ordered)
    return out.getvalue().encode()
