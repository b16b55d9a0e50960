"""What a user can run into: one error, one hint, exit 1, and nothing lost."""

import hashlib
from pathlib import Path

import pytest
from support import projects, wheels
from support.server import Reply
from support.world import World

from lockstitch.cli.main import main


def contents(root: Path) -> dict[str, bytes]:
    found = {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items()}


def fails(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> tuple[str, str]:
    """Run a command that must fail, and return its only error and its only hint."""
    before = contents(root)
    capsys.readouterr()
    assert main([*words, "--quiet", "--project", str(root)]) == 1
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert [line.partition(": ")[0] for line in lines] == ["error", "hint"], err
    assert contents(root) == before
    return lines[0].removeprefix("error: "), lines[1].removeprefix("hint: ")


def test_no_pyproject(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for command in ("lock", "build"):
        assert fails(capsys, tmp_path, command) == (
            f"no pyproject.toml in `{tmp_path}` or above it",
            "lockstitch new NAME",
        )


def test_a_pyproject_that_is_no_toml(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = projects.write(tmp_path / "tiny", pyproject="[tool.lockstitch\n")
    assert f"`{root}/pyproject.toml` is not valid TOML" in fails(capsys, root, "build")[0]


def test_no_lock(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = projects.write(tmp_path / "tiny")
    assert fails(capsys, root, "build") == (f"no `lockstitch.lock` in `{root}`", "lockstitch lock")


def test_a_stale_lock(capsys: pytest.CaptureFixture[str], locked: Path) -> None:
    projects.replace(locked, "alpha>=1", "alpha>=1.0")
    error, hint = fails(capsys, locked, "build")
    assert error.startswith("the lock is stale: ")
    assert hint == "lockstitch lock"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version = 1\n", "version = 1\n<<<<<<< ours\n", "Invalid statement"),
        ("version = 1\n", "version = 3\n", "it has version 3, this lockstitch reads 1"),
        ('glibc = "2.36"\n', "", "glibc"),
        ('glibc = "2.36"\n', 'glibc = "new"\n', "glibc"),
        ('platform = "linux/amd64"\n', "", "`debian[0].platform` is missing"),
        ("20260712T101637Z", "yesterday", "`yesterday`, which is no snapshot"),
        ('python = "3.11.2"\n', 'python = "3"\n', "python"),
    ],
)
def test_a_broken_lock(
    old: str, new: str, message: str, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    projects.replace(locked, old, new, "lockstitch.lock")
    error, hint = fails(capsys, locked, "build")
    assert message in error
    assert hint.startswith("lockstitch lock")


def test_a_pylock_that_is_no_lock(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Written by hand, and the lock told so: what is inside is still checked."""
    old = (locked / "pylock.serve.toml").read_bytes()
    new = b'lock-version = "1.0"\n'
    (locked / "pylock.serve.toml").write_bytes(new)
    sums = [hashlib.sha256(data).hexdigest() for data in (old, new)]
    projects.replace(locked, *sums, "lockstitch.lock")
    error, hint = fails(capsys, locked, "build")
    assert error.startswith("`pylock.serve.toml` is not a valid pylock: ")
    assert hint == "lockstitch lock"


@pytest.mark.slow
def test_a_wheel_that_was_replaced_after_it_was_locked(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = projects.write(tmp_path / "tiny")
    assert main(["lock", "--project", str(root)]) == 0
    good = world.index.files["gamma-2.0-py3-none-any.whl"]
    _, bad = wheels.wheel("gamma", "2.0", {"gamma.py": b"import os\n" * 20})
    world.server.on(good.path, Reply(body=bad))
    error, hint = fails(capsys, root, "build")
    assert error.startswith("`gamma-2.0-py3-none-any.whl` is not what the lock names: wanted ")
    assert good.sha256 in error
    assert f"({len(bad)} of {len(good.data)} bytes)" in error
    assert hint.startswith("somebody replaced the file, or the lock is wrong")
    world.server.on(good.path, Reply(body=good.data))
    assert main(["build", "--quiet", "--project", str(root)]) == 0


@pytest.mark.slow
def test_a_wheel_that_is_gone(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = projects.write(tmp_path / "tiny")
    assert main(["lock", "--project", str(root)]) == 0
    path = world.index.files["gamma-2.0-py3-none-any.whl"].path
    world.server.remove(path)
    error, hint = fails(capsys, root, "build")
    withdrawn = "`gamma-2.0-py3-none-any.whl` is withdrawn, or its project is"
    assert error == f"{withdrawn}: `{world.server.address}{path}` answered HTTP 404"
    assert hint == "lock a version that is there: lockstitch lock --upgrade gamma"


@pytest.mark.slow
def test_a_source_whose_lock_names_no_wheel(
    online: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = projects.write(tmp_path / "tiny")
    projects.replace(root, '"gamma>=2"', '"gamma>=2", "only-source"')
    assert main(["lock", "--project", str(root)]) == 0
    text = (root / "lockstitch.lock").read_text()
    start, end = text.index("[[built]]"), text.index("[build]")
    (root / "lockstitch.lock").write_text(text[:start] + text[end:])
    error, hint = fails(capsys, root, "build")
    assert error == (
        "`only-source 1.0` has no wheel for linux/amd64, CPython 3.11: "
        "the lock has only a source distribution (image `serve`)"
    )
    assert hint == "lockstitch lock builds one, or pin a version that has a wheel"


def test_a_version_for_another_platform_alone_gives_way(world: World, tmp_path: Path) -> None:
    """As kaleido 0.2.1.post1, which is on the index for ARM and without a source."""
    index = wheels.Index(world.server)
    index.publish(wheels.wheel("chart", "1.0", tag="cp311-cp311-manylinux2014_x86_64"))
    index.publish(wheels.wheel("chart", "1.0.post1", tag="py3-none-manylinux2014_armv7l"))
    root = projects.write(tmp_path / "tiny")
    projects.replace(root, '"gamma>=2"', '"gamma>=2", "chart"')
    assert main(["lock", "--project", str(root)]) == 0
    assert 'name = "chart"\nversion = "1.0"\n' in (root / "uv.lock").read_text()


def test_a_pattern_without_files(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    projects.replace(locked, 'include = ["app/**"]', 'include = ["app/**", "models/*.onnx"]')
    assert fails(capsys, locked, "build") == (
        f"`models/*.onnx` of image `serve` matches no file in `{locked}`",
        "lockstitch run train",
    )


@pytest.mark.slow
def test_a_symlink_that_leads_out_of_the_project(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (locked / "unused").symlink_to("/etc/hostname")  # no image includes this one
    assert main(["build", "train", "--quiet"]) == 0
    (locked / "app" / "secret").symlink_to("/etc/hostname")
    error, hint = fails(capsys, locked, "build")
    assert error == "`app/secret` leads out of the project, to `/etc/hostname`"
    assert hint == "copy the file into the project"


def test_a_pointer_of_git_lfs(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
    (locked / "app" / "model.bin").write_text(pointer)
    error, hint = fails(capsys, locked, "build")
    assert error == "`app/model.bin` is a pointer of Git LFS and not the file itself"
    assert hint == "git lfs pull, or the other images: lockstitch build train"


@pytest.mark.slow
def test_a_name_that_is_not_utf_8(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (locked / "caf\udce9.csv").touch()  # no image includes this one
    assert main(["build", "train", "--quiet"]) == 0
    (locked / "app" / "caf\udce9.csv").touch()
    error, hint = fails(capsys, locked, "build")
    assert error == "`app/caf\\udce9.csv` has a name that is not UTF-8"
    assert hint == "rename it, or narrow `include`"


@pytest.mark.slow
def test_an_image_over_its_budget(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    projects.replace(locked, "port = 8000\n", 'port = 8000\nbudget = "2kB"\n')
    error, hint = fails(capsys, locked, "build")
    assert error.startswith("image `serve` has 4.0 kB unpacked, over its budget of 2.0 kB; ")
    assert "alpha 1.0 0.7 kB" in error  # who is to blame
    assert hint.startswith("no file imports `alpha`: uv remove alpha && ")
    assert not (locked / ".lockstitch").exists()  # not even the image that fits


def test_a_backend_that_fails(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (locked / "src" / "tiny" / "bad.py").mkdir()  # which the backend would read
    before = contents(locked)
    assert main(["build", "--quiet"]) == 1
    err = capsys.readouterr().err
    assert err.count("error: `uv build` failed") == 1
    assert "`tinybuild.build_wheel` failed" in err
    assert err.endswith("hint: make `uv build --wheel` work, then lockstitch build\n")
    assert contents(locked) == before


@pytest.mark.slow
def test_first_party_code_for_one_platform(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = wheels.BACKEND.replace("py3-none-any", "cp311-cp311-linux_x86_64")
    world.index.publish(wheels.wheel("tinybuild", "2.0", {"tinybuild.py": code.encode()}))
    root = projects.write(tmp_path / "tiny")
    assert main(["lock", "--project", str(root)]) == 0
    error, hint = fails(capsys, root, "build")
    assert error == (
        "`tiny-0.1.0-cp311-cp311-linux_x86_64.whl` is for one platform: "
        "its compiler would decide the digest"
    )
    assert hint.startswith("publish it as a wheel and depend on it")


def test_a_lock_of_uv_that_fits_no_more(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody made the lock fit by hand: uv itself is asked as well."""
    old = (locked / "uv.lock").read_bytes()
    projects.replace(locked, 'name = "gamma", specifier = ">=2"', 'name = "gamma"', "uv.lock")
    new = (locked / "uv.lock").read_bytes()
    sums = [hashlib.sha256(data).hexdigest() for data in (old, new)]
    projects.replace(locked, *sums, "lockstitch.lock")
    assert fails(capsys, locked, "lock", "--check") == (
        "`uv.lock` does not fit pyproject.toml",
        "lockstitch lock",
    )


def test_a_resolution_without_a_solution(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    projects.replace(locked, "gamma>=2", "gamma>=99")
    before = contents(locked)
    assert main(["lock", "--quiet"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(
        "error: the packages cannot be locked: no versions fit together\nBecause "
    )
    assert "gamma>=99" in err
    assert contents(locked) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gamma", "uv remove --group serve gamma"),
        ("alpha", "uv remove alpha"),
        ("epsilon", "`uv tree --frozen --invert --package epsilon` shows what requires it"),
    ],
)
def test_a_project_that_was_withdrawn_after_it_was_locked(
    name: str, hint: str, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = projects.write(tmp_path / "tiny")
    assert main(["lock", "--project", str(root)]) == 0
    capsys.readouterr()
    world.server.on(f"/simple/{name}/", Reply(status=404))
    before = contents(root)
    assert main(["lock", "--upgrade", "--quiet", "--project", str(root)]) == 1
    err = capsys.readouterr().err.splitlines()
    message = f"the index has no `{name}`: it is withdrawn, or was never there"
    assert err[0] == f"error: the packages cannot be locked: {message}"
    assert err[-1] == f"hint: {hint}"
    assert contents(root) == before


def test_a_mirror_that_does_not_answer(
    online: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = projects.write(tmp_path / "tiny")
    monkeypatch.setenv("LOCKSTITCH_DEBIAN_MIRROR", f"{online.server.address}/nothing")
    assert main(["lock", "--quiet", "--project", str(root)]) == 1
    err = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in err] == ["error", "hint"] * 3
    assert "/nothing/dists/bookworm/InRelease` answered HTTP 404" in err[0]
    assert not (root / "uv.lock").exists()


def test_a_proxy_that_is_not_there_is_named(
    locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://index.example.test/simple/")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(locked / ".cache"))
    (locked / "uv.lock").unlink()
    assert main(["lock", "--quiet"]) == 1
    assert capsys.readouterr().err == (
        "error: the packages cannot be locked: `index.example.test` did not answer through the "
        "proxy of HTTPS_PROXY=http://127.0.0.1:9: connection refused\n"
        "hint: correct HTTPS_PROXY, or unset it, then run the same command again\n"
    )


@pytest.mark.slow
def test_unusual_files_are_said_before_the_build(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = locked / "app"
    (app / "notes.ipynb").write_text("{}")
    (app / "old.py").write_bytes(b"name = 'caf\xe9'\r\n")
    (app / "declared.py").write_bytes(b"# -*- coding: latin-1 -*-\nname = 'caf\xe9'\n")
    with (app / "large.bin").open("wb") as large:
        large.truncate(101 * 1000 * 1000)
    assert main(["build", "serve", "--quiet"]) == 0
    err = capsys.readouterr().err
    assert err.splitlines()[:4] == [
        "warning: `app/large.bin` has 101.0 MB: `serve` is that much larger",
        "warning: `app/notes.ipynb` is a notebook: nothing runs it in `serve`",
        "warning: `app/old.py` is not UTF-8 and declares no encoding: Python cannot read it",
        "warning: `app/old.py` with CRLF: the digest differs from a checkout with LF",
    ]
    assert "\nbuilt in " in err


@pytest.mark.slow
def test_a_name_without_a_host_is_said(
    locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert main(["build", "serve", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["image", "push", "team/tiny", "--image", "serve", "--quiet"]) == 1
    name, host = "HOST/team/tiny", "docker" + ".io"
    err = capsys.readouterr().err.replace(host, "HOST")
    assert err == (
        f"note: `team/tiny` names no host: it means {name}\n"
        "error: the registry `HOST` did not answer through the proxy of "
        "HTTPS_PROXY=http://127.0.0.1:9: connection refused\n"
        "hint: correct HTTPS_PROXY, or unset it, then run the same command again\n"
    )
