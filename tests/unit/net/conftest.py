"""A server on loopback, which replies as a test tells it."""

from collections.abc import Iterator

import pytest
from support.server import Server, serve


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve nothing until the test says what."""
    with serve() as server:
        yield server
