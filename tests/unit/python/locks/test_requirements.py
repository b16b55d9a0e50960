"""Requirements files with hashes are read, and what pins nothing is named by its line."""

from pathlib import Path

import pytest
from support import errors

from lockstitch.errors import LockstitchError
from lockstitch.python.locks import Pinned, lists, requirements
from lockstitch.python.locks.lists import Required
from lockstitch.python.target import Target

AMD = Target(platform="linux/amd64", python="3.11.2", glibc="2.36")
ARM = Target(platform="linux/arm64", python="3.11.2", glibc="2.36")
HEX = "ab" * 32
OTHER = "cd" * 32
HASH = f"--hash=sha256:{HEX}"
HOST = "https://host.example.test"
COMPILE = "uv pip compile --universal --generate-hashes reqs.txt -o reqs-lock.txt"
EXPORT = "uv export --no-emit-local --format requirements.txt -o reqs.txt"
BUILD = "publish its wheel in an index and pin that version: uv build --wheel"


def pins(text: str, target: Target = AMD) -> list[str]:
    return [f"{pin.name} {pin.version}" for pin in requirements.select(text, target)]


def problems(text: str) -> list[tuple[str, str]]:
    return errors.problems(lambda: requirements.select(text, AMD, "reqs.txt"))


def test_lines_comments_and_hashes_are_read_as_pip_does() -> None:
    text = f"""\
\ufeff# a comment \\
--index-url {HOST}/simple
Big_Name[extra]==1.0.0 \\
    {HASH} \\
    --hash=sha256:{OTHER.upper()} --hash=sha512:abc
    # via nothing
b===2.0 --hash sha256:{HEX} --config-settings=x=y  # a comment # more
c==1!3.0+local \\
    {HASH} \\"""
    assert requirements.select(text, AMD) == [
        Pinned(name="b", version="2.0", hashes=frozenset({f"sha256:{HEX}"})),
        Pinned(
            name="big-name", version="1.0.0", hashes=frozenset({f"sha256:{HEX}", f"sha256:{OTHER}"})
        ),
        Pinned(name="c", version="1!3.0+local", hashes=frozenset({f"sha256:{HEX}"})),
    ]


def test_markers_are_those_of_the_target() -> None:
    text = f"""\
a==1.0 ; sys_platform == 'win32' {HASH}
b==1.0 ; platform_machine == 'x86_64' {HASH}
b==2.0 ; platform_machine != 'x86_64' {HASH}
c==1.0 ; python_full_version >= '3.11' and python_full_version < '3.12' {HASH}
a==1.0 ; sys_platform == 'win32'
"""
    assert pins(text) == ["b 1.0", "c 1.0"]
    assert pins(text, ARM) == ["b 2.0", "c 1.0"]


def test_an_address_with_a_hash_is_a_pin() -> None:
    url = f"{HOST}/x/a-1.0%2Blocal-py3-none-any.whl"
    for line in (f"a @ {url} {HASH}", f"a @ {url}#sha256={HEX}"):
        (pin,) = requirements.select(line.replace("//", "//me:secret@"), AMD)
        assert (pin.url, pin.filename, pin.version) == (
            url,
            "a-1.0+local-py3-none-any.whl",
            "1.0+local",
        )
    other = "`a-1.0-cp311-cp311-win_amd64.whl` is no wheel of `a` for linux/amd64, CPython 3.11"
    assert problems(f"a @ {HOST}/a-1.0-cp311-cp311-win_amd64.whl {HASH}") == [
        (f"`reqs.txt:1`: {other}", "name the address of a wheel that fits")
    ]


