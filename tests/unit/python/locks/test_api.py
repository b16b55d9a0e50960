"""The public API of locks: the page's example runs, and the page names all that is public."""

import re
from pathlib import Path

import pytest

from lockstitch.errors import LockstitchError
from lockstitch.python import locks

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "api-locks.md"
LOCK = """\
version = 1
[[package]]
name = "app"
version = "0"
source = { virtual = "." }
[package.dev-dependencies]
train = [{ name = "learn" }]
[[package]]
name = "learn"
version = "1.0"
source = { registry = "https://index.example.test/simple" }
dependencies = [{ name = "array", marker = "platform_machine == 'aarch64'" }]
wheels = [{ url = "https://files.example.test/learn-1.0-py3-none-any.whl" }]
[[package]]
name = "array"
version = "2.0"
source = { registry = "https://index.example.test/simple" }
"""


def example() -> str:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("uv.lock").write_text(LOCK)
    exec(example(), {})  # noqa: S102 -- of our own page
    assert capsys.readouterr().out == (
        "app 0 virtual no wheel\n  needs learn\n"
        "learn 1.0 registry learn-1.0-py3-none-any.whl\n  needs array\n"
        "array 2.0 registry no wheel\n  needs nothing\n"
    )
    Path("uv.lock").write_text(LOCK.replace('name = "learn"\nversion = "1.0"', "version = 1"))
    with pytest.raises(SystemExit, match=r"`package\[1\]\.name` is missing\n.*must be a text"):
        exec(example(), {})  # noqa: S102 -- of our own page


def test_the_page_names_all_that_is_public() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in locks.__all__:
        assert hasattr(locks, name)
        assert re.search(rf"\b{name}\b", page), name


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("uv.lock", "uv"),
        ("a/poetry.lock", "poetry"),
        ("pylock.toml", "pylock"),
        ("a/pylock.train.toml", "pylock"),
        ("reqs/dev.txt", "requirements"),
        ("requirements.in", "requirements"),
        ("pyproject.toml", ""),
        ("pylock.a.b.toml", ""),
    ],
)
def test_a_kind_is_told_by_the_name(path: str, kind: str) -> None:
    assert locks.kind_of(path) == kind
    problems: list[LockstitchError] = []
    if not kind:
        with pytest.raises(LockstitchError, match="is no lock that lockstitch reads"):
            locks.read(path, "", problems)
    else:
        graph = locks.read(path, "package = 1\npackages = 2\n= ", problems)
        assert graph.kind == kind
        assert problems


@pytest.mark.parametrize("path", ["uv.lock", "poetry.lock", "pylock.toml", "requirements.txt"])
def test_a_strict_reader_names_what_is_wrong(path: str) -> None:
    with pytest.raises(LockstitchError) as caught:
        locks.read(path, "[[package]]\nname = 1\n")
    assert all(each.hint and path in each.message for each in caught.value.everything())
