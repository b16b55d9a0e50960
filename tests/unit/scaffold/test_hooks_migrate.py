"""`lockstitch.scaffold.hooks`: remote hooks become local, or get a commit; all else stays."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.errors import problems

from lockstitch.errors import LockstitchError
from lockstitch.scaffold.hooks import migrate

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LOCK = """
version = 1
[[package]]
name = "demo"
source = { editable = "." }
dependencies = [{ name = "numpy" }]
[package.dev-dependencies]
dev = [{ name = "black" }, { name = "mypy" }, { name = "pre-commit-hooks" }]
lint = [{ name = "ruff" }, { name = "tool", extra = ["spell"] }]
[package.optional-dependencies]
sql = [{ name = "sqlfluff" }]
[[package]]
name = "black"
version = "26.1.0"
dependencies = [{ name = "click" }]
[[package]]
name = "click"
version = "8.4.0"
[[package]]
name = "codespell"
version = "2.4.0"
[[package]]
name = "flake8"
version = "7.3.0"
[[package]]
name = "mypy"
version = "2.0.0"
[[package]]
name = "numpy"
version = "2.4.0"
[[package]]
name = "pre-commit-hooks"
version = "6.0.0"
[[package]]
name = "ruff"
version = "0.17.0"
[[package]]
name = "sqlfluff"
version = "4.0.0"
[[package]]
name = "tool"
version = "1.0"
[package.optional-dependencies]
spell = [{ name = "codespell" }]
"""


def project(folder: Path, text: str, lock: str = LOCK, name: str = "uv.lock") -> Path:
    (folder / ".pre-commit-config.yaml").write_text(text)
    if lock:
        (folder / name).write_text(lock)
    return folder


def became(folder: Path, text: str, **options: Any) -> str:
    """Return the new text, which must be the old one but for what is meant."""
    return migrate.plan(project(folder, text), **options).new


def test_a_hook_keeps_its_settings_and_the_file_its_comments(tmp_path: Path) -> None:
    before = """\
# of the team
default_stages: [pre-commit]
repos:
  - repo: https://example.test/psf/black.git  # the formatter
    rev: 24.1.0
    # these two
    hooks:
      # first
      - id: black
        name: format
        args: [--line-length=100]  # as agreed
        files: ^src/
        exclude: ^src/old/
        types: [python]
        stages: [pre-push]
        language_version: python3.11

  # the last one
  - repo: local
    hooks: []
# end
"""
    after = """\
# of the team
default_stages: [pre-commit]
repos:
  - repo: local  # the formatter
    # these two
    hooks:
      # first
      - id: black
        entry: uv run --quiet --locked --offline black
        language: system
        types_or: [python, pyi]
        require_serial: true
        name: format
        args: [--line-length=100]  # as agreed
        files: ^src/
        exclude: ^src/old/
        types: [python]
        stages: [pre-push]

  # the last one
  - repo: local
    hooks: []
# end
"""
    assert became(tmp_path, before) == after


def test_hooks_keep_their_order_when_some_stay_remote(tmp_path: Path) -> None:
    before = f"""\
repos:
- repo: https://example.test/pre-commit/pre-commit-hooks
  rev: {COMMIT}
  hooks:
  - id: check-yaml
  # not known
  - id: sort-everything
    args: [a]
  # spaces
  - id: trailing-whitespace
"""
    after = f"""\
repos:
- repo: local
  hooks:
  - id: check-yaml
    name: check-yaml
    entry: uv run --quiet --locked --offline check-yaml
    language: system
    types: [yaml]
- repo: https://example.test/pre-commit/pre-commit-hooks
  rev: {COMMIT}
  hooks:
  # not known
  - id: sort-everything
    args: [a]
- repo: local
  hooks:
  # spaces
  - id: trailing-whitespace
    name: trailing-whitespace
    entry: uv run --quiet --locked --offline trailing-whitespace-fixer
    language: system
    types: [text]
