"""Digests are checked where they enter."""

import hashlib

import pytest

from lockstitch.digest import Digest, Hasher, of_bytes
from lockstitch.errors import LockstitchError

HEX = hashlib.sha256(b"abc").hexdigest()


def test_a_digest_is_its_text() -> None:
    digest = Digest.parse(f"sha256:{HEX}")
    assert digest == f"sha256:{HEX}" == of_bytes(b"abc") == Digest.of_hex(HEX.upper())
    assert (digest.hex, digest.short) == (HEX, HEX[:12])


@pytest.mark.parametrize(
    "text",
    [
        *("", HEX, f"sha256:{HEX[:-1]}", f"sha256:{HEX}0", f"sha256:{HEX}\n", f" sha256:{HEX}"),
        *(f"sha512:{HEX}", f"sha256:{HEX.upper()}", f"sha256:{'g' * 64}", f"sha256:{'٣' * 64}"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(LockstitchError, match="is not a sha256 digest") as caught:
        Digest.parse(text)
    assert caught.value.hint


def test_a_long_text_is_cut_in_the_message() -> None:
    with pytest.raises(LockstitchError) as caught:
        Digest.of_hex("0" * 10_000)
    assert len(caught.value.message) < 150


def test_chunks_hash_like_the_whole() -> None:
    hasher = Hasher()
    for chunk in (b"a", memoryview(b"bc"), b""):
        hasher.update(chunk)
    assert (hasher.digest(), hasher.size) == (of_bytes(b"abc"), 3)
    assert of_bytes(iter([b"a", b"bc"])) == of_bytes(b"abc")