def test_every_line_that_pins_nothing_is_named_with_the_command_that_mends_it() -> None:
    text = f"""\
a==1.0
b==1.0 \\
    --hash=md5:abc
c>=1.0 {HASH}
d==1.* {HASH}
e==1.0,!=2 {HASH}
f {HASH}
-e .
--editable=git+{HOST}/x.git
./folder
/g.whl
h.whl
git+{HOST}/r.git
i @ git+{HOST}/r.git {HASH}
j @ file:///j-1.0-py3-none-any.whl {HASH}
k @ {HOST}/k-1.0-py3-none-any.whl
{HOST}/l-1.0-py3-none-any.whl {HASH}
m @ {HOST}/m-1.0.tar.gz {HASH}
n==1.0 --hash=sha256:abc
o==1.0 {HASH} --hsh=sha256:abc
p==1.0 ; x == 1 {HASH}
q==1.0 ; python_version ~= 'abc' {HASH}
r===one {HASH}
-c constraints.txt
-r other.txt
--wrong
-
"""
    found = problems(text)
    assert [message.partition(": ")[0] for message, _ in found] == [
        f"`reqs.txt:{line}`" for line in (1, 2, *range(4, 28))
    ]
    assert {hint for _, hint in found} == {
        COMPILE, EXPORT, BUILD, f"write it as NAME @ URL, then: {COMPILE}"
    }  # fmt: skip
    said = {message.partition(": ")[0][1:-1]: (message, hint) for message, hint in found}
    assert said["reqs.txt:1"] == ("`reqs.txt:1`: `a` has no sha256", COMPILE)
    assert said["reqs.txt:2"] == ("`reqs.txt:2`: `b` has no sha256, only md5", COMPILE)
    assert said["reqs.txt:4"] == ("`reqs.txt:4`: `c` is not pinned with `==`: >=1.0", COMPILE)
    assert said["reqs.txt:7"] == ("`reqs.txt:7`: `f` is not pinned with `==`: any version", COMPILE)
    editable = "`reqs.txt:8`: `-e .` is editable: a folder of one machine"
    assert said["reqs.txt:8"] == (editable, EXPORT)
    assert said["reqs.txt:10"] == ("`reqs.txt:10`: `./folder` is a path of one machine", EXPORT)
    assert said["reqs.txt:14"] == ("`reqs.txt:14`: `i` comes from a repository", BUILD)
    assert said["reqs.txt:16"] == ("`reqs.txt:16`: `k` has no sha256", COMPILE)


def test_a_password_is_never_shown() -> None:
    text = """\
-e git+https://me:secret@host.example.test/x.git
git+https://me:secret@host.example.test/x.git
https://me:secret@host.example.test/x.whl
x @ file://me:secret@host.example.test/x.whl
-c https://me:secret@host.example.test/x.txt
--index-url https://me:secret@host.example.test/simple
"""
    assert "secret" not in str(problems(text))
    assert requirements.ignored(text) == [
        "`requirements.txt:6`: `--index-url` is ignored: uv's settings count"
    ]


def test_one_package_twice_is_named_with_both_lines() -> None:
    ((message, hint),) = problems(f"a==1.0 {HASH}\nb==1.0 {HASH}\na==2.0 {HASH}\n")
    assert message == (
        "`reqs.txt:3`: `a` is pinned twice for linux/amd64: 1.0 at `reqs.txt:1`, 2.0 here"
    )
    assert hint == "keep one of the two lines"
    assert pins(f"a==1.0 {HASH}\nA==1.0 {HASH}\n") == ["a 1.0"]


def test_other_files_of_the_project_are_followed(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    (folder / "reqs").mkdir(parents=True)
    (folder / "reqs" / "prod.txt").write_text(
        f"-r base.txt\n--requirement=../top.txt\na==1.0 {HASH}"
    )
    (folder / "reqs" / "base.txt").write_text(f"-r prod.txt\nb==1.0 {HASH}")
    (folder / "top.txt").write_text(f"c==1.0 {HASH}")
    found = requirements.pins(folder, "reqs/prod.txt", AMD)
    assert [pin.name for pin in found] == ["a", "b", "c"]


def test_files_outside_of_the_project_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "out.txt").write_text(f"a==1.0 {HASH}")
    (folder / "link.txt").symlink_to(tmp_path / "out.txt")
    lines = ["../out.txt", str(tmp_path / "out.txt"), "link.txt", f"{HOST}/x.txt", "none.txt", "."]
    (folder / "r.txt").write_text("".join(f"-r {line}\n" for line in lines))
    with pytest.raises(LockstitchError) as caught:
        requirements.pins(folder, "r.txt", AMD)
    found = list(caught.value.everything())
    assert [error.message.partition(": ")[0] for error in found] == [
        f"`r.txt:{number}`" for number in range(1, 7)
    ]
    assert all("leads out of the project" in found[n].message for n in (0, 1, 2, 3, 5))
    assert all(error.hint for error in found)


