"""Every project of the corpus: a correct one has no finding, a taught one has what is marked."""

from pathlib import Path

import pytest
from support import corpus


@pytest.mark.parametrize("path", corpus.projects("clean"), ids=lambda path: path.stem)
def test_a_correct_project_has_no_finding(path: Path, tmp_path: Path) -> None:
    assert corpus.judge(path, tmp_path).wrong == ()


@pytest.mark.parametrize("path", corpus.projects("taught"), ids=lambda path: path.stem)
def test_a_taught_project_has_what_is_marked(path: Path, tmp_path: Path) -> None:
    judged = corpus.judge(path, tmp_path)
    assert (judged.wrong, judged.missed) == ((), ())
    assert judged.right
