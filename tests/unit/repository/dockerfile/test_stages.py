"""Which programs a RUN calls."""

import pytest

from lockstitch import shell
from lockstitch.repository.dockerfile import reader as dockerfile_reader
from lockstitch.repository.dockerfile import stages


def calls(text: str, head: str = "FROM a\n") -> list[tuple[int, list[str]]]:
    found = dockerfile_reader.read(head + text)
    each = stages.script(found.stages[0].instructions[-1])
    return [(c.line, [w.text for w in c.words]) for c in each.commands if c.words]


def test_words_and_lines_of_a_run() -> None:
    text = (
        "RUN set -eux; \\\n  apt-get update && \\\n# no\n"
        "  apt-get install 'a b' \\\n   \"c$D\" || true # x"
    )
    assert calls(text) == [
        (2, ["set", "-eux"]),
        (3, ["apt-get", "update"]),
        (5, ["apt-get", "install", "a b", "c$D"]),
        (6, ["true"]),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("if a; then b; elif c; then d; else e; fi", ["a", "b", "c", "d", "e"]),
        ("for x in 1 2; do a $x; done; for ((i=0;i<3;i++)); do b; done", ["a", "b"]),
        ("while a; do b; done < f | c", ["a", "b", "c"]),
        ("case $x in a|b) c;; (d) e ;; esac; f", ["c", "e", "f"]),
        ("f() { a; }; function g { b; }; (c; d) && ((x+1)) && { e; }", ["a", "b", "c", "d", "e"]),
        ("X=1 Y='a b' Z=(1 2) a; X=$(b)", ["a"]),
        ("[[ a && b < c ]] && ! d >f 2>&1 <<< x & e", ["[[", "d", "e"]),
        ("a <(b) `c` $(d \")\" $(e)) ${x:-$(f)} $((1+2)) $'g' \\\nh", ["a"]),
    ],
)
def test_commands(text: str, expected: list[str]) -> None:
    found = shell.read(text)
    assert found.problems == ()
    assert [c.program for c in found.commands if c.words] == expected


def test_parts_assignments_and_redirections() -> None:
    (command,) = shell.read("A=1 B='x'$C pip install $(cat r) >x 2>>y").commands
    assert [(n, w.text, w.known) for n, w in command.assignments] == [
        ("A", "1", True),
        ("B", "x$C", False),
    ]
    assert [word.text for word in command.words[1:]] == ["install", "$(cat r)"]
    assert [(p.kind, p.text) for p in command.words[2].parts] == [("command", "cat r")]
    assert [(r.descriptor, r.operator, r.target.text) for r in command.redirections] == [
        ("", ">", "x"),
        ("2", ">>", "y"),
    ]
    assert shell.read("f() { a; }").functions == {"f"}
    assert shell.read("$PIP install").commands[0].program == ""


@pytest.mark.parametrize(
    "text",
    [
        "'a",
        '"a',
        "$(a",
        "`a",
        "${a",
        "if a",
        "fi",
        ")",
        ";;",
        "a >",
        "case x",
        "[[ a",
        "a b (c)",
        "cat <<E\nx",
        "x" * 200001,
        "for x in a",
        "x=(a",
        '"a\\',
        'echo "`a` \\z',
        "(( a",
    ],
)
def test_what_is_not_understood_is_said(text: str) -> None:
    assert shell.read(text).problems


def test_heredocs_and_shells_in_shells() -> None:
    assert calls("RUN <<E\nset -e\ncat <<X >y\nbody\nX\npip install z\nE") == [
        (3, ["set", "-e"]),
        (4, ["cat"]),
        (7, ["pip", "install", "z"]),
    ]
    assert calls("RUN python <<E\nprint(1)\nE") == [(2, ["python"])]
    assert calls("RUN <<E\n#!/usr/bin/env -S python -u\nE") == [(3, ["python", "-u"])]
    assert calls("RUN <<E\n#!/bin/bash\nls\nE") == [(3, ["/bin/bash"]), (4, ["ls"])]
    assert calls("RUN bash -e <<E && b\na\nE") == [(2, ["bash", "-e"]), (3, ["a"]), (2, ["b"])]
    assert calls('CMD ["bash", "-o", "pipefail", "-c", "a | b"]')[1:] == [(2, ["a"]), (2, ["b"])]
    assert calls('CMD ["sh", "-c"]') == [(2, ["sh", "-c"])]
    assert calls("RUN sh script.sh") == [(2, ["sh", "script.sh"])]
    assert calls("HEALTHCHECK CMD \\\n curl x || exit 1") == [
        (3, ["curl", "x"]),
        (3, ["exit", "1"]),
    ]
    assert calls("ONBUILD RUN a") == [(2, ["a"])]
    assert calls("HEALTHCHECK NONE") == calls("USER x") == []
    assert calls("RUN a", 'FROM a\nSHELL ["powershell"]\n') == []