def test_an_empty_file_pins_nothing() -> None:
    assert requirements.select("\n  # nothing\n\\\n", AMD) == []


@pytest.mark.parametrize(
    "head", ["a" * 9000, "a" + "(" * 4000, f"a==1.0 ; {'(' * 4000}", "a==" + "9" * 5000]
)
def test_odd_requirements_are_an_error(head: str) -> None:
    assert len(problems(f"{head} --hash=sha512:ab")) == 1


# --- lists of any quality


def one(line: str) -> Required:
    (found,) = lists.read(line).entries
    return found


@pytest.mark.parametrize(
    ("line", "name", "specifier", "version", "marker"),
    [
        ("numpy", "numpy", "", "", ""),
        ("Scikit_Learn>=1.5,<2  # why", "scikit-learn", ">=1.5,<2", "", ""),
        ("numpy==2.1.0", "numpy", "==2.1.0", "2.1.0", ""),
        ("numpy == 2.1.0 ; python_version < '3.12'", "numpy", "== 2.1.0", "2.1.0",
         "python_version < '3.12'"),
        ("numpy==2.*", "numpy", "==2.*", "", ""),
        ("numpy===2.1.0", "numpy", "===2.1.0", "2.1.0", ""),
        ("uvicorn[standard]==0.30.1", "uvicorn", "==0.30.1", "0.30.1", ""),
        ("requests (>=2)", "requests", ">=2", "", ""),
    ],
)  # fmt: skip
def test_a_listed_name(line: str, name: str, specifier: str, version: str, marker: str) -> None:
    found = one(line)
    assert (found.name, found.specifier, found.version) == (name, specifier, version)
    assert (found.marker, found.local, found.pinned) == (marker, "", bool(version))


@pytest.mark.parametrize(
    ("line", "kind", "name"),
    [
        ("-e .", "editable", ""),
        ("-e ./lib[extra]", "editable", ""),
        ("--editable=git+https://host.test/a.git@main#egg=My_Pkg", "editable", "my-pkg"),
        ("git+https://host.test/a.git#egg=a", "git", "a"),
        ("https://host.test/a-1.0-py3-none-any.whl", "url", ""),
        ("a @ https://host.test/a-1.0.zip", "url", "a"),
        ("numpy @ file:///croot/numpy_1", "path", "numpy"),
        ("./wheels/a-1.0-py3-none-any.whl", "path", ""),
        ("wheels/a-1.0-py3-none-any.whl", "path", ""),
        (".", "path", ""),
    ],
)
def test_a_listed_place(line: str, kind: str, name: str) -> None:
    found = one(line)
    assert (found.local, found.name, found.pinned) == (kind, name, False)


def test_lines_are_joined_and_hashes_are_read() -> None:
    text = (
        "\ufeff# words\n--index-url https://host.test/simple\n"
        f"numpy==2.1.0 \\\n    {HASH} \\\n    # words between\n    {HASH}\n"
        "-r base.txt\r\npandas==2.2.3"
    )
    found = lists.read(text)
    assert [(e.name, e.line, len(e.hashes)) for e in found.entries] == [
        ("numpy", 3, 2),
        ("pandas", 8, 0),
    ]
    assert [(o.name, o.value, o.line) for o in found.options] == [
        ("--index-url", "https://host.test/simple", 2),
        ("-r", "base.txt", 7),
    ]


@pytest.mark.parametrize(
    "text", ["", "\\", "\\\n", "@", "-", "--", "!!", "[", "a[", ";", "é==1", "\0"]
)
def test_a_list_of_any_quality_raises_nothing(text: str) -> None:
    lists.read(text)


def test_names_of_requirements_files() -> None:
    names = [
        "requirements.txt",
        "requirements-dev.txt",
        "dev-requirements.in",
        "requirements/base.txt",
    ]
    assert all(map(lists.is_name, names))
    others = ["readme.txt", "requirements.md", "data/words.txt", "CMakeLists.txt"]
    assert not any(map(lists.is_name, others))
