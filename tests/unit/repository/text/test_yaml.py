"""Edits of YAML: made by the parser's marks, and only where the result is what was meant."""

import pytest

from lockstitch.repository.text import yaml
from lockstitch.repository.text.lines import applied

REST = "services:\n  db:\n    image: postgres:17\n"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (f"version: '3'\n{REST}", REST),
        (f"version: '3'\n\n{REST}", REST),
        (f"version: '3'\r\n{REST}", REST),
        (f"\ufeffversion: '3'  # old\n{REST}", REST),
        (f"# a\u2028b: 1\nversion: '3'\n{REST}", f"# a\u2028b: 1\n{REST}"),
        (f"x: 1\u2028version: '3'\n{REST}", f"x: 1\u2028{REST}"),
        (f"x: 1\x85version: '3'\x85{REST}", f"x: 1\x85{REST}"),
        (f"x: 1\rversion: '3'\r{REST}", f"x: 1\r{REST}"),
        (f"version: >\n  3.8\n{REST}", REST),
        (f"version: |\n  3\n  8\n\n{REST}", REST),
        (f'version:\n  "3.8"\n{REST}', REST),
        (f"{REST}version: '3'", REST),
        (f"version: &v '3'\nx: *v\n{REST}", None),
        (f"version: [3]\n{REST}", None),
        ("{version: '3', services: {}}\n", None),
        ("? version\n: '3'\n" + REST, None),
        ("version: '3'\n", None),
        (REST, None),
    ],
)
def test_a_key_is_taken_out_with_its_value_alone(text: str, after: str | None) -> None:
    edit = yaml.without_key("a", text, "version")
    assert (applied(text, [edit]) if edit else None) == after


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("a: [commit]\n", "a: [pre-commit]\n"),
        ("\ufeffa: ['commit']\n", "\ufeffa: ['pre-commit']\n"),
        ("# \u2028a: [commit]\n", "# \u2028a: [pre-commit]\n"),
        ("b: commit\ra: [commit]\n", "b: commit\ra: [pre-commit]\n"),
        ("a: [>\n  commit]\n", None),
        ("a: [!x commit]\n", None),
    ],
)
def test_a_word_is_renamed_where_it_stands(text: str, after: str | None) -> None:
    root = yaml.read(text).root
    node = yaml.entries(root)["a"].value if isinstance(root, yaml.Mapping) else None
    word = node.items[0] if isinstance(node, yaml.Sequence) else None
    edit = yaml.renamed("a", text, word, "pre-commit") if isinstance(word, yaml.Scalar) else None
    assert (applied(text, [edit]) if edit else None) == after
