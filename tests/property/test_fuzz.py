"""Readers of what strangers write: a result or LockstitchError, for all that was ever found."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import fuzz

KEPT = [(name, path) for name in fuzz.READERS for path in fuzz.kept(name)]


@pytest.mark.parametrize(("name", "path"), KEPT, ids=[f"{name}-{path.name}" for name, path in KEPT])
def test_what_is_kept_is_read_or_refused(name: str, path: fuzz.Path) -> None:
    assert fuzz.attempt(name, path.read_bytes()) == ""


@pytest.mark.parametrize("name", fuzz.READERS)
@given(seed=st.integers(0, 1 << 64))
def test_a_mutation_is_read_or_refused(name: str, seed: int) -> None:
    # No longer than eight seeds: thousands of equal lines show nothing new, and take seconds.
    data = fuzz.mutated(name, random.Random(seed))[: 8 * max(map(len, fuzz.seeds(name)))]
    assert fuzz.attempt(name, data) == "", "python bench/fuzz.py keeps such a file"


def test_a_defect_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (KeyError("x"), RecursionError(), MemoryError()):

        def read(_: bytes, wrong: Exception = wrong) -> None:
            raise wrong

        monkeypatch.setitem(fuzz.READERS, "wheel", read)
        assert type(wrong).__name__ in fuzz.attempt("wheel", b"")
