"""A build that has nothing to do answers as the last one did, and only where nothing changed."""

import json
import os
import re
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.programs import git

import lockstitch
from lockstitch import environ, listing
from lockstitch import git as git_module
from lockstitch.cli import unchanged
from lockstitch.cli.main import main

pytestmark = pytest.mark.slow

FILE = Path(".lockstitch/unchanged.json")


@pytest.fixture
def plain(
    locked: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return a project that its files alone decide, built, with git."""
    # Which pytest sets anew when a test begins.
    monkeypatch.setattr(environ, "_OF_SHELLS", environ._OF_SHELLS | {"PYTEST_CURRENT_TEST"})
    text = (locked / "pyproject.toml").read_text()
    text = text[text.index("[project]") :] + "\n[tool.uv]\npackage = false\n"
    text = text.replace('"-m", "tiny"', '"app/main.py"')
    (locked / "pyproject.toml").write_text(text)
    (locked / "app/main.py").write_text("import alpha\n")
    (locked / ".gitignore").write_text(".lockstitch/\n*.log\n")
    git(locked, "init", "-q")
    git(locked, "add", ".")
    git(locked, "commit", "-q", "-m", "one")
    assert main(["lock", "--quiet"]) == 0
    assert main(["build"]) == 0
    capsys.readouterr()
    return locked


def remembered(*words: str) -> bool:
    return unchanged.answer(words) == 0


def test_the_answer_is_that_of_a_build(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["serve"], ["--json"], ["-q", "train"]):
        FILE.unlink(missing_ok=True)
        assert main(["build", *words]) == 0
        capsys.readouterr()
        FILE.rename("kept")
        assert main(["build", *words]) == 0
        out, err = capsys.readouterr()
        Path("kept").replace(FILE)
        FILE.unlink()
        assert main(["build", *words]) == 0
        capsys.readouterr()
        assert remembered(*words)
        again, talk = capsys.readouterr()
        assert again == out
        seconds = r"in [\d.]+ s"
        assert re.sub(seconds, "", talk) == re.sub(seconds, "", err)
        assert "--json" in words or "up to date" in talk


def test_answers_for_other_words_are_kept_beside_it(plain: Path) -> None:
    assert main(["build", "serve"]) == 0
    assert remembered("serve")
    assert remembered()
    assert not remembered("train")
    assert not remembered("--project", ".")


def same_size_and_time(path: Path) -> None:
    facts = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def replaced(path: Path) -> None:
    facts = path.stat()
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    other.replace(path)


def blob(smallest: int = 0) -> Path:
    found = Path(".lockstitch/images/blobs/sha256").iterdir()
    return max(found, key=lambda each: each.stat().st_size) if smallest else next(found)


def cut(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])


def flipped(path: Path) -> None:
    path.chmod(0o644)
    facts, data = path.stat(), bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


CHANGES: dict[str, Callable[[], object]] = {
    "an edit": lambda: Path("app/main.py").write_text("import alpha  # edited\n"),
    "an edit of the same size and mtime": lambda: same_size_and_time(Path("data/rows.csv")),
    "another file of the same bytes": lambda: replaced(Path("data/rows.csv")),
    "a new file": lambda: Path("app/new.txt").write_text("new"),
    "a new folder": lambda: Path("app/folder").mkdir(),
    "a file that is gone": lambda: Path("app/static/page.html").unlink(),
    "a program": lambda: Path("app/main.py").chmod(0o755),
    "another lock": lambda: Path("uv.lock").write_text(Path("uv.lock").read_text() + "\n"),
    "a setting": lambda: Path("pyproject.toml").write_text(
        Path("pyproject.toml").read_text() + "# edited\n"
    ),
    "a link to another file": lambda: (
        Path("app/static/page.html").unlink(),
        Path("app/static/page.html").symlink_to("../main.py"),
    ),
    "a commit": lambda: git(Path(), "commit", "-q", "-a", "--allow-empty", "-m", "two"),
    "a branch": lambda: git(Path(), "checkout", "-q", "-b", "other"),
    "what git knows": lambda: git(Path(), "rm", "-q", "--cached", "data/rows.csv"),
    "what git ignores here": lambda: Path(".git/info/exclude").write_text("page.html\n"),
    "what git ignores everywhere": lambda: (
        (Path.home() / ".config/git").mkdir(parents=True),
        (Path.home() / ".config/git/ignore").write_text("page.html\n"),
    ),
    "a setting of git": lambda: (Path.home() / ".gitconfig").write_text("[core]\nbare = false\n"),
    "a folder above with settings of git": lambda: Path(".git").rename("../moved"),
    "a layer that is gone": lambda: blob(1).unlink(),
    "a layer that is cut off": lambda: cut(blob(1)),
    "a damaged layer": lambda: flipped(blob(1)),
    "a document that is gone": lambda: blob().unlink(),
    "the index": lambda: Path(".lockstitch/images/index.json").write_bytes(b"{}"),
    "no images": lambda: shutil.rmtree(".lockstitch/images"),
    "a damaged answer": lambda: flipped(FILE),
    "half an answer": lambda: FILE.write_bytes(FILE.read_bytes()[:100]),
    "no answer": FILE.unlink,
    "an answer that is a folder": lambda: (FILE.unlink(), FILE.mkdir()),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_looked_at(what: str, plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert remembered()
    CHANGES[what]()
    assert not remembered()
    time.sleep(0.06)  # what is younger when a build begins is not remembered
    # An edit of a file is another image, damage is healed, a commit is in the provenance.
    if main(["build"]) == 0:
        assert remembered()
    capsys.readouterr()


@pytest.mark.parametrize("name", ["SOURCE_DATE_EPOCH", "GIT_DIR", "XDG_CONFIG_HOME", "ANYTHING"])
def test_a_variable_is_looked_at(name: str, plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert not remembered()
    monkeypatch.delenv(name)
    assert remembered()
    monkeypatch.setenv("OLDPWD", "/anywhere")
    assert remembered()


def test_another_program_looks_again(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchanged, "__version__", "9.9")
    assert not remembered()


def test_a_copy_of_the_project_is_built(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(plain, plain.parent / "copy", symlinks=True)
    monkeypatch.chdir(plain.parent / "copy")
    assert not remembered()


@pytest.fixture
def one_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stat show no time at all, as if all writes fell into one step of a clock."""
    monkeypatch.setattr(listing, "_text", lambda facts: f"{facts.st_mode} {facts.st_size}")
    monkeypatch.setattr(unchanged, "STEP", 3600 * 10**9)


def test_a_second_write_in_one_step_of_the_clock_is_seen(one_tick: None, plain: Path) -> None:
    assert main(["build"]) == 0
    assert remembered()
    path = plain / "data/rows.csv"
    path.write_bytes(path.read_bytes()[::-1])
    assert not remembered()
    path.write_bytes(path.read_bytes()[::-1])
    assert remembered()


def test_a_write_during_the_build_is_not_remembered(one_tick: None, plain: Path) -> None:
    FILE.unlink()
    watch = unchanged.Watch(str(plain), ["serve"])
    path = plain / "data/rows.csv"
    path.write_bytes(path.read_bytes()[::-1])
    watch.keep([], [], as_json=False)
    assert not FILE.exists()
    unchanged.Watch(str(plain), ["serve"]).keep([], [], as_json=False)
    assert FILE.exists()


def test_a_commit_during_the_build_is_not_remembered(plain: Path) -> None:
    FILE.unlink()
    watch = unchanged.Watch(str(plain), ["serve"])
    git(plain, "commit", "-q", "--allow-empty", "-m", "two")
    beside = git_module.decided_by(plain)
    assert beside is not None
    watch.keep([], [str(each) for each in beside], as_json=False)
    assert not FILE.exists()


def test_more_new_files_than_one_would_read_again_are_not_remembered(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unchanged, "_MOST_READ", 10)
    FILE.unlink()
    assert main(["build"]) == 0
    assert not FILE.exists()


def test_a_backend_that_runs_code_is_asked_each_time(locked: Path) -> None:
    assert main(["build", "--quiet"]) == 0
    assert not FILE.exists()


def test_where_git_s_answer_comes_from_is_known_or_nothing_is(plain: Path) -> None:
    found = git_module.decided_by(plain)
    assert found is not None
    names = {each.relative_to(plain).as_posix() for each in found if each.is_relative_to(plain)}
    assert {".git/HEAD", ".git/index", ".git/config", ".git/info/exclude"} <= names
    assert any(name.startswith(".git/refs/heads/") for name in names)
    (plain / "build").mkdir()
    git(plain, "config", "include.path", str(plain.parent / "more"))
    more = git_module.decided_by(plain)
    assert more is not None
    assert plain.parent / "more" in more
    (plain / ".gitmodules").write_text("")
    assert git_module.decided_by(plain) is None
    (plain / ".gitmodules").unlink()
    (plain / "node_modules").mkdir()
    (plain / "node_modules/x.js").write_text("")
    git(plain, "add", "-f", "node_modules/x.js")
    assert git_module.decided_by(plain) is None


def test_outside_of_a_repository_a_new_one_would_decide(tmp_path: Path) -> None:
    found = git_module.decided_by(tmp_path)
    assert found is not None
    assert {tmp_path / ".git", tmp_path.parent / ".git"} <= {*found}


_OPENED: list[str] = []
_IS_ON: list[bool] = []


def _audit(event: str, words: tuple[object, ...]) -> None:
    if _IS_ON and event in {"open", "os.scandir", "os.listdir"} and isinstance(words[0], str):
        _OPENED.append(str(Path.cwd() / words[0]))


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Return all paths that this process opens."""
    sys.addaudithook(_audit)
    _OPENED.clear()
    _IS_ON.append(True)
    yield _OPENED
    _IS_ON.clear()


def test_all_that_a_build_reads_is_watched(plain: Path, opened: list[str]) -> None:
    FILE.unlink()
    assert main(["build"]) == 0
    _IS_ON.clear()
    record = json.loads(FILE.read_bytes().partition(b"\n")[2])
    watched = listing.Listing(0)
    watched.add_tree(str(plain))
    folders = {line.partition("\0")[0] for line in watched.lines if line.endswith("\0/")}
    own = [
        *(plain / ".lockstitch", Path(os.environ["LOCKSTITCH_CACHE"])),
        *map(Path, lockstitch.__path__),
        *(Path(path) for path in sysconfig.get_paths().values()),
        *(Path(sys.base_prefix), Path(sys.prefix), Path("/dev"), Path("/proc/self")),
    ]
    unseen = [
        path
        for path in dict.fromkeys(opened)
        if path not in record["beside"]
        and not any(Path(path).is_relative_to(each) for each in own)
        and str(Path(path).parent) not in folders
        and path not in folders
        and path != unchanged._DRIVER
    ]
    assert unseen == []
