"""What most of several environments have, and the odd ones out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstitch.cli.main import main
from lockstitch.digest import of_bytes
from lockstitch.fingerprint.model import Cpu, Fingerprint, Package

ONE, TWO = of_bytes(b"1"), of_bytes(b"2")


def write(name: str, numpy: str = "1.26.4", **members: Any) -> str:
    record = members.pop("record", None)
    packages = [Package(name="numpy", version=numpy, record=record, code=record)]
    packages += [Package(name=each, version="1") for each in members.pop("more", ())]
    made = Fingerprint(kind=members.pop("kind", "environment"), **members)
    made = made.with_packages(packages)
    Path(name).write_text(json.dumps(made.document()))
    return name


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


SAID = """\
4 environments
as most are in all that can change results: b.json, d.json
odd one out: c.json, in 1 thing
odd one out: a.json, in 1 thing

what can change results
name          most                             others
numpy         1.26.4 (a.json, b.json, d.json)  2.0.0 (c.json)
variable: TZ  UTC (b.json, c.json, d.json)     Asia/Tokyo (a.json)

known changes of results between these versions
"""


def test_most_against_the_odd_ones_out(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        write("a.json", variables={"TZ": "Asia/Tokyo"}),
        *(
            write("b.json", variables={"TZ": "UTC"}),
            write("c.json", "2.0.0", variables={"TZ": "UTC"}),
        ),
        write("d.json", variables={"TZ": "UTC"}, more=["six"]),
    ]
    assert main(["diff", *words]) == 1
    said = capsys.readouterr().out
    assert said.startswith(SAID)
    assert "  numpy 2.0: type promotion" in said
    assert said.endswith("\nand 1 difference not known to change results (--all)\n")
    assert main(["diff", *words, "--all"]) == 1
    assert "\nsix   - (a.json, b.json, c.json)  1 (d.json)\n" in capsys.readouterr().out
    assert main(["diff", *words, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    odd = {each["name"]: each["odd"] for each in found["environments"]}
    assert odd == {"a.json": 1, "b.json": 0, "c.json": 1, "d.json": 0}
    assert found["matters"] is True
    assert found["differences"][0]["groups"] == [
        {"value": "1.26.4", "environments": ["a.json", "b.json", "d.json"]},
        {"value": "2.0.0", "environments": ["c.json"]},
    ]


def test_nothing_differs(capsys: pytest.CaptureFixture[str]) -> None:
    same = write("a.json")
    assert main(["diff", same, same, same]) == 0
    assert capsys.readouterr() == ("", "no difference\n")
    assert main(["diff", same, same, write("b.json", more=["six"]), "--json"]) == 0
    names = [e["name"] for e in json.loads(capsys.readouterr().out)["environments"]]
    assert names == ["a.json", "a.json#2", "b.json"]


def test_what_a_source_cannot_know_puts_it_in_no_group(capsys: pytest.CaptureFixture[str]) -> None:
    """A lock has no processor; of two groups as large the first named comes first."""
    cpu = Cpu(model="x", cores=2)
    words = [
        write("lock.json", kind="lock"),
        *(write("two.json", cpu=cpu), write("four.json", cpu=replace(cpu, cores=4))),
    ]
    assert main(["diff", *words, "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["differences"]
    assert (found["what"], found["name"]) == ("cpu", "cores")
    assert found["groups"] == [
        {"value": "2", "environments": ["two.json"]},
        {"value": "4", "environments": ["four.json"]},
    ]


def test_other_files_of_one_version_are_another_group(capsys: pytest.CaptureFixture[str]) -> None:
    words = [write("a.json", record=ONE), write("b.json", record=TWO), write("c.json", record=ONE)]
    assert main(["diff", *words, "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["differences"]
    assert found["groups"] == [
        {"value": "1.26.4", "environments": ["a.json", "c.json"]},
        {"value": "1.26.4, other files", "environments": ["b.json"]},
    ]


def test_markdown_is_of_two(capsys: pytest.CaptureFixture[str]) -> None:
    same = write("a.json")
    assert main(["diff", same, same, same, "--markdown"]) == 2
    assert "--markdown compares two sources, and here are 3" in capsys.readouterr().err
