"""Requirements files of any origin and encoding."""

from pathlib import Path

import pytest

from lockstitch.errors import LockstitchError
from lockstitch.scaffold.init import requirements
from lockstitch.scaffold.init.folder import Folder

COMPILED = """\
# made by a resolver
anyio==4.1 \\
    --hash=sha256:aaaa \\
    --hash=sha256:bbbb
    # via starlette
fastapi==0.110 ; python_version > "3.8" \\
    --hash=sha256:cccc
    # via
    #   -r requirements.in
    #   something
six==1.0  # via -r requirements.in, other
starlette==0.36    # via fastapi
"""


def requirements_of(folder: Path, text: str, **others: str) -> requirements.Requirements:
    (folder / "requirements.txt").write_text(text)
    for name, other in others.items():
        (folder / f"{name}.txt").write_text(other)
    found = requirements.read_requirements(Folder(folder), "requirements.txt")
    assert found is not None
    return found


def test_what_people_asked_for_and_not_what_others_need(tmp_path: Path) -> None:
    found = requirements_of(tmp_path, COMPILED)
    assert found.lines == ('fastapi==0.110; python_version > "3.8"', "six==1.0")
    assert found.notes == ("`requirements.txt`: 2 packages that others need: left to the lock",)


def test_files_that_it_names_are_followed_once(tmp_path: Path) -> None:
    found = requirements_of(
        tmp_path, "-r more.txt\na\n", more="b>=2\n-r requirements.txt\n-rmore.txt\na\n"
    )
    assert found.lines == ("a", "b>=2")
    assert found.notes == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-e .", "`-e .` is this project"),
        ("-e ./lib", "`-e` is a folder of one machine"),
        ("--editable=git+https://me:secret@example.test/x", "`--editable` is a folder"),
        ("a @ file:///home/me/a", "`a` comes from an address or a folder"),
        ("a @ git+https://me:secret@example.test/x", "`a` comes from an address"),
        ("https://me:secret@example.test/x.whl", "it comes from an address"),
        ("git+ssh://secret@example.test/x", "it comes from an address"),
        ("./lib", "`./lib` is a path of one machine"),
        ("vendor/x.whl", "`vendor/x.whl` is a path"),
        ("--index-url https://me:secret@example.test/", "`--index-url` is no requirement"),
        ("-i https://me:secret@example.test/", "`-i` is no requirement"),
        ("-c secret.txt", "`-c` names no file of this folder"),
        ("-r ../secret.txt", "`-r` names no file of this folder"),
        ("-r /etc/secret", "`-r` names no file of this folder"),
        ("-r missing", "`-r` names no file of this folder"),
        ("not one", "`not one` is no requirement"),
        ("a==", "`a==` is no requirement"),
        ("-", "`-` is no requirement"),
    ],
)
def test_what_is_left_out_is_said_and_no_secret_with_it(
    line: str, said: str, tmp_path: Path
) -> None:
    found = requirements_of(tmp_path, f"a\n\n{line}\nb\n")
    assert found.lines == ("a", "b")
    assert len(found.notes) == 1
    assert found.notes[0].startswith(f"`requirements.txt:3`: {said}")
    assert found.notes[0].endswith(": left out")
    assert "secret" not in found.notes[0]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "outside.txt").write_text("secret\n")
    (folder / "link.txt").symlink_to(tmp_path / "outside.txt")
    assert requirements_of(folder, "-r link.txt\n").lines == ()
    (folder / "requirements.txt").unlink()
    (folder / "requirements.txt").symlink_to(tmp_path / "outside.txt")
    with pytest.raises(LockstitchError, match="leads out of"):
        requirements.read_requirements(Folder(folder), "requirements.txt")


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(LockstitchError, match="over the limit"):
        requirements_of(tmp_path, "#" * (1 << 20) + "#")


def test_no_file(tmp_path: Path) -> None:
    assert requirements.read_requirements(Folder(tmp_path), "requirements.txt") is None


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "latin-1"])
def test_any_encoding_and_line_end(encoding: str, tmp_path: Path) -> None:
    text = "a==1\r\n# donn\xe9es\r\nb>=2 \\\r\n  ; python_version > '3'\r\n"
    (tmp_path / "requirements.txt").write_bytes(text.encode(encoding))
    found = requirements.read_requirements(Folder(tmp_path), "requirements.txt")
    assert found is not None
    assert found.lines == ("a==1", 'b>=2; python_version > "3"')


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("certifi @ file:///croot/certifi_1690232220950/work/certifi", "certifi"),
        ("a @ file:///C:/b/abs_1b2/croot/a_16/a-1.2-py3-none-any.whl", "a==1.2"),
        ("numpy=1.21.0", "numpy==1.21.0"),
        ("numpy=1.21.0=py38_0", "numpy==1.21.0"),
        ("sklearn==0.0.post1", "scikit-learn"),
        ("dotenv==0.0.5", "python-dotenv"),
        ("pywin32==306", 'pywin32==306; sys_platform == "win32"'),
        ("torch==1.12.1+cu113", "torch==1.12.1"),
        ("'a==1'", "a==1"),
        ("a>=1,", "a>=1"),
        ("a==1 --hash=sha256:00 -f https://example.test/", "a==1"),
    ],
)
def test_what_a_line_means(line: str, wanted: str, tmp_path: Path) -> None:
    assert requirements_of(tmp_path, f"{line}\n").lines == (wanted,)


def test_many_files_of_conda_are_one_note(tmp_path: Path) -> None:
    lines = [f"{name} @ file:///croot/{name}_169023/work" for name in "abcde"]
    found = requirements_of(tmp_path, "\n".join(lines))
    assert found.lines == tuple("abcde")
    told = "`a`, `b`, `c` and 2 more are files of conda's: any version of the index"
    assert found.notes == (told,)


@pytest.mark.parametrize(
    "line", ["os", "pickle5==0.0.12", "pkg-resources==0.0.0", "dataclasses==0.8", "."]
)
def test_what_needs_no_package(line: str, tmp_path: Path) -> None:
    found = requirements_of(tmp_path, f"{line}\n")
    assert found.lines == ()
    assert len(found.notes) == 1


def test_what_other_programs_list(tmp_path: Path) -> None:
    text = (
        "Package    Version\n---------- -------\nsix        1.16.0\n"  # pip list
        "pip install idna==3.7 certifi\n"
        "_libgcc_mutex=0.1=main\nopenssl=1.1.1n=h7f8727e_0\npytorch=1.13.1=py3.8_0\n"
        "numpy   1.26.4   py311h24aa872_0   conda-forge\nzlib  1.2  h7f8727e_0\n"
    )
    found = requirements_of(tmp_path, text)
    assert found.lines == ("six==1.16.0", "idna==3.7", "certifi", "torch==1.13.1", "numpy==1.26.4")
    assert found.notes == ()
