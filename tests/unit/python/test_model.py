"""What the user wrote, as values."""

from pathlib import Path

import pytest

from lockstitch.errors import LockstitchError
from lockstitch.python.load import read

DOCUMENT = {
    "project": {"name": "a"},
    "tool": {"lockstitch": {"images": {"train": {}, "serve": {"port": 80}}}},
}


def test_an_image_is_found_by_its_name() -> None:
    project = read(DOCUMENT, Path("/p"))
    assert [image.name for image in project.images] == ["serve", "train"]
    assert project.image("serve").port == 80


def test_another_image_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(LockstitchError) as caught:
        read(DOCUMENT, Path("/p")).image("srve")
    assert caught.value.message == "`srve` is not an image of this project (it has: serve, train)"
    assert caught.value.hint == "did you mean `serve`?"
