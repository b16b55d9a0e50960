"""A registry in this process, and a client that waits for nothing."""

from collections.abc import Iterator

import pytest
from support.registry import Registry, run

from lockstep.oci.registry.client import Client
from lockstep.oci.registry.reference import Reference
from lockstep.oci.registry.repository import Repository


@pytest.fixture
def registry() -> Iterator[Registry]:
    with run() as running:
        yield running


@pytest.fixture
def repository(registry: Registry) -> Repository:
    """The repository `app`, for a client of its own."""
    reference = Reference.parse(f"{registry.address}/app")
    return Repository(Client(first_wait=0.001), reference)
