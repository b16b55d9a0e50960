"""Every shape of uv.lock comes down to what uv itself exports of it."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support import wheels
from support.wheels import Index
from support.world import World

from lockstitch import process
from lockstitch.errors import LockstitchError
from lockstitch.python import locks
from lockstitch.python.locks import Package
from lockstitch.python.target import Target

TARGETS = [
    Target(platform="linux/amd64", python="3.11.2", glibc="2.36"),
    Target(platform="linux/arm64", python="3.12.1", glibc="2.36"),
]
HEAD = '[project]\nname = "{}"\nversion = "0.1"\nrequires-python = ">=3.11"\n'
SYSTEM = '[build-system]\nrequires = ["tinybuild"]\nbuild-backend = "tinybuild"\n'
APP = HEAD.format("app")


@dataclass(frozen=True)
class Shape:
    """Files of a project, and what is asked of its lock: groups and extras."""

    files: Mapping[str, str]
    asked: Sequence[tuple[Sequence[str], Sequence[str]]]
    roots: frozenset[str] = field(default=frozenset({"app"}))  # that no export emits


BACKEND = """\
import pathlib

def prepare_metadata_for_build_editable(folder, settings=None):
    info = pathlib.Path(folder, "gamma-9.dist-info")
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\\nName: gamma\\nVersion: 9\\n")
    return info.name
"""
CONFLICTING = """\
[tool.uv]
conflicts = [[{ extra = "cpu" }, { extra = "gpu" }]]
"""
MEMBER = HEAD.format("member") + """\
[project.optional-dependencies]
cpu = ["torch==1.0"]
gpu = ["torch==2.0"]
""" + SYSTEM + CONFLICTING  # fmt: skip
WORKSPACE = (
    '[tool.uv.workspace]\nmembers = ["member"]\n[tool.uv.sources]\nmember.workspace = true\n'
)

SHAPES = {
    "extras of extras": Shape(
        {
            "pyproject.toml": f"""{APP}
dependencies = ["web"]
[project.optional-dependencies]
plot = ["delta"]
fast = ["web[loop]"]
all = ["app[plot]", "app[fast]"]
"""
        },
        [([], []), ([], ["plot"]), ([], ["fast"]), ([], ["all"]), ([], ["plot", "fast"])],
    ),
    "groups that include groups": Shape(
        {
            "pyproject.toml": f"""{APP}
dependencies = ["alpha"]
[dependency-groups]
dev = ["beta", {{ include-group = "test" }}]
test = ["gamma"]
Big_Group = ["delta; sys_platform == 'linux'", "web[loop]; sys_platform == 'win32'"]
"""
        },
        [([], []), (["dev"], []), (["test", "big-group"], []), (["Big_Group"], [])],
    ),
    "two versions by marker": Shape(
        {
            "pyproject.toml": f"""{APP}
dependencies = [
    "torch==1.0; python_version < '3.12'", "torch==2.0; python_version >= '3.12'",
    "gamma; platform_machine == 'x86_64'", "only-on-windows; sys_platform == 'win32'",
]
"""
        },
        [([], [])],
    ),
    "few environments": Shape(
        {
            "pyproject.toml": f"""{APP}
dependencies = ["alpha", "only-on-windows; sys_platform == 'win32'"]
[tool.uv]
environments = ["sys_platform == 'linux' and platform_machine == 'x86_64'",
                "sys_platform == 'linux' and platform_machine == 'aarch64'"]
"""
        },
        [([], [])],
    ),
    "extras that exclude each other": Shape(
        {
            "pyproject.toml": f"""{APP}
dependencies = ["alpha"]
[project.optional-dependencies]
cpu = ["torch==1.0", "web[loop]"]
gpu = ["torch==2.0", "web"]
both = ["delta"]
{CONFLICTING}"""
        },
        [([], []), ([], ["cpu"]), ([], ["gpu"]), ([], ["gpu", "both"])],
    ),
    "groups that exclude each other": Shape(
        {
            "pyproject.toml": f"""{APP}
