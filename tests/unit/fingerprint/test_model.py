"""The JSON of a fingerprint is read back as it was written, and not trusted."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.fingerprint import model
from lockstitch.fingerprint.model import Blas, Cpu, Fingerprint, Gpu, Package, Python, System

HEX = "sha256:" + "ab" * 32
lines = st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=12)
texts = lines.filter(bool)
names = st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,8}", fullmatch=True)
digests = st.binary(max_size=4).map(of_bytes)
sorted_lines = st.lists(texts, max_size=3).map(lambda found: tuple(sorted(found)))
packages = st.builds(
    Package,
    name=names,
    version=lines,
    record=st.none() | digests,
    code=st.none() | digests,
    artifacts=st.sets(digests, max_size=3).map(lambda found: tuple(sorted(found))),
    tags=sorted_lines,
    origin=lines,
    edited=sorted_lines,
    needs=sorted_lines,
    direct=st.none() | st.booleans(),
)
fingerprints = st.builds(
    Fingerprint,
    kind=st.sampled_from(["environment", "image", "lock"]),
    packages=st.lists(packages, max_size=4, unique_by=lambda each: each.name).map(
        lambda found: tuple(sorted(found, key=lambda each: each.name))
    ),
    python=st.none()
    | st.builds(Python, version=lines, compiler=lines, free_threaded=st.booleans()),
    platform=st.none() | st.builds(System, system=lines, machine=lines, libc=lines, release=lines),
    cpu=st.none() | st.builds(Cpu, model=lines, cores=st.integers(0, 999), features=sorted_lines),
    gpu=st.none() | st.builds(Gpu, driver=lines, cuda=lines, cudnn=lines, devices=sorted_lines),
    blas=st.none()
    | st.lists(st.builds(Blas, name=lines, owner=names, file=lines), max_size=2).map(tuple),
    variables=st.none() | st.dictionaries(texts, lines, max_size=3),
    system=st.none() | st.dictionaries(texts, lines, max_size=3),
    inputs=st.none() | st.dictionaries(texts, lines, max_size=3),
    imported=st.none() | st.lists(names, max_size=3).map(lambda found: tuple(sorted(found))),
)


@pytest.mark.slow
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(fingerprints)
def test_what_is_written_is_read_back(found: Fingerprint) -> None:
    text = json.dumps(found.document())
    read = model.of_text(text, "it")
    assert read.document() == found.document()
    assert read.digest == found.digest


def test_the_order_of_finding_does_not_show() -> None:
    one = Package(name="a", version="1")
    two = Package(name="b", version="2")
    forward = Fingerprint(kind="lock", packages=(one, two), variables={"A": "1", "B": "2"})
    backward = Fingerprint(kind="lock", packages=(two, one), variables={"B": "2", "A": "1"})
    assert json.dumps(forward.document()) == json.dumps(backward.document())
    assert forward.package("b") == two
    assert forward.package("c") is None
    assert forward.with_packages([two, one]).packages == (one, two)


def problems(**members: Any) -> list[str]:
    document = {"schema": 1, "kind": "environment", **members}
    with pytest.raises(LockstitchError) as caught:
        model.of_document(document, "it")
    return [each.message.removeprefix("`it`: ") for each in caught.value.everything()]


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({"kind": "guess"}, "`kind` is `guess`, not one of: environment, image, lock"),
        ({"packages": {}}, "`packages` must be a list of tables, found `{}`"),
        ({"packages": [3]}, "`packages[0]` must be a table, found `3`"),
        (
            {"packages": [{"name": "../x", "version": "1"}]},
            "`packages[0].name` is `../x`, which is no normalised name of a package",
        ),
        ({"packages": [{"name": "a", "version": "1"}] * 2}, "`packages` has `a` twice"),
        (
            {"packages": [{"name": "a", "version": "\x1b[2J"}]},
            "`packages[0].version` is no line of at most 1000 characters: `'\\x1b[2J'`",
        ),
        (
            {"packages": [{"name": "a", "version": "1", "record": "md5:x"}]},
            "`packages[0].record` is wrong: `md5:x` is not a sha256 digest",
        ),
        (
            {"packages": [{"name": "a", "version": "1", "artifacts": ["x"]}]},
            "`packages[0].artifacts` has `'x'`, which is no sha256 digest",
        ),
        (
            {"packages": [{"name": "a", "version": "1", "edited": ["a\nb"]}]},
            "`packages[0].edited` has a text that is no line of at most 1000 characters",
        ),
        ({"python": "3.11"}, "`python` must be a table, found `'3.11'`"),
        (
            {"cpu": {"cores": -1}},
            "`cpu.cores` must be a whole number from 0 to 1048576, found `-1`",
        ),
        (
            {"variables": {"A\n": "1"}},
            "`variables` has a name that is no line of at most 1000 characters",
        ),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], wanted: str) -> None:
    assert wanted in problems(**members)


def test_every_problem_is_shown_and_what_is_new_is_left_out() -> None:
    assert len(problems(kind="x", packages=3, python=4)) == 3
    known = model.of_document({"schema": 1, "kind": "lock", "later": 1}, "it")
    assert known == Fingerprint(kind="lock")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{", "`it` is not valid JSON: "),
        ("[" * 100_000, "`it` is not valid JSON: "),
        ("[]", "`it` is no fingerprint: it must be a JSON object"),
        ('{"schema": 2}', "`it` has schema 2, this lockstitch reads 1"),
        ("{}", "`it` has schema 0, this lockstitch reads 1"),
    ],
)
def test_what_is_no_fingerprint_is_refused(text: str, wanted: str) -> None:
    with pytest.raises(LockstitchError) as caught:
        model.of_text(text, "it")
    assert caught.value.message.startswith(wanted)


def test_a_text_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "_LARGEST", 10)
    with pytest.raises(LockstitchError, match="it has 11 characters"):
        model.of_text(" " * 11, "it")
