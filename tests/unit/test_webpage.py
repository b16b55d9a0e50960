"""Pages are rendered from templates, with every value escaped and none missing."""

import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import UndefinedError

import lockstitch
from lockstitch import webpage

PACKAGE = Path(lockstitch.__file__).parent
TEMPLATES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.j2"))


def test_values_are_escaped() -> None:
    text = webpage.render("report/treemap.svg.j2", label="<b>", boxes=[], width=1, height=1)
    assert 'aria-label="&lt;b&gt;"' in text


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        webpage.render("prove/verify.html.j2")


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_switches_escaping_off(name: str) -> None:
    text = (PACKAGE / name).read_text()
    assert "safe" not in text
    assert "autoescape" not in text


@pytest.mark.slow
def test_the_templates_are_loaded_by_pages_alone() -> None:
    imports = "import sys, lockstitch.report.page, lockstitch.prove.result"
    code = f"{imports}; print('jinja2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
