"""Readers of locks: a result or an error with a way out, never a traceback; and back again."""

import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.lock import urls
from lockstitch.python.locks import LockedWheel, Pinned, poetry, pylock, requirements
from lockstitch.python.target import Target

TARGETS = {
    platform: Target(platform=platform, python="3.11.2", glibc="2.36")
    for platform in ("linux/amd64", "linux/arm64")
}
AMD = TARGETS["linux/amd64"]
HEX = "ab" * 32


def outcome(read: Callable[[], object]) -> bool:
    """Return whether there was a result; an error must say something, and what to do."""
    try:
        read()
    except LockstitchError as error:
        for each in error.everything():
            assert each.message
            assert each.hint
        return False
    return True


# --- poetry.lock

markers = st.sampled_from(
    [
        *("", "*", "<empty>", "(", "x", "extra == 'a'", "extra != 'b'", "'a' == extra"),
        *("sys_platform == 'win32'", "python_version < '3.12'", "python_version ~= 'x'"),
        *("platform_machine == 'x86_64' or extra == 'a'", "'a' in extras", "'x' == 'x'"),
        *("platform_version == 'extra == \"a\"'", "python_full_version in '3.11.2'"),
    ]
)
junk = st.recursive(
    st.one_of(st.integers(-9, 9), st.booleans(), st.text(max_size=6), st.just("")),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=3,
)
plain = st.sampled_from(["a", "b", "A.b"])
versions = st.sampled_from(["1.0", "2.0", "1.0+x", "1!0", "x", "1.0.dev0"])
hashes = st.sampled_from([f"sha256:{HEX}", "sha256:1", "md5:ab", "", "sha256:" + "G" * 64])
filenames = st.sampled_from(
    [
        *("a-1.0-py3-none-any.whl", "b-2.0-1-py3-none-any.whl", "a-1.0.tar.gz", "a.whl", ""),
        *("A.b-1.0-py3-none-any.whl", "a-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", "a-x-y-z.whl"),
    ]
)
sources = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["legacy", "git", "url", "", "x"]),
        "url": st.sampled_from(["https://h.test/s", "https://u:p@h.test/s", "x", "http://[x", ""]),
        "reference": st.text(max_size=6),
    },
)


def mostly(good: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(*[good] * 12, junk)


packages = st.fixed_dictionaries(
    {
        "name": mostly(plain),
        "version": mostly(versions),
        "groups": mostly(st.lists(st.sampled_from(["main", "dev"]), min_size=1)),
        "files": mostly(
            st.lists(mostly(st.fixed_dictionaries({"file": filenames, "hash": hashes})), max_size=4)
        ),
    },
    optional={
        "markers": mostly(st.one_of(markers, st.dictionaries(st.just("main"), markers))),
        "source": mostly(sources),
        "optional": st.booleans(),
    },
)
documents = st.fixed_dictionaries(
    {
        "package": mostly(st.lists(packages, max_size=4)),
        "metadata": mostly(
            st.fixed_dictionaries(
                {"lock-version": mostly(st.just("2.1"))},
                optional={"python-versions": mostly(st.sampled_from([">=3.11", "^3.11", "*"]))},
            )
        ),
    },
    optional={"extras": mostly(st.just({"a": ["a"], "b": []}))},
)


def toml(value: object) -> str:
    """Return a value as inline TOML."""
    if isinstance(value, dict):
        inner = (f"{json.dumps(k).replace(chr(127), '')} = {toml(v)}" for k, v in value.items())
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value).replace("\x7f", "")


def document(parts: dict[str, object]) -> str:
    return "".join(f"{key} = {toml(value)}\n" for key, value in parts.items())


def read_poetry(text: str) -> bool:
    outcome(lambda: poetry.requirements(text))
    return outcome(lambda: poetry.select(text, AMD, ["dev"], ["a"]))


@given(documents)
def test_any_poetry_lock_is_a_result_or_an_error(parts: dict[str, object]) -> None:
    read_poetry(document(parts))


@given(st.text(max_size=200))
def test_any_text_is_no_poetry_lock(text: str) -> None:
    assert not read_poetry(text)


WHOLE = document(
    {
        "package": [
            {
                "name": "a",
                "version": "1.0",
                "groups": ["main"],
                "markers": "extra == 'a' or os_name == 'posix'",
                "files": [{"file": "a-1.0-py3-none-any.whl", "hash": f"sha256:{HEX}"}],
            }
        ],
        "extras": {"a": ["a"]},
        "metadata": {"lock-version": "2.1", "python-versions": "^3.11"},
    }
)


def spoilt(text: str) -> st.SearchStrategy[str]:
    """Return texts with a part cut out or written over."""
    places = st.integers(0, len(text))
    piece = st.text(max_size=3)
    return st.builds(
        lambda at, to, new: text[: min(at, to)] + new + text[max(at, to) :], places, places, piece
    )


@given(spoilt(WHOLE))
def test_a_spoilt_poetry_lock_is_a_result_or_an_error(text: str) -> None:
    assert read_poetry(WHOLE)
    read_poetry(text)


good = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["main", "dev"]), markers.filter(bool)),
    unique_by=lambda each: each[0],
)


