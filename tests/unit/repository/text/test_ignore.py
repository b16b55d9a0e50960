"""What a .dockerignore keeps out, in cases as moby/patternmatcher decides them."""

import time

import pytest

from lockstitch.repository.text import ignore


@pytest.mark.parametrize(
    ("text", "out", "inside"),
    [
        (".git", [".git", ".git/config"], ["sub/.git", ".gitignore"]),
        ("/data/", ["data", "data/a.csv"], ["src/data"]),
        ("*.pyc", ["a.pyc"], ["src/a.pyc"]),
        ("**/*.pyc", ["a.pyc", "src/x/a.pyc"], ["a.py"]),
        ("**.pyc", ["a.pyc", "src/a.pyc"], ["a.py"]),
        ("**/__pycache__", ["__pycache__/a", "a/b/__pycache__/c"], ["a__pycache__"]),
        ("docs/**/*.md", ["docs/a.md", "docs/b/c/a.md"], ["a.md", "docs/a.py"]),
        ("data/**", ["data/a", "data/b/c"], ["data", "x/data/a"]),
        ("*\n!src\n!*.toml", ["x", "README.md"], ["src", "src/a.py", "pyproject.toml"]),
        ("*\n!src\nsrc/secret*", ["src/secret.txt"], ["src/a"]),
        ("# *\n\n  .env  ", [".env"], ["src"]),
        (".env*\n!.env.example", [".env", ".env.local"], [".env.example"]),
        ("file?.[ch]", ["file1.c", "fileA.h"], ["file.c", "file1.o"]),
        ("a*b*c", ["abc", "axbxc", "abbcc"], ["acb", "ab/c"]),
        ("\ufeff./src/../lib", ["lib/x"], ["src"]),
        ("a[", [], ["a", "b"]),
    ],
)
def test_patterns(text: str, out: list[str], inside: list[str]) -> None:
    patterns = ignore.read(".dockerignore", text)
    assert [path for path in (*out, *inside) if patterns.excludes(path)] == out


def test_a_folder_whose_parts_are_let_in_again_is_not_all_out() -> None:
    patterns = ignore.read(".dockerignore", "models\n!models/small.onnx\ndata")
    assert (patterns.excludes_all("models"), patterns.excludes_all("data")) == (False, True)


def test_no_pattern_takes_long() -> None:
    path = "a" * 200 + "/" + "b/" * 400 + "c"
    started = time.monotonic()
    for pattern in ("*a" * 300 + "x", "**/b/" * 150 + "x", "**a" * 90 + "x", "?*" * 100 + "x"):
        assert not ignore.read("x", pattern).excludes(path)
    assert time.monotonic() - started < 2
