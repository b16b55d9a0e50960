"""The public API: each name is there, is on its page, and the page's example runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lockstitch import oci

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "api-oci.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_example_of_the_page_runs_and_prints_what_it_says(tmp_path: Path) -> None:
    (example,), (printed,) = blocks("python"), blocks("text")
    done = subprocess.run(
        [sys.executable, "-I", "-c", example], cwd=tmp_path, check=True, capture_output=True
    )
    assert done.stdout.decode() == printed


def test_every_public_name_is_there_and_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert oci.__all__ == sorted(oci.__all__)
    assert [name for name in oci.__all__ if not hasattr(oci, name)] == []
    assert [name for name in oci.__all__ if not re.search(rf"\b{name}\b", page)] == []
    assert {*oci.__all__} <= {*dir(oci)}


def test_another_name_is_none() -> None:
    with pytest.raises(AttributeError, match="has no attribute `nothing`"):
        oci.nothing  # noqa: B018 -- asked for, not used


def test_importing_the_package_imports_no_module_of_it() -> None:
    code = "import sys, lockstitch.oci; print([m for m in sys.modules if 'lockstitch.oci.' in m])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert done.stdout == b"[]\n"
