"""The report of a tiny project: sizes and what they were, lock changes, findings, proofs."""

import json
import re
from pathlib import Path

import pytest
from support import projects
from support.programs import git

from lockstitch.cli.main import main
from lockstitch.digest import of_bytes
from lockstitch.image import sizes
from lockstitch.oci.layout import Layout
from lockstitch.prove import result
from lockstitch.prove.building import Compared
from lockstitch.prove.result import Result
from lockstitch.report.sizes import Sized


def page(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["report", *words, "--quiet"]) == 0
    name = capsys.readouterr().out.strip()
    return (folder / name).read_text(encoding="utf-8")


def test_before_anything_is_built(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = page(locked, capsys)
    assert "lockstitch build serve" in text
    assert "lockstitch verify" in text
    assert "there is no .venv here" in text
    assert "there is no commit" in text


@pytest.mark.slow
def test_sizes_are_told_against_the_build_before(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(locked, "init", "-q")
    git(locked, "add", "-A")
    git(locked, "commit", "-qm", "all")
    assert main(["build", "serve", "--quiet"]) == 0
    first = Layout(locked / ".lockstitch" / "images").manifest_digest("serve")
    text = page(locked, capsys)
    assert "no other build is known" in text
    assert "Lock since HEAD" in text
    projects.replace(locked, "import tiny", "import tiny  # " + "x" * 90_000, "app/main.py")
    assert main(["build", "serve", "--quiet"]) == 0
    kept = sizes.previous(locked / ".lockstitch" / "history.json", "serve")
    assert kept is not None
    assert kept.digest == str(first)
    text = page(locked, capsys, "--output", "out.html")
    assert f"0.1 MB more than {str(first)[7:19]}, the build before" in text
    assert "+0.1 MB" in text
    assert "<script" not in text


@pytest.mark.slow
def test_it_sums_up_for_programs(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "serve", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["report", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["before"]) for each in found["images"]] == [("serve", None)]
    assert (found["page"], found["verified"]) == ("report.html", None)


@pytest.mark.slow
def test_the_last_verification_is_shown_with_its_age(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "serve", "--quiet"]) == 0
    digest = str(Layout(locked / ".lockstitch" / "images").manifest_digest("serve"))
    proved = Compared(
        varied=("umask",),
        images={"serve": {"here": digest, "there": digest}},
        locks=(),
        plans=(),
        differences={},
    )
    document = result.document(Result(project="tiny", tolerance=0.0, build=proved))
    document["lock"] = of_bytes((locked / "lockstitch.lock").read_bytes())
    (locked / ".lockstitch" / "verify.json").write_text(json.dumps(document))
    text = page(locked, capsys)
    assert "Images, rebuilt in a varied environment" in text
    assert "Of builds before these" not in text
    projects.replace(locked, "import tiny", "import tiny  # changed", "app/main.py")
    assert main(["build", "serve", "--quiet"]) == 0
    assert "Of builds before these: serve" in page(locked, capsys)
    with (locked / "lockstitch.lock").open("a") as lock:
        lock.write("# another lock\n")
    assert "Not done here" in page(locked, capsys)


def test_a_revision_that_is_none(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--since", "nope", "--quiet"]) == 2
    assert capsys.readouterr().err == (
        "error: `nope` is no revision of this repository\nhint: git log --oneline names some\n"
    )
    assert not (locked / "report.html").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 9}', '{"serve": 3}'])
def test_damaged_notes_are_no_notes(
    locked: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = locked / ".lockstitch"
    folder.mkdir(exist_ok=True)
    for name in ("verify.json", "history.json"):
        (folder / name).write_text(text)
    assert sizes.previous(folder / "history.json", "serve") is None
    assert "Not done here" in page(locked, capsys)


@pytest.mark.slow
def test_a_card_leads_to_each_section_and_a_code_to_its_explanation(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (locked / "Dockerfile").write_text("FROM python\n")
    assert main(["build", "--quiet"]) == 0
    text = page(locked, capsys)
    places = set(re.findall(r'id="([^"]+)"', text))
    links = re.findall(r'href="#([^"]+)"', text)
    assert [link for link in links if link not in places] == []
    assert {"image-serve", "check", "verified", "compared-1", "IMG004"} <= {*links}
    assert "thing to look at" in text or "things to look at" in text
    assert "<script" not in text


def test_a_new_version_of_a_package_is_one_change() -> None:
    image = Sized(
        name="serve",
        digest="sha256:1",
        packed=1,
        layers=(),
        before={"numpy 2.4.6": 10, "idna 3": 5, "/app code": 1, "gone 1": 2},
        now={"numpy 2.4.5": 40, "idna 3": 5, "/app code": 1, "fresh 2": 3},
    )
    assert image.changed() == [("numpy 2.4.6 → 2.4.5", 10, 40), ("fresh 2", 0, 3), ("gone 1", 2, 0)]
