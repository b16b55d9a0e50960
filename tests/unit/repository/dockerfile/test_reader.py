"""The Dockerfile reader: the points of BuildKit's parser cases, in cases of our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstitch.repository.dockerfile import reader, stages
from lockstitch.repository.dockerfile.reader import Dockerfile, Instruction
from lockstitch.repository.dockerfile.words import WordError, expand, expand_words


def one(text: str) -> Instruction:
    found = reader.read(f"FROM scratch\n{text}")
    assert [p for p in found.problems if p.fatal] == []
    return found.stages[0].instructions[0]


def wrong(text: str) -> list[tuple[int, str]]:
    return [(p.line, p.message) for p in reader.read(text).problems]


def test_lines_continue_over_comments_and_blanks() -> None:
    text = "\ufeffFROM a\r\nrun one \\ \r\n  # note\r\n\r\n  two\\\\ \r\nCMD x"
    found = reader.read(text)
    run, cmd = found.stages[0].instructions
    assert (run.name, run.text, run.first, run.last) == ("RUN", "one   two\\\\", 2, 5)
    assert run.starts == ((0, 2), (4, 5))
    assert cmd.first == 6
    assert [(p.line, p.fatal) for p in found.problems] == [(4, False)]
    assert [(c.line, c.text) for c in found.comments] == [(3, "note")]


def test_directives_stand_first_and_once() -> None:
    found = reader.read("# Syntax = x/y:1\n# escape=`\nFROM a\nRUN a `\n b\\\nCMD c\n# check=x")
    assert [(d.name, d.value) for d in found.directives] == [("syntax", "x/y:1"), ("escape", "`")]
    assert found.stages[0].instructions[0].text == "a  b\\"
    assert wrong("# escape=/\n# escape=`\nFROM a") == [
        (1, "`escape` must be a backslash or a backtick, found `/`"),
        (2, "only one `escape` parser directive may stand in a file"),
    ]
    assert reader.read("\n# escape=`\nFROM a").directives == ()


@pytest.mark.parametrize(
    ("opening", "body", "name", "text", "expands"),
    [
        ("<<EOF", "a\n\tb\nEOF", "EOF", "a\n\tb\n", True),
        ("<<-EOF", "\ta\n\tEOF", "EOF", "a\n", True),
        ("<<'E F'", "a\nE F", "E F", "a\n", False),
        ('<<E"O"F', "EOF", "EOF", "", False),
        ("<< $X", "# a\n$X", "$X", "# a\n", True),
        ("3<<E\\'F", "a\nE'F", "E'F", "a\n", True),
    ],
)
def test_heredocs(opening: str, body: str, name: str, text: str, expands: bool) -> None:
    run = one(f"RUN {opening}\n{body}\nUSER x")
    (heredoc,) = run.heredocs
    assert (heredoc.name, heredoc.text, heredoc.expand, heredoc.line) == (name, text, expands, 3)
    assert run.last == 2 + len(body.split("\n"))


def test_heredocs_of_copy_and_onbuild_and_what_is_none() -> None:
    copy = one("COPY <<A <<B /x\nB\nA\nA\nB\n")
    assert [h.text for h in copy.heredocs] == ["B\n", "A\n"]
    onbuild = one("ONBUILD RUN <<E\nls\nE")
    assert onbuild.trigger is not None
    assert onbuild.trigger.heredocs[0].text == "ls\n"
    for text in ('RUN "<<E"', 'RUN ["<<E"]', "RUN echo $((1<<2))", "RUN cat <<<x", "USER <<E"):
        assert one(text).heredocs == ()
    assert wrong("FROM a\nRUN <<E\nls") == [(2, "the here-document `E` has no end")]
    assert (
        wrong("FROM a\nCOPY x <<E\nE")[0][1] == "COPY: a here-document cannot be where it copies to"
    )


def test_flags_json_and_words() -> None:
    run = one('RUN --mount=type=cache,Target=/r --mount="type=bind,ro" --network=none ls -- -l')
    assert run.text == "ls -- -l"
    assert dict(run.flags[0].parts)["target"] == "/r"
    assert run.flags[1].parts == (("type", "bind"), ("ro", None))
    assert (run.flag("network"), run.flag("device")) == ("none", None)
    assert one("COPY --link -- --a b").words == ("--a", "b")
    assert one('COPY ["a b", "c"]').words == ("a b", "c")
    assert one('CMD ["a", "b"').json is False
    assert one("CMD ['a']").words == ("['a']",)
    check = one('HEALTHCHECK --interval=5s cmd ["a", "b"]')
    assert (check.words, check.json) == (("cmd", "a", "b"), True)


def test_pairs_and_scopes() -> None:
    text = (
        "ARG V=1 W\nFROM img:$V AS Base\nARG V\nARG N=${V}-x\nENV A=1 B=\"q $A\" C='$N'\n"
        'ENV old  two words\nSHELL ["bash", "-c"]\nFROM base\nENV Z=$N/${Q:-d}\n'
        "COPY --from=0 a$N b\nEXPOSE $P $N\n"
    )
    found = reader.read(text)
    assert found.problems == ()
    first, second = found.stages
    assert (first.name, first.base.text, first.base_text) == ("base", "img:1", "img:$V")
    assert second.base_stage == 0
    values = second.instructions[0].scope.values
    assert dict(values) == {
        "V": "1",
        "N": "1-x",
        "A": "1",
        "B": "q ",
        "C": "$N",
        "old": "two words",
    }
    pair = second.instructions[0].pairs[0]
    assert (pair.value, pair.unknown) == ("1-x/d", ("Q",))
    assert second.instructions[1].expanded() == ("a1-x", "b")
    assert second.instructions[1].scope.shell == ("bash", "-c")
    assert second.instructions[2].expanded() == ("1-x",)
    assert found.stage("0") is first
    assert found.stage("BASE") is first
    assert found.stage("0", numbers=False) is None
    assert found.stage("9") is None
    unknown = reader.read("FROM --platform=$BUILDPLATFORM $REG/x").stages[0]
    assert (unknown.base.unknown, unknown.base_stage) == (("REG",), None)
    assert unknown.platform is not None
    assert unknown.platform.unknown == ("BUILDPLATFORM",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file has no instructions"),
        ("# only", "the file has no instructions"),
        ("RUN x", "RUN stands before any FROM"),
        ("FROM a b", "FROM: it takes one word, or `BASE AS NAME`, found 2 words"),
        ("FROM a AS 1x", "FROM: `1x` cannot be the name of a stage"),
        ("FROM a\nFOO x", "`FOO` is no instruction"),
        ("FROM a\nENV A", "ENV: ENV needs a name and a value, found `A`"),
        ("FROM a\nENV A=1 B", "ENV: `B` has no `=`: each must be name=value"),
        ("FROM a\nENV A='x", "ENV: a single quote is not closed"),
        ("FROM a\nENV", "ENV: it says nothing"),
        ("FROM a\nENV =x", "ENV: a name is empty"),
        ("FROM a\nUSER", "USER: it says nothing"),
        ("FROM a\nCOPY x", "COPY: it needs 2 words, found 1"),
        ("FROM a\nCOPY --nope x y", "COPY: `--nope` is not one of its flags"),
        ("FROM a\nCOPY --from=a --from=b x y", "COPY: `--from` stands there twice"),
        ("FROM a\nCOPY --from=$X x y", "COPY: `--from` takes no variables"),
        ("FROM a\nCOPY --from=7 x y", "COPY: there is no stage `7`"),
        ("FROM a\nCOPY --link=x x y", "COPY: `--link` must be true or false, found `x`"),
        ("FROM a\nCOPY --link= x y", "COPY: `--link` has no value"),
        ("FROM a\nCOPY --chown x y", "COPY: `--chown` has no value"),
        ("FROM a\nRUN --network=x ls", "RUN: `--network` may not be `x`"),
        ("FROM a\nRUN --mount=type=x ls", "RUN: `x` is no type of mount"),
        ("FROM a\nRUN --mount=foo=x ls", "RUN: `foo` is not a part of a mount"),
        ("FROM a\nRUN --mount=target ls", "RUN: `target` of a mount has no value"),
        ("FROM a\nRUN --mount=from=$x ls", "RUN: `from` of a mount takes no variables"),
        ("FROM a\nSHELL bash", "SHELL: it must be a JSON list"),
        ('FROM a\nCMD ["a", 1]', "CMD: a JSON list may hold only texts here"),
        ('FROM a\nVOLUME [" "]', "VOLUME: a path is empty"),
        ("FROM a\nHEALTHCHECK NONE x", "HEALTHCHECK: NONE takes no words"),
        ("FROM a\nHEALTHCHECK foo", "HEALTHCHECK: it knows CMD and NONE, found `foo`"),
        ("FROM a\nHEALTHCHECK CMD", "HEALTHCHECK: CMD has no command"),
        ("FROM a\nONBUILD", "ONBUILD: it says nothing"),
        ("FROM a\nONBUILD FROM b", "ONBUILD: FROM may not be a trigger of ONBUILD"),
        ("FROM a\nONBUILD COPY x", "ONBUILD: COPY: it needs 2 words, found 1"),
        ("FROM a\nWORKDIR ${x", "WORKDIR: `${x` is nothing that a Dockerfile knows"),
        ("FROM ${x", "FROM: "),
        ("FROM a\nCMD [NaN]\nENV A=1 B", "ENV: `B` has no `=`"),
        ("FROM a\nRUN " + "x" * 70_000, "a line is longer than 65,535 bytes"),
        ("x" * 1_000_001, "the file has 1,000,001 characters"),
        ("FROM a\n" + "RUN a\n" * 10_000, "more than 10,000 instructions"),
        ("FROM a\n" + "".join(f"ENV a{i}=1\n" for i in range(1001)), "more than 1,000 variables"),
    ],
)
def test_what_cannot_be_built_is_a_problem(text: str, said: str) -> None:
    assert any(message.startswith(said) for _, message in wrong(text)), wrong(text)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a'b $X'\"c $X\"", "ab $Xc v"),
        ('\\$X \\\\$X "\\$X \\n\\""', '$X \\v $X \\n"'),
        ("$X ${X} $Xy $1 $ ${E-d} ${E:-d} ${N-d}", "v v   $  d d"),
        ("${X+w}${E+w}${E:+w}${N:+w}", "ww"),
        ("${N:-${M:-$X}}", "v"),
        ("${P#*/} ${P##*/} ${P%/*} ${P%%/*}", "b/c c a/b a"),
        ("${P#?} ${P#x} ${P%\\?}", "/b/c a/b/c a/b/c"),
        ("${P/\\//-} ${P//\\//-} ${P//?/} ${P//x/y}", "a-b/c a-b-c  a/b/c"),
        ("${P//*/y} ${E//x*/y} ${P///.}", "y  .a./.b./.c."),
        ("tail\\", "tail"),
    ],
)
def test_expansion(text: str, result: str) -> None:
    assert expand(text, {"X": "v", "E": "", "P": "a/b/c"}).text == result


@pytest.mark.parametrize(
    "text",
    [
        "'",
        '"',
        '"a\\',
        "${",
        "${}",
        "${:x}",
        "${{x}",
        "${x",
        "${x:=1}",
        "${x=1}",
        "${x:#a}",
        "${E:?}",
        "${x?gone}",
        "${x/a}",
        "${x/a/b",
        "${P#\\x}",
        "${P/\\x/y}",
        "${a:-" * 60,
        "$L" * 9,
    ],
)
def test_what_does_not_expand(text: str) -> None:
    with pytest.raises(WordError):
        expand(text, {"E": "", "P": "a", "L": "x" * 1000})


def test_values_with_spaces_are_several_words() -> None:
    assert expand_words("a$S'x y' \"$S\"", {"S": " 1  2"}) == ("a", "1", "2x y", " 1  2")
    assert reader.Scope(values={}).expand_words("a 'b") == ("a", "'b")


PIECES = st.sampled_from(
    [
        "FROM a",
        "RUN ",
        "ENV ",
        "ONBUILD ",
        "COPY ",
        "<<E",
        "\nE\n",
        "\n",
        "\\\n",
        "$",
        "${a",
        ":-",
        "}",
        "'",
        '"',
        "`",
        "[",
        "]",
        ",",
        "--mount=",
        "--from=",
        " ",
        "#",
        "(",
        ")",
        "a=",
        "case in",
        "if ",
        "$(",
        "HEALTHCHECK CMD ",
        "sh -c ",
        "é",
        "\x00",
        "\r",
    ]
)


@given(st.lists(PIECES, max_size=30))
def test_any_text_gives_a_value(pieces: list[str]) -> None:
    text = "FROM a\n" + "".join(pieces)
    found = reader.read(text)
    assert isinstance(found, Dockerfile)
    last = text.count("\n") + 1
    for stage in found.stages:
        for instruction in stage.instructions:
            assert 1 <= instruction.first <= instruction.last <= last
            instruction.expanded()
            for command in stages.script(instruction).commands:
                assert instruction.first <= command.line <= last