dependencies = ["alpha"]
[dependency-groups]
old = ["torch<2"]
new = ["torch>=2"]
[tool.uv]
conflicts = [[{{ group = "old" }}, {{ group = "new" }}]]
default-groups = []
"""
        },
        [([], []), (["old"], []), (["new"], [])],
    ),
    "a group that asks for an extra of the project": Shape(
        {
            "pyproject.toml": f"""{HEAD.format("mre")}
[project.optional-dependencies]
conflict-foo = ["alpha"]
conflict-bar = ["beta"]
[dependency-groups]
ci = ["gamma", {{ include-group = "foo" }}]
foo = ["mre[conflict-foo]"]
{SYSTEM}[tool.uv]
conflicts = [[{{ extra = "conflict-foo" }}, {{ extra = "conflict-bar" }}]]
default-groups = []
"""
        },
        [([], []), (["ci"], []), (["foo"], []), ([], ["conflict-bar"])],
        frozenset({"mre"}),
    ),
    "a member's extras, asked for by extras of the root": Shape(
        {
            "pyproject.toml": f"""{APP}
dependencies = ["member"]
[project.optional-dependencies]
cpu = ["member[cpu]"]
gpu = ["member[gpu]"]
{SYSTEM}{WORKSPACE}[tool.uv]
conflicts = [
    [{{ extra = "cpu" }}, {{ extra = "gpu" }}],
    [{{ package = "member", extra = "cpu" }}, {{ package = "member", extra = "gpu" }}],
]
""",
            "member/pyproject.toml": MEMBER.replace(CONFLICTING, ""),
        },
        [([], []), ([], ["cpu"]), ([], ["gpu"])],
    ),
    "one name from a folder and from the index": Shape(
        {
            "pyproject.toml": f"""{APP}
[project.optional-dependencies]
editable = ["gamma"]
released = ["gamma"]
[tool.uv]
conflicts = [[{{ extra = "editable" }}, {{ extra = "released" }}]]
[tool.uv.sources]
gamma = [{{ path = "gamma", editable = true, extra = "editable" }}]
""",
            "gamma/pyproject.toml": (
                HEAD.format("gamma").replace('version = "0.1"', 'dynamic = ["version"]')
                + '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n'
            ),
            "gamma/own.py": BACKEND,
        },
        [([], []), ([], ["editable"]), ([], ["released"])],
    ),
    "a workspace without a project at its root": Shape(
        {
            "pyproject.toml": """\
[tool.uv.workspace]
members = ["one", "two"]
[dependency-groups]
dev = ["beta", "web[loop]", "torch<2; python_version < '3.12'", "torch; python_version >= '3.12'"]
""",
            "one/pyproject.toml": HEAD.format("one") + 'dependencies = ["alpha"]\n' + SYSTEM,
            "two/pyproject.toml": HEAD.format("two")
            + """\
