"""uv.lock is read as uv reads it, for a target that need not be this machine."""

import pytest

from lockstitch.errors import LockstitchError
from lockstitch.python import locks
from lockstitch.python.locks import Source, Walk, uv
from lockstitch.python.target import Target

AMD = Target(platform="linux/amd64", python="3.11.2", glibc="2.36")
ARM = Target(platform="linux/arm64", python="3.12.1", glibc="2.36")
ONE, TWO, THREE = ("ab" * 32, "cd" * 32, "ef" * 32)


def lock(*packages: str) -> str:
    return "version = 1\nrevision = 3\n\n" + "\n".join(packages)


def package(name: str, version: str = "1.0", *lines: str, source: str = "") -> str:
    where = source or '{ registry = "https://index.example.test/simple" }'
    head = ["[[package]]", f'name = "{name}"', f'version = "{version}"', f"source = {where}"]
    return "\n".join([*head, *lines]) + "\n"


def wheel(filename: str, digest: str = ONE) -> str:
    return f'{{ url = "https://files.example.test/{filename}", hash = "sha256:{digest}" }}'


ROOT = package(
    "app",
    "0.1.0",
    'dependencies = [{ name = "alpha", extra = ["fast"] }]',
    "[package.optional-dependencies]",
    'plots = [{ name = "draw" }]',
    "[package.dev-dependencies]",
    'train = [{ name = "learn" }]',
    source='{ editable = "." }',
)
ALPHA = package(
    "alpha",
    "1.0",
    """dependencies = [{ name = "beta", marker = "python_full_version < '3.12'" }]""",
    f'sdist = {{ url = "https://files.example.test/alpha-1.0.tar.gz", hash = "sha256:{THREE}" }}',
    f"wheels = [{wheel('alpha-1.0-py3-none-any.whl')},"
    f" {wheel('alpha-1.0-cp311-cp311-manylinux_2_28_x86_64.whl', TWO)}]",
    "[package.optional-dependencies]",
    'fast = [{ name = "gamma" }]',
)
REST = [package(name) for name in ("beta", "draw", "gamma", "learn", "unused")]


def walk(text: str, target: Target = AMD, **chosen: tuple[str, ...]) -> Walk:
    graph = uv.read(text)
    asked = {"groups": None, "extras": None} | chosen
    return locks.walk(graph, locks.decided(target.markers()), **asked)


def names(text: str, target: Target = AMD, **chosen: tuple[str, ...]) -> list[str]:
    return sorted(each.name for each in walk(text, target, **chosen).packages)


def versions(text: str, name: str, target: Target = AMD, **chosen: tuple[str, ...]) -> list[str]:
    return [p.version for p in walk(text, target, **chosen).packages if p.name == name]


def test_groups_extras_and_markers_decide_who_is_there() -> None:
    text = lock(ROOT, ALPHA, *REST)
    assert names(text, groups=(), extras=()) == ["alpha", "app", "beta", "gamma"]
    assert names(text, ARM, groups=(), extras=()) == ["alpha", "app", "gamma"]
    assert "learn" in names(text, groups=("Train",), extras=())
    assert "draw" in names(text, groups=(), extras=("plots",))
    assert names(text) == ["alpha", "app", "beta", "draw", "gamma", "learn"]


def test_a_package_says_its_files_and_who_is_asked_for() -> None:
    found = walk(lock(ROOT, ALPHA, *REST))
    by_name = {each.name: each for each in found.packages}
    assert [(file.name, file.sha256) for file in by_name["alpha"].files] == [
        ("alpha-1.0-py3-none-any.whl", ONE),
        ("alpha-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", TWO),
        ("alpha-1.0.tar.gz", THREE),
    ]
    assert found.needs["alpha"] == {"beta", "gamma"}
    assert found.direct == {"alpha", "draw", "learn"}
    assert by_name["app"].source == Source(kind="editable", url=".")
    assert by_name["learn"].files == ()
    assert [each.line for each in uv.read(lock(ROOT, ALPHA)).packages] == [4, 14]


def test_of_two_versions_the_marker_chooses() -> None:
    root = package(
        "app",
        "1",
        """dependencies = [{ name = "np", version = "1.0", marker = "python_version < '3.12'" },"""
        """ { name = "np", version = "2.0", marker = "python_version >= '3.12'" }]""",
        source='{ virtual = "." }',
    )
    text = lock(root, package("np", "1.0"), package("np", "2.0"))
    assert versions(text, "np") == ["1.0"]
    assert versions(text, "np", ARM) == ["2.0"]


