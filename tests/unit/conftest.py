"""What many unit tests begin with."""

from pathlib import Path

import pytest

from lockstitch.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store of the test's own, empty."""
    return Store(tmp_path / "store")