"""
    assert became(tmp_path, before) == after


LAYOUTS = {
    "flow": "repos:\n- {repo: https://x.test/black, rev: '1', hooks: [{id: black, args: [-q]}]}\n",
    "list in brackets": "repos:\n- repo: https://x.test/black\n  rev: '1'\n"
    "  hooks: [{id: black, args: [-q]}]\n",
    "hook in braces": "repos:\n-   repo: https://x.test/black\n    rev: '1'\n    hooks:\n"
    "    -   {id: black, args: [-q]}\n",
    "other order": "repos:\n- rev: '1'\n  repo: https://x.test/black\n  hooks:\n"
    "  - args:\n      - -q\n    id: black\n",
    "rev last": "repos:\n- repo: https://x.test/black\n  hooks:\n  - args: [-q]\n    id: black\n"
    "  rev: '1'\n",
    "dropped key first": "repos:\n- repo: https://x.test/black\n  rev: '1'\n  hooks:\n"
    "  - additional_dependencies: [click]\n    args: [-q]\n    id: black\n",
    "own entry": "repos:\n- repo: https://x.test/black\n  rev: '1'\n  hooks:\n"
    "  - id: black\n    args: [-q]\n    language: python\n    entry: |\n      black\n",
    "windows": "repos:\r\n- repo: https://x.test/black\r\n  rev: '1'\r\n  hooks:\r\n"
    "  - id: black\r\n    args: [-q]\r\n",
    "no last line feed": "repos:\n- repo: https://x.test/black\n  rev: '1'\n  hooks:\n"
    "  - id: black\n    args: [-q]",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_however_it_is_written(layout: str, tmp_path: Path) -> None:
    project(tmp_path, "")
    (tmp_path / ".pre-commit-config.yaml").write_bytes(LAYOUTS[layout].encode())
    found = migrate.plan(tmp_path)
    assert ("\r\n" in found.new) is (layout == "windows")
    assert found.new.count("\r\n") in {0, found.new.count("\n")}
    (repo,) = yaml.safe_load(found.new)["repos"]
    (hook,) = repo["hooks"]
    assert repo == {"repo": "local", "hooks": [hook]}
    assert hook.pop("entry").strip() == "uv run --quiet --locked --offline black"
    assert hook == {
        "id": "black",
        "name": "black",
        "language": "system",
        "args": ["-q"],
        "types_or": ["python", "pyi"],
        "require_serial": True,
    }
    migrate.write(found)
    again = migrate.plan(tmp_path)
    assert again.new == again.old == found.new  # there is nothing left to do


def test_a_list_of_repositories_in_brackets_is_not_edited(tmp_path: Path) -> None:
    text = "repos: [{repo: 'https://x.test/black', rev: '1', hooks: [{id: black}]}]\n"
    with pytest.raises(LockstitchError, match="cannot be edited") as caught:
        migrate.plan(project(tmp_path, text))
    assert caught.value.hint == "write each repository and hook on lines of its own"


def entry(folder: Path, repository: str, hook: str, **lock: str) -> str:
    text = (
        f"repos:\n- repo: https://x.test/{repository}\n  rev: {COMMIT}\n  hooks:\n  - id: {hook}\n"
    )
    (repo,) = yaml.safe_load(migrate.plan(project(folder, text, **lock)).new)["repos"]
    return str(repo["hooks"][0].get("entry", "remote"))


def test_the_call_installs_the_group_that_has_the_program(tmp_path: Path) -> None:
    uv = "uv run --quiet --locked --offline"
    assert entry(tmp_path, "mirrors-mypy", "mypy") == f"{uv} mypy"
    ruff = f"{uv} --group lint ruff check --force-exclude"
    assert entry(tmp_path, "ruff-pre-commit", "ruff-check") == ruff
    assert entry(tmp_path, "codespell", "codespell") == f"{uv} --group lint codespell"
    lint = f"{uv} --extra sql sqlfluff lint --processes 0"
    assert entry(tmp_path, "sqlfluff", "sqlfluff-lint") == lint
    assert entry(tmp_path, "uv-pre-commit", "uv-lock") == "uv lock"
    assert entry(tmp_path, "flake8", "flake8") == "remote"  # locked, and in no group
    assert entry(tmp_path, "poetry", "poetry-check") == "remote"
    assert entry(tmp_path, "strange", "black") == "remote"
    (tmp_path / "pyproject.toml").write_text('[tool.uv]\ndefault-groups = "all"\n')
    assert entry(tmp_path, "codespell", "codespell") == f"{uv} codespell"


def test_other_locks(tmp_path: Path) -> None:
    lock = '[[package]]\nname = "Black"\nversion = "26.1.0"\ngroups = ["dev"]\n'
    (tmp_path / "poetry").mkdir()
    poetry = {"lock": lock, "name": "poetry.lock"}
    assert entry(tmp_path / "poetry", "black", "black", **poetry) == "poetry run black"
    for text, call in (("true", ".venv/bin/black"), ("false", "poetry run black")):
        (tmp_path / "poetry" / "poetry.toml").write_text(f"[virtualenvs]\nin-project = {text}\n")
        assert entry(tmp_path / "poetry", "black", "black", **poetry) == call
    assert entry(tmp_path / "poetry", "poetry", "poetry-check", **poetry) == "poetry check"
    pinned = "black==26.1.0 \\\n    --hash=sha256:00\nMy_Py[faster]==2.0 ; python_version > '3'\n"
    pip = {"lock": pinned, "name": "requirements-dev.txt"}
    (tmp_path / "pip").mkdir()
    assert entry(tmp_path / "pip", "black", "black", **pip) == ".venv/bin/black"
    assert entry(tmp_path / "pip", "flake8", "flake8", **pip) == "remote"
    (tmp_path / "none").mkdir()
    assert entry(tmp_path / "none", "black", "black", lock="") == "remote"


def test_locks_are_no_large_files_and_markers_are_looked_for_outside_of_merges(
    tmp_path: Path,
) -> None:
    text = f"""\
