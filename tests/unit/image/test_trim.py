"""What trimming leaves out."""

import pytest

from lockstitch.image.trim import folded, left_out


@pytest.mark.parametrize(
    "path",
    [
        "numpy/tests/test_x.py",
        "numpy/_core/tests/data/x.csv",
        "numpy/_core/include/numpy/ndarrayobject.h",
        "numpy/__init__.pyi",
        "numpy/random/lib/libnpyrandom.a",
        "torch/include/ATen/ATen.hpp",
        "sklearn/utils/_x.pyx",
        "sklearn/datasets/data/iris.csv",
        "onnxruntime/tools/check.py",
        "onnx/backend/test/data/model.onnx",
    ],
)
def test_left_out(path: str) -> None:
    assert left_out(path) is True


@pytest.mark.parametrize(
    "path",
    [
        "numpy/__init__.py",
        "numpy/testing/__init__.py",
        "numpy/_core/tests/_natype.py",
        "tests/__init__.py",
        "tests/sub/x.py",
        "demo/tests",
        "demo/tests.py",
        "demo/contests/a.py",
        "demo/py.typed",
        "demo/lib.so",
        "demo/lib.so.1",
        "demo/a.H5",
        "sklearn/datasets/__init__.py",
        "onnxruntime/capi/x.py",
        "other/sklearn/datasets/data/iris.csv",
    ],
)
def test_kept(path: str) -> None:
    assert left_out(path) is False


def test_a_folder_of_which_nothing_is_kept_is_one_entry() -> None:
    kept = ["a/__init__.py", "a/b/c.py"]
    left = ["a/tests/one.py", "a/tests/deep/two.py", "a/b/c.pyi", "include/x.h", "top.pyi"]
    assert folded(kept, left) == ("a/b/c.pyi", "a/tests/", "include/", "top.pyi")
    assert folded([], ["a/b.py", "c.py"]) == ("a/", "c.py")
    assert folded(kept, []) == ()
