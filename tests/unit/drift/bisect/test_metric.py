"""The number of a run: from its last line, a pattern, a file."""

import math
import time
from pathlib import Path

import pytest

from lockstitch.drift.bisect import metric
from lockstitch.drift.bisect.model import Fails, Metric, Outcome
from lockstitch.errors import UsageError
from lockstitch.process import Finished

NEVER = (0, 0, 0)


def said(stdout: str, *, pattern: str = "", stderr: str = "", code: int = 0) -> Outcome:
    done = Finished(code=code, stdout=stdout, stderr=stderr)
    return metric.parse("", pattern).read(done, Path(), NEVER)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("epoch 1\naccuracy 0.8200\n\n", 0.82),
        ("loss: 1.5e-3, auc: .91%", 0.91),
        ('{"fold1": 0.7, "mean": -2}', -2.0),
        ("best=inf", math.inf),
        ("7.", 7.0),
    ],
)
def test_the_last_number_of_the_last_line(text: str, value: float) -> None:
    assert said(text) == Metric(value=value)


def test_a_name_is_no_number() -> None:
    assert said("v2 resnet50") == Fails(reason="no number: v2 resnet50")


@pytest.mark.parametrize(
    "text",
    ["done in 12.3 s", "Elapsed: 0:12", "took 3.2", "training time: 41", "auc 0.9\ntime 7 min"],
)
def test_a_time_in_the_last_line_is_no_result(text: str) -> None:
    last = text.splitlines()[-1]
    wanted = Fails(reason=f"a time, and no result, is in the last line: {last}")
    assert said(text) == wanted
    assert said(text, pattern=r"(\d+)") != wanted, "whoever asks for it gets it"


@pytest.mark.parametrize("text", ["auc 0.9", "in time 0.5 of 1", "seconds saved: 3 of 5"])
def test_a_number_beside_a_word_of_time_is_one(text: str) -> None:
    assert isinstance(said(text), Metric)


@pytest.mark.parametrize(
    ("last", "passing"),
    [
        ("requests.exceptions.ConnectionError: x", True),
        ("torch.OutOfMemoryError: CUDA out of memory.", True),
        ("OSError: [Errno 28] No space left on device", True),
        ("AttributeError: module 'numpy' has no attribute 'product'", False),
    ],
)
def test_what_may_not_fail_the_next_time(last: str, passing: bool) -> None:
    outcome = said("", stderr=f"Traceback\n{last}\n", code=1)
    assert isinstance(outcome, Fails)
    assert outcome.passing is passing


def test_nan_is_a_number_that_was_given() -> None:
    outcome = said("loss NaN")
    assert isinstance(outcome, Metric)
    assert math.isnan(outcome.value)


def test_a_pattern_takes_the_last_match_of_stdout_then_of_stderr() -> None:
    assert said("auc=0.5 x\nauc=0.6 y\nend 3", pattern=r"auc=(\S+)") == Metric(value=0.6)
    assert said("end 3", stderr="INFO auc=0.7\n", pattern="auc=.*$") == Metric(value=0.7)
    assert said("end", pattern="auc") == Fails(
        reason="nothing in the command's output matches `auc`"
    )


def test_what_failed_says_its_last_line() -> None:
    found = said("0.82", stderr="Traceback\nImportError: no y\n", code=1)
    assert found == Fails(reason="ImportError: no y", detail="Traceback\nImportError: no y")
    assert said("", code=-11) == Fails(reason="signal 11", detail="signal 11")
    assert said("") == Fails(reason="the command printed nothing")


@pytest.mark.parametrize(
    ("code", "passing"),
    [(1, False), (-11, False), (-4, False), (-2, True), (-9, True), (130, True)],
)
def test_what_was_stopped_from_outside_is_no_outcome_to_keep(code: int, passing: bool) -> None:
    found = said("", code=code)
    assert isinstance(found, Fails)
    assert found.passing is passing


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        ("m.json:test.auc", '{"test": {"auc": 0.9}}', Metric(value=0.9)),
        ("m.json:folds.1", '{"folds": [1, 2]}', Metric(value=2.0)),
        ("m.json", '{"auc": 3}', Metric(value=3.0)),
        ("m.json", "0.25", Metric(value=0.25)),
        ("m.json:a.b", '{"a": {}}', Fails(reason="`m.json` has no `a.b`")),
        ("m.json:a", '{"a": true}', Fails(reason="`m.json:a` is no number")),
        ("m.json", '{"a": 1, "b": 2}', Fails(reason="`m.json` is no number")),
    ],
)
def test_a_file(path: str, text: str, wanted: Outcome, tmp_path: Path) -> None:
    reading = metric.parse(path, "")
    before = reading.stamp(tmp_path)
    done = Finished(code=0, stdout="", stderr="")
    assert reading.read(done, tmp_path, before) == Fails(
        reason="the command did not write `m.json`"
    )
    (tmp_path / "m.json").write_text(text)
    assert reading.read(done, tmp_path, before) == wanted
    before = reading.stamp(tmp_path)
    assert isinstance(reading.read(done, tmp_path, before), Fails), "it is the one of before"
    time.sleep(0.01)
    (tmp_path / "m.json").write_text(text)
    assert reading.read(done, tmp_path, before) == wanted
    (tmp_path / "m.json").write_text("{")
    found = reading.read(done, tmp_path, before)
    assert isinstance(found, Fails)
    assert "is not valid JSON" in found.reason


@pytest.mark.parametrize(
    ("file", "pattern", "said"),
    [("a", "b", "together"), ("", "(", "regular expression"), ("", "(a)(b)", "2 groups")],
)
def test_wrong_use(file: str, pattern: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        metric.parse(file, pattern)
