"""Files are whole or not there, and folders have one order."""

import os
import socket
import threading
from pathlib import Path

import pytest

from lockstitch import files
from lockstitch.errors import LockstitchError


def tree(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def found(root: Path, *patterns: str) -> list[str]:
    return [file.name for file in files.find_files(root, patterns or ("**",))]


def test_a_file_is_written_with_its_folders_and_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    old = os.umask(0o077)
    try:
        files.write_text(path, "ä\n")
        files.write_bytes(tmp_path / "run", b"x", mode=0o755)
    finally:
        os.umask(old)
    assert path.read_bytes() == "ä\n".encode()
    assert path.stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o755


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with files.atomic(path) as temporary:
            temporary.write_text("half of the ne")
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    tree(tmp_path, "target")
    (tmp_path / "link").symlink_to("target")
    files.write_text(tmp_path / "link", "new")
    assert (tmp_path / "target").read_text() == "target"
    assert (tmp_path / "link").read_text() == "new"


def test_text_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(LockstitchError, match="latin` is not UTF-8: byte 3") as caught:
        files.read_text(tmp_path / "latin")
    assert caught.value.hint == "save the file as UTF-8"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(LockstitchError, match="gone` cannot be read: No such file or directory"):
        files.read_text(tmp_path / "gone")
    with pytest.raises(LockstitchError, match="cannot be read: Is a directory"):
        files.read_text(tmp_path)


def test_the_order_is_that_of_bytes(tmp_path: Path) -> None:
    names = ["B", "a", "a-b/c", "a/b", "a0", "aB", "é", "ab", "\U0001f600", "\uffee"]
    tree(tmp_path, *[name.replace("a/b", "d/b") for name in names])
    assert found(tmp_path) == sorted(
        [name.replace("a/b", "d/b") for name in names], key=lambda name: name.encode()
    )


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.py", ["a.py"]),
        ("*.py", ["a.py"]),
        ("**/*.py", ["a.py", "src/b.py", "src/x/c.py"]),
        ("src/*", ["src/b.py"]),
        ("src/**", ["src/b.py", "src/x/c.py", "src/x/y/d.txt"]),
        ("src/**/d.txt", ["src/x/y/d.txt"]),
        ("src/**/b.py", ["src/b.py"]),
        ("**/x/**", ["src/x/c.py", "src/x/y/d.txt"]),
        ("s?c/b.[p]y", ["src/b.py"]),
        ("SRC/*", []),
        ("src", []),
        ("./src/b.py", ["src/b.py"]),
        ("**", ["a.py", "src/b.py", "src/x/c.py", "src/x/y/d.txt"]),
        ("**/**", ["a.py", "src/b.py", "src/x/c.py", "src/x/y/d.txt"]),
    ],
)
def test_globs(pattern: str, names: list[str], tmp_path: Path) -> None:
    tree(tmp_path, "a.py", "src/b.py", "src/x/c.py", "src/x/y/d.txt")
    assert found(tmp_path, pattern) == names


def test_a_folder_glob_does_not_take_a_file_of_that_name(tmp_path: Path) -> None:
    # .gitignore(5): "abc/**" matches all files inside directory "abc".
    assert found(tree(tmp_path, "src"), "src/**") == []


def test_several_globs_give_each_file_once(tmp_path: Path) -> None:
    assert found(tree(tmp_path, "b", "a"), "*", "a", "b") == ["a", "b"]


def test_caches_secrets_and_environments_are_no_files_of_a_project(tmp_path: Path) -> None:
    tree(
        tmp_path,
        *("kept.py", ".gitignore", ".github/ci.yml", "x/.envrc", "my.venv/a"),
        *(".env", "x/.env.local", ".git/config", ".venv/bin/python", "x/venv/a"),
        *("x/venv/pyvenv.cfg", "env/pyvenv.cfg", "env/bin/python", "build/x/pyvenv.cfg"),
        *("src/venv/__init__.py", "src/build/a.py", "src/env/b.py", "src/dist/c.py"),
        *("x/__pycache__/a.pyc", "a.pyc", ".DS_Store", ".lockstitch/images/index.json"),
        *("node_modules/a", ".mypy_cache/a", ".ruff_cache/a", ".pytest_cache/a", ".tox/a"),
        *(".a.0123.lockstitch-tmp", ".ipynb_checkpoints/a", ".nox/a", ".hg/a", ".svn/a"),
    )
    kept = [".github/ci.yml", ".gitignore", "kept.py", "my.venv/a"]
    # Packages of these names are no environments.
    kept += ["src/build/a.py", "src/dist/c.py", "src/env/b.py", "src/venv/__init__.py"]
    assert found(tmp_path) == [*kept, "x/.envrc"]


