"""What a lock pins, as a record keeps it."""

import json

import pytest

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.python.locks.resolution import LockedWheel

WHEEL = LockedWheel(
    name="a",
    version="1.0",
    filename="a-1.0-py3-none-any.whl",
    url="http://host.example.test/a.whl",
    digest=Digest.of_hex("a" * 64),
    size=None,
    uploaded=7,
)


def test_a_record_gives_the_wheel_back() -> None:
    back = LockedWheel.of_document(json.loads(json.dumps(WHEEL.document())))
    assert back == WHEEL
    assert isinstance(back.digest, Digest)


def test_a_record_with_another_digest_is_refused() -> None:
    with pytest.raises(LockstitchError, match="`md5:1` is not a sha256 digest"):
        LockedWheel.of_document(WHEEL.document() | {"digest": "md5:1"})
