"""Two recorded runs that read other files."""

import json
from pathlib import Path

import pytest

from lockstitch.cli.main import main
from lockstitch.digest import of_bytes
from lockstitch.fingerprint.model import Fingerprint
from lockstitch.run import record
from lockstitch.run.record import RunRecord


def write(path: Path, **inputs: bytes) -> str:
    found = RunRecord(
        task="train",
        command=("python", "train.py"),
        fingerprint=Fingerprint(kind="environment"),
        inputs={f"data/{name}.csv": of_bytes(data) for name, data in inputs.items()},
    )
    record.write(found, path)
    return str(path)


def test_other_data_comes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write(tmp_path / "one.run.json", rows=b"1\n", same=b"x", old=b"x")
    two = write(tmp_path / "two.run.json", rows=b"2\n", same=b"x", new=b"x")
    assert main(["diff", one, two, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["differences"]
    assert [(each["what"], each["name"], each["kind"]) for each in found] == [
        ("input", "data/new.csv", "added"),
        ("input", "data/old.csv", "removed"),
        ("input", "data/rows.csv", "changed"),
    ]
    assert found[2]["before"] == of_bytes(b"1\n").hex[:12]


def test_the_same_data_is_no_difference(tmp_path: Path) -> None:
    one = write(tmp_path / "one.run.json", rows=b"1\n")
    assert main(["diff", one, write(tmp_path / "two.run.json", rows=b"1\n")]) == 0


def test_what_came_out_otherwise_comes_first_when_nothing_explains_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, accuracy, model in (("one", 0.87, b"a"), ("two", 0.82, b"b")):
        found = RunRecord(
            task="train",
            command=("python", "train.py"),
            fingerprint=Fingerprint(kind="environment"),
            outputs={"models/model.bin": of_bytes(model)},
            metrics={"accuracy": accuracy},
        )
        record.write(found, tmp_path / f"{name}.run.json")
    words = [str(tmp_path / f"{name}.run.json") for name in ("one", "two")]
    assert main(["diff", *words]) == 1
    said = capsys.readouterr().out
    assert said.startswith("what came out otherwise\n")
    assert said.index("metric: accuracy") < said.index("output: models/model.bin")
    assert "0.87" in said
    assert said.endswith(
        "\nnothing that was recorded explains it: a draw without a seed, or the machine\n"
    )
    assert main(["diff", *words, "--markdown"]) == 1
    assert "**What came out otherwise**" in capsys.readouterr().out