repos:
- repo: https://x.test/pre-commit/pre-commit-hooks
  rev: {COMMIT}
  hooks:
  - id: check-added-large-files
  - id: check-added-large-files
    exclude: ^data/
  - id: check-merge-conflict
  - id: check-merge-conflict
    args: [--assume-in-merge]
"""
    (repo,) = yaml.safe_load(migrate.plan(project(tmp_path, text)).new)["repos"]
    large, own, pattern, program = repo["hooks"]
    assert own["exclude"] == "^data/"
    for name in ("uv.lock", "sub/poetry.lock", "pylock.train.toml", "requirements-lock.txt"):
        assert re.search(large["exclude"], name)
    for name in ("data.csv", "src/lock.py", "pyproject.toml"):
        assert not re.search(large["exclude"], name)
    assert (pattern["entry"], pattern["language"]) == ("^(<{7}|>{7}) ", "pygrep")
    assert program["entry"].endswith(" check-merge-conflict")


def test_gitleaks_gets_its_counterpart_of_the_lock(tmp_path: Path) -> None:
    lock = LOCK.replace('"pre-commit-hooks"', '"kingfisher-bin"')
    call = entry(tmp_path, "gitleaks", "gitleaks", lock=lock)
    assert call.startswith("uv run --quiet --locked --offline kingfisher scan --no-validate ")
    text = f"repos:\n- repo: https://x.test/gitleaks\n  rev: {COMMIT}\n  hooks:\n"
    text += "  - id: gitleaks\n    args: [--verbose]\n"  # words for another program
    assert migrate.plan(project(tmp_path, text, lock)).new == text


def test_without_a_network_the_error_says_what_makes_hooks_local(tmp_path: Path) -> None:
    text = f"""\
repos:
- repo: {tmp_path / "nowhere" / "pre-commit-hooks"}
  rev: v4.5.0
  hooks:
  - id: check-yaml
  - id: check-merge-conflict
- repo: {tmp_path / "nowhere" / "sort-everything"}
  rev: v1
  hooks:
  - id: sort
