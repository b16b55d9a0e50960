"""`lockstitch.scaffold.new`: every template for every manager."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstitch.cli.main import main
from lockstitch.errors import LockstitchError
from lockstitch.python.load import load
from lockstitch.scaffold import new

FILES = {
    "churn": [
        ".gitattributes",
        *(".gitignore", ".kingfisher-rules.yaml", ".python-version", "README.md", "data/README.md"),
        *("data/telco_churn.csv.gz", "pyproject.toml", "src/api.py", "src/churn/__init__.py"),
        *("src/churn/card.py", "src/churn/data.py", "src/churn/environment.py"),
        *("src/churn/limits.py", "src/churn/measure.py", "src/churn/model.py"),
        *("src/churn/observe.py", "src/churn/plots.py", "src/churn/predict.py"),
        *("src/churn/record.py", "src/churn/request.py", "src/churn/schema.py"),
        *("src/churn/server.py", "src/train.py", "tests/conftest.py", "tests/test_limits.py"),
        *("tests/test_api.py", "tests/test_card.py", "tests/test_measure.py"),
        *("tests/test_predict.py", "tests/test_schema.py"),
        "tests/test_server.py",
        "src/churn/tracking.py",
        "tests/test_tracking.py",
        "tests/test_train.py",
    ],
    "iris": [
        *(
            ".gitattributes",
            ".gitignore",
            ".kingfisher-rules.yaml",
            ".python-version",
            "README.md",
            "pyproject.toml",
            "src/api.py",
        ),
        *("src/iris/__init__.py", "src/iris/predict.py", "src/train.py", "tests/conftest.py"),
        *("tests/test_api.py", "tests/test_train.py"),
    ],
}
EXTRA = {"uv": ["prek.toml"], "poetry": ["poetry.toml", "prek.toml"]}
EACH = [(template, manager) for template in new.TEMPLATES for manager in new.MANAGERS]


OTHER = ["--hooks", "pre-commit"]
TOOLS = ["kingfisher", "mypy", "ruff", "black"]


def local_hooks(folder: Path, runner: str) -> list[dict[str, Any]]:
    text = (folder / new.HOOKS[runner]).read_text()
    document = tomllib.loads(text) if runner == "prek" else yaml.safe_load(text)
    (local,) = [repo for repo in document["repos"] if repo["repo"] == "local"]
    hooks: list[dict[str, Any]] = local["hooks"]
    return hooks


def pyproject(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


@pytest.fixture(params=EACH, ids="-".join)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str, str]:
    template, manager = request.param
    new.create(tmp_path / "flowers", template, manager)
    return tmp_path / "flowers", template, manager


def test_exactly_these_files_are_written(written: tuple[Path, str, str]) -> None:
    folder, template, manager = written
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert found == sorted(FILES[template] + EXTRA[manager])


def test_no_token_and_no_mark_is_left(written: tuple[Path, str, str]) -> None:
    folder, _, _ = written
    for path in (p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        assert b"{{" not in data, path
        assert b"\n#:" not in data, path


def test_lockstitch_reads_what_it_wrote(written: tuple[Path, str, str]) -> None:
    found = load(written[0])
    assert (found.name, found.is_package) == ("flowers", True)
    assert [(i.name, bool(i.budget), bool(i.health)) for i in found.images] == [
        ("serve", True, True),
        ("train", True, False),
    ]
    assert [i.bytecode for i in found.images] == [True, False]


def test_the_package_is_built_by_the_managers_own_backend(written: tuple[Path, str, str]) -> None:
    folder, template, manager = written
    document = pyproject(folder)
    backend, tool = document["build-system"]["build-backend"], document["tool"]
    if manager == "uv":
        assert backend == "hatchling.build"
        assert tool["hatch"]["build"]["targets"]["wheel"] == {"packages": [f"src/{template}"]}
        assert tool["uv"] == {"default-groups": ["dev", "train", "serve"]}
        assert "poetry" not in tool
    else:
        assert backend == "poetry.core.masonry.api"
        assert tool["poetry"]["packages"] == [{"include": template, "from": "src"}]
        assert set(tool["poetry"]) == {"packages", "requires-poetry"}
        assert not {"uv", "hatch"} & set(tool)
    assert (folder / "src" / template / "__init__.py").is_file()


@pytest.mark.parametrize("template", new.TEMPLATES)
def test_the_manager_decides_nothing_else(template: str, tmp_path: Path) -> None:
    rest = []
    for manager in new.MANAGERS:
        folder = tmp_path / manager / "flowers"
        new.create(folder, template, manager)
        document = pyproject(folder)
        del document["build-system"]
        for own in ("hatch", "uv", "poetry"):
            document["tool"].pop(own, None)
        rest.append(document)
    assert rest[0] == rest[1]
    assert {"black", "lockstitch", "mypy", "pytest", "ruff"} == set(rest[0]["tool"])
    assert rest[0]["tool"]["black"] == {"line-length": 100}
    for name in FILES[template]:
        one, other = ((tmp_path / each / "flowers" / name).read_bytes() for each in new.MANAGERS)
        assert one == other or name in {"pyproject.toml", "README.md"}
    for manager in new.MANAGERS:
        hooks = local_hooks(tmp_path / manager / "flowers", "prek")
        entries = [hook["entry"].split()[0] for hook in hooks if hook["id"] != "lock"]
        assert entries == [f".venv/bin/{tool}" for tool in TOOLS]


def test_the_readme_names_one_manager(written: tuple[Path, str, str]) -> None:
    folder, _, manager = written
    text = (folder / "README.md").read_text()
    commands = [line.split()[0] for line in text.splitlines() if line.startswith(new.MANAGERS)]
    assert commands == [manager] * 4
    assert text.startswith("# flowers\n")


@pytest.mark.parametrize("template", new.TEMPLATES)
def test_a_template_is_valid_as_it_is(template: str) -> None:
    root = resources.files("lockstitch.scaffold").joinpath("templates", template)
    document = tomllib.loads(root.joinpath("pyproject.toml").read_text())
    assert document["project"]["name"] == "{{name}}"
    assert document["build-system"]["build-backend"] == "hatchling.build"


@pytest.mark.parametrize("template", new.TEMPLATES)
def test_marks_name_managers_and_what_is_for_poetry_is_a_comment(template: str) -> None:
    root = resources.files("lockstitch.scaffold").joinpath("templates", template)
    for name in ("pyproject.toml", "README.md"):
        owner, owners = "all", []
        for line in root.joinpath(name).read_text().splitlines():
            if line.startswith("#:"):
                owner = line.removeprefix("#: ")
                owners.append(owner)
            assert owner not in {"poetry", "pre-commit"} or line.startswith("#"), line
        hooks = set(new.HOOKS) if name == "pyproject.toml" else set()
        assert set(owners) == {"all", *new.MANAGERS, *hooks}
        assert owner == "all"


def test_an_unknown_manager_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LockstitchError, match="`pip` is not a manager") as caught:
        new.create(tmp_path / "flowers", "iris", "pip")
    assert caught.value.hint == "there is: poetry, uv"
    assert not (tmp_path / "flowers").exists()


MODEL = "# writes the model, which the image serve needs to be built"


def test_the_next_steps_fit_the_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "one", "--template", "iris"]) == 0
    assert main(["new", "two", "--template", "iris", "--manager", "poetry", *OTHER]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "made `one` with 14 files",
        "next: cd one && lockstitch lock",
        f"next: uv run python src/train.py  {MODEL}",
        "next: lockstitch build",
        "next: git init && uv run prek install",
        "made `two` with 15 files",
        "next: cd two",
        "next: poetry install",
        f"next: poetry run python src/train.py  {MODEL}",
        "next: lockstitch lock && lockstitch build",
        "next: git init && poetry run pre-commit install",
    ]


def test_no_hint_makes_a_repository_in_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    assert main(["new", "one", "--template", "iris"]) == 0
    (tmp_path / "two").mkdir()
    assert main(["init", "two", "--with-tools"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "prek install" in line]
    assert told == ["next: uv run prek install", "next: cd two && uv run prek install"]


def test_a_brace_in_a_folders_name_is_no_placeholder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "{x}").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["new", "{x}/one"]) == 0
    assert "next: cd {x}/one && lockstitch lock\n" in capsys.readouterr().err


@pytest.mark.parametrize("manager", new.MANAGERS)
def test_both_runners_check_the_same(manager: str, tmp_path: Path) -> None:
    found = {}
    for runner, name in new.HOOKS.items():
        folder = tmp_path / runner
        written = new.create(folder, "iris", manager, runner)
        assert [each for each in written if each in new.HOOKS.values()] == [name]
        hooks = local_hooks(folder, runner)
        found[runner] = {hook["id"]: hook for hook in hooks}
        assert runner in (folder / "README.md").read_text()
        assert "{{" not in (folder / name).read_text()
        group = " ".join(pyproject(folder)["dependency-groups"]["dev"])
        assert [each for each in new.HOOKS if f"{each}>=" in group] == [runner]
    with_builtin = tomllib.loads((tmp_path / "prek" / "prek.toml").read_text())["repos"]
    assert [repo["repo"] for repo in with_builtin] == ["builtin", "local"]
    builtin = {hook["id"]: hook for hook in with_builtin[0]["hooks"]}
    assert set(builtin) | set(found["prek"]) == set(found["pre-commit"])
    large = found["pre-commit"]["check-added-large-files"]["entry"]
    assert large.endswith(" ".join(builtin["check-added-large-files"]["args"]))
    for hook, keys in found["prek"].items():  # and the rest word for word
        assert keys.pop("priority") in range(7)
        other = found["pre-commit"][hook]
        assert keys.pop("entry").split() == other.pop("entry").split()
        assert keys == other
    document = yaml.safe_load((tmp_path / "pre-commit" / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in document["repos"]] == ["local"]
    assert document["ci"]["skip"] == [hook["id"] for hook in document["repos"][0]["hooks"]]


def test_a_file_that_is_too_large_to_commit_is_in_no_template() -> None:
    root = resources.files("lockstitch.scaffold").joinpath("templates")
    with resources.as_file(root) as folder:
        sizes = {p: p.stat().st_size for p in folder.rglob("*") if p.is_file()}
    assert max(sizes.values()) <= 500 * 1024


def test_an_unknown_runner_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LockstitchError, match="`husky` runs no hooks") as caught:
        new.create(tmp_path / "flowers", "iris", "uv", "husky")
    assert caught.value.hint == "there is: pre-commit, prek"
    assert not (tmp_path / "flowers").exists()
