"""pyproject.toml is read once, and everything wrong with it is said at once."""

import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import errors, projects

from lockstitch.errors import LockstitchError
from lockstitch.python.load import find_root, load, read
from lockstitch.python.model import ImageSpec, Project

MINIMAL = """\
[project]
name = "a"
[tool.lockstitch.images.serve]
"""


def project(text: str, root: Path = Path("/p")) -> Project:
    return read(tomllib.loads(text), root)


def image(text: str) -> ImageSpec:
    return project(MINIMAL + text).images[0]


def problems(text: str) -> list[tuple[str, str]]:
    return errors.problems(lambda: project(text))


def test_the_whole_table_is_read(tmp_path: Path) -> None:
    found = load(projects.write(tmp_path))
    assert (found.root, found.name, found.version) == (tmp_path, "tiny", "0.1.0")
    assert (found.python, found.base) == ("3.11", "debian:bookworm")
    assert (found.platforms, found.is_package) == (("linux/amd64",), True)
    assert found.build_requires == ("tinybuild>=1",)
    assert found.images == (
        ImageSpec(
            name="serve",
            groups=("serve",),
            include=("app/**",),
            command=("python", "app/main.py"),
            port=8000,
            health="/health",
        ),
        ImageSpec(
            name="train",
            groups=("train",),
            extras=("plot",),
            include=("app/*.py", "data/**"),
            outputs=("models",),
            command=("python", "-m", "tiny"),
        ),
    )


def test_an_empty_image_has_defaults() -> None:
    found = project(MINIMAL)
    assert found.images == (ImageSpec(name="serve"),)
    assert (found.version, found.is_package, found.build_requires) == ("", False, ())


def test_all_settings_of_an_image() -> None:
    found = image(
        'env = {A_1 = "x"}\nlabels = {"org.example.a" = "b"}\nbudget = "1.5 MB"\n'
        'prefer = ["Open_CV"]\ncollisions = "error"\n'
        "bytecode = true\ntrim = true\nlazy = true\nlazy-split = true\n"
    )
    assert (found.env, found.labels) == ({"A_1": "x"}, {"org.example.a": "b"})
    assert (found.prefer, found.collisions) == (("open-cv",), "error")
    assert (found.budget, found.bytecode, found.trim) == (1_500_000, True, True)
    assert (found.lazy, found.lazy_split) == (True, True)
    assert (image("").lazy, image("").lazy_split) == (False, False)


def test_the_order_in_the_file_does_not_show() -> None:
    one = project(MINIMAL + 'include = ["b", "a"]\n[tool.lockstitch.images.a]\n')
    two = project(
        '[project]\nname = "a"\n[tool.lockstitch.images.a]\n'
        '[tool.lockstitch.images.serve]\ninclude = ["a", "b"]\n'
    )
    assert one.images == two.images


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("", False),
        ('[build-system]\nrequires = []\nbuild-backend = "x"\n', True),
        ("[build-system]\nrequires = []\n[tool.uv]\npackage = false\n", False),
        ("[tool.uv]\npackage = true\n", True),
    ],
)
def test_first_party_code_is_a_wheel_where_uv_says_so(text: str, package: bool) -> None:
    assert project(MINIMAL + text).is_package is package


def test_groups_and_extras_are_found_whatever_their_spelling() -> None:
    text = 'groups = ["Train.Me", "plot_it", "Plot-It"]\n[dependency-groups]\ntrain-me = []\n'
    text = MINIMAL.replace('"a"', '"a"\noptional-dependencies = {Plot__it = []}') + text
    found = project(text).images[0]
    assert (found.groups, found.extras) == (("Train.Me",), ("Plot-It", "plot_it"))


