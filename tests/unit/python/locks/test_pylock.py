"""PEP 751 locks are read, and the wheels of a target are chosen from them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import errors

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.python.locks.pylock import read, select
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.target import Target

AMD = Target(platform="linux/amd64", python="3.11.2", glibc="2.36")
ARM = Target(platform="linux/arm64", python="3.11.2", glibc="2.36")
HOST = "http://host.example.test"
HEX = "ab" * 32
WAY_OUT = "lockstitch lock builds one, or pin a version that has a wheel"


def wheel(filename: str, *, hashes: str = f'sha256 = "{HEX}"', more: str = "size = 10") -> str:
    where = f'name = "{filename}", url = "{HOST}/{filename}"'
    return f"{{ {where}, {more}, hashes = {{ {hashes} }} }}"


def package(name: str, *wheels: str, more: str = "", version: str = "1.0") -> str:
    lines = [f'[[packages]]\nname = "{name}"']
    lines += [f'version = "{version}"'] if version else []
    lines += [more] if more else []
    lines += [f"wheels = [{', '.join(wheels)}]"] if wheels else []
    return "\n".join(lines) + "\n"


def lock(*packages: str, head: str = "") -> str:
    return f'lock-version = "1.0"\ncreated-by = "test"\n{head}\n' + "\n".join(packages)


def chosen(text: str, target: Target = AMD) -> list[str]:
    return [each.filename for each in select(text, target, "pylock.toml")]


def problems(text: str, target: Target = AMD) -> list[tuple[str, str]]:
    return errors.problems(lambda: select(text, target, "pylock.a.toml"))


def test_a_wheel_comes_with_all_that_the_lock_says() -> None:
    more = "size = 7, upload-time = 2026-01-02T03:04:05Z"
    text = lock(package("a", wheel("a-1.0-py3-none-any.whl", more=more)))
    assert select(text, AMD, "pylock.toml") == [
        LockedWheel(
            name="a",
            version="1.0",
            filename="a-1.0-py3-none-any.whl",
            url=f"{HOST}/a-1.0-py3-none-any.whl",
            digest=Digest.of_hex(HEX),
            size=7,
            uploaded=1767323045,
        )
    ]


def test_size_time_and_name_may_be_left_out() -> None:
    entry = (
        f'{{ url = "{HOST}/x/a-1.0%2Blocal-py3-none-any.whl#f", hashes = {{ sha256 = "{HEX}" }} }}'
    )
    (found,) = select(lock(package("a", entry, version="")), AMD, "pylock.toml")
    assert (found.filename, found.version) == ("a-1.0+local-py3-none-any.whl", "")
    assert (found.size, found.uploaded) == (None, 0)


def test_a_time_without_a_zone_does_not_depend_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    more = "size = 7, upload-time = 2026-01-02T03:04:05"  # PEP 751 says that it must be UTC
    text = lock(package("a", wheel("a-1.0-py3-none-any.whl", more=more)))
    found = []
    for zone in ("UTC0", "XST-9"):
        with monkeypatch.context() as patch:
            patch.setenv("TZ", zone)
            time.tzset()
            found.append(select(text, AMD, "pylock.toml")[0].uploaded)
    time.tzset()
    assert found == [1767323045, 1767323045]


def test_the_best_wheel_for_the_target_is_chosen() -> None:
    names = [
        "a-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "a-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "a-1.0-cp311-cp311-manylinux_2_99_x86_64.whl",
        "a-1.0-cp311-cp311-manylinux_2_28_aarch64.whl",
        "a-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "a-1.0-cp311-cp311-macosx_11_0_arm64.whl",
        "a-1.0-py3-none-any.whl",
    ]
    for order in (names, names[::-1]):
        text = lock(package("a", *map(wheel, order)))
        assert chosen(text) == ["a-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"]
        assert chosen(text, ARM) == ["a-1.0-cp311-cp311-manylinux_2_28_aarch64.whl"]


def test_markers_are_those_of_the_target() -> None:
    text = lock(
        package("b", wheel("b-1.0-py3-none-any.whl"), more="marker = \"sys_platform == 'win32'\""),
        package(
            "c",
            wheel("c-2.0-py3-none-any.whl"),
            version="2.0",
            more="marker = \"platform_machine == 'aarch64'\"",
        ),
        package(
            "c", wheel("c-1.0-py3-none-any.whl"), more="marker = \"platform_machine == 'x86_64'\""
        ),
        package("a", wheel("a-1.0-py3-none-any.whl")),
    )
    assert chosen(text) == ["a-1.0-py3-none-any.whl", "c-1.0-py3-none-any.whl"]
    assert chosen(text, ARM) == ["a-1.0-py3-none-any.whl", "c-2.0-py3-none-any.whl"]


def test_a_wheel_wins_over_the_source() -> None:
    sdist = (
        f'sdist = {{ name = "a-1.0.tar.gz", url = "{HOST}/a", hashes = {{ sha256 = "{HEX}" }} }}'
    )
    text = lock(package("a", wheel("a-1.0-py3-none-any.whl"), more=sdist))
    assert chosen(text) == ["a-1.0-py3-none-any.whl"]


def test_all_packages_without_a_wheel_are_one_error() -> None:
    hashes = f'hashes = {{ sha256 = "{HEX}" }}'
    text = lock(
        package(
            "source", more=f'sdist = {{ name = "source-1.0.tar.gz", url = "{HOST}/s", {hashes} }}'
        ),
        package("repo", more=f'vcs = {{ type = "git", url = "{HOST}/r", commit-id = "c" }}'),
        package("folder", version="", more='directory = { path = "../folder" }'),
        package("archive", more=f'archive = {{ url = "{HOST}/a.zip", {hashes} }}'),
        package("good", wheel("good-1.0-py3-none-any.whl")),
        package("other", wheel("other-1.0-cp311-cp311-win_amd64.whl")),
        package("weak", wheel("weak-1.0-py3-none-any.whl", hashes='sha512 = "ab"')),
        package("local", f'{{ name = "local-1.0-py3-none-any.whl", path = "l.whl", {hashes} }}'),
    )
    start = "for linux/amd64, CPython 3.11: the lock has"
    found = dict(problems(text))
    assert list(found) == [
        f"`archive 1.0` has no wheel {start} an archive",
        f"`folder` has no wheel {start} a folder of one machine",
        "`local` is a file of one machine, `l.whl`",
        next(message for message in found if message.startswith("`other` has no wheel for ")),
        f"`repo 1.0` has no wheel {start} a repository",
        f"`source 1.0` has no wheel {start} only a source distribution",
        "`weak-1.0-py3-none-any.whl` has no sha256 in the lock",
    ]
    assert found[f"`source 1.0` has no wheel {start} only a source distribution"] == WAY_OUT
    other = next(hint for message, hint in found.items() if message.startswith("`other` has"))
    assert other == "uv add 'other!=1.0' && lockstitch lock"
    assert all(found.values())  # each with a way out


def test_a_lock_for_another_python_is_refused() -> None:
    text = lock(package("a", wheel("a-1.0-py3-none-any.whl")), head='requires-python = ">=3.12"')
    ((message, hint),) = problems(text)
    assert message.startswith("`a` has no wheel for linux/amd64, CPython 3.11: ")
    assert hint


def test_two_packages_of_one_name_are_refused() -> None:
    text = lock(
        package("a", wheel("a-1.0-py3-none-any.whl")),
        package("a", wheel("a-2.0-py3-none-any.whl"), version="2.0"),
    )
    ((message, _),) = problems(text)
    assert message.startswith("`a` has no wheel for linux/amd64, CPython 3.11: ")


def test_an_empty_lock_has_no_wheels() -> None:
    assert select(lock(head="packages = []"), AMD, "pylock.toml") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lock-version = ", "`pylock.a.toml` is not valid TOML: "),
        ("", "`pylock.a.toml` is not a valid pylock: Missing required value in 'lock-version'"),
        ('lock-version = "9.0"\ncreated-by = "x"\npackages = []\n', "is not a valid pylock: "),
        (lock("packages = 1\n"), "is not a valid pylock: "),
        (lock(package("A B", wheel("a-1.0-py3-none-any.whl"))), "in 'packages[0].name'"),
        (lock(package("a", wheel("a.whl"))), "in 'packages[0].wheels[0]"),
        (lock(package("a", wheel("a-1.0-py3-none-any.whl", hashes="sha256 = 1"))), "hashes"),
        (lock(package("a", wheel("a-1.0-py3-none-any.whl"), more='marker = "x =="')), "marker"),
    ],
)
def test_an_invalid_lock_is_named_with_the_path_to_what_is_wrong(text: str, message: str) -> None:
    ((found, hint),) = problems(text)
    assert message in found
    assert found.startswith("`pylock.a.toml` ")
    assert hint == "lockstitch lock"


@pytest.mark.parametrize("text", [f"a = {'[' * 5000}", f"a = {'9' * 5000}"])
def test_toml_that_breaks_the_parser_is_named(text: str) -> None:
    with pytest.raises(LockstitchError, match="is not valid TOML"):
        read(text, "pylock.toml")


@pytest.mark.parametrize(
    "more",
    [
        "marker = \"python_version ~= 'abc'\"",
        "marker = \"'x' ~= 'y'\"",
        "marker = \"extra == 'a'\"",
        "marker = \"'a' in extras\"",
        "marker = \"'a' in dependency_groups\"",
        'requires-python = ">=3.12"',
        'requires-python = "three"',
    ],
)
def test_odd_conditions_are_a_result_or_an_error(more: str) -> None:
    assert all(outcome(lock(package("a", wheel("a-1.0-py3-none-any.whl"), more=more))))


@pytest.mark.parametrize(
    "url", ["http://[bad/a-1.0-py3-none-any.whl", "http://h:99999999/a.whl", "x"]
)
def test_odd_addresses_are_a_result_or_an_error(url: str) -> None:
    assert all(outcome(lock(package("a", f'{{ url = "{url}", hashes = {{ sha256 = "{HEX}" }} }}'))))


def test_a_sha256_that_is_none_is_refused() -> None:
    text = lock(package("a", wheel("a-1.0-py3-none-any.whl", hashes='sha256 = "abc"')))
    ((message, _),) = problems(text)
    assert "abc" in message


def outcome(text: str) -> list[str]:
    """Return what a lock gives: the names of its wheels, or what is wrong with it."""
    try:
        return [each.filename for each in select(text, AMD, "pylock.toml")]
    except LockstitchError as error:
        return [each.message for each in error.everything()]


WHOLE = lock(
    package(
        "a",
        wheel("a-1.0-py3-none-any.whl", more="size = 7, upload-time = 2026-01-02T03:04:05Z"),
        more='marker = "python_version >= \'3.8\'"\nrequires-python = ">=3.8"',
    ),
    package("b", wheel("b-1.0-cp311-cp311-manylinux_2_28_x86_64.whl")),
    head='requires-python = ">=3.11"\nenvironments = ["sys_platform == \'linux\'"]',
)
TOKENS = st.sampled_from(
    [
        *('""', "''", "=", "[[packages]]", "{", "}", "]", "1", "-1", "true", "2026-01-02", "\n"),
        *("1.0", '"1.0"', "packages", "wheels", "url", "path", "hashes", "sha256", "\x00", "é"),
        *("~=", "extra", "in", "9" * 30, "inf", "07:32:00", '"""', "\\u0000", "name", "vcs"),
    ]
)


def test_the_whole_lock_is_good() -> None:
    assert outcome(WHOLE) == [
        "a-1.0-py3-none-any.whl",
        "b-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    ]


@given(st.text(max_size=200))
def test_any_text_is_a_result_or_an_error(text: str) -> None:
    assert all(outcome(text))


@given(st.data())
def test_any_change_of_a_lock_is_a_result_or_an_error(data: st.DataObject) -> None:
    text = WHOLE
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(TOKENS | st.text(max_size=4)) + text[end:]
    assert all(outcome(text))
