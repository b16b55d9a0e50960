"""Holds images to the sizes their tables allow."""

from collections.abc import Sequence

from lockstitch.errors import LockstitchError, raise_all
from lockstitch.image import sizes
from lockstitch.oci.model import Image
from lockstitch.python import size
from lockstitch.python.model import ImageSpec

__all__ = ["check", "unpacked"]

_BLAMED = 5


def unpacked(image: Image) -> int:
    """Return the bytes of all files of an image."""
    return sum(layer.facts.unpacked for layer in image.layers)


def check(images: Sequence[tuple[ImageSpec, Image]]) -> None:
    """Raise LockstitchError for each image over its budget, naming the packages that weigh most."""
    problems = []
    for spec, image in images:
        if not spec.budget or unpacked(image) <= spec.budget:
            continue
        heaviest = sizes.of_layers(image.layers)[:_BLAMED]
        blamed = ", ".join(f"{package.name} {size.shown(package.size)}" for package in heaviest)
        message = f"image `{spec.name}` has {size.shown(unpacked(image))} unpacked, over its "
        message += f"budget of {size.shown(spec.budget)}; most of it: {blamed}"
        hint = (
            f"drop a package from its groups, set trim = true, or raise the budget of {spec.name}"
        )
        problems.append(LockstitchError(message, hint=hint))
    raise_all(problems)