ALL_WRONG = """\
[project]
version = 1
[dependency-groups]
train = []
[tool.lockstitch]
python = "3"
base = 7
platforms = ["linux/amd64", "windows/amd64", "linux/s390x"]
paltforms = []
[tool.lockstitch.images.Serve]
groups = ["train", "trian"]
include = ["/etc/*", "a/../../b", "ok/**"]
outputs = ["../x"]
command = "python"
port = 70000
health = "/health"
budget = "big"
env = {"A-B" = "x", C = 1}
labels = {x = []}
bytecode = "yes"
comand = ["x"]
"""
ALL_OF_IT = [
    (
        "`tool.lockstitch.python` is `3`, not a version of Python 3",
        "write the minor version, as in 3.11; the lock pins the patch version",
    ),
    ("`tool.lockstitch.base` must be a text, found `7`", 'base = "7"'),
    ("`tool.lockstitch.platforms` names `windows/amd64`", "supported: linux/amd64, linux/arm64"),
    ("`tool.lockstitch.platforms` names `linux/s390x`", "supported: linux/amd64, linux/arm64"),
    ("`tool.lockstitch.images.Serve` is no image name", "use a-z, 0-9, and single . _ - between"),
    ("`tool.lockstitch.images.Serve.include` leads out of the project: `/etc/*`", ""),
    ("`tool.lockstitch.images.Serve.include` leads out of the project: `a/../../b`", ""),
    ("`tool.lockstitch.images.Serve.outputs` leads out of the project: `../x`", ""),
    ("`tool.lockstitch.images.Serve.command` must be a list of texts, found `'python'`", ""),
    ("`tool.lockstitch.images.Serve.env.A-B` is no variable name", ""),
    ("`tool.lockstitch.images.Serve.env.C` must be a text, found `1`", 'C = "1"'),
    ("`tool.lockstitch.images.Serve.labels.x` must be a text, found `[]`", ""),
    (
        "`tool.lockstitch.images.Serve.port` must be a whole number from 1 to 65535, found `70000`",
        "",
    ),
    ("`tool.lockstitch.images.Serve.budget` is `big`, not a size", 'write it as "350MB"'),
    ("`tool.lockstitch.images.Serve.bytecode` must be true or false, found `'yes'`", ""),
    (
        "`tool.lockstitch.images.Serve.comand` is not a setting of lockstitch",
        "did you mean `command`?",
    ),
    ("`tool.lockstitch.paltforms` is not a setting of lockstitch", "did you mean `platforms`?"),
    (
        "`tool.lockstitch.images.Serve.groups` names `trian`, which the project does not have",
        "add it under [dependency-groups] (there: train)",
    ),
    ("`tool.lockstitch.images.Serve.health` needs a `port`, and a path that starts with /", ""),
    ("`project.version` must be a text, found `1`", ""),
    ("`project.name` is missing", "add a [project] table with a name"),
]


def test_every_problem_is_said_at_once() -> None:
    assert problems(ALL_WRONG) == ALL_OF_IT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("health = 'health'\nport = 80\n", "`port`, and a path that starts with /"),
        ("health = '/health'\n", "`port`, and a path that starts with /"),
        ("request = 'x.json'\n", "needs a `port`"),
        ("port = 80\nrequest = '../x'\n", "leads out of the project"),
        ("port = 80\nrequest-path = 'x'\n", "starts with /"),
        ("lazy-split = true\n", "`tool.lockstitch.images.serve.lazy-split` is for lazy images"),
        ("budget = '5'\n", "is `5`, not a size"),
        ("budget = 5\n", "must be a text"),
        ('collisions = "ignore"\n', "is `ignore`"),
        ("collisions = true\n", "must be a text"),
        ('prefer = "a"\n', "must be a list of texts"),
        ("port = 0\n", "from 1 to 65535, found `0`"),
        ("port = true\n", "from 1 to 65535, found `True`"),
        ("include = ['']\n", "must be a list of texts"),
        ("groups = ['none']\n", "names `none`"),
        ("before = ['python \"a.py']\n", 'has `python "a.py`, which is no command'),
        ("before = [' ']\n", "has ` `, which is no command"),
        ("[tool.lockstitch.images.'a--b']\n", "a--b` is no image name"),
        ("[tool.lockstitch.images.'../x']\n", "../x` is no image name"),
    ],
)
def test_one_problem_of_an_image(text: str, message: str) -> None:
    ((found, _),) = problems(MINIMAL + text)
    assert message in found


def test_platforms_that_are_none_or_twice_are_refused() -> None:
    for value in ("[]", '["linux/amd64", "linux/amd64"]'):
        text = f"{MINIMAL}[tool.lockstitch]\nplatforms = {value}\n"
        assert "`tool.lockstitch.platforms`" in problems(text)[0][0]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[tool]\n", "`/p/pyproject.toml` has no [tool.lockstitch] table", "lockstitch init /p"),
        (
            "[project]\nname = 'a'\n[tool.lockstitch]\n",
            "`tool.lockstitch.images` names no image",
            "add [tool.lockstitch.images.serve]",
        ),
        ("[tool]\nlockstitch = 1\n", "`tool.lockstitch` must be a table, found `1`", ""),
        ("tool = 1\n", "`/p/pyproject.toml` has no [tool.lockstitch] table", "lockstitch init /p"),
    ],
)
def test_a_project_without_a_table(text: str, message: str, hint: str) -> None:
    found, said = problems(text)[0]
    assert found == message
    assert said.startswith(hint)


def test_the_nearest_pyproject_that_names_lockstitch_is_the_project(tmp_path: Path) -> None:
    outer = projects.write(tmp_path / "outer")
    inner = outer / "packages" / "inner"
    (inner / "src").mkdir(parents=True)
    (inner / "pyproject.toml").write_text("[project]\nname = 'inner'\n")
    assert find_root(inner / "src") == outer
    projects.replace(outer, "tool.lockstitch", "tool.other")
    assert find_root(inner / "src") == inner
    with pytest.raises(LockstitchError, match=r"has no \[tool.lockstitch\] table"):
        load(inner)


