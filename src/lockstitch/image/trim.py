"""What `trim = true` leaves out of a wheel: declared here, listed nowhere else."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

__all__ = ["folded", "left_out"]

_FOLDERS: Final = frozenset({"tests"})
_SUFFIXES: Final = frozenset(
    {".pyi", ".a", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hh", ".hpp", ".hxx"}
    | {".pxd", ".pxi", ".pyx", ".f", ".f90"}
)
# What serving and training do not use of single packages, by how its path starts.
_OF_PACKAGES: Final = (
    "onnx/backend/test/",  # the standard's test data
    "onnxruntime/capi/libonnxruntime.so.",  # for programs in C: the module has its own copy in it
    "onnxruntime/quantization/",  # tools for models, not for running them
    "onnxruntime/tools/",
    "onnxruntime/transformers/",
    "sklearn/datasets/data/",  # sample data sets, loaded by name only
    "sklearn/datasets/descr/",
    "sklearn/datasets/images/",
)
# Imported at run time although they lie in a tests folder.
_KEPT: Final = frozenset({"numpy/_core/tests/_natype.py"})


def left_out(path: str) -> bool:
    """Return whether trimming leaves out a file, by its path below site-packages."""
    if path in _KEPT:
        return False
    parts = PurePosixPath(path)
    if parts.suffix in _SUFFIXES or path.startswith(_OF_PACKAGES):
        return True
    # A top-level `tests` is a package of its own that somebody may import by that name.
    return any(part in _FOLDERS for part in parts.parts[1:-1])


def folded(kept: Iterable[str], left: Iterable[str]) -> tuple[str, ...]:
    """Return what was left out, sorted; a folder of which nothing is kept is one entry, `name/`."""
    needed = {str(parent) for path in kept for parent in PurePosixPath(path).parents}
    found = set()
    for path in left:
        # The root is needed even where nothing is kept: `/` would say less than the names.
        above = [str(each) for each in PurePosixPath(path).parents if str(each) != "."]
        outer = [each for each in above if each not in needed]
        found.add(f"{outer[-1]}/" if outer else path)
    return tuple(sorted(found))
