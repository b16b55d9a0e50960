"""Small projects of many shapes start as `lockstitch init` wrote them: some here, all at night."""

from pathlib import Path

import pytest
from support import gauntlet

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("in_store")]

SHAPES = sorted(gauntlet.SHAPES.glob("*.shape"))
SLICE = {
    *("compose-commands", "dockerfile-in-a-folder", "fastapi-with-templates"),
    *("published-package-finds-its-model", "two-import-roots", "writes-folders"),
}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path.stem in SLICE else pytest.mark.nightly, id=path.stem)
        for path in SHAPES
    ],
)
def test_a_shape_starts(path: Path, tmp_path: Path) -> None:
    shape = gauntlet.read(path)
    found = gauntlet.play(shape, tmp_path / shape.name)
    assert found.problem == ""
    assert found.starts


def test_a_page_that_ends_with_an_error_does_not_answer(tmp_path: Path) -> None:
    """A server of Streamlit is well by its health route whatever its page does."""
    shape = gauntlet.Shape(
        name="page",
        title="",
        wanted={
            "image": "serve",
            "command": "streamlit run app.py",
            "outcome": "failed",
            "prints": "No such file or directory: 'gone.csv'",
        },
        files={
            "requirements.txt": "streamlit\n",
            "app.py": "import streamlit as st\nst.title('A')\nst.write(open('gone.csv').read())\n",
        },
    )
    assert gauntlet.play(shape, tmp_path / "page").starts