def test_a_relative_folder_is_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = projects.write(tmp_path / "a")
    monkeypatch.chdir(root / "src")
    assert load(Path()).root == root


def test_no_project_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(LockstitchError) as caught:
        load(tmp_path)
    assert caught.value.message == f"no pyproject.toml in `{tmp_path}` or above it"
    assert caught.value.hint == "lockstitch new NAME"


@pytest.mark.parametrize("text", ["[tool.lockstitch", "a = 1\na = 2\n", "a = 2026-13-01\n"])
def test_invalid_toml_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(LockstitchError, match="is not valid TOML: ") as caught:
        load(tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize("text", [f"a = {'[' * 5000}", f"a = {'9' * 5000}"])
def test_toml_that_breaks_the_parser_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(LockstitchError, match="is not valid TOML"):
        load(tmp_path)


def test_a_pyproject_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(LockstitchError, match="is not UTF-8"):
        load(tmp_path)


KEYS = st.sampled_from(
    [
        *("project", "tool", "lockstitch", "images", "serve", "name", "groups", "include", "env"),
        *("dependency-groups", "platforms", "python", "uv", "build-system", "budget", "a b"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.dictionaries(KEYS, VALUES), st.dictionaries(KEYS, VALUES))
def test_any_document_is_a_project_or_an_error(
    document: dict[str, object], settings: dict[str, object]
) -> None:
    document["tool"] = {"lockstitch": settings}
    said: list[str] = []
    try:
        said.append(read(document, Path("/p")).name)
    except LockstitchError as error:
        said += [each.message for each in error.everything()]
    assert all(said)


def test_a_table_of_the_old_name_is_an_error_that_says_what_to_type(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(
        '[project]\nname = "a"\n[tool.lockstep]\npython = "3.11"\n[tool.lockstep.images.serve]\n'
    )
    with pytest.raises(LockstitchError) as caught:
        load(tmp_path)
    assert str(caught.value) == (f"`{path}` has a [tool.lockstep] table, not [tool.lockstitch]")
    assert caught.value.hint.startswith("sed ")
    subprocess.run(shlex.split(caught.value.hint), cwd=tmp_path, check=True)
    assert load(tmp_path).images[0].name == "serve"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("3.11", "debian:bookworm")),
        ("python = '3.12'", ("3.12", "cpython:3.12")),
        ("python = '3.13'", ("3.13", "debian:trixie")),
        ("base = 'cpython:3.14t'", ("3.14", "cpython:3.14t")),
        ("base = 'debian:trixie'", ("3.11", "debian:trixie")),
    ],
)
def test_python_and_base_follow_from_each_other(text: str, expected: tuple[str, str]) -> None:
    found = read(tomllib.loads(f"{MINIMAL}[tool.lockstitch]\n{text}\n"), Path("/p"))
    assert (found.python, found.base) == expected


def test_a_base_may_be_a_table_with_packages_of_the_system() -> None:
    table = "[tool.lockstitch.base]\npackages = ['libgl1', 'ffmpeg', 'ffmpeg']\n"
    found = read(tomllib.loads(f"{MINIMAL}[tool.lockstitch]\npython = '3.13'\n{table}"), Path("/p"))
    assert (found.base, found.packages) == ("debian:trixie", ("ffmpeg", "libgl1"))
    named = f"{table}name = 'cpython:3.12'\n"
    found = read(tomllib.loads(MINIMAL + named), Path("/p"))
    assert (found.base, found.python) == ("cpython:3.12", "3.12")


@pytest.mark.parametrize("name", ["ffmpeg=7:5.1", "libgl1:amd64", "-y", "Libgl1", "../x"])
def test_a_package_of_the_system_is_a_bare_name(name: str) -> None:
    with pytest.raises(LockstitchError, match="which is no Debian package") as caught:
        read(tomllib.loads(f"{MINIMAL}[tool.lockstitch.base]\npackages = ['{name}']\n"), Path("/p"))
    assert "lockstitch.lock pins the versions" in caught.value.hint


@pytest.mark.parametrize(("text", "wanted"), [("src", "src"), (".", ""), ("a/b/", "a/b")])
def test_the_folder_of_a_command(text: str, wanted: str) -> None:
    assert project(f"{MINIMAL}workdir = '{text}'\n").images[0].workdir == wanted


def test_the_folder_of_a_command_is_in_the_project() -> None:
    with pytest.raises(LockstitchError, match=r"leads out of the project: `\.\./b`"):
        project(f"{MINIMAL}workdir = '../b'\n")