def test_facts_of_a_file(tmp_path: Path) -> None:
    tree(tmp_path, "bin/run", "plain")
    (tmp_path / "bin/run").chmod(0o700)
    os.utime(tmp_path / "plain", ns=(1, 7))
    run, plain = files.walk(tmp_path)
    assert (run.name, run.path, run.size) == ("bin/run", tmp_path / "bin/run", 7)
    assert (run.executable, plain.executable, plain.mtime_ns) == (True, False, 7)


def test_a_symlink_inside_is_followed(tmp_path: Path) -> None:
    tree(tmp_path, "data/real.txt")
    (tmp_path / "link.txt").symlink_to("data/real.txt")
    (tmp_path / "broken").symlink_to("gone")
    (tmp_path / "folder").symlink_to("data")
    link, *_ = [each for each in files.walk(tmp_path) if each.name == "link.txt"]
    assert link.size == len("data/real.txt")
    assert found(tmp_path) == ["data/real.txt", "link.txt"]


def test_a_symlink_does_not_bring_in_what_is_left_out(tmp_path: Path) -> None:
    tree(tmp_path, ".env", ".git/config", "kept")
    (tmp_path / "settings").symlink_to(".env")
    (tmp_path / "origin").symlink_to(".git/config")
    assert found(tmp_path) == ["kept"]


def test_a_root_that_is_a_symlink_is_no_way_out(tmp_path: Path) -> None:
    real = tree(tmp_path / "real", "a")
    (real / "b").symlink_to("a")
    (tmp_path / "link").symlink_to(real)
    assert found(tmp_path / "link") == ["a", "b"]


@pytest.mark.parametrize("target", ["../../outside", "/etc/passwd"])
def test_a_symlink_that_leads_out_is_marked(target: str, tmp_path: Path) -> None:
    tree(tmp_path, "outside", "root/x/a")
    (tmp_path / "root/x/link").symlink_to(target)
    marks = {each.name: each.outside for each in files.walk(tmp_path / "root")}
    assert marks == {"x/a": False, "x/link": True}


def test_a_symlink_to_itself_is_no_file(tmp_path: Path) -> None:
    tree(tmp_path, "a")
    (tmp_path / "loop").symlink_to("loop")
    assert found(tmp_path) == ["a"]


def test_a_socket_and_a_pipe_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket has at most 107 bytes
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert found(tmp_path) == []


def test_a_lock_that_somebody_holds_is_named_after_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(files, "_SILENCE", 0.05)
    place = tmp_path / "held"
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with files.lock(place):
            held.set()
            free.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    threading.Timer(0.3, free.set).start()
    with files.lock(place):
        thread.join(10)
    assert capsys.readouterr().err == f"waiting for another command that holds `{place}`\n"


def test_the_nearest_file_has_the_same_name_or_one_much_like_it() -> None:
    names = ["models/model.pkl", "data/rows.csv"]
    assert files.nearest("model.pkl", names) == "models/model.pkl"
    assert files.nearest("data/row.csv", names) == "data/rows.csv"
    assert files.nearest("other.bin", names) == ""
    names = ["b/app.py", "b/ml/runs/1/model.pkl", "b/model/model.pkl"]
    assert files.nearest("../model/model.pkl", names) == "b/model/model.pkl"


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "python.exe", "LICENSE_PYTHON.txt"])
def test_an_environment_of_any_kind_is_no_part_of_a_project(mark: str, tmp_path: Path) -> None:
    for name in ("app.py", "env/Lib/site.py", f"env/{mark}"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    assert [found.name for found in files.walk(tmp_path)] == ["app.py"]
    assert files.is_skipped(tmp_path / "env")


def test_a_folder_is_gone_before_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is killed while files go one by one leaves no half of a folder by its name."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").touch()
    seen = []
    monkeypatch.setattr(
        "shutil.rmtree", lambda path, **_: seen.append((path.name, (tmp_path / "a").exists()))
    )
    files.remove(tmp_path / "a")
    assert seen[-1] == (".a.gone", False)
