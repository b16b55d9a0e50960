"""Lines of TOML keys."""

import pytest

from lockstitch.repository.text.lines import line_of_key

TEXT = '''\
[project]
name = "a"
readme = """
[tool.ruff]
"""

[tool.ruff]  # words
select = [
    "E",
]
lint.extend = "b"

[tool."a.b"]
"c d" = 1
[[tool.uv.index]]
url = "x"
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("project", "name"), 2),
        (("tool", "ruff"), 7),
        (("tool", "ruff", "select"), 8),
        (("tool", "ruff", "lint", "extend"), 11),
        (("tool", "ruff", "missing"), 7),
        (("tool", "a.b", "c d"), 14),
        (("tool", "uv", "index", "url"), 16),
        (("nothing",), 0),
    ],
)
def test_a_path(path: tuple[str, ...], line: int) -> None:
    assert line_of_key(TEXT, *path) == line
