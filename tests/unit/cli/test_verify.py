"""The verify command on a tiny project: what holds, and what is named when it does not."""

import json
from pathlib import Path

import pytest
from support import plants, projects

from lockstitch.cli.main import main
from lockstitch.oci.layout import Layout

pytestmark = pytest.mark.slow

# A backend that writes the time zone of whoever builds into the package.
LEAKY = """\
import os
import pathlib
import tinybuild

build_editable = tinybuild.build_editable


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    built = pathlib.Path("src", "tiny", "built.py")
    built.write_text(f"ZONE = {os.environ.get('TZ', 'UTC')!r}\\n")
    return tinybuild.build_wheel(wheel_directory)
"""
BACKEND = 'build-backend = "tinybuild"'
# Trains in no time: a model whose file has a passing address, a set's order, or the time zone.
TRAIN = """\
import json, os, pathlib
out = pathlib.Path("models")
out.mkdir(exist_ok=True)
(out / "model.json").write_text(json.dumps({"words": WORDS, "bias": 1.5}))
(out / "metrics.json").write_text(json.dumps({"auc": 0.9}))
"""


def verify(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["verify", *words])
    return code, *capsys.readouterr()


def test_images_are_the_same_under_other_variations(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = locked / "verify.html"
    code, out, err = verify(capsys, "--build", "serve", "--html", str(page))
    assert code == 0, err
    assert out.splitlines()[1].split()[:2] == ["serve", "same"]
    assert "the same everywhere" in err
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.peers  # it builds a dozen times
def test_a_cause_is_named_with_the_entry(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (locked / "leaky.py").write_text(LEAKY)
    projects.replace(locked, BACKEND, 'build-backend = "leaky"\nbackend-path = ["."]')
    assert main(["lock", "--quiet"]) == 0
    code, out, err = verify(capsys, "--build", "serve", "--json")
    assert code == 1, err
    found = json.loads(out)["build"]
    assert found["causes"] == ["time zone"]
    assert json.loads(out)["command"] == "lockstitch verify serve --build"
    assert json.loads(out)["not_proved"] == [
        "that training gives the same model: --train was not given"
    ]
    entries = {(each["entry"], each["what"]) for each in found["differences"]["serve"]}
    (built,) = [entry for entry, what in entries if what == "content from byte 8"]
    assert built.endswith("/tiny/built.py")


@pytest.fixture
def training(locked: Path) -> Path:
    projects.replace(locked, 'command = ["python", "-m", "tiny"]', 'command = ["python", "t.py"]')
    return locked


def train(folder: Path, words: str) -> None:
    (folder / "t.py").write_text(TRAIN.replace("WORDS", words))
    assert main(["lock", "--quiet"]) == 0


def test_the_same_model_everywhere(training: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(training, 'sorted({"a", "b"})')
    code, out, err = verify(capsys, "--train")
    assert code == 0, out + err
    assert out.splitlines()[0] == "training train: 2 outputs, 1 metrics"
    assert {line.split("  ")[-1].strip() for line in out.splitlines()[1:]} == {"same bytes"}
    assert not (training / "models").exists(), "nothing of the project changes"


def test_what_the_project_keeps_is_what_it_trains(
    training: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(training, '["a", "b"]')
    kept = training / "models" / "model.json"
    kept.parent.mkdir()
    kept.write_text('{"bias": 1.5, "words": ["a", "b"]}')
    code, out, err = verify(capsys, "--train")
    assert code == 0, out + err
    line = next(line for line in out.splitlines() if "kept in the project" in line)
    assert line.endswith("same meaning, other bytes: models/model.json")
    for garbage in ("no model at all", '{"bias": 9, "words": ["a", "b"]}'):
        kept.write_text(garbage)
        code, out, _ = verify(capsys, "--train")
        assert code == 1
        lines = out.splitlines()
        assert lines[1].split() == ["kept", "in", "the", "project", "DIFFERS"]
        assert lines[2].startswith("    models/model.json: ")
        assert kept.read_text() == garbage


def test_the_variation_and_the_part_are_named(
    training: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(training, 'os.environ.get("TZ", "UTC")')
    code, out, _ = verify(capsys, "--train", "--json")
    assert code == 1
    found = json.loads(out)["trainings"]["train"]["variations"]
    (guilty,) = [each for each in found if not each["holds"]]
    assert guilty["name"] == "time zone"
    assert guilty["moved"] == [
        {"output": "models/model.json", "what": "meaning", "parts": ["words"]}
    ]


def test_against_a_published_image(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published = locked / "published"
    assert main(["build", "serve", "--layout", str(published), "--quiet"]) == 0
    reference = f"{published}:serve"
    code, out, err = verify(capsys, "serve", "--against", reference)
    assert code == 0, out + err
    projects.replace(locked, "import tiny", "import tiny  # changed", "app/main.py")
    code, out, _ = verify(capsys, "serve", "--against", reference)
    assert code == 1
    assert "`app files` `app/app/main.py`: size: 23 here, 12 there" in out
    assert Layout(published).names() == ["serve"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--against", "x"], "--against is about one image, not 2"),
        (["--tolerance", "nan"], "--tolerance is nan, not a number of 0 or more"),
        (["serve", "--train"], "none of serve has `outputs`, so none trains"),
    ],
)
def test_wrong_use(
    locked: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = verify(capsys, *words)
    assert code == 2
    assert message in err


@pytest.mark.peers  # it trains a hundred times
def test_planted_causes_are_named(training: Path, tmp_path: Path) -> None:
    projects.replace(training, '"t.py"]', '"plants.py"]')
    plants.write(training, tmp_path / "rates.json")
    assert main(["lock", "--quiet"]) == 0
    home = tmp_path / "home"
    home.mkdir()
    scored = list(plants.score(training, home))
    assert len({each.plant.output for each in scored}) == len(plants.PLANTS) >= 20
    assert {each.plant.output: each.named for each in scored if not each.is_right} == {}