def test_extras_that_exclude_each_other() -> None:
    root = package(
        "app",
        "1",
        "[package.optional-dependencies]",
        """cpu = [{ name = "t", version = "1+cpu", marker = "extra == 'extra-3-app-cpu'" }]""",
        """gpu = [{ name = "t", version = "1+gpu", marker = "extra == 'extra-3-app-gpu'" }]""",
        source='{ editable = "." }',
    )
    text = lock(root, package("t", "1+cpu"), package("t", "1+gpu"))
    assert versions(text, "t", groups=(), extras=("gpu",)) == ["1+gpu"]
    sides = '[{ package = "app", extra = "cpu" }, { package = "app", extra = "gpu" }]'
    for conflicting in (text, text.replace("revision = 3", f"conflicts = [{sides}]")):
        assert versions(conflicting, "t", groups=(), extras=("cpu",)) == ["1+cpu"]
        assert versions(conflicting, "t", groups=(), extras=()) == []
    with pytest.raises(LockstitchError, match="`cpu` and `gpu` exclude each other") as caught:
        walk(conflicting)
    assert "--image NAME" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (
            '{ git = "https://h.test/r?subdirectory=a%2Fb&rev=main#c0ffee" }',
            Source(
                kind="git",
                url="https://h.test/r",
                revision="c0ffee",
                requested="main",
                subdirectory="a/b",
            ),
        ),
        (
            '{ url = "https://h.test/x.zip", subdirectory = "y" }',
            Source(kind="url", url="https://h.test/x.zip", subdirectory="y"),
        ),
        ('{ path = "x.whl" }', Source(kind="path", url="x.whl")),
        ('{ directory = "libs/x" }', Source(kind="directory", url="libs/x")),
        ('{ registry = "https://h.test" }', Source(url="https://h.test")),
    ],
)
def test_where_a_package_comes_from(source: str, wanted: Source) -> None:
    (found,) = uv.read(lock(package("x", source=source))).packages
    assert found.source == wanted


def test_members_of_a_workspace_without_a_root() -> None:
    members = [
        package(
            name,
            "1",
            f'dependencies = [{{ name = "{need}" }}]',
            source=f'{{ editable = "{name}" }}',
        )
        for name, need in (("one", "beta"), ("two", "gamma"))
    ]
    assert names(lock(*members, *REST)) == ["beta", "gamma", "one", "two"]


@pytest.mark.parametrize("text", ["version = 2\n", "", "version = 'x'"])
def test_another_version_of_the_lock_is_refused(text: str) -> None:
    with pytest.raises(LockstitchError, match="lockstitch reads 1"):
        uv.read(text)


def test_what_is_no_table_is_no_package() -> None:
    odd = 'version = 1\npackage = [3, { name = 4 }, { name = "app", source = 5, wheels = 6 }]\n'
    problems: list[LockstitchError] = []
    assert [each.name for each in uv.read(odd, problems=problems).packages] == ["app"]
    wanted = [
        "`uv.lock` cannot be read: `package[0]` must be a table, found `3`",
        "`uv.lock` cannot be read: `package[0].name` is missing",
        "`uv.lock` cannot be read: `package[1].name` must be a text, found `4`",
        "`uv.lock` cannot be read: `package[2].wheels` must be a list of tables, found `6`",
        "`uv.lock` cannot be read: `package[2].source` must be a table, found `5`",
    ]
    assert [problem.message for problem in problems] == wanted
    with pytest.raises(LockstitchError) as caught:
        uv.read(odd)
    assert [each.message for each in caught.value.everything()] == wanted


def test_a_package_that_is_there_twice_has_the_files_of_both() -> None:
    """uv once wrote a record for each fork: without its wheels, Linux would have none."""
    root = package("app", "1", 'dependencies = [{ name = "x" }]', source='{ virtual = "." }')
    forks = [
        package(
            "x",
            "1.0",
            f"resolution-markers = [\"sys_platform {sign} 'win32'\"]",
            f"wheels = [{wheel(f'x-1.0-cp311-cp311-{tag}.whl')}]",
            f'dependencies = [{{ name = "{need}" }}]',
        )
        for sign, tag, need in (
            ("==", "win_amd64", "beta"),
            ("!=", "manylinux_2_28_x86_64", "gamma"),
        )
    ]
    (found,) = uv.read(lock(root, *forks)).named("x")
    assert [file.name for file in found.wheels] == [
        "x-1.0-cp311-cp311-win_amd64.whl",
        "x-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    ]
    assert len(found.forks) == 2
    assert names(lock(root, *forks, *REST)) == ["app", "beta", "gamma", "x"]


def test_an_edge_of_an_extra_may_be_marked_with_that_extra() -> None:
    root = package("app", "1", 'dependencies = [{ name = "x", extra = ["build"] }]',
                   source='{ virtual = "." }')  # fmt: skip
    x = package(
        "x",
        "1.0",
        'dependencies = [{ name = "beta", marker = "extra == \'build\'" }]',
        "[package.optional-dependencies]",
        'build = [{ name = "gamma", marker = "extra == \'build\'" }]',
    )
    assert names(lock(root, x, *REST)) == ["app", "gamma", "x"]


def test_two_sources_of_one_name_and_version_are_two_packages() -> None:
    root = package(
        "app",
        "1",
        'dependencies = [{ name = "x", version = "1.0", source = { url = "https://h.test/x.whl" },'
        " marker = \"sys_platform == 'linux'\" },"
        ' { name = "x", version = "1.0", source = { registry = "https://i.test" },'
        " marker = \"sys_platform != 'linux'\" }]",
        source='{ virtual = "." }',
    )
    two = [
        package("x", source='{ url = "https://h.test/x.whl" }'),
        package("x", source='{ registry = "https://i.test" }'),
    ]
    assert len(uv.read(lock(root, *two)).named("x")) == 2
    assert [each.source.kind for each in walk(lock(root, *two)).packages] == ["virtual", "url"]
