"""A client that waits for nothing."""

import pytest
from support.registry import Registry

from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.repository import Repository


@pytest.fixture
def repository(registry: Registry) -> Repository:
    """The repository `app`, for a client of its own."""
    reference = Reference.parse(f"{registry.address}/app")
    return Repository(Client(first_wait=0.001), reference)
