"""Requirements files of any quality."""

import pytest

from lockstitch.repository.packaging import requirements
from lockstitch.repository.packaging.requirements import Required

H = "a" * 64


def one(line: str) -> Required:
    (found,) = requirements.read(line).entries
    return found


@pytest.mark.parametrize(
    ("line", "name", "specifier", "version", "marker"),
    [
        ("numpy", "numpy", "", "", ""),
        ("Scikit_Learn>=1.5,<2  # why", "scikit-learn", ">=1.5,<2", "", ""),
        ("numpy==2.1.0", "numpy", "==2.1.0", "2.1.0", ""),
        ("numpy == 2.1.0 ; python_version < '3.12'", "numpy", "== 2.1.0", "2.1.0",
         "python_version < '3.12'"),
        ("numpy==2.*", "numpy", "==2.*", "", ""),
        ("numpy===2.1.0", "numpy", "===2.1.0", "2.1.0", ""),
        ("uvicorn[standard]==0.30.1", "uvicorn", "==0.30.1", "0.30.1", ""),
        ("requests (>=2)", "requests", ">=2", "", ""),
    ],
)  # fmt: skip
def test_a_name(line: str, name: str, specifier: str, version: str, marker: str) -> None:
    found = one(line)
    assert (found.name, found.specifier, found.version) == (name, specifier, version)
    assert (found.marker, found.local, found.pinned) == (marker, "", bool(version))


@pytest.mark.parametrize(
    ("line", "kind", "name"),
    [
        ("-e .", "editable", ""),
        ("-e ./lib[extra]", "editable", ""),
        ("--editable=git+https://host.test/a.git@main#egg=My_Pkg", "editable", "my-pkg"),
        ("git+https://host.test/a.git#egg=a", "git", "a"),
        ("https://host.test/a-1.0-py3-none-any.whl", "url", ""),
        ("a @ https://host.test/a-1.0.zip", "url", "a"),
        ("numpy @ file:///croot/numpy_1", "path", "numpy"),
        ("./wheels/a-1.0-py3-none-any.whl", "path", ""),
        ("wheels/a-1.0-py3-none-any.whl", "path", ""),
        (".", "path", ""),
    ],
)
def test_a_place(line: str, kind: str, name: str) -> None:
    found = one(line)
    assert (found.local, found.name, found.pinned) == (kind, name, False)


def test_lines_are_joined_and_hashes_are_read() -> None:
    text = (
        "\ufeff# words\n--index-url https://host.test/simple\n"
        f"numpy==2.1.0 \\\n    --hash=sha256:{H} \\\n    # words between\n    --hash=sha256:{H}\n"
        "-r base.txt\r\npandas==2.2.3"
    )
    found = requirements.read(text)
    assert [(e.name, e.line, len(e.hashes)) for e in found.entries] == [
        ("numpy", 3, 2),
        ("pandas", 8, 0),
    ]
    assert [(o.name, o.value, o.line) for o in found.options] == [
        ("--index-url", "https://host.test/simple", 2),
        ("-r", "base.txt", 7),
    ]


@pytest.mark.parametrize(
    "text", ["", "\\", "\\\n", "@", "-", "--", "!!", "[", "a[", ";", "é==1", "\0"]
)
def test_nothing_raises(text: str) -> None:
    requirements.read(text)


def test_names_of_requirements_files() -> None:
    names = [
        "requirements.txt",
        "requirements-dev.txt",
        "dev-requirements.in",
        "requirements/base.txt",
    ]
    assert all(map(requirements.is_name, names))
    others = ["readme.txt", "requirements.md", "data/words.txt", "CMakeLists.txt"]
    assert not any(map(requirements.is_name, others))