dependencies = ["one"]
[dependency-groups]
more = ["gamma"]
"""
            + SYSTEM
            + "[tool.uv.sources]\none.workspace = true\n",
        },
        [([], []), (["dev"], []), (["more"], []), (["dev", "more"], [])],
        frozenset(),
    ),
}


@pytest.fixture
def index(online: World) -> Iterator[Index]:
    loop = "epsilon; extra == 'loop'\nProvides-Extra: loop"
    with online.kept():
        for built in (
            wheels.wheel("torch", "1.0", requires=["delta"]),
            wheels.wheel("torch", "2.0", requires=["epsilon"]),
            wheels.wheel("web", "1.0", requires=[loop, "beta; python_version >= '3.12'"]),
            wheels.wheel("only-on-windows", "1.0"),
        ):
            online.index.publish(built)
        yield online.index


def uv(folder: Path, *words: str) -> str:
    done = process.run([process.find_uv(), *words], cwd=folder, check=False)
    assert done.code == 0, done.stderr
    return done.stdout


def exported(
    folder: Path, groups: Sequence[str], extras: Sequence[str], target: Target
) -> set[str]:
    """Return what uv exports, a line each, those for other machines left out."""
    words = ["export", "--frozen", "--no-hashes", "--no-header", "--no-annotate", "--quiet"]
    words += ["--no-default-groups", "--format", "requirements.txt"]
    words += [word for group in groups for word in ("--group", group)]
    words += [word for extra in extras for word in ("--extra", extra)]
    found = set()
    for line in uv(folder, *words).splitlines():
        text, _, marker = line.partition(" ; ")
        if not marker or Requirement(f"x ; {marker}").marker.evaluate(target.markers()):
            found.add(text)
    return found


def line_of(package: Package) -> str:
    source = package.source
    match source.kind:
        case "editable":
            return f"-e {source.url}" if source.url.startswith(".") else f"-e ./{source.url}"
        case "directory" | "path":
            return f"./{source.url}"
        case "git":
            place = f"#subdirectory={source.subdirectory}" if source.subdirectory else ""
            return f"{package.name} @ git+{source.url}@{source.revision}{place}"
        case "url":
            return f"{package.name} @ {source.url}"
        case "virtual":
            return ""
        case _:
            return f"{package.name}=={package.version}"


def chosen(folder: Path, groups: Sequence[str], extras: Sequence[str], target: Target) -> set[str]:
    graph = locks.read("uv.lock", (folder / "uv.lock").read_text())
    walk = locks.walk(graph, locks.decided(target.markers()), groups, extras)
    return {line_of(package) for package in walk.packages} - {""}


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if "[build-system]" in text:
            module = path.parent / "src" / (path.parent.name or "app") / "__init__.py"
            module.parent.mkdir(parents=True)
            module.write_text("")


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape(name: str, index: Index, tmp_path: Path) -> None:
    shape = SHAPES[name]
    folder = tmp_path / "app"
    write(folder, shape.files)
    uv(folder, "lock", "--quiet")
    for groups, extras in shape.asked:
        for target in TARGETS:
            wanted = exported(folder, groups, extras, target)
            assert chosen(folder, groups, extras, target) == wanted, (groups, extras)


@pytest.mark.slow
def test_sources_that_are_no_index(index: Index, tmp_path: Path) -> None:
    folder, repository = tmp_path / "app", tmp_path / "repository"
    for below in ("", "libs/part"):
        text = HEAD.format(below.rpartition("/")[2] or "whole") + SYSTEM
        write(repository / below, {"pyproject.toml": text})
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=repository, check=True)
    filename, data = wheels.wheel("archived", "1.0")
    (tmp_path / "app" / "files").mkdir(parents=True)
    (tmp_path / "app" / "files" / filename).write_bytes(data)
    url = index.server.address + index.publish(wheels.wheel("addressed", "1.0")).path
    text = f"""{APP}
dependencies = ["whole", "part", "archived", "addressed", "folder"]
[tool.uv.sources]
whole = {{ git = "{repository.as_uri()}" }}
part = {{ git = "{repository.as_uri()}", subdirectory = "libs/part" }}
archived = {{ path = "files/{filename}" }}
addressed = {{ url = "{url}" }}
folder = {{ path = "folder" }}
"""
    write(folder, {"pyproject.toml": text, "folder/pyproject.toml": HEAD.format("folder") + SYSTEM})
    uv(folder, "lock", "--quiet")
    assert chosen(folder, [], [], TARGETS[0]) == exported(folder, [], [], TARGETS[0])


def test_groups_that_exclude_each_other_are_refused_together(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    write(folder, SHAPES["groups that exclude each other"].files)
    uv(folder, "lock", "--quiet")
    words = [process.find_uv(), "export", "--frozen", "--all-groups", "--quiet"]
    assert process.run(words, cwd=folder, check=False).code != 0
    with pytest.raises(LockstitchError, match="`new` and `old` exclude each other"):
        chosen(folder, ["old", "new"], [], TARGETS[0])
