"""Names as packaging specifications compare them."""

import pytest

from lockstitch.python.names import of_requirement


@pytest.mark.parametrize(
    ("line", "name"), [("A_b.C[x]>=1", "a-b-c"), ("a", "a"), (" a;x", "a"), ("-e", ""), ("", "")]
)
def test_the_name_of_a_requirement(line: str, name: str) -> None:
    assert of_requirement(line) == name
