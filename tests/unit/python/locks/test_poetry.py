"""poetry.lock is read, and what it pins for a target is chosen as Poetry would."""

import pytest
from support import errors

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.lock import urls
from lockstitch.python.locks import LockedWheel, Pinned, poetry, pylock, requirements
from lockstitch.python.locks.pylock import Unbuilt
from lockstitch.python.target import Target

AMD = Target(platform="linux/amd64", python="3.11.2", glibc="2.36")
ARM = Target(platform="linux/arm64", python="3.11.2", glibc="2.36")
HEX = "ab" * 32
OTHER = "cd" * 32
LOCKED = LockedWheel(
    name="x",
    version="1.0",
    filename="x-1.0-py3-none-any.whl",
    url="",
    digest=Digest.of_hex(HEX),
    size=None,
    uploaded=0,
)
WAY_OUT = "lockstitch lock builds one, or pin a version that has a wheel"


def file(name: str, digest: str = f"sha256:{HEX}") -> str:
    return f'{{file = "{name}", hash = "{digest}"}}'


def package(
    name: str, *files: str, version: str = "1.0", groups: str = '["main"]', more: str = ""
) -> str:
    names = files or (file(f"{name.replace('-', '_')}-{version}-py3-none-any.whl"),)
    lines = ["[[package]]", f'name = "{name}"', f'version = "{version}"', "optional = false"]
    lines += [f"groups = {groups}", f"files = [{', '.join(names)}]", more]
    return "\n".join(lines) + "\n"


def lock(*packages: str, form: str = "2.1", python: str = ">=3.11", extras: str = "") -> str:
    tail = (
        f'[extras]\n{extras}\n[metadata]\nlock-version = "{form}"\npython-versions = "{python}"\n'
    )
    return "\n".join(packages) + tail


def names(text: str, *groups: str, extras: tuple[str, ...] = (), target: Target = AMD) -> list[str]:
    return [f"{pin.name} {pin.version}" for pin in poetry.select(text, target, groups, extras)]


def problems(
    text: str, *groups: str, extras: tuple[str, ...] = (), target: Target = AMD
) -> list[tuple[str, str]]:
    return errors.problems(lambda: poetry.select(text, target, groups, extras, "poetry.lock"))


def test_a_pin_has_all_that_the_lock_says() -> None:
    source = '[package.source]\ntype = "legacy"\nreference = "my index"\n'
    source += 'url = "https://me:secret@index.example.test/simple"\n'
    (pin,) = poetry.select(lock(package("Big.Name", version="1.0.0", more=source)), AMD)
    assert isinstance(pin, Pinned)
    assert (pin.name, pin.version, pin.url) == ("big-name", "1.0.0", "")
    assert pin.index == "my-index=https://index.example.test/simple"
    assert pin.hashes == {f"sha256:{HEX}"}
    assert pin.filename == "Big.Name-1.0.0-py3-none-any.whl"


def test_the_main_group_is_always_in_and_others_when_asked() -> None:
    text = lock(
        package("a"),
        package("b", groups='["train", "dev"]'),
        package("c", groups='["dev"]'),
        package("d", groups='["Big_Group"]'),
    )
    assert names(text) == ["a 1.0"]
    assert names(text, "train") == ["a 1.0", "b 1.0"]
    assert names(text, "dev", "big-group") == ["a 1.0", "b 1.0", "c 1.0", "d 1.0"]


def test_a_marker_may_stand_for_each_group() -> None:
    windows, x86 = '"sys_platform == \\"win32\\""', '"platform_machine == \\"x86_64\\""'
    text = lock(
        package("a", more=f"markers = {windows}"),
        package(
            "b", groups='["main", "train"]', more=f"markers = {{main = {windows}, train = {x86}}}"
        ),
        package("c", groups='["main", "dev"]', more=f"markers = {{dev = {windows}}}"),
        package("d", more='markers = "<empty>"'),
    )
    assert names(text) == ["c 1.0"]
    assert names(text, "train") == ["b 1.0", "c 1.0"]
    assert names(text, "train", target=ARM) == ["c 1.0"]


