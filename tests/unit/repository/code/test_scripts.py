"""What is in a script is read once, and again when the file changes."""

from pathlib import Path

import pytest
from support import cases

from lockstitch.audit import engine, rules
from lockstitch.audit.settings import Settings
from lockstitch.repository import file_cache
from lockstitch.repository.code import source

APP = """\
import joblib
from fastapi import FastAPI

app = FastAPI()
model = joblib.load("model.joblib")
size = 3  # lockstitch: ignore RUN002 -- it is ours
"""
TRAIN = """\
from sklearn.ensemble import RandomForestClassifier

RandomForestClassifier().fit([[1], [2]], [0, 1])
"""


def found(folder: Path) -> list[tuple[str, str, int]]:
    known = rules.codes()
    chosen = [rule for rule in rules.RULES if rule.__name__[:3] in {"RUN", "CHK"}]
    report = engine.audit(cases.repository(folder), chosen, Settings(), known)
    return sorted((finding.code, finding.path, finding.line) for finding in report.findings)


def test_the_second_time_nothing_is_parsed_and_the_same_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "store"))
    monkeypatch.setattr(file_cache, "_FRESH", -1.0)
    root = tmp_path / "project"
    root.mkdir()
    (root / "app.py").write_text(APP)
    (root / "train.py").write_text(TRAIN)
    first = found(root)
    assert first == [("CHK002", "app.py", 6), ("RUN001", "train.py", 3), ("RUN002", "app.py", 5)]
    original = source.parsed
    parsed: list[str] = []

    def noted(path: str, text: str) -> source.Source | None:
        parsed.append(path)
        return original(path, text)

    monkeypatch.setattr(source, "parsed", noted)
    assert found(root) == first
    assert parsed == []
    (root / "train.py").write_text(TRAIN.replace("()", "(random_state=1)", 1))
    assert found(root) == [each for each in first if each[0] != "RUN001"]
    assert parsed == ["train.py"]