@given(good, st.sampled_from([*TARGETS]))
def test_a_lock_and_its_requirements_pin_the_same(
    rows: list[tuple[str, str, str]], platform: str
) -> None:
    text = document(
        {
            "package": [
                {
                    "name": name,
                    "version": "1.0",
                    "groups": [group],
                    "markers": marker,
                    "files": [{"file": f"{name}-1.0-py3-none-any.whl", "hash": f"sha256:{HEX}"}],
                }
                for name, group, marker in rows
            ],
            "extras": {"a": [], "b": []},
            "metadata": {"lock-version": "2.1"},
        }
    )
    try:
        wanted = poetry.select(text, TARGETS[platform], ["dev"], ["a", "b"])
        found = requirements.select(poetry.requirements(text), TARGETS[platform])
    except LockstitchError:
        return
    assert [(p.name, p.version, p.hashes) for p in found] == [
        (p.name, p.version, p.hashes) for p in wanted
    ]


# --- requirements files

words = st.sampled_from(
    [
        *("a", "b==1.0", "a==1.0", "==", ">=1", " ", "  ", "\\\n", "\n", "#", " # x", ";", "\t"),
        *(f"--hash=sha256:{HEX}", "--hash=sha256:1", "--hash", "--hash=md5:1", " -", "--", "="),
        *("-e .", "-r x.txt", "-c y", "--index-url https://u:secret@h.test", "-i", "./x", "/y"),
        *("git+https://u:secret@h.test/r", "@ https://u:secret@h.test/a-1.0-py3-none-any.whl"),
        *("; os_name == 'posix'", "extra == 'a'", "[x]", "(", ")", "'", '"', "file:", "\ufeff"),
        *("https://[", "@ http://[x", "\x0c", "\u2028", "é", "\0", "#sha256=" + HEX),
    ]
)
texts = st.one_of(st.text(max_size=80), st.lists(words, max_size=14).map("".join))


@given(texts, st.one_of(st.none(), texts))
def test_any_requirements_are_a_result_or_an_error(text: str, other: str | None) -> None:
    def follow(path: str) -> str:
        if other is None:
            raise LockstitchError(path, hint="none")
        return other

    for each in (None, follow):
        outcome(lambda each=each: requirements.select(text, AMD, "r.txt", each))
    said = told(lambda: requirements.select(text, AMD, "r.txt", follow))
    assert "secret" not in repr(said)
    assert all(pin.hashes for pin in said if isinstance(pin, Pinned))


def told(read: Callable[[], list[Pinned]]) -> list[Pinned] | list[tuple[str, str]]:
    try:
        pins = read()
    except LockstitchError as error:
        return [(each.message, each.hint) for each in error.everything()]
    assert all(one.name < two.name for one, two in pairwise(pins))
    return pins


@given(spoilt(f"a==1.0 ; os_name == 'posix' \\\n    --hash=sha256:{HEX} \\\n    # via b\nb==2.0"))
def test_spoilt_requirements_are_a_result_or_an_error(text: str) -> None:
    outcome(lambda: requirements.select(text, AMD))


# --- pylock

names = st.from_regex(r"[a-z]{1,6}(-[a-z0-9]{1,3})?", fullmatch=True)
tags = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}


def wheels_of(platform: str) -> st.SearchStrategy[list[LockedWheel]]:
    def wheel(name: str, version: str, tag: str, size: int | None, uploaded: int) -> LockedWheel:
        filename = f"{name.replace('-', '_')}-{version}-{tag}.whl"
        return LockedWheel(
            name=name,
            version=version,
            filename=filename,
            url=f"https://host.test/é%20{filename}?x=1",
            digest=of_bytes(filename.encode()),
            size=size,
            uploaded=uploaded,
        )

    native = f"cp311-cp311-manylinux_2_17_{tags[platform]}"
    made = st.builds(
        wheel,
        names,
        st.sampled_from(["1.0", "2.0+cpu", "1!3rc1"]),
        st.sampled_from(["py3-none-any", native]),
        st.just(7),
        st.just(1_700_000_000),
    )
    return st.lists(made, max_size=6, unique_by=lambda each: each.name)


@pytest.mark.slow
@given(st.fixed_dictionaries({platform: wheels_of(platform) for platform in TARGETS}))
def test_a_written_lock_is_read_back(wheels: dict[str, list[LockedWheel]]) -> None:
    # A wheel for one machine and another for all, of one version, are chosen by their tags.
    text = urls.dumps(wheels, "3.11")
    again = {p: pylock.select(text, target, "pylock.toml") for p, target in TARGETS.items()}
    for platform, found in again.items():
        assert found == sorted(wheels[platform])
    assert urls.dumps(again, "3.11") == text
    turned = {platform: found[::-1] for platform, found in reversed(again.items())}
    assert urls.dumps(turned, "3.11") == text


@pytest.mark.parametrize(("size", "uploaded"), [(None, 0), (0, 1)])
def test_what_a_lock_does_not_say_is_not_made_up(size: int | None, uploaded: int) -> None:
    wheel = LockedWheel(
        name="a",
        version="1.0",
        filename="a-1.0-py3-none-any.whl",
        url='https://host.test/"\\\x7f\t',
        digest=of_bytes(b""),
        size=size,
        uploaded=uploaded,
    )
    text = urls.dumps({"linux/amd64": [wheel]}, "3.11")
    assert pylock.select(text, AMD, "pylock.toml") == [wheel]
