"""The model card and its pictures say what the run measured."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from churn import card, measure

SECTIONS = [  # of Mitchell et al., section 4
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
]


@pytest.fixture
def text(models: Path) -> str:
    """Return the card of the trained model."""
    return (models / "MODEL_CARD.md").read_text()


@pytest.fixture
def facts(models: Path) -> dict[str, Any]:
    """Return what metrics.json holds."""
    found: dict[str, Any] = json.loads((models / "metrics.json").read_text())
    return found


def test_sections_are_those_of_the_paper(text: str) -> None:
    """Every section is there, in order."""
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS


def test_numbers_are_the_runs(text: str, facts: dict[str, Any]) -> None:
    """Digests, counts, metrics with intervals and the baseline's are in the card."""
    assert facts["model_sha256"] in text
    assert facts["data_sha256"] in text
    assert "4930, of whom 1306 left (26.5%)" in text
    assert "8 blank `totalcharges`" in text
    model, baseline = facts["metrics"]["held_out"], facts["metrics"]["baseline"]
    for name, title in measure.NAMES.items():
        cells = [
            f"{values[name]:.3f} ({values[f'{name}_low']:.3f} to {values[f'{name}_high']:.3f})"
            for values in (model, baseline)
        ]
        assert f"| {title} | {cells[0]} | {cells[1]} |" in text


def test_groups_add_up(text: str, facts: dict[str, Any]) -> None:
    """Each group has a row, and the groups of a column hold everyone."""
    groups = facts["metrics"]["groups"]
    for column in measure.GROUPS:
        parts = [rates["customers"] for name, rates in groups.items() if name.startswith(column)]
        assert len(parts) == 2
        assert sum(parts) == groups["everyone"]["customers"] == facts["data"]["held_out"]
    for name, rates in groups.items():
        assert f"| {name} | {rates['customers']} | {rates['churned']:.3f} (" in text


def test_share_of_nobody_is_said(facts: dict[str, Any], text: str) -> None:
    """A group in which no one was flagged has no precision."""
    del facts["metrics"]["groups"]["gender Male"]["precision"]
    settings = {"folds": 5, "opset": 21, "tolerance": 1e-5}
    again = card.text(facts, {}, settings)
    assert "nobody" in again
    assert "nobody" not in text


def test_pictures_are_plain(models: Path, text: str) -> None:
    """Each picture of the card is a small PNG that names neither time nor program."""
    linked = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert sorted(linked) == sorted(f"plots/{path.name}" for path in (models / "plots").iterdir())
    for name in linked:
        content = (models / name).read_bytes()
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        assert len(content) < 60_000
        assert set(chunks(content)) == {"IHDR", "pHYs", "IDAT", "IEND"}


def chunks(content: bytes) -> list[str]:
    """Return the kind of each chunk of a PNG."""
    found, at = [], 8
    while at < len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        found.append(kind.decode())
        at += 12 + size
    return found
