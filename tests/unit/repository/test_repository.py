"""What rules see of a folder: names, texts, and nothing through links."""

from pathlib import Path

from support import cases, projects
from support.programs import git

from lockstitch.repository.compose.services import compose_files
from lockstitch.repository.dockerfile.images import dockerfiles
from lockstitch.repository.files import open_repository


def test_git_says_what_is_there(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    for name in ("kept.txt", "new.txt", "ignored.log", "é space.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".gitignore").write_text("*.log\n")
    git(tmp_path, "add", "kept.txt")
    repo = cases.repository(tmp_path)
    assert repo.names == (".gitignore", "kept.txt", "new.txt", "é space.txt")
    assert repo.tracked == {"kept.txt"}
    assert repo.exists("ignored.log")


def test_without_git_all_files_are_there(tmp_path: Path) -> None:
    names = ("a/b.txt", ".venv/x.txt", "node_modules/y.txt")
    projects.write_files(tmp_path, dict.fromkeys(names, "x"))
    repo = cases.repository(tmp_path)
    assert (repo.names, repo.tracked) == (("a/b.txt",), None)


def test_folders_apart_are_for_secrets_only(tmp_path: Path) -> None:
    folders = ("tests/", "src/pkg/templates/", "test/", "")
    files = {f"{folder}Dockerfile": "FROM scratch\n" for folder in folders}
    projects.write_files(tmp_path, files)
    repo = cases.repository(tmp_path)
    assert [dockerfile.path for dockerfile in dockerfiles(repo)] == ["Dockerfile"]
    assert len(repo.every_name) == 4


def test_excluded_files_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "Dockerfile").write_text("FROM scratch\n")
    repo = open_repository(tmp_path, exclude=["old/**"])
    assert repo.every_name == ()


def test_links_binary_and_large_files_are_not_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "folder").symlink_to(outside)
    (root / "binary.txt").write_bytes(b"a\0b")
    (root / "large.txt").write_bytes(b"a" * ((5 << 20) + 1))
    (root / "crlf.txt").write_bytes(b"a\r\n\xff")
    repo = cases.repository(root)
    for name in (
        "link.txt",
        "folder/secret.txt",
        "binary.txt",
        "large.txt",
        "../outside/secret.txt",
    ):
        assert repo.text(name) is None, name
    assert repo.text("crlf.txt") == "a\r\n�"
    assert not repo.exists("../outside/secret.txt")


def test_names_of_dockerfiles_and_compose_files(tmp_path: Path) -> None:
    docker = ["Dockerfile", "Dockerfile.serve", "train.Dockerfile", "Containerfile", "a/dockerfile"]
    compose = ["compose.yaml", "docker-compose.yml", "docker-compose.prod.yml", "compose.dev.yaml"]
    others = ["Dockerfile.md", "Dockerfile.dockerignore", "dockerfile.py", "my-compose.yaml"]
    for name in docker + compose + others:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    repo = cases.repository(tmp_path)
    assert {dockerfile.path for dockerfile in dockerfiles(repo)} == {*docker}
    assert {file.path for file in compose_files(repo)} == {*compose}


def test_a_change_gives_a_new_repository(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("x = 1\n")
    repo = cases.repository(tmp_path)
    after = repo.with_texts({"a.toml": "x = 2\n", "Dockerfile": "FROM scratch\n"})
    assert (repo.toml("a.toml"), after.toml("a.toml")) == ({"x": 1}, {"x": 2})
    assert (dockerfiles(repo), [dockerfile.path for dockerfile in dockerfiles(after)]) == (
        (),
        ["Dockerfile"],
    )
    assert after.exists("Dockerfile")
