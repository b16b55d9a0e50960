"""uv.lock is read as uv reads it, for a target that need not be this machine."""

import pytest

from lockstitch.errors import LockstitchError
from lockstitch.python.locks import uv
from lockstitch.python.locks.uv import UvPackage
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


def names(text: str, target: Target = AMD, **chosen: tuple[str, ...]) -> list[str]:
    return [each.name for each in uv.select(text, target, **chosen)]


def test_groups_extras_and_markers_decide_who_is_there() -> None:
    text = lock(ROOT, ALPHA, *REST)
    assert names(text, groups=(), extras=()) == ["alpha", "app", "beta", "gamma"]
    assert names(text, ARM, groups=(), extras=()) == ["alpha", "app", "gamma"]
    assert "learn" in names(text, groups=("Train",), extras=())
    assert "draw" in names(text, groups=(), extras=("plots",))
    assert names(text) == ["alpha", "app", "beta", "draw", "gamma", "learn"]


def test_a_package_says_its_file_and_who_is_asked_for() -> None:
    found = {each.name: each for each in uv.select(lock(ROOT, ALPHA, *REST), AMD)}
    assert found["alpha"] == UvPackage(
        name="alpha",
        version="1.0",
        filename="alpha-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        artifacts=(f"sha256:{TWO}",),  # type: ignore[arg-type]
        needs=("beta", "gamma"),
        direct=True,
        url="https://files.example.test/alpha-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    )
    other = {each.name: each for each in uv.select(lock(ROOT, ALPHA, *REST), ARM)}
    assert other["alpha"].artifacts == (f"sha256:{ONE}",)
    assert found["app"].origin == "editable"
    assert not found["gamma"].direct
    assert found["learn"].artifacts == ()


def test_of_two_versions_the_marker_chooses() -> None:
    root = package(
        "app",
        "1",
        """dependencies = [{ name = "np", version = "1.0", marker = "python_version < '3.12'" },"""
        """ { name = "np", version = "2.0", marker = "python_version >= '3.12'" }]""",
        source='{ virtual = "." }',
    )
    text = lock(root, package("np", "1.0"), package("np", "2.0"))
    assert [each.version for each in uv.select(text, AMD) if each.name == "np"] == ["1.0"]
    assert [each.version for each in uv.select(text, ARM) if each.name == "np"] == ["2.0"]


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
    chosen = uv.select(text, AMD, groups=(), extras=("gpu",))
    assert [each.version for each in chosen if each.name == "t"] == ["1+gpu"]
    assert len(uv.select(text, AMD)) == 3, "all of them, when nothing is chosen"


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ('{ git = "https://h.test/r?rev=main#c0ffee" }', "git c0ffee"),
        ('{ url = "https://h.test/x.whl" }', "archive"),
        ('{ path = "x.whl" }', "archive"),
        ('{ directory = "libs/x" }', "folder"),
        ('{ registry = "https://h.test" }', ""),
    ],
)
def test_where_a_package_comes_from(source: str, origin: str) -> None:
    root = package("app", "1", 'dependencies = [{ name = "x" }]', source='{ editable = "." }')
    found = uv.select(lock(root, package("x", source=source)), AMD)
    assert [each.origin for each in found if each.name == "x"] == [origin]


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
        uv.select(text, AMD)


def test_what_is_no_table_is_no_package() -> None:
    odd = 'version = 1\npackage = [3, { name = 4 }, { name = "app", source = 5, wheels = 6 }]\n'
    assert uv.select(odd, AMD) == []