def test_extras_are_a_set() -> None:
    text = lock(
        package("plain"),
        package("plot", more='markers = "extra == \\"plot\\""'),
        package("cpu", more='markers = "extra == \\"cpu\\" and extra != \\"gpu-x\\""'),
        package("both", more='markers = "extra == \\"plot\\" and extra == \\"cpu\\""'),
        extras='plot = ["plot"]\ncpu = ["cpu"]\nGPU_X = []',
    )
    assert names(text) == ["plain 1.0"]
    assert names(text, extras=("plot",)) == ["plain 1.0", "plot 1.0"]
    assert names(text, extras=("CPU",)) == ["cpu 1.0", "plain 1.0"]
    assert names(text, extras=("cpu", "gpu.x")) == ["plain 1.0"]
    assert names(text, extras=("cpu", "plot")) == ["both 1.0", "cpu 1.0", "plain 1.0", "plot 1.0"]
    assert problems(text, extras=("polt",)) == [
        ("`poetry.lock` has no extra `polt` (it has: cpu, gpu-x, plot)", "poetry lock")
    ]


def test_the_best_wheel_of_the_target_is_chosen() -> None:
    files = [
        "a-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "a-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "a-1.0-cp311-cp311-manylinux_2_99_x86_64.whl",
        "a-1.0-cp311-cp311-manylinux_2_28_aarch64.whl",
        "a-1.0-py3-none-any.whl",
        "a-1.0.tar.gz",
        "b-1.0-cp311-cp311-manylinux_2_31_x86_64.whl",  # another package's
        "a-2.0-cp311-cp311-manylinux_2_31_x86_64.whl",  # another version's
        "no wheel.whl",
    ]
    for order in (files, files[::-1]):
        text = lock(package("a", *map(file, order)))
        (amd,), (arm,) = poetry.select(text, AMD), poetry.select(text, ARM)
        assert amd.filename == "a-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
        assert arm.filename == "a-1.0-cp311-cp311-manylinux_2_28_aarch64.whl"


def test_the_latest_build_of_a_wheel_is_chosen() -> None:
    files = ["a-1.0-py3-none-any.whl", "a-1.0-2-py3-none-any.whl", "a-1.0-10-py3-none-any.whl"]
    for order in (files, files[::-1]):
        (pin,) = poetry.select(lock(package("a", *map(file, order))), AMD)
        assert pin.filename == "a-1.0-10-py3-none-any.whl"


def test_all_that_cannot_go_into_an_image_is_one_error() -> None:
    def source(kind: str) -> str:
        return f'[package.source]\ntype = "{kind}"\nurl = "../x"\n'

    text = lock(
        package("archive", file("archive-1.0.zip", "md5:abc"), more=source("url")),
        package("file", file("file-1.0.tar.gz", "md5:abc"), more=source("file")),
        package("folder", more='[package.source]\ntype = "directory"\n'),
        package("good"),
        package("odd", more=source("moon")),
        package("other", file("other-1.0-cp311-cp311-win_amd64.whl")),
        package("repo", more=source("git")),
        package("unasked", groups='["dev"]', more=source("git")),
        package("weak", file("weak-1.0-py3-none-any.whl", "md5:abc")),
        package("twice", version="1.0"),
        package("twice", version="2.0"),
    )
    found = dict(problems(text))
    where = "for linux/amd64, CPython 3.11"
    assert list(found) == [
        f"`twice` is locked 2 times {where}: 1.0, 2.0",
        "`archive 1.0` has no sha256 in the lock",
        "`file 1.0` has no sha256 in the lock",
        "`folder 1.0` has no folder in the lock",
        "`odd 1.0` comes from a source of the kind `moon`",
        f"`other 1.0` has no wheel {where}: the lock has only other wheels",
        "`repo 1.0` has no commit in the lock",
        "`weak-1.0-py3-none-any.whl` has no sha256 in the lock",
    ]
    assert all(found.values())  # each with a way out
    assert found[f"`other 1.0` has no wheel {where}: the lock has only other wheels"] == WAY_OUT


