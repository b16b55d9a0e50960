"""Fifteen causes of other results, each planted for real, each named."""

import pytest
from support import proof

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, in_store: None) -> list[proof.Named]:
    return list(proof.score(proof.prepare(tmp_path_factory.mktemp("proof"))))


def test_every_cause_is_named(named: list[proof.Named]) -> None:
    assert [each for each in named if not each.caught] == []
    assert [each.number for each in named] == list(range(1, 16))
