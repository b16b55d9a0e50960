"""Comments that suppress: what each of the two accepts, and for which lines it counts."""

import pytest

from lockstitch.suppressions import allowed_lines, suppressions

ALLOW = "lockstitch: allow-" + "secret"


@pytest.mark.parametrize(
    ("text", "codes", "reason", "lines"),
    [
        ("x = 1  # lockstitch: ignore RUN003 -- ours", ("RUN003",), "ours", (1,)),
        ("# lockstitch: ignore IMG, STK001 -- a\n\n# b\nx", ("IMG", "STK001"), "a", (1, 4)),
        ("// lockstitch:ignore SEC001 --- ours", ("SEC001",), "ours", (1, 1)),
        ("<!-- lockstitch: ignore SEC001 -- ours -->\nx", ("SEC001",), "ours", (1, 2)),
        ("; lockstitch: ignore SEC001", ("SEC001",), "", (1, 1)),
        ("# lockstitch: ignore -- ours", (), "ours", (1, 1)),
    ],
)
def test_an_ignore_comment(
    text: str, codes: tuple[str, ...], reason: str, lines: tuple[int, ...]
) -> None:
    (comment,) = suppressions(text)
    assert (comment.line, comment.codes, comment.reason) == (1, codes, reason)
    assert comment.lines == lines


def test_a_sentence_about_such_comments_is_none() -> None:
    assert suppressions("the words lockstitch: ignore RUN003 -- why, in prose\n") == []
    assert suppressions("x = 1\n") == []


def test_lines_whose_secrets_are_allowed() -> None:
    assert allowed_lines(f"a  # {ALLOW} -- why\nb\n") == {1}
    assert allowed_lines(f"x\n/* {ALLOW} -- why */\nb\n") == {2, 3}
    assert allowed_lines(f'{{"a": "{ALLOW} -- why"}}\n') == {1}
    assert allowed_lines(f"# {ALLOW}\nb\n") == set()