def test_what_comes_from_no_index_is_pinned_too() -> None:
    def source(kind: str, url: str, more: str = "") -> str:
        return f'[package.source]\ntype = "{kind}"\nurl = "{url}"\n{more}'

    commit = 'resolved_reference = "c0ffee"\nsubdirectory = "sub"\n'
    text = lock(
        package("archive", file("archive-1.0.zip"), more=source("url", "https://x.test/a.zip")),
        package("file", more=source("file", "vendor/file-1.0-py3-none-any.whl")),
        package("folder", more=source("directory", "libs/folder")),
        package("only-source", file("only-source-1.0.tar.gz")),
        package("repo", more=source("git", "https://x.test/repo", commit)),
    )
    *others, sdist, repo = poetry.select(text, AMD)
    found = [(e.name, e.kind, e.artifact, e.url) for e in (*others, repo) if isinstance(e, Unbuilt)]
    assert found == [
        ("archive", "archive", f"sha256:{HEX}", "https://x.test/a.zip"),
        ("file", "wheel", f"sha256:{HEX}", "vendor/file-1.0-py3-none-any.whl"),
        ("folder", "folder", "libs/folder", ""),
        ("repo", "git", "https://x.test/repo@c0ffee#sub", ""),
    ]
    assert isinstance(sdist, Pinned)
    assert (sdist.filename, sdist.is_wheel) == ("only-source-1.0.tar.gz", False)
    assert poetry.requirements(text).replace(f" \\\n    --hash=sha256:{HEX}", "") == (
        "archive @ https://x.test/a.zip\n./vendor/file-1.0-py3-none-any.whl\n./libs/folder\n"
        "only-source==1.0\nrepo @ git+https://x.test/repo@c0ffee#subdirectory=sub\n"
    )
    (wheel,) = (other for other in others if other.name == "file")
    both = {"linux/amd64": [*others, repo], "linux/arm64": [wheel]}
    written = urls.dumps({"linux/amd64": [], "linux/arm64": []}, "3.11", both)
    assert pylock.select(written, AMD, "it", built=lambda _: LOCKED) == [LOCKED] * len(
        [*others, repo]
    )
    again: list[Unbuilt | None] = []
    pylock.select(written, AMD, "it", built=lambda each: again.append(each) or LOCKED)
    assert [each.artifact for each in again if each] == [artifact for _, _, artifact, _ in found]


@pytest.mark.parametrize("form", ["1.1", "2.0", "3.0", "2.x", "two"])
def test_a_lock_without_groups_is_refused(form: str) -> None:
    ((message, hint),) = problems(lock(package("a"), form=form))
    assert message == f"`poetry.lock` has lock-version `{form}`, lockstitch reads 2.1 and later 2.x"
    assert hint.startswith("poetry lock")


@pytest.mark.parametrize(
    ("python", "fits"),
    [
        ("*", True),
        (">=3.11", True),
        (">=3.11,<4", True),
        (">= 3.11 <4", True),
        ("^3.11", True),
        ("^3.12", False),
        ("~3.11", True),
        ("~3.11.3", False),
        ("~3.10", False),
        ("~3", True),
        ("~=3.11", True),
        ("3.11.*", True),
        ("3.10", False),
        ("3.10.* || ~3.11", True),
        (">=2.7,!=3.0.*,<3.11", False),
    ],
)
def test_a_lock_for_another_python_is_refused(python: str, fits: bool) -> None:
    text = lock(package("a"), python=python)
    if fits:
        assert names(text) == ["a 1.0"]
    else:
        ((message, hint),) = problems(text)
        assert message == f"`poetry.lock` is for Python {python}, the image has 3.11.2"
        assert hint == "allow 3.11.2 in pyproject.toml: poetry lock"


