import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci.reference import Reference

DIGEST = of_bytes(b"")
LONG = "a" * 240


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("python", "docker.io/library/python"),
        ("python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("team/app", "docker.io/team/app"),
        ("docker.io/python", "docker.io/library/python"),
        ("index.docker.io/team/app:1", "docker.io/team/app:1"),
        ("localhost/app", "localhost/app"),
        ("localhost:5000/app", "localhost:5000/app"),
        ("127.0.0.1:5000/a/b/c:v1", "127.0.0.1:5000/a/b/c:v1"),
        ("[::1]:5000/app:1", "[::1]:5000/app:1"),
        ("Host/app", "Host/app"),
        ("example.test/a__b/c-d.e:T_1", "example.test/a__b/c-d.e:T_1"),
        (f"example.test/app:1@{DIGEST}", f"example.test/app:1@{DIGEST}"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}"),
    ],
)
def test_a_name_is_read_as_docker_reads_it(text: str, full: str) -> None:
    found = Reference.parse(text)
    assert str(found) == full
    assert Reference.parse(full) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "`library/` is not a repository"),
        ("App", "is not a repository's name, in lower case"),
        ("https://example.test/app", "has a scheme"),
        ("example.test/app:", "`` is not a tag"),
        ("example.test/app:a/b", "`app:a/b` is not a repository|is not a tag"),
        ("example.test/../app", "is not a repository"),
        ("example.test//app", "is not a repository"),
        ("-bad.test/app", "`-bad.test` is not a host"),
        ("user@example.test/app", "is not a sha256 digest"),
        ("app@sha512:00", "is not a sha256 digest"),
        ("app:" + "t" * 129, "is not a tag"),
        ("app:1\n", "is not a tag"),
        (f"example.test/{LONG}/app", "more than 255 characters"),
    ],
)
def test_what_is_no_name_is_refused_with_the_part_that_is_wrong(text: str, why: str) -> None:
    with pytest.raises(LockstitchError, match=why):
        Reference.parse(text)


def test_what_to_ask_for_is_the_digest_then_the_tag_then_latest() -> None:
    assert Reference.parse("app").which == "latest"
    assert Reference.parse("app:1").which == "1"
    assert Reference.parse(f"app:1@{DIGEST}").which == DIGEST
    assert str(Reference.parse("example.test/app:1").at(DIGEST)) == f"example.test/app@{DIGEST}"


@given(st.text(alphabet="aA1.:/@-_[]l\n", max_size=30))
def test_any_text_is_a_name_that_reads_back_or_an_error(text: str) -> None:
    try:
        found = Reference.parse(text)
    except LockstitchError:
        return
    assert Reference.parse(str(found)) == found