"""
    lock = LOCK.replace('{ name = "pre-commit-hooks" }', "")
    known, unknown = problems(lambda: migrate.plan(project(tmp_path, text, lock)))
    assert known[0].startswith("`check-yaml` in line 2: ")
    command = "uv add --dev pre-commit-hooks"
    assert known[1] == f"{command}  # makes 2 of its hooks local, for no network"
    assert unknown[1] == "check the address and the network"


def test_additional_dependencies_are_named_and_those_that_the_lock_lacks(tmp_path: Path) -> None:
    text = (
        f"repos:\n- repo: https://x.test/mirrors-mypy\n  rev: {COMMIT}\n  hooks:\n  - id: mypy\n"
        "    additional_dependencies:\n    - NumPy>=2\n    - types-x==1\n    - ./stubs\n"
    )
    found = migrate.plan(project(tmp_path, text))
    (hook,) = found.decisions
    assert list(hook.unused) == ["NumPy>=2", "types-x==1", "./stubs"]
    assert migrate.lacking(found) == ["types-x==1"]
    assert "additional_dependencies" not in found.new
    assert (hook.becomes, hook.was, hook.now) == ("local", COMMIT, "mypy 2.0.0")


def test_a_login_in_an_address_is_never_shown(tmp_path: Path) -> None:
    text = (
        f"repos:\n- repo: https://me:pass@x.test/black\n  rev: {COMMIT}\n  hooks:\n  - id: black\n"
    )
    found = migrate.plan(project(tmp_path, text))
    assert "pass" not in f"{found.diff()}{found.decisions}"
    assert "-- repo: https://x.test/black\n" in found.diff()


HOSTILE = {
    "": "line 1: the file has no `repos`",
    "- repo: x\n": "line 1: the file is a list, as in pre-commit 0.x",
    "repos: 3\n": "line 1: `repos` is no list",
    "a: 1\n\nrepos:\n\t- repo: x\n": "line 4: ",
    "repos:\n- 3\n": "line 2: a repository is a mapping",
    "repos:\n- rev: a\n  hooks: []\n": "line 2: a repository has no `repo`",
    "repos:\n- repo: [a]\n  hooks: []\n": "line 2: a repository has no `repo`",
    "repos:\n- repo: x\n  hooks: []\n": "line 2: `x` has no `rev`",
    "repos:\n- repo: x\n  rev: 1.0\n  hooks: []\n": "line 2: `rev` is not a text",
    "repos:\n- repo: x\n  rev: a\n  rev: b\n  hooks: []\n": "line 4: `rev` stands here again",
    "repos:\n- repo: x\n  rev: a\n": "line 2: `x` has no list `hooks`",
    "repos:\n- repo: x\n  rev: a\n  hooks:\n  - black\n": "line 5: a hook is a mapping",
    "repos:\n- repo: x\n  rev: a\n  hooks:\n  - name: n\n": "line 5: the hook `?` has no `id`",
    'repos:\n- repo: "x\\e[2J"\n  rev: a\n  hooks: []\n': "line 2: `repo` is not a text",
    "a: &a [1]\nrepos: [*a, *a]\n": "line 2: `*a` stands for another value; write it out",
    "repos: " + "[" * 5000: "line 1: is too large or too deep",
    "repos: [" + "1," * 30_000 + "]\n": "line 1: is too large or too deep",
    "repos: []\n" * 30_000: "has 300000 bytes",
    "repos: !!python/object/apply:os.system [ls]\n": "line 1: could not determine a constructor",
    "repos: []\n---\nrepos: []\n": "line 2: but found another document",
    "repos: \x07\n": "line 1: ",
    "repos: 2026-99-99\n": "line 1: ",
    "? [a]\n: 1\n": "line 1: ",
    "? {a: 1}\n: 1\n": "line 1: ",
}


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:24]))
def test_a_wrong_file_is_an_error_with_its_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(LockstitchError) as caught:
        migrate.plan(project(tmp_path, text))
    assert HOSTILE[text] in caught.value.message
    assert (tmp_path / ".pre-commit-config.yaml").read_text() == text


def test_a_broken_lock_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LockstitchError, match=r"`uv.lock` is not valid TOML"):
        migrate.plan(project(tmp_path, "repos: []\n", lock="x = "))


def test_it_is_found_from_below_and_not_outside_the_repository(tmp_path: Path) -> None:
    project(tmp_path, "repos: []\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert migrate.plan(inner).path == tmp_path / ".pre-commit-config.yaml"
    (tmp_path / "a" / ".git").mkdir()
    with pytest.raises(LockstitchError, match=r"there is no `\.pre-commit-config\.yaml`"):
        migrate.plan(inner)