def test_an_empty_lock_pins_nothing() -> None:
    assert names(lock("package = []\n")) == []


BAD = package("a", more="markers = 1\n") + package("b", version="x y", groups="[]")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("package = ", "is not valid TOML: "),
        ("", "has lock-version ``"),
        ("metadata = 1\n", "`metadata` must be a table, found `1`"),
        (lock("package = 1\n"), "`package` must be a list of tables"),
        (lock("package = [1]\n"), "`package[0]` must be a table, found `1`"),
        (lock(package("a"), BAD), "`package[1].markers` must be a text, found `1`"),
        (lock(package("a"), BAD), "`package[2].version` is `x y`, which is no version"),
        (lock(package("a"), BAD), "`package[2].groups` is missing or empty"),
        (lock(package("a", "1")), "`package[0].files[0]` must be a table"),
        (lock(package("a", '{file = "a.whl"}')), "`package[0].files[0].hash` is missing"),
        (lock(package("a", file("a.whl", "sha256:1"))), "`package[0].files[0].hash` is wrong: "),
        (
            lock(package("a", more='[package.source]\ntype = "legacy"\nurl = "x"')),
            "`package[0].source.url` is no address of an index",
        ),
        (
            lock(package("a", more='[package.source]\ntype = "legacy"\nurl = "http://[x"')),
            "`package[0].source.url` is no address of an index",
        ),
        (lock(package("a", more='markers = "x =="')), "`package[0].markers`: the marker `x ==`"),
        (lock(package("a", more="markers = \"python_version ~= 'abc'\"")), "cannot be decided"),
        (lock(package("a", more=f'markers = "{"(" * 4000}"')), "cannot be decided"),
        (lock(package("a"), python="x"), "`metadata.python-versions` is `x`"),
        (lock(package("a", version="9" * 5000)), "which is no version"),
    ],
)
def test_a_broken_lock_is_named_with_the_path_to_what_is_wrong(text: str, message: str) -> None:
    found = problems(text)
    assert any(message in each for each, _ in found), found
    assert all(each.startswith("`poetry.lock`") and hint for each, hint in found)


def test_all_of_a_lock_as_requirements() -> None:
    text = lock(
        package("a", file("a-1.0-py3-none-any.whl"), file("a-1.0.tar.gz", f"sha256:{OTHER}")),
        package("b", groups='["dev"]', more="markers = \"sys_platform == 'win32'\""),
        package("c", more='markers = "extra == \\"plot\\""'),
        package(
            "d",
            groups='["main", "dev"]',
            more="markers = {main = \"sys_platform == 'linux'\", dev = \"os_name == 'nt'\"}",
        ),
    )
    assert poetry.requirements(text) == (
        f"a==1.0 \\\n    --hash=sha256:{HEX} \\\n    --hash=sha256:{OTHER}\n"
        f'b==1.0 ; sys_platform == "win32" \\\n    --hash=sha256:{HEX}\n'
        f"c==1.0 \\\n    --hash=sha256:{HEX}\n"
        f'd==1.0 ; (os_name == "nt") or (sys_platform == "linux") \\\n    --hash=sha256:{HEX}\n'
    )
    found = requirements.select(poetry.requirements(text), AMD)
    assert [pin.name for pin in found] == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (package("a", file("a.whl", "md5:1")), "`a 1.0` has no sha256 in `poetry.lock`"),
        (package("a", more='markers = "x =="'), "the marker `x ==` cannot be read"),
        (package("a", more='[package.source]\ntype = "git"'), "`a 1.0` has no commit in the lock"),
    ],
)
def test_what_requirements_cannot_say(bad: str, message: str) -> None:
    with pytest.raises(LockstitchError) as caught:
        poetry.requirements(lock(bad))
    assert caught.value.message.startswith(message)
    assert caught.value.hint
